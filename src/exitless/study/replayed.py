"""A recording and its replay side by side: the same counts of both, and which of them were given."""

from collections.abc import Callable, Iterable
from dataclasses import dataclass
from typing import Any, Final

from exitless.study.arrivals import OTHER, Arrivals, plain_reason
from exitless.vocab.exits import Exit
from exitless.vocab.hypercalls import hypercall_name
from exitless.vocab.kinds import Kind

STATES: Final = ("running", "runnable", "blocked", "offline")
GIVEN: Final = "given"
PREDICTED: Final = "predicted"
MIXED: Final = "mixed"
UNRECORDED: Final = "not recorded"
UNTOLD: Final = "not predictable"

# How a window came to be armed.
BLOCKED: Final = "the guest cannot take the interrupt"
AFTER: Final = "Xen asks again after the injection"
AGAIN: Final = "a softirq restarts the entry path"

Row = tuple[int, int, int, int, int, int]


class Counts:
    """Counts by (what, number, number), apart for vCPUs that run by VM entry and for all others.

    ``by_cause`` counts armings, ``windows`` exits for a window by whether they led to an injection.
    """

    def __init__(self) -> None:
        self.by_vcpu: dict[tuple[int, int, int, int], int] = {}
        self.by_cause = {BLOCKED: 0, AFTER: 0, AGAIN: 0}
        self.window_exits = 0
        self.window_injects = 0
        self._last: dict[int, int] = {}
        self._given: dict[int, int] = {}
        self._armed: dict[int, int] = {}

    def rows(self, rows: Iterable[Row], recorded: bool) -> None:
        """Count some rows."""
        for _, kind, pcpu, vcpu, a, b in rows:
            if kind == Kind.VM_EXIT:
                reason = plain_reason(a) if recorded else a
                self._one(vcpu, kind, reason)
                who = vcpu if vcpu >= 0 else -2 - pcpu
                self._last[who], self._given[who], self._armed[who] = reason, 0, 0
                self.window_exits += reason == Exit.INTERRUPT_WINDOW
            elif kind == Kind.IRQ_INJECT:
                self._one(vcpu, kind, a)
                who = vcpu if vcpu >= 0 else -2 - pcpu
                if self._last.get(who) == Exit.INTERRUPT_WINDOW and not self._given.get(who):
                    self.window_injects += 1
                self._given[who], self._armed[who] = 1, 0
            elif kind == Kind.IRQ_WINDOW:
                self._one(vcpu, kind, a)
                self._window(vcpu if vcpu >= 0 else -2 - pcpu)
            elif kind in (Kind.SCHED_WAKE, Kind.GUEST_HLT):
                self._one(vcpu, kind, 0)
            elif kind == Kind.HYPERCALL:
                if a >= 0:
                    self._one(vcpu, kind, a)
            elif kind == Kind.RUNSTATE and vcpu >= 0:
                self._one(vcpu, kind, a, b)

    def _one(self, vcpu: int, kind: int, a: int, b: int = 0) -> None:
        key = (vcpu, kind, a, b)
        self.by_vcpu[key] = self.by_vcpu.get(key, 0) + 1

    def _window(self, who: int) -> None:
        """Say how this window came to be armed."""
        given, armed = self._given.get(who, 0), self._armed.get(who, 0)
        self.by_cause[AGAIN if armed else AFTER if given else BLOCKED] += 1
        self._armed[who] = armed + 1

    def sums(self, vcpus: Callable[[int], bool]) -> dict[tuple[int, int, int], int]:
        """Return the counts over the vCPUs that are wanted."""
        out: dict[tuple[int, int, int], int] = {}
        for (vcpu, kind, a, b), count in self.by_vcpu.items():
            if vcpus(vcpu):
                out[kind, a, b] = out.get((kind, a, b), 0) + count
        return out


@dataclass
class Line:
    """One quantity. ``given`` is how much of both sides was taken from the recording as it is.

    ``most`` is the simulated count with a restart at each switch, where a row is not predictable for want of slices.
    """

    quantity: str
    recorded: int
    simulated: int
    given: int
    basis: str
    group: str
    most: int | None = None

    def difference(self) -> float | None:
        """Return the difference in per cent of the recorded count; None where that is 0 or there is no comparing."""
        if not self.recorded or self.basis in (UNRECORDED, UNTOLD):
            return None
        return round(100 * (self.simulated - self.recorded) / self.recorded, 2)

    def as_json(self) -> dict[str, Any]:
        """Return the row of the contract, with what was given; recorded is null where nothing of the kind was."""
        return {
            "quantity": self.quantity, "recorded": None if self.basis == UNRECORDED else self.recorded,
            "simulated": self.simulated, "difference_percent": self.difference(), "basis": self.basis,
            "given": self.given, **({} if self.most is None else {"simulated_most": self.most}),
        }  # fmt: skip


