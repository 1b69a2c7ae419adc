"""Seven more cases: self-IPIs, task priority, odd accesses, blocked external interrupts, HLT, the interrupt window.

The name of a test begins with its case; each case is tested whole.
"""

import pytest

from exitless.arch.outcome import Access
from exitless.arch.vmx.access import page_read, page_write, write_emulation
from exitless.arch.vmx.controls import Activity
from exitless.arch.vmx.virtual_apic import Reg
from exitless.arch.x86.lapic import accept
from exitless.bits.words import ON_PAGE, PACKED, bits_of, set_bit
from exitless.mech.oracle import Oracle, Step
from exitless.vocab.exits import Exit
from tests.naive import both

NOTIFICATION = 0xF2


def oracle(words: str, flag: int = 1) -> Oracle:
    """Return a processor with the TPR shadow and these controls, not yet entered; a minus takes one away."""
    o = Oracle()
    for word in ("use_tpr_shadow", *words.split()):
        name = word.lstrip("-")
        assert hasattr(o.controls, name)
        setattr(o.controls, name, int(not word.startswith("-")))
    o.controls.notification_vector = NOTIFICATION
    o.state.interrupt_flag = flag
    return o


def requested(o: Oracle) -> list[int]:
    return bits_of(o.vapic.page, Reg.VIRR, ON_PAGE, 8)


# What is written to 300H, and whether it stays in the guest as a self-IPI.
SELF_IPIS = [
    (0x0004000F, False),  # vector below 16
    (0x00040010, True),
    (0x00044810, True),  # level and destination mode do not matter
    (0x00041010, False),  # bit 12
]


@pytest.mark.parametrize("register_virtualization", [0, 1])
@pytest.mark.parametrize(("value", "stays"), SELF_IPIS)
def test_t16_which_icr_values_are_self_ipis(value: int, stays: bool, register_virtualization: int) -> None:
    """Exit 56 with qualification 300H, or VIRR[10H] and no exit; what was written stands on the page either way."""
    o = oracle("virtualize_apic_accesses virtual_interrupt_delivery", flag=0)
    o.controls.apic_register_virtualization = register_virtualization
    o.enter()
    answer = o.write(0x300, 4, value)
    assert o.vapic.page[Reg.VICR_LO] == value
    if stays:
        assert (answer, requested(o), o.vapic.rvi, o.vapic.recognized) == (Step.GOES_ON, [0x10], 0x10, 1)
    else:
        assert (answer, o.out.reason, o.out.qualification) == (Step.EXIT, Exit.APIC_WRITE, 0x300)
        assert (requested(o), o.vapic.rvi) == ([], 0)


def test_t16_the_self_ipi_msr() -> None:
    """WRMSR 83FH: vector 0FH is stored at 3F0H and exits with that qualification; 10H is a self-IPI."""
    o = oracle("virtualize_x2apic_mode virtual_interrupt_delivery", flag=0)
    o.enter()
    assert o.wrmsr(0x3F, 0x0F) == Step.EXIT
    assert (o.out.reason, o.out.qualification, o.vapic.page[Reg.SELF_IPI]) == (Exit.APIC_WRITE, 0x3F0, 0x0F)
    assert requested(o) == []
    o.enter()
    assert (o.wrmsr(0x3F, 0x10), requested(o), o.vapic.rvi) == (Step.GOES_ON, [0x10], 0x10)


@pytest.mark.parametrize("delivery", [0, 1])
def test_t17_cr8_clears_the_low_nibble_and_the_page_keeps_it(delivery: int) -> None:
    """MOV to CR8 of 5 makes VTPR 50H, bytes 3:1 cleared; 5FH written by the page stays 5FH."""
    o = oracle("virtualize_apic_accesses")
    o.controls.virtual_interrupt_delivery = delivery
    o.vapic.page[Reg.VTPR] = 0x112233FF
    o.enter()
    assert (o.write_cr8(5), o.vapic.page[Reg.VTPR]) == (Step.GOES_ON, 0x50)
    assert (o.read_cr8(), o.operation.low) == (Step.GOES_ON, 5)
    for written in (0x5F, 0xAABBCC5F):
        assert (o.write(0x080, 4, written), o.vapic.page[Reg.VTPR]) == (Step.GOES_ON, 0x5F)
    if delivery:
        assert o.vapic.page[Reg.VPPR] == 0x5F


