"""Lines of ftrace, trace-cmd and perf script, in every form there is."""

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exitless.errors import TraceError
from exitless.traces.kvm import PLUGIN_VMX, SYSTEM_OF, TRACEPOINTS, Use
from exitless.traces.kvm_text import FORMS, REASONS, reason, text_plan
from exitless.traces.reader import LOST
from exitless.traces.text_line import line_end
from exitless.vocab.exits import VMX_NAMES
from exitless.vocab.kinds import Kind
from exitless.vocab.svm_exits import SVM_NAMES
from tests.traces.helpers import read_linux_bytes, unpacked

# Event, text, and the values that must come out of it, after the thread.
BODIES = (
    ("kvm_exit", "reason EXIT_VINTR rip 0xf info 0 0", (0x64, 2, 0, -1, -1, 15)),
    ("kvm_exit", "reason PENDING_INTERRUPT rip 0xf info 380 0", (7, 1, 0x380, -1, -1, 15)),
    ("kvm_exit", "vcpu 3 reason APIC_WRITE rip 0x1 info 380 0", (56, 1, 0x380, -1, 3, 1)),
    (
        "kvm_exit",
        "vcpu 1 reason DE excp rip 0x1 info1 0x0000000000000002 info2 0x0 intr_info 0x80000020 error_code 0x00000000",
        (0x40, 2, 2, 0x80000020, 1, 1),
    ),
    (
        "kvm_exit",
        "vcpu 0 reason INVALID_STATE FAILED_VMENTRY rip 0x1 info1 0x0 info2 0x0 intr_info 0x0 error_code 0x0 requests",
        (0x80000021, 1, 0, 0, 0, 1),
    ),
    ("kvm_exit", "reason UNKNOWN (95) rip 0xf info 0 0", (95, 0, 0, -1, -1, 15)),
    ("kvm_exit", "exit_reason=56 guest_rip=0x1 isa=1 info1=0x380 info2=0x0 vcpu_id=2", (56, 1, 0x380, -1, 2, 1)),
    ("kvm_entry", "vcpu 1", (1, -1)),
    ("kvm_entry", "vcpu 1, rip 0x7[immediate exit]", (1, -1)),
    ("kvm_entry", "vcpu 1, rip 0x7 intr_info 0x800000ec error_code 0x00000000", (1, 0x800000EC)),
    ("kvm_inj_virq", "irq 52", (52, -1, -1)),
    ("kvm_inj_virq", "IRQ 0x52", (0x52, -1, 0)),
    ("kvm_inj_virq", "IRQ 0xd1 [reinjected]", (0xD1, -1, 1)),
    ("kvm_inj_virq", "Soft/INTn 0x80 [reinjected]", (0x80, 1, 1)),
    ("kvm_apic_accept_irq", "apicid 1f vec 236 (Fixed|edge)", (0x1F, 0, 236)),
    ("kvm_apic_accept_irq", "apicid 0 vec 2 (NMI|edge)", (0, 0x400, 2)),
    ("kvm_apicv_accept_irq", "apicid a vec 33 (LowPrio|level)", (10, 0x100, 33)),
    ("kvm_eoi", "apicid 10 vector -1", (16, -1)),
    ("kvm_eoi", "apicid=10 vector=236", (16, 236)),
    ("kvm_apic_ipi", "dst 1 vec 253 (Fixed|physical|assert|edge|dst)", (253, 1)),
    ("kvm_apic_ipi", "dst ff vec 0 (NMI|physical|assert|edge|all-but-self)", (0x400, 255)),
    ("kvm_msi_set_irq", "dst 10001 vec 65 (Fixed|physical|edge|rh)", (0x1000000001000, 65)),
    ("kvm_set_irq", "gsi 5 level 1 source 0", (5, 1)),
    ("kvm_ioapic_set_irq", "pin 5 dst 0 vec 66 (Fixed|physical|edge) (coalesced)", (66, 5, 1)),
    ("kvm_ioapic_set_irq", "pin 4 dst ff vec 0 (ExtINT|logical|level|masked)", (0x18700, 4, 0)),
    ("kvm_pic_set_irq", "chip 1 pin 5 (edge|masked) (coalesced)", (1, 5, 1, 0, 255)),
    ("kvm_apic", "apic_write APIC_EOI = 0x0", (1, 0xB0, 0)),
    ("kvm_msr", "write=0 ecx=1b data=0xfee00900 exception=0", (0, 0x1B, 0xFEE00900)),
    ("kvm_msr", "write=1 ecx=830 data=0xfd exception=0", (1, 0x830, 0xFD)),
    ("kvm_apic", "apic_write APIC_ICR = 0x1000000fd", (1, 0x300, 0x1000000FD)),
    ("kvm_apic", "apic_read 0x3f = 0x1", (0, 0x3F, 1)),
    ("kvm_apic", "apic_read APIC_UNHEARD_OF = 0x1", (0, 0, 1)),
    ("kvm_msr", "msr_write 80b = 0x0", (1, 0x80B, 0)),
    ("kvm_msr", "msr_read c0000080 = 0xd01 (#GP)", (0, 0xC0000080, 0xD01)),
    ("kvm_mmio", "mmio write len 4 gpa 0xfee00300 val 0x40", (2, 0xFEE00300, 0x40)),
    ("kvm_mmio", "mmio unsatisfied-read len 4 gpa 0xfebf7000 val 0x0", (0, 0xFEBF7000, 0)),
    ("kvm_vcpu_wakeup", "wait time 6188965 ns, polling valid", (6188965, 1, 1)),
    ("kvm_vcpu_wakeup", "poll time 900 ns, polling invalid", (900, 0, 0)),
    ("kvm_vcpu_wakeup", "poll time 900 ns", (900, 0, -1)),
    ("kvm_hypercall", "nr 0x5 a0 0x0 a1 0x1 a2 0x0 a3 0xff", (5, 0)),
    ("kvm_halt_poll_ns", "vcpu 2: halt_poll_ns 10000 (grow 0)", (2, 10000, 0)),
    (
        "sched_switch",
        "prev_comm=CPU 0/KVM prev_pid=9 prev_prio=120 prev_state=R+ ==> next_comm=swapper/1 next_pid=0 next_prio=120",
        (9, 0, 0),
    ),
    ("sched_switch", "CPU 0/KVM:9 [120] S ==> kworker/1:0:22 [120]", (9, 1, 22)),
    ("sched_switch", "a:9 [120] Z ==> b:7 [120]", (9, 0x10, 7)),
    ("sched_switch", "prev_comm=a prev_pid=9 prev_prio=1 prev_state=0 next_comm=b next_pid=22 next_prio=1", (9, 0, 22)),
    ("sched_waking", "comm=CPU 1/KVM pid=30645 prio=120 target_cpu=001", (30645,)),
    ("sched_wakeup", "kworker/1:0:22 [120] CPU:001", (22,)),
    ("local_timer_entry", "vector=236", (236,)),
    ("irq_handler_entry", "irq=36 name=virtio1-req.0", (36,)),
    ("softirq_entry", "vec=7 [action=SCHED]", (7,)),
    ("softirq_exit", "vec=7 [action=SCHED]", (7,)),
)  # fmt: skip


