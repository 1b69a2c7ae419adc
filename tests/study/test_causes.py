"""Which interrupt made which exits, who woke whom, rates over time: by hand-written rows, then by recordings."""

from collections.abc import Sequence
from pathlib import Path

import pytest

from exitless.cli.read import facts_of
from exitless.record.columns import Columns
from exitless.record.sinks import Sink
from exitless.study.causes import Cause, Causes
from exitless.study.over_time import INTERVALS, OverTime
from exitless.study.trace_report import TraceReport
from exitless.study.trace_totals import LOST, Row
from exitless.study.trace_why import Why
from exitless.study.waking import Waker, Waking
from exitless.traces.reader import open_reader
from exitless.vocab.kinds import Kind, RunState
from tests.shared import shared
from tests.traces.helpers import DATA

US = 1_000_000
EXTERNAL, WINDOW, CALL, MSR = 1, 7, 18, 32


def at(us: int, kind: int, a: int = 0, b: int = 0, vcpu: int = 0, pcpu: int = 0) -> Row:
    """Make a row of vCPU 0 on pCPU 0."""
    return us * US, kind, pcpu, vcpu, a, b


def follow(sink: Sink, rows: Sequence[Row]) -> None:
    """Hand rows to a sink."""
    columns = Columns([sink])
    for row in rows:
        columns.row(*row)
    columns.flush()
    assert not columns.failures


