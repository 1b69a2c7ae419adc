"""Each exit of a recording is of the class that its own details say."""

import pytest

from exitless.study.trace_totals import Row
from exitless.study.whatif import Prediction
from exitless.study.whatif_record import Classes
from exitless.study.whatif_seen import Seen
from exitless.study.whatif_words import Class
from exitless.vocab.exits import VMX_NAMES
from exitless.vocab.kinds import Kind

NAMES = {**VMX_NAMES, 0x464: "vintr"}
MSR_WRITTEN = 2**32
WRITTEN = 4096
EXTERNAL, WINDOW, HLT, VMCALL, CR, MSR_READ, MSR_WRITE, APIC_ACCESS, APIC_WRITE = 1, 7, 12, 18, 28, 31, 32, 44, 56
TIMER = 0x80000000


def seen_from(*events: tuple[int, ...], hypervisor: str = "kvm") -> Seen:
    """Judge events of two vCPUs, (kind, vcpu, a, b), a microsecond apart."""
    seen = Seen("trace", hypervisor, "vmx")
    classes = Classes(seen, lambda code: NAMES.get(code, hex(code)), lambda n: ("vm", n))
    rows: list[Row] = [(n * 1_000_000, kind, 0, vcpu, a, b) for n, (kind, vcpu, a, b) in enumerate(events)]
    classes.rows(rows)
    classes.finish()
    return seen


def around(code: int, detail: int, *between: tuple[int, ...]) -> list[tuple[int, ...]]:
    """Put an exit and an entry around what happens between them."""
    return [(Kind.VM_ENTRY, 0, -1, -1), (Kind.VM_EXIT, 0, code, detail), *between, (Kind.VM_ENTRY, 0, -1, -1)]


def msr(number: int, value: int = 0) -> tuple[int, ...]:
    return (Kind.MSR_ACCESS, 0, number + MSR_WRITTEN, value)


def apic(offset: int, value: int = 0) -> tuple[int, ...]:
    return (Kind.APIC_ACCESS, 0, offset + WRITTEN, value)


CASES = (
    ("MSR 80BH is the end of an interrupt", MSR_WRITE, -1, [msr(0x80B)], Class.EOI),
    ("MSR 6E0H is TSC_DEADLINE", MSR_WRITE, -1, [msr(0x6E0, 99)], Class.DEADLINE),
    ("MSR 808H is TPR", MSR_WRITE, -1, [msr(0x808)], Class.TPR),
    ("a fixed IPI by ICR", MSR_WRITE, -1, [msr(0x830, 0x1_0000_00FB)], Class.IPI),
    ("NMI by ICR", MSR_WRITE, -1, [msr(0x830, 0x1_0000_0400)], Class.IPI_ODD),
    ("all but self", MSR_WRITE, -1, [msr(0x830, 0xC00FB)], Class.IPI_MANY),
    ("self by shorthand", MSR_WRITE, -1, [msr(0x830, 0x400FB)], Class.IPI_SELF),
    ("self by its own register", MSR_WRITE, -1, [msr(0x83F, 0xFB)], Class.IPI_SELF),
    ("two members of a cluster", MSR_WRITE, -1, [msr(0x830, 0x3_0000_08FB)], Class.IPI_MANY),
    ("one member of a cluster", MSR_WRITE, -1, [msr(0x830, 0x2_0000_08FB)], Class.IPI),
    ("Hyper-V's ICR", MSR_WRITE, -1, [msr(0x40000071, 0xFB)], Class.IPI_HYPERV),
    ("another MSR", MSR_WRITE, -1, [msr(0xC0000080)], Class.KEPT),
    ("initial count", APIC_ACCESS, 0x1380, [apic(0x380)], Class.TIMER_ARM),
    ("upper half of ICR", APIC_ACCESS, 0x1310, [apic(0x310, 1 << 24)], Class.ICR_HIGH),
    ("by the qualification alone: a read of the current count", APIC_ACCESS, 0x390, [], Class.TIMER_READ),
    ("by the qualification alone: a write of EOI", APIC_ACCESS, 0x10B0, [], Class.EOI),
    ("by the qualification alone: an APIC write of ICR", APIC_WRITE, 0x300, [], Class.IPI),
    ("neither access nor qualification, but an EOI", MSR_WRITE, -1, [(Kind.IRQ_EOI, 0, 0x40, 1)], Class.EOI),
    ("neither access nor qualification, but an IPI", MSR_WRITE, -1, [(Kind.GUEST_IPI, 0, 0xFB, 1)], Class.IPI),
    ("CR8 in the qualification", CR, 8, [], Class.CR8),
    ("CR3 in the qualification", CR, 3, [], Class.KEPT),
    ("KVM's reschedule vector, with nothing for the guest", EXTERNAL, 0xFD, [], Class.KICK),
    ("the host's timer", EXTERNAL, 0xEC, [], Class.HOST),
    ("a device, for this guest", EXTERNAL, 0x31, [(Kind.IRQ_REQUEST, 0, 0x41, -1)], Class.DEVICE_GUEST),
    ("a timer, for this guest", EXTERNAL, 0xEC, [(Kind.IRQ_REQUEST, 0, 0xEF, -1)], Class.TIMER_GUEST),
    ("no vector told", EXTERNAL, -1, [], Class.HOST_UNTOLD),
    ("KVM's hypercall for IPIs", VMCALL, -1, [(Kind.HYPERCALL, 0, 10, 0)], Class.MANY_CALL),
    ("HLT", HLT, -1, [], Class.KEPT),
)  # fmt: skip


