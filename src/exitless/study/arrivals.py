"""What a recording of Xen says came from outside: what its guests did by themselves, and what arrived for them.

Everything else in it (injections, windows, further exits, who is woken) is what a replay has to find by itself. What is
taken, and how, is told in docs/replay.md.
"""

from collections.abc import Callable, Iterable
from typing import Final

from exitless.study.passing import UNKNOWN, Places, Seen, Thing, Turn, Windowless
from exitless.study.pcpu_timers import TIMER_VECTOR, PcpuTimers
from exitless.vocab.exits import Exit
from exitless.vocab.given import Given
from exitless.vocab.kinds import Kind, RunState

# A reader's row of this kind says that a pCPU's records were lost (a >= 0) or that it is seen again (a = -1).
LOST: Final = 0
EVENT_CHECK: Final = 0xFC
VCPU_OP: Final = 24
SOURCE_VECTOR: Final = 5
# SVM's codes of the exits that the simulator knows by VMX's numbers; no exit of the other vendor has these.
SAME: Final = {
    0x60: Exit.EXTERNAL_INTERRUPT, 0x64: Exit.INTERRUPT_WINDOW, 0x78: Exit.HLT, 0x81: Exit.VMCALL,
}  # fmt: skip
KNOWN: Final = (Exit.EXTERNAL_INTERRUPT, Exit.INTERRUPT_WINDOW, Exit.HLT, Exit.VMCALL)
# Every other exit keeps its code, this much higher, so that no vendor's number is taken for another's.
OTHER: Final = 65536
# A vCPU is out of guest mode, but its exit lies before the recording or in a gap of it.
UNSEEN: Final = -1

Row = tuple[int, int, int, int, int, int]


def plain_reason(code: int) -> int:
    """Return the simulator's number for a recorded exit code."""
    reason = SAME.get(code, code)
    return reason if reason in KNOWN else OTHER + code


