"""Every scenario of the library loads, meets its own expectations at a reduced length, and keeps the laws."""

import json
import tomllib
from importlib import resources
from typing import Any

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from exitless.cli.main import main
from exitless.cli.run import Result, broken_expectations, make_tally, out_of_bounds, primary_source
from exitless.errors import ScenarioError
from exitless.mech.catalog import CATALOG
from exitless.record.sinks import Sink
from exitless.scenario import library_names, load, prepare
from exitless.scenario.load import check_mechanisms, convert
from exitless.study.summary import Summary, summarize
from exitless.version import compiled

MECHANISMS = [row.name for row in CATALOG]
REDUCED_PS = 40_000_000_000
# A large host needs no more time to show the same.
SHORTER_PS = {"many": 12_000_000_000}
MAIL = (resources.files("exitless.scenario") / "library" / "mail.toml").read_text("utf-8")


def run_short(name: str, mechanism: str, length_ps: int) -> tuple[Result, Summary]:
    """Run one mechanism of a library scenario with all laws asked after each event."""
    scenario, where = load(name)
    sinks: list[Sink] = []
    built = prepare(scenario, where, mechanism, None, length_ps, sinks)
    tally = make_tally(built)
    sinks.append(tally)
    built.machine.watch_laws = 1
    built.machine.run(length_ps)
    built.machine.columns.flush()
    tally.finish(length_ps)
    waiting = [int(s.outstanding != 0) for s in built.machine.sources]
    summary = summarize(tally, built.header, waiting, primary_source(built))
    assert built.machine.law_broken == 0, built.machine.law_said()
    assert built.machine.laws_checked > 0
    return Result(built, summary, 1.0), summary


@pytest.mark.parametrize("name", library_names())
def test_every_scenario_meets_its_expectations(name: str) -> None:
    """At a reduced length, under each of its mechanisms: laws, nothing lost, exits per interrupt within bounds."""
    scenario, _ = load(name)
    for mechanism in scenario.run.mechanisms:
        result, summary = run_short(name, mechanism, SHORTER_PS.get(name, REDUCED_PS))
        assert broken_expectations([result]) == []
        assert out_of_bounds([result]) == []
        assert all(source.delivered > 0 for source in summary.sources.values()), mechanism


