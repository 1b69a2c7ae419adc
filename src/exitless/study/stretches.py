"""How long the stretches of an interrupt's way take in a recording: between which rows, and under which conditions.

A stretch counts only where nothing else fell into it, so that its length is that of the steps it is made of. Rows of a
tracer that stamps only exits, entries and the scheduler's records (Xen) have no time of their own within an exit;
stretches that begin or end there are left out for it.
"""

from collections.abc import Iterable
from typing import Final

from exitless.study.times import Times
from exitless.study.trace_parts import UNKNOWN
from exitless.study.trace_totals import LOST, Row
from exitless.vocab.kinds import Kind, Owner, RunState

# Exits by what they are, in VMX's and SVM's numbers, no two of which collide.
# On SVM the host's interrupt is taken before kvm_exit is written, so only VMX's exit is followed by its handler.
EXTERNAL: Final = 1
WINDOW: Final = (7, 0x64)
HALT: Final = (12, 0x78)
CALL: Final = (18, 0x81)
LINUX_TIMER: Final = 0xEC
OTHER_THREAD: Final = -3
MSR_WRITTEN: Final = 2**32
TIMER_MSRS: Final = (MSR_WRITTEN + 0x6E0, MSR_WRITTEN + 0x838)
ICR_MSR: Final = MSR_WRITTEN + 0x830
ICR_WRITTEN: Final = 4096 + 0x300
TIMER_WRITTEN: Final = 4096 + 0x380
NMI: Final = 2

Key = tuple[str, int]


class Seen:
    """One vCPU as it passes. Times are ps, -1 for none; ``calm`` while nothing but its exit has happened in it."""

    def __init__(self) -> None:
        self.exited = self.entered = self.ran = self.woken = self.injected = self.handler_since = -1
        self.code = -1
        self.pcpu = -1
        self.state = UNKNOWN
        self.calm = self.straight = self.ran_other = False
        self.injections: list[int] = []
        self.windows = self.eois = self.spared = self.ipis = self.timers = 0
        self.handler = self.handler_took = -1
        self.accepted: dict[int, tuple[int, str]] = {}
        self.serving: dict[int, int] = {}

    def disturb(self) -> None:
        """Something else happens on its pCPU."""
        self.calm = self.straight = False

    def begin_exit(self, time: int, code: int) -> None:
        """It exits."""
        self.exited, self.entered, self.code, self.calm, self.injected = time, -1, code, True, -1
        self.injections = []
        self.windows = self.eois = self.spared = self.ipis = self.timers = 0

    def where(self) -> str:
        """Say where an interrupt finds it."""
        if self.entered >= 0:
            return "guest running"
        names = {RunState.RUNNABLE: "waiting for a pCPU", RunState.BLOCKED: "blocked", RunState.OFFLINE: "offline"}
        return names.get(self.state, "in the hypervisor")


