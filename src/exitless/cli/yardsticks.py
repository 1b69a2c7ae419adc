"""The reference workload in its three forms: the engine in this process, C and SimPy in processes of their own."""

import importlib.util
import json
import os
import shutil
import subprocess
import sys
import sysconfig
import time
from pathlib import Path
from typing import Any, Final

from exitless.errors import ExitlessError, LawBroken
from exitless.record.block import Header, Record
from exitless.record.columns import Columns
from exitless.sim.reference import Reference

SEEDS: Final = (1, 2, 4711)
# Where vector, RVI, SVI and VPPR take all their values in a few thousand rows.
COMPARED_PS: Final = 20_000_000_000
NAMES: Final = ("time_ps", "kind", "a", "b")

Row = tuple[int, int, int, int]


def reference_file(name: str) -> Path:
    """Return the path of a file of ``bench/``, in the source tree or as installed. Errors: ExitlessError."""
    places = [Path(__file__).resolve().parents[3] / "bench", Path(sysconfig.get_path("data")) / "share/exitless/bench"]
    for place in places:
        if (place / name).is_file():
            return place / name
    raise ExitlessError(f"{name}: expected beside the installed package in {places[-1]}, but it is not there")


def compile_c(folder: str) -> tuple[str, str]:
    """Build the C reference in a folder. Returns: the program, or the empty string and one sentence why not."""
    compiler = (os.environ.get("CC") or "cc").split()
    if shutil.which(compiler[0]) is None:
        return "", f'No comparison with C: there is no C compiler "{compiler[0]}" (on Debian: apt-get install gcc).'
    program = str(Path(folder) / "reference")
    command = [*compiler, "-O2", "-o", program, str(reference_file("reference.c"))]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        said = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        return "", f'No comparison with C: "{compiler[0]}" could not build bench/reference.c ({said}).'
    return program, ""


def simpy_missing() -> str:
    """Return the empty string when SimPy can be imported, else one sentence."""
    if importlib.util.find_spec("simpy") is not None:
        return ""
    return "No comparison with SimPy: it is not installed (pip install simpy)."


class Timed:
    """One run: CPU time of the run alone in ns, interrupts delivered, entries of the calendar (0: not counted)."""

    def __init__(self, cpu_ns: int, interrupts: int, events: int) -> None:
        self.cpu_ns = cpu_ns
        self.interrupts = interrupts
        self.events = events

    def per_interrupt(self) -> float:
        """Return ns per interrupt delivered."""
        return self.cpu_ns / max(1, self.interrupts)


def engine_run(seed: int, horizon_ps: int, recording: int) -> Timed:
    """Run the workload on the package's own rules, calendar and recorder."""
    workload = Reference(seed, Columns([]), recording)
    began = time.process_time_ns()
    workload.run(horizon_ps)
    took = time.process_time_ns() - began
    return Timed(took, int(workload.delivered), int(workload.events))


def program_run(command: list[str], seed: int, horizon_ps: int, recording: int) -> Timed:
    """Run one of the two references, which time themselves. Errors: ExitlessError."""
    out: dict[str, Any] = json.loads(_output([*command, str(seed), str(horizon_ps), str(recording)]).stdout)
    return Timed(out["cpu_ns"], out["counters"][5], out.get("events", 0))


def simpy_command() -> list[str]:
    """Return the words that start the SimPy reference."""
    return [sys.executable, str(reference_file("reference_simpy.py"))]


def engine_rows(seed: int, horizon_ps: int) -> list[Row]:
    """Return every row of the engine's run."""
    record = Record(Header())
    columns = Columns([record])
    Reference(seed, columns, 1).run(horizon_ps)
    columns.flush()
    return [(t, w & 65535, a, b) for t, w, a, b in zip(record.time, record.where, record.a, record.b)]


def program_rows(command: list[str], seed: int, horizon_ps: int) -> list[Row]:
    """Return every row of a reference's run."""
    text = _output([*command, str(seed), str(horizon_ps), "1", "rows"]).stderr
    rows: list[Row] = []
    for line in text.splitlines():
        t, kind, a, b = map(int, line.split())
        rows.append((t, kind, a, b))
    return rows


def compare(engine: list[Row], other: list[Row], name: str, seed: int) -> None:
    """Hold every row against its counterpart, column by column. Errors: LawBroken, naming the first difference."""
    for n, (mine, theirs) in enumerate(zip(engine, other)):
        if mine != theirs:
            k = next(i for i in range(len(NAMES)) if mine[i] != theirs[i])
            raise LawBroken(
                f"seed {seed}, row {n}, column {NAMES[k]}: the engine has {mine[k]} and {name} has {theirs[k]}; "
                "times of different work are not compared"
            )
    if len(engine) != len(other):
        raise LawBroken(f"seed {seed}: the engine has {len(engine)} rows and {name} has {len(other)}")


def _output(command: list[str]) -> subprocess.CompletedProcess[str]:
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode != 0:
        raise ExitlessError(f"{command[0]} stopped with status {done.returncode}: {done.stderr[-200:]}")
    return done
