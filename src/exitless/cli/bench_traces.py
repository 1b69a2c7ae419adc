"""What ``exitless bench`` measures of the readers: ``exitless read`` and the reference tool on the same file."""

import os
import shutil
import subprocess
import sys
import sysconfig
import time
from collections.abc import Callable
from pathlib import Path
from statistics import median
from typing import Any, Final, NamedTuple

from exitless.cli.tiling import Tile
from exitless.errors import ExitlessError
from exitless.version import compiled

LINUX: Final = "kvm-tiny-2cpu.dat.xz"
XEN: Final = "xen-pvh1-start.bin.xz"
XEN_HZ: Final = "2.6G"
EVENTS: Final = 10_000_000
TEXT_EVENTS: Final = 5_000_000
LOOK_S: Final = 0.005


class Used(NamedTuple):
    """What one process took: CPU time in ns, most memory in bytes."""

    cpu_ns: int
    peak: int


def recording(name: str) -> str:
    """Return the path of a recording that is tiled, in the source tree or as installed. Errors: ExitlessError."""
    places = [
        Path(__file__).resolve().parents[3] / "tests" / "traces" / "data",
        Path(sysconfig.get_path("data")) / "share/exitless/bench",
    ]
    for place in places:
        if (place / name).is_file():
            return str(place / name)
    raise ExitlessError(f"{name}: expected beside the installed package in {places[-1]}, but it is not there")


def used(command: list[str], out: str = os.devnull) -> Used:
    """Run a program to its end, its output to a file. Errors: ExitlessError, when it fails."""
    with open(out, "wb") as file, subprocess.Popen(command, stdout=file, stderr=subprocess.DEVNULL) as process:
        peak = 0
        while not (ended := os.wait4(process.pid, os.WNOHANG))[0]:
            peak = resident(process.pid) or peak
            time.sleep(LOOK_S)
        _, status, usage = ended
        process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise ExitlessError(f"{command[0]} stopped with status {process.returncode} on {command[-1]}")
    return Used(int((usage.ru_utime + usage.ru_stime) * 1e9), peak or usage.ru_maxrss * 1024)


def resident(pid: int) -> int:
    """Return the most memory that a running program has had since it was started, in bytes; 0 where nobody tells.

    What wait4 calls ru_maxrss starts with the memory of the process that forked, here this one.
    """
    try:
        lines = Path(f"/proc/{pid}/status").read_text("ascii", "replace").splitlines()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in lines if line.startswith("VmHWM:")), 0)


def ours(path: str, *options: str) -> list[str]:
    """Return the words that read a recording and print the report."""
    return [sys.executable, "-m", "exitless", "read", *options, path]


class Compared:
    """One reader and the tool it is held against, on files of some events and of a tenth of them."""

    def __init__(self, name: str, tool: str, events: int) -> None:
        self.name = name
        self.tool = tool
        self.events = events
        self.mine: list[Used] = []
        self.other: list[Used] = []
        self.tenth = 0
        self.refused = ""

    def row(self) -> dict[str, Any]:
        """Return one row of the answer."""
        cost = median(u.cpu_ns / self.events for u in self.mine)
        reference = median(u.cpu_ns / self.events for u in self.other) if self.other else None
        ratios = [b.cpu_ns / a.cpu_ns for a, b in zip(self.mine, self.other)]
        return {
            "name": self.name, "engine_ns": cost, "c_ns": None, "simpy_ns": None, "ratio_c": None,
            "ratio_simpy": None, "unit": "per event", "runs": len(self.mine), "per_s": 1e9 / cost,
            "events": self.events, "reference": self.tool if self.other else None, "reference_ns": reference,
            "reference_per_s": 1e9 / reference if reference else None,
            "ratio_reference": median(ratios) if ratios else None,
            "peak_bytes": max(u.peak for u in self.mine), "peak_bytes_tenth": self.tenth,
        }  # fmt: skip


