"""What becomes of single tracepoints, whichever reader they come from."""

from collections.abc import Sequence

import pytest

from exitless.record.columns import unpacked
from exitless.traces.kvm import Use, exit_name
from exitless.traces.kvm_rows import ABSENT, MOST_VALUES, Clock, Mapper, signed
from exitless.traces.reader import LOST
from exitless.vocab.kinds import Kind, Owner, RunState

VALID = 0x80000000
R = RunState


def mapped(*events: tuple[int, Sequence[int]], mapper: Mapper | None = None) -> list[tuple[int, ...]]:
    """Map events on pCPU 0, a ns apart; returns kind, vCPU, a, b of the rows."""
    mapper = mapper or Mapper("a recording", Clock("mono"))
    mapper.columns.fill = 0
    for n, (use, values) in enumerate(events):
        if use == Use.LOST:
            mapper.lost(1000 * n, 0, values[1], 1000 * values[2])
            continue
        for k in range(MOST_VALUES):
            mapper.values[k] = signed(values[k]) if k < len(values) else ABSENT
        mapper.event(1000 * n, 0, use, mapper.values)
    rows = unpacked(mapper.columns)
    return [(row[1], *row[3:]) for row in rows]


def enter(tid: int, vcpu: int) -> tuple[int, tuple[int, ...]]:
    """A thread enters a vCPU."""
    return Use.ENTRY, (tid, vcpu)


@pytest.mark.parametrize(
    ("code", "isa", "intr", "expected", "name"),
    [
        (1, 1, VALID | 0xEC, (1, 0xEC), "EXTERNAL_INTERRUPT"),
        (1, 1, 0xEC, (1, -1), "EXTERNAL_INTERRUPT"),
        (1, 1, -1, (1, -1), "EXTERNAL_INTERRUPT"),
        (48, 1, 0, (48, 5), "EPT_VIOLATION"),
        (0x80000021, 1, 0, (0x80000021, 5), "INVALID_STATE FAILED_VMENTRY"),
        (0x0400_0038, 1, 0, (56, 5), "APIC_WRITE"),
        (0x60, 2, 0, (0x60, 5), "interrupt"),
        (2**64 - 1, 2, 0, (0xFFFFFFFF, 5), "invalid_guest_state"),
        (0x80000003, 2, 0, (0x80000003, 5), "0x80000003"),
        (7, 3, 0, (7, 5), "0x7"),
    ],
)
def test_exits_are_numbers_of_their_processors(
    code: int, isa: int, intr: int, expected: tuple[int, int], name: str
) -> None:  # fmt: skip
    """VMX keeps the basic reason and the failed-entry flag, SVM 32 bits; only a valid interrupt has a vector."""
    mapper = Mapper("a recording", Clock("mono"))
    rows = mapped((Use.EXIT, (7, code, isa, 5, intr, 0)), mapper=mapper)
    assert rows == [(Kind.VM_EXIT, 0, *expected)] and exit_name(mapper.isa, rows[0][2]) == name


def test_an_entry_tells_its_vector_where_the_kernel_does() -> None:
    rows = mapped(
        enter(7, 0), (Use.ENTRY, (7, 0, VALID | 0xEC)), (Use.ENTRY, (7, 0, VALID | 0x30E)), (Use.ENTRY, (7, 0, 0xEC))
    )
    assert [row[2] for row in rows] == [-1, 0xEC, -1, -1], "an exception (type 3) and an invalid field are none"


def test_a_message_becomes_a_request_of_the_vcpu_it_is_for() -> None:
    rows = mapped(
        enter(7, 0), enter(8, 1), (Use.ACCEPT, (7, 1, 0, 0xFD)), (Use.ACCEPT, (30, 0, 0x100, 0x31)),
        (Use.ACCEPT, (8, 0, 0x400, 0)), (Use.ACCEPT, (8, 0, 0x500, 0)), (Use.ACCEPT, (8, 0, 0x300, 0)),
        (Use.POSTED, (30, 0, 0, 0x31)),
    )[2:]  # fmt: skip
    assert rows == [
        (Kind.IRQ_REQUEST, 1, 0xFD, -1), (Kind.IRQ_REQUEST, 0, 0x31, -1), (Kind.IRQ_REQUEST, 0, 2, -1),
        (Kind.PID_POST, 0, 0x31, -1),
    ], "fixed, lowest priority, an NMI; INIT and a remote read are no interrupts"  # fmt: skip


