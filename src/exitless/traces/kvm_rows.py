"""Turns Linux tracepoints into rows, whichever reader they come from.

A reader hands over events in the order of their times: it sets ``values`` and calls :meth:`Mapper.event`. The first of
them is the thread in which the tracepoint fired, the others are those of
:data:`~exitless.traces.kvm.TRACEPOINTS`.
"""

from typing import Final

from librt.vecs import vec
from mypy_extensions import i64

from exitless.bits.words import reaching, zeros
from exitless.errors import TraceError
from exitless.record.columns import Columns
from exitless.traces.kvm import NMI, Isa, Use
from exitless.traces.rate import PS_PER_S, Rate
from exitless.traces.threads import Threads
from exitless.vocab.kinds import Kind, Owner, RunState

LOST: Final = 0
MOST_VALUES: Final = 8
# Typed, so that a choice between one of them and a number makes no object.
ABSENT: Final[i64] = -1
ZERO: Final[i64] = 0
ENDED_NOTHING: Final[i64] = -2
MOST_CODES: Final = 4_096
WORD: Final = 2**62 - 1
HALF: Final = 2**63
WHOLE: Final = 2**64
VALID: Final = 2**31
EXTERNAL_INTERRUPT: Final = 1
HLT: Final = 12
SVM_HLT: Final = 0x78
WINDOW: Final = 7
SVM_WINDOW: Final = 0x64
MOST_HALTS: Final = 4_096
NMI_VECTOR: Final = 2
SOFTWARE: Final = 6
COALESCED: Final = 256
MASKED: Final = 512
LEVEL: Final = 1024
WRITTEN: Final = 4096
MSR_WRITTEN: Final = 2**32
# The page of a local APIC, where nobody has moved it.
APIC_PAGE: Final = 0xFEE00
MMIO_WRITE: Final = 2
IDLE: Final = 0
# A halt that took longer, in ns, is none: eleven days.
LONGEST_HALT: Final = 10**15
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


def signed(value: int) -> i64:
    """Return the 64 bits of a number as a signed one."""
    if -WORD <= value <= WORD:
        return value
    value %= WHOLE
    return value - WHOLE if value >= HALF else value


