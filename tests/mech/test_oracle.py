"""The oracle as its users see it: the paper's example, the manual's cases from T1 on, and what vectors do not reach."""

import re
from itertools import product
from pathlib import Path

import pytest

from exitless.arch.vmx.controls import Activity, Check
from exitless.arch.vmx.entry import GuestCheck
from exitless.arch.vmx.posted import PostedDescriptor
from exitless.arch.vmx.virtual_apic import Reg
from exitless.arch.x86.lapic import accept
from exitless.bits.words import ON_PAGE, PACKED, bits_of, set_bit
from exitless.mech.oracle import STEP_NAMES, Oracle, Step
from exitless.mech.plain_page import PlainPage, longer
from exitless.vocab.exits import Exit

PAPER = Path(__file__).parent.parent.parent / "docs" / "oracle.md"


def oracle(*names: str, flag: int = 1) -> Oracle:
    """Return an oracle with the TPR shadow, these controls, no HLT exiting, and IF."""
    found = Oracle()
    found.controls.hlt_exiting = 0
    found.controls.use_tpr_shadow = 1
    for name in names:
        assert hasattr(found.controls, name)
        setattr(found.controls, name, 1)
    found.state.interrupt_flag = flag
    return found


def with_delivery(*names: str, flag: int = 1) -> Oracle:
    """Return an oracle with virtual-interrupt delivery and virtualized accesses."""
    return oracle("virtual_interrupt_delivery", "virtualize_apic_accesses", *names, flag=flag)


def settle(o: Oracle) -> list[int]:
    """Ask for boundaries until the next instruction may execute, or the guest left; return what happened."""
    happened = []
    while (answer := o.boundary()) not in (Step.GOES_ON, Step.HALTED):
        happened.append(answer)
        if answer == Step.EXIT:
            break
    return happened


def test_the_examples_of_the_paper_run() -> None:
    text = PAPER.read_text(encoding="utf-8")
    examples = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    assert [example.count("assert") >= least for example, least in zip(examples, (7, 2), strict=True)] == [True, True]
    for example in examples:
        exec(compile(example, str(PAPER), "exec"), {})
    assert len(text.splitlines()) <= 75, "the paper is one screen and a half"
    named = set(re.findall(r"`(\w+)`", text.partition("**Do**")[2].partition("**Step**")[0]))
    assert all(callable(getattr(Oracle, name)) for name in named) and len(named) > 10


def test_every_step_has_a_name() -> None:
    assert set(STEP_NAMES) == {value for name, value in vars(Step).items() if name.isupper()}


@pytest.mark.parametrize("tpr", range(0, 256, 5))
def test_every_vector_at_entry(tpr: int) -> None:
    """Delivered if and only if its class is above VTPR's; otherwise RVI stays (kvm-unit-tests vmx_basic_vid_test)."""
    for vector in range(256):
        o = with_delivery()
        o.vapic.page[Reg.VTPR] = tpr
        o.vapic.rvi = vector
        assert o.enter() == Step.GOES_ON
        delivered = vector // 16 > tpr // 16
        assert settle(o) == ([Step.INTERRUPT] if delivered else [])
        assert (o.vapic.rvi, o.vapic.svi) == ((0, vector) if delivered else (vector, 0))
        assert o.state.interrupt_flag == (0 if delivered else 1)


