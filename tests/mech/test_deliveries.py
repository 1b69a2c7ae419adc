"""The seven verbs of each delivery, over all vectors: what they answer, what they change, and what they leave alone."""

from itertools import product

import pytest

from exitless.arch.outcome import Access, Kick
from exitless.arch.vmx.eoi import set_eoi_exit
from exitless.arch.vmx.virtual_apic import Reg
from exitless.arch.xen.callback import Callback
from exitless.bits.words import ON_PAGE, set_bit
from exitless.mech.catalog import CATALOG, find, make_delivery
from exitless.mech.delivery import Delivery
from exitless.mech.procedures.assist import Assist, has_deliverable, intr_assist, set_irq
from exitless.mech.vcpu import VirtualCpu
from exitless.vocab.exits import Exit
from tests.naive import both

LEGAL = range(16, 256)
KINDS = ["injected", "virtual", "posted", "direct"]
NOTIFICATION = 0xF4


def vcpu(kind: str, registers: int = 0) -> VirtualCpu:
    """Return a vCPU with the controls that this delivery is built for, IF=1."""
    v = VirtualCpu(0)
    c = v.controls
    c.use_tpr_shadow = 1
    c.virtualize_apic_accesses = int(kind != "direct")
    c.apic_register_virtualization = registers
    v.state.interrupt_flag = 1
    if kind in ("virtual", "posted"):
        c.apic_register_virtualization = c.virtual_interrupt_delivery = v.has_vid = 1
    if kind == "posted":
        c.process_posted_interrupts = v.has_posting = 1
        c.notification_vector = v.pid.nv = NOTIFICATION
    if kind == "direct":
        c.ext_int_exiting = 0
    return v


def virr(v: VirtualCpu) -> int:
    return both.array(v.vapic, Reg.VIRR)


def visr(v: VirtualCpu) -> int:
    return both.array(v.vapic, Reg.VISR)


def pair(kind: str) -> tuple[Delivery, VirtualCpu]:
    return make_delivery(kind), vcpu(kind)


# ---- request ----


@pytest.mark.parametrize("kind", ["injected", "virtual", "direct"])
def test_a_request_without_posting_sets_irr_and_asks_for_an_entry_once(kind: str) -> None:
    """IRR that was clear: kick; that was set: nothing. TMR follows the trigger mode each time."""
    for vector, level in product(LEGAL, (0, 1)):
        delivery, v = pair(kind)
        assert delivery.request(v, vector, level) == Kick.EXIT
        assert delivery.request(v, vector, level) == Kick.NONE
        assert virr(v) == 1 << vector
        assert both.array(v.vapic, Reg.VTMR) == level << vector
        assert both.packed(v.pid.pir) == 0


def test_a_posted_request_sets_pir_claims_on_and_notifies_once() -> None:
    """PIR set already: return. Else ON is claimed and a notification owed; IRR is not touched, TMR is."""
    for vector, level in product(LEGAL, (0, 1)):
        delivery, v = pair("posted")
        assert delivery.request(v, vector, level) == Kick.NOTIFY
        assert (both.packed(v.pid.pir), v.pid.on, virr(v)) == (1 << vector, 1, 0)
        assert both.array(v.vapic, Reg.VTMR) == level << vector, "vlapic_set_irq sets or clears TMR before it posts"
        assert delivery.request(v, vector, level) == Kick.NONE
        assert delivery.request(v, vector ^ 1, level) == Kick.EXIT, "ON stands: kick instead"


def test_a_posted_request_under_sn_kicks_and_leaves_on_clear() -> None:
    for vector in LEGAL:
        delivery, v = pair("posted")
        v.pid.sn = 1
        assert delivery.request(v, vector, 0) == Kick.EXIT
        assert (both.packed(v.pid.pir), v.pid.on) == (1 << vector, 0)