class Mapper:
    """Makes rows of events, in ``columns``, which whoever calls it empties when they are full.

    Shapes: ``isa`` is whose exits there are, 0 before the first; ``codes`` are those met so far, and ``met`` has a one
    for each of them that is below 4096; ``rips`` are where vCPUs stood at their last exit, ``halts`` where HLTs are;
    ``values`` are the event's; ``woken`` has a one for a vCPU that wakes up.
    ``marks_again`` tells that the kernel marks what it injects again.
    """

    def __init__(self, name: str, clock: Clock) -> None:
        self.name = name
        self.clock = clock
        self.columns: Columns = Columns([])
        self.threads: Threads = Threads(name)
        self.isa: i64 = 0
        self.codes: set[int] = set()
        self.met: vec[i64] = zeros(MOST_CODES)
        self.rips: vec[i64] = zeros(64)
        self.halts: set[int] = set()
        self.marks_again = False
        self.lost_events = 0
        self.lost_intervals = 0
        self.values: vec[i64] = zeros(MOST_VALUES)
        self.woken: vec[i64] = zeros(64)
        self.rate: Rate = Rate(1000, 1)

    def tune(self) -> None:
        """Learn how ticks become ps, after the clock has been set."""
        self.rate = Rate(self.clock.times, self.clock.over)

    def lost(self, now: i64, cpu: i64, count: i64, until: i64) -> None:
        """Records of a pCPU were lost from now on, ``count`` of them (0: unknown) until a time."""
        self.lost_events += count
        self.lost_intervals += 1
        self.columns.row(now, LOST, cpu, -1, count, until if until > now else now)

    def event(self, now: i64, cpu: i64, use: i64, v: vec[i64]) -> None:
        """Make the rows of one event. Shapes: ``v`` has its values, -1 for what this kernel does not tell."""
        if use == Use.EXIT:
            self._exit(now, cpu, v)
        elif use == Use.ENTRY:
            self._entry(now, cpu, v)
        elif use == Use.HOST_VECTOR:
            self.columns.row(now, Kind.HOST_IRQ, cpu, self.threads.place(v[0]), v[1] & 255, -1)
        elif use == Use.SWITCH:
            self._switch(now, cpu, v)
        elif use <= Use.PV_EOI:
            self._interrupt(now, cpu, use, v)
        elif use <= Use.PIC:
            self._message(now, cpu, use, v)
        elif use == Use.WAKING:
            self._waking(now, cpu, v)
        elif use == Use.WAKEUP:
            self._wakeup(now, cpu, v)
        elif use == Use.HALT_POLL:
            self._halt_poll(now, cpu, v)
        else:
            self._other(now, cpu, use, v)

    def _exit(self, now: i64, cpu: i64, v: vec[i64]) -> None:
        place: i64 = self.threads.place(v[0])
        if place < 0:
            place = self.threads.runs(v[0], v[5])
        code: i64 = v[1]
        isa: i64 = v[2]
        info: i64 = v[3]
        if self.isa == 0:
            self.isa = isa
        code &= 0x8000FFFF if isa == Isa.VMX else 0xFFFFFFFF
        if code >= MOST_CODES or self.met[code] == 0:
            self._new_code(code)
        if isa == Isa.VMX and code == EXTERNAL_INTERRUPT:
            info = v[4] & 255 if v[4] >= 0 and v[4] & VALID else ABSENT
        if v[6] != ABSENT:
            info = self._stands(place, code, isa, v[6], info)
        self.columns.row(now, Kind.VM_EXIT, cpu, place, code, info if info == ABSENT else info & WORD)

    def _stands(self, place: i64, code: i64, isa: i64, rip: i64, info: i64) -> i64:
        """Keep where a guest stands; returns 1 for an interrupt window at the HLT at which the exit before it stood."""
        hlt: i64 = HLT if isa == Isa.VMX else SVM_HLT
        window: i64 = WINDOW if isa == Isa.VMX else SVM_WINDOW
        self.rips = reaching(self.rips, place)
        if code == hlt:
            if len(self.halts) < MOST_HALTS:
                self.halts.add(rip)
        elif code == window and self.rips[place] == rip and rip in self.halts:
            info = 1
        self.rips[place] = rip
        return info

    def _new_code(self, code: i64) -> None:
        """Keep an exit reason that may not have been met before. Errors: TraceError, for too many of them."""
        if code < MOST_CODES:
            self.met[code] = 1
        if code not in self.codes:
            if len(self.codes) >= MOST_CODES:
                raise TraceError(f"{self.name}: more than {MOST_CODES} exit reasons; no processor has so many")
            self.codes.add(code)

    def _entry(self, now: i64, cpu: i64, v: vec[i64]) -> None:
        """The guest runs; newer kernels tell what this entry injects (a valid event of type 0 is an interrupt)."""
        intr: i64 = v[2]
        vector: i64 = intr & 255 if intr >= 0 and intr & VALID and not intr & 0x700 else ABSENT
        place: i64 = self.threads.place(v[0])
        if place < 0 or self.threads.number(place) != v[1]:
            place = self.threads.runs(v[0], v[1])
        self.columns.row(now, Kind.VM_ENTRY, cpu, place, vector, -1)

    def _interrupt(self, now: i64, cpu: i64, use: i64, v: vec[i64]) -> None:
        """A vector is injected, accepted by a local APIC, handed on for virtual delivery, or ended.

        Fixed and lowest-priority messages have a vector, an NMI has its own. For an end that took no exit the kernel
        also wrote ``kvm_eoi``, just before.
        """
        place: i64 = self.threads.place(v[0])
        if use == Use.INJECT:
            if v[3] >= 0:
                self.marks_again = True
            kind: i64 = Kind.IRQ_REINJECT if v[3] > 0 else Kind.IRQ_INJECT
            self.columns.row(now, kind, cpu, place, v[1] & 255, SOFTWARE if v[2] > 0 else -1)
        elif use == Use.EOI:
            if place < 0:
                place = self.threads.runs(v[0], v[1])
            self.columns.row(now, Kind.IRQ_EOI, cpu, place, v[2] & 255 if v[2] >= 0 else ENDED_NOTHING, 1)
        elif use == Use.PV_EOI:
            self.columns.row(now, Kind.EOI_SPARED, cpu, place, v[2] & 255, 0)
        else:
            mode: i64 = v[2] >> 8 & 7
            kind = Kind.IRQ_REQUEST if use == Use.ACCEPT else Kind.PID_POST
            if mode <= 1:
                self.columns.row(now, kind, cpu, self.threads.addressed(v[1], v[0]), v[3] & 255, -1)
            elif mode == NMI and use == Use.ACCEPT:
                self.columns.row(now, kind, cpu, self.threads.addressed(v[1], v[0]), NMI_VECTOR, -1)

    def _message(self, now: i64, cpu: i64, use: i64, v: vec[i64]) -> None:
        """An IPI, a message of a device, or a line of an interrupt controller.

        A message's destination is bits 12-19 of the address, and in x2APIC format its upper word as well.
        """
        if use == Use.IPI:
            self.columns.row(now, Kind.GUEST_IPI, cpu, self.threads.place(v[0]), vector_of(v[1]), v[2])
        elif use == Use.MSI:
            to: i64 = v[1] >> 12 & 255 | v[1] >> 32 & 0xFFFFFF00
            self.columns.row(now, Kind.GUEST_MSI, cpu, -1, vector_of(v[2]), to)
        elif use == Use.LINE:
            self.columns.row(now, Kind.GUEST_LINE, cpu, -1, v[1], v[2])
        elif use == Use.IOAPIC:
            flags: i64 = (MASKED if v[1] & 0x10000 else 0) + (LEVEL if v[1] & 0x8000 else 0)
            if v[3]:
                flags += COALESCED
            self.columns.row(now, Kind.IOAPIC_SET, cpu, -1, v[1] & 255, (v[2] & 255) + flags)
        elif use == Use.PIC:
            self._pic(now, cpu, v)

    def _pic(self, now: i64, cpu: i64, v: vec[i64]) -> None:
        """A pin of an 8259 is set; the kernel also tells which of its chip's pins are level-triggered or masked."""
        pin: i64 = v[2] & 7
        flags: i64 = (1 if v[3] else 0) + (max(v[5], 0) >> pin & 1) * 2 + (max(v[4], 0) >> pin & 1) * 4
        self.columns.row(now, Kind.PIC_SET, cpu, -1, (v[1] & 1) * 8 + pin, flags)

    def _switch(self, now: i64, cpu: i64, v: vec[i64]) -> None:
        """A pCPU changes its thread. Threads that are no vCPU are the host's own work."""
        before: i64 = self.threads.place(v[1])
        after: i64 = self.threads.place(v[3])
        columns = self.columns
        if before >= 0:
            to: i64 = RunState.RUNNABLE
            if v[2] & ASLEEP:
                to = RunState.OFFLINE if v[2] & DEAD else RunState.BLOCKED
            columns.row(now, Kind.RUNSTATE, cpu, before, RunState.RUNNING, to)
        elif v[1] == IDLE:
            columns.row(now, Kind.RUNSTATE, cpu, -1, RunState.RUNNING, RunState.RUNNABLE)
        if before >= 0 or after >= 0:
            columns.row(now, Kind.SCHED_SWITCH, cpu, after, before, after)
        if after >= 0:
            self._wakes(after, 0)
            columns.row(now, Kind.RUNSTATE, cpu, after, RunState.RUNNABLE, RunState.RUNNING)
        elif v[3] == IDLE:
            columns.row(now, Kind.RUNSTATE, cpu, -1, RunState.RUNNABLE, RunState.RUNNING)
        else:
            columns.row(now, Kind.CPU_OWNER, cpu, -1, Owner.DOM0, 0)

    def _wakes(self, place: i64, woken: i64) -> None:
        self.woken = reaching(self.woken, place)
        self.woken[place] = woken

    def _waking(self, now: i64, cpu: i64, v: vec[i64]) -> None:
        place: i64 = self.threads.place(v[1])
        if place >= 0:
            self._wakes(place, 1)
            self._wake(now, cpu, place, v[0])

    def _wakeup(self, now: i64, cpu: i64, v: vec[i64]) -> None:
        """The end of a wake-up; a row only when its begin is not in the recording."""
        place: i64 = self.threads.place(v[1])
        if place >= 0:
            if place >= i64(len(self.woken)) or self.woken[place] == 0:
                self._wake(now, cpu, place, v[0])
            self._wakes(place, 0)

    def _wake(self, now: i64, cpu: i64, place: i64, waker: i64) -> None:
        self.columns.row(now, Kind.SCHED_WAKE, cpu, place, waker if waker > 0 else ZERO, 0)
        self.columns.row(now, Kind.RUNSTATE, cpu, place, RunState.BLOCKED, RunState.RUNNABLE)

    def _halt_poll(self, now: i64, cpu: i64, v: vec[i64]) -> None:
        """A vCPU, that of this thread, polls longer or shorter from now on."""
        place: i64 = self.threads.place(v[0])
        if place < 0 <= v[1]:
            place = self.threads.runs(v[0], v[1])
        if v[2] >= 0:
            self.columns.row(now, Kind.HALT_POLL, cpu, place, v[2], v[3] if v[3] > 0 else ZERO)

    def _other(self, now: i64, cpu: i64, use: i64, v: vec[i64]) -> None:
        """An interrupt of the host, or an access that its guest made, by whichever exit.

        An access to a device's memory becomes a row when the device is the local APIC.
        """
        columns, place = self.columns, self.threads.place(v[0])
        if use == Use.HYPERCALL:
            columns.row(now, Kind.HYPERCALL, cpu, place, v[1] & WORD, v[2] & WORD)
        elif use == Use.HOST_IRQ:
            columns.row(now, Kind.HOST_IRQ, cpu, place, -1, v[1] & WORD)
        elif use == Use.SOFTIRQ:
            columns.row(now, Kind.SOFTIRQ, cpu, -1, v[1] & WORD, 0)
        elif use == Use.TIMER:
            columns.row(now, Kind.TIMER_FIRE, cpu, -1, -1, 0)
        elif use == Use.APIC:
            columns.row(now, Kind.APIC_ACCESS, cpu, place, (v[2] & 0xFFF) + (WRITTEN if v[1] else 0), v[3] & WORD)
        elif use == Use.MSR:
            number: i64 = (v[2] & 0xFFFFFFFF) + (MSR_WRITTEN if v[1] else 0)
            columns.row(now, Kind.MSR_ACCESS, cpu, place, number, v[3] & WORD)
        elif use == Use.MMIO and v[2] >> 12 == APIC_PAGE:
            offset: i64 = (v[2] & 0xFFF) + (WRITTEN if v[1] == MMIO_WRITE else 0)
            columns.row(now, Kind.APIC_ACCESS, cpu, place, offset, v[3] & WORD)
        elif use == Use.HOST_VECTOR_DONE:
            columns.row(now, Kind.HOST_DONE, cpu, place, v[1] & 255, -1)
        elif use == Use.HOST_IRQ_DONE:
            columns.row(now, Kind.HOST_DONE, cpu, place, -1, -1)
        elif use == Use.SOFTIRQ_DONE:
            columns.row(now, Kind.SOFTIRQ_DONE, cpu, -1, v[1] & WORD, 0)
        elif use == Use.TIMER_DONE:
            columns.row(now, Kind.TIMER_DONE, cpu, -1, 0, 0)
        elif use == Use.HALT_END and 0 <= v[1] <= LONGEST_HALT:
            columns.row(now, Kind.HALT_END, cpu, place, v[1], (1 if v[2] > 0 else 0) + (2 if v[3] else 0))


def vector_of(word: i64) -> i64:
    """Take the vector out of a message's data or an ICR: -1 for a delivery mode that has none."""
    mode: i64 = word >> 8 & 7
    if mode < 2:
        return word & 255
    return NMI_VECTOR if mode == NMI else -1


__all__ = ["Clock", "Mapper", "Threads", "Use"]
