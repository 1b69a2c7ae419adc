"""The table of properties is whole, every world and mutation in it is there, and what has no world has a naive twin."""

import re

import pytest

from exitless.arch.vmx.posted import PostedDescriptor, has_posted
from exitless.arch.vtd.irte import Irte, pack, unpack
from exitless.arch.vtd.post import post
from exitless.arch.vtd.posting import address_low, posted_entry, remapped_entry, replace, replace_half
from exitless.arch.vtd.remap import Remapper, Translation, Verdict, translate
from exitless.arch.x86.message import encode_remappable
from exitless.check.catalog import entries, make, world_rows
from exitless.check.explore import explore
from exitless.check.path import counterexample
from exitless.check.properties import properties, shown_by
from exitless.check.property import Law
from tests.check.test_worlds import BREAKS, SIZES
from tests.house.tree import ROOT

NUMBERS = [*(f"P{n}" for n in range(1, 12)), "P11b", *(f"P{n}" for n in range(12, 24))]


def test_every_property_is_there_once_and_is_shown_or_tested() -> None:
    assert [found.number for found in properties()] == NUMBERS
    assert all(found.shown or found.tests for found in properties())


def test_what_the_table_names_exists() -> None:
    """A mutation of a world that holds unmutated (test_worlds explores all of them), or a test of this file."""
    for found in properties():
        assert all(pair in BREAKS and pair[0] in SIZES for pair in found.shown), found.number
        assert all(name.split("::")[1] in globals() for name in found.tests), found.number


def test_the_list_of_worlds_names_the_properties() -> None:
    """`exitless list worlds` says behind each mutation what it breaks."""
    told = {name: says for name, says, _ in world_rows()}
    for found in properties():
        for world, mutation in found.shown:
            marks = re.search(rf"{mutation} \(([^)]*)\)", told[world])
            assert marks and found.number in marks[1].split(", ")
    bare = [(e.name, m) for e in entries() for m in e.mutation_names() if not shown_by(e.name, m)]
    assert bare and all(f"{m} (" not in told[name] for name, m in bare)


def test_the_page_holds_the_fewest_steps() -> None:
    """docs/properties.md, which a house test holds current, agrees with the numbers pinned beside it."""
    page = (ROOT / "docs" / "properties.md").read_text(encoding="utf-8")
    rows = [
        [cell.strip(" `") for cell in line.split("|")[1:-1]] for line in page.splitlines() if line.startswith("| P")
    ]
    assert {row[0] for row in rows} == set(NUMBERS)
    for row in rows:
        if not row[2].startswith("tests/"):
            assert int(row[4]) == BREAKS[row[2], row[3]][1], row


@pytest.mark.parametrize("number", ["P3", "P4"])
def test_the_two_smallest_take_at_most_six_steps(number: str) -> None:
    world, mutation = next(found for found in properties() if found.number == number).shown[0]
    assert explore(make(world, ""), 1000).law == Law.NONE
    assert len(counterexample(explore(make(world, mutation), 1000)).steps) <= 6


# ---- P17: one entry, two writers of 128 bits ----

OLD_PID, NEW_PID, SOURCE = (0x11111100, 0x1), (0x89ABCDC0, 0x12), 0x1234


def remapped() -> Irte:
    """A remapped entry of a device."""
    irte = Irte()
    irte.p, irte.vector, irte.dst, irte.sid, irte.svt = 1, 0x31, 7, SOURCE, 1
    return irte


def meant(words: list[int]) -> tuple[int, ...]:
    """Return what an interrupt through this entry does, as a device's request finds it."""
    unit, out = Remapper(), Translation()
    unit.table.append(unpack(words))
    message = encode_remappable(0, 0)
    verdict = translate(unit, message.address, message.data, SOURCE, out)
    irte = unpack(words)
    if verdict == Verdict.POSTED:
        return (verdict, irte.vector, address_low(irte), irte.pda_high)
    return (verdict, out.vector, out.destination)


@pytest.mark.parametrize("direction", ["remapped to posted", "posted to remapped", "posted to posted"])
def test_p17_two_halves_are_an_entry_that_nobody_meant(direction: str) -> None:
    """A request between two writes of 64 bits finds neither the old nor the new entry; one write of 128 is safe."""
    posted = posted_entry(remapped(), 0x41, *OLD_PID, 0)
    old, new = {
        "remapped to posted": (remapped(), posted),
        "posted to remapped": (posted, remapped_entry(posted, 0x31, 7, 0, 0, 0)),
        "posted to posted": (posted, posted_entry(posted, 0x41, *NEW_PID, 0)),
    }[direction]
    right = [meant(pack(old)), meant(pack(new))]
    assert Verdict.FAULT not in (right[0][0], right[1][0])
    whole = pack(old)
    replace(whole, pack(new))
    assert meant(whole) == right[1]
    torn = []
    for order in ((0, 1), (1, 0)):
        words = pack(old)
        for half in order:
            replace_half(words, pack(new), half)
            torn.append(meant(words))
        assert torn.pop() == right[1], "both halves make the new entry"
    assert any(found not in right for found in torn), "the twin of two writes shows an entry that nobody meant"


def test_p17_a_new_form_keeps_nothing_of_the_old_one() -> None:
    """Xen a5e25908d1: the twin rewrites vector and destination of a posted entry and keeps IM; the rule does not."""
    posted = posted_entry(remapped(), 0x41, *NEW_PID, 0)
    verdict, vector, destination = meant(pack(remapped_entry(posted, 0x52, 9, 0, 0, 0)))
    assert (verdict != Verdict.POSTED, vector, destination) == (True, 0x52, 9)
    twin = unpack(pack(posted))
    twin.vector, twin.dst = 0x52, 9
    assert meant(pack(twin))[0] == Verdict.POSTED, "the twin still posts, to a descriptor of its old owner"


@pytest.mark.parametrize("frees_first", [False, True])
def test_p17_a_descriptor_outlives_the_entries_that_name_it(frees_first: bool) -> None:
    """Request, entry rewritten, descriptor freed: nobody posts into freed memory. The twin frees before it rewrites."""
    live: dict[tuple[int, int], PostedDescriptor] = {OLD_PID: PostedDescriptor(), NEW_PID: PostedDescriptor()}
    words = pack(posted_entry(remapped(), 0x41, *OLD_PID, 0))
    lost = 0

    def request() -> int:
        _, vector, low, high = meant(words)
        if (low, high) not in live:
            return 1
        post(live[low, high], vector, 0)
        return 0

    lost += request()
    steps = [lambda: replace(words, pack(posted_entry(unpack(words), 0x41, *NEW_PID, 0))), lambda: live.pop(OLD_PID)]
    for step in reversed(steps) if frees_first else steps:
        step()
        lost += request()
    assert lost == int(frees_first)
    assert has_posted(live[NEW_PID]) and OLD_PID not in live