@pytest.mark.parametrize(("says", "code", "detail", "between", "cls"), CASES)
def test_an_exit_is_of_the_class_that_its_details_say(
    says: str, code: int, detail: int, between: list[tuple[int, ...]], cls: str
) -> None:
    seen = seen_from(*around(code, detail, *between))
    assert [key for key, cell in seen.cells.items() if cell.count] == [(VMX_NAMES[code], cls)], says


def test_an_eoi_is_busy_while_another_vector_waits_and_level_where_the_pin_is() -> None:
    take = [
        (Kind.VM_EXIT, 0, WINDOW, -1), (Kind.IRQ_REQUEST, 0, 0x40, -1), (Kind.IRQ_INJECT, 0, 0x40, -1),
        (Kind.VM_ENTRY, 0, -1, -1), (Kind.VM_EXIT, 0, MSR_WRITE, -1), msr(0x80B), (Kind.IRQ_EOI, 0, 0x40, 1),
        (Kind.VM_ENTRY, 0, -1, -1),
    ]  # fmt: skip
    waiting = (Kind.IRQ_REQUEST, 0, 0x30, -1)
    assert ("MSR_WRITE", Class.EOI) in seen_from(*take).cells
    assert ("MSR_WRITE", Class.EOI_BUSY) in seen_from(waiting, *take).cells
    assert ("MSR_WRITE", Class.EOI_LEVEL) in seen_from((Kind.IOAPIC_SET, -1, 0x40, 5 + 1024), *take).cells


def test_an_ipi_to_a_halted_vcpu_is_told_from_one_to_a_running_one() -> None:
    send = around(MSR_WRITE, -1, msr(0x830, 0x1_0000_00FB))
    halted = (Kind.VM_EXIT, 1, HLT, -1)
    assert ("MSR_WRITE", Class.IPI_ASLEEP) in seen_from(halted, *send).cells
    assert ("MSR_WRITE", Class.IPI) in seen_from(halted, (Kind.VM_ENTRY, 1, -1, -1), *send).cells


def test_a_run_of_ipis_of_one_vector_is_one_and_the_rest() -> None:
    sends = [step for to in range(1, 5) for step in around(MSR_WRITE, -1, msr(0x830, (to << 32) + 0xFB))]
    cells = {cls: cell.count for (_, cls), cell in seen_from(*sends).cells.items()}
    assert cells == {Class.IPI: 1, Class.IPI_REST: 3}


def test_xens_windows_are_told_by_their_source() -> None:
    def window(source: int) -> list[tuple[int, ...]]:
        return [(Kind.IRQ_WINDOW, 0, 0xF3, source), *around(WINDOW, -1)]

    assert ("INTERRUPT_WINDOW", Class.WINDOW_UPCALL) in seen_from(*window(5), hypervisor="xen").cells
    assert ("INTERRUPT_WINDOW", Class.WINDOW) in seen_from(*window(2), hypervisor="xen").cells
    assert ("INTERRUPT_WINDOW", Class.WINDOW_EXTERNAL) in seen_from(*window(1), hypervisor="xen").cells


def test_mechanisms_at_work_are_seen_and_what_comes_back_is_counted() -> None:
    posted = [(Kind.VM_ENTRY, 0, -1, -1), (Kind.IRQ_REQUEST, 0, 0x40, -1), (Kind.PID_POST, 0, 0x40, -1)]
    seen = seen_from(*posted * 10, *around(APIC_WRITE, 0x300))
    assert {"apicv", "posted"} <= set(seen.on)
    rows = {row["reason"]: row["after"] for row in Prediction(seen, [], ["apicv"]).rows()}
    assert rows["EXTERNAL_INTERRUPT"] == 10, "each was posted to a running vCPU, and would have been a kick"
    assert rows["APIC_WRITE"] == 0
    assert rows["APIC_ACCESS"] == 10 + 2, "ten EOIs, and ICR by two writes"


def test_eois_left_in_memory_come_back_without_pv_eoi() -> None:
    spared = [(Kind.IRQ_EOI, 0, 0x40, 1), (Kind.EOI_SPARED, 0, 0x40, 0)]
    seen = seen_from(*spared * 7, *around(MSR_WRITE, -1, msr(0x6E0)), *around(MSR_WRITE, -1, msr(0x80B)))
    total = Prediction(seen, [], ["pv-eoi"]).as_json("x")["total"]
    assert (total["before"], total["after"]) == (2, 9)


def test_an_exit_between_an_injection_and_its_end_takes_pv_eoi_s_mark_back() -> None:
    """KVM sets the mark when it injects and clears it at the next exit, so that an end after another exit exits too."""
    inject = [(Kind.IRQ_REQUEST, 0, 0x40, 0), (Kind.IRQ_INJECT, 0, 0x40, 0)]
    end = [(Kind.VM_EXIT, 0, MSR_WRITE, -1), msr(0x80B), (Kind.IRQ_EOI, 0, 0x40, 1), (Kind.VM_ENTRY, 0, -1, -1)]
    other = [(Kind.VM_EXIT, 0, HLT, -1), (Kind.VM_ENTRY, 0, -1, -1)]
    start = [(Kind.VM_ENTRY, 0, -1, -1), (Kind.VM_EXIT, 0, EXTERNAL, -1), *inject, (Kind.VM_ENTRY, 0, -1, -1)]
    assert ("MSR_WRITE", Class.EOI) in seen_from(*start, *end).cells
    assert ("MSR_WRITE", Class.EOI_BUSY) in seen_from(*start, *other, *end).cells


def test_without_injections_recorded_what_an_eoi_met_is_open() -> None:
    seen = seen_from(*around(MSR_WRITE, -1, msr(0x80B)))
    total = Prediction(seen, ["pv-eoi"], []).as_json("x")["total"]
    assert (total["low"], total["high"]) == (0, 2), "one exit, a quarter more at most"
