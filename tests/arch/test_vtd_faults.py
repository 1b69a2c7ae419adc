"""Every fault of a remapping unit with its reason, and what the formats of a destination are."""

from itertools import product

import pytest

from exitless.arch.vmx.posted import PostedDescriptor
from exitless.arch.vtd.irte import Irte, unpack
from exitless.arch.vtd.posting import FAULTED, post_request
from exitless.arch.vtd.remap import Fault, Remapper, Translation, Verdict, translate
from exitless.arch.x86.message import encode_compatible, encode_remappable
from exitless.bits.words import zeros


def unit(*entries: Irte) -> Remapper:
    """Return a unit whose table holds these entries."""
    remapper = Remapper()
    remapper.table.extend(entries)
    return remapper


def entry(**fields: int) -> Irte:
    """Return a present entry with these fields."""
    irte = Irte()
    irte.p = 1
    for name, value in fields.items():
        assert hasattr(irte, name)
        setattr(irte, name, value)
    return irte


def ask(remapper: Remapper, index: int = 0, sid: int = 0, subhandle: int = 0) -> Translation:
    """Send a remappable request and return what became of it."""
    message, out = encode_remappable(index, subhandle), Translation()
    assert translate(remapper, message.address, message.data, sid, out) == out.kind
    return out


@pytest.mark.parametrize("fpd", [0, 1])
@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"unreadable": 1}, 0x23), ({"p": 0}, 0x22), ({"reserved": 1}, 0x24),
        ({"svt": 1, "sid": 0x100}, 0x26), ({"svt": 2, "sid": 0x0203}, 0x26), ({"svt": 3}, 0x26), ({}, 0),
    ],
)  # fmt: skip
def test_entry_faults_and_what_fpd_keeps_silent(fields: dict[str, int], reason: int, fpd: int) -> None:
    """5.1.4: reasons 22H, 24H, 26H, and 23H from memory; FPD suppresses the record of those found in the entry."""
    out = ask(unit(entry(fpd=fpd, **fields)))
    assert (out.kind, out.fault) == ((Verdict.FAULT, reason) if reason else (Verdict.REMAPPED, 0))
    if reason:
        assert out.recorded == (1 if reason == 0x23 else 1 - fpd)


def test_request_faults() -> None:
    """5.1.4: 25H blocked compatibility request; 20H reserved request bits and 21H index, from memory."""
    remapper, out = unit(entry()), Translation()
    message = encode_compatible(1, 0, 0, 0x41, 0, 0)
    for eime, cfis in product((0, 1), (0, 1)):
        remapper.eime, remapper.cfis = eime, cfis
        verdict = translate(remapper, message.address, message.data, 0, out)
        blocked = eime == 1 or cfis == 0
        assert verdict == (Verdict.FAULT if blocked else Verdict.FORWARD)
        assert (out.fault, out.recorded) == ((0x25, 1) if blocked else (0, out.recorded))
    remapper = unit(entry())
    message = encode_remappable(0, 0)
    for bit in range(32):
        translate(remapper, message.address, 1 << bit, 0, out)
        assert out.fault == 0x20, "without SHV all data bits are reserved"
        translate(remapper, message.address + 8, 1 << bit, 0, out)
        assert out.fault == (0x21 if bit < 16 else 0x20), "with SHV bits 15:0 are the subhandle"
    remapper.choices.vtd_fault_index = 0x77
    remapper.choices.vtd_fault_request_reserved = 0x78
    assert ask(remapper, 5).fault == 0x77
    translate(remapper, message.address, 1, 0, out)
    assert out.fault == 0x78
    remapper.choices.vtd_fault_fetch = 0x79
    remapper.table[0].unreadable = 1
    assert ask(remapper).fault == 0x79


def test_a_disabled_unit_lets_everything_pass() -> None:
    """5.1.3: a remappable request is then taken as it stands."""
    remapper, out = unit(), Translation()
    remapper.enabled = 0
    message = encode_compatible(0x12, 1, 1, 0x41, 1, 1)
    assert translate(remapper, message.address, message.data, 0, out) == Verdict.FORWARD
    assert (out.destination, out.dm, out.rh, out.vector, out.delivery, out.trigger) == (0x12, 1, 1, 0x41, 1, 1)


