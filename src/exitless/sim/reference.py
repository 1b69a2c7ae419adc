"""The reference workload of the speed measurements: one virtual processor under posted interrupts, busy all the time.

The rules, the calendar and the recorder are the package's own. ``bench/reference.c`` and ``bench/reference_simpy.py``
do the same work by hand; all three follow this text to the letter. Times are ns here and in the two scripts, ps inside.

**Sources.** Each source k draws from its own xorshift32 stream (shifts 13, 17, 5). Its state before the first draw is
``((seed mod 2**24) * 1000003 + (k + 1) * 747796405) mod 2**32``, or 1 where that is 0. Streams 0 to 3 belong to the
NIC's queues (vectors 41H, 61H, 81H, A1H), stream 4 to the length of handlers, stream 5 to the guest's task priority.

**Entries of the calendar.** Equal times leave in the order of pushing. At the start: the first packet of queue 0, 1, 2
and 3, after one interval each; the guest timer at 250,000; the host tick at 125,000.

- *packet q*: row source.assert; the next packet of q follows after an interval; its message arrives after 300. Pushed
  in this order. An interval is 256 + (draw mod 2**15) + (draw / 2**16 mod 2**13).
- *message q*: post the queue's vector.
- *timer*: the next follows after 250,000; then post ECH.
- *post v*: set the PIR bit (``coalesced`` counts bits already set); row pid.post; where ON was clear it is set now, and
  a notification arrives after 180.
- *notification*: in root operation it finds nothing to do. In the guest ON is cleared, PIR moves to VIRR, RVI rises,
  pending interrupts are evaluated, row pid.process; what is recognized is delivered.
- *tick*: the next follows after 250,000; the guest exits if it runs.
- *handler over*: an EOI, if the handler is still the one it was pushed for (see below).
- *entry*: row pir.sync if ON was set: ON is cleared, PIR moves to VIRR, RVI rises. VPPR and recognition follow, row
  vm.entry. What is recognized is delivered; otherwise the handler under way goes on. A lowering that is due is done.
- *lower*: the guest's VTPR becomes 0 at once, or right after the next entry.

**Delivery.** The rule's changes; row irq.deliver; time and vector go into the hash. A handler under way is suspended
with the time it has left. The new one takes 600 + (draw mod 1,024); its end is pushed.
**EOI.** The rule's changes; row irq.eoi. A vector in the EOI-exit bitmap (A1H and ECH are) exits. Otherwise, if an
interrupt is recognized it is delivered. Otherwise the guest draws from stream 5, and the suspended handler, if any,
goes on: its end is pushed anew. Then, if draw mod 64 is 0 and VTPR is 0, the guest sets VTPR to
40H + 20H * (draw / 256 mod 4), row step, and *lower* is pushed at 2,000 + (draw / 65,536 mod 4,096) from now.
**Lowering.** VTPR becomes 0 with TPR virtualization, row step; what is recognized is delivered.
**Exit.** A handler under way is suspended, row vm.exit, and *entry* is pushed 1,200 later. Suspending, delivering and
exiting make every earlier *handler over* void.

**Rows.** All have pCPU 0, vCPU 0, ``a`` the vector (VTPR's new value for a step; ON before for pir.sync; exit reason
for vm.exit; 0 for vm.entry), ``b`` RVI + 256 * SVI + 65,536 * VPPR after the change.
**Hash.** ``h`` is 0 at first; at a delivery at time t (ps) of vector v, modulo 2**32,
``h = (h xor (t mod 2**32)) * 16777619 + (t / 2**32) * 256 + v``.
A run to a horizon takes all entries before it, and none at it.
"""

from typing import Final

from librt.vecs import vec
from mypy_extensions import i64

