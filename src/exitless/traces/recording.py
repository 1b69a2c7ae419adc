"""Turns what a reader hands out into a record, so that every study and view of simulations works on recordings."""

from collections.abc import Callable
from pathlib import Path
from typing import Final

from exitless.record.block import Header, Record
from exitless.traces.reader import LOST, Reader, Row, open_reader
from exitless.vocab.kinds import Kind, Owner, RunState

NAMES_VCPUS: Final = (Kind.SCHED_SWITCH,)


class Maker:
    """Puts rows into a record and adds what follows from them: who owns a pCPU, and that a vCPU has moved.

    Shapes: ``on`` is the pCPU each vCPU ran on last, ``injected`` the vector in its entry-injection field (-1: none),
    ``enters`` the vCPUs that run by VM entry; ``unsure`` the rows that gave a pCPU to a vCPU not known to do so.
    """

    def __init__(self, reader: Reader) -> None:
        self.reader = reader
        self.record = Record(Header())
        self.owner: dict[int, int] = {}
        self.on: dict[int, int] = {}
        self.injected: dict[int, int] = {}
        self.enters: set[int] = set()
        self.unsure: dict[int, list[int]] = {}
        self.exits: set[int] = set()

    def owns(self, time: int, pcpu: int, owner: int, why: int) -> bool:
        """Record that another owner runs on a pCPU, if it is another; tells whether it is."""
        if self.owner.get(pcpu) == owner:
            return False
        self.owner[pcpu] = owner
        self.record.add(time, Kind.CPU_OWNER, pcpu, -1, owner, why)
        return True

    def row(self, row: Row) -> None:
        """Add one row with what follows from it."""
        time, kind, pcpu, vcpu, a, b = row
        if kind == Kind.VM_ENTRY:
            self.runs_by_entry(pcpu, vcpu)
            a = self.injected.pop(vcpu, -1) if a < 0 else a
        elif kind == Kind.VM_EXIT:
            self.exits.add(a)
            self.runs_by_entry(pcpu, vcpu)
        elif kind in (Kind.IRQ_INJECT, Kind.IRQ_REINJECT):
            self.injected[vcpu] = a
        elif kind == Kind.RUNSTATE and b == RunState.RUNNING:
            self.runs(time, pcpu, vcpu)
        elif kind == Kind.CPU_OWNER:
            self.owns(time, pcpu, a, b)
            return
        if kind == LOST:
            if a < 0 <= vcpu:
                self.on[vcpu] = pcpu
            return
        if kind != Kind.RUNSTATE or vcpu >= 0:
            self.record.add(time, kind, pcpu, vcpu, a, b)
        if kind == Kind.VM_ENTRY:
            self.owns(time, pcpu, Owner.GUEST, 0)
        elif kind == Kind.VM_EXIT:
            self.owns(time, pcpu, Owner.XEN, a + 1)

    def runs(self, time: int, pcpu: int, vcpu: int) -> None:
        """A vCPU starts to run; one that runs by VM entry leaves the pCPU to the hypervisor until then."""
        if vcpu < 0:
            self.owns(time, pcpu, Owner.IDLE, 0)
            return
        before = self.on.get(vcpu, pcpu)
        self.on[vcpu] = pcpu
        if before != pcpu:
            self.record.add(time, Kind.VCPU_MOVE, pcpu, vcpu, before, pcpu)
        if self.reader.vcpus[vcpu].dom0:
            self.owns(time, pcpu, Owner.DOM0, 0)
        elif vcpu in self.enters:
            self.owns(time, pcpu, Owner.XEN, 0)
        elif self.owns(time, pcpu, Owner.GUEST, 0):
            self.unsure.setdefault(vcpu, []).append(len(self.record) - 1)

    def runs_by_entry(self, pcpu: int, vcpu: int) -> None:
        """A vCPU proves to run by VM entry: what it got before belonged to the hypervisor until its first entry."""
        if vcpu in self.enters:
            return
        self.enters.add(vcpu)
        for n in self.unsure.pop(vcpu, []):
            self.record.a[n] = Owner.XEN
            self.owner[pcpu] = Owner.XEN

    def sort_vcpus(self) -> list[int]:
        """Number the vCPUs by machine and number in place of the order they were met in; returns the old places."""
        vcpus = self.reader.vcpus
        order = sorted(range(len(vcpus)), key=lambda n: (len(vcpus[n].vm), vcpus[n].vm, vcpus[n].number))
        place = {old: new for new, old in enumerate(order)}
        place[-1] = -1
        record = self.record
        for n, where in enumerate(record.where):
            kind = where & 65535
            record.where[n] = (where & 0xFFFFFFFF) + (place[(where >> 32) - 1] + 1 << 32)
            if kind in NAMES_VCPUS:
                record.a[n], record.b[n] = place[record.a[n]], place[record.b[n]]
        return order


def record_of(reader: Reader, tick: Callable[[int], None] | None = None) -> Record:
    """Read a recording to its end into a record; ``tick`` is told how many bytes are behind it. Errors: TraceError."""
    maker = Maker(reader)
    if tick is not None:
        reader.tick = tick
    for rows in reader.rows():
        for row in rows:
            maker.row(row)
    order = maker.sort_vcpus()
    record = maker.record
    vcpus = [reader.vcpus[n] for n in order]
    record.header = Header(
        title=Path(reader.source.name).name,
        origin=f"recorded ({reader.format}; clock {reader.clock} {reader.clock_origin})",
        length_ps=reader.duration_ps,
        pcpus=reader.pcpus,
        vcpus=[v.name() for v in vcpus],
        owners=[Owner.DOM0 if v.dom0 else Owner.GUEST for v in vcpus],
        exits={code: reader.exit_name(code) for code in sorted(maker.exits)},
        clock_hz=reader.clock_hz,
    )
    return record


def to_record(path: str, clock_hz: int = 0) -> Record:
    """Read any recording there is a reader for into a record; ``clock_hz`` as for a reader. Errors: TraceError."""
    with open_reader(path, clock_hz) as reader:
        return record_of(reader)