@pytest.mark.parametrize(("name", "body", "values"), BODIES)
def test_every_form_gives_the_fields_of_the_binary_format(name: str, body: str, values: tuple[int, ...]) -> None:
    kind = SYSTEM_OF[name]
    assert text_plan(kind, TRACEPOINTS[kind][0]).values(7, body) == (7, *values)


def test_every_tracepoint_with_fields_is_among_those_forms() -> None:
    fields = {kind for kind, (_, names) in TRACEPOINTS.items() if names and not kind.startswith("irq_vectors:")}
    assert fields <= {SYSTEM_OF[name] for name, _, _ in BODIES} | {"kvm:kvm_pv_eoi"}
    assert set(FORMS) <= set(TRACEPOINTS) and all(use > Use.NAME_ONLY for use, _ in TRACEPOINTS.values())


def test_exits_have_their_numbers_whoever_names_them() -> None:
    for names, isa in ((VMX_NAMES, 1), (SVM_NAMES, 2)):
        for code, name in names.items():
            assert REASONS[name] == (code, isa)
    assert reason("EXIT_EXCP_UD") == 0x46 and reason("EXIT_NPF") == 0x400 and reason("EXIT_INTR") == 0x60
    assert PLUGIN_VMX["PENDING_INTERRUPT"] == 7 and reason("0x57") == 0x57 and reason("nonsense") == -1


