"""What there is to draw: windows, lanes in order of cause, the selected interrupt."""

from exitless.record.block import Header
from exitless.study.journeys import choose
from exitless.study.spans import Spans, StateSpan, VectorSpan
from exitless.study.ways import Journey, Step
from exitless.view.lanes import lanes, sources_of
from exitless.view.scene import alike, narrow, part, place_of, scene
from exitless.vocab.kinds import Owner
from tests.views.sample import DISK, GUEST, NIC, SAS, posted, pvhvm, recording


def test_lanes_stand_in_order_of_cause() -> None:
    groups = list(dict.fromkeys(lane.group for lane in scene(posted()).lanes))
    assert groups == ["Devices", "Routing", "Physical CPUs", "Virtual CPUs"]


def test_a_port_stands_above_the_callback_that_it_causes() -> None:
    kinds = [lane.kind for lane in scene(pvhvm()).lanes if lane.number == GUEST and lane.kind in ("port", "vector")]
    assert kinds == ["port", "vector"]


def test_a_device_has_a_lane_only_where_it_asserts() -> None:
    late = scene(posted(), 9_000_000, 12_000_000)
    assert [lane.label for lane in late.lanes if lane.kind == "device"] == ["nic"]


def test_the_interrupt_worth_a_look_is_the_one_that_another_touches() -> None:
    chosen = scene(posted(), source="nic").journey
    assert chosen is not None and (chosen.source, chosen.serial) == (NIC, 1562)
    assert chosen.touching == [2_900_000] and chosen.exits == []


def test_where_none_is_complete_one_that_reached_its_handler_is_chosen() -> None:
    """A trace without ends of interrupts begins with one that waits for its window to the record's end."""
    lost = Journey(-1, 1, GUEST, 0xEC, [Step(n, 0, 0, GUEST, 0xEC, 0) for n in range(5)])
    taken = Journey(-1, 2, GUEST, 0xEC, [Step(n, 0, 0, GUEST, 0xEC, 0) for n in range(3)], handled=2)
    assert choose([lost, taken]) == 1
    assert (choose([lost]), choose([])) == (0, -1)


def test_labels_say_how_many_more_and_runs_as_runs() -> None:
    """What does not fit a lane's head is not named there: a range of entries, or the first and how many more."""
    found = {(lane.kind, lane.label): lane.detail for lane in scene(posted()).lanes}
    assert all("," not in detail and "…" not in detail for detail in found.values())
    assert found["irte", "IRTE"] == "18 +1"


def test_an_interrupt_is_chosen_by_source_and_number() -> None:
    chosen = scene(posted(), source="nic", nth=1563).journey
    assert chosen is not None and chosen.start == 9_200_000
    assert scene(posted(), source="nic", nth=7).journey is None


def test_around_narrows_to_the_interrupt_and_keeps_all_its_steps() -> None:
    near = scene(posted(), source="nic", around=2)
    assert near.journey is not None
    assert near.first_ps <= near.journey.start and near.journey.end <= near.last_ps < 12_000_000
    assert all(near.first_ps <= e.time_ps <= near.last_ps for e in near.events)


def test_a_narrower_scene_has_the_events_of_its_window_and_the_same_selection() -> None:
    wide = scene(posted(), source="nic")
    thin = narrow(wide, 1_000_000, 2_000_000)
    assert [e for e in wide.events if 1_000_000 <= e.time_ps <= 2_000_000] == thin.events
    assert thin.journey is wide.journey and wide.first_ps == 0


def test_what_is_compared_met_the_same_exit_of_another_device() -> None:
    model = scene(posted(), source="nic").journey
    assert model is not None
    other = alike(scene(pvhvm(), source="nic"), model)
    assert other.journey is not None and (other.journey.serial, other.journey.touching) == (1562, [5_000_000])


def test_every_step_has_a_lane() -> None:
    for record in (posted(), pvhvm(), recording()):
        s = scene(record)
        lost = [card.words.title for card in s.cards() if place_of(s, card.rows[0]) < 0]
        assert s.cards() and not lost, f"{record.header.title}: no lane for {lost}"


def test_a_recording_says_what_it_does_not_hold() -> None:
    said = " ".join(scene(recording()).missing())
    assert "names no device assertion" in said and "no posted-interrupt descriptor" in said
    assert scene(posted()).missing() == []


def test_sources_of_guests_come_first_and_a_stem_names_all_its_queues() -> None:
    header = posted().header
    assert sources_of(header, None) == [NIC, DISK, SAS]
    header.sources = ["nic.0", "sas", "nic.1"]
    assert sources_of(header, "nic") == [0, 2] and sources_of(header, "sas") == [1] and sources_of(header, "n") == []


def test_a_part_holds_no_more_rows_than_asked_for() -> None:
    record = posted()
    low, high = part(record, 20)
    assert len([t for t in record.time if low < t < high]) <= 20
    assert part(record, 10**6) == (0, 12_000_000)


def test_vectors_stand_by_priority_and_of_many_the_busiest_first() -> None:
    """A guest of eight vectors is read by their classes; of a recording's dozens those that come often are wanted."""
    header = Header(pcpus=1, vcpus=["v"], owners=[Owner.GUEST])
    once = [VectorSpan(10, 20, 1, True)]
    spans = Spans(0, 100, states={0: [StateSpan(0, 100, 0, 0)]})
    spans.vectors = {(0, vector): once for vector in range(0x31, 0xB1, 0x10)}
    found = [lane.vector for lane in lanes(header, [], spans, -1, 0, 100) if lane.kind == "vector"]
    assert len(found) == 8 and found == sorted(found, reverse=True)
    spans.vectors |= {(0, 0x41): once * 3, (0, 0xC1): once}
    found = [lane.vector for lane in lanes(header, [], spans, -1, 0, 100) if lane.kind == "vector"]
    assert found == [0x41, 0xC1, 0xA1, 0x91, 0x81, 0x71, 0x61, 0x51, 0x31]