@pytest.mark.parametrize("first", [0, 1])
def test_the_order_of_two_reasons_is_a_choice(first: int) -> None:
    """Which of a bad requester and a reserved bit is told: vtd_source_before_reserved."""
    remapper = unit(entry(reserved=1, svt=1, sid=9))
    remapper.choices.vtd_source_before_reserved = first
    assert ask(remapper).fault == (Fault.SOURCE if first else Fault.ENTRY_RESERVED)
    remapper = unit(entry(svt=3))
    remapper.choices.vtd_reserved_source_type_is_entry = first
    assert ask(remapper).fault == (Fault.ENTRY_RESERVED if first else Fault.SOURCE)


def test_which_requesters_an_entry_lets_in() -> None:
    """9.9: SVT 0 all; 1 SID with SQ ignoring bits 2, 2:1 or 2:0; 2 a range of buses."""
    ignored = {0: 0, 1: 0b100, 2: 0b110, 3: 0b111}
    for sq, sid in product(range(4), range(0x12E0, 0x1320)):
        out = ask(unit(entry(svt=1, sq=sq, sid=0x1300)), sid=sid)
        assert (out.fault == 0) == (sid & ~ignored[sq] == 0x1300 & ~ignored[sq])
    for bus in range(256):
        assert (ask(unit(entry(svt=2, sid=0x20_42)), sid=bus << 8 | 0x17).fault == 0) == (0x20 <= bus <= 0x42)


def test_destination_has_32_bits_with_eime_and_8_without() -> None:
    """9.9: DST is 63:32 in x2APIC form, 47:40 in xAPIC form; what stands beside it counts by choice."""
    for destination in (0, 1, 0xFF, 0x100, 0xFF00, 0x12345678):
        remapper = unit(entry(dst=destination))
        assert ask(remapper).destination == destination
        remapper.eime = 0
        assert ask(remapper).destination == destination >> 8 & 0xFF
        remapper.choices.vtd_narrow_destination_is_checked = 1
        assert (ask(remapper).fault == Fault.ENTRY_RESERVED) == (destination & 0xFFFF00FF != 0)


@pytest.mark.parametrize("posted", [0, 1])
def test_every_reserved_bit_of_both_formats(posted: int) -> None:
    """9.9 and 9.10: 14:12, 31:24, 127:84 remapped; 7:2, 13:12, 31:24, 37:32, 95:84 posted."""
    reserved = {*range(24, 32), *range(84, 96)}
    reserved |= {*range(2, 8), 12, 13, *range(32, 38)} if posted else {12, 13, 14, *range(96, 128)}
    for bit in range(128):
        if bit in (0, 15, 82, 83):
            continue
        words = zeros(4)
        words[0] = 1 | posted << 15
        words[bit // 32] |= 1 << bit % 32
        out = ask(unit(unpack(words)))
        assert (out.fault == 0x24) == (bit in reserved), bit


@pytest.mark.parametrize(("fpd", "obeys"), list(product((0, 1), (0, 1))))
def test_descriptor_faults(fpd: int, obeys: int) -> None:
    """5.1.4: 27H when the descriptor cannot be read, 28H for its reserved bits; nothing is posted then."""
    remapper = unit(entry(im=1, vector=0x41, fpd=fpd))
    remapper.choices.vtd_posted_fault_obeys_fpd = obeys
    for readable, reserved, reason in ((0, False, 0x27), (0, True, 0x27), (1, True, 0x28)):
        out, pid = ask(remapper), PostedDescriptor()
        assert out.kind == Verdict.POSTED
        assert post_request(remapper, remapper.table[0], pid, readable, reserved, out) == FAULTED
        assert (out.kind, out.fault, out.recorded) == (Verdict.FAULT, reason, 1 - (fpd & obeys))
        assert (list(pid.pir), pid.on) == ([0] * 8, 0)