@pytest.mark.skipif(not compiled(), reason="minutes for each, interpreted")
@pytest.mark.parametrize("name", library_names())
def test_every_scenario_meets_its_expectations_at_its_own_length(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    """What the command makes of it, with every bound of its [expect]."""
    assert main(["run", name, "--json", "-"]) == 0, capsys.readouterr().err


def test_mail_is_the_first_and_compares_nine_that_need_no_newer_guest() -> None:
    """Those for guests with an upcall vector, or with APICv below PIRQs, have scenarios of their own."""
    assert library_names()[0] == "mail"
    mail = load("mail")[0].run.mechanisms
    assert len(mail) == 9 and set(mail) < set(MECHANISMS)
    elsewhere = {m for name in library_names()[1:] for m in load(name)[0].run.mechanisms}
    assert set(MECHANISMS) - set(mail) <= elsewhere


@pytest.mark.parametrize("name", library_names())
def test_every_scenario_names_its_mechanisms_and_owners(name: str) -> None:
    """All expectations are of mechanisms that it runs."""
    scenario, _ = load(name)
    expect = scenario.expect
    for bounds in (expect.exits_per_interrupt, expect.exits_when_running, *expect.measures.values()):
        assert set(bounds) <= set(scenario.run.mechanisms)
    check_mechanisms(scenario.run.mechanisms, name)


def test_an_expectation_that_does_not_hold_is_said() -> None:
    """A bound that is moved aside is reported with the mechanism, the number and the range."""
    result, _ = run_short("mail", "apicv", 10_000_000_000)
    result.built.scenario.expect.exits_when_running["apicv"].max = 0.5
    (sentence,) = out_of_bounds([result])
    assert sentence.startswith("apicv: ") and "expected 0.95 to 0.5" in sentence


def test_set_changes_what_the_file_says() -> None:
    """A path reaches tables, lists and their elements; a bare word is text."""
    scenario, _ = load("mail", ["host.ratelimit=0 us", "device[0].load=50", "run.seed=9", 'vm[1].timer="event"'])
    assert scenario.host.ratelimit == "0 us"
    assert (scenario.device[0].load, scenario.run.seed, scenario.vm[1].timer) == (50, 9, "event")
    scenario, _ = load("mail", ['host.cost.exit="1 us"', "device[1].pcpus[2]=0"])
    assert scenario.host.cost == {"exit": "1 us"}
    assert scenario.device[1].pcpus == [1, 2, 0, 0]


# ---- mutations of the file ----

SCALARS = st.one_of(
    st.integers(-2, 70), st.integers(), st.booleans(), st.floats(allow_nan=True), st.text(max_size=6),
    st.sampled_from(["1 us", "0 ms", "10 ms", "10 Gbit/s", "64 B", "2 GHz", "hvm", "pv", "nic", "sas", "guest", "dom0",
                     "event", "apic", "illustrative"]),
    st.lists(st.integers(-1, 300), max_size=5),
)  # fmt: skip


def places(data: Any, path: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """Return every place of a nested document where a value stands."""
    found = [path] if path else []
    for key, value in data.items() if isinstance(data, dict) else enumerate(data) if isinstance(data, list) else ():
        found += places(value, (*path, key))
    return found


PLACES = places(tomllib.loads(MAIL))


def change(data: Any, path: tuple[Any, ...], how: str, value: Any) -> None:
    """Change one place: another value, gone, or a second time with another key."""
    at = data
    for key in path[:-1]:
        if not isinstance(at, dict | list) or (isinstance(at, list) and (not isinstance(key, int) or key >= len(at))):
            return
        if isinstance(at, dict) and key not in at:
            return
        at = at[key]
    key = path[-1]
    if isinstance(at, dict):
        if how == "drop":
            at.pop(key, None)
        else:
            at[key if how == "put" else f"{key}x"] = value
    elif isinstance(at, list) and isinstance(key, int) and key < len(at):
        if how == "drop":
            del at[key]
        elif how == "put":
            at[key] = value
        else:
            at.append(at[key])


@settings(max_examples=150, deadline=None, suppress_health_check=[HealthCheck.too_slow])
@given(
    changes=st.lists(
        st.tuples(st.sampled_from(PLACES), st.sampled_from(["put", "put", "drop", "add"]), SCALARS),
        min_size=1, max_size=4,
    ),
    mechanism=st.sampled_from(MECHANISMS),
)  # fmt: skip
def test_a_mutated_scenario_runs_or_is_refused_in_one_sentence(
    changes: list[tuple[tuple[Any, ...], str, Any]], mechanism: str
) -> None:
    """Never anything else: no traceback, no broken law, no time that runs backwards."""
    data = tomllib.loads(MAIL)
    for path, how, value in changes:
        change(data, path, how, value)
    try:
        built = prepare(convert(data, "mutated"), "mutated", mechanism, None, 200_000_000, [])
    except ScenarioError as problem:
        sentence = str(problem)
        assert sentence.startswith("mutated: ")
        assert "\n" not in sentence and len(sentence) > len("mutated: ")
        return
    machine = built.machine
    machine.watch_laws = 1
    machine.run(200_000_000)
    assert machine.law_broken == 0, machine.law_said()


def test_the_mail_runs_through_the_command(capsys: pytest.CaptureFixture[str]) -> None:
    """What the command says of the whole library scenario at a short length is sound."""
    assert main(["run", "mail", "--length", "2 ms", "--laws", "--json", "-"]) == 0
    out, err = capsys.readouterr()
    assert err == ""
    document = json.loads(out)
    assert [r["mechanism"] for r in document["results"]] == load("mail")[0].run.mechanisms
    assert all(r["laws"]["checked"] > 0 and r["laws"]["broken"] == [] for r in document["results"])