@pytest.mark.parametrize("register_virtualization", [0, 1])
def test_t18_wide_and_straddling_accesses_exit(register_virtualization: int) -> None:
    """A push of eight bytes and two bytes at 83H: exit 44, nothing written; the type is that of the access."""
    o = oracle("virtualize_apic_accesses")
    o.controls.apic_register_virtualization = register_virtualization
    o.vapic.page[Reg.VTPR] = 0x20
    for access, qualification in (
        (lambda: o.write(0x080, 8, 0x11, 0x22), 0x1080),
        (lambda: o.read(0x080, 8), 0x0080),
        (lambda: o.read(0x083, 2), 0x0083),
        (lambda: o.write(0x083, 2, 0x55AA), 0x1083),
    ):
        o.enter()
        assert (access(), o.out.reason, o.out.qualification) == (Step.EXIT, Exit.APIC_ACCESS, qualification)
        assert o.vapic.page[Reg.VTPR] == 0x20


def test_t18_an_exchange_reads_and_writes_and_is_virtualized_once() -> None:
    """XCHG with [80H]: the old value comes back, the new one stands, and TPR virtualization happens once."""
    o = oracle("virtualize_apic_accesses virtual_interrupt_delivery")
    vapic, op = o.vapic, both.operation()
    vapic.page[Reg.VTPR], vapic.rvi = 0x60, 0x51
    assert page_read(vapic, o.controls, op, 0x080, 4) == Access.VIRTUALIZED
    assert op.low == 0x60
    op.low = 0x33
    assert page_write(vapic, o.controls, op, 0x080, 4) == Access.VIRTUALIZED
    assert (vapic.page[Reg.VPPR], vapic.recognized) == (0, 0), "nothing yet: the operation has not completed"
    assert write_emulation(vapic, o.controls, op) == Exit.NONE
    assert (vapic.page[Reg.VTPR], vapic.page[Reg.VPPR], vapic.recognized) == (0x33, 0x33, 1)
    vapic.recognized = 0
    assert write_emulation(vapic, o.controls, op) == Exit.NONE
    assert vapic.recognized == 0, "it is not done again"


def test_t18_each_iteration_of_a_string_instruction_is_an_operation_of_its_own() -> None:
    """Two iterations write two registers, both are virtualized and both are emulated; in one operation the second
    would exit."""
    o = oracle("virtualize_apic_accesses apic_register_virtualization virtual_interrupt_delivery")
    o.vapic.svi = 0x41
    set_bit(o.vapic.page, Reg.VISR, ON_PAGE, 0x41)
    o.enter()
    assert (o.write(0x080, 4, 0x70), o.write(0x0B0, 4, 0)) == (Step.GOES_ON, Step.GOES_ON)
    assert (o.vapic.page[Reg.VPPR], o.vapic.svi) == (0x70, 0)
    for size in (1, 2, 4):  # and a read in the next iteration is not one after a write of the same operation
        assert (o.write(0x080, size, 0x30), o.read(0x080, size)) == (Step.GOES_ON, Step.GOES_ON)
        assert o.operation.low == 0x30


def test_t19_two_writes_of_one_operation_to_the_same_bytes() -> None:
    """Same offset and size: both are virtualized, and one emulation follows with what was written last."""
    o = oracle("virtualize_apic_accesses virtual_interrupt_delivery apic_register_virtualization")
    vapic, op = o.vapic, both.operation()
    vapic.svi = 0x41
    set_bit(vapic.page, Reg.VISR, ON_PAGE, 0x31)
    set_bit(vapic.page, Reg.VISR, ON_PAGE, 0x41)
    for _ in range(2):
        op.low = 0
        assert page_write(vapic, o.controls, op, 0x0B0, 4) == Access.VIRTUALIZED
    assert write_emulation(vapic, o.controls, op) == Exit.NONE
    assert write_emulation(vapic, o.controls, op) == Exit.NONE
    assert vapic.svi == 0x31, "one EOI, not two"


