"""Fifteen subtle cases of interrupt virtualization, each an initial state, an operation and the one right result.

The name of a test begins with its case. What takes more than one rule goes through the oracle, T9 through the checker.
"""

from itertools import product

import pytest

from exitless.arch.outcome import Access, Boundary
from exitless.arch.svm.evaluate import Avic, Next, deliver, set_requested, vmexit, vmrun
from exitless.arch.svm.evaluate import arbitrate as svm_arbitrate
from exitless.arch.svm.tables import Backing
from exitless.arch.svm.vmcb import SvmExit
from exitless.arch.vmx.access import page_write, write_emulation
from exitless.arch.vmx.boundary import arbitrate
from exitless.arch.vmx.controls import Activity, Check, Controls, check_controls, exits_below_threshold
from exitless.arch.vmx.eoi import eoi_virtualization, set_eoi_exit
from exitless.arch.vmx.evaluate import deliver_virtual_interrupt, evaluate_pending, self_ipi_virtualization
from exitless.arch.vmx.injection import GuestState, load_at_entry
from exitless.arch.vmx.msrs import read_msr, write_msr
from exitless.arch.vmx.posted import (
    PostedDescriptor,
    claim_notification,
    clear_outstanding,
    has_posted,
    raise_rvi,
    set_pir,
    take_pir,
)
from exitless.arch.vmx.priority import ppr_virtualization, tpr_virtualization
from exitless.arch.vmx.virtual_apic import Reg, VirtualApic
from exitless.arch.vtd.post import Posted, post
from exitless.arch.x86.lapic import accept
from exitless.bits.words import ON_PAGE, bits_of, set_bit
from exitless.check.catalog import make as make_world
from exitless.check.explore import explore
from exitless.check.path import counterexample
from exitless.check.property import Law
from exitless.mech.oracle import Oracle, Step
from exitless.vocab.exits import Exit
from tests.naive import both


def make(
    rvi: int = 0, svi: int = 0, vtpr: int = 0, virr: tuple[int, ...] = (), visr: tuple[int, ...] = ()
) -> VirtualApic:
    """Return a virtual APIC in this state; everything else is zero."""
    vapic = VirtualApic()
    vapic.rvi, vapic.svi = rvi, svi
    vapic.page[Reg.VTPR] = vtpr
    for vector in virr:
        set_bit(vapic.page, Reg.VIRR, ON_PAGE, vector)
    for vector in visr:
        set_bit(vapic.page, Reg.VISR, ON_PAGE, vector)
    return vapic


def controls(**wanted: int) -> Controls:
    """Return controls with TPR shadow and virtual-interrupt delivery, and what is wanted beside or instead."""
    c = Controls()
    c.use_tpr_shadow = 1
    c.virtual_interrupt_delivery = 1
    for name, value in wanted.items():
        assert hasattr(c, name)
        setattr(c, name, value)
    return c


def open_guest() -> GuestState:
    state = GuestState()
    state.interrupt_flag = 1
    return state


def oracle(flag: int = 1, **wanted: int) -> Oracle:
    """Return a processor with these controls beside TPR shadow and virtual-interrupt delivery, not yet entered."""
    o = Oracle()
    o.controls = controls(**wanted)
    o.state.interrupt_flag = flag
    return o


def delivered(vapic: VirtualApic) -> int:
    """Return the vector that the next boundary of a guest with IF=1 delivers, -1 for none."""
    if arbitrate(vapic, open_guest(), controls(), False) != Boundary.VIRTUAL_INTERRUPT:
        return -1
    return deliver_virtual_interrupt(vapic)


def enter(vapic: VirtualApic) -> int:
    """VM entry with IF=1; return the vector delivered before the first instruction, -1 for none."""
    load_at_entry(vapic)
    return delivered(vapic)


def notify(pid: PostedDescriptor, vapic: VirtualApic) -> None:
    """The notification arrives in non-root mode: clear ON, take PIR, raise RVI, evaluate."""
    clear_outstanding(pid)
    raise_rvi(vapic, take_pir(pid, vapic))
    evaluate_pending(vapic)


def requested(vapic: VirtualApic) -> int:
    return both.array(vapic, Reg.VIRR)


