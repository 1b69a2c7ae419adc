"""Read a study: which scenarios a sweep simulates, how often, and what it measures of each; strict, with its places."""

import itertools
import json
import re
from pathlib import Path
from typing import Any

import msgspec

from exitless.errors import ScenarioError
from exitless.scenario.files import named_text, names_in, near
from exitless.scenario.load import check_mechanisms, field_names, in_plain_words, load, parse
from exitless.scenario.quantities import LONGEST_PS, time_within
from exitless.scenario.schema import Scenario

MOST_CASES = 1_000_000
MEASURES = ["exits_per_interrupt", "sources/{interrupt}/latency_ns/p50", "sources/{interrupt}/latency_ns/p99"]
Value = int | float | str | bool | list[int]


class StudyFile(msgspec.Struct, forbid_unknown_fields=True):
    """A whole file.

    ``vary`` holds axes; every combination of their values is a point. An axis is a path of the scenario with a list of
    values (``"device[0].load" = [10, 50]``), or a name of its own with several assignments a label
    (``guests = { one = [], two = ["vm[1].vcpus=2"] }``). ``set`` holds assignments for all points. ``seeds`` is how
    many, counted up from the scenario's own, or the list of them. Of ``measures``, each is a number of the JSON of
    ``run`` by its path, or a ratio of two; ``{interrupt}`` stands for the source that exits are counted for.
    """

    title: str
    scenario: str = "mail"
    mechanisms: list[str] = []
    seeds: int | list[int] = 3
    length: str = ""
    set: list[str] = []
    vary: dict[str, list[Value] | dict[str, list[str]]] = {}
    measures: list[str] = msgspec.field(default_factory=lambda: list(MEASURES))
    note: str = ""


class Point(msgspec.Struct, frozen=True):
    """One combination: what each axis says there, and the scenario that this makes."""

    labels: dict[str, str]
    settings: list[str]
    scenario: Scenario


class Study(msgspec.Struct, frozen=True):
    """A study that has been read whole: every point with its scenario. ``length_ps`` is None for the scenario's own."""

    where: str
    file: StudyFile
    points: list[Point]
    mechanisms: list[str]
    seeds: list[int]
    length_ps: int | None


def study_names() -> list[str]:
    """Return the names of the studies that come with Exitless."""
    return names_in("studies")


def study_text(name: str) -> tuple[str, str]:
    """Return a study's text and what to call it. Errors: ScenarioError."""
    return named_text(name, "studies", study_names(), "study")


def convert_study(data: dict[str, Any], where: str) -> StudyFile:
    """Turn parsed TOML into a record. Errors: ScenarioError with the place and a near match."""
    try:
        return msgspec.convert(data, StudyFile)
    except msgspec.ValidationError as problem:
        said, _, place = str(problem).partition(" - at `$")
        place = place.rstrip("`").lstrip(".")
        unknown = re.search(r"unknown field `(.*?)`", said)
        if unknown:
            raise ScenarioError(
                f"{where}: {unknown[1]}: no such key{near(unknown[1], field_names(StudyFile))}"
            ) from None
        if place.startswith("vary"):
            raise ScenarioError(
                f"{where}: vary: an axis is a list of values, or a table of labels with a list of assignments each"
            ) from None
        raise ScenarioError(f"{where}: {place or 'the file'}: {in_plain_words(said)}") from None


def axis_of(name: str, axis: list[Value] | dict[str, list[str]], where: str) -> list[tuple[str, list[str]]]:
    """Return an axis as labels with their assignments. Errors: ScenarioError where it has no value, or one twice."""
    if isinstance(axis, dict):
        found = list(axis.items())
    else:
        plain = [json.dumps(value, ensure_ascii=False) for value in axis]
        found = [(text.strip('"'), [f"{name}={text}"]) for text in plain]
    if not found:
        raise ScenarioError(f"{where}: vary.{name}: expected at least one value")
    labels = [label for label, _ in found]
    twice = next((label for label in labels if labels.count(label) > 1), None)
    if twice is not None:
        raise ScenarioError(f"{where}: vary.{name}: {twice} stands there twice")
    return found


def seeds_of(file: StudyFile, first: int, where: str) -> list[int]:
    """Return the seeds of every point. Errors: ScenarioError."""
    seeds = list(range(first, first + file.seeds)) if isinstance(file.seeds, int) else file.seeds
    if not seeds:
        raise ScenarioError(f"{where}: seeds: expected how many there are, 1 or more, or a list of them")
    if len(set(seeds)) < len(seeds):
        raise ScenarioError(f"{where}: seeds: one of them stands there twice, and would count twice")
    return seeds


def scenario_of(file: StudyFile, where: str) -> str:
    """Return the scenario's name; a file's is relative to the study's."""
    beside = Path(where).parent / file.scenario
    return str(beside) if file.scenario.endswith(".toml") and where.endswith(".toml") else file.scenario


def read_study(name: str) -> Study:
    """Read a study and the scenario of every point of it. Errors: ScenarioError."""
    text, where = study_text(name)
    file = convert_study(parse(text, where), where)
    base = scenario_of(file, where)
    axes = [(axis, axis_of(axis, values, where)) for axis, values in file.vary.items()]
    count = 1
    for _, values in axes:
        count *= len(values)
    if count > MOST_CASES:
        raise ScenarioError(f"{where}: vary: {count:,} points; at most {MOST_CASES:,} can be asked for")
    points = []
    for chosen in itertools.product(*(values for _, values in axes)):
        labels = {axis: label for (axis, _), (label, _) in zip(axes, chosen, strict=True)}
        settings = [*file.set, *(setting for _, more in chosen for setting in more)]
        try:
            scenario, _ = load(base, settings)
        except ScenarioError as problem:
            raise ScenarioError(f"{where}: {str(problem).replace('--set ', '')}") from None
        points.append(Point(labels, settings, scenario))
    first = points[0].scenario
    mechanisms = list(dict.fromkeys(file.mechanisms or first.run.mechanisms))
    if not mechanisms:
        raise ScenarioError(f"{where}: mechanisms: expected a list of names; the scenario {base} has none of its own")
    check_mechanisms(mechanisms, f"{where}: mechanisms")
    length = time_within(file.length, 1, LONGEST_PS, f"{where}: length") if file.length else None
    if not file.measures:
        raise ScenarioError(f"{where}: measures: expected at least one, for example exits_per_interrupt")
    return Study(where, file, points, mechanisms, seeds_of(file, first.run.seed, where), length)