def test_a_changed_eoi_exit_bitmap_goes_before_the_vector() -> None:
    """The vector must not be delivered before the bitmap reaches the VMCS: ON is set, and a kick brings the entry."""
    for vector in LEGAL:
        delivery, v = pair("posted")
        assert set_irq(v, delivery, vector, 1) == Kick.EXIT
        assert (v.eoi_map_dirty, v.pid.on) == (1, 1)
        assert v.vapic.eoi_exit[vector >> 5] == 1 << (vector & 31)
        out = Assist()
        intr_assist(v, delivery, out)
        assert (v.eoi_map_dirty, out.eoi_map_written, v.vapic.rvi) == (0, 1, vector)


@pytest.mark.parametrize("kind", ["virtual", "posted"])
def test_the_eoi_exit_bitmap_follows_the_trigger_mode(kind: str) -> None:
    """Level sets the bit, edge clears it; only a change makes the VMCS words stale."""
    for vector in LEGAL:
        delivery, v = pair(kind)
        set_irq(v, delivery, vector, 0)
        assert v.eoi_map_dirty == 0
        set_irq(v, delivery, vector, 1)
        assert (v.eoi_map_dirty, v.vapic.eoi_exit[vector >> 5]) == (1, 1 << (vector & 31))
        set_irq(v, delivery, vector, 0)
        assert v.vapic.eoi_exit[vector >> 5] == 0
    delivery, v = pair("injected")
    set_irq(v, delivery, 0x41, 1)
    assert both.packed(v.vapic.eoi_exit) == 0, "without virtual-interrupt delivery there is no such bitmap"


# ---- pending and grant ----