def compare(
    one: Compared, runs: int, mine: list[str], other: list[str], tenth: list[str], tick: Callable[[str], None]
) -> dict[str, Any]:
    """Run both in turn, each on the same file; our own also on a tenth of it, to see what memory depends on."""
    for n in range(runs):
        tick(f"{one.name}: read, run {n + 1}")
        one.mine.append(used(mine))
        if other and not one.refused:
            tick(f"{one.name}: {one.tool}, run {n + 1}")
            try:
                one.other.append(used(other))
            except ExitlessError as problem:
                one.refused = f"No comparison with {one.tool}: {problem}."
    tick(f"{one.name}: read, a tenth")
    one.tenth = used(tenth).peak
    return one.row()


class Traces:
    """The comparisons of readers. ``notes`` are sentences on what could not be compared."""

    def __init__(self, folder: str, given: str | None, share: int, runs: int) -> None:
        self.folder = Path(folder)
        self.given = given
        self.runs = runs
        self.events = EVENTS // share // (1 if compiled() else 50)
        self.text_events = TEXT_EVENTS // share // (1 if compiled() else 50)
        self.notes: list[str] = []

    def steps(self) -> int:
        """Return at most how many steps there are."""
        return 3 * (2 * self.runs + 2)

    def tool(self, name: str, package: str) -> str:
        """Find a reference tool; the empty string, and a note, when it is not there."""
        found = shutil.which(name)
        if found is None and name == "xenalyze":
            places = sorted(Path("/usr/lib").glob("xen-*/bin/xenalyze"))
            found = str(places[-1]) if places else None
        if found is None:
            self.notes.append(f"No comparison with {name}: it is not installed (on Debian: apt-get install {package}).")
        return found or ""

    def two(self, tile: Tile, name: str, events: int) -> tuple[str, str, int]:
        """Write a recording of that many events and one of a tenth; returns both and the events of the first."""
        paths = [str(self.folder / f"{part}-{name}") for part in ("whole", "tenth")]
        tile.write(paths[1], tile.copies(events // 10))
        return paths[0], paths[1], tile.write(paths[0], tile.copies(events))

    def compared(
        self, one: Compared, mine: list[str], other: list[str], tenth: list[str], tick: Callable[[str], None]
    ) -> dict[str, Any]:
        """Compare, and keep a sentence when the reference tool gives up."""
        row = compare(one, self.runs, mine, other, tenth, tick)
        self.notes += [one.refused] if one.refused else []
        return row

    def rows(self, tick: Callable[[str], None]) -> list[dict[str, Any]]:
        """Measure all readers that have a reference."""
        tick("tiling recordings")
        tile = Tile(self.given or recording(LINUX))
        rows = [] if tile.xen else self.linux(tile, tick)
        if tile.xen or self.given is None:
            rows.append(self.xen(tile if tile.xen else Tile(recording(XEN)), tick))
        return rows

    def linux(self, tile: Tile, tick: Callable[[str], None]) -> list[dict[str, Any]]:
        """Measure a trace.dat, and the text that trace-cmd makes of a smaller one."""
        tool = self.tool("trace-cmd", "trace-cmd")
        whole, tenth, events = self.two(tile, "trace.dat", self.events)
        one = Compared("read-trace.dat", "trace-cmd report", events)
        found = [self.compared(one, ours(whole), [tool, "report", whole] if tool else [], ours(tenth), tick)]
        if not tool:
            return found
        whole, tenth, events = self.two(tile, "trace.dat", self.text_events)
        for path in (whole, tenth):
            used([tool, "report", path], path + ".txt")
        one = Compared("read-text", "trace-cmd report", events)
        texts = ours(whole + ".txt"), [tool, "report", whole], ours(tenth + ".txt")
        return [*found, self.compared(one, *texts, tick)]

    def xen(self, tile: Tile, tick: Callable[[str], None]) -> dict[str, Any]:
        """Measure an xentrace recording."""
        tool = self.tool("xenalyze", "xen-utils-common")
        whole, tenth, events = self.two(tile, "xentrace.bin", self.events)
        mode = ["--svm-mode"] if tile.svm else []
        dump = [tool, *mode, "--cpu-hz", XEN_HZ, "--dump-all", whole] if tool else []
        one = Compared("read-xentrace", "xenalyze --dump-all", events)
        hz = "--cpu-hz", XEN_HZ
        return self.compared(one, ours(whole, *hz), dump, ours(tenth, *hz), tick)
