"""A recording without the scheduler's records: when the guest of a pCPU was away, by how long it took to be entered.

Between an exit and the next entry of a pCPU lies either what Xen does for one exit, or, much longer, two switches and
whoever ran in between. Records within carry no time stamp of their own in this class, so that no more is told.
"""

from array import array
from collections.abc import Callable, Iterable, Iterator
from math import exp, log

from exitless.study.arrivals import Row, plain_reason
from exitless.vocab.exits import Exit
from exitless.vocab.kinds import Kind, RunState


class Gaps:
    """The times from an exit to the next entry on the same pCPU. Units: ps."""

    def __init__(self) -> None:
        self.all = array("q")
        self._exits: dict[int, int] = {}

    def rows(self, rows: Iterable[Row]) -> None:
        """Take some rows."""
        for time, kind, pcpu, _, _, _ in rows:
            if kind == Kind.VM_EXIT:
                self._exits[pcpu] = time
            elif kind == Kind.VM_ENTRY:
                since = self._exits.pop(pcpu, -1)
                if since >= 0:
                    self.all.append(time - since)

    def longest_stay(self) -> int:
        """Return the gap above which a guest was away: where all gaps, by their logarithms, fall into two classes.

        The break is where the variance between the classes is greatest (Otsu's method), so nothing is set by hand.
        """
        logs = sorted(log(max(gap, 1)) for gap in self.all)
        total, low, best, at = sum(logs), 0.0, 0.0, logs[-1] if logs else 0.0
        for n in range(1, len(logs)):
            low += logs[n - 1]
            between = n * (len(logs) - n) * (low / n - (total - low) / (len(logs) - n)) ** 2
            if between > best and logs[n] > logs[n - 1]:
                best, at = between, (logs[n] + logs[n - 1]) / 2
        return int(exp(at))


class Unscheduled:
    """Gives what is nobody's to one vCPU for each pCPU, with the runstates that gaps longer than ``stay`` ps stand for.

    Of hypercalls the first after an exit for one is its own; any other is a PV guest's, and stays nobody's.

    ``add`` makes the vCPU of a pCPU and returns its number. ``idle_entries`` counts halts that an entry follows which
    brings no interrupt: no halted vCPU is entered so, another was. ``unarmed_entries`` counts entries that arm no
    window while an interrupt waits for one: no vCPU for which one waits is entered so.
    """

    def __init__(self, stay: int, add: Callable[[int], int]) -> None:
        self.stay = stay
        self.add = add
        self.away = 0
        self.idle_entries = 0
        self.unarmed_entries = 0
        self._vcpus: dict[int, int] = {}
        self._exits: dict[int, Row] = {}
        self._calls: dict[int, bool] = {}
        self._found: dict[int, set[int]] = {}
        self._waiting: dict[int, set[int]] = {}

    def batches(self, batches: Iterable[list[Row]]) -> Iterator[list[Row]]:
        """Hand on all rows."""
        for rows in batches:
            out: list[Row] = []
            for row in rows:
                if row[2] >= 0 and row[3] < 0:
                    self._row(row, out)
                else:
                    out.append(row)
            yield out

    def _row(self, row: Row, out: list[Row]) -> None:
        time, kind, pcpu, _, a, b = row
        if pcpu not in self._vcpus:
            self._vcpus[pcpu] = self.add(pcpu)
        vcpu = self._vcpus[pcpu]
        waiting = self._waiting.setdefault(pcpu, set())
        found = self._found.setdefault(pcpu, set())
        if kind == Kind.VM_EXIT:
            self._exits[pcpu] = row
            self._calls[pcpu] = plain_reason(a) == Exit.VMCALL
            found.clear()
        elif kind == Kind.HYPERCALL:
            if not self._calls.pop(pcpu, False):
                out.append(row)
                return
        elif kind == Kind.IRQ_INJECT:
            waiting.discard(a)
            found.add(a)
        elif kind == Kind.IRQ_WINDOW:
            if a not in found:
                waiting.add(a)
            found.add(a)
        elif kind == Kind.VM_ENTRY and pcpu in self._exits:
            out += self._switches(self._exits.pop(pcpu), time, vcpu)
        out.append((time, kind, pcpu, vcpu, a, b))

    def _switches(self, left: Row, time: int, vcpu: int) -> list[Row]:
        """Return the runstates between an exit and its entry, none when the guest stayed."""
        pcpu = left[2]
        found, halts = bool(self._found[pcpu]), plain_reason(left[4]) == Exit.HLT
        self.idle_entries += halts and not found
        if plain_reason(left[4]) == Exit.INTERRUPT_WINDOW and not found:
            self._waiting[pcpu].clear()
        self.unarmed_entries += bool(self._waiting[pcpu]) and not found
        if time - left[0] <= self.stay and (found or not halts):
            return []
        self.away += 1
        back, state = max(time - 1, left[0]), RunState.BLOCKED if halts else RunState.RUNNABLE
        out = [(left[0], Kind.RUNSTATE, pcpu, vcpu, RunState.RUNNING, state)]
        if halts:
            out.append((back, Kind.RUNSTATE, pcpu, vcpu, RunState.BLOCKED, RunState.RUNNABLE))
        return [*out, (back, Kind.RUNSTATE, pcpu, vcpu, RunState.RUNNABLE, RunState.RUNNING)]