def test_injections_and_ends_of_interrupt() -> None:
    rows = mapped(
        enter(7, 0), (Use.INJECT, (7, 0x25, 0, 0)), (Use.INJECT, (7, 0x25, 0, 1)), (Use.INJECT, (7, 0x80, 1, 1)),
        (Use.INJECT, (7, 52)), (Use.EOI, (7, 0, 0x25)), (Use.PV_EOI, (7, 0, 0x25)), (Use.EOI, (7, 0, -1)),
    )[1:]  # fmt: skip
    assert rows == [
        (Kind.IRQ_INJECT, 0, 0x25, -1), (Kind.IRQ_REINJECT, 0, 0x25, -1), (Kind.IRQ_REINJECT, 0, 0x80, 6),
        (Kind.IRQ_INJECT, 0, 52, -1), (Kind.IRQ_EOI, 0, 0x25, 1), (Kind.EOI_SPARED, 0, 0x25, 0),
        (Kind.IRQ_EOI, 0, -2, 1),
    ]  # fmt: skip


def test_lines_messages_and_ipis() -> None:
    rows = mapped(
        enter(7, 0), (Use.IPI, (7, 0xFD, 1)), (Use.IPI, (7, 0x400, 255)), (Use.IPI, (7, 0x500, 1)),
        (Use.MSI, (9, 0x1234_00000000 << 8 | 0xFEE05000, 0x23)), (Use.LINE, (9, 10, 1)),
        (Use.IOAPIC, (9, 0x1005A, 10, 1)), (Use.PIC, (9, 1, 2, 0)), (Use.PIC, (9, 0, 3, 1, 8, 255)),
        (Use.HYPERCALL, (7, 5, 0)),
    )[1:]  # fmt: skip
    assert rows == [
        (Kind.GUEST_IPI, 0, 0xFD, 1), (Kind.GUEST_IPI, 0, 2, 255), (Kind.GUEST_IPI, 0, -1, 1),
        (Kind.GUEST_MSI, -1, 0x23, 0x123405), (Kind.GUEST_LINE, -1, 10, 1),
        (Kind.IOAPIC_SET, -1, 0x5A, 10 + 256 + 512), (Kind.PIC_SET, -1, 10, 0), (Kind.PIC_SET, -1, 3, 7),
        (Kind.HYPERCALL, 0, 5, 0),
    ]  # fmt: skip


def test_the_scheduler_moves_vcpus_between_runstates_and_pcpus_between_owners() -> None:
    rows = mapped(
        enter(7, 0), (Use.SWITCH, (7, 7, 1, 0)), (Use.SWITCH, (0, 0, 0, 50)), (Use.WAKING, (50, 7)),
        (Use.WAKEUP, (50, 7)), (Use.SWITCH, (50, 50, 1, 7)), (Use.SWITCH, (7, 7, 0x100, 60)), (Use.WAKEUP, (1, 7)),
        (Use.SWITCH, (60, 60, 1, 7)), (Use.SWITCH, (7, 7, 0x10, 60)), (Use.WAKING, (1, 99)),
    )[1:]  # fmt: skip
    assert rows == [
        (Kind.RUNSTATE, 0, R.RUNNING, R.BLOCKED), (Kind.SCHED_SWITCH, -1, 0, -1),
        (Kind.RUNSTATE, -1, R.RUNNABLE, R.RUNNING),
        (Kind.RUNSTATE, -1, R.RUNNING, R.RUNNABLE), (Kind.CPU_OWNER, -1, Owner.DOM0, 0),
        (Kind.SCHED_WAKE, 0, 50, 0), (Kind.RUNSTATE, 0, R.BLOCKED, R.RUNNABLE),
        (Kind.SCHED_SWITCH, 0, -1, 0), (Kind.RUNSTATE, 0, R.RUNNABLE, R.RUNNING),
        (Kind.RUNSTATE, 0, R.RUNNING, R.RUNNABLE), (Kind.SCHED_SWITCH, -1, 0, -1), (Kind.CPU_OWNER, -1, Owner.DOM0, 0),
        (Kind.SCHED_WAKE, 0, 1, 0), (Kind.RUNSTATE, 0, R.BLOCKED, R.RUNNABLE),
        (Kind.SCHED_SWITCH, 0, -1, 0), (Kind.RUNSTATE, 0, R.RUNNABLE, R.RUNNING),
        (Kind.RUNSTATE, 0, R.RUNNING, R.OFFLINE), (Kind.SCHED_SWITCH, -1, 0, -1), (Kind.CPU_OWNER, -1, Owner.DOM0, 0),
    ], "a wake-up that has both records is one"  # fmt: skip