@pytest.mark.parametrize(("offset", "size"), [(0x081, 1), (0x080, 1), (0x080, 2), (0x310, 4), (0x0B0, 4)])
def test_t19_a_second_write_elsewhere_exits_and_the_first_is_never_emulated(offset: int, size: int) -> None:
    """Exit 44 on the second; the first one's data stays on the page as it was written, bytes 3:1 too, and VPPR is not
    computed from it, not even after the next entry."""
    o = oracle("virtualize_apic_accesses apic_register_virtualization", flag=0)
    o.controls.tpr_threshold = 0
    o.enter()
    o.controls.tpr_threshold = 9  # an emulated write would exit with reason 43
    op = o.operation
    op.emulate, op.low = -1, 0x44332255
    assert page_write(o.vapic, o.controls, op, 0x080, 4) == Access.VIRTUALIZED
    assert page_write(o.vapic, o.controls, op, offset, size) == Exit.APIC_ACCESS
    assert op.qualification == 0x1000 | offset
    assert (o.leave(Exit.APIC_ACCESS), o.out.qualification) == (Step.EXIT, 0x1000 | offset)
    o.controls.tpr_threshold = 0
    assert (o.enter(), o.boundary(), o.nop(), o.boundary()) == (Step.GOES_ON,) * 4
    assert o.vapic.page[Reg.VTPR] == 0x44332255
    assert (o.vapic.page[Reg.VICR_HI], o.vapic.page[Reg.VEOI]) == (0, 0)
    assert o.write(0x320, 4, 1) == Step.EXIT
    assert (o.out.reason, o.out.qualification) == (Exit.APIC_WRITE, 0x320), "the next operation owes only its own"
    assert o.vapic.page[Reg.VTPR] == 0x44332255


def test_t20_an_external_interrupt_exits_whatever_if_says() -> None:
    """IF=0 and external-interrupt exiting: exit 1; without it the interrupt stays pending until IF is 1."""
    o = oracle("", flag=0)
    accept(o.lapic, 0x58, 0)
    assert (o.enter(), o.boundary(), o.out.reason, o.out.vector) == (Step.GOES_ON, Step.EXIT, 1, 0x58)
    o = oracle("-ext_int_exiting", flag=0)
    accept(o.lapic, 0x58, 0)
    assert (o.enter(), o.boundary(), o.nop(), o.boundary()) == (Step.GOES_ON,) * 4
    assert both.packed(o.lapic.irr) == 1 << 0x58
    assert (o.load_flag(1), o.boundary(), o.vector) == (Step.GOES_ON, Step.INTERRUPT, 0x58)


@pytest.mark.parametrize("delays", [0, 1])
@pytest.mark.parametrize("blocking", ["mov_ss", "sti"])
def test_t20_blocking_delays_an_exit_by_choice_only(delays: int, blocking: str) -> None:
    """25.2 leaves it open: with the switch the exit waits one instruction, without it, it does not."""
    o = oracle("")
    o.controls.choices.vmx_blocking_delays_external = delays
    o.enter()
    if blocking == "sti":
        o.load_flag(0)
        o.sti()
    else:
        o.mov_ss()
    accept(o.lapic, 0x58, 0)
    if delays:
        assert (o.boundary(), o.nop()) == (Step.GOES_ON, Step.GOES_ON)
    assert (o.boundary(), o.out.reason) == (Step.EXIT, Exit.EXTERNAL_INTERRUPT)
    o = oracle("-ext_int_exiting")
    o.enter()
    o.mov_ss()
    accept(o.lapic, 0x58, 0)
    assert o.boundary() == Step.GOES_ON, "through the guest's IDT it always waits"
    assert (o.nop(), o.boundary()) == (Step.GOES_ON, Step.INTERRUPT)