from exitless.arch.vmx.controls import Controls
from exitless.arch.vmx.eoi import eoi_virtualization, set_eoi_exit
from exitless.arch.vmx.evaluate import deliver_virtual_interrupt, evaluate_pending
from exitless.arch.vmx.injection import load_at_entry
from exitless.arch.vmx.posted import (
    PostedDescriptor,
    claim_notification,
    clear_outstanding,
    raise_rvi,
    set_pir,
    take_pir,
)
from exitless.arch.vmx.priority import tpr_virtualization
from exitless.arch.vmx.virtual_apic import Reg, VirtualApic
from exitless.bits.words import zeros
from exitless.record.columns import Columns
from exitless.sim.calendar import Calendar
from exitless.vocab.exits import Exit
from exitless.vocab.kinds import Kind

TIMER_VECTOR: Final = 236
QUEUES: Final = 4
DEPTH: Final = 16

COUNTERS: Final = [
    "packets",
    "coalesced",
    "notifications",
    "processed",
    "found_root",
    "delivered",
    "preempted",
    "eois",
    "eoi_exits",
    "tick_exits",
    "entries",
    "synced",
    "raised",
]


class Entry:
    """Numbers of calendar entries; ``x`` is the queue, ``y`` the generation of a handler's end."""

    PACKET: Final = 1
    MESSAGE: Final = 2
    NOTIFICATION: Final = 3
    HANDLER_OVER: Final = 4
    ENTRY: Final = 5
    TIMER: Final = 6
    TICK: Final = 7
    LOWER: Final = 8


class Span:
    """Fixed times. Units: ps."""

    MESSAGE: Final = 300000
    NOTIFICATION: Final = 180000
    EXIT: Final = 1200000
    PERIOD: Final = 250000000
    FIRST_TICK: Final = 125000000


class XorShift:
    """One source's draws."""

    def __init__(self, seed: i64, stream: i64) -> None:
        state: i64 = ((seed & 16777215) * 1000003 + (stream + 1) * 747796405) & 4294967295
        if state == 0:
            state = 1
        self.state: i64 = state

    def draw(self) -> i64:
        """Return the next 32-bit word."""
        x: i64 = self.state
        x ^= (x << 13) & 4294967295
        x ^= x >> 17
        x ^= (x << 5) & 4294967295
        self.state = x
        return x

    def interval(self) -> i64:
        """Return the time between two packets. Units: ps."""
        x: i64 = self.draw()
        return (256 + (x & 32767) + ((x >> 16) & 8191)) * 1000