def test_another_text_than_any_form_is_counted_and_told(tmp_path: Path) -> None:
    lines = b" a-7 [000] 1.000000: kvm_entry: vcpu 0\n a-7 [000] 1.000001: kvm_exit: reason too new to tell\n"
    reader, rows = read_linux_bytes(tmp_path, lines)
    assert reader.kinds == {"kvm:kvm_entry": 1, "kvm:kvm_exit": 1} and len(rows) == 1
    assert reader.unread() == {"kvm:kvm_exit (in another form)": 1}


HEADS = (
    (" CPU 0/KVM-29764   [001] d..2. 7688.090494629: ", 29764, 1),
    (" CPU 0/KVM-29764   [001] d..2 7688.090494629: ", 29764, 1),
    (" CPU 0/KVM-29764   (  29760) [001] d..2. 7688.090494629: ", 29764, 1),
    (" qemu-system-x86-533825 [000] 7688.090494: ", 533825, 0),
    ("kworker/5:2-eve-12 [005]  7688.090494629: ", 12, 5),
    ("           <...>-31679 [000]8136632780877: ", 31679, 0),
    ("          <idle>-0     [012]    60.027060: ", 0, 12),
    ("          <idle>-0     [012]    60.027060: (+361)   ", 0, 12),
    ("  <idle>-0       3dNh1.     60.027060: ", 0, 3),
    (" CPU 0/KVM-77    12.....     60.027060: ", 77, 12),
    (" a [1] b-77 [003]    60.027060: ", 77, 3),
)  # fmt: skip


@pytest.mark.parametrize(("head", "tid", "cpu"), HEADS)
def test_a_line_is_anchored_at_its_cpu_whatever_the_threads_name_is(
    tmp_path: Path, head: str, tid: int, cpu: int
) -> None:  # fmt: skip
    reader, rows = read_linux_bytes(tmp_path, (head + "kvm_entry: vcpu 4, rip 0x1\n").encode())
    assert [(v.tid, v.number) for v in reader.vcpus] == [(tid, 4)] and rows[0][2] == cpu and not reader.unread()
    assert reader.kinds == {"kvm:kvm_entry": 1}
    if "(  29760)" in head:
        assert reader.vcpus[0].vm == "vm29760"


PERF_HEADS = (
    ("CPU 0/KVM 30643 [001]  3056.745171553:       kvm:kvm_entry: ", 30643),
    ("qemu-system-x86   100/131 [000]    34.331948: kvm:kvm_entry: ", 131),
    ("a   131 [000]    34.331948:          1 kvm:kvm_entry: ", 131),
    ("a   131 [000] d..1.   34.331948: kvm:kvm_entry: ", 131),
)


@pytest.mark.parametrize(("head", "tid"), PERF_HEADS)
def test_lines_of_perf_script_have_thread_and_system(tmp_path: Path, head: str, tid: int) -> None:
    reader, _ = read_linux_bytes(tmp_path, (head + "vcpu 4, rip 0x1\n").encode())
    assert reader.format == "perf script" and [v.tid for v in reader.vcpus] == [tid] and not reader.unread()
    assert reader.kinds == {"kvm:kvm_entry": 1}
    assert reader.vcpus[0].vm == ("vm100" if "/131" in head else "vm1")


def test_a_clock_of_whole_numbers_is_a_tick_clock_whose_frequency_must_be_given(tmp_path: Path) -> None:
    lines = b"# tracer: nop\n a-7 [000] d..1. 1000: kvm_entry: vcpu 0\n a-7 [000] d..1. 3000: kvm_exit: x\n"
    reader, _ = read_linux_bytes(tmp_path, lines)
    assert (reader.clock_hz, reader.clock_origin) == (2_400_000_000, "assumed")
    reader, _ = read_linux_bytes(tmp_path, lines, 10**9)
    assert reader.duration_ps == 2_000_000 and reader.clock_origin == "given"


