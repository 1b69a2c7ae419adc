"""The reference workload of exitless.sim.reference as SimPy processes, the way SimPy's own guide writes such a model.

The workload is specified in the docstring of ``src/exitless/sim/reference.py``; this file follows it to the letter and
uses nothing of the package. A queue, a timer, the host's tick, a notification on its way and the virtual processor are
processes; the hardware acts on the APIC's state at once, and interrupts the processor's process with what it has to do.

Usage: ``python reference_simpy.py SEED HORIZON_PS RECORDING [rows]``. Prints one JSON object: CPU time of the run
alone in ns, counters, hash, rows; with ``rows`` every row goes to standard error as ``time kind a b``.
"""

import json
import sys
import time
from collections.abc import Generator

import simpy

MASK = 0xFFFFFFFF
TIMER_VECTOR = 0xEC
SOURCE_ASSERT, PID_POST, PID_PROCESS, PIR_SYNC, VM_EXIT, VM_ENTRY, IRQ_DELIVER, IRQ_EOI, STEP = (
    1, 7, 8, 9, 16, 17, 20, 21, 64,
)  # fmt: skip
EXTERNAL_INTERRUPT, EOI_INDUCED = 1, 45
COUNTERS = (
    "packets", "coalesced", "notifications", "processed", "found_root", "delivered", "preempted", "eois", "eoi_exits",
    "tick_exits", "entries", "synced", "raised",
)  # fmt: skip

Process = Generator[simpy.Event, object, None]


def stream(seed: int, number: int) -> Generator[int, None, None]:
    """Draw 32-bit words from one source."""
    x = ((seed & 0xFFFFFF) * 1000003 + (number + 1) * 747796405) & MASK or 1
    while True:
        x ^= x << 13 & MASK
        x ^= x >> 17
        x ^= x << 5 & MASK
        yield x


class Apic:
    """The virtual APIC and the posted-interrupt descriptor; 256-bit registers are integers."""

    def __init__(self) -> None:
        self.pir = self.virr = self.visr = 0
        self.on = self.recognized = False
        self.rvi = self.svi = self.vtpr = self.vppr = 0
        self.eoi_exit = 1 << 0xA1 | 1 << TIMER_VECTOR

    def evaluate(self) -> None:
        """Compare the classes of RVI and VPPR."""
        self.recognized = self.rvi >> 4 > self.vppr >> 4

    def virtualize_ppr(self) -> None:
        """Compute VPPR."""
        self.vppr = self.vtpr if self.vtpr >> 4 >= self.svi >> 4 else self.svi & 0xF0

    def take_pir(self) -> int:
        """Move PIR to VIRR."""
        top = max(self.pir.bit_length() - 1, 0)
        self.on = False
        self.virr |= self.pir
        self.pir = 0
        self.rvi = max(self.rvi, top)
        return top

    def deliver(self) -> int:
        """Deliver the interrupt in RVI."""
        vector = self.svi = self.rvi
        self.visr |= 1 << vector
        self.vppr = vector & 0xF0
        self.virr &= ~(1 << vector)
        self.rvi = max(self.virr.bit_length() - 1, 0)
        self.recognized = False
        return vector

    def eoi(self) -> bool:
        """End the interrupt in SVI; tell whether that exits."""
        vector = self.svi
        self.visr &= ~(1 << vector)
        self.svi = max(self.visr.bit_length() - 1, 0)
        self.virtualize_ppr()
        if self.eoi_exit >> vector & 1:
            return True
        self.evaluate()
        return False