class Comparison:
    """Both sides of a replay. ``hosts`` is how many host interrupts were given; ``exit_name`` names recorded codes.

    ``restarted`` is a second simulation where the recording tells no time slices: one with a restart at each switch.
    """

    def __init__(
        self, recorded: Counts, simulated: Counts, restarted: Counts | None, replayed: set[int], hosts: int,
        arrivals: Arrivals, exit_name: Callable[[int], str],
    ) -> None:  # fmt: skip
        self.recorded = recorded
        self.simulated = simulated
        self.restarted = restarted
        self.hosts = hosts
        self.missed = arrivals.missed
        self.new_exits = arrivals.new_exits
        self.new_armings = arrivals.new_armings
        self.exit_name = exit_name
        self.mine = recorded.sums(lambda v: v in replayed)
        self.others = recorded.sums(lambda v: v not in replayed)
        self.made = simulated.sums(lambda v: True)
        self.most = {} if restarted is None else restarted.sums(lambda v: True)

    def _sides(self, kind: int) -> list[tuple[tuple[int, int, int], int, int, int]]:
        """Return every count of a kind: recorded, simulated, and what of it others than the replayed vCPUs did."""
        keys = {k for side in (self.mine, self.others, self.made) for k in side if k[0] == kind}
        return [
            (k, self.mine.get(k, 0) + self.others.get(k, 0), self.made.get(k, 0) + self.others.get(k, 0),
             self.others.get(k, 0))
            for k in sorted(keys)
        ]  # fmt: skip

    def lines(self) -> list[Line]:
        """Return all rows, in the order in which they are shown."""
        out = self._injections()
        armed = self._sides(Kind.IRQ_WINDOW)
        untold = self.untold() or self.absent(Kind.RUNSTATE)
        windows = UNRECORDED if self.absent(Kind.IRQ_WINDOW) else UNTOLD if untold else PREDICTED
        lines = [
            Line(f"window armings 0x{k[1]:02x}", recorded, simulated, given, windows, "windows")
            for k, recorded, simulated, given in armed
        ]
        lines.append(self._total("window armings", armed, "windows", windows))
        new = [self.new_armings.get(k[1], 0) for k, _, _, _ in armed]
        if self.restarts_matter():
            most = [self.most.get(k, 0) + given for k, _, _, given in armed]
            for line, count in zip(lines, [*most, sum(most)], strict=True):
                line.most = count
                line.basis = UNTOLD if line.basis == PREDICTED else line.basis
        for line, count in zip(lines, [*new, sum(new)], strict=True):
            line.basis = self._unless_new(line.basis, count, line.recorded)
        out += lines
        out += self._exits()
        for k, recorded, simulated, _ in self._sides(Kind.HYPERCALL):
            out.append(Line(f"hypercalls {hypercall_name(k[1])}", recorded, simulated, recorded, GIVEN, "hypercalls"))
        wakes = self._sides(Kind.SCHED_WAKE)
        if wakes:
            basis = UNTOLD if self.absent(Kind.RUNSTATE) else MIXED if wakes[0][3] else PREDICTED
            out.append(
                self._total("wakeups", wakes, "scheduler", UNRECORDED if self.absent(Kind.SCHED_WAKE) else basis)
            )
        for k, recorded, simulated, given in self._sides(Kind.RUNSTATE):
            name = f"runstate {STATES[k[1] & 3]}->{STATES[k[2] & 3]}"
            paused = k[1] == 3 or k[2] == 3
            basis = GIVEN if paused or recorded == given else MIXED if given else PREDICTED
            basis = UNRECORDED if self.absent(Kind.RUNSTATE) or (self.missed and not recorded) else basis
            out.append(Line(name, recorded, simulated, recorded if basis == GIVEN else given, basis, "scheduler"))
        return out

    def window_exits(self) -> int:
        """Return how many exits for a window were recorded."""
        return sum(n for k, n in self.mine.items() if k[:2] == (Kind.VM_EXIT, Exit.INTERRUPT_WINDOW))

    def absent(self, kind: int) -> bool:
        """Tell whether the recording has no record of a kind, though there was occasion for one."""
        kinds = {k[0] for side in (self.mine, self.others) for k in side}
        if kind in kinds:
            return False
        occasion = Kind.SCHED_WAKE in kinds if kind == Kind.RUNSTATE else self.window_exits() > 0
        return any(k[0] == kind for k in self.made) or (occasion and kind != Kind.SCHED_WAKE)

    def restarts_matter(self) -> bool:
        """Tell whether restarts at switches, of which nothing is told, could change the armings by a tenth."""
        least, most = (sum(n for k, n in side.items() if k[0] == Kind.IRQ_WINDOW) for side in (self.made, self.most))
        return 10 * (most - least) > least

    def _unless_new(self, basis: str, new: int, recorded: int) -> str:
        """Return a row's basis: not predictable where code met for the first time makes more than a tenth of it."""
        return UNTOLD if basis == PREDICTED and 10 * abs(new) > recorded else basis

    def untold(self) -> bool:
        """Tell whether arrivals are missing: without records of injections, only those that had to wait are seen."""
        return self.absent(Kind.IRQ_INJECT)

    def _total(
        self, name: str, sides: list[tuple[tuple[int, int, int], int, int, int]], group: str, basis: str
    ) -> Line:
        """Add up some counts."""
        return Line(name, sum(s[1] for s in sides), sum(s[2] for s in sides), sum(s[3] for s in sides), basis, group)

    def _injections(self) -> list[Line]:
        """Injections: their arrivals are given, so they can only differ where two became one or one came too late."""
        sides = self._sides(Kind.IRQ_INJECT)
        basis = UNRECORDED if self.absent(Kind.IRQ_INJECT) else GIVEN
        out = [Line(f"injections 0x{k[1]:02x}", r, s, r, basis, "injections") for k, r, s, _ in sides]
        total = self._total("injections total", sides, "injections", basis)
        total.given = total.recorded
        return [*out, total]

    def _exits(self) -> list[Line]:
        """Exits by reason: windows are predicted, external interrupts in part, the guest's own are given."""
        merged: dict[str, Line] = {}
        for k, recorded, simulated, given in self._sides(Kind.VM_EXIT):
            name = self.exit_name(k[1])
            basis = GIVEN
            if k[1] == Exit.INTERRUPT_WINDOW:
                basis = UNTOLD if self.untold() else self._unless_new(PREDICTED, self.new_exits, recorded)
            elif k[1] == Exit.EXTERNAL_INTERRUPT:
                basis, given = UNTOLD if self.untold() else MIXED, given + self.hosts
            elif k[1] >= OTHER or k[1] in (Exit.HLT, Exit.VMCALL):
                given = recorded
            line = merged.setdefault(name, Line(f"exits {name}", 0, 0, 0, basis, "exits"))
            line.recorded, line.simulated, line.given = (
                line.recorded + recorded, line.simulated + simulated, line.given + given,
            )  # fmt: skip
        out = sorted(merged.values(), key=lambda line: -line.recorded)
        total = Line("exits total", 0, 0, 0, UNTOLD if self.untold() else MIXED, "exits")
        for line in out:
            total.recorded, total.simulated, total.given = (
                total.recorded + line.recorded, total.simulated + line.simulated, total.given + line.given,
            )  # fmt: skip
        return [*out, total]

    def tax(self) -> dict[str, Any]:
        """Return armings and window exits per injection, and by cause."""

        def side(counts: Counts, sums: dict[tuple[int, int, int], int]) -> dict[str, Any]:
            injections = sum(n for k, n in sums.items() if k[0] == Kind.IRQ_INJECT)
            armings = sum(n for k, n in sums.items() if k[0] == Kind.IRQ_WINDOW)
            return {
                "injections": injections,
                "armings_per_injection": round(armings / injections, 4) if injections else 0.0,
                "window_exits_per_injection": round(counts.window_exits / injections, 4) if injections else 0.0,
                "armings": dict(counts.by_cause),
                "window_exits": {
                    "that injected": counts.window_injects,
                    "that found nothing to inject": counts.window_exits - counts.window_injects,
                },
            }  # fmt: skip

        return {"recorded": side(self.recorded, self.mine), "simulated": side(self.simulated, self.made)}
