"""The Perfetto file, read back with Perfetto's own classes."""

import io
from typing import Any

import pytest

from exitless.record.block import Record
from exitless.view.packets import varint
from exitless.view.perfetto import Perfetto
from tests.views.sample import posted, pvhvm, recording

pb = pytest.importorskip("perfetto.protos.perfetto.trace.perfetto_trace_pb2")

SAMPLES = {"posted": posted, "pvhvm": pvhvm, "recording": recording}
BEGIN, END, INSTANT, COUNT = 1, 2, 3, 4


class Read:
    """A file read back: tracks by number, and events of each ``(time, type, name, flows, ends, value)``."""

    def __init__(self, *records: Record, first: int | None = None, last: int | None = None) -> None:
        out = io.BytesIO()
        writer = Perfetto(out)
        for record in records:
            writer.add(record, first, last)
        trace = pb.Trace()
        trace.ParseFromString(out.getvalue())
        self.packets = list(trace.packet)
        self.tracks: dict[int, Any] = {}
        self.events: dict[int, list[tuple[int, int, str, list[int], list[int], int]]] = {}
        names: dict[int, str] = {}
        for packet in self.packets:
            names.update({x.iid: x.name for x in packet.interned_data.event_names})
            if packet.HasField("track_descriptor"):
                assert packet.track_descriptor.uuid not in self.tracks
                self.tracks[packet.track_descriptor.uuid] = packet.track_descriptor
            if packet.HasField("track_event"):
                e = packet.track_event
                assert e.track_uuid in self.tracks, "an event before its track"
                name = names[e.name_iid] if e.name_iid else ""
                row = (packet.timestamp, e.type, name, list(e.flow_ids), list(e.terminating_flow_ids), e.counter_value)
                self.events.setdefault(e.track_uuid, []).append(row)

    def named(self, name: str) -> list[tuple[int, int, str, list[int], list[int], int]]:
        """Return the events of the track of a name."""
        return next(self.events[n] for n, track in self.tracks.items() if track.name == name)


def test_the_first_packet_clears_names_and_the_others_need_them() -> None:
    read = Read(posted())
    flags = [(p.sequence_flags, p.first_packet_on_sequence, p.trusted_packet_sequence_id) for p in read.packets]
    assert flags[0] == (1, True, 1) and set(flags[1:]) == {(2, False, 1)}


@pytest.mark.parametrize("name", list(SAMPLES))
def test_every_slice_that_begins_ends_and_times_never_go_back(name: str) -> None:
    read = Read(SAMPLES[name]())
    for track, events in read.events.items():
        open_, before = 0, 0
        for time, kind, *_ in events:
            assert time >= before, read.tracks[track].name
            before = time
            open_ += {BEGIN: 1, END: -1}.get(kind, 0)
            assert open_ >= 0, f"{read.tracks[track].name} ends what never began"
        assert open_ == 0, f"{read.tracks[track].name} does not end"


def test_exits_lie_inside_the_hypervisors_slices() -> None:
    events = Read(posted()).named("pCPU1")
    kinds = [(kind, name) for _, kind, name, *_ in events]
    assert [name for kind, name in kinds if kind == BEGIN].count("EXTERNAL_INTERRUPT") == 1
    at = kinds.index((BEGIN, "EXTERNAL_INTERRUPT"))
    assert kinds[at - 1] == (BEGIN, "Xen") and kinds[at + 1 : at + 3] == [(END, ""), (END, "")]
    assert [events[at][0], events[at + 1][0]] == [2900, 4300]
    assert sum(kind == BEGIN and name == "guest d1v0" for kind, name in kinds) == 3


def test_a_flow_leads_from_the_device_to_the_handler_and_ends_with_the_eoi_or_return() -> None:
    for record in (posted(), pvhvm()):
        read = Read(record)
        (flow,) = read.named("nic")[0][3]
        where = sorted(
            (event[0], read.tracks[track].name, flow in event[4])
            for track, events in read.events.items() for event in events if flow in event[3] + event[4]
        )  # fmt: skip
        names = [name for _, name, _ in where]
        assert names[0] == "nic" and "interrupts" in names and any(name.startswith("0x") for name in names)
        assert [ends for *_, ends in where].count(True) == 1 and where[-1][2]


def test_a_flow_passes_the_exit_that_the_interrupt_causes() -> None:
    read = Read(pvhvm())
    (flow,) = read.named("nic")[0][3]
    assert [name for _, _, name, flows, *_ in read.named("pCPU1") if flow in flows] == ["EXTERNAL_INTERRUPT", "VMCALL"]


def test_every_flow_has_at_least_two_ends() -> None:
    for make in SAMPLES.values():
        read = Read(make())
        count: dict[int, int] = {}
        for events in read.events.values():
            for event in events:
                for flow in event[3] + event[4]:
                    count[flow] = count.get(flow, 0) + 1
        assert count and all(number >= 2 for number in count.values()), count


def test_counters_have_the_records_values() -> None:
    read = Read(posted())
    assert [(t, v) for t, *_, v in read.named("RVI d1v0")][:3] == [(1000, 0x31), (1800, 0x80), (2000, 0x31)]
    assert [v for *_, v in read.named("exits per ms")] == [2]
    pending = [v for *_, v in read.named("interrupts pending d1v0")]
    assert max(pending) == 2 and pending[-1] == 0 and min(pending) >= 0


def test_two_records_stand_beside_each_other_with_flows_of_their_own() -> None:
    read = Read(posted(), pvhvm())
    roots = [track.name for track in read.tracks.values() if not track.parent_uuid]
    assert roots == ["sample · vtd-posted", "sample · pvhvm"]
    assert all(track.parent_uuid in read.tracks for track in read.tracks.values() if track.parent_uuid)
    first = [flow for n, t in read.tracks.items() if t.name == "nic" for e in read.events[n] for flow in e[3]]
    assert len(first) == len(set(first)) and len(first) >= 3


def test_a_window_cuts_slices_at_its_ends() -> None:
    read = Read(posted(), first=3_000_000, last=5_000_000)
    times = [event[0] for events in read.events.values() for event in events]
    assert min(times) == 3000 and max(times) == 5000


@pytest.mark.parametrize("value", [0, 1, 127, 128, 300, 2**32, 2**63 - 1, -1])
def test_whole_numbers_are_encoded_as_the_library_does(value: int) -> None:
    event = pb.TrackEvent(counter_value=value)
    assert event.SerializeToString() == varint(30 * 8) + varint(value)