class Model:
    """The processes and what they share."""

    def __init__(self, seed: int, recording: bool) -> None:
        self.env = simpy.Environment()
        self.apic = Apic()
        self.recording = recording
        self.rows: list[tuple[int, int, int, int]] = []
        self.counters = dict.fromkeys(COUNTERS, 0)
        self.hash = 0
        self.lengths, self.tasks = stream(seed, 4), stream(seed, 5)
        self.in_guest, self.lower_due = True, False
        self.suspended: list[int] = []
        for q in range(4):
            self.env.process(self.queue(0x41 + 0x20 * q, stream(seed, q)))
        self.env.process(self.timer())
        self.env.process(self.tick())
        self.processor = self.env.process(self.run_processor())

    def row(self, kind: int, a: int) -> None:
        """Record one row."""
        if self.recording:
            apic = self.apic
            self.rows.append((self.env.now, kind, a, apic.rvi | apic.svi << 8 | apic.vppr << 16))

    def queue(self, vector: int, draws: Generator[int, None, None]) -> Process:
        """Packets arrive."""
        while True:
            x = next(draws)
            yield self.env.timeout((256 + (x & 32767) + (x >> 16 & 8191)) * 1000)
            self.counters["packets"] += 1
            self.row(SOURCE_ASSERT, vector)
            self.env.process(self.message(vector))

    def message(self, vector: int) -> Process:
        """One message travels, and posts; its notification travels."""
        yield self.env.timeout(300_000)
        yield from self.post(vector)

    def timer(self) -> Process:
        """The guest's timer expires."""
        while True:
            yield self.env.timeout(250_000_000)
            self.env.process(self.post(TIMER_VECTOR))

    def tick(self) -> Process:
        """The host's timer expires."""
        yield self.env.timeout(125_000_000)
        while True:
            if self.in_guest:
                self.processor.interrupt(EXTERNAL_INTERRUPT)
            yield self.env.timeout(250_000_000)

    def post(self, vector: int) -> Process:
        """A vector is posted; whoever set ON notifies."""
        apic = self.apic
        if apic.pir >> vector & 1:
            self.counters["coalesced"] += 1
        apic.pir |= 1 << vector
        self.row(PID_POST, vector)
        if apic.on:
            return
        apic.on = True
        self.counters["notifications"] += 1
        yield self.env.timeout(180_000)
        if not self.in_guest:
            self.counters["found_root"] += 1
            return
        self.counters["processed"] += 1
        top = apic.take_pir()
        apic.evaluate()
        self.row(PID_PROCESS, top)
        if apic.recognized:
            self.processor.interrupt(None)

    def lowering(self, delay: int) -> Process:
        """The guest lowers its task priority after a while."""
        yield self.env.timeout(delay)
        if self.in_guest:
            self.lower()
            if self.apic.recognized:
                self.processor.interrupt(None)
        else:
            self.lower_due = True

    def lower(self) -> None:
        """VTPR becomes 0."""
        self.apic.vtpr = 0
        self.apic.virtualize_ppr()
        self.apic.evaluate()
        self.row(STEP, 0)

    def run_processor(self) -> Process:
        """The virtual processor: base code, handlers one above the other, and root operation."""
        env, left, never = self.env, self.suspended, self.env.event()
        while True:
            began = env.now
            try:
                if left:
                    yield env.timeout(left[-1])
                    left.pop()
                    exits = self.end_handler()
                else:
                    yield never
                    exits = None
            except simpy.Interrupt as interrupt:
                if left:
                    left[-1] -= env.now - began
                exits = interrupt.cause
                if exits == EXTERNAL_INTERRUPT:
                    self.counters["tick_exits"] += 1
                else:
                    self.deliver()
            if exits is not None:
                self.in_guest = False
                self.row(VM_EXIT, exits)
                yield env.timeout(1_200_000)
                self.enter()

    def deliver(self) -> None:
        """A handler begins above whatever was under way."""
        vector, now = self.apic.deliver(), self.env.now
        if self.suspended:
            self.counters["preempted"] += 1
        self.counters["delivered"] += 1
        self.hash = ((self.hash ^ now & MASK) * 16777619 + (now >> 32) * 256 + vector) & MASK
        self.row(IRQ_DELIVER, vector)
        self.suspended.append((600 + (next(self.lengths) & 1023)) * 1000)

    def end_handler(self) -> int | None:
        """The handler writes EOI. Returns: the reason when that exits."""
        apic = self.apic
        vector = apic.svi
        exits = apic.eoi()
        self.counters["eois"] += 1
        self.row(IRQ_EOI, vector)
        if exits:
            self.counters["eoi_exits"] += 1
            return EOI_INDUCED
        if apic.recognized:
            self.deliver()
            return None
        x = next(self.tasks)
        if x & 63 == 0 and apic.vtpr == 0:
            self.counters["raised"] += 1
            apic.vtpr = 0x40 + 0x20 * (x >> 8 & 3)
            apic.virtualize_ppr()
            apic.evaluate()
            self.row(STEP, apic.vtpr)
            self.env.process(self.lowering((2000 + (x >> 16 & 4095)) * 1000))
        return None

    def enter(self) -> None:
        """VM entry, with what was posted meanwhile."""
        apic = self.apic
        self.in_guest = True
        self.counters["entries"] += 1
        if apic.on:
            self.counters["synced"] += 1
            apic.take_pir()
            self.row(PIR_SYNC, 1)
        apic.virtualize_ppr()
        apic.evaluate()
        self.row(VM_ENTRY, 0)
        if apic.recognized:
            self.deliver()
        if self.lower_due:
            self.lower_due = False
            self.lower()
            if apic.recognized:
                self.deliver()


def main() -> None:
    """Run once and print what came out."""
    seed, horizon, recording = int(sys.argv[1]), int(sys.argv[2]), sys.argv[3] != "0"
    model = Model(seed, recording)
    began = time.process_time_ns()
    model.env.run(until=horizon)
    took = time.process_time_ns() - began
    if "rows" in sys.argv[4:]:
        sys.stderr.writelines(f"{t} {kind} {a} {b}\n" for t, kind, a, b in model.rows)
    out = {"cpu_ns": took, "hash": model.hash, "rows": len(model.rows), "counters": list(model.counters.values())}
    print(json.dumps(out))


if __name__ == "__main__":
    main()
