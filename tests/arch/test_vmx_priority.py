"""TPR and PPR virtualization: classes decide, ties go to VTPR, and the threshold is for the time before VID."""

from itertools import product

import pytest

from exitless.arch.outcome import Access
from exitless.arch.vmx.controls import Check, Controls, check_controls, exits_below_threshold
from exitless.arch.vmx.cr8 import write_cr8
from exitless.arch.vmx.injection import load_at_entry
from exitless.arch.vmx.priority import ppr_virtualization, tpr_virtualization
from exitless.arch.vmx.virtual_apic import Reg, VirtualApic
from exitless.vocab.exits import Exit
from tests.naive import both
from tests.naive.apicv import VTPR, Processor

BYTES = range(256)


def test_ppr_of_every_vtpr_and_svi() -> None:
    """VPPR is VTPR, low nibble included, unless the class of SVI is higher: then the class of SVI alone."""
    vapic = VirtualApic()
    for vtpr, svi in product(BYTES, BYTES):
        vapic.page[Reg.VTPR] = vtpr
        vapic.svi = svi
        vapic.page[Reg.VPPR] = 0xDEADBEEF
        ppr_virtualization(vapic)
        expected = vtpr if vtpr // 16 >= svi // 16 else svi // 16 * 16
        assert vapic.page[Reg.VPPR] == expected


def test_ppr_agrees_with_the_naive_processor() -> None:
    for vtpr, svi in product(BYTES, range(0, 256, 3)):
        processor = Processor("VID")
        processor.put(VTPR, vtpr)
        processor.svi = svi
        vapic = both.virtual_apic(processor)
        ppr_virtualization(vapic)
        processor.ppr_virtualization()
        assert both.brief(vapic) == both.naive_brief(processor)


def test_ppr_uses_the_low_byte_of_vtpr_only() -> None:
    """Software may leave bytes 3:1 of VTPR set; those of VPPR are 0 all the same."""
    vapic = VirtualApic()
    for vtpr in BYTES:
        vapic.page[Reg.VTPR] = 0xABCDEF00 | vtpr
        ppr_virtualization(vapic)
        assert vapic.page[Reg.VPPR] == vtpr


def test_ppr_virtualization_changes_nothing_but_vppr() -> None:
    """It is no evaluation: recognition stays as it was, right or wrong."""
    for recognized in (0, 1):
        vapic = VirtualApic()
        vapic.rvi, vapic.svi, vapic.recognized = 0x91, 0x41, recognized
        ppr_virtualization(vapic)
        assert (vapic.rvi, vapic.svi, vapic.recognized) == (0x91, 0x41, recognized)
        assert [i for i in range(1024) if vapic.page[i]] == [Reg.VPPR]


def test_a_tpr_change_evaluates_with_virtual_interrupt_delivery() -> None:
    """For every RVI and every class of VTPR: recognized exactly when the class of RVI is above."""
    controls = both.controls(Processor("VID"))
    controls.tpr_threshold = 15
    vapic = VirtualApic()
    for rvi, vtpr in product(BYTES, BYTES):
        vapic.rvi = rvi
        vapic.recognized = 1 - vapic.recognized
        vapic.page[Reg.VTPR] = vtpr
        assert tpr_virtualization(vapic, controls) == Exit.NONE, "the threshold is not used"
        assert vapic.recognized == (rvi // 16 > vtpr // 16)
        assert vapic.page[Reg.VPPR] == vtpr


def test_without_vid_the_threshold_is_compared_at_every_tpr_change() -> None:
    """Also when VTPR rose; priority and recognition are not looked at."""
    controls = both.controls(Processor())
    vapic = VirtualApic()
    vapic.rvi = 0xFF
    for vtpr, threshold in product(BYTES, range(16)):
        controls.tpr_threshold = threshold
        vapic.page[Reg.VTPR] = vtpr
        expected = Exit.TPR_BELOW_THRESHOLD if vtpr // 16 < threshold else Exit.NONE
        assert tpr_virtualization(vapic, controls) == expected
        assert (vapic.page[Reg.VPPR], vapic.recognized) == (0, 0)


def test_virtual_interrupt_delivery_counts_only_with_secondary_controls() -> None:
    controls = both.controls(Processor("VID"))
    controls.secondary = 0
    controls.tpr_threshold = 1
    assert tpr_virtualization(VirtualApic(), controls) == Exit.TPR_BELOW_THRESHOLD


@pytest.mark.parametrize("vid", [(), ("VID",)])
@pytest.mark.parametrize("shadow", [0, 1])
@pytest.mark.parametrize("intercepted", [(), ("CR8L",)])
def test_moving_to_cr8_writes_the_class(vid: tuple[str, ...], shadow: int, intercepted: tuple[str, ...]) -> None:
    """CR8-load exiting goes first; without TPR shadow it is the real TPR; else VTPR is the value times 16."""
    for value, old, threshold in product(range(16), (0, 0x5F, 0xFFFFFFFF), (0, 8)):
        processor = Processor(*vid, *intercepted)
        if not shadow:
            processor.control.discard("TPRS")
        processor.put(VTPR, old)
        processor.tpr_threshold = threshold
        processor.rvi = 0x85
        vapic = both.virtual_apic(processor)
        answer = write_cr8(vapic, both.controls(processor), value)
        assert both.answered(answer) == both.outcome(lambda p=processor, v=value: p.mov_to_cr8(v))
        assert both.same_page(vapic, processor)
        assert both.brief(vapic) == both.naive_brief(processor)
        if shadow and not intercepted:
            assert vapic.page[Reg.VTPR] == value * 16
        else:
            assert answer == (Exit.CR_ACCESS if intercepted else Access.PHYSICAL)
            assert vapic.page[Reg.VTPR] == old


def test_entry_virtualizes_ppr_then_evaluates_for_every_rvi_and_tpr() -> None:
    """A vector is recognized at entry exactly when its class is above that of VTPR and of what is in service."""
    vapic = VirtualApic()
    for rvi, vtpr, svi in product(BYTES, range(0, 256, 15), (0, 0x31, 0x4F, 0xFF)):
        vapic.rvi, vapic.svi = rvi, svi
        vapic.page[Reg.VTPR] = vtpr
        vapic.page[Reg.VPPR] = 0xFF
        load_at_entry(vapic)
        assert vapic.recognized == (rvi // 16 > max(vtpr // 16, svi // 16))


# ---- the TPR threshold at VM entry ----


def test_threshold_checks_at_entry() -> None:
    """With TPR shadow and without VID: bits 31:4 must be 0; without APIC-access virtualization it must not be above."""
    for shadow, vid, vaa in product((0, 1), repeat=3):
        for threshold, vtpr in product((*range(17), 0x20, 0x80000005), range(0, 256, 5)):
            controls = Controls()
            controls.use_tpr_shadow = shadow
            controls.virtual_interrupt_delivery = vid
            controls.virtualize_apic_accesses = vaa
            controls.tpr_threshold = threshold
            expected = Check.PASS
            if shadow and not vid:
                if threshold > 15:
                    expected = Check.TPR_THRESHOLD_BITS
                elif not vaa and threshold > vtpr // 16:
                    expected = Check.TPR_THRESHOLD_VALUE
            elif vid and not shadow:
                expected = Check.NEEDS_TPR_SHADOW
            assert check_controls(controls, vtpr) == expected
            exits = shadow and vaa and not vid and threshold & 15 > vtpr // 16
            assert exits_below_threshold(controls, vtpr) == bool(exits)