def in_service(vapic: VirtualApic) -> int:
    return both.array(vapic, Reg.VISR)


def test_t1_class_only_compare() -> None:
    """Only the classes of RVI and VPPR are compared; class 0 never wins, and 10H goes through entry 16 of the IDT."""
    assert enter(make(rvi=0x2F, vtpr=0x2F)) == -1
    assert enter(make(rvi=0x20, vtpr=0x2F)) == -1
    assert enter(make(rvi=0x30, vtpr=0x2F)) == 0x30
    assert enter(make(rvi=0x0F, vtpr=0x00)) == -1
    assert enter(make(rvi=0x10, vtpr=0x00)) == 0x10


def test_t2_virr_alone_does_nothing() -> None:
    """A VIRR bit that RVI does not know of waits until a delivery recomputes RVI, and then for the next evaluation."""
    vapic = make(virr=(0x91,))
    assert enter(vapic) == -1
    vapic.page[Reg.VTPR] = 0x10
    vapic.page[Reg.VTPR] = 0
    assert delivered(vapic) == -1
    self_ipi_virtualization(vapic, 0x31)
    assert vapic.rvi == 0x31
    assert delivered(vapic) == 0x31
    assert vapic.rvi == 0x91
    assert delivered(vapic) == -1, "91H is above 31H, but nothing has evaluated"
    assert eoi_virtualization(vapic) == Exit.NONE
    assert delivered(vapic) == 0x91


def test_t3_rvi_alone_is_enough() -> None:
    """Delivery takes the vector from RVI, whatever VIRR holds."""
    vapic = make(rvi=0x51)
    assert enter(vapic) == 0x51
    assert vapic.rvi == 0
    assert in_service(vapic) == 1 << 0x51


def test_t4_eoi_uses_svi() -> None:
    """The vector that ends is SVI, not the highest in VISR; SVI is then recomputed from VISR."""
    vapic = make(svi=0x41, visr=(0x41, 0x81))
    assert eoi_virtualization(vapic) == Exit.NONE
    assert in_service(vapic) == 1 << 0x81
    assert vapic.svi == 0x81
    assert vapic.page[Reg.VPPR] == 0x80


def test_t2_no_instruction_evaluates() -> None:
    """STI, IRET, POPF, HLT, reads, and VTPR changed in memory: VIRR[91H] waits through all of them."""
    o = oracle(virtualize_x2apic_mode=1, hlt_exiting=0)
    set_bit(o.vapic.page, Reg.VIRR, ON_PAGE, 0x91)
    assert o.enter() == Step.GOES_ON
    for flag in (0, 1):
        for do in (o.sti, o.nop, o.mov_ss, o.nop, o.read_cr8, lambda: o.rdmsr(8)):
            assert (do(), o.boundary()) == (Step.GOES_ON, Step.GOES_ON)
        assert (o.load_flag(flag), o.boundary()) == (Step.GOES_ON, Step.GOES_ON)
        o.vapic.page[Reg.VTPR] = 0x10 * flag
        assert o.boundary() == Step.GOES_ON
    o.vapic.page[Reg.VTPR] = 0
    assert (o.wrmsr(0x3F, 0x31), o.vapic.rvi) == (Step.GOES_ON, 0x31)
    assert (o.boundary(), o.vector, o.vapic.rvi) == (Step.INTERRUPT, 0x31, 0x91)
    assert (o.load_flag(1), o.boundary()) == (Step.GOES_ON, Step.GOES_ON)
    assert (o.wrmsr(0x0B, 0), o.boundary(), o.vector) == (Step.GOES_ON, Step.INTERRUPT, 0x91)


@pytest.mark.parametrize("exits", [True, False])
def test_t5_an_eoi_exit_skips_evaluation(exits: bool) -> None:
    """With the EOI-exit bit 31H waits for the next entry; without it, it is delivered at once."""
    vapic = make(rvi=0x31, svi=0x41, vtpr=0x13, virr=(0x31,), visr=(0x41,))
    vapic.page[Reg.VPPR] = 0x40
    set_eoi_exit(vapic, 0x41, exits)
    assert eoi_virtualization(vapic) == (Exit.EOI_INDUCED if exits else Exit.NONE)
    assert vapic.page[Reg.VPPR] == 0x13
    if exits:
        assert delivered(vapic) == -1
        assert enter(vapic) == 0x31
    else:
        assert delivered(vapic) == 0x31


