"""Controls become lines of a scenario, a state becomes a file and a command, and both simulate the same."""

import shlex
import tomllib

import pytest

from exitless.cli.controls import assignments, values_of
from exitless.cli.live import Bench, toml
from exitless.cli.main import parse as parse_command
from exitless.scenario import load, parse, read_text


def test_values_are_those_of_the_file() -> None:
    scenario, _ = load("mail")
    assert values_of(scenario) == {
        "pcpus": 4, "costs": "illustrative", "load": 30, "rate": 10, "frame": 1518, "moderation": 50, "vcpus": 1,
        "pin": 1,
    }  # fmt: skip


@pytest.mark.parametrize(
    ("changes", "lines"),
    [
        ({}, []),
        ({"load": 30}, []),
        ({"load": 60}, ["device[0].load=60"]),
        ({"moderation": 8}, ['device[0].moderation="8 us"']),
        ({"rate": 40, "frame": 64}, ['device[0].rate="40 Gbit/s"', 'device[0].frame="64 B"']),
        ({"vcpus": 2}, ["vm[1].vcpus=2", "vm[1].pin=[1, 2]"]),
        ({"pin": "none"}, ["vm[1].pin=[]"]),
        ({"pcpus": 2}, ["host.pcpus=2", "vm[0].pin=[0, 1, 0, 1]", "device[1].pcpus=[1, 0, 1, 0]"]),
        ({"pcpus": 8}, ["host.pcpus=8"]),
    ],
)
def test_changes_are_lines_of_the_scenario(changes: dict[str, object], lines: list[str]) -> None:
    scenario, _ = load("mail")
    assert assignments(scenario, changes) == lines
    changed, _ = load("mail", lines)
    assert {k: values_of(changed)[k] for k in changes} == changes


@pytest.mark.parametrize("pcpus", [1, 2, 3, 16])
def test_every_number_of_pcpus_can_be_simulated(pcpus: int) -> None:
    bench = Bench("mail", [], ["vtd-posted", "direct-shuffled"], None, 1_000_000_000)
    said = bench.simulate({"changes": {"pcpus": pcpus, "vcpus": 4}})
    assert [len(r["owners"]) for r in said["records"]] == [pcpus, pcpus]


def test_a_written_scenario_reads_as_it_was() -> None:
    text, where = read_text("mail")
    data = parse(text, where)
    data["title"] = 'quotes " and \\ and\na line, µ'
    data["run"]["odd key"] = [True, 1.5, "x"]
    assert tomllib.loads(toml(data)) == data


def test_file_and_command_give_the_run_of_the_page(tmp_path) -> None:  # type: ignore[no-untyped-def]
    changes = {"load": 80, "vcpus": 2, "pcpus": 3, "moderation": 0}
    bench = Bench("mail", ['host.ratelimit="0 us"'], [], 7, 2_000_000_000)
    shown = bench.simulate({"changes": changes, "mechanisms": ["pvhvm"]})["records"][0]
    said = bench.words({"changes": changes, "mechanisms": ["pvhvm"]})
    path = tmp_path / "scenario.toml"
    path.write_text(said["toml"], "utf-8")
    again = Bench(str(path), [], [], 7, 2_000_000_000).simulate({})["records"][0]
    assert (again["asserts"], again["exits"], again["name"]) == (shown["asserts"], shown["exits"], "pvhvm")
    words = shlex.split(said["command"])
    assert words[:3] == ["exitless", "run", "mail"]
    args, _ = parse_command(words[1], words[2:])
    assert (args.mechanism, args.seed, args.length) == (["pvhvm"], 7, "2 ms")
    by_command = Bench("mail", args.set, args.mechanism, args.seed, 2_000_000_000).simulate({})["records"][0]
    assert by_command["exits"] == shown["exits"]


def test_a_tour_answers_from_the_runs_it_is_given() -> None:
    bench = Bench("mail", [], [], None, 10_000_000_000)
    cards = bench.tour({})["tour"]
    assert len(cards) == 8 and all(len(c["says"]) <= 3 and c["cites"] and c["opposite"] for c in cards)
    records = {r["name"]: r for r in bench.simulate({})["records"]}
    for c in cards:
        m = c["moment"]
        times = records[m["mechanism"]]
        assert 0 <= m["time"] <= times["span"]
        if "key" in m:
            source, serial = m["key"].split(".")
            assert any((j[0], j[1]) == (int(source), int(serial)) for j in times["journeys"])
    bars = next(c for c in cards if c.get("block", {}).get("kind") == "bars")["block"]["rows"]
    for name, parts in bars:
        handled, found = records[name]["causes"][1]
        assert sum(parts.values()) == pytest.approx(sum(n for _, n in found) / handled)
    busier = bench.tour({"changes": {"load": 90}})["tour"]
    assert [c["question"] for c in busier] == [c["question"] for c in cards] and busier != cards
