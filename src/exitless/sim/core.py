"""The simulator's ground: time, charging, messages between local APICs, and interrupt sources."""

from typing import Final

from librt.vecs import vec
from mypy_extensions import i64

from exitless.arch.outcome import Accept
from exitless.arch.vtd.post import post
from exitless.arch.vtd.remap import Remapper, Translation, Verdict, translate
from exitless.arch.x86.lapic import accept
from exitless.arch.x86.message import remappable_address
from exitless.arch.xen.vectors import VECTORS, VectorTable
from exitless.bits.words import zeros
from exitless.errors import Impossible
from exitless.mech.procedures.assist import Assist
from exitless.record.columns import Columns
from exitless.record.sinks import Sink
from exitless.sim.calendar import Calendar
from exitless.sim.costs import Cost
from exitless.sim.state import Domain, Event, Irq, Pcpu, Source, Vcpu
from exitless.vocab.kinds import Kind

GENERATIONS: Final = 1073741823


class Core:
    """State of a host and the primitives every floor above uses.

    ``costs`` holds ps a step, by :class:`~exitless.sim.costs.Cost`. ``spent`` is what the effect under way has
    charged so far: the next phase of that pCPU begins that much later. ``leaving`` is the pCPU for which all of them
    stop because it goes offline, -1 for none.
    """

    def __init__(self, pcpus: i64, sinks: list[Sink]) -> None:
        self.calendar: Calendar = Calendar(1024)
        self.now: i64 = 0
        self.spent: i64 = 0
        self.columns: Columns = Columns(sinks)
        self.costs: vec[i64] = zeros(Cost.COUNT)
        self.pcpus: list[Pcpu] = []
        self.vcpus: list[Vcpu] = []
        self.domains: list[Domain] = []
        self.sources: list[Source] = []
        self.irqs: list[Irq] = []
        self.vectors: VectorTable = VectorTable(pcpus)
        self.remapper: Remapper = Remapper()
        self.translation: Translation = Translation()
        self.assist: Assist = Assist()
        self.posted_vector: i64 = 0
        self.wakeup_vector: i64 = 0
        self.rescan_pir: i64 = 1
        self.suppressed_posts: i64 = 0
        self.idle_polls: i64 = 1
        self.leaving: i64 = -1
        self.assist_while_blocked: i64 = 0
        i: i64 = 0
        while i < pcpus:
            self.pcpus.append(Pcpu(i))
            i += 1

    def place(self, irq: Irq, pcpu: i64, vector: i64) -> None:
        """An interrupt has this vector of this pCPU, because a scenario says so or a guest knows it by that number."""
        self.vectors.owner[pcpu * VECTORS + vector] = irq.number
        irq.vector = vector
        irq.pcpu = pcpu

    def row(self, kind: i64, pcpu: i64, vcpu: i64, a: i64, b: i64) -> None:
        """Record one row at the present moment."""
        self.columns.row(self.now + self.spent, kind, pcpu, vcpu, a, b)

    def charge(self, pcpu: Pcpu, cost: i64) -> None:
        """Let one named step take its time on a pCPU."""
        ps: i64 = self.costs[cost]
        self.columns.row(self.now + self.spent, Kind.STEP, pcpu.number, pcpu.current, cost, ps)
        self.spent += ps

    def begin(self, pcpu: Pcpu, phase: i64, argument: i64) -> None:
        """Start a phase that lasts as long as what has been charged, and forget what was planned before."""
        pcpu.phase = phase
        pcpu.argument = argument
        pcpu.generation = (pcpu.generation + 1) & GENERATIONS
        self.calendar.push(self.now + self.spent, Event.STEP, pcpu.number, pcpu.generation)
        self.spent = 0

    def send(self, destination: i64, vector: i64, delay: i64) -> None:
        """Put an interrupt message on its way to a local APIC."""
        self.calendar.push(self.now + self.spent + delay, Event.MESSAGE, destination, vector)

    def send_ipi(self, pcpu: Pcpu, destination: i64, vector: i64) -> None:
        """A pCPU sends an interprocessor interrupt."""
        self.charge(pcpu, Cost.IPI_SEND)
        self.row(Kind.IPI_SEND, pcpu.number, pcpu.current, vector, destination)
        self.send(destination, vector, self.costs[Cost.IPI_FLIGHT])

    def assert_source(self, source: Source) -> bool:
        """A source asserts. Returns: whether this is a new interrupt; otherwise it merged with an earlier one."""
        source.serial += 1
        self.row(Kind.SOURCE_ASSERT, -1, source.vcpu, source.number, source.serial)
        if source.outstanding != 0:
            source.merged += 1
            self.row(Kind.SOURCE_MERGE, -1, source.vcpu, source.number, source.serial)
            return False
        source.outstanding = source.serial
        return True

    def assert_msi(self, source: Source) -> None:
        """A device asserts and writes its message."""
        self.assert_source(source)
        self.send_msi(source)

    def send_msi(self, source: Source) -> None:
        """A device's message is on its way."""
        self.calendar.push(self.now + self.spent + self.costs[Cost.MSI_FLIGHT], Event.MSI, source.number, 0)

    def handle_source(self, source: Source, pcpu: i64) -> None:
        """The first instruction of the source's handler runs."""
        self.row(Kind.SOURCE_HANDLE, pcpu, source.vcpu, source.number, source.outstanding)
        if source.outstanding != 0:
            source.delivered += 1
            source.outstanding = 0

    def route_message(self, number: i64) -> None:
        """A device's message reaches the remapping unit, which translates or posts it."""
        source: Source = self.sources[number]
        out: Translation = self.translation
        translate(self.remapper, remappable_address(source.index), 0, 0, out)
        delay: i64 = self.costs[Cost.REMAP]
        if out.kind == Verdict.REMAPPED:
            self.row(Kind.MSI_ROUTE, out.destination, -1, source.index, out.vector)
            self.send(out.destination, out.vector, delay)
        elif out.kind == Verdict.POSTED:
            vcpu: Vcpu = self.vcpus[source.vcpu]
            self.row(Kind.MSI_ROUTE, -1, vcpu.number, source.index, -1)
            answer: i64 = post(vcpu.cpu.pid, out.vector, out.urgent)
            self.row(Kind.PID_POST, -1, vcpu.number, out.vector, answer)
            if answer & 4 != 0:
                self.suppressed_posts += 1
            if answer & 1 != 0:
                self.send(vcpu.cpu.pid.ndst, vcpu.cpu.pid.nv, self.costs[Cost.HWPOST])
        else:
            raise Impossible("a message of a configured source does not translate")

    def accept_message(self, pcpu: Pcpu, vector: i64) -> None:
        """A local APIC takes a message in."""
        answer: i64 = accept(pcpu.lapic, vector, 0)
        merged: i64 = 0
        if answer == Accept.MERGED:
            merged = 1
        self.row(Kind.LAPIC_ACCEPT, pcpu.number, -1, vector, merged)
