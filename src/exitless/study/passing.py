"""A recorded vCPU while its records pass: its exits one by one, and where its code has interrupts off."""

from bisect import bisect_right, insort
from typing import Final, NamedTuple

from exitless.vocab.exits import Exit

UNKNOWN: Final = -1
USER: Final = 1 << 47


class Thing(NamedTuple):
    """One thing that is given to a replay; see :class:`~exitless.vocab.given.Given`."""

    time: int
    order: int
    vcpu: int
    what: int
    a: int = 0
    b: int = 0
    dark: int = 0
    again: int = 0


class Turn:
    """One exit, up to the entry that ends it. Units: ps, -1 for what did not happen.

    ``found`` are the vectors that this exit is the first to find, each with -1, or when it was seen if it came later
    than the exit (it outranks one that was injected before it, so that it was not there then); ``shown``
    is 1 when interrupts proved to be off, 0 when on, -1 when nothing was pending. ``armed`` counts windows by vector.
    """

    def __init__(self, time: int, pcpu: int, reason: int, vector: int, place: int) -> None:
        self.time = time
        self.pcpu = pcpu
        self.reason = reason
        self.vector = vector
        self.place = place
        self.call = -1
        self.eoi = False
        self.found: list[tuple[int, int]] = []
        self.injected: set[int] = set()
        self.armed: dict[int, int] = {}
        self.shown = -1
        self.woken = -1
        self.back = -1


class Seen:
    """One vCPU as it passes. ``waiting`` are vectors that arrived and were not injected yet; ``unforeseen`` those of
    them for which nothing seen before told that they would have to.

    ``serving`` counts injections whose EOI is to come; ``timer_set`` is when it last made the hypercall that may set
    its timer; ``last`` is the vector injected last; ``held`` is the exit before this one, where only the next tells
    whether a window was armed in it.
    """

    def __init__(self) -> None:
        self.turn: Turn | None = None
        self.held: Turn | None = None
        self.waiting: set[int] = set()
        self.unforeseen: set[int] = set()
        self.serving = 0
        self.timer_set = 0
        self.last = -1
        self.state = UNKNOWN
        self.first_state = UNKNOWN
        self.blocked_at = -1
        self.enters = False
        self.pcpu = -1
        self.lost = False


class Places:
    """Where guest code was found with interrupts on or off, learned from exits that came before.

    Code lies together: an address not met before is judged by the nearest one that was. User code has interrupts on,
    and so has everything before anything was seen.
    """

    def __init__(self) -> None:
        self.off: dict[int, int] = {}
        self.sorted: list[int] = []

    def judge(self, place: int) -> int:
        """Return 2 when interrupts were off when the guest was last seen here, 1 when so at the nearest place, or 0."""
        if place < USER or not self.sorted:
            return 0
        if place in self.off:
            return 2 * self.off[place]
        n = bisect_right(self.sorted, place)
        around = self.sorted[max(0, n - 1) : n + 1]
        return self.off[min(around, key=lambda known: abs(known - place))]

    def tell_new(self, turn: Turn) -> int:
        """Return 1 for an exit at an address not met before where interrupts were off though its nearest neighbour had
        them on, -1 for the reverse, else 0.
        """
        if turn.shown < 0 or turn.place < USER or turn.place in self.off:
            return 0
        return turn.shown - self.judge(turn.place)

    def learn(self, place: int, off: int) -> None:
        """Keep what an exit has shown."""
        if place not in self.off:
            insort(self.sorted, place)
        self.off[place] = off


class Windowless:
    """What exits for a window tell of a recording whose trace mask has no records of arming one.

    ``armed`` says that there are such records after all, so that nothing has to be told. Votes are kept by machine and
    vector: how often an injection was followed, and how often by a window exit that found nothing to inject.
    """

    def __init__(self) -> None:
        self.armed = False
        self.votes: dict[tuple[str, int], list[int]] = {}

    def told_by(self, machine: str, cpu: Seen, before: Turn | None, turn: Turn) -> None:
        """Learn from an exit what was done in the one before it.

        A vector that is injected in a window exit waited when the window was armed: before the last entry at latest. A
        window exit that finds nothing was armed for the callback, after its injection; its handler may exit in between.
        """
        if turn.reason == Exit.INTERRUPT_WINDOW:
            if not turn.injected and cpu.last >= 0:
                self.votes[machine, cpu.last][1] += 1
                cpu.last = -1
            if before is not None and turn.found:
                before.found += [(vector, -1) for vector, _ in turn.found]
                before.shown = before.shown if before.injected else 1
                turn.found = []
        for vector in turn.injected:
            self.votes.setdefault((machine, vector), [0, 0])[0] += 1
            cpu.last = vector

    def callback(self, machine: str) -> int:
        """Return the vector after most injections of which Xen asked again and armed a window; -1 for none."""
        return next((v for (m, v), (all_of, again) in self.votes.items() if m == machine and 2 * again > all_of), -1)
