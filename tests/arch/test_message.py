"""The two formats of an interrupt message, field by field against the manuals' tables of address and data bits."""

from itertools import product

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exitless.arch.x86.message import (
    DeliveryMode,
    decode_compatible,
    encode_compatible,
    encode_remappable,
    is_interrupt,
    is_remappable,
    remappable_address,
    remapping_index,
    reserved_request_bits,
)

BYTES = range(256)
# Bits of the address and of the data, as the table of the compatibility format has them: name, lowest bit, width.
ADDRESS = {"destination": (12, 8), "rh": (3, 1), "dm": (2, 1)}
DATA = {"vector": (0, 8), "delivery": (8, 3), "trigger": (15, 1)}


def field(word: int, layout: tuple[int, int]) -> int:
    """Cut a field out of a word."""
    return word >> layout[0] & (1 << layout[1]) - 1


def test_the_modes_have_the_manuals_numbers() -> None:
    """000 fixed, 001 lowest priority, 010 SMI, 100 NMI, 101 INIT, 111 ExtINT."""
    modes = DeliveryMode
    assert (modes.FIXED, modes.LOWEST, modes.SMI, modes.NMI, modes.INIT, modes.EXTINT) == (0, 1, 2, 4, 5, 7)


def test_interrupt_writes_are_those_to_the_page_frames_of_fee() -> None:
    """Address bits 31:20 are FEEH, whatever the other bits are."""
    for low in (0, 0x12345, 0xFFFFF):
        assert is_interrupt(0xFEE00000 + low)
        assert not is_interrupt(0xFED00000 + low)
        assert not is_interrupt(0xFEF00000 + low)
        assert not is_interrupt(0x1FEE00000 + low), "bits 63:32 are no part of the range"


@pytest.mark.parametrize("name", [*ADDRESS, *DATA])
def test_each_compatible_field_is_read_from_its_bits_alone(name: str) -> None:
    """Destination in 19:12, RH in 3, DM in 2 of the address; vector in 7:0, mode in 10:8, trigger in 15 of the data."""
    low, width = (ADDRESS | DATA)[name]
    for value in range(1 << width):
        bits = value << low
        address, data = (0xFEE00000 | bits, 0) if name in ADDRESS else (0xFEE00000, bits)
        message = decode_compatible(address, data)
        got = {key: getattr(message, key) for key in (*ADDRESS, *DATA)}
        assert got == dict.fromkeys(got, 0) | {name: value}


def test_every_vector_is_decoded_with_all_other_bits_set() -> None:
    for vector in BYTES:
        message = decode_compatible(0xFEEFFFEC, 0xFFFFFF00 | vector)
        assert (message.vector, message.destination, message.rh, message.dm) == (vector, 255, 1, 1)
        assert (message.delivery, message.trigger) == (7, 1)


def test_every_compatible_message_is_encoded_as_the_table_has_it() -> None:
    """Reserved bits are 0; a level-triggered message asserts, so its level bit 14 is 1."""
    for vector, (rh, dm, trigger) in product(BYTES, product((0, 1), repeat=3)):
        for destination, mode in ((0, 0), (0xA5, 1), (255, 7)):
            message = encode_compatible(destination, rh, dm, vector, mode, trigger)
            assert message.address == 0xFEE00000 | destination << 12 | rh << 3 | dm << 2
            assert message.data == vector | mode << 8 | trigger << 14 | trigger << 15
            assert not is_remappable(message.address)


def test_bit_4_of_the_address_is_the_format() -> None:
    for low in range(16):
        assert not is_remappable(0xFEE00000 | low)
        assert is_remappable(0xFEE00010 | low)


def test_the_index_is_the_handle_plus_a_valid_subhandle() -> None:
    """Handle 14:0 lies in address 19:5 and handle 15 in address bit 2; the subhandle counts with SHV (bit 3) only."""
    for bit in range(16):
        address = 0xFEE00010 | (1 << 5 + bit if bit < 15 else 1 << 2)
        assert remapping_index(address, 0) == 1 << bit
        assert remapping_index(address, 0x1234) == 1 << bit, "SHV is 0"
        assert remapping_index(address | 8, 0x1234) == (1 << bit) + 0x1234


def test_handle_and_subhandle_are_added_without_wrapping() -> None:
    """65535 + 65535 is an index out of any table, not a low one."""
    assert remapping_index(0xFEE00010 | 0x7FFF << 5 | 4 | 8, 0xFFFF) == 0x1FFFE


def test_ignored_address_bits_do_not_matter() -> None:
    for low in range(4):
        assert remapping_index(0xFEE00010 | 5 << 5 | low, 0) == 5


def test_reserved_data_bits_of_a_remappable_request() -> None:
    """31:16 must be 0; without SHV 15:0 must be 0 too."""
    for bit in range(32):
        assert reserved_request_bits(0xFEE00010, 1 << bit)
        assert reserved_request_bits(0xFEE00018, 1 << bit) == (bit >= 16)
    assert not reserved_request_bits(0xFEE00010, 0)


@given(index=st.integers(0, 65535), subhandle=st.integers(0, 65535))
def test_remappable_messages_find_their_entry_again(index: int, subhandle: int) -> None:
    """What is encoded is well formed, and names index plus subhandle."""
    message = encode_remappable(index, subhandle)
    assert is_interrupt(message.address)
    assert is_remappable(message.address)
    assert not reserved_request_bits(message.address, message.data)
    assert remapping_index(message.address, message.data) == index + subhandle
    assert field(message.address, (5, 15)) | field(message.address, (2, 1)) << 15 == index
    assert remapping_index(remappable_address(index), 0) == index