def caused(*rows: Row) -> dict[tuple[int, int, int], tuple[int, int, dict[int, int]]]:
    """Return, by cause, number and vector: interrupts, time in us, exits by code."""
    seen = Causes()
    follow(seen, rows)
    seen.finish()
    return {
        (c.cause, c.number, c.vector): (c.interrupts, c.spent // US, c.codes.counted()) for c in seen.found.values()
    }


def test_an_ipi_s_exits_are_its_kick_its_window_and_its_eoi() -> None:
    """vCPU 1 sends 0xfd by an exit of its own; vCPU 0 is kicked, not ready, exits for the window, and writes EOI."""
    found = caused(
        at(0, Kind.VM_ENTRY), at(1, Kind.VM_EXIT, MSR, vcpu=1, pcpu=1),
        at(2, Kind.GUEST_IPI, 0xFD, 0, vcpu=1, pcpu=1), at(3, Kind.IRQ_REQUEST, 0xFD, pcpu=1),
        at(4, Kind.VM_EXIT, EXTERNAL, 0xFD), at(5, Kind.HOST_IRQ, 0xFD, -1), at(6, Kind.VM_ENTRY),
        at(8, Kind.VM_EXIT, WINDOW, -1), at(9, Kind.IRQ_INJECT, 0xFD), at(11, Kind.VM_ENTRY),
        at(20, Kind.VM_EXIT, MSR, -1), at(21, Kind.IRQ_EOI, 0xFD, 1), at(24, Kind.VM_ENTRY),
    )  # fmt: skip
    assert found == {
        (Cause.IPI, 1, 0xFD): (1, 2 + 3 + 4, {EXTERNAL: 1, WINDOW: 1, MSR: 1}),
        (Cause.GUEST, -1, -1): (0, 0, {MSR: 1}),
    }  # fmt: skip


def test_messages_are_matched_in_the_order_in_which_linux_writes_them() -> None:
    """kvm_msi_set_irq comes before the acceptance, kvm_ioapic_set_irq after it; one without a message is local."""
    found = caused(
        at(0, Kind.GUEST_MSI, 0x26, vcpu=-1, pcpu=1), at(1, Kind.IRQ_REQUEST, 0x26, pcpu=1),
        at(2, Kind.IRQ_REQUEST, 0x30, pcpu=1), at(3, Kind.IOAPIC_SET, 0x30, 9 + 1024, vcpu=-1, pcpu=1),
        at(4, Kind.IRQ_REQUEST, 0xEC), at(5, Kind.GUEST_MSI, 0x27, vcpu=-1, pcpu=1),
        at(6, Kind.IRQ_REQUEST, 0xEC, pcpu=1),
    )  # fmt: skip
    assert {key: value[0] for key, value in found.items() if value[0]} == {
        (Cause.MSI, -1, 0x26): 1, (Cause.IOAPIC, 9, 0x30): 1, (Cause.LOCAL, -1, 0xEC): 2,
    }  # fmt: skip


def test_host_interrupts_are_told_by_the_exit_or_by_the_handler_on_either_side_of_it() -> None:
    """VMX has the vector in the exit; SVM's handler runs before Linux writes the exit, a device has an irq only."""
    svm = 0x60
    found = caused(
        at(0, Kind.VM_ENTRY), at(1, Kind.VM_EXIT, EXTERNAL, 0xEC), at(2, Kind.VM_ENTRY),
        at(3, Kind.HOST_IRQ, 0xEC, -1), at(4, Kind.VM_EXIT, svm, 0), at(5, Kind.VM_ENTRY),
        at(6, Kind.VM_EXIT, svm, 0), at(7, Kind.HOST_IRQ, -1, 24), at(8, Kind.VM_ENTRY),
        at(9, Kind.VM_EXIT, svm, 0), at(10, Kind.VM_ENTRY),
    )  # fmt: skip
    assert found == {
        (Cause.HOST_VECTOR, -1, 0xEC): (0, 2, {EXTERNAL: 1, svm: 1}), (Cause.HOST_IRQ, 24, -1): (0, 2, {svm: 1}),
        (Cause.HOST, -1, -1): (0, 1, {svm: 1}),
    }  # fmt: skip


def test_a_window_asked_for_after_the_injection_is_nobody_s_interrupt() -> None:
    """Xen asks again after it has injected a callback; that window's exit finds nothing to inject."""
    found = caused(
        at(0, Kind.VM_ENTRY), at(1, Kind.VM_EXIT, EXTERNAL, 0xFA), at(1, Kind.IRQ_INJECT, 0xF3),
        at(1, Kind.IRQ_WINDOW, 0xF3, 5), at(2, Kind.VM_ENTRY), at(3, Kind.VM_EXIT, WINDOW, -1), at(5, Kind.VM_ENTRY),
        at(6, Kind.VM_EXIT, WINDOW, -1), at(7, Kind.VM_ENTRY),
    )  # fmt: skip
    assert found[Cause.AGAIN, -1, 0xF3] == (0, 2, {WINDOW: 1}) and found[Cause.AGAIN, -1, -1] == (0, 1, {WINDOW: 1})


def test_an_eoi_without_an_exit_causes_none() -> None:
    """kvm_pv_eoi tells that the EOI before it was left in memory: the exit in which KVM found it had another reason."""
    found = caused(
        at(0, Kind.VM_ENTRY), at(1, Kind.VM_EXIT, MSR, -1), at(2, Kind.IRQ_EOI, 0xEC, 1), at(2, Kind.EOI_SPARED, 0xEC),
        at(3, Kind.VM_ENTRY),
    )  # fmt: skip
    assert found == {(Cause.GUEST, -1, -1): (0, 2, {MSR: 1})}


def woken(*rows: Row) -> dict[tuple[int, int, int, int], tuple[int, list[int], dict[int, int]]]:
    """Return, by waker, number, call and vCPU: how often, delays in us, vectors that waited."""
    seen = Waking()
    follow(seen, rows)
    return {
        key: (w.count, [w.delay.at(1000) // 1000] if w.delay.at(1000) else [], w.vectors)
        for key, w in seen.found.items()
    }


BLOCK = (at(1, Kind.RUNSTATE, RunState.RUNNING, RunState.BLOCKED),)


def wake(us: int, thread: int = 0, pcpu: int = 1) -> tuple[Row, ...]:
    """vCPU 0 is woken on pCPU 1 and runs 5 us later on pCPU 0."""
    return (
        at(us, Kind.SCHED_WAKE, thread, pcpu=pcpu),
        at(us, Kind.RUNSTATE, RunState.BLOCKED, RunState.RUNNABLE, pcpu=pcpu),
        at(us + 5, Kind.RUNSTATE, RunState.RUNNABLE, RunState.RUNNING),
    )  # fmt: skip


def test_a_waker_is_the_interrupt_that_is_handled_else_the_thread_else_who_runs_there() -> None:
    """Xen's records name no thread: there it is the vCPU on that pCPU, and what it called."""
    thread = woken(*BLOCK, at(2, Kind.IRQ_REQUEST, 0x31, pcpu=1), *wake(3, 77))
    assert thread == {(Waker.THREAD, 77, -1, 0): (1, [5], {0x31: 1})}
    timer = (at(2, Kind.HOST_IRQ, 0xEC, -1, vcpu=-1, pcpu=1),)
    assert woken(*BLOCK, *timer, *wake(3, 77)) == {(Waker.HOST_VECTOR, 0xEC, -1, 0): (1, [5], {})}
    over = (*timer, at(3, Kind.HOST_DONE, 0xEC, -1, vcpu=-1, pcpu=1))
    assert list(woken(*BLOCK, *over, *wake(4, 77))) == [(Waker.THREAD, 77, -1, 0)]
    device = (at(2, Kind.HOST_IRQ, -1, 24, vcpu=-1, pcpu=1),)
    assert list(woken(*BLOCK, *device, *wake(3, 77))) == [(Waker.HOST_IRQ, 24, -1, 0)]
    dom0 = (at(1, Kind.RUNSTATE, RunState.RUNNABLE, RunState.RUNNING, vcpu=4, pcpu=1),)
    assert list(woken(*BLOCK, *dom0, *wake(3))) == [(Waker.VCPU, 4, -1, 0)]
    assert list(woken(*BLOCK, *dom0, at(2, Kind.HYPERCALL, 32, vcpu=4, pcpu=1), *wake(3))) == [(Waker.CALL, 4, 32, 0)]
    assert list(woken(*BLOCK, *wake(3))) == [(Waker.UNTOLD, -1, -1, 0)]


def test_waits_after_a_wake_up_and_after_losing_the_pcpu_are_two_things_and_halts_poll_or_block() -> None:
    seen = Waking()
    follow(seen, [
        *BLOCK, *wake(3), at(20, Kind.RUNSTATE, RunState.RUNNING, RunState.RUNNABLE),
        at(29, Kind.RUNSTATE, RunState.RUNNABLE, RunState.RUNNING), at(30, Kind.HALT_END, 4000, 0),
        at(40, Kind.HALT_END, 9000, 3), at(41, Kind.HALT_POLL, 10_000, 0), at(42, Kind.HALT_POLL, 5000, 10_000),
        at(50, Kind.RUNSTATE, RunState.RUNNING, RunState.RUNNABLE), at(51, LOST, 3, 60 * US),
        at(60, Kind.RUNSTATE, RunState.RUNNABLE, RunState.RUNNING),
    ])  # fmt: skip
    cpu = seen.cpus[0]
    assert (cpu.woken.at(1000), cpu.lost.at(1000)) == (5000, 9000), "no wait spans lost records"
    assert (cpu.polled.at(1000), cpu.blocked.at(1000)) == (4000, 9000)
    assert (cpu.poll_ns, cpu.most_poll_ns, cpu.grown, cpu.shrunk) == (5000, 10_000, 1, 1)


def test_intervals_double_until_they_reach_and_lose_no_count() -> None:
    seen = OverTime()
    follow(seen, [at(n * 50, Kind.VM_EXIT) for n in range(1000)])
    counts = seen.series(0)
    assert sum(counts) == 1000 and len(counts) <= INTERVALS and seen.length == 256 * US
    assert max(counts) - min(counts[:-1]) <= 1, "evenly spread events stay so"


RECORDINGS = [
    DATA / "kvm-tiny-2cpu.dat.xz", DATA / "kvm-linux-2cpu-part.dat.xz", DATA / "xen-pvh1-start.bin.xz",
    DATA / "pvm-lost.dat.xz", DATA / "kvm-tiny-1cpu.perf.data.xz",
]  # fmt: skip
SHARED = [
    "kvm-linux-2cpu/trace.dat.xz", "kvm-kut-vmexit-ipi/trace.dat.xz", "xen-vmx-hvm/xentrace.bin",
    "xen-hvm-nopv2-load/xentrace.bin.xz", "kvm-pvm/pvm_2vcpu.mono.v6.dat",
]  # fmt: skip


def every_exit_acceptance_and_wake_up_is_somebody_s(path: Path) -> None:
    """Totals by cause are those of the report: nothing is counted twice or left out."""
    report, why = TraceReport(), Why()
    with open_reader(str(path)) as reader:
        for columns in reader.blocks():
            report.block(columns)
            why.block(columns)
        facts = facts_of(reader)
    d = report.as_json(facts)
    more = why.as_json(facts, d)
    assert sum(c["exits"] for c in more["causes"]) == d["exits"]["total"]
    for name, x in d["exits"]["by_reason"].items():
        assert sum(c["by_reason"].get(name, 0) for c in more["causes"]) == x["count"], name
    accepted = sum(v["accepted"] or 0 for v in d["vectors"].values())
    assert sum(c["interrupts"] or 0 for c in more["causes"]) == accepted
    assert sum(w["count"] for w in more["wakers"]) == d["wakeups"]
    series = more["over_time"]["series"]
    assert sum(series["exits"]) == d["exits"]["total"] and sum(series["wake-ups"]) == d["wakeups"]
    assert more["untold"]


@pytest.mark.parametrize("path", RECORDINGS, ids=lambda path: path.name)
def test_recordings_add_up(path: Path) -> None:
    every_exit_acceptance_and_wake_up_is_somebody_s(path)


@pytest.mark.parametrize("name", SHARED)
def test_reference_recordings_add_up(name: str) -> None:
    every_exit_acceptance_and_wake_up_is_somebody_s(shared(f"data/traces/{name}"))


def test_the_ping_pong_s_interrupts_are_one_vcpu_s_to_the_other() -> None:
    """kvm-tiny-2cpu: in phase 4 vCPU 0 sends 0xf0 to vCPU 1 50 times, and is answered 50 times."""
    why = Why()
    with open_reader(str(DATA / "kvm-tiny-2cpu.dat.xz")) as reader:
        for columns in reader.blocks():
            why.block(columns)
        numbers = {v.number: place for place, v in enumerate(reader.vcpus)}
    sent = {c.number: c.interrupts for c in why.causes.found.values() if c.cause == Cause.IPI and c.vector == 0xF0}
    assert sum(sent.values()) == 100 and set(sent) <= set(numbers.values())
