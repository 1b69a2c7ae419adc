"""Who woke whom, how long a vCPU then waited for a pCPU, and how its halts ended: polled or blocked.

It takes rows in the order of time and knows no tracer. Where a thread wakes a vCPU from within a host interrupt, that
interrupt is the waker.
"""

from typing import Final

from mypy_extensions import i64

from exitless.record.row_sink import RowSink
from exitless.study.times import Slots, Times
from exitless.vocab.kinds import Kind, RunState

LOST: Final = 0
NONE: Final = -1
NMI: Final = 2
CALLS: Final = 4096


class Waker:
    """Who wakes. Numbers: a host vector, an irq, a thread, a vCPU's place, a vCPU's place by what it called."""

    UNTOLD: Final = 0
    HOST_VECTOR: Final = 1
    HOST_IRQ: Final = 2
    THREAD: Final = 3
    VCPU: Final = 4
    CALL: Final = 5


class Woken:
    """Wake-ups of one vCPU by one waker: how often, how long until it ran, how often each vector waited for it."""

    def __init__(self, waker: i64, number: i64, call: i64, vcpu: i64) -> None:
        self.waker: i64 = waker
        self.number: i64 = number
        self.call: i64 = call
        self.vcpu: i64 = vcpu
        self.count: i64 = 0
        self.delay: Times = Times()
        self.vectors: dict[int, int] = {}


class Waits:
    """One vCPU: its waits for a pCPU after a wake-up and after losing one; its halts. Units: ps, -1 for none."""

    def __init__(self) -> None:
        self.state: i64 = NONE
        self.runnable: i64 = NONE
        self.is_woken: bool = False
        self.is_entered: bool = False
        self.by: Woken | None = None
        self.woken: Times = Times()
        self.lost: Times = Times()
        self.pending: list[int] = []
        self.polled: Times = Times()
        self.blocked: Times = Times()
        self.poll_ns: i64 = NONE
        self.most_poll_ns: i64 = NONE
        self.grown: i64 = 0
        self.shrunk: i64 = 0


class Waking(RowSink):
    """All wake-ups of one recording."""

    def __init__(self) -> None:
        self.found: dict[tuple[int, int, int, int], Woken] = {}
        self.cpus: dict[int, Waits] = {}
        self.on: Slots = Slots()
        self.inside: Slots = Slots()
        self.called: Slots = Slots()
        self.stays: i64 = 0
        self.halts: i64 = 0

    def one(self, time: i64, kind: i64, pcpu: i64, vcpu: i64, a: i64, b: i64) -> None:
        """Follow one row."""
        if kind == Kind.VM_ENTRY or kind == Kind.VM_EXIT:
            self.called.drop(pcpu)
            if vcpu >= 0:
                self.on.put(pcpu, vcpu)
        elif kind == Kind.RUNSTATE:
            if vcpu >= 0:
                self.stays += 1
                self.runstate(time, pcpu, self.cpu(vcpu), vcpu, a, b)
        elif kind == Kind.SCHED_WAKE:
            self.wake(pcpu, vcpu, a)
        elif kind == Kind.HOST_IRQ:
            self.inside.put(pcpu, a if a >= 0 else 256 + b)
        elif kind == Kind.HOST_DONE:
            self.inside.drop(pcpu)
        elif kind == Kind.HYPERCALL:
            self.called.put(pcpu, min(max(a, 0), CALLS - 1))
        elif kind == Kind.IRQ_REQUEST:
            if vcpu >= 0 and a != NMI:
                self.cpu(vcpu).pending.append(a)
        elif kind == Kind.IRQ_INJECT or kind == Kind.IRQ_EOI:
            if vcpu >= 0:
                waits: Waits = self.cpu(vcpu)
                if len(waits.pending) > 0:
                    waits.pending = []
        elif kind == Kind.HALT_END:
            self.halt(vcpu, a, b)
        elif kind == Kind.HALT_POLL:
            self.poll(vcpu, a, b)
        elif kind == LOST and a >= 0:
            self.lost(pcpu)

    def cpu(self, vcpu: i64) -> Waits:
        """Find a vCPU."""
        found = self.cpus.get(vcpu)
        if found is None:
            found = self.cpus[vcpu] = Waits()
        return found

    def wake(self, pcpu: i64, vcpu: i64, thread: i64) -> None:
        """A vCPU is woken: by the interrupt that is handled on this pCPU, else by who runs there."""
        if vcpu < 0:
            return
        waker: i64 = Waker.UNTOLD
        number: i64 = NONE
        call: i64 = NONE
        inside: i64 = self.inside.get(pcpu)
        if inside >= 0:
            waker = Waker.HOST_VECTOR if inside < 256 else Waker.HOST_IRQ
            number = inside if inside < 256 else inside - 256
        elif thread > 0:
            waker, number = Waker.THREAD, thread
        elif self.on.get(pcpu) >= 0:
            waker = Waker.VCPU
            number = self.on.get(pcpu)
            call = self.called.get(pcpu)
            if call >= 0:
                waker = Waker.CALL
        key = (int(waker), int(number), int(call), int(vcpu))
        woken = self.found.get(key)
        if woken is None:
            woken = self.found[key] = Woken(waker, number, call, vcpu)
        woken.count += 1
        cpu: Waits = self.cpu(vcpu)
        cpu.by = woken
        for vector in cpu.pending:
            woken.vectors[vector] = woken.vectors.get(vector, 0) + 1
        cpu.pending = []

    def runstate(self, time: i64, pcpu: i64, cpu: Waits, vcpu: i64, old: i64, new: i64) -> None:
        """A vCPU waits for a pCPU, gets it or leaves it."""
        if new == RunState.RUNNABLE:
            cpu.runnable = time
            cpu.is_woken = old != RunState.RUNNING
        elif new == RunState.RUNNING:
            if old == RunState.RUNNABLE and cpu.runnable >= 0:
                waited: i64 = time - cpu.runnable
                if cpu.is_woken:
                    cpu.woken.add(waited)
                    if cpu.by is not None:
                        cpu.by.delay.add(waited)
                else:
                    cpu.lost.add(waited)
            cpu.runnable = NONE
            cpu.by = None
            self.on.put(pcpu, vcpu)
        if old == RunState.RUNNING and self.on.get(pcpu) == vcpu:
            self.on.drop(pcpu)
            self.called.drop(pcpu)

    def halt(self, vcpu: i64, ns: i64, flags: i64) -> None:
        """A halt has ended."""
        self.halts += 1
        if vcpu >= 0:
            cpu: Waits = self.cpu(vcpu)
            if flags & 1 != 0:
                cpu.blocked.add(ns * 1000)
            else:
                cpu.polled.add(ns * 1000)

    def poll(self, vcpu: i64, now: i64, before: i64) -> None:
        """The length of later polls changes."""
        if vcpu < 0:
            return
        cpu: Waits = self.cpu(vcpu)
        cpu.poll_ns = now
        cpu.most_poll_ns = max(cpu.most_poll_ns, now, before)
        if now > before:
            cpu.grown += 1
        elif now < before:
            cpu.shrunk += 1

    def lost(self, pcpu: i64) -> None:
        """Forget what was under way."""
        for cpu in self.cpus.values():
            cpu.runnable = NONE
            cpu.by = None
            cpu.pending = []
        self.on.drop(pcpu)
        self.inside.drop(pcpu)
        self.called.drop(pcpu)
