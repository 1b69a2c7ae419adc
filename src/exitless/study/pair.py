"""A host's and a guest's recording of one run: their clocks aligned, checked by containment, and what both tell.

While a guest's code runs, its vCPU is between an entry and an exit of the host's recording. So every guest event must
lie in such a window, and how far it lies from the window's ends bounds the error of the alignment. Times are ps.
"""

from array import array
from bisect import bisect_right
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Final

from exitless.study.times import Times
from exitless.study.trace_totals import LOST, Row
from exitless.vocab.kinds import Kind

# A search tries this many pairs of an event and a window, and believes a shift at which this share is contained.
TRIED: Final = 600_000
BELIEVED: Final = 0.9
LEAST: Final = 20
NMI: Final = 2


class Host:
    """The host's side: when each vCPU ran guest code, and what was accepted and injected for it."""

    def __init__(self) -> None:
        self.entries: dict[int, array[int]] = {}
        self.exits: dict[int, array[int]] = {}
        self.accepted: list[tuple[int, int, int]] = []
        self.injected: list[tuple[int, int, int]] = []
        self.posted = 0
        self._since: dict[int, int] = {}

    def rows(self, rows: Iterable[Row], origin: int) -> None:
        """Take some rows; ``origin`` is the time of the first."""
        for time, kind, _, vcpu, a, _b in rows:
            if kind == Kind.VM_ENTRY:
                self._since[vcpu] = time
            elif kind == Kind.VM_EXIT:
                since = self._since.pop(vcpu, -1)
                if since >= 0 and vcpu >= 0:
                    self.entries.setdefault(vcpu, array("q")).append(since + origin)
                    self.exits.setdefault(vcpu, array("q")).append(time + origin)
            elif kind == Kind.IRQ_REQUEST and vcpu >= 0 and a != NMI:
                self.accepted.append((time + origin, vcpu, a))
            elif kind == Kind.IRQ_INJECT and vcpu >= 0:
                self.injected.append((time + origin, vcpu, a))
            elif kind == Kind.PID_POST:
                self.posted += 1
            elif kind == LOST and a >= 0:
                self._since.clear()


class Guest:
    """The guest's side: when each of its CPUs did anything, and when its handlers began (vector, or -1 and an irq)."""

    def __init__(self) -> None:
        self.events: dict[int, array[int]] = {}
        self.handlers: list[tuple[int, int, int, int]] = []

    def rows(self, rows: Iterable[Row], origin: int) -> None:
        """Take some rows; ``origin`` is the time of the first."""
        for time, kind, pcpu, _, a, b in rows:
            if kind == LOST or pcpu < 0:
                continue
            self.events.setdefault(pcpu, array("q")).append(time + origin)
            if kind == Kind.HOST_IRQ:
                self.handlers.append((time + origin, pcpu, a, b))


@dataclass
class Alignment:
    """How the guest's times become the host's: ``shift`` is added to them.

    ``earlier`` and ``later`` are how far the guest could be moved until an event that is contained no longer is.
    """

    shift: int
    by: str
    contained: int
    events: int
    earlier: int
    later: int

    def is_believed(self) -> bool:
        """Tell whether enough events lie where the guest ran."""
        return self.events >= LEAST and self.contained >= BELIEVED * self.events


def contained(host: Host, guest: Guest, places: dict[int, int], shift: int, by: str) -> Alignment:
    """Count the guest events that lie in windows of their vCPU; ``places`` has each guest CPU's vCPU."""
    out = Alignment(shift, by, 0, 0, -1, -1)
    for cpu, times in guest.events.items():
        entries, exits = host.entries.get(places.get(cpu, -1)), host.exits.get(places.get(cpu, -1))
        out.events += len(times)
        if entries is None or exits is None:
            continue
        for time in times:
            t = time + shift
            n = bisect_right(entries, t) - 1
            if n >= 0 and t <= exits[n]:
                out.contained += 1
                before, after = t - entries[n], exits[n] - t
                out.earlier = before if out.earlier < 0 else min(out.earlier, before)
                out.later = after if out.later < 0 else min(out.later, after)
    return out


