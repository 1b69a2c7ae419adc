"""The cases of a study: run by several processes, each kept in a file as soon as it is done, and found again.

A case's file is named by all that decides what is in it: Exitless itself, the scenario, mechanism, seed, length, laws.
"""

import hashlib
import json
import multiprocessing
import os
import signal
from collections.abc import Callable
from concurrent.futures import FIRST_COMPLETED, Future, ProcessPoolExecutor, wait
from functools import cache
from importlib import resources
from pathlib import Path
from typing import Any

import msgspec

from exitless.cli.measures import json_row
from exitless.cli.output import write_whole
from exitless.cli.run import run_one
from exitless.errors import ScenarioError
from exitless.scenario import Scenario
from exitless.scenario.costs import is_file, read_costs
from exitless.scenario.sweeps import Point, Study

# So many cases more than there are processes are handed out, so that none waits and an interrupt loses little.
AHEAD = 2


class Case(msgspec.Struct, frozen=True):
    """One run: a point, a mechanism and a seed. ``key`` is the name of its file."""

    point: int
    mechanism: str
    seed: int
    key: str


class Interrupted(Exception):  # noqa: N818 - what has happened
    """Control-C came; what was done by then is kept."""


@cache
def source_digest() -> str:
    """Return a sum over every source file and cost table of the package: other code may give other results."""
    found = hashlib.sha256()

    def walk(folder: Any) -> None:
        for entry in sorted(folder.iterdir(), key=lambda f: f.name):
            if entry.is_dir():
                walk(entry)
            elif entry.name.endswith(".py") or folder.name == "presets":
                found.update(entry.name.encode() + b"\0" + entry.read_bytes())

    walk(resources.files("exitless"))
    return found.hexdigest()


@cache
def costs_of(name: str) -> str:
    """Return what a cost table holds where it is a file, and the name of one of the package. Errors: ScenarioError."""
    return json.dumps(read_costs(name)) if is_file(name) else name


def key_of(scenario: Scenario, mechanism: str, seed: int, length_ps: int | None, laws: bool) -> str:
    """Return the name under which a case is kept. What a scenario says in words, and its [expect], decide nothing."""
    plain = msgspec.to_builtins(scenario)
    for words in ("title", "note", "expect"):
        plain.pop(words)
    plain["host"]["costs"] = costs_of(scenario.host.costs)
    plain["run"] = {"length": length_ps if length_ps is not None else scenario.run.length}
    text = json.dumps([source_digest(), plain, mechanism, seed, laws], sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:24]


def cases_of(study: Study, laws: bool) -> list[Case]:
    """Return every case of a study: point by point, mechanism by mechanism, seed by seed."""
    return [
        Case(n, mechanism, seed, key_of(point.scenario, mechanism, seed, study.length_ps, laws))
        for n, point in enumerate(study.points)
        for mechanism in study.mechanisms
        for seed in study.seeds
    ]


def kept_in(folder: Path, key: str) -> dict[str, Any] | None:
    """Return a case's result if its file is there and whole."""
    try:
        row = json.loads((folder / f"{key}.json").read_text("utf-8"))
    except (OSError, ValueError):
        return None
    return row if isinstance(row, dict) and "mechanism" in row and "sources" in row else None


def simulate_case(where: str, point: Point, case: Case, length_ps: int | None, laws: bool) -> dict[str, Any]:
    """Run one case. Returns: its part of the JSON of ``run``, without how long it took. Errors: ScenarioError."""
    at = ", ".join([*(f"{axis} = {label}" for axis, label in point.labels.items()), case.mechanism])
    try:
        result, _ = run_one(
            point.scenario, where, case.mechanism, case.seed, length_ps, laws, False, lambda share: None
        )
    except ScenarioError as problem:
        raise ScenarioError(f"{problem} (at {at})") from None
    row = json_row(result)
    del row["seconds"]
    return row


def ignore_interrupts() -> None:
    """Control-C is the parent's business."""
    signal.signal(signal.SIGINT, signal.SIG_IGN)


def run_cases(
    study: Study, cases: list[Case], folder: Path, jobs: int, laws: bool, done: Callable[[Case, dict[str, Any]], None]
) -> None:
    """Run cases, keep each, and call ``done`` with it. Errors: ScenarioError, ExitlessError, Interrupted."""

    def finish(case: Case, row: dict[str, Any]) -> None:
        write_whole(folder / f"{case.key}.json", json.dumps(row, ensure_ascii=False).encode() + b"\n")
        done(case, row)

    if jobs == 1 or len(cases) == 1:
        try:
            for case in cases:
                finish(case, simulate_case(study.where, study.points[case.point], case, study.length_ps, laws))
        except KeyboardInterrupt:
            raise Interrupted from None
        return
    context = multiprocessing.get_context("spawn")
    pool = ProcessPoolExecutor(min(jobs, len(cases)), context, ignore_interrupts)
    try:
        left = iter(cases)
        running: dict[Future[dict[str, Any]], Case] = {}
        while True:
            while len(running) < jobs + AHEAD:
                following = next(left, None)
                if following is None:
                    break
                point = study.points[following.point]
                future = pool.submit(simulate_case, study.where, point, following, study.length_ps, laws)
                running[future] = following
            if not running:
                return
            for future in wait(running, return_when=FIRST_COMPLETED).done:
                finish(running.pop(future), future.result())
    except KeyboardInterrupt:
        for process in list(pool._processes.values()):
            process.kill()
        raise Interrupted from None
    finally:
        pool.shutdown(wait=True, cancel_futures=True)


def processors() -> int:
    """Return how many processors this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1
