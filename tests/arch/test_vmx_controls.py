"""The VM-entry checks on the controls of interrupt virtualization, and what secondary controls count for."""

from itertools import product

import pytest

from exitless.arch.vmx.controls import Check, Controls, check_controls, exits_below_threshold, has_vid, secondary

BITS = ("use_tpr_shadow", "virtualize_apic_accesses", "virtualize_x2apic_mode", "apic_register_virtualization",
        "virtual_interrupt_delivery", "ext_int_exiting", "process_posted_interrupts", "ack_int_on_exit")  # fmt: skip


def controls(**fields: int) -> Controls:
    """Return controls of a posted, virtualized xAPIC that passes every check, with these changes."""
    c = Controls()
    good = dict.fromkeys(BITS, 1) | {"virtualize_x2apic_mode": 0, "notification_vector": 0xF4}
    for name, value in (good | fields).items():
        setattr(c, name, value)
    return c


def legal(tprs: int, vaa: int, vx2: int, reg: int, vid: int, extint: int, pi: int, ack: int) -> bool:
    """The manual's rules in one expression, written down apart from the package."""
    return bool(
        (tprs or not (vx2 or reg or vid)) and not (vx2 and vaa) and (not vid or extint) and (not pi or (vid and ack))
    )


def test_every_combination_of_eight_bits_is_judged_as_the_manual_says() -> None:
    """50 of the 256 are legal."""
    found = 0
    for bits in product((0, 1), repeat=8):
        passes = check_controls(controls(**dict(zip(BITS, bits, strict=True))), 0) == Check.PASS
        assert passes == legal(*bits), bits
        found += passes
    assert found == 50


def test_14_settings_of_the_five_apic_controls_are_legal() -> None:
    found = {
        bits
        for bits in product((0, 1), repeat=5)
        if check_controls(
            controls(**dict(zip(BITS[:5], bits, strict=True)), process_posted_interrupts=0), 0
        ) == Check.PASS
    }  # fmt: skip
    assert len(found) == 14


FAILS = {
    "C3: threshold bits 31:4": ({"virtual_interrupt_delivery": 0, "process_posted_interrupts": 0,
                                 "tpr_threshold": 0x10}, Check.TPR_THRESHOLD_BITS),
    "C4: threshold above VTPR": ({"virtual_interrupt_delivery": 0, "process_posted_interrupts": 0,
                                  "virtualize_apic_accesses": 0, "tpr_threshold": 1}, Check.TPR_THRESHOLD_VALUE),
    "C6: VID without TPR shadow": ({"use_tpr_shadow": 0}, Check.NEEDS_TPR_SHADOW),
    "C7: x2APIC mode with the access page": ({"virtualize_x2apic_mode": 1}, Check.X2APIC_WITH_ACCESSES),
    "C8: VID without external-interrupt exiting": ({"ext_int_exiting": 0}, Check.VID_NEEDS_EXTINT),
    "C9: posting without VID": ({"virtual_interrupt_delivery": 0}, Check.POSTING_NEEDS_VID),
    "C10: posting without acknowledge on exit": ({"ack_int_on_exit": 0}, Check.POSTING_NEEDS_ACK),
    "C11: notification vector bits 15:8": ({"notification_vector": 0x100}, Check.NOTIFICATION_VECTOR),
    "C12: descriptor not 64-byte aligned": ({"descriptor_address": 0x20}, Check.DESCRIPTOR_ADDRESS),
}  # fmt: skip


@pytest.mark.parametrize("name", FAILS)
def test_the_first_check_that_fails_is_answered(name: str) -> None:
    fields, check = FAILS[name]
    assert check_controls(controls(**fields), 0) == check
    assert check_controls(controls(), 0) == Check.PASS


def test_threshold_against_vtpr_for_every_vtpr() -> None:
    """C4: TPR threshold 3:0 is at most VTPR 7:4, where there is neither VID nor the access page."""
    for vtpr, threshold in product(range(256), range(16)):
        c = controls(virtual_interrupt_delivery=0, process_posted_interrupts=0, virtualize_apic_accesses=0)
        c.tpr_threshold = threshold
        assert (check_controls(c, vtpr) == Check.PASS) == (threshold <= vtpr // 16)
        c.virtualize_apic_accesses = 1
        assert check_controls(c, vtpr) == Check.PASS, "then the entry succeeds, and exits"
        assert exits_below_threshold(c, vtpr) == (threshold > vtpr // 16)


@pytest.mark.parametrize("absent", ["use_tpr_shadow", "virtualize_apic_accesses", "secondary"])
def test_the_threshold_exit_needs_the_shadow_and_the_access_page(absent: str) -> None:
    c = controls(virtual_interrupt_delivery=0, tpr_threshold=15)
    assert exits_below_threshold(c, 0)
    setattr(c, absent, 0)
    assert not exits_below_threshold(c, 0)


def test_the_threshold_is_unused_with_vid() -> None:
    """Neither its bits 31:4 nor its value are checked, and it causes no exit."""
    for threshold in (0, 1, 15, 16, 0xFFFF):
        c = controls(tpr_threshold=threshold, process_posted_interrupts=0)
        assert check_controls(c, 0) == Check.PASS
        assert not exits_below_threshold(c, 0)


def test_every_notification_vector_and_alignment() -> None:
    """C11 and C12: an 8-bit vector, an address with bits 5:0 clear; address 0 is legal."""
    for vector in range(256):
        assert check_controls(controls(notification_vector=vector), 0) == Check.PASS
        assert check_controls(controls(notification_vector=vector + 256), 0) == Check.NOTIFICATION_VECTOR
    for address in range(129):
        good = check_controls(controls(descriptor_address=address), 0) == Check.PASS
        assert good == (address % 64 == 0)


def test_without_the_secondary_controls_all_of_them_count_as_0() -> None:
    """Posting is a pin-based control: with the secondary ones off VID counts as 0, and the entry fails."""
    c = controls(secondary=0)
    assert not has_vid(c)
    assert not secondary(c, c.virtualize_apic_accesses)
    assert check_controls(c, 0) == Check.POSTING_NEEDS_VID
    c.process_posted_interrupts = 0
    assert check_controls(c, 0) == Check.PASS
    c.use_tpr_shadow = 0
    assert check_controls(c, 0) == Check.PASS, "nothing is left that needs the shadow"