class Reference:
    """The workload, ready to run. ``recording`` is 1 when rows go to ``columns``. Units: ps.

    Shapes: ``vectors`` one a queue; ``left`` the time that each suspended handler still needs, by depth.
    """

    def __init__(self, seed: i64, columns: Columns, recording: i64) -> None:
        self.columns: Columns = columns
        self.recording: i64 = recording
        self.calendar: Calendar = Calendar(64)
        self.vapic: VirtualApic = VirtualApic()
        self.pid: PostedDescriptor = PostedDescriptor()
        self.controls: Controls = Controls()
        self.controls.use_tpr_shadow = 1
        self.controls.virtual_interrupt_delivery = 1
        self.controls.process_posted_interrupts = 1
        self.streams: list[XorShift] = []
        self.lengths: XorShift = XorShift(seed, QUEUES)
        self.tasks: XorShift = XorShift(seed, QUEUES + 1)
        self.vectors: vec[i64] = zeros(QUEUES)
        self.left: vec[i64] = zeros(DEPTH)
        self.now: i64 = 0
        self.in_guest: i64 = 1
        self.depth: i64 = 0
        self.over_at: i64 = 0
        self.generation: i64 = 0
        self.lower_due: i64 = 0
        self.hash: i64 = 0
        self.events: i64 = 0
        self.packets: i64 = 0
        self.coalesced: i64 = 0
        self.notifications: i64 = 0
        self.processed: i64 = 0
        self.found_root: i64 = 0
        self.delivered: i64 = 0
        self.preempted: i64 = 0
        self.eois: i64 = 0
        self.eoi_exits: i64 = 0
        self.tick_exits: i64 = 0
        self.entries: i64 = 0
        self.synced: i64 = 0
        self.raised: i64 = 0
        self._start(seed)

    def _start(self, seed: i64) -> None:
        q: i64 = 0
        while q < QUEUES:
            stream: XorShift = XorShift(seed, q)
            self.streams.append(stream)
            self.vectors[q] = 65 + 32 * q
            self.calendar.push(stream.interval(), Entry.PACKET, q, 0)
            q += 1
        set_eoi_exit(self.vapic, 161, True)
        set_eoi_exit(self.vapic, TIMER_VECTOR, True)
        self.calendar.push(Span.PERIOD, Entry.TIMER, 0, 0)
        self.calendar.push(Span.FIRST_TICK, Entry.TICK, 0, 0)

    def counters(self) -> list[int]:
        """Return the counters in the order of :data:`COUNTERS`."""
        return [
            int(self.packets),
            int(self.coalesced),
            int(self.notifications),
            int(self.processed),
            int(self.found_root),
            int(self.delivered),
            int(self.preempted),
            int(self.eois),
            int(self.eoi_exits),
            int(self.tick_exits),
            int(self.entries),
            int(self.synced),
            int(self.raised),
        ]

    def run(self, horizon: i64) -> None:
        """Let everything happen before ``horizon``."""
        calendar: Calendar = self.calendar
        while calendar.next_time() < horizon:
            calendar.pop()
            self.events += 1
            self.now = calendar.now
            self._happen(calendar.event, calendar.x, calendar.y)

    def _happen(self, entry: i64, queue: i64, generation: i64) -> None:
        if entry == Entry.PACKET:
            self._packet(queue)
        elif entry == Entry.MESSAGE:
            self._post(self.vectors[queue])
        elif entry == Entry.NOTIFICATION:
            self._notification()
        elif entry == Entry.HANDLER_OVER:
            if generation == self.generation:
                self._handler_over()
        elif entry == Entry.ENTRY:
            self._enter()
        elif entry == Entry.TIMER:
            self.calendar.push(self.now + Span.PERIOD, Entry.TIMER, 0, 0)
            self._post(TIMER_VECTOR)
        elif entry == Entry.TICK:
            self.calendar.push(self.now + Span.PERIOD, Entry.TICK, 0, 0)
            if self.in_guest != 0:
                self.tick_exits += 1
                self._suspend()
                self._exit(Exit.EXTERNAL_INTERRUPT)
        elif self.in_guest != 0:
            self._lower()
        else:
            self.lower_due = 1

    def _row(self, kind: i64, a: i64) -> None:
        if self.recording != 0:
            vapic: VirtualApic = self.vapic
            self.columns.row(self.now, kind, 0, 0, a, vapic.rvi + vapic.svi * 256 + vapic.page[Reg.VPPR] * 65536)

    def _packet(self, queue: i64) -> None:
        calendar: Calendar = self.calendar
        self.packets += 1
        self._row(Kind.SOURCE_ASSERT, self.vectors[queue])
        calendar.push(self.now + self.streams[queue].interval(), Entry.PACKET, queue, 0)
        calendar.push(self.now + Span.MESSAGE, Entry.MESSAGE, queue, 0)

    def _post(self, vector: i64) -> None:
        if set_pir(self.pid, vector):
            self.coalesced += 1
        self._row(Kind.PID_POST, vector)
        if claim_notification(self.pid):
            self.notifications += 1
            self.calendar.push(self.now + Span.NOTIFICATION, Entry.NOTIFICATION, 0, 0)

    def _notification(self) -> None:
        if self.in_guest == 0:
            self.found_root += 1
            return
        vapic: VirtualApic = self.vapic
        self.processed += 1
        clear_outstanding(self.pid)
        top: i64 = take_pir(self.pid, vapic)
        raise_rvi(vapic, top)
        evaluate_pending(vapic)
        self._row(Kind.PID_PROCESS, top)
        if vapic.recognized != 0:
            self._suspend()
            self._deliver()

    def _suspend(self) -> None:
        """The handler under way, if any, stops; what it has left is kept."""
        if self.depth > 0:
            self.left[self.depth - 1] = self.over_at - self.now
            self.generation += 1

    def _resume(self) -> None:
        """The handler that was suspended last, if any, goes on."""
        if self.depth > 0:
            self._plan(self.left[self.depth - 1])

    def _plan(self, length: i64) -> None:
        self.generation += 1
        self.over_at = self.now + length
        self.calendar.push(self.over_at, Entry.HANDLER_OVER, 0, self.generation)

    def _deliver(self) -> None:
        vector: i64 = deliver_virtual_interrupt(self.vapic)
        now: i64 = self.now
        if self.depth > 0:
            self.preempted += 1
        self.depth += 1
        self.delivered += 1
        self.hash = ((self.hash ^ (now & 4294967295)) * 16777619 + (now >> 32) * 256 + vector) & 4294967295
        self._row(Kind.IRQ_DELIVER, vector)
        self._plan((600 + (self.lengths.draw() & 1023)) * 1000)

    def _handler_over(self) -> None:
        vapic: VirtualApic = self.vapic
        vector: i64 = vapic.svi
        exit: i64 = eoi_virtualization(vapic)
        self.depth -= 1
        self.eois += 1
        self._row(Kind.IRQ_EOI, vector)
        if exit != Exit.NONE:
            self.eoi_exits += 1
            self._exit(exit)
        elif vapic.recognized != 0:
            self._deliver()
        else:
            draw: i64 = self.tasks.draw()
            self._resume()
            if draw & 63 == 0 and vapic.page[Reg.VTPR] == 0:
                self._raise(64 + 32 * ((draw >> 8) & 3), 2000 + ((draw >> 16) & 4095))

    def _raise(self, vtpr: i64, length: i64) -> None:
        """The guest raises its task priority for ``length`` ns."""
        self.raised += 1
        self.vapic.page[Reg.VTPR] = vtpr
        tpr_virtualization(self.vapic, self.controls)
        self._row(Kind.STEP, vtpr)
        self.calendar.push(self.now + length * 1000, Entry.LOWER, 0, 0)

    def _lower(self) -> None:
        self.vapic.page[Reg.VTPR] = 0
        tpr_virtualization(self.vapic, self.controls)
        self._row(Kind.STEP, 0)
        if self.vapic.recognized != 0:
            self._suspend()
            self._deliver()

    def _exit(self, reason: i64) -> None:
        self.in_guest = 0
        self._row(Kind.VM_EXIT, reason)
        self.calendar.push(self.now + Span.EXIT, Entry.ENTRY, 0, 0)

    def _enter(self) -> None:
        vapic: VirtualApic = self.vapic
        self.in_guest = 1
        self.entries += 1
        if clear_outstanding(self.pid):
            self.synced += 1
            raise_rvi(vapic, take_pir(self.pid, vapic))
            self._row(Kind.PIR_SYNC, 1)
        load_at_entry(vapic)
        self._row(Kind.VM_ENTRY, 0)
        if vapic.recognized != 0:
            self._deliver()
        else:
            self._resume()
        if self.lower_due != 0:
            self.lower_due = 0
            self._lower()


def apply_rules(rounds: i64) -> i64:
    """Take one vector after another, 16 to 255, through six rules; returns the sum of the vectors delivered.

    The rules are: post, take PIR, raise RVI, evaluate, deliver, EOI. (For measuring rules alone, without a calendar.)
    """
    vapic: VirtualApic = VirtualApic()
    pid: PostedDescriptor = PostedDescriptor()
    vector: i64 = 16
    total: i64 = 0
    n: i64 = 0
    while n < rounds:
        set_pir(pid, vector)
        raise_rvi(vapic, take_pir(pid, vapic))
        evaluate_pending(vapic)
        total += deliver_virtual_interrupt(vapic)
        eoi_virtualization(vapic)
        vector += 1
        if vector == 256:
            vector = 16
        n += 1
    return total