def test_dropped_events_are_counted_and_nothing_is_timed_across_them(tmp_path: Path) -> None:
    lines = (
        " a-7 [000] 1.000000: kvm_exit: reason HLT rip 0x1 info 0 0\nCPU:0 [617 EVENTS DROPPED]\n"
        " a-7 [000] 2.000000: kvm_entry: vcpu 0\nCPU:0 [EVENTS DROPPED]\nCPU:1 [LOST 3 EVENTS]\n"
    )
    reader, rows = read_linux_bytes(tmp_path, lines.encode())
    assert (reader.lost_events, reader.lost_intervals) == (620, 3)
    assert [row[1] for row in rows] == [Kind.VM_EXIT, LOST, Kind.VM_ENTRY] and rows[1][4:] == (617, 10**12)


def test_overwritten_events_are_told_by_the_kernels_header(tmp_path: Path) -> None:
    lines = (
        b"# tracer: nop\n# entries-in-buffer/entries-written: 10/25   #P:2\n a-7 [000] ..... 1.0: kvm_entry: vcpu 0\n"
    )
    reader, _ = read_linux_bytes(tmp_path, lines)
    assert reader.notes == ["the text says that 15 events were overwritten before they were read"]
    assert reader.pcpus == 2, "#P is the number of pCPUs, whatever lines there are"


def test_what_is_no_event_is_counted_as_lines(tmp_path: Path) -> None:
    """What a trace marker wrote may have several lines; call chains of perf belong to the event before them."""
    reader, _ = read_linux_bytes(tmp_path, b" a-7 [000] 1.0: print: tracing_mark_write: one\ntwo\n\n# three\n")
    assert reader.unread() == {"lines": 1} and reader.kinds == {"ftrace:print": 1}
    chain = b"a 7 [000] 1.000000: kvm:kvm_entry: vcpu 0\n        ffffffff81000000 f+0x1 ([kernel.kallsyms])\n\n"
    assert not read_linux_bytes(tmp_path, chain)[0].unread()
    other = (
        b"kthreadd     2 [000]     0.000000: PERF_RECORD_COMM: kthreadd:2/2\n"
        b"swapper     0 [000]     0.000000: PERF_RECORD_MMAP -1/0: [0xffffffffc0213000(0x5000) @ 0]: x /lib/modules/a\n"
    )
    reader, _ = read_linux_bytes(tmp_path, other + chain)
    assert reader.kinds == {"kvm:kvm_entry": 1} and not reader.unread(), "what perf shows of tasks is no event"


def test_time_that_goes_backwards_is_held_and_told(tmp_path: Path) -> None:
    lines = b" a-7 [000] 2.0: kvm_entry: vcpu 0\n a-7 [000] 1.0: kvm_entry: vcpu 0\n"
    reader, rows = read_linux_bytes(tmp_path, lines)
    assert [row[0] for row in rows] == [0, 0] and "went backwards" in reader.notes[0]


@given(st.binary(max_size=40), st.integers(0, 20))
def test_a_lines_end_is_the_next_newline(data: bytes, at: int) -> None:
    """Whatever stands among the eight characters that are looked at together."""
    data = data.replace(b"\x0b", b"\n")
    at = min(at, len(data))
    found = data.find(b"\n", at)
    assert line_end(data, at, len(data)) == (found if found >= 0 else len(data))


def test_lines_across_the_ends_of_what_is_read_at_once_are_whole(tmp_path: Path) -> None:
    """One line in a hundred is longer than any that is read whole, and one than all that is read at once."""
    line, most = b" a-7 [000] 1.000000: kvm_entry: vcpu 0\n", b"a-7 [000] 1.000000: kvm_fpu: " + b"x" * 20_000 + b"\n"
    reader, rows = read_linux_bytes(tmp_path, (line * 99 + most) * 40 + most[:-1] * 20 + b"\n" + line[:-1])
    assert reader.kinds == {"kvm:kvm_entry": 99 * 40 + 1, "kvm:kvm_fpu": 41} and len(rows) == 99 * 40 + 1
    assert not reader.unread()


def test_text_without_an_event_is_refused(tmp_path: Path) -> None:
    with pytest.raises(TraceError, match="holds no event in any line"):
        read_linux_bytes(tmp_path, b"# tracer: nop\n#\n")


def test_text_is_told_by_content_wherever_its_first_event_stands(tmp_path: Path) -> None:
    text = unpacked("kvm-linux-2cpu-part.report.txt")
    reader, rows = read_linux_bytes(tmp_path, text[:200_000])
    assert reader.format == "trace-cmd report" and len(rows) > 500