def search(host: Host, guest: Guest, places: dict[int, int]) -> Alignment | None:
    """Find the shift at which most guest events are contained; None where nothing is to be compared.

    Each pair of a guest event and a window allows the shifts of one interval; the best shift is in most intervals.
    """
    sweep: list[tuple[int, int]] = []
    windows = sum(len(host.entries[places[cpu]]) for cpu in guest.events if places.get(cpu, -1) in host.entries)
    if not windows:
        return None
    for cpu, times in guest.events.items():
        place = places.get(cpu, -1)
        if place not in host.entries:
            continue
        few = max(4, TRIED // windows)
        for time in times[:: max(1, len(times) // few)]:
            for entry, exit_ in zip(host.entries[place], host.exits[place], strict=True):
                sweep.append((entry - time, -1))
                sweep.append((exit_ - time, 1))
    sweep.sort()
    depth = best = begin = end = 0
    for n, (shift, step) in enumerate(sweep):
        depth -= step
        if depth > best:
            best, begin, end = depth, shift, sweep[min(n + 1, len(sweep) - 1)][0]
    return narrowed(host, guest, places, (begin + end) // 2)


def narrowed(host: Host, guest: Guest, places: dict[int, int], shift: int) -> Alignment:
    """Move a shift into the middle of what all contained events allow."""
    found = contained(host, guest, places, shift, "containment")
    for _ in range(4):
        if found.contained:
            shift += (found.later - found.earlier) // 2
        again = contained(host, guest, places, shift, "containment")
        if again.contained < found.contained:
            break
        found = again
    return found


@dataclass
class Handled:
    """One vector's interrupts, as far as both recordings tell: acceptance and injection to the handler's begin."""

    accepted: Times = field(default_factory=Times)
    injected: Times = field(default_factory=Times)
    irqs: dict[int, int] = field(default_factory=dict)


@dataclass
class Handlers:
    """The guest's handlers by vector; ``unmatched`` began without an interrupt of the host's that explains them."""

    by_vector: dict[int, Handled] = field(default_factory=dict)
    unmatched: int = 0
    early: int = 0


def handlers(host: Host, guest: Guest, places: dict[int, int], shift: int) -> Handlers:
    """Match every handler of the guest with the interrupt before it on its vCPU.

    A handler that names its vector ends the wait of that vector. One that names an irq takes the injection that no
    handler has taken yet, or, where nothing is injected, the one vector that waits; if several do, it stays unmatched.
    """
    out = Handlers()
    steps = [(t, 0, v, vector, -1) for t, v, vector in host.accepted]
    steps += [(t, 1, v, vector, -1) for t, v, vector in host.injected]
    steps += [(t + shift, 2, places.get(cpu, -1), vector, irq) for t, cpu, vector, irq in guest.handlers]
    waiting: dict[int, dict[int, int]] = {}
    given: dict[int, tuple[int, int]] = {}
    for t, what, vcpu, vector, irq in sorted(steps):
        mine = waiting.setdefault(vcpu, {})
        if what == 0:
            mine.setdefault(vector, t)
        elif what == 1:
            given[vcpu] = (vector, t)
        else:
            last = given.get(vcpu, (-1, -1))
            if vector < 0:
                vector = last[0] if last[0] >= 0 else next(iter(mine)) if len(mine) == 1 else -1
            if vector < 0 or (vector not in mine and last[0] != vector):
                out.unmatched += 1
                continue
            found = out.by_vector.setdefault(vector, Handled())
            if vector in mine:
                found.accepted.add(t - mine.pop(vector))
            if last[0] == vector:
                found.injected.add(t - last[1])
                del given[vcpu]
            if irq >= 0:
                found.irqs[irq] = found.irqs.get(irq, 0) + 1
    return out
