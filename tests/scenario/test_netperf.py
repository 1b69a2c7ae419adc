"""netperf: what Linux 14520c92cbd7 published is met by the rules, from the guest's work alone."""

import re
from types import SimpleNamespace
from typing import Any

import pytest

from exitless.cli.published import compare, published
from exitless.cli.run import make_tally, primary_source, run_one
from exitless.errors import ScenarioError
from exitless.record.sinks import Sink
from exitless.scenario import load, prepare
from exitless.scenario.schema import Load as LoadTable
from exitless.study.summary import Summary, summarize

NAME = "netperf"
LENGTH_PS = 1_000_000_000_000
INPUTS = {
    "name", "owner", "vcpu", "interrupts", "apart", "work", "calls", "exceptions", "off", "section", "vector",
    "host_vector", "port",
}  # fmt: skip


def table() -> dict[str, Any]:
    """Return the published table."""
    data = published(NAME)
    assert data is not None
    return data


def one_second(mechanism: str, settings: list[str] | None = None) -> Summary:
    """Run a fifth of the published length, with its laws."""
    scenario, name = load(NAME, settings)
    result, _ = run_one(scenario, name, mechanism, None, LENGTH_PS, False, False, lambda share: None)
    return result.summary


@pytest.fixture(scope="module")
def second() -> tuple[Summary, Summary]:
    """One second of both columns."""
    return one_second("pvhvm"), one_second("apicv")


def held_against(columns: tuple[Summary, Summary]) -> dict[str, Any]:
    """Compare one second with a fifth of what was published in five."""
    data = table()
    data["length"] = "1 s"
    data["rows_over"] //= 5
    for row in data["row"]:
        row["before"] /= 5
        row["after"] /= 5
    document = compare(list(columns), data)
    assert document is not None
    return document


def test_every_row_is_within_its_target(second: tuple[Summary, Summary]) -> None:
    """10 % a row over 1,000; the change of all exits within 3 points."""
    assert held_against(second)["missed"] == []


def test_no_rate_but_the_declared_goes_in() -> None:
    """A load has these inputs and no others, and the scenario has one load and no device."""
    scenario, _ = load(NAME)
    assert set(LoadTable.__struct_fields__) == INPUTS
    assert len(scenario.load) == 1 and not scenario.device and not scenario.move
    assert not scenario.host.cost, "the cost table is everybody's"
    stays = [row for row in table()["row"] if not row.get("given")]
    assert {row["name"] for row in stays} == {"VMEXIT", "INTR_WINDOW"}


def test_both_columns_get_the_same_work(second: tuple[Summary, Summary]) -> None:
    """Arrivals and exceptions draw from streams of their own, so the mechanism does not move them."""
    before, after = second
    assert before.sources["nic"].asserted == after.sources["nic"].asserted
    traps = [s.exits["EXCEPTION_NMI"] for s in second]
    assert abs(traps[0] - traps[1]) <= traps[0] // 50


def test_eoi_hypercalls_are_one_for_each_event(second: tuple[Summary, Summary]) -> None:
    """The guest's PIRQ needs PHYSDEVOP_eoi each time; through the local APIC there is none.

    An interrupt that comes between the acknowledgement of the one before it and that one's handler is one with it for
    the device, but it is an event of its own, whose handler finds nothing.
    """
    before, after = second
    nic = before.sources["nic"]
    assert before.hypercalls["PHYSDEVOP_eoi"] == nic.delivered + nic.spurious
    assert nic.spurious <= nic.coalesced
    assert "PHYSDEVOP_eoi" not in after.hypercalls


def test_without_interrupts_off_each_injection_arms_once() -> None:
    """What is above 1.00 arming an injection is guest code with interrupts off, apart from what meets a handler."""
    s = one_second("pvhvm", ["load[0].off=0"])
    armed, injected = sum(s.windows.values()), sum(s.injections.values())
    assert injected <= armed <= injected * 1.05


def exits_without_asking_again() -> dict[str, int]:
    """Run a second under a Xen that does not ask again after an injection: what that armed is disarmed at once."""
    scenario, name = load(NAME)
    sinks: list[Sink] = []
    built = prepare(scenario, name, "pvhvm", None, LENGTH_PS, sinks)
    tally = make_tally(built)
    sinks.append(tally)
    machine = built.machine
    cpu = machine.vcpus[0].cpu
    while 0 <= machine.calendar.next_time() <= LENGTH_PS:
        machine.step()
        if cpu.state.entry_vector >= 0:
            cpu.vapic.window_exiting = 0
    machine.columns.flush()
    tally.finish(LENGTH_PS)
    return summarize(tally, built.header, [0] * len(machine.sources), primary_source(built)).exits


def test_the_window_row_comes_from_asking_again(second: tuple[Summary, Summary]) -> None:
    """Without that one question the windows of event channels are gone, and with them the published change."""
    before, after = second
    mutated = exits_without_asking_again()
    injected = sum(before.injections.values())
    assert before.exits["INTERRUPT_WINDOW"] > 1.1 * injected
    assert mutated["INTERRUPT_WINDOW"] < 0.3 * injected
    after_exits = sum(after.exits.values())
    change = 100 * (after_exits - sum(mutated.values())) / sum(mutated.values())
    assert abs(change - -45.9) > 3


def test_a_row_that_is_off_is_said(second: tuple[Summary, Summary]) -> None:
    """The comparison of the mechanism with itself misses what the change brought."""
    before, _ = second
    said = held_against((before, SimpleNamespace(**{**vars(before), "mechanism": "apicv"})))["missed"]  # type: ignore[arg-type]
    assert any(sentence.startswith("VMMCALL after: ") for sentence in said)
    assert any(sentence.startswith("exits change by 0.0 %") for sentence in said)


@pytest.mark.parametrize(
    ("setting", "place"),
    [
        ("load[0].work=90 us", "load[0].work"),
        ("load[0].apart=1 ms", "load[0].apart"),
        ("load[0].interrupts=0 Hz", "load[0].interrupts"),
        ("load[0].off=95", "load[0].off"),
        ("load[0].for=gest", "load[0].for"),
        ("load[0].vector=0xf3", "load[0].vector"),
    ],
)
def test_what_cannot_be_is_refused_with_its_place(setting: str, place: str) -> None:
    """Each limit of a load is said with the key it is of."""
    scenario, name = load(NAME, [setting])
    with pytest.raises(ScenarioError, match=re.escape(f"netperf: {place}") + "( in Hz| in per cent)?: "):
        prepare(scenario, name, "apicv", None, LENGTH_PS, [])
