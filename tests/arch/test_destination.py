"""Whose a message is: physical and logical destinations of both widths, against sets of names."""

from itertools import product

import pytest

from exitless.arch.x86.apic import FRAME, Apic
from exitless.arch.x86.destination import BusMessage, Shorthand, is_broadcast, matches, reaches, x2apic_ldr
from exitless.arch.x86.modes import logical_id, write_base


def xapic(number: int, logical: int = 0, model: int = 0xF) -> Apic:
    """Return an APIC in xAPIC mode with this logical ID and destination format."""
    apic = Apic(number, 0)
    apic.ldr = logical << 24
    apic.dfr = model << 28 | 0x0FFFFFFF
    return apic


def x2apic(number: int) -> Apic:
    """Return an APIC in x2APIC mode."""
    apic = Apic(number, 0)
    assert write_base(apic, FRAME | 0xC00, 0) == 0
    return apic


def to(destination: int, logical: int = 0, wide: int = 0) -> BusMessage:
    """Return a message to this destination."""
    message = BusMessage()
    message.destination, message.logical, message.wide = destination, logical, wide
    return message


def test_physical_names_one_or_all() -> None:
    """10.6.2.1: the destination is the local APIC ID, FFH is broadcast."""
    for number, destination in product(range(0, 255, 5), range(256)):
        assert matches(xapic(number), to(destination)) == (destination in (number, 0xFF))


def test_flat_model_is_a_common_bit() -> None:
    """10.6.2.2: a bit-wise AND other than 0 accepts. T28: destination 0 reaches nobody."""
    for own, destination in product((0, 1, 2, 0x80, 0x81, 0xFF), range(256)):
        common = {b for b in range(8) if own >> b & 1} & {b for b in range(8) if destination >> b & 1}
        assert matches(xapic(0, own), to(destination, 1)) == bool(common)


def test_cluster_model_is_the_same_cluster_and_a_common_member() -> None:
    """10.6.2.2 and T28: 0FH is members of cluster 0 only, FFH is all."""
    for own, destination in product(range(256), range(256)):
        members = {b for b in range(4) if own >> b & 1} & {b for b in range(4) if destination >> b & 1}
        wanted = destination == 0xFF or (own // 16 == destination // 16 and bool(members))
        assert matches(xapic(0, own, 0), to(destination, 1)) == wanted
    chosen = xapic(0, 0x11, 0)
    assert not matches(chosen, to(0xF1, 1))
    chosen.choices.apic_cluster_15_is_broadcast = 1
    assert matches(chosen, to(0xF1, 1))


@pytest.mark.parametrize("model", range(1, 15))
def test_other_models_match_nothing(model: int) -> None:
    """10.6.2.2: DFR[31:28] is 1111B or 0000B."""
    assert not any(matches(xapic(0, 0xFF, model), to(destination, 1)) for destination in range(256))


def test_x2apic_logical_id_comes_from_the_id() -> None:
    """10.12.10.2: cluster is ID[19:4], the member bit ID[3:0]."""
    for number in (0, 1, 15, 16, 0x1F, 0x123, 0xFFFFF, 0x12345678):
        wanted = int(f"{number >> 4 & 0xFFFF:016b}" + f"{1 << number % 16:016b}", 2)
        assert x2apic_ldr(number) == wanted == logical_id(x2apic(number))


def test_x2apic_physical_has_32_bits() -> None:
    """10.12.9: FFFFFFFFH is broadcast, FFH is not."""
    for number in (0, 0xFF, 0x100, 0x12345):
        for destination in (0, 0xFF, 0x100, 0x12345, 0xFFFFFFFF):
            assert matches(x2apic(number), to(destination, 0, 1)) == (destination in (number, 0xFFFFFFFF))


def test_x2apic_logical_is_cluster_and_member() -> None:
    """10.12.10.2, T28: the same cluster and a common member bit; FFFFFFFFH is broadcast in logical mode too."""
    for number, cluster, members in product(range(0, 64, 7), range(5), (0, 1, 0x80, 0x8001, 0xFFFF)):
        wanted = number // 16 == cluster and bool(members >> number % 16 & 1)
        assert matches(x2apic(number), to(cluster << 16 | members, 1, 1)) == wanted
    assert all(matches(x2apic(number), to(0xFFFFFFFF, 1, 1)) for number in range(64))


def test_a_narrow_message_to_an_x2apic_is_a_choice() -> None:
    """The manual does not mix them: apic_narrow_reaches_x2apic decides for physical, logical ones reach nobody."""
    apic = x2apic(7)
    assert matches(apic, to(7)) and matches(apic, to(0xFF)) and not matches(apic, to(0x80, 1))
    apic.choices.apic_narrow_reaches_x2apic = 0
    assert not matches(apic, to(7)) and not matches(apic, to(0xFF))
    assert not matches(xapic(7, 0xFF), to(0xFFFFFFFF, 1, 1))


def test_a_self_shorthand_reaches_its_sender() -> None:
    """10.6.1: self is the sender alone; a device has no number."""
    message = to(0)
    message.shorthand = Shorthand.SELF
    assert [reaches(xapic(i), message, i, 2) for i in range(4)] == [False, False, True, False]


def test_broadcast_is_all_ones_of_its_width() -> None:
    """10.6.2.1, 10.12.9."""
    assert is_broadcast(to(0xFF)) and not is_broadcast(to(0xFF, 0, 1)) and is_broadcast(to(0xFFFFFFFF, 1, 1))
