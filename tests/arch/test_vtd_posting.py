"""Posting into descriptors, notifications in both forms, what remapped requests become, and updates of entries."""

from itertools import product

import pytest

from exitless.arch.vmx.posted import PostedDescriptor
from exitless.arch.vtd.descriptor import (
    DESCRIPTOR_LAYOUT,
    descriptor_reserved,
    destination_field,
    destination_id,
    pack_descriptor,
    unpack_descriptor,
)
from exitless.arch.vtd.irte import Irte, pack, unpack
from exitless.arch.vtd.post import Posted
from exitless.arch.vtd.posting import (
    address_low,
    is_postable,
    notification,
    notifies,
    post_request,
    posted_entry,
    remapped_entry,
    remapped_to_bus,
    replace,
    replace_half,
)
from exitless.arch.vtd.remap import Remapper, Translation, Verdict, translate
from exitless.arch.x86.apic import FRAME, Apic
from exitless.arch.x86.destination import BusMessage, Shorthand, matches
from exitless.arch.x86.message import encode_compatible, encode_remappable
from exitless.arch.x86.modes import write_base
from exitless.bits.words import bits_of, zeros


def table_of(irte: Irte) -> Remapper:
    remapper = Remapper()
    remapper.table.append(irte)
    return remapper


def stale() -> BusMessage:
    """Return the message that a self IPI at a low level has left."""
    bus = BusMessage()
    bus.level, bus.shorthand = 0, Shorthand.SELF
    return bus


@pytest.mark.parametrize(("on", "sn", "urg"), list(product((0, 1), (0, 1), (0, 1))))
def test_posting_every_vector(on: int, sn: int, urg: int) -> None:
    """5.2.3 and T8: PIR is always set; ON := 1 and NV to NDST when ON was 0 and (URG = 1 or SN = 0)."""
    for vector in range(256):
        irte, pid, out = Irte(), PostedDescriptor(), stale()
        irte.p = irte.im = 1
        irte.vector, irte.urg = vector, urg
        pid.on, pid.sn, pid.nv, pid.ndst = on, sn, 0xF2, 0x345
        answer = post_request(table_of(irte), irte, pid, 1, False, Translation())
        told = on == 0 and (urg == 1 or sn == 0)
        assert (bits_of(pid.pir, 0, 1, 8), pid.on, pid.sn) == ([vector], int(on or told), sn)
        assert notifies(answer) == told
        assert bool(answer & Posted.OUTSTANDING) == bool(on)
        assert bool(answer & Posted.SUPPRESSED) == (not on and not told)
        notification(pid, 1, out)
        assert (out.vector, out.destination, out.delivery, out.logical, out.trigger) == (0xF2, 0x345, 0, 0, 0)
        assert (out.wide, out.level, out.shorthand) == (1, 1, Shorthand.NONE)