@pytest.mark.parametrize("vector", range(256))
def test_every_vector_when_cr8_falls(vector: int) -> None:
    for cr8 in range(16):
        o = with_delivery()
        o.vapic.page[Reg.VTPR] = 0xF0
        o.vapic.rvi = vector
        o.enter()
        assert settle(o) == []
        assert o.write_cr8(cr8) == Step.GOES_ON
        assert settle(o) == ([Step.INTERRUPT] if vector // 16 > cr8 else [])


@pytest.mark.parametrize("vector", range(16, 256))
def test_the_life_of_every_vector(vector: int) -> None:
    """Self-IPI with IF=0, STI, delivery, EOI by the page and by MSR, with and without an EOI exit."""
    for exits, msr in product((0, 1), (0, 1)):
        mode = "virtualize_x2apic_mode" if msr else "virtualize_apic_accesses"
        o = oracle("virtual_interrupt_delivery", mode, flag=0)
        if exits:
            set_bit(o.vapic.eoi_exit, 0, PACKED, vector)
        o.enter()
        assert (o.wrmsr(0x3F, vector) if msr else o.write(0x300, 4, 0x40000 | vector)) == Step.GOES_ON
        assert settle(o) == [] and bits_of(o.vapic.page, Reg.VIRR, ON_PAGE, 8) == [vector]
        o.sti()
        assert settle(o) == [], "STI blocks one instruction"
        o.nop()
        assert settle(o) == [Step.INTERRUPT] and o.vector == vector
        assert bits_of(o.vapic.page, Reg.VISR, ON_PAGE, 8) == [vector]
        answer = o.wrmsr(0x0B, 0) if msr else o.write(0x0B0, 4, 0)
        assert answer == (Step.EXIT if exits else Step.GOES_ON)
        if exits:
            assert (o.out.reason, o.out.qualification) == (Exit.EOI_INDUCED, vector)
        assert bits_of(o.vapic.page, Reg.VISR, ON_PAGE, 8) == [] and o.vapic.svi == 0


@pytest.mark.parametrize("vector", range(16, 256))
def test_every_vector_as_a_notification(vector: int) -> None:
    """The notification vector is consumed without an exit and without a trace in the local APIC; any other exits."""
    for arriving in {vector, 0x51, 0xFF}:
        o = with_delivery("process_posted_interrupts", flag=0)
        o.controls.notification_vector = vector
        set_bit(o.pid.pir, 0, PACKED, 0x41)
        o.pid.on = 1
        o.enter()
        accept(o.lapic, arriving, 0)
        happened = settle(o)
        if arriving == vector:
            assert happened == [Step.POSTED] and o.in_guest
            assert (o.pid.on, o.vapic.rvi, o.vapic.recognized) == (0, 0x41, 1)
            assert not any(o.lapic.isr) and not any(o.lapic.irr)
        else:
            assert happened == [Step.EXIT] and (o.out.reason, o.out.vector) == (1, arriving)
            assert (o.pid.on, o.vapic.rvi) == (1, 0)


# ---- T7, T13, T15, T21 ----


def test_t7_posted_interrupt_processing_does_not_recompute_vppr() -> None:
    o = with_delivery("process_posted_interrupts")
    o.controls.notification_vector = 0xF2
    o.vapic.page[Reg.VTPR] = 0x90
    o.enter()
    o.vapic.page[Reg.VTPR] = 0x10
    set_bit(o.pid.pir, 0, PACKED, 0x51)
    accept(o.lapic, 0xF2, 0)
    assert settle(o) == [Step.POSTED]
    assert (o.vapic.rvi, o.vapic.recognized) == (0x51, 0)
    o.write(0x080, 4, 0x10)
    assert settle(o) == [Step.INTERRUPT]


def test_t13_virtual_first_then_physical_before_the_handlers_first_instruction() -> None:
    o = with_delivery()
    o.vapic.rvi = 0x41
    accept(o.lapic, 0x58, 0)
    o.enter()
    assert settle(o) == [Step.INTERRUPT, Step.EXIT]
    assert (o.out.vector, o.out.status, o.vector) == (0x58, 0x4100, 0x41)


def test_t15_a_notification_on_the_wrong_processor_consumes_the_wrong_descriptor() -> None:
    a, b = PostedDescriptor(), with_delivery("process_posted_interrupts")
    b.controls.notification_vector = 0xF2
    set_bit(a.pir, 0, PACKED, 0x41)
    a.on = b.pid.on = 1
    b.enter()
    accept(b.lapic, 0xF2, 0)
    assert settle(b) == [Step.POSTED]
    assert (a.on, b.pid.on, b.vapic.rvi) == (1, 0, 0)


@pytest.mark.parametrize(("activity", "after"), [(Activity.HLT, Step.HALTED), (Activity.MWAIT, Step.GOES_ON)])
def test_t21_what_posting_does_to_a_sleeper(activity: int, after: int) -> None:
    o = with_delivery("process_posted_interrupts", flag=0)
    o.controls.notification_vector = 0xF2
    set_bit(o.pid.pir, 0, PACKED, 0x41)
    o.enter()
    o.state.activity = activity
    accept(o.lapic, 0xF2, 0)
    assert o.boundary() == Step.POSTED
    assert (o.boundary(), o.vapic.recognized) == (after, 1)
    o.state.interrupt_flag = 1
    assert (o.boundary(), o.state.activity) == (Step.INTERRUPT, Activity.ACTIVE)


# ---- entry ----


def test_a_failed_entry_says_why() -> None:
    o = with_delivery("process_posted_interrupts")
    o.controls.notification_vector = 0x1F2
    assert o.enter() == Step.FAILED
    assert (o.error, o.failed_check, o.in_guest) == (7, Check.NOTIFICATION_VECTOR, 0)
    o.controls.notification_vector = 0xF2
    o.state.activity = 7
    assert o.enter() == Step.EXIT
    assert (o.out.reason, o.out.entry_failed, o.failed_check) == (Exit.INVALID_STATE, 1, GuestCheck.ACTIVITY)
    o.state.activity = Activity.ACTIVE
    assert (o.enter(), o.failed_check, o.in_guest) == (Step.GOES_ON, 0, 1)


def test_an_entry_that_injects_and_is_below_the_threshold() -> None:
    """Injected first, then the exit before the handler's first instruction; the threshold is judged once an entry."""
    o = oracle("virtualize_apic_accesses")
    o.controls.tpr_threshold, o.state.entry_vector = 4, 0x31
    assert (o.enter(), o.vector) == (Step.INTERRUPT, 0x31)
    assert (o.boundary(), o.out.reason) == (Step.EXIT, Exit.TPR_BELOW_THRESHOLD)
    o.controls.tpr_threshold = 0
    assert (o.enter(), o.boundary()) == (Step.GOES_ON, Step.GOES_ON)


def test_recognition_does_not_outlive_an_exit() -> None:
    o = with_delivery(flag=0)
    o.vapic.rvi = 0x51
    o.enter()
    assert o.vapic.recognized == 1
    o.vmcall()
    assert (o.vapic.recognized, o.out.status, o.out.reason) == (0, 0x51, Exit.VMCALL)
    o.vapic.rvi = 0
    o.enter()
    assert o.vapic.recognized == 0


def test_an_exit_while_delivering_names_the_vector_and_keeps_what_delivery_changed() -> None:
    o = with_delivery()
    o.vapic.rvi = 0x51
    o.enter()
    assert o.boundary() == Step.INTERRUPT
    assert o.fail_delivery(Exit.EPT_VIOLATION, 0) == Step.EXIT
    assert (o.out.reason, o.out.vectoring, o.out.status) == (Exit.EPT_VIOLATION, 0x51, 0x5100)
    o.enter()
    o.vmcall()
    assert o.out.vectoring == -1


# ---- events above interrupts ----


@pytest.mark.parametrize(
    ("name", "answer", "reason"),
    [
        ("smi", Step.SMM, -1),
        ("init", Step.EXIT, 3),
        ("trap_flag", Step.EXIT, 37),
        ("timer", Step.EXIT, 52),
        ("nmi", Step.INTERRUPT, -1),
    ],
)
def test_events_that_go_first_are_taken_once(name: str, answer: int, reason: int) -> None:
    o = with_delivery()
    o.vapic.rvi = 0x51
    o.enter()
    setattr(o.pending, name, 1)
    assert o.boundary() == answer
    assert (o.out.reason, getattr(o.pending, name)) == (reason, 0)
    if name == "nmi":
        assert (o.vector, o.state.nmi_blocking, o.state.interrupt_flag) == (2, 1, 0)


def test_nmi_exiting_its_window_and_sipi() -> None:
    o = with_delivery("nmi_exiting", "virtual_nmis", "nmi_window_exiting")
    o.enter()
    o.pending.nmi = 1
    assert (o.boundary(), o.out.reason) == (Step.EXIT, Exit.NMI_WINDOW)
    o.controls.nmi_window_exiting = 0
    o.enter()
    assert (o.boundary(), o.out.reason) == (Step.EXIT, Exit.EXCEPTION_NMI)
    o.state.activity = Activity.WAIT_FOR_SIPI
    accept(o.lapic, 0x51, 0)
    o.enter()
    assert o.boundary() == Step.HALTED
    o.pending.sipi = 1
    assert (o.boundary(), o.out.reason) == (Step.EXIT, Exit.SIPI_SIGNAL)


# ---- IPI virtualization between two oracles ----


def pair(vector: int) -> tuple[Oracle, Oracle]:
    """Return a sender whose table names itself (0) and a receiver (1), both in the guest."""
    sender = oracle("virtual_interrupt_delivery", "virtualize_x2apic_mode", "tertiary", "ipi_virtualization", flag=0)
    sender.controls.last_pid_index = 1
    sender.controls.process_posted_interrupts = 1
    receiver = with_delivery("process_posted_interrupts", flag=0)
    for number, o in enumerate((sender, receiver)):
        o.lapic.apic_id = o.pid.ndst = number
        o.pid.nv = o.controls.notification_vector = vector
        sender.pid_table.add(number, 0x10_0000_1000 + 64 * number, o.pid)
    assert sender.enter() == receiver.enter() == Step.GOES_ON
    return sender, receiver


@pytest.mark.parametrize("vector", range(256))
def test_an_ipi_to_another_processor(vector: int) -> None:
    sender, receiver = pair(0xF2)
    answer = sender.wrmsr(0x30, vector, 1)
    if vector < 16:
        assert (answer, sender.out.reason, sender.out.qualification) == (Step.EXIT, Exit.APIC_WRITE, 0x300)
        assert not any(receiver.pid.pir) and receiver.pid.on == 0
        return
    assert (answer, sender.sent, receiver.pid.on) == (Step.GOES_ON, 1 << 32 | 0xF2, 1)
    accept(receiver.lapic, sender.sent & 0xFF, 0)
    assert receiver.boundary() == Step.POSTED
    assert (receiver.vapic.rvi, receiver.pid.on) == (vector, 0)
    sender.sent = -1
    receiver.pid.sn = 1
    assert (sender.wrmsr(0x30, vector, 1), sender.sent, receiver.pid.on) == (Step.GOES_ON, -1, 0)
    assert bits_of(receiver.pid.pir, 0, PACKED, 8) == [vector], "with SN the bit is set and nobody told"


def test_an_ipi_to_oneself_goes_through_the_descriptor_and_the_real_local_apic() -> None:
    sender, _ = pair(0xF2)
    assert sender.wrmsr(0x30, 0x61, 0) == Step.GOES_ON
    assert (sender.sent, sender.vapic.rvi) == (-1, 0)
    assert (sender.boundary(), sender.vapic.rvi) == (Step.POSTED, 0x61)


def test_an_ipi_beyond_the_table_exits() -> None:
    sender, _ = pair(0xF2)
    assert (sender.wrmsr(0x30, 0x61, 2), sender.out.qualification) == (Step.EXIT, 0x300)


# ---- what is not virtualized ----


def test_without_virtualized_accesses_the_page_is_memory() -> None:
    o = oracle("virtual_interrupt_delivery")
    o.enter()
    for size in (1, 2, 4, 8):
        for offset in (0x080, 0x0B0, 0x0FD, 0x300, 0xFFE):
            assert o.write(offset, size, 0x89ABCDEF, 0x01234567) == Step.GOES_ON
            assert o.read(offset, size) == Step.GOES_ON
            value = o.operation.high << 32 | o.operation.low
            assert value == 0x0123456789ABCDEF & (1 << 8 * size) - 1
            assert o.set_bits(offset, size, 0x10) == Step.GOES_ON
            assert (o.read(offset, size), o.operation.low & 0xFF) == (Step.GOES_ON, 0xFF)
    assert not any(o.vapic.page)


def test_a_plain_page_is_bytes() -> None:
    page, twin = PlainPage(), bytearray(4096)
    for n, offset in enumerate(range(0, 4090, 7)):
        size = n % 4 + 1
        value = (offset * 2654435761) & 0xFFFFFFFF
        page.store(offset, size, value)
        twin[offset : offset + size] = value.to_bytes(4, "little")[:size]
    for offset in range(4093):
        assert page.load(offset, 4) == int.from_bytes(twin[offset : offset + 4], "little")
    assert list(longer(page.words, 1026))[-3:] == [page.words[1023], 0, 0]


def test_without_the_tpr_shadow_cr8_is_the_real_task_priority() -> None:
    """And then it holds back the real interrupts of the classes up to it."""
    for cr8, vector in product(range(16), range(16, 256, 3)):
        o = oracle()
        o.controls.use_tpr_shadow = 0
        o.enter()
        assert o.write_cr8(cr8) == Step.GOES_ON
        assert (o.read_cr8(), o.operation.low) == (Step.GOES_ON, cr8)
        accept(o.lapic, vector, 0)
        assert settle(o) == ([Step.EXIT] if vector // 16 > cr8 else [])


def test_registers_of_the_real_local_apic_that_decide_interrupts() -> None:
    o = oracle()
    o.controls.ext_int_exiting = 0
    o.enter()
    assert o.wrmsr(0x3F, 0x61) == Step.GOES_ON
    assert (settle(o), o.vector) == ([Step.INTERRUPT], 0x61)
    assert (o.rdmsr(0x0A), o.operation.low) == (Step.GOES_ON, 0x60)
    assert o.wrmsr(0x08, 0x75) == Step.GOES_ON
    assert (o.rdmsr(0x08), o.operation.low) == (Step.GOES_ON, 0x75)
    assert o.wrmsr(0x0B, 0) == Step.GOES_ON
    assert (o.rdmsr(0x0A), o.operation.low) == (Step.GOES_ON, 0x75)
    for index, low, high in ((0x08, 0x100, 0), (0x3F, 0x41, 1), (0x0B, 1, 0)):
        assert o.wrmsr(index, low, high) == Step.FAULT
    assert o.wrmsr(0x32, 0) == o.rdmsr(0x32) == Step.PHYSICAL


def test_read_modify_write_judges_the_read_first() -> None:
    o = with_delivery("apic_register_virtualization")
    o.vapic.page[Reg.VTPR] = 0x21
    o.enter()
    assert o.set_bits(0x080, 4, 0x42) == Step.GOES_ON
    assert o.vapic.page[Reg.VTPR] == o.vapic.page[Reg.VPPR] == 0x63
    assert (o.set_bits(0x0A0, 4, 1), o.out.qualification) == (Step.EXIT, 0x00A0)
    o.enter()
    assert (o.set_bits(0x100, 4, 1), o.out.qualification) == (Step.EXIT, 0x1100)