@pytest.mark.parametrize("kind", ["injected", "direct"])
def test_software_compares_with_what_is_in_service(kind: str) -> None:
    for vector, other in product(LEGAL, (0x10, 0x4F, 0x80, 0xF0)):
        delivery, v = pair(kind)
        delivery.request(v, vector, 0)
        set_bit(v.vapic.page, Reg.VISR, ON_PAGE, other)
        assert delivery.pending(v) == (vector if vector // 16 > other // 16 else 0)


@pytest.mark.parametrize("kind", ["virtual", "posted"])
def test_with_vid_the_processor_compares(kind: str) -> None:
    """The highest request is named whatever is in service."""
    for vector in LEGAL:
        delivery, v = pair(kind)
        delivery.request(v, vector, 0)
        set_bit(v.vapic.page, Reg.VISR, ON_PAGE, 0xFF)
        assert delivery.pending(v) == vector


def test_pir_is_merged_only_if_on_was_set() -> None:
    """ON clear: return without looking at PIR."""
    for vector in LEGAL:
        delivery, v = pair("posted")
        delivery.request(v, vector, 0)
        v.pid.on = 0
        assert delivery.pending(v) == 0
        assert both.packed(v.pid.pir) == 1 << vector
        v.pid.on = 1
        assert delivery.pending(v) == vector
        assert (both.packed(v.pid.pir), v.pid.on, virr(v), v.vapic.rvi) == (0, 0, 1 << vector, 0)


def test_granting_injects_or_writes_rvi() -> None:
    for vector in LEGAL:
        for kind in ("injected", "direct"):
            delivery, v = pair(kind)
            delivery.request(v, vector, 0)
            assert delivery.grant(v, vector) == 1
            assert (v.state.entry_vector, virr(v), visr(v)) == (vector, 0, 1 << vector)
            assert delivery.enter(v) == vector
            assert (v.state.entry_vector, v.state.interrupt_flag) == (-1, 0)
        for kind in ("virtual", "posted"):
            delivery, v = pair(kind)
            delivery.request(v, vector, 0)
            delivery.pending(v)
            assert delivery.grant(v, vector) == 0
            assert (v.vapic.rvi, v.state.entry_vector, virr(v)) == (vector, -1, 1 << vector)
            assert delivery.enter(v) == -1
            assert v.vapic.recognized == 1, "the entry evaluates"


# ---- arrive ----


def test_only_the_notification_vector_is_consumed_and_only_with_posting() -> None:
    for kind, vector in product(KINDS, range(256)):
        delivery, v = pair(kind)
        set_bit(v.pid.pir, 0, 1, 0x61)
        v.pid.on = 1
        consumed = delivery.arrive(v, vector)
        assert consumed == (kind == "posted" and vector == NOTIFICATION)
        expected = (0, 0, 1 << 0x61, 0x61) if consumed else (1 << 0x61, 1, 0, 0)
        assert (both.packed(v.pid.pir), v.pid.on, virr(v), v.vapic.rvi) == expected


# ---- end and write_register ----


def test_an_eoi_exits_as_the_delivery_has_it() -> None:
    """Emulated: the store to 0B0H exits, before it or, with register virtualization, after it. Virtual: only where the
    bitmap says so. Direct: to the real local APIC, unless something injected is open."""
    for vector in LEGAL:
        delivery, v = pair("injected")
        assert (delivery.end(v), v.operation.qualification) == (Exit.APIC_ACCESS, 0x10B0)
        v = vcpu("injected", registers=1)
        assert (delivery.end(v), v.operation.qualification) == (Exit.APIC_WRITE, 0xB0)
        for kind, exits in product(("virtual", "posted"), (False, True)):
            delivery, v = pair(kind)
            set_bit(v.vapic.page, Reg.VISR, ON_PAGE, vector)
            v.vapic.svi = vector
            set_eoi_exit(v.vapic, vector, exits)
            assert delivery.end(v) == (Exit.EOI_INDUCED if exits else Exit.NONE)
            assert (visr(v), v.vapic.svi) == (0, 0)
            assert not exits or v.operation.qualification == vector
        delivery, v = pair("direct")
        assert delivery.end(v) == Access.PHYSICAL
        delivery.request(v, vector, 0)
        delivery.grant(v, vector)
        assert (delivery.end(v), v.operation.qualification) == (Exit.MSR_WRITE, 0x0B)


@pytest.mark.parametrize("kind, answer", [("injected", Exit.APIC_ACCESS), ("virtual", Exit.APIC_WRITE),
                                          ("posted", Exit.APIC_WRITE), ("direct", Exit.MSR_WRITE)])  # fmt: skip
def test_setting_the_timer_exits_in_every_delivery(kind: str, answer: int) -> None:
    """380H is no register that a processor virtualizes; with register virtualization the store comes first."""
    delivery, v = pair(kind)
    assert delivery.write_register(v, 0x380, 7) == answer
    assert v.operation.qualification == {"injected": 0x1380, "direct": 0x38}.get(kind, 0x380)
    assert v.vapic.page[Reg.TIMER_INITIAL] == (7 if answer == Exit.APIC_WRITE else 0)


# ---- the pass of vmx_intr_assist, over deliveries ----


@pytest.mark.parametrize("kind", KINDS)
def test_one_pass_gives_the_guest_each_vector(kind: str) -> None:
    for vector in LEGAL:
        delivery, v = pair(kind)
        set_irq(v, delivery, vector, 0)
        out = Assist()
        intr_assist(v, delivery, out)
        if kind in ("virtual", "posted"):
            assert (out.injected, v.vapic.rvi) == (-1, vector)
        else:
            assert (out.injected, v.state.entry_vector) == (vector, vector)
        assert (out.window_first, out.window_after) == (-1, -1)


@pytest.mark.parametrize("kind", ["injected", "direct"])
def test_without_vid_a_closed_window_is_armed_and_tpr_becomes_the_threshold(kind: str) -> None:
    for vector in LEGAL:
        delivery, v = pair(kind)
        set_irq(v, delivery, vector, 0)
        v.state.interrupt_flag = 0
        out = Assist()
        intr_assist(v, delivery, out)
        assert (out.window_first, v.vapic.window_exiting, out.injected) == (vector, 1, -1)
        delivery, v = pair(kind)
        set_irq(v, delivery, vector, 0)
        v.vapic.page[Reg.VTPR] = vector
        intr_assist(v, delivery, out)
        assert (v.controls.tpr_threshold, v.vapic.window_exiting, out.injected) == (vector // 16, 0, -1)


@pytest.mark.parametrize("kind", ["virtual", "posted"])
def test_with_vid_neither_if_nor_tpr_keeps_rvi_from_being_written(kind: str) -> None:
    """The hardware decides; no window is armed, the threshold stays 0."""
    for vector in LEGAL:
        delivery, v = pair(kind)
        set_irq(v, delivery, vector, 0)
        v.state.interrupt_flag = 0
        v.vapic.page[Reg.VTPR] = 0xFF
        out = Assist()
        intr_assist(v, delivery, out)
        assert (v.vapic.rvi, out.window_first, v.vapic.window_exiting) == (vector, -1, 0)
        assert v.controls.tpr_threshold == 0


@pytest.mark.parametrize("kind", KINDS)
def test_the_callback_goes_before_every_vector_and_pays_the_window_tax(kind: str) -> None:
    """upcall_pending is still 1 after the injection, so a window is armed for it, in every delivery."""
    for vector in LEGAL:
        delivery, v = pair(kind)
        v.callback_style, v.callback_vector, v.info.upcall_pending = Callback.VECTOR, 0xF3, 1
        set_irq(v, delivery, vector, 0)
        out = Assist()
        intr_assist(v, delivery, out)
        assert (out.injected, out.source, out.window_after) == (0xF3, 5, 0xF3)
        assert v.vapic.rvi == 0
        assert visr(v) == 0, "a callback is outside the local APIC"


@pytest.mark.parametrize("kind", ["virtual", "posted"])
def test_a_timer_tick_sets_the_eoi_exit_bit_of_the_vector_that_goes(kind: str) -> None:
    """Xen sets the bit of the injected vector, also where that is not the timer's."""
    for vector in (0x31, 0xF1):
        delivery, v = pair(kind)
        v.timer_vector, v.timer_pending = 0xEC, 1
        set_irq(v, delivery, vector, 0)
        out = Assist()
        intr_assist(v, delivery, out)
        goes = max(vector, 0xEC)
        assert v.vapic.rvi == goes
        assert both.packed(v.vapic.eoi_exit) == 1 << goes
        assert v.timer_pending == (0 if goes == 0xEC else 1)


@pytest.mark.parametrize("kind", KINDS)
def test_a_blocking_vcpu_asks_whether_anything_would_be_taken(kind: str) -> None:
    for vector, in_service in product(LEGAL, (0, 0x4F)):
        delivery, v = pair(kind)
        out = Assist()
        assert not has_deliverable(v, delivery, out)
        set_irq(v, delivery, vector, 0)
        if in_service:
            set_bit(v.vapic.page, Reg.VISR, ON_PAGE, in_service)
            v.vapic.svi = in_service
        assert has_deliverable(v, delivery, out) == (vector // 16 > in_service // 16)
        v.state.interrupt_flag = 0
        assert not has_deliverable(v, delivery, out)


# ---- the catalogue ----


def test_the_catalogue_has_the_nine_of_the_house_and_those_of_newer_guests_and_each_is_complete() -> None:
    names = [row.name for row in CATALOG]
    assert names == ["emulated", "apic-registers", "pvhvm", "apicv", "posted", "vtd-posted", "direct",
                     "direct-negotiated", "direct-shuffled", "pvhvm-apicv", "upcall-emulated", "upcall-apicv",
                     "upcall-posted"]  # fmt: skip
    for row in CATALOG:
        assert find(row.name) is row
        assert row.says.endswith(".") and row.order.endswith(".") and row.cites
        assert type(make_delivery(row.delivery)).__name__.lower() == row.delivery
    assert find("vtd") is None


def test_no_verb_has_a_default() -> None:
    """A delivery that leaves one out fails loudly."""
    base, v = Delivery(), VirtualCpu(0)
    calls = [
        lambda: base.request(v, 32, 0), lambda: base.pending(v), lambda: base.grant(v, 32), lambda: base.enter(v),
        lambda: base.arrive(v, 32), lambda: base.end(v), lambda: base.write_register(v, 0x380, 0),
    ]  # fmt: skip
    for call in calls:
        with pytest.raises(NotImplementedError):
            call()