def test_the_descriptor_bit_by_bit() -> None:
    """9.11: PIR 255:0, ON 256, SN 257, NV 279:272, NDST 319:288; bits between are reserved, the rest is software's."""
    fields = {first + n for _, first, width in DESCRIPTOR_LAYOUT for n in range(width)}
    for bit in range(512):
        words = pack_descriptor(PostedDescriptor(), 1)
        words[bit // 32] |= 1 << bit % 32
        assert descriptor_reserved(words) == (256 <= bit < 320 and bit not in fields), bit
        back = pack_descriptor(unpack_descriptor(words, 1), 1)
        assert (list(back) == list(words)) == (bit in fields), bit


def test_destination_forms() -> None:
    """9.11: xAPIC form holds the ID in NDST[15:8], x2APIC form in all 32 bits."""
    for apic_id in (0, 1, 0x7F, 0xFE):
        assert destination_field(apic_id, 0) == apic_id * 256
        assert destination_id(destination_field(apic_id, 0), 0) == apic_id
    for apic_id in (0, 0xFF, 0x12345678):
        assert destination_id(destination_field(apic_id, 1), 1) == destination_field(apic_id, 1) == apic_id
    pid = PostedDescriptor()
    pid.nv, pid.ndst, pid.on, pid.sn = 0xF2, 0x12, 1, 1
    words = pack_descriptor(pid, 0)
    assert (words[8], words[9]) == (0xF20003, 0x1200)
    assert unpack_descriptor(words, 0).ndst == 0x12


@pytest.mark.parametrize("eime", [0, 1])
def test_a_remapped_request_reaches_whom_its_entry_names(eime: int) -> None:
    """9.9: DM, DST and DLM are those of the entry; level only with fixed and lowest priority."""
    for number, dlm, tm in product((3, 0x21, 0xFE), (0, 1, 4), (0, 1)):
        irte = Irte()
        irte.p, irte.vector, irte.dlm, irte.tm = 1, 0x61, dlm, tm
        irte.dst = number if eime else number << 8
        remapper = table_of(irte)
        remapper.eime = eime
        message, out, bus = encode_remappable(0, 0), Translation(), stale()
        assert translate(remapper, message.address, message.data, 0, out) == Verdict.REMAPPED
        remapped_to_bus(remapper, out, bus)
        assert (bus.vector, bus.delivery, bus.trigger, bus.wide) == (0x61, dlm, int(tm and dlm != 4), eime)
        assert (bus.level, bus.shorthand) == (1, Shorthand.NONE), "an assertion to the destination that it names"
        apics = [Apic(n, 0) for n in (3, 0x21, 0xFE)]
        for apic in apics:
            if eime:
                write_base(apic, FRAME | 0xC00, 0)
        assert [apic.core.apic_id for apic in apics if matches(apic, bus)] == [number]


def test_a_request_that_passes_keeps_its_8_bits() -> None:
    """5.1.4: a compatibility request is forwarded unchanged."""
    remapper, out, bus = Remapper(), Translation(), BusMessage()
    remapper.eime, remapper.cfis = 0, 1
    for rh, dm in product((0, 1), (0, 1)):
        message = encode_compatible(0xFF, rh, dm, 0x41, 1, 1)
        translate(remapper, message.address, message.data, 0, out)
        remapped_to_bus(remapper, out, bus)
        assert (bus.destination, bus.wide, bus.logical, bus.trigger, bus.delivery) == (0xFF, 0, rh & dm, 1, 1)


def test_what_can_be_posted() -> None:
    """5.2: fixed, or lowest priority settled by software, to exactly one vCPU."""
    for delivery, vcpus in product(range(8), range(3)):
        assert is_postable(delivery, vcpus) == (vcpus == 1 and delivery in (0, 1))


def test_both_forms_of_an_entry_are_made_whole() -> None:
    """Xen a5e25908d1: an affinity change of a posted entry must not keep IM; presence and source stay."""
    old = Irte()
    old.p, old.fpd, old.sid, old.sq, old.svt, old.avail = 1, 1, 0x1234, 2, 1, 5
    posted = posted_entry(old, 0x41, 0x89ABCDC0, 0x12, 1)
    assert (posted.im, posted.vector, posted.urg, address_low(posted), posted.pda_high) == (
        1, 0x41, 1, 0x89ABCDC0, 0x12,
    )  # fmt: skip
    back = remapped_entry(posted, 0x31, 7, 1, 1, 0)
    assert (back.im, back.vector, back.dst, back.dlm, back.dm, back.rh, back.urg) == (0, 0x31, 7, 1, 1, 1, 0)
    for irte in (posted, back):
        assert (irte.p, irte.fpd, irte.sid, irte.sq, irte.svt, irte.avail) == (1, 1, 0x1234, 2, 1, 5)
        assert unpack(pack(irte)).reserved == 0


def test_a_torn_update_is_an_entry_nobody_meant() -> None:
    """P17: half of the posted form over a remapped entry posts to an address that is half old; a whole one is safe."""
    old = Irte()
    old.p, old.vector, old.dst = 1, 0x31, 7
    new = posted_entry(old, 0x41, 0x89ABCDC0, 0x12, 0)
    words = pack(old)
    replace_half(words, pack(new), 0)
    torn = unpack(words)
    assert (torn.im, address_low(torn), torn.pda_high) == (1, 0x89ABCDC0, 0)
    replace_half(words, pack(new), 1)
    assert list(words) == list(pack(new))
    whole = pack(old)
    replace(whole, pack(new))
    assert list(whole) == list(pack(new))


def test_a_half_is_two_words_of_four() -> None:
    """9.9: an entry has 128 bits; 64 of them are replaced and the others stay, word by word."""
    assert len(pack(Irte())) == len(pack(posted_entry(Irte(), 0x41, 0x40, 1, 1))) == 4
    for half in (0, 1):
        words, new = zeros(4), zeros(4)
        for i in range(4):
            words[i], new[i] = 10 + i, 20 + i
        replace_half(words, new, half)
        assert list(words) == [20 + i if i // 2 == half else 10 + i for i in range(4)]
