"""Scenarios: what is asked of the simulator, in a file, and how it becomes a run."""

from exitless.errors import ScenarioError
from exitless.record.block import Record
from exitless.record.sinks import Sink
from exitless.scenario.build import Built, build
from exitless.scenario.files import near
from exitless.scenario.load import (
    check_mechanisms,
    library_names,
    load,
    parse,
    preset_names,
    read_text,
    set_path,
)  # fmt: skip
from exitless.scenario.quantities import LONGEST_PS, quantity, time_within
from exitless.scenario.schema import Scenario

__all__ = [
    "LONGEST_PS",
    "Built",
    "Scenario",
    "build",
    "check_mechanisms",
    "library_names",
    "load",
    "near",
    "parse",
    "prepare",
    "preset_names",
    "quantity",
    "read_text",
    "set_path",
    "simulate",
    "time_within",
]


def prepare(
    scenario: Scenario, name: str, mechanism: str, seed: int | None, length_ps: int | None, sinks: list[Sink]
) -> Built:
    """Build a scenario's machine; seed and length default to the scenario's own. Errors: ScenarioError."""
    try:
        own = time_within(scenario.run.length, 1, LONGEST_PS, "run.length")
        length = own if length_ps is None else length_ps
        return build(scenario, name, mechanism, scenario.run.seed if seed is None else seed, length, sinks)
    except ScenarioError as problem:
        raise ScenarioError(f"{name}: {problem}") from None


def simulate(name: str, mechanism: str, seed: int | None = None, length_ps: int | None = None) -> Record:
    """Run a scenario under one mechanism and keep every row. Errors: ScenarioError."""
    scenario, where = load(name)
    sinks: list[Sink] = []
    built = prepare(scenario, where, mechanism, seed, length_ps, sinks)
    record = Record(built.header)
    sinks.append(record)
    built.machine.run(built.header.length_ps)
    built.machine.columns.flush()
    return record
