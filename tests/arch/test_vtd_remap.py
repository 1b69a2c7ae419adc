"""The remapping algorithm: what becomes of a request, in the manual's order of checks. VT-d 5.1.3 and 5.1.4."""

import pytest

from exitless.arch.vtd.irte import Irte
from exitless.arch.vtd.remap import UNVERIFIED_FAULTS, Fault, Remapper, Translation, Verdict, source_valid, translate
from exitless.arch.x86.message import encode_compatible, encode_remappable, remappable_address

FIELDS = ["kind", "fault", "recorded", "index", "vector", "destination", "dm", "rh", "delivery", "trigger", "urgent"]


def entry(**fields: int) -> Irte:
    """Return a present entry with these fields."""
    irte = Irte()
    irte.p = 1
    for name, value in fields.items():
        setattr(irte, name, value)
    return irte


def unit(*entries: Irte, **settings: int) -> Remapper:
    """Return an enabled unit in extended mode with this table."""
    remapper = Remapper()
    remapper.table = list(entries)
    for name, value in settings.items():
        setattr(remapper, name, value)
    return remapper


def stale() -> Translation:
    """Return a translation that holds the worst that an earlier request can have left."""
    out = Translation()
    for name in FIELDS:
        setattr(out, name, 1)
    return out


def fault(remapper: Remapper, address: int, data: int = 0, sid: int = 0) -> tuple[int, int]:
    """Translate a request that must fault. Returns: reason, and whether it is recorded."""
    out = stale()
    assert translate(remapper, address, data, sid, out) == Verdict.FAULT == out.kind
    assert [getattr(out, name) for name in FIELDS[4:]] == [0] * 7, "a fault leaves nothing of an earlier request"
    return out.fault, out.recorded


def test_faults_have_the_manuals_numbers() -> None:
    """20H reserved request bits, 21H index, 22H not present, 23H fetch, 24H reserved entry bits, 25H compatibility
    request blocked, 26H source validation; 20H, 21H and 23H are from memory and say so."""
    f = Fault
    got = [f.REQUEST_RESERVED, f.INDEX, f.NOT_PRESENT, f.FETCH, f.ENTRY_RESERVED, f.COMPATIBILITY, f.SOURCE]
    assert got == [0x20, 0x21, 0x22, 0x23, 0x24, 0x25, 0x26]
    assert UNVERIFIED_FAULTS == (0x20, 0x21, 0x23)


def test_with_remapping_off_every_request_passes_unchanged() -> None:
    """Step 1: even one in remappable format is then an ordinary message; nothing of an earlier request stays."""
    for vector in range(256):
        message = encode_compatible(0x5A, 1, 1, vector, 1, 1)
        out = stale()
        assert translate(unit(enabled=0), message.address, message.data, 0, out) == Verdict.FORWARD == out.kind
        assert (out.vector, out.destination, out.rh, out.dm) == (vector, 0x5A, 1, 1)
        assert (out.delivery, out.trigger, out.urgent) == (1, 1, 0)
        assert (out.fault, out.recorded, out.index) == (Fault.NONE, 0, -1)
    assert translate(unit(enabled=0), remappable_address(9), 0, 0, stale()) == Verdict.FORWARD


@pytest.mark.parametrize("eime, cfis, passes", [(0, 1, True), (0, 0, False), (1, 1, False), (1, 0, False)])
def test_compatibility_requests_pass_only_with_cfis_outside_extended_mode(eime: int, cfis: int, passes: bool) -> None:
    """Step 2: EIME=1 or CFIS=0 blocks with fault 25H."""
    message = encode_compatible(3, 0, 0, 0x41, 0, 0)
    remapper = unit(eime=eime, cfis=cfis)
    if passes:
        assert translate(remapper, message.address, message.data, 0, stale()) == Verdict.FORWARD
    else:
        assert fault(remapper, message.address, message.data) == (0x25, 1)


def test_reserved_bits_of_the_request_are_judged_before_its_index() -> None:
    """Step 3 goes before step 4."""
    assert fault(unit(), remappable_address(500), 1) == (0x20, 1)


def test_an_index_past_the_table_faults() -> None:
    """Step 4, for the first index that is not there and for one that only the subhandle makes too high."""
    remapper = unit(entry(), entry())
    assert fault(remapper, remappable_address(2)) == (0x21, 1)
    message = encode_remappable(1, 1)
    assert fault(remapper, message.address, message.data) == (0x21, 1)