class Stretches:
    """Samples of the stretches of one recording, by name and number (an exit's code, a vector, -1).

    ``stamped``: every row has a time of its own.
    """

    def __init__(self, stamped: bool) -> None:
        self.stamped = stamped
        self.samples: dict[Key, Times] = {}
        self.cpus: dict[int, Seen] = {}
        self.on: dict[int, int] = {}
        self.loaded: dict[int, int] = {}
        self.idle: dict[int, tuple[int, int]] = {}
        self.handling: dict[int, list[tuple[int, int]]] = {}
        self.softirq: dict[int, int] = {}
        self.timer: dict[int, int] = {}
        self.scheduled = self.hosted = False
        self.sent: dict[int, tuple[str, int, int]] = {}
        self._takes = {
            Kind.VM_EXIT: self._exit, Kind.VM_ENTRY: self._entry, Kind.RUNSTATE: self._runstate,
            Kind.IRQ_REQUEST: self._request, Kind.IRQ_INJECT: self._inject, Kind.IRQ_WINDOW: self._window,
            Kind.IRQ_EOI: self._eoi, Kind.EOI_SPARED: self._spared, Kind.HOST_IRQ: self._host,
            Kind.HOST_DONE: self._host_done, Kind.SOFTIRQ: self._soft, Kind.SOFTIRQ_DONE: self._soft_done,
            Kind.TIMER_FIRE: self._fire, Kind.TIMER_DONE: self._fired, Kind.HALT_END: self._halt_end,
            Kind.GUEST_IPI: self._ipi, Kind.GUEST_MSI: self._msi, Kind.MSR_ACCESS: self._msr,
            Kind.APIC_ACCESS: self._apic, Kind.CPU_OWNER: self._owner, Kind.IRQ_REINJECT: self._reinject,
            Kind.SCHED_WAKE: self._wake, LOST: self._lost,
        }  # fmt: skip

    def rows(self, rows: Iterable[Row]) -> None:
        """Take some rows, in the order of time."""
        takes = self._takes
        for time, kind, pcpu, vcpu, a, b in rows:
            take = takes.get(kind)
            if take is not None:
                take(time, pcpu, vcpu, a, b)

    def add(self, name: str, number: int, took: int) -> None:
        """Keep one length."""
        sample = self.samples.get((name, number))
        if sample is None:
            sample = self.samples[name, number] = Times()
        sample.add(took)

    def _cpu(self, pcpu: int, vcpu: int) -> Seen:
        key = vcpu if vcpu >= 0 else -10 - pcpu
        cpu = self.cpus.get(key)
        if cpu is None:
            cpu = self.cpus[key] = Seen()
        return cpu

    def _here(self, pcpu: int) -> Seen | None:
        """Return the vCPU that has a pCPU, if one has."""
        return self.cpus.get(self.on.get(pcpu, UNKNOWN - 1))

    def _exit(self, time: int, pcpu: int, vcpu: int, a: int, b: int) -> None:
        cpu = self._cpu(pcpu, vcpu)
        self.on[pcpu] = vcpu if vcpu >= 0 else -10 - pcpu
        cpu.pcpu = pcpu
        cpu.handler_took = time - cpu.handler_since if cpu.handler >= 0 and cpu.entered == cpu.handler_since else -1
        cpu.begin_exit(time, a)

    def _entry(self, time: int, pcpu: int, vcpu: int, a: int, b: int) -> None:
        cpu = self._cpu(pcpu, vcpu)
        self.on[pcpu] = vcpu if vcpu >= 0 else -10 - pcpu
        cpu.pcpu = pcpu
        if cpu.exited >= 0 and cpu.calm:
            self._settle(cpu, time - cpu.exited)
        if cpu.injected >= 0 and cpu.straight:
            self.add("injection to entry", -1, time - cpu.injected)
        if cpu.ran >= 0 and cpu.straight and cpu.ran_other and not cpu.injections:
            self.add("running to entry", -1, time - cpu.ran)
        cpu.handler = cpu.injections[0] if len(cpu.injections) == 1 else -1
        cpu.handler_since = time
        cpu.entered, cpu.exited, cpu.ran, cpu.injected, cpu.injections = time, -1, -1, -1, []
        self.sent.pop(pcpu, None)

    def _settle(self, cpu: Seen, took: int) -> None:
        """An exit ends in which nothing else happened: say what it was for."""
        if cpu.code in WINDOW and len(cpu.injections) == 1:
            self.add("exit for a window", -1, took)
        elif cpu.injections or cpu.windows:
            return
        elif cpu.code in WINDOW:
            self.add("exit for a window, nothing to inject", -1, took)
        elif cpu.code in CALL:
            self.add("exit for a hypercall", -1, took)
        elif cpu.eois == 1 and not cpu.spared:
            self.add("exit for an EOI", -1, took)
        elif cpu.ipis == 1:
            self.add("exit for an IPI", -1, took)
        elif cpu.timers == 1:
            self.add("exit that sets a timer", -1, took)
        elif not cpu.eois and not cpu.ipis and not cpu.timers:
            self.add("exit", cpu.code, took)

    def _runstate(self, time: int, pcpu: int, vcpu: int, a: int, b: int) -> None:
        self.scheduled = True
        if vcpu < 0:
            since = self.idle.get(pcpu, (time, -1))[0]
            self.idle[pcpu] = (time, -1) if b == RunState.RUNNING else (since, time)
            if b == RunState.RUNNING:
                self.on.pop(pcpu, None)
            return
        cpu = self._cpu(pcpu, vcpu)
        if a == RunState.RUNNING and b == RunState.BLOCKED and cpu.code in HALT and cpu.exited >= 0 and cpu.calm:
            self.add("halt to blocked" if not self.stamped else "halt to blocked, with polling", -1, time - cpu.exited)
        cpu.disturb()
        if a == RunState.BLOCKED and b == RunState.RUNNABLE:
            cpu.woken = time
        if b == RunState.RUNNING:
            self._run(time, pcpu, vcpu, cpu)
        elif self.on.get(pcpu) == vcpu:
            del self.on[pcpu]
        cpu.state = b

    def _run(self, time: int, pcpu: int, vcpu: int, cpu: Seen) -> None:
        """A vCPU gets a pCPU."""
        if cpu.woken >= 0:
            since, left = self.idle.get(pcpu, (-1, -1))
            idle = 0 <= since <= cpu.woken and (left < 0 or left >= cpu.woken)
            known = pcpu in self.idle
            name = "wake-up to running, pCPU idle" if idle else "wake-up to running, pCPU busy" if known else ""
            self.add(name or "wake-up to running", -1, time - cpu.woken)
            cpu.woken = -1
        cpu.ran, cpu.pcpu, cpu.straight = time, pcpu, True
        cpu.ran_other = self.loaded.get(pcpu, vcpu) != vcpu
        self.on[pcpu] = self.loaded[pcpu] = vcpu

    def _owner(self, time: int, pcpu: int, vcpu: int, a: int, b: int) -> None:
        """Another thread of the host runs on a pCPU."""
        if a == Owner.DOM0:
            self.loaded[pcpu] = OTHER_THREAD
            self.on.pop(pcpu, None)

    def _request(self, time: int, pcpu: int, vcpu: int, a: int, b: int) -> None:
        cpu = self._cpu(pcpu, vcpu)
        sent = self.sent.get(pcpu)
        if sent is not None and sent[1] == a:
            self.add(sent[0], -1, time - sent[2])
            del self.sent[pcpu]
        if a != NMI:
            cpu.accepted.setdefault(a, (time, cpu.where()))

    def _wake(self, time: int, pcpu: int, vcpu: int, a: int, b: int) -> None:
        """The oldest interrupt that waits for a blocked vCPU has woken it, unless it was woken before."""
        cpu = self._cpu(pcpu, vcpu)
        waiting = [t for t, where in cpu.accepted.values() if where == "blocked"]
        if waiting and cpu.state == RunState.BLOCKED:
            self.add("accepted to wake-up", -1, time - min(waiting))

    def _inject(self, time: int, pcpu: int, vcpu: int, a: int, b: int) -> None:
        cpu = self._cpu(pcpu, vcpu)
        if self.stamped:
            if a in cpu.accepted:
                since, where = cpu.accepted.pop(a)
                self.add(f"accepted to injection, {where}", -1, time - since)
            if cpu.code in WINDOW and cpu.exited >= 0 and cpu.calm and not cpu.injections:
                self.add("window exit to injection", -1, time - cpu.exited)
            cpu.serving[a] = cpu.injected = time
            cpu.straight = True
        cpu.injections.append(a)

    def _reinject(self, time: int, pcpu: int, vcpu: int, a: int, b: int) -> None:
        cpu = self._cpu(pcpu, vcpu)
        cpu.disturb()
        cpu.injections.append(a)

    def _window(self, time: int, pcpu: int, vcpu: int, a: int, b: int) -> None:
        self._cpu(pcpu, vcpu).windows += 1

    def _eoi(self, time: int, pcpu: int, vcpu: int, a: int, b: int) -> None:
        cpu = self._cpu(pcpu, vcpu)
        cpu.eois += 1
        if cpu.handler >= 0 and cpu.handler_took >= 0 and cpu.exited >= 0 and a in (-1, cpu.handler):
            self.add("guest's handler", cpu.handler, cpu.handler_took)
            cpu.handler = -1
        if a in cpu.serving:
            self.add("injection to EOI", -1, time - cpu.serving.pop(a))
        elif a in cpu.accepted:
            self.add("accepted to EOI, not injected", -1, time - cpu.accepted.pop(a)[0])

    def _spared(self, time: int, pcpu: int, vcpu: int, a: int, b: int) -> None:
        self._cpu(pcpu, vcpu).spared += 1

    def _host(self, time: int, pcpu: int, vcpu: int, a: int, b: int) -> None:
        self.hosted = True
        cpu = self._here(pcpu)
        if cpu is not None:
            first = self.stamped and cpu.code == EXTERNAL and cpu.exited >= 0 and cpu.calm and not cpu.injections
            if first:
                self.add("exit to host interrupt", -1, time - cpu.exited)
            cpu.disturb()
        self.handling.setdefault(pcpu, []).append((a, time))
        del self.handling[pcpu][:-8]
        self.softirq.pop(pcpu, None)
        self.timer.pop(pcpu, None)

    def _host_done(self, time: int, pcpu: int, vcpu: int, a: int, b: int) -> None:
        """A host interrupt is over; one that does not end what began last is left out."""
        stack = self.handling.get(pcpu, [])
        took = b * 1000
        if b < 0:
            if not stack or stack[-1][0] != a:
                stack.clear()
                return
            took = time - stack.pop()[1]
        elif stack:
            stack.pop()
        device, timer = "host interrupt of a device", "host interrupt of the timer"
        self.add(device if a < 0 else timer if a == LINUX_TIMER else "host interprocessor interrupt", -1, took)

    def _soft(self, time: int, pcpu: int, vcpu: int, a: int, b: int) -> None:
        self.softirq[pcpu] = time

    def _soft_done(self, time: int, pcpu: int, vcpu: int, a: int, b: int) -> None:
        if pcpu in self.softirq:
            self.add("host softirq", -1, time - self.softirq.pop(pcpu))

    def _fire(self, time: int, pcpu: int, vcpu: int, a: int, b: int) -> None:
        self.timer[pcpu] = time

    def _fired(self, time: int, pcpu: int, vcpu: int, a: int, b: int) -> None:
        if pcpu in self.timer:
            self.add("expired timer", -1, time - self.timer.pop(pcpu))

    def _halt_end(self, time: int, pcpu: int, vcpu: int, a: int, b: int) -> None:
        self._cpu(pcpu, vcpu).disturb()
        self.add("halt that blocked" if b & 1 else "halt that only polled", -1, a * 1000)

    def _ipi(self, time: int, pcpu: int, vcpu: int, a: int, b: int) -> None:
        self._cpu(pcpu, vcpu).ipis += 1
        self.sent[pcpu] = ("IPI to accepted", a, time)

    def _msi(self, time: int, pcpu: int, vcpu: int, a: int, b: int) -> None:
        self.sent[pcpu] = ("MSI to accepted", a, time)

    def _msr(self, time: int, pcpu: int, vcpu: int, a: int, b: int) -> None:
        cpu = self._cpu(pcpu, vcpu)
        cpu.timers += a in TIMER_MSRS
        cpu.ipis += a == ICR_MSR and not self.stamped

    def _apic(self, time: int, pcpu: int, vcpu: int, a: int, b: int) -> None:
        cpu = self._cpu(pcpu, vcpu)
        cpu.timers += a == TIMER_WRITTEN
        cpu.ipis += a == ICR_WRITTEN and not self.stamped

    def _lost(self, time: int, pcpu: int, vcpu: int, a: int, b: int) -> None:
        """Forget whatever the lost records may have touched."""
        if a < 0:
            return
        for held in (self.on, self.loaded, self.idle, self.handling, self.softirq, self.timer, self.sent):
            held.pop(pcpu, None)
        for key, cpu in self.cpus.items():
            if cpu.pcpu == pcpu or cpu.state != RunState.RUNNING:
                self.cpus[key] = Seen()
