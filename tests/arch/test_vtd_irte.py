"""The remapping-table entry: both formats bit by bit against the tables of VT-d 9.9 and 9.10."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exitless.arch.vtd.irte import POSTED_LAYOUT, REMAPPED_LAYOUT, Irte, pack, reserved_bits_set, unpack

# Name, lowest bit, width in the 128-bit entry; the bits that no field names are reserved.
COMMON = {
    "p": (0, 1), "fpd": (1, 1), "avail": (8, 4), "im": (15, 1), "vector": (16, 8), "sid": (64, 16), "sq": (80, 2),
    "svt": (82, 2),
}  # fmt: skip
REMAPPED = COMMON | {"dm": (2, 1), "rh": (3, 1), "tm": (4, 1), "dlm": (5, 3), "dst": (32, 32)}
POSTED = COMMON | {"urg": (14, 1), "pda_low": (38, 26), "pda_high": (96, 32)}
REMAPPED_RESERVED = [*range(12, 15), *range(24, 32), *range(84, 128)]
POSTED_RESERVED = [*range(2, 8), 12, 13, *range(24, 38), *range(84, 96)]
FORMATS = {0: (REMAPPED, REMAPPED_RESERVED), 1: (POSTED, POSTED_RESERVED)}
FIELDS = sorted(REMAPPED.keys() | POSTED.keys())


def whole(words) -> int:
    """Read four words as one 128-bit number."""
    return sum(words[i] << 32 * i for i in range(4))


def words_of(entry: int):
    """Cut a 128-bit number into four words."""
    words = pack(Irte())
    for i in range(4):
        words[i] = entry >> 32 * i & 0xFFFFFFFF
    return words


def fields_of(irte: Irte) -> dict[str, int]:
    """Return all fields but the summary of reserved bits."""
    return {name: int(getattr(irte, name)) for name in FIELDS}


@pytest.mark.parametrize("im", FORMATS)
def test_fields_and_reserved_bits_make_the_whole_entry(im: int) -> None:
    """The tables name every one of the 128 bits once: this guards the test itself."""
    fields, reserved = FORMATS[im]
    bits = [low + n for low, width in fields.values() for n in range(width)]
    assert sorted([*bits, *reserved]) == list(range(128))


@pytest.mark.parametrize("im", FORMATS)
def test_each_field_is_packed_into_its_bits(im: int) -> None:
    for name, (low, width) in FORMATS[im][0].items():
        irte = Irte()
        irte.im = im
        setattr(irte, name, (1 << width) - 1)
        expected = 1 << 15 if im or name == "im" else 0
        if name == "im":
            expected = 1 << 15
        assert whole(pack(irte)) == expected | (1 << width) - 1 << low


@pytest.mark.parametrize("im", FORMATS)
def test_each_bit_of_the_entry_is_one_bit_of_its_field(im: int) -> None:
    for name, (low, width) in FORMATS[im][0].items():
        if name == "im":
            continue
        for n in range(width):
            irte = unpack(words_of(im << 15 | 1 << low + n))
            assert fields_of(irte) == dict.fromkeys(FIELDS, 0) | {"im": im, name: 1 << n}
            assert irte.reserved == 0


@pytest.mark.parametrize("im", FORMATS)
def test_every_reserved_bit_is_seen(im: int) -> None:
    for bit in FORMATS[im][1]:
        assert reserved_bits_set(words_of(im << 15 | 1 << bit))
        assert unpack(words_of(im << 15 | 1 << bit)).reserved == 1


@pytest.mark.parametrize("im", FORMATS)
def test_no_field_is_reserved_even_with_all_bits_set(im: int) -> None:
    entry = sum((1 << width) - 1 << low for low, width in FORMATS[im][0].values()) & ~(1 << 15) | im << 15
    assert not reserved_bits_set(words_of(entry))


def test_every_vector_stands_in_bits_23_to_16_of_both_formats() -> None:
    """V where IM is 0, VV where it is 1."""
    for vector in range(256):
        for im in FORMATS:
            irte = Irte()
            irte.p, irte.im, irte.vector = 1, im, vector
            assert whole(pack(irte)) == 1 | im << 15 | vector << 16
            assert unpack(pack(irte)).vector == vector


def test_the_descriptors_address_is_split_at_bit_32() -> None:
    """PDA bits 31:6 are entry bits 63:38, PDA bits 63:32 are entry bits 127:96."""
    address = 0x0123_4567_89AB_CDC0
    irte = Irte()
    irte.im, irte.pda_low, irte.pda_high = 1, address >> 6 & 0x3FFFFFF, address >> 32
    entry = whole(pack(irte))
    assert (entry >> 38 & 0x3FFFFFF) << 6 | entry >> 96 << 32 == address


@given(entry=st.integers(0, 2**128 - 1), im=st.sampled_from([0, 1]))
def test_packing_undoes_unpacking(entry: int, im: int) -> None:
    """An entry without reserved bits comes back as it was."""
    entry = entry & ~(1 << 15) | im << 15
    for bit in FORMATS[im][1]:
        entry &= ~(1 << bit)
    assert whole(pack(unpack(words_of(entry)))) == entry


def test_the_layouts_shown_to_people_are_those_of_the_tables() -> None:
    """AVAIL belongs to software and is not among them."""
    for shown, fields in ((REMAPPED_LAYOUT, REMAPPED), (POSTED_LAYOUT, POSTED)):
        assert {name: (low, width) for name, low, width in shown} == {k: v for k, v in fields.items() if k != "avail"}