@pytest.mark.parametrize("fpd", [0, 1])
def test_checks_of_the_entry_come_in_order_and_fpd_keeps_the_record_away(fpd: int) -> None:
    """Step 5: P, then reserved bits, then the source; FPD=1 suppresses the record, not the fault."""
    wrong = {"reserved": 1, "svt": 1, "sid": 7, "fpd": fpd}
    assert fault(unit(entry(**wrong, p=0)), remappable_address(0)) == (0x22, 1 - fpd)
    assert fault(unit(entry(**wrong)), remappable_address(0)) == (0x24, 1 - fpd)
    assert fault(unit(entry(**wrong | {"reserved": 0})), remappable_address(0)) == (0x26, 1 - fpd)


def test_a_remapped_entry_gives_all_its_fields_for_every_vector() -> None:
    """Step 6: DM, RH, TM, DLM, V and DST are the entry's; nothing is the request's but the index."""
    for vector in range(256):
        remapper = unit(entry(), entry(dm=1, rh=1, tm=1, dlm=1, vector=vector, dst=0x12345678))
        out = stale()
        assert translate(remapper, remappable_address(1), 0, 0, out) == Verdict.REMAPPED == out.kind
        assert (out.vector, out.destination, out.dm, out.rh) == (vector, 0x12345678, 1, 1)
        assert (out.delivery, out.trigger, out.index, out.urgent) == (1, 1, 1, 0)
        assert (out.fault, out.recorded) == (Fault.NONE, 0)


def test_outside_extended_mode_the_destination_is_the_byte_in_bits_47_to_40() -> None:
    """DST holds an x2APIC ID of 32 bits, or an xAPIC ID in its bits 15:8."""
    for apic_id in range(256):
        out = stale()
        translate(unit(entry(dst=apic_id << 8), eime=0), remappable_address(0), 0, 0, out)
        assert out.destination == apic_id
        translate(unit(entry(dst=apic_id << 8), eime=1), remappable_address(0), 0, 0, out)
        assert out.destination == apic_id << 8


@pytest.mark.parametrize("urgent", [0, 1])
def test_a_posted_entry_obliges_the_caller_to_post_every_vector(urgent: int) -> None:
    """Step 7: VV and URG are the entry's; there is no destination but the descriptor's."""
    for vector in range(256):
        out = stale()
        remapper = unit(entry(im=1, urg=urgent, vector=vector))
        assert translate(remapper, remappable_address(0), 0, 0, out) == Verdict.POSTED == out.kind
        assert (out.vector, out.urgent, out.index) == (vector, urgent, 0)
        assert (out.fault, out.recorded) == (Fault.NONE, 0)
        assert (out.destination, out.dm, out.rh, out.delivery, out.trigger) == (0, 0, 0, 0, 0), "posted ones are edge"


def test_a_posted_entry_is_checked_like_a_remapped_one() -> None:
    assert fault(unit(entry(im=1, p=0)), remappable_address(0)) == (0x22, 1)
    assert fault(unit(entry(im=1, svt=1, sid=1)), remappable_address(0)) == (0x26, 1)


# ---- who may use an entry ----


def test_without_validation_every_requester_may() -> None:
    """SVT=00."""
    assert all(source_valid(entry(sid=0x1234, sq=sq), sid) for sq in range(4) for sid in (0, 0x1234, 0xFFFF))


@pytest.mark.parametrize("sq, ignored", [(0, 0b000), (1, 0b100), (2, 0b110), (3, 0b111)])
def test_sq_says_which_function_bits_are_ignored(sq: int, ignored: int) -> None:
    """SVT=01: SQ 00 all 16 bits count, 01 not bit 2, 10 not bits 2:1, 11 not bits 2:0."""
    irte = entry(svt=1, sq=sq, sid=0x5A35)
    for bit in range(16):
        assert source_valid(irte, 0x5A35 ^ 1 << bit) == (ignored >> bit & 1 == 1)
    assert source_valid(irte, 0x5A35)
    assert source_valid(irte, 0x5A35 ^ ignored)


def test_a_bus_range_includes_both_its_ends() -> None:
    """SVT=10: the requester's bus lies in SID[15:8] to SID[7:0]; device and function do not count."""
    irte = entry(svt=2, sid=0x2040)
    for bus in range(256):
        for function in (0, 0xFF):
            assert source_valid(irte, bus << 8 | function) == (0x20 <= bus <= 0x40)


def test_the_reserved_way_of_validation_lets_nobody_in() -> None:
    """SVT=11 is reserved; this model refuses the request."""
    assert not source_valid(entry(svt=3, sid=9), 9)