@pytest.mark.parametrize("activity", [Activity.SHUTDOWN, Activity.WAIT_FOR_SIPI])
@pytest.mark.parametrize("exiting", ["", "-ext_int_exiting"])
def test_t20_shut_down_it_stays_pending_with_either_control(activity: int, exiting: str) -> None:
    """In shutdown, and while the processor waits for SIPI, external interrupts are not looked at."""
    o = oracle(exiting)
    o.state.activity = activity
    accept(o.lapic, 0x58, 0)
    assert (o.enter(), o.boundary()) == (Step.GOES_ON, Step.HALTED)
    assert (both.packed(o.lapic.irr), both.packed(o.lapic.isr)) == (1 << 0x58, 0)


@pytest.mark.parametrize(("activity", "flag", "after"), [
    (Activity.HLT, 0, Step.HALTED), (Activity.HLT, 1, Step.INTERRUPT),
    (Activity.MWAIT, 0, Step.GOES_ON), (Activity.MWAIT, 1, Step.INTERRUPT),
])  # fmt: skip
def test_t21_what_posting_does_to_a_sleeper(activity: int, flag: int, after: int) -> None:
    """HLT: processed, and halted again unless IF lets the vector in. MWAIT: active after the processing in any case."""
    o = oracle("virtual_interrupt_delivery process_posted_interrupts", flag=flag)
    o.enter()
    o.state.activity = activity
    set_bit(o.pid.pir, 0, PACKED, 0x41)
    o.pid.on = 1
    accept(o.lapic, NOTIFICATION, 0)
    assert o.boundary() == Step.POSTED
    assert (o.pid.on, both.packed(o.pid.pir), o.vapic.rvi, o.vapic.recognized) == (0, 0, 0x41, 1)
    assert o.state.activity == (Activity.HLT if activity == Activity.HLT else Activity.ACTIVE)
    assert o.boundary() == after
    if flag:
        assert (o.vector, o.state.activity) == (0x41, Activity.ACTIVE)
    else:
        assert requested(o) == [0x41], "recognized, and not delivered"


def test_t22_the_window_exit_takes_the_place_of_delivery() -> None:
    """Interrupt-window exiting and RVI F1H: nothing while IF is 0, exit 7 when it is 1, no delivery at all."""
    for flag in (0, 1):
        o = oracle("virtual_interrupt_delivery", flag=flag)
        o.vapic.window_exiting, o.vapic.rvi = 1, 0xF1
        assert (o.enter(), o.vapic.recognized) == (Step.GOES_ON, 0)
        if not flag:
            assert (o.boundary(), o.load_flag(1)) == (Step.GOES_ON, Step.GOES_ON)
        assert (o.boundary(), o.out.reason, o.out.status) == (Step.EXIT, Exit.INTERRUPT_WINDOW, 0xF1)
        o.vapic.window_exiting = 0
        assert (o.enter(), o.boundary(), o.vector) == (Step.GOES_ON, Step.INTERRUPT, 0xF1)


def test_t22_posting_merges_and_recognizes_nothing() -> None:
    """PIR goes into VIRR and RVI rises, but nothing is recognized while the window is asked for."""
    o = oracle("virtual_interrupt_delivery process_posted_interrupts", flag=0)
    o.vapic.window_exiting = 1
    o.enter()
    set_bit(o.pid.pir, 0, PACKED, 0xF1)
    o.pid.on = 1
    accept(o.lapic, NOTIFICATION, 0)
    assert o.boundary() == Step.POSTED
    assert (requested(o), o.vapic.rvi, o.vapic.recognized, o.pid.on) == ([0xF1], 0xF1, 0, 0)
    assert (o.load_flag(1), o.boundary(), o.out.reason) == (Step.GOES_ON, Step.EXIT, Exit.INTERRUPT_WINDOW)
