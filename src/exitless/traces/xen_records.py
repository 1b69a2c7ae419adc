"""Decodes the windows of one pCPU in an xentrace recording, and follows which vCPU it runs."""

from array import array
from collections.abc import Callable, Iterator
from typing import Final

from librt.strings import read_i32_le
from librt.vecs import vec
from mypy_extensions import i64

from exitless.bits.words import zeros
from exitless.errors import TraceError
from exitless.record.columns import Columns
from exitless.traces.merge import NO_TIME, Part
from exitless.traces.rate import PS_PER_S
from exitless.traces.xen import WRAP_BUFFER, Use
from exitless.traces.xen_shared import MOST_PS, Plan, Shared
from exitless.vocab.kinds import Kind

CHUNK: Final = 262_144
# The longest record is 10 words; an exit looks at the two words after it.
SPARE: Final = 64
U32: Final = 4294967295
LOST: Final = 0
# Typed, so that a choice between one of them and a number makes no object.
NONE: Final[i64] = -1
ZERO: Final[i64] = 0
BEYOND: Final[i64] = 2**62
RUNNING: Final = 0
INTR_WORD: Final = 0x1008200F
X2APIC_EOI: Final = 0x80B
LAPIC_EOI: Final = 0xFEE000B0
APIC_PAGE: Final = 0xFEE00
WRITTEN: Final = 4096
MSR_WRITTEN: Final = 2**32
NS: Final = 10**9
FIRST_ARGUMENT: Final = 3 << 20
# Hypercalls whose first recorded argument is the sub-operation.
GRANT_TABLE: Final = 20
VCPU_OP: Final = 24
SCHED_OP: Final = 29

# What irq.inject says of a vector that is told to be no 8259's.
NO_PIC: Final = 7
# Rows of one record that wait: time, kind, vCPU, a, b of each.
WIDTH: Final = 5
MOST_ROWS: Final = 4


