"""Turns Linux tracepoints into rows, whichever reader they come from, and finds out which threads are vCPUs.

A reader hands over events in the order of their times, ``(ticks, pCPU, use, values)``; the first of the values is the
thread in which the tracepoint fired, the others are those of :data:`~exitless.traces.kvm.TRACEPOINTS`.
"""

from collections.abc import Callable, Sequence
from typing import Final

from exitless.bits.units import PS_PER_S
from exitless.errors import TraceError
from exitless.traces.kvm import NMI, Isa, Use
from exitless.traces.reader import LOST, Row, Vcpu
from exitless.vocab.kinds import Kind, Owner, RunState

Event = tuple[int, int, int, tuple[int, ...]]

VM_EXIT: Final = Kind.VM_EXIT
VM_ENTRY: Final = Kind.VM_ENTRY
MOST_VCPUS: Final = 65_536
MOST_CODES: Final = 4_096
WORD: Final = 2**62 - 1
VALID: Final = 2**31
EXTERNAL_INTERRUPT: Final = 1
NMI_VECTOR: Final = 2
SOFTWARE: Final = 6
COALESCED: Final = 256
MASKED: Final = 512
LEVEL: Final = 1024
WRITTEN: Final = 4096
MSR_WRITTEN: Final = 2**32
# The page of a local APIC, where nobody has moved it.
APIC_PAGE: Final = 0xFEE00000
MMIO_WRITE: Final = 2
IDLE: Final = 0
# prev_state of sched_switch: these bits say that the thread sleeps or is dead; none of them, that it could go on.
ASLEEP: Final = 0xFF
DEAD: Final = 0x30


class Clock:
    """A recording's clock: ``ps`` is ticks since its origin times ``times``, divided by ``over``."""

    def __init__(self, name: str = "", times: int = 1000, over: int = 1) -> None:
        self.name = name
        self.times = times
        self.over = over
        self.origin = 0

    @classmethod
    def of_hz(cls, name: str, hz: int) -> "Clock":
        """Return a clock of some frequency."""
        return cls(name, PS_PER_S, hz)

    def ps(self, ticks: int) -> int:
        """Return the time of some ticks."""
        return (ticks - self.origin) * self.times // self.over


