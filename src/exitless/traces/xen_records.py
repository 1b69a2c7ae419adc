"""Decodes the windows of one pCPU in an xentrace recording, and follows which vCPU it runs."""

import struct
from array import array
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Final

from exitless.bits.units import PS_PER_S
from exitless.errors import TraceError
from exitless.traces.reader import LOST, Row, Vcpu
from exitless.traces.xen import SVM_EXIT, WRAP_BUFFER, Use, use_of
from exitless.vocab.kinds import Kind

if TYPE_CHECKING:
    from exitless.traces.xentrace import Xentrace

CHUNK: Final = 16384
# The longest record is 10 words; an exit looks at the two words after it.
SPARE: Final = 16
MOST_KINDS: Final = 65_536
MOST_VCPUS: Final = 65_536
MOST_CODES: Final = 4_096
MOST_PS: Final = 1 << 62
IDLE: Final = 0x7FFF
RUNNING: Final = 0
INTR_WORD: Final = 0x1008200F
X2APIC_EOI: Final = 0x80B
LAPIC_EOI: Final = 0xFEE000B0
APIC_PAGE: Final = 0xFEE00
WRITTEN: Final = 4096
MSR_WRITTEN: Final = 2**32
NS: Final = 10**9
FIRST_ARGUMENT: Final = 3 << 20
# Hypercalls whose first recorded argument is the sub-operation: grant_table_op, vcpu_op, sched_op.
WITH_COMMAND: Final = (20, 24, 29)


class Plan:
    """What to do with every record that has one header word; ``count`` counts them."""

    def __init__(self, event: int, size: int, first: int, use: int) -> None:
        self.event = event
        self.count = 0
        self.size = size
        self.first = first
        self.use = use


class Shared:
    """What all pCPUs of one recording have in common: plans by header word, vCPUs, exit codes, the clock."""

    def __init__(self, reader: "Xentrace") -> None:
        self.reader = reader
        self.name = reader.source.name
        self.plans: dict[int, Plan] = {}
        self.extra: dict[int, int] = {}
        self.short: dict[int, int] = {}
        self.vcpu_numbers: dict[int, int] = {}
        self.vcpus: list[Vcpu] = []
        self.codes: dict[int, int] = {}
        self.origin = 0
        self.limit = 0
        self.backwards = 0
        self.unowned = 0

    def start(self, origin: int) -> None:
        """Set the time stamp that counts as zero."""
        self.origin = origin
        self.limit = origin + MOST_PS * self.reader.clock_hz // PS_PER_S

    def count(self, event: int, count: int) -> None:
        """Count records that no plan counts."""
        self.extra[event] = self.extra.get(event, 0) + count

    def plan(self, word: int) -> Plan:
        """Make the plan for a header word that has not been met before. Errors: TraceError, for too many of them."""
        if len(self.plans) >= MOST_KINDS:
            raise TraceError(f"{self.name}: more than {MOST_KINDS} kinds of records; xentrace writes no such thing")
        event, extra, stamped = word & 0xFFFFFFF, word >> 28 & 7, word >> 31
        use, needed = use_of(event)
        if extra < needed or (use == Use.LOST and not stamped):
            use = -1
        plan = Plan(event, 1 + 2 * stamped + extra, 1 + 2 * stamped, use)
        self.plans[word] = plan
        return plan

    def events(self) -> dict[int, int]:
        """Return how many records of each event were read."""
        counts = dict(self.extra)
        for plan in self.plans.values():
            if plan.count:
                counts[plan.event] = counts.get(plan.event, 0) + plan.count
        self.short = {p.event: p.count for p in self.plans.values() if p.use < 0 and p.count}
        return counts

    def svm_events(self) -> int:
        """Return how many exits came by SVM's own event."""
        counts = self.events()
        return sum(counts.get(event, 0) for event in SVM_EXIT)

    def vcpu(self, domain: int, number: int) -> int:
        """Return the place of a vCPU in the list, -1 for an idle one. Errors: TraceError, for too many of them."""
        if domain == IDLE:
            return -1
        key = domain << 32 | number
        place = self.vcpu_numbers.get(key, -1)
        if place < 0:
            place = len(self.vcpus)
            if place >= MOST_VCPUS:
                raise TraceError(f"{self.name}: more than {MOST_VCPUS} vCPUs; xentrace writes no such thing")
            self.vcpu_numbers[key] = place
            self.vcpus.append(Vcpu(f"d{domain}", number, -1, domain == 0))
        return place

    def sentences(self) -> Iterator[str]:
        """Say what a person must know about these records."""
        if self.unowned:
            yield (
                f"exits and entries without a vCPU, since no scheduler record says who ran: {self.unowned}; they are "
                "paired on their pCPU, so their times may hold those of other vCPUs"
            )
        if self.backwards:
            yield f"time stamps that went backwards on their pCPU and were taken as the one before: {self.backwards}"