class Window(Part):
    """The records of one pCPU, window after window, a piece of the file at a time.

    Shapes: ``starts`` and ``lengths`` say where its windows are, in bytes; ``read`` reads the file. ``waiting`` has the
    rows of the record at hand from ``next`` to ``have``; ``first_tsc`` is -1 when no record has a time stamp. For who
    ``keeps`` them, ``places`` has the guest's instruction pointer of each exit and ``slices`` the time slice in ns of
    each switch (-1: not told), both in the order of their rows. Units: ``last_ps`` is the last record's time in ps.
    """

    def __init__(
        self, shared: Shared, cpu: int, starts: "array[int]", lengths: "array[int]",
        read: Callable[[int, int], bytes], tell: Callable[[str], None], columns: Columns, keeps: bool,
    ) -> None:  # fmt: skip
        super().__init__()
        self.shared: Shared = shared
        self.cpu: i64 = cpu
        self.keeps: bool = keeps
        self.first_tsc = -1
        self.last_ps: i64 = 0
        self.places = array("Q")
        self.slices = array("q")
        self._read = read
        self._tell = tell
        self._columns: Columns = columns
        self._spans: Iterator[tuple[int, int]] = iter(list(zip(starts, lengths)))
        self._from: i64 = 0
        self._left: i64 = 0
        self._data: bytes = b""
        self._base: i64 = 0
        self._i: i64 = 0
        self._stop: i64 = 0
        self._end: i64 = 0
        self._before: i64 = 0
        self._current: i64 = -1
        self._stamp: i64 = 0
        self._slice: i64 = -1
        self._source: i64 = -1
        self._takes: bool = False
        self._waiting: vec[i64] = zeros(WIDTH * MOST_ROWS)
        self._next: i64 = 0
        self._have: i64 = 0
        self._begin()

    def _word(self, at: i64) -> i64:
        """Read a word of 32 bits."""
        return i64(read_i32_le(self._data, at)) & U32

    def _fill(self) -> bool:
        """Read on: to what is left of the last chunk comes the next, of the same window. False at the end."""
        rest = self._data[self._i :]
        place: i64 = self._base + self._i
        if self._left == 0:
            if rest:
                self._tell(
                    f"{self.shared.name}: a record of pCPU {self.cpu} at offset {place} crosses the end of its window; "
                    "it is left out"
                )
                rest = b""
            while self._left == 0:
                span = next(self._spans, None)
                if span is None:
                    self._data = b""
                    self._i = self._end = self._stop = 0
                    return False
                self._from, self._left = span
                self._left -= self._left & 3
        data = self._read(self._from, min(CHUNK, self._left))
        size: i64 = i64(len(data))
        if size & 3 != 0 or size == 0:
            raise TraceError(f"{self.shared.name}: cannot be read at offset {self._from}; expected {self._left} bytes")
        self._base = self._from - i64(len(rest))
        self._from += size
        self._left -= size
        self._data = rest + data
        self._i = 0
        self._end = i64(len(self._data))
        self._stop = self._end - SPARE if self._left > 0 else self._end
        return True

    def _begin(self) -> None:
        """Look ahead in the first chunk: when does it start, and who runs until the first scheduler record."""
        if not self._fill():
            return
        at: i64 = 0
        named: bool = False
        while at < self._end and not (named and self.first_tsc >= 0):
            plan: Plan = self.shared.plan(self._word(at))
            if at + 4 * plan.size > self._end:
                break
            if self.first_tsc < 0 and plan.first == 3 and plan.event != WRAP_BUFFER:
                self.first_tsc = int(self._word(at + 4)) + int(self._word(at + 8)) * 2**32
            if not named:
                named = self._names_owner(at + 4 * plan.first, plan)
            at += 4 * plan.size
        self._stamp = min(max(self.first_tsc, 0), NO_TIME)

    def _names_owner(self, p: i64, plan: Plan) -> bool:
        """Take the vCPU that ran before from the first record that tells; True when looking on is of no use."""
        if plan.use == Use.SWITCH or plan.use == Use.PREV:
            self._current = self.shared.vcpu(self._word(p) & 0xFFFF, self._word(p + 4))
            return True
        if plan.use == Use.CONTINUE or (plan.use == Use.RUNSTATE and plan.event >> 8 & 15 == RUNNING):
            self._current = self.shared.vcpu(self._word(p) >> 16, self._word(p) & 0xFFFF)
            return True
        return plan.use == Use.LOST or (plan.use == Use.RUNSTATE and plan.event >> 4 & 15 == RUNNING)

    def put(self) -> None:
        """Hand out the row at hand."""
        k: i64 = self._next * WIDTH
        w: vec[i64] = self._waiting
        self._columns.row(w[k], w[k + 1], self.cpu, w[k + 2], w[k + 3], w[k + 4])

    def step(self) -> bool:
        """Go to the next row; False at the end."""
        self._next += 1
        if self._next >= self._have:
            self._next = self._have = 0
            while self._have == 0:
                if (self._i >= self._stop or not self._record()) and not self._fill():
                    self.now = NO_TIME
                    return False
        self.now = self._waiting[self._next * WIDTH]
        return True

    def _record(self) -> bool:
        """Turn a record into the rows that wait; False when its end is not at hand."""
        shared: Shared = self.shared
        i: i64 = self._i
        word: i64 = self._word(i)
        plan: Plan = shared.plan(word)
        after: i64 = i + 4 * plan.size
        if after > self._end:
            self._stop = i
            return False
        plan.count += 1
        self._before = self.last_ps
        if plan.first == 3 and plan.event != WRAP_BUFFER:
            high: i64 = self._word(i + 8)
            stamp: i64 = self._word(i + 4) + (high << 32) if high < 2**30 else BEYOND
            if stamp > self._stamp:
                if stamp > shared.limit:
                    self._too_late(i)
                self._stamp = stamp
            elif stamp < self._stamp:
                shared.backwards += 1
            self.last_ps = shared.rate.ps(self._stamp - shared.origin)
        if plan.use > 0:
            self._rows(i + 4 * plan.first, self.last_ps, plan, after)
        self._i = after
        return True

    def _too_late(self, i: i64) -> None:
        """Give up at a time stamp no recording can reach."""
        raise TraceError(
            f"{self.shared.name}: the time stamp of pCPU {self.cpu}'s record at offset {self._base + i} lies more "
            f"than {MOST_PS // PS_PER_S // 86400} days after the first; expected one clock for the whole recording"
        )

    def _row(self, now: i64, kind: i64, vcpu: i64, a: i64, b: i64) -> None:
        """Let a row wait."""
        k: i64 = self._have * WIDTH
        w: vec[i64] = self._waiting
        w[k] = now
        w[k + 1] = kind
        w[k + 2] = vcpu
        w[k + 3] = a
        w[k + 4] = b
        self._have += 1

    def _rows(self, p: i64, now: i64, plan: Plan, after: i64) -> None:
        """Make the rows of a record whose own words begin at ``p``."""
        use: i64 = plan.use
        word: i64 = self._word(p) if after > p else ZERO
        words: i64 = plan.size - plan.first
        if use == Use.EXIT:
            self._exit(p, now, after)
        elif use == Use.ENTRY:
            if self._current < 0:
                self.shared.unowned += 1
            self._row(now, Kind.VM_ENTRY, self._current, -1, -1)
        elif use == Use.PV_CALL:
            self._pv_call(p, now, words)
        elif use <= Use.HANDLED:
            self._interrupt(p, now, plan)
        elif use == Use.VMMCALL:
            self._row(now, Kind.HYPERCALL, self._current, word, -1)
        elif use == Use.HLT:
            self._row(now, Kind.GUEST_HLT, self._current, word, 0)
        elif use == Use.LOST:
            self._lost(p, now)
        elif use == Use.PIC_ASKED:
            self._ask(word != 0 and self._word(p + 4) != 0)
        elif use == Use.PIC_TAKEN:
            self._ask(True)
        elif use == Use.CONTINUE:
            self._current = self.shared.vcpu(word >> 16, word & 0xFFFF)
        elif use == Use.STRAY:
            self._tell(
                f"{self.shared.name}: a CPU_CHANGE record lies within a window of pCPU {self.cpu}, between offsets "
                f"{self._base} and {self._base + self._end}; expected it only at a window's start"
            )
        elif use == Use.NEXT:
            # How long the vCPU that comes next may run, in ns; negative for as long as it likes.
            self._slice = i64(read_i32_le(self._data, p + 12)) if words > 3 else NONE
        elif use <= Use.TICKLE:
            self._schedule(p, now, use)
        else:
            self._access(p, now, use, words)

    def _exit(self, p: i64, now: i64, after: i64) -> None:
        """The guest stops; for an external interrupt on VMX the next record names the vector."""
        self._source = -1
        self._takes = False
        code: i64 = self._word(p)
        self.shared.exit(code)
        if self._current < 0:
            self.shared.unowned += 1
        if self.keeps:
            place = int(self._word(p + 4)) if after > p + 4 else 0
            self.places.append(place + int(self._word(p + 8)) * 2**32 if after > p + 8 else place)
        known: bool = after + 4 < self._end and self._word(after) == INTR_WORD
        self._row(now, Kind.VM_EXIT, self._current, code, self._word(after + 4) if known else NONE)

    def _interrupt(self, p: i64, now: i64, plan: Plan) -> None:
        """A runstate changes, a vector is injected or waits, or the host takes an interrupt.

        A vCPU changes its runstate into or out of running on this pCPU; else this pCPU tells it. SVM does not tell the
        host's vector, and the record is empty. Of a device's interrupt the Xen irq is told, its vector is not, and how
        long it took is where tracing was on when it began.
        """
        use: i64 = plan.use
        if use == Use.RUNSTATE:
            old: i64 = plan.event >> 8 & 15
            new: i64 = plan.event >> 4 & 15
            vcpu: i64 = self.shared.vcpu(self._word(p) >> 16, self._word(p) & 0xFFFF)
            self._row(now, Kind.RUNSTATE, vcpu, old, new)
            if new == RUNNING:
                self._current = vcpu
                self._source = -1
                self._takes = False
            elif old == RUNNING:
                self._current = -1
        elif use == Use.INJECT:
            self._row(now, Kind.IRQ_INJECT, self._current, self._word(p) & 255, self._source)
        elif use == Use.WINDOW:
            self._row(now, Kind.IRQ_WINDOW, self._current, self._word(p) & 255, self._word(p + 4))
        elif use == Use.INTR:
            vector: i64 = self._word(p) if plan.size > plan.first else NONE
            self._row(now, Kind.HOST_IRQ, self._current, vector if vector < 256 else NONE, -1)
        else:
            self._row(now, Kind.HOST_IRQ, self._current, -1, self._word(p) & 0xFFFF)
            if plan.size >= plan.first + 3 and self._word(p + 4) != 0:
                took: i64 = ((self._word(p + 8) - self._word(p + 4)) & U32) * NS // self.shared.clock_hz
                self._row(now, Kind.HOST_DONE, self._current, -1, took)

    def _ask(self, takes: bool) -> None:
        """Xen asks before an injection whether the vCPU takes an 8259's; if never, what is injected is no 8259's."""
        self._takes = self._takes or takes
        self._source = -1 if self._takes else NO_PIC

    def _pv_call(self, p: i64, now: i64, words: i64) -> None:
        """A PV guest's hypercall; some record their first argument, which may be the sub-operation."""
        number: i64 = self._word(p) & 0xFFFFF
        with_command: bool = number == GRANT_TABLE or number == VCPU_OP or number == SCHED_OP
        told: bool = with_command and words > 1 and self._word(p) & FIRST_ARGUMENT != 0
        self._row(now, Kind.HYPERCALL, self._current, number, self._word(p + 4) if told else NONE)

    def _schedule(self, p: i64, now: i64, use: i64) -> None:
        """The scheduler changes vCPUs, wakes one, lets one block, or tickles a pCPU."""
        if use == Use.TICKLE:
            self._row(now, Kind.SCHED_TICKLE, -1, self._word(p) & 0xFFFF, 0)
            return
        vcpu: i64 = self.shared.vcpu(self._word(p) & 0xFFFF, self._word(p + 4))
        if use == Use.WAKE:
            self._row(now, Kind.SCHED_WAKE, vcpu, 0, 0)
        elif use == Use.BLOCK:
            self._row(now, Kind.SCHED_BLOCK, vcpu, 0, 0)
        elif use == Use.SWITCH:
            to: i64 = self.shared.vcpu(self._word(p + 8) & 0xFFFF, self._word(p + 12))
            if self.keeps:
                self.slices.append(self._slice)
            self._current = to
            self._row(now, Kind.SCHED_SWITCH, to, vcpu, to)

    def _access(self, p: i64, now: i64, use: i64, words: i64) -> None:
        """A register is read or written: an MSR, or one of the local APIC at its usual address.

        The write of an EOI register ends an interrupt; which, the record does not say.
        """
        word: i64 = self._word(p) if words > 0 else ZERO
        value: i64 = -1
        ends: bool = use == Use.VLAPIC
        if use == Use.MSR_WRITE:
            if words > 2:
                value = self._word(p + 4) + ((self._word(p + 8) & 0x3FFFFFFF) << 32)
            self._row(now, Kind.MSR_ACCESS, self._current, word + MSR_WRITTEN, value)
            ends = word == X2APIC_EOI
        elif use == Use.MSR_READ:
            self._row(now, Kind.MSR_ACCESS, self._current, word, -1)
        elif use == Use.IOMEM_READ and word >> 12 == APIC_PAGE:
            self._row(now, Kind.APIC_ACCESS, self._current, word & 0xFFF, -1)
        elif use == Use.IOMEM_WRITE and word >> 12 == APIC_PAGE:
            if words == 2:
                value = self._word(p + 4)
            self._row(now, Kind.APIC_ACCESS, self._current, (word & 0xFFF) + WRITTEN, value)
            ends = word == LAPIC_EOI
        if ends:
            self._row(now, Kind.IRQ_EOI, self._current, -1, 1)

    def _lost(self, p: i64, now: i64) -> None:
        """Records were lost: from the first loss on this pCPU is unknown, and known again where this record stands."""
        shared: Shared = self.shared
        count: i64 = self._word(p)
        high: i64 = self._word(p + 12)
        first: i64 = self._word(p + 8) + (high << 32) if high < 2**30 else BEYOND
        began: i64 = now if first >= self._stamp else shared.rate.ps(max(first - shared.origin, 0))
        shared.lost_events += count
        shared.lost_intervals += 1
        self._row(min(max(began, self._before), now), LOST, -1, count, now)
        self._current = shared.vcpu(self._word(p + 4) & 0xFFFF, self._word(p + 4) >> 16)
        self._row(now, LOST, self._current, -1, 0)