class Threads:
    """Which threads are vCPUs, of which machine.

    Shapes: ``vcpus`` are the reader's; ``place`` finds a thread's vCPU; ``numbers`` the vCPUs with one number;
    ``tgids`` the process of a thread, where the recording tells it; ``guests`` machine and number of a thread.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.vcpus: list[Vcpu] = []
        self.place: dict[int, int] = {}
        self.numbers: dict[int, list[int]] = {}
        self.tgids: dict[int, int] = {}
        self.guests: dict[int, tuple[str, int]] = {}
        self.doubtful = 0

    def _new(self, number: int, tid: int) -> int:
        place = len(self.vcpus)
        if place >= MOST_VCPUS:
            raise TraceError(f"{self.name}: more than {MOST_VCPUS} vCPUs; no host runs so many")
        self.vcpus.append(Vcpu("", number, tid))
        self.numbers.setdefault(number, []).append(place)
        return place

    def runs(self, tid: int, number: int) -> int:
        """A thread proves to run a vCPU, ``number`` -1 where that is not told; returns its place."""
        number = max(number, -1)
        place = self.place.get(tid, -1)
        if place < 0:
            waiting = [n for n in self.numbers.get(number, []) if self.vcpus[n].tid < 0] if number >= 0 else []
            place = waiting[0] if waiting else self._new(number, tid)
            self.vcpus[place].tid = tid
            self.place[tid] = place
        elif number >= 0 > self.vcpus[place].number:
            self.numbers[-1].remove(place)
            self.numbers.setdefault(number, []).append(place)
            self.vcpus[place].number = number
        elif 0 <= number != self.vcpus[place].number:
            place = self._another(tid, number)
        return place

    def _another(self, tid: int, number: int) -> int:
        """A thread that runs several vCPUs in turn goes on with another of them."""
        mine = [n for n in self.numbers.get(number, []) if self.vcpus[n].tid == tid]
        self.place[tid] = mine[0] if mine else self._new(number, tid)
        return self.place[tid]

    def addressed(self, number: int, tid: int) -> int:
        """A thread acts on a vCPU of its own machine; returns its place, -1 where that could be several."""
        if number < 0:
            return -1
        own = self.place.get(tid, -1)
        if own >= 0 and self.vcpus[own].number == number:
            return own
        found = self.numbers.get(number)
        if not found:
            return self._new(number, -1)
        if len(found) > 1 and (group := self.tgids.get(tid, -1)) >= 0:
            found = [n for n in found if self.tgids.get(self.vcpus[n].tid, -1) == group]
        if len(found) == 1:
            return found[0]
        self.doubtful += 1
        return -1

    def name_machines(self) -> str:
        """Name every vCPU's machine; returns a sentence where that is a guess, else nothing.

        By the process where it is known. Otherwise threads are taken in their order, which is the order in which they
        were made, and a number that comes again begins another machine.
        """
        machine, seen, guessed = 1, set[int](), False
        for vcpu in sorted(self.vcpus, key=lambda v: (v.tid < 0, v.tid, v.number)):
            group = self.tgids.get(vcpu.tid, -1)
            if vcpu.tid in self.guests:
                vcpu.vm, vcpu.number = self.guests[vcpu.tid]
                continue
            if group >= 0:
                vcpu.vm = f"vm{group}"
                continue
            if vcpu.number in seen:
                machine, seen, guessed = machine + 1, set(), True
            seen.add(vcpu.number)
            vcpu.vm = f"vm{machine}"
        if not guessed:
            return ""
        return (
            f"the recording does not say which threads belong to one machine; by vCPU and thread numbers there seem to "
            f"be {machine}"
        )


class Mapper:
    """Makes rows of events. ``isa`` is whose exits there are, 0 before the first; ``codes`` are those met so far.

    ``marks_again`` tells that the kernel marks what it injects again; ``marks`` are the times of what somebody wrote
    into the recording, each with the number of its text.
    """

    def __init__(self, name: str, clock: Clock) -> None:
        self.name = name
        self.clock = clock
        self.threads = Threads(name)
        self.isa = 0
        self.codes: set[int] = set()
        self.marks_again = False
        self.marks: list[tuple[int, int]] = []
        self.lost_events = 0
        self.lost_intervals = 0
        self.woken: set[int] = set()
        self.rows: list[Row] = []
        skip = self._nothing
        self._handlers: list[Callable[[int, int, tuple[int, ...]], None]] = [
            skip, self._lost, self._exit, self._entry, self._inject, self._accept, self._posted, self._eoi,
            self._pv_eoi, self._ipi, self._msi, self._line, self._ioapic, self._pic, self._hypercall, self._switch,
            self._waking, self._wakeup, self._host_vector, self._host_irq, self._softirq, self._timer, self._halt_poll,
            self._apic, self._msr, self._mmio, self._halt_end, self._host_vector_done, self._host_irq_done,
            self._softirq_done, self._timer_done, self._mark,
        ]  # fmt: skip

    def take(self, events: Sequence[Event]) -> list[Row]:
        """Return the rows of some events."""
        rows: list[Row] = []
        self.rows = rows
        handlers, clock = self._handlers, self.clock
        origin, times, over = clock.origin, clock.times, clock.over
        for ticks, cpu, use, values in events:
            handlers[use]((ticks - origin) * times // over, cpu, values)
        return rows

    def _nothing(self, now: int, cpu: int, v: tuple[int, ...]) -> None:
        """Known, and no row."""

    def _lost(self, now: int, cpu: int, v: tuple[int, ...]) -> None:
        """Records of a pCPU were lost from now on, ``v[1]`` of them (0: unknown) until ``v[2]``."""
        until = max(now, self.clock.ps(v[2]))
        self.lost_events += v[1]
        self.lost_intervals += 1
        self.rows.append((now, LOST, cpu, -1, v[1], until))

    def _exit(self, now: int, cpu: int, v: tuple[int, ...]) -> None:
        tid, code, isa, info, intr, number = v if len(v) == 6 else (*v, -1, -1, -1, -1)[:6]
        place = self.threads.place.get(tid, -1)
        if place < 0:
            place = self.threads.runs(tid, number)
        if isa != self.isa and not self.isa:
            self.isa = isa
        code &= 0x8000FFFF if isa == Isa.VMX else 0xFFFFFFFF
        if code not in self.codes:
            if len(self.codes) >= MOST_CODES:
                raise TraceError(f"{self.name}: more than {MOST_CODES} exit reasons; no processor has so many")
            self.codes.add(code)
        if isa == Isa.VMX and code == EXTERNAL_INTERRUPT:
            info = intr & 255 if intr >= 0 and intr & VALID else -1
        self.rows.append((now, VM_EXIT, cpu, place, code, info & WORD if info >= 0 else -1))

    def _entry(self, now: int, cpu: int, v: tuple[int, ...]) -> None:
        """The guest runs; newer kernels tell what this entry injects (a valid event of type 0 is an interrupt)."""
        tid, number = v[0], v[1]
        intr = v[2] if len(v) > 2 else -1
        vector = intr & 255 if intr >= 0 and intr & VALID and not intr & 0x700 else -1
        place = self.threads.place.get(tid, -1)
        if place < 0 or self.threads.vcpus[place].number != number:
            place = self.threads.runs(tid, number)
        self.rows.append((now, VM_ENTRY, cpu, place, vector, -1))

    def _inject(self, now: int, cpu: int, v: tuple[int, ...]) -> None:
        tid, vector, soft, again = v if len(v) == 4 else (*v, -1, -1)[:4]
        self.marks_again = self.marks_again or again >= 0
        kind = Kind.IRQ_REINJECT if again > 0 else Kind.IRQ_INJECT
        place = self.threads.place.get(tid, -1)
        self.rows.append((now, kind, cpu, place, vector & 255, SOFTWARE if soft > 0 else -1))

    def _accept(self, now: int, cpu: int, v: tuple[int, ...]) -> None:
        """A local APIC takes a message: fixed and lowest-priority ones have a vector, an NMI has its own."""
        tid, apic, mode, vector = v
        mode = mode >> 8 & 7
        if mode == NMI:
            vector = NMI_VECTOR
        elif mode > 1:
            return
        self.rows.append((now, Kind.IRQ_REQUEST, cpu, self.threads.addressed(apic, tid), vector & 255, -1))

    def _posted(self, now: int, cpu: int, v: tuple[int, ...]) -> None:
        """The message just accepted went to the processor for virtual delivery."""
        tid, apic, mode, vector = v
        if mode >> 8 & 7 <= 1:
            self.rows.append((now, Kind.PID_POST, cpu, self.threads.addressed(apic, tid), vector & 255, -1))

    def _eoi(self, now: int, cpu: int, v: tuple[int, ...]) -> None:
        tid, apic, vector = v
        place = self.threads.place.get(tid, -1)
        if place < 0:
            place = self.threads.runs(tid, apic)
        self.rows.append((now, Kind.IRQ_EOI, cpu, place, vector & 255 if vector >= 0 else -2, 1))

    def _pv_eoi(self, now: int, cpu: int, v: tuple[int, ...]) -> None:
        """The kernel also wrote ``kvm_eoi`` for it, just before."""
        self.rows.append((now, Kind.EOI_SPARED, cpu, self.threads.place.get(v[0], -1), v[2] & 255, 0))

    def _ipi(self, now: int, cpu: int, v: tuple[int, ...]) -> None:
        tid, low, target = v
        mode = low >> 8 & 7
        vector = low & 255 if mode < 2 else NMI_VECTOR if mode == NMI else -1
        self.rows.append((now, Kind.GUEST_IPI, cpu, self.threads.place.get(tid, -1), vector, target))

    def _msi(self, now: int, cpu: int, v: tuple[int, ...]) -> None:
        """A message; its destination is bits 12-19 of the address, and in x2APIC format its upper word as well."""
        _, address, data = v
        mode = data >> 8 & 7
        target = address >> 12 & 255 | address >> 32 & 0xFFFFFF00
        vector = data & 255 if mode < 2 else NMI_VECTOR if mode == NMI else -1
        self.rows.append((now, Kind.GUEST_MSI, cpu, -1, vector, target))

    def _line(self, now: int, cpu: int, v: tuple[int, ...]) -> None:
        self.rows.append((now, Kind.GUEST_LINE, cpu, -1, v[1], v[2]))

    def _ioapic(self, now: int, cpu: int, v: tuple[int, ...]) -> None:
        _, entry, pin, merged = v
        flags = (COALESCED if merged else 0) + (MASKED if entry & 0x10000 else 0) + (LEVEL if entry & 0x8000 else 0)
        self.rows.append((now, Kind.IOAPIC_SET, cpu, -1, entry & 255, (pin & 255) + flags))

    def _pic(self, now: int, cpu: int, v: tuple[int, ...]) -> None:
        """A pin of an 8259 is set; the kernel also tells which of its chip's pins are level-triggered or masked."""
        _, chip, pin, merged, level, masks = v if len(v) == 6 else (*v, 0, 0)[:6]
        pin &= 7
        flags = (1 if merged else 0) + (max(masks, 0) >> pin & 1) * 2 + (max(level, 0) >> pin & 1) * 4
        self.rows.append((now, Kind.PIC_SET, cpu, -1, (chip & 1) * 8 + pin, flags))

    def _hypercall(self, now: int, cpu: int, v: tuple[int, ...]) -> None:
        self.rows.append((now, Kind.HYPERCALL, cpu, self.threads.place.get(v[0], -1), v[1] & WORD, v[2] & WORD))

    def _switch(self, now: int, cpu: int, v: tuple[int, ...]) -> None:
        """A pCPU changes its thread. Threads that are no vCPU are the host's own work."""
        _, old, state, new = v
        place, rows = self.threads.place, self.rows
        before, after = place.get(old, -1), place.get(new, -1)
        if before >= 0:
            sleeps = RunState.OFFLINE if state & DEAD else RunState.BLOCKED
            to = sleeps if state & ASLEEP else RunState.RUNNABLE
            rows.append((now, Kind.RUNSTATE, cpu, before, RunState.RUNNING, to))
        elif old == IDLE:
            rows.append((now, Kind.RUNSTATE, cpu, -1, RunState.RUNNING, RunState.RUNNABLE))
        if before >= 0 or after >= 0:
            rows.append((now, Kind.SCHED_SWITCH, cpu, after, before, after))
        if after >= 0:
            self.woken.discard(new)
            rows.append((now, Kind.RUNSTATE, cpu, after, RunState.RUNNABLE, RunState.RUNNING))
        elif new == IDLE:
            rows.append((now, Kind.RUNSTATE, cpu, -1, RunState.RUNNABLE, RunState.RUNNING))
        else:
            rows.append((now, Kind.CPU_OWNER, cpu, -1, Owner.DOM0, 0))

    def _waking(self, now: int, cpu: int, v: tuple[int, ...]) -> None:
        place = self.threads.place.get(v[1], -1)
        if place >= 0:
            self.woken.add(v[1])
            self._wake(now, cpu, place, v[0])

    def _wakeup(self, now: int, cpu: int, v: tuple[int, ...]) -> None:
        """The end of a wake-up; a row only when its begin is not in the recording."""
        place = self.threads.place.get(v[1], -1)
        if place >= 0 and v[1] not in self.woken:
            self._wake(now, cpu, place, v[0])
        self.woken.discard(v[1])

    def _wake(self, now: int, cpu: int, place: int, waker: int) -> None:
        self.rows.append((now, Kind.SCHED_WAKE, cpu, place, max(waker, 0), 0))
        self.rows.append((now, Kind.RUNSTATE, cpu, place, RunState.BLOCKED, RunState.RUNNABLE))

    def _host_vector(self, now: int, cpu: int, v: tuple[int, ...]) -> None:
        self.rows.append((now, Kind.HOST_IRQ, cpu, self.threads.place.get(v[0], -1), v[1] & 255, -1))

    def _host_irq(self, now: int, cpu: int, v: tuple[int, ...]) -> None:
        self.rows.append((now, Kind.HOST_IRQ, cpu, self.threads.place.get(v[0], -1), -1, v[1] & WORD))

    def _softirq(self, now: int, cpu: int, v: tuple[int, ...]) -> None:
        self.rows.append((now, Kind.SOFTIRQ, cpu, -1, v[1] & WORD, 0))

    def _timer(self, now: int, cpu: int, v: tuple[int, ...]) -> None:
        self.rows.append((now, Kind.TIMER_FIRE, cpu, -1, -1, 0))

    def _apic(self, now: int, cpu: int, v: tuple[int, ...]) -> None:
        """A register of a local APIC is read or written for its guest, by whichever exit."""
        offset = (v[2] & 0xFFF) + (WRITTEN if v[1] else 0)
        self.rows.append((now, Kind.APIC_ACCESS, cpu, self.threads.place.get(v[0], -1), offset, v[3] & WORD))

    def _msr(self, now: int, cpu: int, v: tuple[int, ...]) -> None:
        number = (v[2] & 0xFFFFFFFF) + (MSR_WRITTEN if v[1] else 0)
        self.rows.append((now, Kind.MSR_ACCESS, cpu, self.threads.place.get(v[0], -1), number, v[3] & WORD))

    def _mmio(self, now: int, cpu: int, v: tuple[int, ...]) -> None:
        """An access to memory that is a device's; a row when the device is the local APIC."""
        if v[2] & ~0xFFF == APIC_PAGE:
            offset = (v[2] & 0xFFF) + (WRITTEN if v[1] == MMIO_WRITE else 0)
            self.rows.append((now, Kind.APIC_ACCESS, cpu, self.threads.place.get(v[0], -1), offset, v[3] & WORD))

    def _halt_end(self, now: int, cpu: int, v: tuple[int, ...]) -> None:
        flags = (1 if v[2] > 0 else 0) + (2 if len(v) < 4 or v[3] != 0 else 0)
        self.rows.append((now, Kind.HALT_END, cpu, self.threads.place.get(v[0], -1), v[1] & WORD, flags))

    def _halt_poll(self, now: int, cpu: int, v: tuple[int, ...]) -> None:
        """A vCPU, that of this thread, polls longer or shorter from now on."""
        tid, number, new, old = v if len(v) == 4 else (*v, -1, -1)[:4]
        if tid not in self.threads.place and number >= 0:
            self.threads.runs(tid, number)
        if new >= 0:
            self.rows.append((now, Kind.HALT_POLL, cpu, self.threads.place.get(tid, -1), new, max(old, 0)))

    def _host_vector_done(self, now: int, cpu: int, v: tuple[int, ...]) -> None:
        self.rows.append((now, Kind.HOST_DONE, cpu, self.threads.place.get(v[0], -1), v[1] & 255, -1))

    def _host_irq_done(self, now: int, cpu: int, v: tuple[int, ...]) -> None:
        self.rows.append((now, Kind.HOST_DONE, cpu, self.threads.place.get(v[0], -1), -1, -1))

    def _softirq_done(self, now: int, cpu: int, v: tuple[int, ...]) -> None:
        self.rows.append((now, Kind.SOFTIRQ_DONE, cpu, -1, v[1] & WORD, 0))

    def _mark(self, now: int, cpu: int, v: tuple[int, ...]) -> None:
        self.marks.append((now, v[0]))

    def _timer_done(self, now: int, cpu: int, v: tuple[int, ...]) -> None:
        self.rows.append((now, Kind.TIMER_DONE, cpu, -1, 0, 0))


__all__ = ["Clock", "Event", "Mapper", "Threads", "Use"]
