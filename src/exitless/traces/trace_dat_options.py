"""The options of a trace.dat: clock, statistics, guests, and how a guest's clock is shifted against its host's."""

import re
from bisect import bisect_right
from collections.abc import Iterator
from typing import TYPE_CHECKING, Final

from exitless.bits.units import PS_PER_S
from exitless.errors import TraceError
from exitless.traces.cursor import Cursor, Memory
from exitless.traces.kvm_rows import Clock

if TYPE_CHECKING:
    from exitless.traces.trace_dat_file import Layout

MOST_SAMPLES: Final = 1_000_000
CHOSEN: Final = re.compile(r"\[([\w-]+)\]")
OVERRUN: Final = re.compile(r"^(overrun|dropped events): (\d{1,18})$", re.MULTILINE)


class Option:
    """One option: its number and its bytes."""

    STATS: Final = 2
    BUFFER: Final = 3
    CLOCK: Final = 4
    UNAME: Final = 5
    TIME_SHIFT: Final = 12
    GUEST: Final = 13
    TSC2NSEC: Final = 14
    HEADERS: Final = 16
    FTRACE_EVENTS: Final = 17
    EVENT_FORMATS: Final = 18
    COMMANDS: Final = 21
    BUFFER_TEXT: Final = 22

    def __init__(self, number: int, data: bytes) -> None:
        self.id = number
        self.data = data

    def cursor(self, at: Cursor) -> Cursor:
        """Return a place at its begin, in the byte order of the file."""
        return Cursor(Memory(f"{at.source.name}, option {self.id}", self.data), 0, at.order)

    def as_text(self) -> str:
        """Return it as text."""
        return self.data.split(b"\0")[0].decode("utf-8", "replace")

    def chosen_clock(self, otherwise: str) -> str:
        """Return the clock in brackets."""
        match = CHOSEN.search(self.as_text())
        return match[1] if match else otherwise


class Shift:
    """How one vCPU's clock is to be shifted: at some times, by some ticks; between them in proportion or in steps."""

    def __init__(self, times: list[int], offsets: list[int], even: bool) -> None:
        pairs = sorted(zip(times, offsets, strict=True))
        self.times = [time for time, _ in pairs]
        self.offsets = [offset - 2**64 if offset >= 2**63 else offset for _, offset in pairs]
        self.even = even

    def apply(self, ticks: int) -> int:
        """Shift a time."""
        n = bisect_right(self.times, ticks)
        if not self.times:
            return ticks
        if n == 0 or n == len(self.times) or not self.even:
            return ticks + self.offsets[max(0, n - 1)]
        t0, t1 = self.times[n - 1], self.times[n]
        o0, o1 = self.offsets[n - 1], self.offsets[n]
        return ticks + o0 + (o1 - o0) * (ticks - t0) // (t1 - t0)


def shifts_of(at: Cursor) -> dict[int, Shift]:
    """Read TIME_SHIFT: the peer, flags (1: in proportion), and the samples of each vCPU."""
    _, flags, cpus = at.numbers("QII", "the shift of times")
    found = {}
    for cpu in range(cpus):
        count = at.number("I", "the number of shifts")
        if not count <= min(MOST_SAMPLES, at.left() // 24):
            raise TraceError(f"{at.source.name}: says that vCPU {cpu} has {count} shifts of its clock; expected fewer")
        times, offsets, _ = (list(at.numbers(f"{count}Q", "the shifts of a clock")) for _ in range(3))
        found[cpu] = Shift(times, offsets, bool(flags & 1))
    return found


def guests_of(at: Cursor) -> dict[int, tuple[str, int]]:
    """Read GUEST: the machine's name, and which host thread is which vCPU."""
    name = at.text("the name of a guest")
    _, cpus = at.numbers("QI", "the vCPUs of a guest")
    found = {}
    for _ in range(cpus):
        number, tid = at.numbers("II", "a vCPU and its thread")
        found[tid] = name, number
    return found


def commands_of(text: bytes) -> dict[int, str]:
    """Read which command each thread runs: a number and a name a line."""
    found: dict[int, str] = {}
    for line in text.decode("utf-8", "replace").splitlines():
        tid, _, name = line.strip().partition(" ")
        if tid.isdecimal() and name and len(found) < MOST_SAMPLES:
            found[int(tid[:10])] = name[:64]
    return found


def kernel_of(text: str) -> str:
    """Take system, release and processor family out of what uname said, and leave the machine's own name."""
    words = text.split()
    return " ".join([words[0], *words[2:3], *words[3:][-1:]])[:120] if words else ""


def clock_of(layout: "Layout", name: str, hz: int, given: bool) -> Clock:
    """Choose the clock: ns, or ticks of a given frequency, or by the file's own conversion, or of an assumed one."""
    if not hz:
        return Clock(name)
    if layout.tsc is not None and not given:
        times, right = layout.tsc
        return Clock(name, times * (PS_PER_S // 10**9), 2**right)
    return Clock.of_hz(name, hz)


def overruns(layout: "Layout") -> Iterator[str]:
    """Say what the tracer's own statistics count as lost."""
    totals = {"overrun": 0, "dropped events": 0}
    for text in layout.stats:
        for word, count in OVERRUN.findall(text):
            totals[word] += int(count)
    if any(totals.values()):
        yield (
            f"the tracer's own statistics: {totals['overrun']} events overwritten before they were read, "
            f"{totals['dropped events']} not recorded"
        )
