"""The timers of each pCPU as far as a recording shows them: slice timers by their length, others where they fire."""

from bisect import bisect_right
from typing import Final

from exitless.study.passing import Turn

TIMER_VECTOR: Final = 0xFA
PS_PER_NS: Final = 1000


class PcpuTimers:
    """Which timers fire when, and since when they were set. Units: ps; -1 for no slice.

    ``single`` tells of a host with one pCPU. ``starts`` has what gets a pCPU: thing, pCPU, time, the end of its slice
    and that of the slice that was stopped for it; ``calls`` the vcpu_op calls: thing, pCPU, time, the slice's end.
    """

    def __init__(self, single: bool) -> None:
        self.single = single
        self.starts: list[tuple[int, int, int, int, int]] = []
        self.calls: list[tuple[int, int, int, int]] = []
        self._fired: dict[int, list[tuple[int, int]]] = {}
        self._by_vcpu: dict[int, list[tuple[int, int]]] = {}
        self._slice: dict[int, int] = {}
        self._ends: dict[int, int] = {}
        self._stopped: dict[int, int] = {}
        self._began: dict[int, int] = {}
        self._idle: dict[int, bool] = {}
        self._interrupt: dict[int, bool] = {}

    def switched(self, pcpu: int, idle: bool, slice_ns: int) -> None:
        """The scheduler has chosen. It stops the slice timer of the one that goes."""
        self._slice[pcpu] = slice_ns
        self._idle[pcpu] = idle
        self._stopped[pcpu] = self._ends.pop(pcpu, -1)

    def lost(self, pcpu: int) -> None:
        """Nothing is known of what this pCPU did."""
        for known in (self._slice, self._ends, self._stopped, self._idle, self._interrupt):
            known.pop(pcpu, None)

    def runs(self, thing: int, pcpu: int, time: int) -> None:
        """A vCPU has got the pCPU."""
        slice_ns = self._slice.get(pcpu, -1)
        end = time + slice_ns * PS_PER_NS if slice_ns >= 0 else -1
        self.starts.append((thing, pcpu, time, end, self._stopped.pop(pcpu, -1)))
        self._began[pcpu] = time
        self._ends[pcpu] = end

    def interrupted(self, pcpu: int, vector: int, told: bool) -> None:
        """A host interrupt: the timer's by its vector, or where no record names it otherwise."""
        self._interrupt[pcpu] = vector == TIMER_VECTOR or not told

    def entered(self, pcpu: int) -> None:
        """The interrupt's work is done."""
        self._interrupt[pcpu] = False

    def may_wake(self, pcpu: int) -> bool:
        """Tell whether who is woken here may be woken by a timer: out of idle, or in a timer interrupt."""
        return self._idle.get(pcpu, False) or self._interrupt.get(pcpu, False)

    def fires(self, pcpu: int, vcpu: int, time: int, since: int, set_at: int) -> None:
        """A vCPU's timer fires that was there since a time; its last call that sets it was at ``set_at``."""
        self._fired.setdefault(pcpu, []).append((time, since))
        self._by_vcpu.setdefault(vcpu, []).append((set_at, time))

    def brings_nothing(self, turn: Turn) -> None:
        """A timer interrupt before the slice ends that brings the guest nothing: a timer that another had set before.

        AMD's records do not name the vector; with one pCPU there is no other pCPU that could have sent it.
        """
        told = turn.vector == TIMER_VECTOR or (turn.vector < 0 and self.single)
        if told and not 0 <= self._ends.get(turn.pcpu, -1) <= turn.time:
            self._fired.setdefault(turn.pcpu, []).append((turn.time, self._began.get(turn.pcpu, 0) - 1))

    def call(self, thing: int, turn: Turn) -> None:
        """A guest calls vcpu_op, which may set its timer."""
        self.calls.append((thing, turn.pcpu, turn.time, self._ends.get(turn.pcpu, -1)))

    def settle(self) -> None:
        """All fires are known."""
        for fired in self._fired.values():
            fired.sort()

    def restarted(self) -> list[int]:
        """Return the things that get a pCPU where the slice timer stopped, or the new one, was its earliest timer.

        Cites: Xen timer.c deactivate_timer
        """
        return [
            thing for thing, pcpu, time, *ends in self.starts
            if any(end > time and self._first(pcpu, time, end) for end in ends)
        ]  # fmt: skip

    def calls_that_set_the_first(self, vcpu_of: list[int]) -> list[int]:
        """Return the things that are calls which set the earliest timer of a pCPU; ``vcpu_of`` is for each thing."""
        out = []
        for n, pcpu, time, slice_end in self.calls:
            fires = self._by_vcpu.get(vcpu_of[n], [])
            at = bisect_right(fires, (time, -1))
            if at < len(fires) and fires[at][0] == time:
                end = fires[at][1]
                if not time < slice_end < end and self._first(pcpu, time, end):
                    out.append(n)
        return out

    def _first(self, pcpu: int, time: int, end: int) -> bool:
        """Tell whether no timer that was set before ``time`` is seen to fire on a pCPU until ``end``."""
        fired = self._fired.get(pcpu, [])
        n = bisect_right(fired, (time, 1 << 62))
        while n < len(fired) and fired[n][0] <= end:
            if fired[n][1] < time:
                return False
            n += 1
        return True


__all__ = ["TIMER_VECTOR", "PcpuTimers"]