def test_t5_the_qualification_is_the_vector_that_ended() -> None:
    """An EOI written by WRMSR 80BH exits with 41H as qualification."""
    vapic, op = make(svi=0x41, visr=(0x41,)), both.operation()
    set_eoi_exit(vapic, 0x41, True)
    assert write_msr(vapic, controls(virtualize_x2apic_mode=1), op, 0x0B) == Exit.EOI_INDUCED
    assert op.qualification == 0x41


# What PIR holds; RVI and VIRR afterwards.
ARRIVALS = [
    ((0x31,), 0x61, (0x31, 0x61, 0xC1)),
    ((), 0x61, (0x61, 0xC1)),
    ((0x71,), 0x71, (0x61, 0x71, 0xC1)),
]


@pytest.mark.parametrize("pir, rvi, virr", ARRIVALS)
def test_t6_rvi_is_monotone_over_the_new_bits(pir: tuple[int, ...], rvi: int, virr: tuple[int, ...]) -> None:
    """Only what came out of PIR is compared with RVI; a stale C1H in VIRR is not considered."""
    vapic, pid = make(rvi=0x61, virr=(0x61, 0xC1)), PostedDescriptor()
    for vector in pir:
        set_pir(pid, vector)
    notify(pid, vapic)
    assert vapic.rvi == rvi
    assert requested(vapic) == sum(1 << vector for vector in virr)


def test_t7_posted_interrupt_processing_does_not_recompute_vppr() -> None:
    """Software lowered VTPR in memory while VPPR stands at 90H: 51H is recognized only after a TPR write."""
    vapic, pid = make(vtpr=0x10), PostedDescriptor()
    vapic.page[Reg.VPPR] = 0x90
    set_pir(pid, 0x51)
    notify(pid, vapic)
    assert vapic.page[Reg.VPPR] == 0x90
    assert delivered(vapic) == -1
    assert tpr_virtualization(vapic, controls()) == Exit.NONE
    assert delivered(vapic) == 0x51


def test_t8_sn_without_on() -> None:
    """SN=1: the PIR bit is set, ON stays clear, nobody is told; with ON set before nobody is told in any case."""
    pid = PostedDescriptor()
    pid.sn = 1
    set_pir(pid, 0x41)
    assert not claim_notification(pid)
    assert (has_posted(pid), pid.on) == (True, 0)
    for sn in (0, 1):
        pid = PostedDescriptor()
        pid.sn, pid.on = sn, 1
        set_pir(pid, 0x41)
        assert not claim_notification(pid)
        assert pid.on == 1


def test_t8_urgent_posts_notify_despite_sn() -> None:
    """The remapping unit: SN=1 and URG=0 posts silently, URG=1 sets ON and notifies; ON=1 before: no message at all."""
    for sn, on, urgent in product((0, 1), repeat=3):
        pid = PostedDescriptor()
        pid.sn, pid.on = sn, on
        answer = post(pid, 0x41, urgent)
        sends = on == 0 and (sn == 0 or urgent == 1)
        assert (answer & Posted.NOTIFY != 0, pid.on, both.packed(pid.pir)) == (sends, int(on or sends), 1 << 0x41)


@pytest.mark.parametrize(
    ("world", "mutation"), [("post-order", "pir-after-on"), ("consume-order", "scan-before-clear")]
)
def test_t9_wrong_orders_of_post_and_consume_are_found_within_six_steps(world: str, mutation: str) -> None:
    """P3 and P4 mutated: a counterexample of at most six steps, at its end a vector in PIR, ON clear, nobody told."""
    assert explore(make_world(world, ""), 1000).law == Law.NONE
    path = counterexample(explore(make_world(world, mutation), 1000))
    end = dict(path.last)
    assert len(path.steps) <= 6
    assert end["PIR"] != "{}" and (end["ON"], end["under way"]) == ("0", "nothing")