class Window:
    """The records of one pCPU, window after window, some tens of thousands of bytes at a time.

    Shapes: ``rows`` are decoded and wait from ``at`` on; ``first_tsc`` is -1 when no record has a time stamp. For a
    reader that keeps them, ``places`` has the guest's instruction pointer of each exit and ``slices`` the time slice in
    ns of each switch (-1: not told), both in the order of their rows.
    """

    def __init__(self, shared: Shared, cpu: int, starts: "array[int]", lengths: "array[int]") -> None:
        self.shared = shared
        self.cpu = cpu
        self.rows: list[Row] = []
        self.at = 0
        self.last_ps = 0
        self._spans = zip(starts, lengths, strict=True)
        self._from = 0
        self._left = 0
        self._words: tuple[int, ...] = ()
        self._base = 0
        self._ahead = False
        self._current = -1
        self._last = 0
        self.first_tsc = -1
        self.places = array("Q")
        self.slices = array("q")
        self._slice = -1
        self._handlers: list[Callable[[tuple[int, ...], int, int, Plan], None]] = [
            self._nothing, self._exit, self._entry, self._runstate, self._inject, self._window, self._intr,
            self._handled, self._vmmcall, self._pv_call, self._hlt, self._switch, self._wake, self._block,
            self._tickle, self._msr_write, self._eoi, self._iomem_write, self._lost, self._continue, self._stray,
            self._nothing, self._next, self._msr_read, self._iomem_read,
        ]  # fmt: skip
        self._begin()

    def _fill(self) -> bool:
        """Read on: to what is left of the last chunk comes the next, of the same window. False at the end."""
        words = self._words
        if not self._left:
            if words:
                self.shared.reader.problem(
                    f"{self.shared.name}: a record of pCPU {self.cpu} at offset {self._base} crosses the end of its "
                    "window; it is left out"
                )
                words = ()
            while not self._left:
                span = next(self._spans, None)
                if span is None:
                    self._words = ()
                    return False
                self._from, self._left = span
                self._left -= self._left % 4
        data = self.shared.reader.source.read_at(self._from, min(CHUNK, self._left))
        if len(data) % 4 or not data:
            raise TraceError(f"{self.shared.name}: cannot be read at offset {self._from}; expected {self._left} bytes")
        self._base = self._from - 4 * len(words)
        self._from += len(data)
        self._left -= len(data)
        self.shared.reader.done += len(data)
        self._words = words + struct.unpack(f"<{len(data) // 4}I", data)
        return True

    def _begin(self) -> None:
        """Look ahead in the first chunk: when does it start, and who runs until the first scheduler record."""
        if not self._fill():
            return
        self._ahead = True
        words, i, named = self._words, 0, False
        while i < len(words) and not (named and self.first_tsc >= 0):
            plan = self.shared.plans.get(words[i]) or self.shared.plan(words[i])
            if i + plan.size > len(words):
                break
            if self.first_tsc < 0 and words[i] >> 31 and plan.event != WRAP_BUFFER:
                self.first_tsc = words[i + 1] | words[i + 2] << 32
            if not named:
                named = self._names_owner(words, i + plan.first, plan)
            i += plan.size
        self._last = max(self.first_tsc, 0)

    def _names_owner(self, words: tuple[int, ...], p: int, plan: Plan) -> bool:
        """Take the vCPU that ran before from the first record that tells; True when looking on is of no use."""
        if plan.use in (Use.SWITCH, Use.PREV):
            self._current = self.shared.vcpu(words[p] & 0xFFFF, words[p + 1])
            return True
        if plan.use == Use.CONTINUE or (plan.use == Use.RUNSTATE and plan.event >> 8 & 15 == RUNNING):
            self._current = self.shared.vcpu(words[p] >> 16, words[p] & 0xFFFF)
            return True
        return plan.use == Use.LOST or (plan.use == Use.RUNSTATE and plan.event >> 4 & 15 == RUNNING)

    def more(self) -> bool:
        """Decode on until there is a row; False when the recording has no more of this pCPU."""
        self.rows, self.at = [], 0
        while not self.rows:
            if not self._ahead and not self._fill():
                return False
            self._ahead = False
            self._decode()
        return True

    def _decode(self) -> None:
        """Turn the words at hand into rows."""
        shared, words, handlers = self.shared, self._words, self._handlers
        plans, origin, limit, hz = shared.plans, shared.origin, shared.limit, shared.reader.clock_hz
        last, now, i, n = self._last, self.last_ps, 0, len(words)
        stop = n - SPARE if self._left else n
        while i < stop:
            word = words[i]
            plan = plans.get(word) or shared.plan(word)
            after = i + plan.size
            if after > n:
                break
            plan.count += 1
            before = now
            if word > 0x7FFFFFFF and plan.event != WRAP_BUFFER:
                stamp = words[i + 1] | words[i + 2] << 32
                if stamp > last:
                    if stamp > limit:
                        self._too_late(i)
                    last = stamp
                elif stamp < last:
                    shared.backwards += 1
                now = (last - origin) * PS_PER_S // hz
            if plan.use > 0:
                self.last_ps = before
                handlers[plan.use](words, i + plan.first, now, plan)
            i = after
        self._last, self.last_ps = last, now
        self._words = words[i:]
        self._base += 4 * i

    def _too_late(self, i: int) -> None:
        """Give up at a time stamp no recording can reach."""
        raise TraceError(
            f"{self.shared.name}: the time stamp of pCPU {self.cpu}'s record at offset {self._base + 4 * i} lies more "
            f"than {MOST_PS // PS_PER_S // 86400} days after the first; expected one clock for the whole recording"
        )

    def _row(self, now: int, kind: int, vcpu: int, a: int, b: int) -> None:
        self.rows.append((now, kind, self.cpu, vcpu, a, b))

    def _nothing(self, words: tuple[int, ...], p: int, now: int, plan: Plan) -> None:
        """A record that is known and becomes no row."""

    def _stray(self, words: tuple[int, ...], p: int, now: int, plan: Plan) -> None:
        """A CPU_CHANGE record within a window: the window's size is not what it should be."""
        self.shared.reader.problem(
            f"{self.shared.name}: a CPU_CHANGE record lies within a window of pCPU {self.cpu}, between offsets "
            f"{self._base} and {self._base + 4 * len(words)}; expected it only at a window's start"
        )

    def _exit(self, words: tuple[int, ...], p: int, now: int, plan: Plan) -> None:
        """The guest stops; for an external interrupt on VMX the next record names the vector."""
        code, codes, after = words[p], self.shared.codes, p - plan.first + plan.size
        if code in codes:
            codes[code] += 1
        elif len(codes) < MOST_CODES:
            codes[code] = 1
        else:
            raise TraceError(f"{self.shared.name}: more than {MOST_CODES} exit reasons; xentrace writes no such thing")
        if self._current < 0:
            self.shared.unowned += 1
        if self.shared.reader.keeps:
            place = words[p + 1] if after > p + 1 else 0
            self.places.append(place | words[p + 2] << 32 if after > p + 2 else place)
        vector = words[after + 1] if after + 1 < len(words) and words[after] == INTR_WORD else -1
        self.rows.append((now, Kind.VM_EXIT, self.cpu, self._current, code, vector))

    def _entry(self, words: tuple[int, ...], p: int, now: int, plan: Plan) -> None:
        if self._current < 0:
            self.shared.unowned += 1
        self.rows.append((now, Kind.VM_ENTRY, self.cpu, self._current, -1, -1))

    def _runstate(self, words: tuple[int, ...], p: int, now: int, plan: Plan) -> None:
        """A vCPU changes its runstate: into or out of running, on this pCPU; else, told by this pCPU."""
        old, new = plan.event >> 8 & 15, plan.event >> 4 & 15
        vcpu = self.shared.vcpu(words[p] >> 16, words[p] & 0xFFFF)
        self.rows.append((now, Kind.RUNSTATE, self.cpu, vcpu, old, new))
        if new == RUNNING:
            self._current = vcpu
        elif old == RUNNING:
            self._current = -1

    def _continue(self, words: tuple[int, ...], p: int, now: int, plan: Plan) -> None:
        self._current = self.shared.vcpu(words[p] >> 16, words[p] & 0xFFFF)

    def _inject(self, words: tuple[int, ...], p: int, now: int, plan: Plan) -> None:
        self._row(now, Kind.IRQ_INJECT, self._current, words[p] & 255, -1)

    def _window(self, words: tuple[int, ...], p: int, now: int, plan: Plan) -> None:
        self._row(now, Kind.IRQ_WINDOW, self._current, words[p] & 255, words[p + 1])

    def _intr(self, words: tuple[int, ...], p: int, now: int, plan: Plan) -> None:
        """The host vector of an external interrupt; SVM does not tell it, and the record is empty."""
        vector = words[p] if plan.size > plan.first and words[p] < 256 else -1
        self._row(now, Kind.HOST_IRQ, self._current, vector, -1)

    def _handled(self, words: tuple[int, ...], p: int, now: int, plan: Plan) -> None:
        """A device's interrupt has been handled: its Xen irq is told, its vector is not, and how long it took is where
        tracing was on when it began."""
        self._row(now, Kind.HOST_IRQ, self._current, -1, words[p] & 0xFFFF)
        if plan.size >= plan.first + 3 and words[p + 1]:
            took = (words[p + 2] - words[p + 1] & 0xFFFFFFFF) * NS // self.shared.reader.clock_hz
            self._row(now, Kind.HOST_DONE, self._current, -1, took)

    def _vmmcall(self, words: tuple[int, ...], p: int, now: int, plan: Plan) -> None:
        self._row(now, Kind.HYPERCALL, self._current, words[p], -1)

    def _pv_call(self, words: tuple[int, ...], p: int, now: int, plan: Plan) -> None:
        """A PV guest's hypercall; some record their first argument, which may be the sub-operation."""
        number, argument = words[p] & 0xFFFFF, words[p] & FIRST_ARGUMENT
        told = argument and number in WITH_COMMAND and plan.size > plan.first + 1
        self._row(now, Kind.HYPERCALL, self._current, number, words[p + 1] if told else -1)

    def _hlt(self, words: tuple[int, ...], p: int, now: int, plan: Plan) -> None:
        self._row(now, Kind.GUEST_HLT, self._current, words[p], 0)

    def _switch(self, words: tuple[int, ...], p: int, now: int, plan: Plan) -> None:
        vcpu = self.shared.vcpu
        a, b = vcpu(words[p] & 0xFFFF, words[p + 1]), vcpu(words[p + 2] & 0xFFFF, words[p + 3])
        if self.shared.reader.keeps:
            self.slices.append(self._slice)
        self._row(now, Kind.SCHED_SWITCH, b, a, b)

    def _next(self, words: tuple[int, ...], p: int, now: int, plan: Plan) -> None:
        """How long the vCPU that comes next may run, in ns; negative for as long as it likes."""
        told = plan.size > plan.first + 3
        self._slice = words[p + 3] - (words[p + 3] >> 31 << 32) if told else -1

    def _wake(self, words: tuple[int, ...], p: int, now: int, plan: Plan) -> None:
        self._row(now, Kind.SCHED_WAKE, self.shared.vcpu(words[p] & 0xFFFF, words[p + 1]), 0, 0)

    def _block(self, words: tuple[int, ...], p: int, now: int, plan: Plan) -> None:
        self._row(now, Kind.SCHED_BLOCK, self.shared.vcpu(words[p] & 0xFFFF, words[p + 1]), 0, 0)

    def _tickle(self, words: tuple[int, ...], p: int, now: int, plan: Plan) -> None:
        self._row(now, Kind.SCHED_TICKLE, -1, words[p] & 0xFFFF, 0)

    def _msr_write(self, words: tuple[int, ...], p: int, now: int, plan: Plan) -> None:
        """The write of an x2APIC's EOI register ends an interrupt; which, the record does not say."""
        told = plan.size > plan.first + 2
        value = words[p + 1] | (words[p + 2] & 0x3FFFFFFF) << 32 if told else -1
        self._row(now, Kind.MSR_ACCESS, self._current, words[p] + MSR_WRITTEN, value)
        if words[p] == X2APIC_EOI:
            self._eoi(words, p, now, plan)

    def _msr_read(self, words: tuple[int, ...], p: int, now: int, plan: Plan) -> None:
        self._row(now, Kind.MSR_ACCESS, self._current, words[p], -1)

    def _iomem_read(self, words: tuple[int, ...], p: int, now: int, plan: Plan) -> None:
        """A read of memory that is a device's; a row when the device is the local APIC."""
        if words[p] >> 12 == APIC_PAGE:
            self._row(now, Kind.APIC_ACCESS, self._current, words[p] & 0xFFF, -1)

    def _iomem_write(self, words: tuple[int, ...], p: int, now: int, plan: Plan) -> None:
        """The write of a memory-mapped APIC's EOI register, at its usual address."""
        if words[p] >> 12 == APIC_PAGE:
            value = words[p + 1] if plan.size == plan.first + 2 else -1
            self._row(now, Kind.APIC_ACCESS, self._current, (words[p] & 0xFFF) + WRITTEN, value)
        if words[p] == LAPIC_EOI:
            self._eoi(words, p, now, plan)

    def _eoi(self, words: tuple[int, ...], p: int, now: int, plan: Plan) -> None:
        self._row(now, Kind.IRQ_EOI, self._current, -1, 1)

    def _lost(self, words: tuple[int, ...], p: int, now: int, plan: Plan) -> None:
        """Records were lost: from the first loss on this pCPU is unknown, and known again where this record stands."""
        reader, count = self.shared.reader, words[p]
        first = words[p + 2] | words[p + 3] << 32
        began = (first - self.shared.origin) * PS_PER_S // reader.clock_hz
        began = min(max(began, self.last_ps), now)
        reader.lost_events += count
        reader.lost_intervals += 1
        self._row(began, LOST, -1, count, now)
        self._current = self.shared.vcpu(words[p + 1] & 0xFFFF, words[p + 1] >> 16)
        self._row(now, LOST, self._current, -1, 0)
