"""The remapping unit against a second one that shares nothing with it, on entries and descriptors as whole numbers."""

from hypothesis import given, settings
from hypothesis import strategies as st

from exitless.arch.vtd.descriptor import descriptor_reserved, pack_descriptor, unpack_descriptor
from exitless.arch.vtd.irte import unpack
from exitless.arch.vtd.posting import FAULTED, notification, notifies, post_request, remapped_to_bus
from exitless.arch.vtd.remap import Remapper, Translation, Verdict, translate
from exitless.arch.x86.destination import BusMessage
from exitless.bits.words import zeros
from tests.naive import remapping


def cut(value: int, count: int):
    """Cut a number into 32-bit words."""
    words = zeros(count)
    for i in range(count):
        words[i] = value >> 32 * i & 0xFFFFFFFF
    return words


def whole(words) -> int:
    """Join 32-bit words."""
    return sum(words[i] << 32 * i for i in range(len(words)))


SID = 0x1234
fields = st.builds(
    lambda low, middle, source, high, odd: low | middle << 32 | source << 64 | high << 96 | odd,
    st.builds(lambda flags, im, vector: flags | im << 15 | vector << 16,
              st.sampled_from([1, 1, 1, 3, 0, 2, 0x0D, 0x11, 0x81, 0x21, 0xF01, 0x4001]),
              st.integers(0, 1), st.integers(0, 255)),
    st.sampled_from([0, 0x0300, 0xFF00, 0x12345678, 0x1000, 0x40, 0xFFFFFFC0]),
    st.builds(lambda sid, sq, svt: sid | sq << 16 | svt << 18,
              st.sampled_from([SID, SID ^ 4, SID ^ 2, SID ^ 1, SID ^ 7, SID ^ 8, 0x1113, 0x1313, 0x1212]),
              st.integers(0, 3), st.integers(0, 3)),
    st.sampled_from([0, 0, 1, 0xFFFFFFFF]),
    st.sampled_from([0, 0, 0]) | st.integers(0, 127).map(lambda bit: 1 << bit),
)  # fmt: skip
entries = fields | st.integers(0, (1 << 128) - 1)
addresses = st.builds(
    lambda index, shv, form, low: 0xFEE00000 | (index & 0x7FFF) << 5 | (index >> 15) << 2 | shv << 3 | form << 4 | low,
    st.sampled_from([0, 0, 1, 2, 3, 4, 0x7FFF, 0x8000]), st.integers(0, 1), st.sampled_from([1, 1, 1, 0]),
    st.integers(0, 3),
)  # fmt: skip
datas = st.sampled_from([0, 0, 0, 1, 2, 3, 4, 0x4031, 0xC1F1, 0x1_0000, 0x8000_0001])


@given(st.lists(entries, min_size=4, max_size=4), addresses, datas, st.tuples(*[st.booleans()] * 3))
@settings(max_examples=1500, deadline=None)
def test_requests(table: list[int], address: int, data: int, flags: tuple[bool, bool, bool]) -> None:
    """5.1.2 to 5.1.5: verdict, fault and its record, and every field of what is sent or posted."""
    enabled, eime, cfis = flags
    unit, out = Remapper(), Translation()
    unit.enabled, unit.eime, unit.cfis = int(enabled), int(eime), int(cfis)
    unit.table = [unpack(cut(entry, 4)) for entry in table]
    answer = translate(unit, address, data, SID, out)
    try:
        expected = remapping.request(table, enabled, eime, cfis, address, data, SID)
    except remapping.Blocked as blocked:
        assert (answer, out.fault, bool(out.recorded)) == (Verdict.FAULT, blocked.reason, blocked.recorded)
        return
    if expected[0] == "post":
        assert (answer, out.vector, out.urgent) == (Verdict.POSTED, *expected[1:])
        return
    assert answer == (Verdict.FORWARD if expected[0] == "forward" else Verdict.REMAPPED)
    assert (out.vector, out.destination, out.rh, out.dm, out.delivery, out.trigger) == expected[1:]
    bus = BusMessage()
    remapped_to_bus(unit, out, bus)
    assert (bus.vector, bus.destination, bus.delivery) == (out.vector, out.destination, out.delivery)
    assert bus.wide == int(answer == Verdict.REMAPPED and eime)
    assert bus.trigger == int(out.trigger and out.delivery in (0, 1))


@given(
    st.builds(
        lambda pir, control, ndst: pir | control << 256 | ndst << 288,
        st.integers(0, (1 << 256) - 1) | st.just(0), st.sampled_from([0, 1, 2, 3, 0xF20000, 0xF20001, 0x4, 0x1000000]),
        st.sampled_from([0, 0x0300, 0xFF00, 0x12345678]),
    ),
    st.integers(0, 255), st.booleans(), st.booleans(), st.booleans(),
)  # fmt: skip
@settings(max_examples=600, deadline=None)
def test_posts(descriptor: int, vector: int, urgent: bool, eime: bool, readable: bool) -> None:
    """5.2.3: PIR, ON, and the notification with NV and NDST of the same read; faults 27H and 28H change nothing."""
    unit, out, irte = Remapper(), Translation(), unpack(cut(1 | 1 << 15 | vector << 16 | urgent << 14, 4))
    unit.eime = int(eime)
    pid = unpack_descriptor(cut(descriptor, 16), int(eime))
    wrong = descriptor_reserved(cut(descriptor, 16))
    assert wrong == bool(descriptor >> 258 & 0x3FFF or descriptor >> 280 & 0xFF)
    answer = post_request(unit, irte, pid, int(readable), wrong, out)
    if wrong or not readable:
        assert (answer, out.fault) == (FAULTED, 0x28 if readable else 0x27)
        return
    after, told = remapping.post(descriptor, vector, urgent)
    kept = (1 << 320) - 1 if eime else ~(0xFFFF00FF << 288) & (1 << 320) - 1
    assert whole(pack_descriptor(pid, int(eime))) == after & kept
    assert notifies(answer) == (told is not None)
    if told:
        bus = BusMessage()
        notification(pid, int(eime), bus)
        named = told[1] if eime else told[1] >> 8 & 0xFF
        assert (bus.vector, bus.destination, bus.delivery, bus.logical, bus.trigger) == (told[0], named, 0, 0, 0)