@pytest.mark.parametrize("index", [0x39, 0x0B, 0x3F, 0xFF, 0x02, 0x09])
def test_t10_rdmsr_never_faults_with_register_virtualization(index: int) -> None:
    """Current count, write-only, reserved and missing registers return what the page holds."""
    vapic, op = VirtualApic(), both.operation()
    vapic.page[4 * index] = 0xAAAA0000 | index
    vapic.page[4 * index + 1] = 0x12345678
    programmed = controls(virtualize_x2apic_mode=1, apic_register_virtualization=1)
    assert read_msr(vapic, programmed, op, index) == Access.VIRTUALIZED
    assert (op.low, op.high) == (0xAAAA0000 | index, 0x12345678)


def test_t10_the_high_half_of_the_icr_is_at_304h() -> None:
    """RDMSR 830H takes EDX from the doubleword after ICR_LO, not from 310H."""
    vapic, op = VirtualApic(), both.operation()
    vapic.page[0x300 // 4], vapic.page[0x304 // 4], vapic.page[0x310 // 4] = 1, 2, 3
    programmed = controls(virtualize_x2apic_mode=1, apic_register_virtualization=1)
    assert read_msr(vapic, programmed, op, 0x30) == Access.VIRTUALIZED
    assert (op.low, op.high) == (1, 2)


def test_t11_apic_write_at_odd_offsets() -> None:
    """A byte at 81H: stored, then exit 56 with that offset; without register virtualization exit 44, type write."""
    vapic, op = make(vtpr=0x20), both.operation()
    op.low = 0x77
    programmed = controls(virtualize_apic_accesses=1, apic_register_virtualization=1)
    assert page_write(vapic, programmed, op, 0x081, 1) == Access.VIRTUALIZED
    assert vapic.page[Reg.VTPR] == 0x7720
    assert write_emulation(vapic, programmed, op) == Exit.APIC_WRITE
    assert op.qualification == 0x081
    vapic, op = make(vtpr=0x20), both.operation()
    assert page_write(vapic, controls(virtualize_apic_accesses=1), op, 0x081, 1) == Exit.APIC_ACCESS
    assert op.qualification == 0x1081
    assert vapic.page[Reg.VTPR] == 0x20


def test_t11_a_write_of_icr_high_does_not_exit() -> None:
    """At 310H the low three bytes are cleared, and that is all."""
    vapic, op = VirtualApic(), both.operation()
    op.low = 0xAB123456
    programmed = controls(virtualize_apic_accesses=1, apic_register_virtualization=1)
    assert page_write(vapic, programmed, op, 0x310, 4) == Access.VIRTUALIZED
    assert write_emulation(vapic, programmed, op) == Exit.NONE
    assert vapic.page[Reg.VICR_HI] == 0xAB000000


def test_t12_tpr_threshold_at_entry() -> None:
    """Threshold 5 over VTPR 4FH: an exit right after entry, or no entry at all, or nothing, by VAA and VID."""
    with_vaa = controls(virtual_interrupt_delivery=0, virtualize_apic_accesses=1, tpr_threshold=5)
    assert check_controls(with_vaa, 0x4F) == Check.PASS
    assert exits_below_threshold(with_vaa, 0x4F)
    without = controls(virtual_interrupt_delivery=0, tpr_threshold=5)
    assert check_controls(without, 0x4F) == Check.TPR_THRESHOLD_VALUE
    for vaa in (0, 1):
        vid = controls(virtualize_apic_accesses=vaa, tpr_threshold=0xFFFFFFF5)
        assert check_controls(vid, 0x4F) == Check.PASS
        assert not exits_below_threshold(vid, 0x4F)


@pytest.mark.parametrize("flag", [0, 1])
def test_t12_the_exit_comes_whatever_if_says_and_a_failed_entry_is_error_7(flag: int) -> None:
    """VAA=1: exit 43 before any instruction, from HLT too. VAA=0: error 7. VID=1: the guest runs."""
    for activity in (Activity.ACTIVE, Activity.HLT):
        o = oracle(flag, virtual_interrupt_delivery=0, virtualize_apic_accesses=1, tpr_threshold=5)
        o.vapic.page[Reg.VTPR], o.state.activity = 0x4F, activity
        assert (o.enter(), o.boundary()) == (Step.GOES_ON, Step.EXIT)
        assert (o.out.reason, o.out.qualification) == (Exit.TPR_BELOW_THRESHOLD, 0)
    o = oracle(flag, virtual_interrupt_delivery=0, tpr_threshold=5)
    o.vapic.page[Reg.VTPR] = 0x4F
    assert (o.enter(), o.error) == (Step.FAILED, 7)
    o = oracle(flag, virtualize_apic_accesses=1, tpr_threshold=0xFFFFFFF5)
    o.vapic.page[Reg.VTPR] = 0x4F
    assert (o.enter(), o.boundary()) == (Step.GOES_ON, Step.GOES_ON)


def test_t13_the_exit_carries_the_physical_vector_and_svi() -> None:
    """After 41H has gone through the IDT the exit names 58H, acknowledged in the real APIC, and saves SVI 41H."""
    o = oracle()
    o.vapic.rvi = 0x41
    accept(o.lapic, 0x58, 0)
    assert (o.enter(), o.boundary(), o.vector) == (Step.GOES_ON, Step.INTERRUPT, 0x41)
    assert (in_service(o.vapic), o.state.interrupt_flag) == (1 << 0x41, 0)
    assert (o.boundary(), o.out.reason, o.out.vector) == (Step.EXIT, Exit.EXTERNAL_INTERRUPT, 0x58)
    assert (o.out.status, both.packed(o.lapic.isr)) == (0x4100, 1 << 0x58)


def test_t13_avic_takes_the_physical_interrupt_first() -> None:
    """The other way round on AVIC: #VMEXIT INTR first, and IRR[41H] is still set."""
    avic = Avic(0, Backing())
    set_requested(avic.backing, 0x41)
    assert vmrun(avic) == SvmExit.NONE
    assert svm_arbitrate(avic, True, True) == Next.PHYSICAL_EXIT
    vmexit(avic)
    assert bits_of(avic.backing.words, Reg.VIRR, ON_PAGE, 8) == [0x41]
    vmrun(avic)
    assert (svm_arbitrate(avic, False, True), deliver(avic)) == (Next.VIRTUAL, 0x41)


def test_t13_virtual_before_physical_at_one_boundary() -> None:
    """41H is delivered first; then, before the handler's first instruction, 58H exits, though IF is 0 by now."""
    vapic, state = make(rvi=0x41, virr=(0x41,)), open_guest()
    load_at_entry(vapic)
    assert arbitrate(vapic, state, controls(), True) == Boundary.VIRTUAL_INTERRUPT
    assert deliver_virtual_interrupt(vapic) == 0x41
    state.interrupt_flag = 0
    assert in_service(vapic) == 1 << 0x41
    assert arbitrate(vapic, state, controls(), True) == Boundary.EXTERNAL_INTERRUPT


def test_t14_a_tie_in_ppr_goes_to_vtpr() -> None:
    """VTPR 43H against SVI 45H gives 43H, with its low nibble; a higher SVI gives its class."""
    vapic = make(vtpr=0x43, svi=0x45)
    ppr_virtualization(vapic)
    assert vapic.page[Reg.VPPR] == 0x43
    vapic.rvi = 0x57
    assert deliver_virtual_interrupt(vapic) == 0x57
    assert vapic.page[Reg.VPPR] == 0x50
    vapic = make(vtpr=0x43, svi=0x55)
    ppr_virtualization(vapic)
    assert vapic.page[Reg.VPPR] == 0x50


def test_t15_a_notification_that_meets_the_wrong_vcpu() -> None:
    """A is blocked with the notification vector still in NV; B, running there, takes the notification for itself."""
    a, b, vapic = PostedDescriptor(), PostedDescriptor(), make(rvi=0x21, virr=(0x21,))
    assert not set_pir(a, 0x41)
    assert claim_notification(a)
    b.on = 1
    notify(b, vapic)
    assert (b.on, has_posted(b), vapic.rvi) == (0, False, 0x21)
    assert requested(vapic) == 1 << 0x21
    assert (a.on, both.packed(a.pir)) == (1, 1 << 0x41), "A's descriptor is as it was"
    for vector in (0x41, 0x42, 0xFF):
        set_pir(a, vector)
        assert not claim_notification(a), "ON is set, so nobody will ever be told again"