class Arrivals:
    """Collects the things, in the order of rows; :meth:`finish` returns them.

    ``place`` and ``slice_of`` answer for a pCPU's n-th exit or switch: the guest's instruction pointer, and the time
    slice in ns (-1: not told). ``machine_of`` names the domain of a vCPU; ``single`` tells of a host with one pCPU.
    ``new_exits`` and ``new_armings`` (by vector) say how many more there were than foretold, where code that was met
    for the first time had interrupts off.
    """

    def __init__(
        self,
        place: Callable[[int, int], int],
        slice_of: Callable[[int, int], int],
        machine_of: Callable[[int], str],
        single: bool,
    ) -> None:
        self.place = place
        self.machine_of = machine_of
        self.slice_of = slice_of
        self.single = single
        self.things: list[Thing] = []
        self.cpus: dict[int, Seen] = {}
        self.places: dict[str, Places] = {}
        self.callbacks: dict[int, int] = {}
        self.exits_on: dict[int, int] = {}
        self.switches_on: dict[int, int] = {}
        self.timers = PcpuTimers(single)
        self.dark = 0
        self.missed = 0
        self.new_exits = 0
        self.new_armings: dict[int, int] = {}
        self.windowless = Windowless()

    def rows(self, rows: Iterable[Row]) -> None:
        """Take some rows."""
        for time, kind, pcpu, vcpu, a, b in rows:
            if kind == Kind.VM_EXIT:
                n = self.exits_on.get(pcpu, 0)
                self.exits_on[pcpu] = n + 1
                if vcpu >= 0:
                    self._exit(time, vcpu, Turn(time, pcpu, plain_reason(a), b, self.place(pcpu, n)))
            elif kind == Kind.VM_ENTRY:
                self.timers.entered(pcpu)
                if vcpu >= 0:
                    self._cpu(vcpu).enters = True
                    self._entered(time, vcpu, self._cpu(vcpu))
            elif kind == Kind.SCHED_SWITCH:
                n = self.switches_on.get(pcpu, 0)
                self.switches_on[pcpu] = n + 1
                self.timers.switched(pcpu, b < 0, self.slice_of(pcpu, n))
            elif kind == Kind.HOST_IRQ:
                self.timers.interrupted(pcpu, a, a >= 0 or b >= 0)
            elif kind == LOST:
                self._lost(pcpu, a)
            elif vcpu >= 0:
                self._of_vcpu(time, kind, pcpu, vcpu, a, b)

    def _cpu(self, vcpu: int) -> Seen:
        cpu = self.cpus.get(vcpu)
        if cpu is None:
            cpu = self.cpus[vcpu] = Seen()
        return cpu

    def _of_vcpu(self, time: int, kind: int, pcpu: int, vcpu: int, a: int, b: int) -> None:
        """Something that one vCPU did, or that was done to it."""
        cpu = self._cpu(vcpu)
        if cpu.turn is None:
            cpu.turn = Turn(time, pcpu, UNSEEN, -1, 0)
        turn = cpu.turn
        if kind == Kind.RUNSTATE:
            self._runstate(time, pcpu, vcpu, cpu, turn, a, b)
        elif kind == Kind.SCHED_WAKE:
            if self.timers.may_wake(pcpu) and cpu.blocked_at >= 0:
                self.timers.fires(pcpu, vcpu, time, cpu.blocked_at, cpu.timer_set)
        elif kind == Kind.HYPERCALL:
            turn.call = a
            cpu.timer_set = time if a == VCPU_OP else cpu.timer_set
        elif kind == Kind.IRQ_EOI:
            turn.eoi = cpu.serving > 0
            cpu.serving -= cpu.serving > 0
        elif kind == Kind.IRQ_INJECT:
            cpu.serving += self.callbacks.get(vcpu) != a
            if a in cpu.waiting:
                cpu.waiting.discard(a)
            else:
                turn.found.append((a, self._came_late(vcpu, turn, a, time)))
            turn.injected.add(a)
            turn.shown = 0 if turn.shown < 0 else turn.shown
        elif kind == Kind.IRQ_WINDOW:
            if not self.windowless.armed:
                self._windows_are_told()
            if b == SOURCE_VECTOR:
                self.callbacks[vcpu] = a
            turn.shown = 1 if turn.shown < 0 else turn.shown
            turn.armed[a] = turn.armed.get(a, 0) + 1
            if a not in turn.injected and a not in cpu.waiting:
                cpu.waiting.add(a)
                turn.found.append((a, self._came_late(vcpu, turn, a, time)))

    def _came_late(self, vcpu: int, turn: Turn, vector: int, time: int) -> int:
        """Xen injects what is highest, the callback before all. Returns: ``time`` for a vector that outranks one which
        was injected in this exit already, else -1.
        """
        callback = self.callbacks.get(vcpu)
        outranks = any(v != callback and (vector == callback or vector > v) for v in turn.injected)
        return time if outranks else -1

    def _runstate(self, time: int, pcpu: int, vcpu: int, cpu: Seen, turn: Turn, old: int, new: int) -> None:
        """A vCPU changes its runstate; who blocks and who is woken by an interrupt is not given."""
        if cpu.first_state == UNKNOWN:
            cpu.first_state = old
        if cpu.lost and new == RunState.RUNNING:
            self._resume(time, vcpu, cpu)
        elif not cpu.lost and cpu.state != UNKNOWN and cpu.state != old:
            self._missed(time, vcpu, cpu)
        if new == RunState.BLOCKED:
            cpu.blocked_at = time
            if turn.reason != Exit.HLT:
                self._thing(turn.time, 0, vcpu, Given.AWAY, new)
        elif old == RunState.BLOCKED:
            self._thing(time, 0, vcpu, Given.HOLD)
            if turn.woken < 0:
                turn.woken = time
        elif old == RunState.RUNNING:
            self._thing(turn.time, 0, vcpu, Given.AWAY, new)
        elif old == RunState.OFFLINE:
            self._thing(time, 0, vcpu, Given.ONLINE)
        if new == RunState.RUNNING:
            turn.back = time
            cpu.pcpu = pcpu
            self.timers.runs(len(self.things), pcpu, time)
            self._thing(time, 4, vcpu, Given.BACK)
        if new != RunState.BLOCKED and new != RunState.RUNNABLE:
            cpu.blocked_at = -1
        cpu.state = new

    def _thing(self, time: int, order: int, vcpu: int, what: int, a: int = 0, b: int = 0, dark: int = 0) -> None:
        self.things.append(Thing(time, order, vcpu, what, a, b, dark))

    def _exit(self, time: int, vcpu: int, turn: Turn) -> None:
        """The guest stops. One that was last seen blocked is awake, whatever was not recorded."""
        cpu = self._cpu(vcpu)
        if cpu.turn is not None:
            self._close(vcpu, cpu)
        if cpu.lost:
            self._resume(time, vcpu, cpu)
        elif cpu.state != UNKNOWN and cpu.state != RunState.RUNNING:
            self._missed(time, vcpu, cpu)
            self._thing(time, 1, vcpu, Given.BACK)
            cpu.state = RunState.RUNNING
        cpu.enters = True
        cpu.pcpu = turn.pcpu
        cpu.turn = turn

    def _entered(self, time: int, vcpu: int, cpu: Seen) -> None:
        """The guest is entered. Where no record tells of the scheduler, one that had halted must have been woken."""
        turn = cpu.turn
        self._close(vcpu, cpu)
        if turn is not None and turn.reason == Exit.HLT and cpu.state == UNKNOWN and not turn.found:
            self._thing(time, 3, vcpu, Given.WAKE)
            self._thing(time, 4, vcpu, Given.BACK)

    def _resume(self, time: int, vcpu: int, cpu: Seen) -> None:
        """After a gap the vCPU is seen again."""
        cpu.lost = False
        self._thing(time, 0, vcpu, Given.WAKE)
        self._thing(time, 1, vcpu, Given.BACK)

    def _missed(self, time: int, vcpu: int, cpu: Seen) -> None:
        """A change of runstate was not recorded: whatever the vCPU was last seen in, it is no longer."""
        self.missed += 1
        if cpu.state == RunState.OFFLINE:
            self._thing(time, 0, vcpu, Given.ONLINE)
        elif cpu.state == RunState.BLOCKED:
            self._thing(time, 0, vcpu, Given.WAKE)

    def _close(self, vcpu: int, cpu: Seen) -> None:
        """The guest is entered again: all that will be known of its last exit is known, unless the next exit tells."""
        turn, cpu.turn = cpu.turn, None
        if turn is None:
            return
        if self.windowless.armed:
            self._settle(vcpu, turn)
            return
        machine = self.machine_of(vcpu)
        self.windowless.told_by(machine, cpu, cpu.held, turn)
        self.callbacks[vcpu] = self.windowless.callback(machine)
        if cpu.held is not None:
            self._settle(vcpu, cpu.held)
        cpu.held = turn

    def _windows_are_told(self) -> None:
        """The first record of arming a window: what the exits before it tell is not needed."""
        self.windowless.armed = True
        self.callbacks.clear()
        self._settle_held()

    def _settle_held(self) -> None:
        """No next exit will tell more of those that are held."""
        for vcpu, cpu in self.cpus.items():
            held, cpu.held = cpu.held, None
            if held is not None:
                self._settle(vcpu, held)

    def _settle(self, vcpu: int, turn: Turn) -> None:
        """Hand on what is known of an exit."""
        places = self.places.setdefault(self.machine_of(vcpu), Places())
        dark = 0
        if turn.reason == UNSEEN:
            self._first_met(self.cpus[vcpu], turn, int(turn.shown > 0))
        elif turn.reason == Exit.INTERRUPT_WINDOW or turn.reason == Exit.HLT:
            self._first_met(self.cpus[vcpu], turn, 0)
            places.learn(turn.place, 0)
            if turn.reason == Exit.HLT:
                self._thing(turn.time, 2, vcpu, Given.EXIT, Exit.HLT, -1)
        else:
            dark = places.judge(turn.place)
            self.dark += bool(dark and turn.found)
            self._first_met(self.cpus[vcpu], turn, places.tell_new(turn))
            if turn.shown >= 0:
                places.learn(turn.place, turn.shown)
            self._given_exit(vcpu, turn, dark)
        self._interrupts(vcpu, turn, dark)

    def _first_met(self, cpu: Seen, turn: Turn, off: int) -> None:
        """Count what comes of code that is not seen, or for the first time and is not as its neighbourhood, for as long
        as the interrupt waits: one that nothing foretold to wait is not simulated to.
        """
        self.new_exits += off if turn.found else 0
        if off > 0:
            cpu.unforeseen |= turn.armed.keys()
        for vector, count in turn.armed.items():
            if vector in cpu.unforeseen:
                self.new_armings[vector] = self.new_armings.get(vector, 0) + count
        for vector, _ in turn.found:
            if off < 0:
                self.new_armings[vector] = self.new_armings.get(vector, 0) - 1
        cpu.unforeseen -= turn.injected

    def _given_exit(self, vcpu: int, turn: Turn, dark: int) -> None:
        """An exit that the guest made by itself, or that a host interrupt made."""
        if turn.reason != Exit.EXTERNAL_INTERRUPT:
            if turn.call == VCPU_OP:
                self.timers.call(len(self.things), turn)
            self._thing(turn.time, 2, vcpu, Given.EXIT, turn.reason, Given.EOI if turn.eoi else turn.call, dark)
        elif self._raises(turn) != Given.LOCAL and not (
            self._raises(turn) == Given.REMOTE and turn.vector == EVENT_CHECK
        ):
            vector = turn.vector if turn.vector >= 0 else TIMER_VECTOR
            self.timers.brings_nothing(turn)
            self._thing(turn.time, 2, vcpu, Given.HOST, vector, 0, dark)

    def _raises(self, turn: Turn) -> int:
        """Tell how the first interrupt that was found in this exit came; 0 when there is none."""
        if not turn.found:
            return 0
        if turn.woken >= 0 or turn.back >= 0:
            return -1
        if turn.reason != Exit.EXTERNAL_INTERRUPT:
            return Given.HERE
        if self.single or turn.vector in (-1, TIMER_VECTOR):
            return Given.LOCAL
        return Given.REMOTE

    def _interrupts(self, vcpu: int, turn: Turn, dark: int) -> None:
        """What arrived for the guest in this exit, and when it must have been there."""
        how = self._raises(turn)
        if how < 0:
            at = turn.woken if turn.woken >= 0 else turn.back
            for vector, late in turn.found:
                if late < 0:
                    self._thing(at, 3, vcpu, Given.REMOTE, vector)
                else:
                    self._thing(late, 3, vcpu, Given.HERE, vector)
            return
        if turn.woken >= 0:
            self._thing(turn.woken, 3, vcpu, Given.WAKE)
        if how == Given.LOCAL and self.cpus[vcpu].timer_set:
            set_at = self.cpus[vcpu].timer_set
            self.timers.fires(turn.pcpu, vcpu, turn.time, set_at, set_at)
        for n, (vector, late) in enumerate(turn.found):
            if late >= 0:
                self._thing(late, 3, vcpu, Given.HERE, vector)
            elif n == 0 or how != Given.LOCAL:
                self._thing(turn.time, 3, vcpu, how, vector, 0, dark if how != Given.HERE else 0)
            else:
                self._thing(turn.time, 3, vcpu, Given.HERE, vector)

    def _lost(self, pcpu: int, count: int) -> None:
        """What its vCPU did, and any that did not run elsewhere, is not known: this pCPU may have run it."""
        if count < 0:
            return
        self._settle_held()
        self.timers.lost(pcpu)
        for cpu in self.cpus.values():
            if cpu.pcpu != pcpu and cpu.state == RunState.RUNNING:
                continue
            cpu.turn = None
            cpu.waiting.clear()
            cpu.serving = 0
            cpu.lost = True

    def finish(self) -> list[Thing]:
        """Return what is given for vCPUs that run by VM entry, in the order of time."""
        for vcpu, cpu in self.cpus.items():
            self._close(vcpu, cpu)
        self._settle_held()
        self.timers.settle()
        for n in self.timers.restarted():
            self.things[n] = self.things[n]._replace(a=1)
        for n in self.timers.calls_that_set_the_first([t.vcpu for t in self.things]):
            self.things[n] = self.things[n]._replace(again=1)
        return sorted(t for t in self.things if self.cpus[t.vcpu].enters)

    def slices_told(self) -> int:
        """Return how many switches to a vCPU that runs by VM entry told its time slice."""
        return sum(end >= 0 and self.cpus[self.things[n].vcpu].enters for n, _, _, end, _ in self.timers.starts)

    def replayed(self) -> list[int]:
        """Return the vCPUs that run by VM entry."""
        return sorted(v for v, cpu in self.cpus.items() if cpu.enters)

    def state_at_start(self, vcpu: int) -> int:
        """Return the runstate a vCPU began with; running when no record tells."""
        state = self.cpus[vcpu].first_state
        return RunState.RUNNING if state == UNKNOWN else state


__all__ = ["OTHER", "Arrivals", "Places", "Thing", "plain_reason"]
