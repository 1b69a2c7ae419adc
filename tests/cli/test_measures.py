"""Numbers of a run by their path, bounds on them, and what a scenario that talks is refused for."""

import json

import pytest

from exitless.cli.main import main
from exitless.cli.measures import broken_measures, measure
from exitless.errors import ScenarioError
from exitless.scenario import library_names, load, prepare
from exitless.scenario.schema import Bound

ROW = {
    "mechanism": "posted",
    "sources": {"d0v0.ipi": {"asserted": 30}, "d0v1.ipi": {"asserted": 10}, "nic": {"asserted": 5}},
    "exits": {"by_reason": {"VMCALL": 20}, "total": 24},
}


@pytest.mark.parametrize(
    ("what", "value"),
    [
        ("exits/total", 24),
        ("exits/by_reason/VMCALL", 20),
        ("exits/by_reason/HLT", 0),
        ("sources/*.ipi/asserted", 40),
        ("exits/total per sources/*.ipi/asserted", 0.6),
        ("exits/total per exits/by_reason/HLT", 0),
        ("mechanism", 0),
    ],
)
def test_a_path_leads_to_a_number_a_sum_or_a_ratio(what: str, value: float) -> None:
    assert measure(ROW, what) == value


def test_a_bound_that_does_not_hold_is_said_and_only_for_its_mechanism() -> None:
    bounds = {"exits/total": {"posted": Bound(max=20), "pvhvm": Bound(max=1)}}
    assert broken_measures(bounds, ROW) == ["posted: exits/total is 24.000, expected 0 to 20"]
    assert broken_measures({"exits/total": {"posted": Bound(min=25)}}, ROW) == [
        "posted: exits/total is 24.000, expected 25 to any"
    ]
    assert broken_measures({"exits/total": {"posted": Bound(min=24, max=24)}}, ROW) == []


@pytest.mark.parametrize(
    ("name", "setting", "sentence"),
    [
        ("fifo-priority", 'vm[1].events="fifi"', 'vm[1].events: expected one of these words, got "fifi"'),
        ("mail-mixed", 'vm[1].callback="upcal"', 'vm[1].callback: expected one of these words, got "upcal"'),
        ("mail-mixed", 'device[2].backend="dom1"', 'device[2].backend: no pv or pvh domain "dom1"'),
        ("mail-mixed", 'device[2].on="sat"', 'device[2].on: no queue "sat.1"'),
        ("mail-mixed", "device[2].disk_queues=[1,1]", 'device[2].disk_queues: "sas.1" serves another ring'),
        ("mail-mixed", "device[2].ports=[70]", "device[2]: ports, back_ports, disk_queues and priorities must be"),
        ("mail-mixed", "device[2].back_ports=[30,41]", 'device[2].back_ports: port 30 of "dom0" is taken'),
        ("fifo-priority", "device[1].priorities=[3,3,16]", "device[1].priorities: expected 0 to 15, got 16"),
        ("pirq-eoi", 'device[0].msi="masked"', 'device[0].msi: expected one of these words, got "masked"'),
        ("ipi-storm", "vm[0].ipi_vector=236", "vm[0].ipi_vector: 0xec is taken"),
    ],
)
def test_what_cannot_be_is_refused_with_its_place(name: str, setting: str, sentence: str) -> None:
    scenario, where = load(name, [setting])
    mechanism = "posted" if "posted" in scenario.run.mechanisms else scenario.run.mechanisms[0]
    with pytest.raises(ScenarioError) as refused:
        prepare(scenario, where, mechanism, 1, 1_000_000, [])
    assert str(refused.value).startswith(f"{name}: {sentence}"), str(refused.value)
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("name", library_names()[1:])
def test_every_table_fits_in_80_columns(
    name: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "80")
    main(["run", name, "--length", "3 ms"])
    out = capsys.readouterr().out
    assert [line for line in out.splitlines() if len(line) > 80] == []
    assert "…" not in out, "no heading or cell is cut"


def test_run_counts_every_exit_of_a_storm_and_says_more_where_there_is_more(
    capsys: pytest.CaptureFixture[str],
) -> None:
    assert main(["run", "ipi-storm", "--mechanism", "posted", "--length", "5 ms", "--json", "-"]) == 0
    (row,) = json.loads(capsys.readouterr().out)["results"]
    sent = measure(row, "sources/*.ipi/asserted")
    assert row["exits_per_interrupt"] == pytest.approx(row["exits"]["total"] / sent, abs=1e-4)
    assert {"windows", "holds", "moves", "turns_by_waker"} <= set(row["more"])
    assert main(["run", "mail", "--mechanism", "posted", "--length", "2 ms", "--json", "-"]) == 0
    assert "more" not in json.loads(capsys.readouterr().out)["results"][0]