def test_host_interrupts_belong_to_the_vcpu_they_came_upon() -> None:
    rows = mapped(
        enter(7, 0), (Use.HOST_VECTOR, (7, 236)), (Use.HOST_IRQ, (50, 36)), (Use.SOFTIRQ, (0, 7)), (Use.TIMER, (0,))
    )
    assert rows[1:] == [
        (Kind.HOST_IRQ, 0, 236, -1), (Kind.HOST_IRQ, -1, -1, 36), (Kind.SOFTIRQ, -1, 7, 0),
        (Kind.TIMER_FIRE, -1, -1, 0),
    ]  # fmt: skip


def test_what_the_host_begins_it_ends_and_a_vcpu_polls_longer_or_shorter() -> None:
    rows = mapped(
        enter(7, 0), (Use.HOST_VECTOR_DONE, (7, 236)), (Use.HOST_IRQ_DONE, (50,)), (Use.SOFTIRQ_DONE, (0, 7)),
        (Use.TIMER_DONE, (0,)), (Use.HALT_POLL, (7, 0, 10_000, 5000)), (Use.HALT_POLL, (8, 1)),
        (Use.HALT_POLL, (8, 1, 0, 10_000)),
    )  # fmt: skip
    assert rows[1:] == [
        (Kind.HOST_DONE, 0, 236, -1), (Kind.HOST_DONE, -1, -1, -1), (Kind.SOFTIRQ_DONE, -1, 7, 0),
        (Kind.TIMER_DONE, -1, 0, 0), (Kind.HALT_POLL, 0, 10_000, 5000), (Kind.HALT_POLL, 1, 0, 10_000),
    ]  # fmt: skip


def test_a_vcpu_may_be_spoken_to_before_its_thread_is_known() -> None:
    mapper = Mapper("a recording", Clock("mono"))
    rows = mapped(
        (Use.ACCEPT, (30, 1, 0, 0x31)), (Use.EXIT, (8, 12, 1, 0, 0, -1)), enter(8, 1), enter(7, 0), mapper=mapper
    )
    assert [row[1] for row in rows] == [0, 1, 1, 2]
    assert [(v.number, v.tid) for v in mapper.threads.vcpus] == [(1, -1), (1, 8), (0, 7)]
    mapper = Mapper("a recording", Clock("mono"))
    rows = mapped((Use.ACCEPT, (30, 1, 0, 0x31)), enter(8, 1), mapper=mapper)
    assert [row[1] for row in rows] == [0, 0] and [(v.number, v.tid) for v in mapper.threads.vcpus] == [(1, 8)]


def test_one_thread_may_run_several_vcpus_in_turn() -> None:
    rows = mapped(
        enter(7, 0), (Use.EXIT, (7, 12, 1, 0, 0, 0)), enter(7, 1), (Use.EXIT, (7, 12, 1, 0, 0, 1)), enter(7, 0)
    )
    assert [row[1] for row in rows] == [0, 0, 1, 1, 0]


def test_machines_are_told_apart_by_process_or_guessed_by_thread_numbers() -> None:
    mapper = Mapper("a recording", Clock("mono"))
    events = [enter(100, 0), enter(101, 1), enter(200, 0), enter(201, 1), (Use.ACCEPT, (50, 1, 0, 0x31))]
    assert mapped(*events, mapper=mapper)[-1][1] == -1 and mapper.threads.doubtful == 1
    assert "there seem to be 2" in mapper.threads.name_machines()
    assert [v.name() for v in mapper.threads.vcpus] == ["vm1v0", "vm1v1", "vm2v0", "vm2v1"]
    mapper = Mapper("a recording", Clock("mono"))
    mapper.threads.tgids = {100: 90, 101: 90, 200: 190, 201: 190, 50: 190}
    assert mapped(*events, mapper=mapper)[-1][1] == 3 and mapper.threads.name_machines() == ""
    assert [v.name() for v in mapper.threads.vcpus] == ["vm90v0", "vm90v1", "vm190v0", "vm190v1"]


def test_a_loss_never_ends_before_it_begins() -> None:
    mapper = Mapper("a recording", Clock("mono"))
    assert mapped((Use.NAME_ONLY, (1,)), (Use.LOST, (-1, 5, 0)), mapper=mapper) == [(LOST, -1, 5, 1000)]
    assert (mapper.lost_events, mapper.lost_intervals) == (5, 1)


def test_a_halt_that_took_longer_than_any_recording_is_none() -> None:
    """A damaged field must not become a time that no sum can hold."""
    assert mapped((Use.HALT_END, (7, 10**15, 1, 1))) == [(Kind.HALT_END, -1, 10**15, 3)]
    assert mapped((Use.HALT_END, (7, 10**15 + 1, 1, 1)), (Use.HALT_END, (7, 2**63, 1, 1))) == []
