"""Reads Xen's binary trace, as ``xentrace`` writes it: windows of one pCPU's records, one after another.

The file has no header, names no clock frequency, and does not say in its HVM records whose they are: the vCPU is
followed through the scheduler's records of each pCPU. Words are little-endian, as on all hosts Xen traces on x86.
"""

import struct
from array import array
from collections import Counter
from collections.abc import Iterator
from typing import Final

from exitless.errors import TraceError
from exitless.record.block import Record
from exitless.record.columns import Columns
from exitless.traces.merge import Weave
from exitless.traces.opening import Source
from exitless.traces.reader import Reader, Vcpu, open_reader
from exitless.traces.recording import record_of
from exitless.traces.xen import CPU_CHANGE, event_name
from exitless.traces.xen_records import Window
from exitless.traces.xen_shared import Shared
from exitless.vocab.exits import VMX_NAMES
from exitless.vocab.svm_exits import SVM_NAMES

DEFAULT_HZ: Final = 2_400_000_000
LEAST_HZ: Final = 1_000
MOST_HZ: Final = 1_000_000_000_000
MARK: Final = struct.pack("<I", 0x2001F003)
MARK_BIG: Final = struct.pack(">I", 0x2001F003)
MOST_PCPUS: Final = 16_384
FAILED_ENTRY: Final = 0x80000000

# Control registers that exist: SVM has exit codes 0x00-0x0f for reads and 0x10-0x1f for writes of CR0-CR15.
CONTROL_REGISTERS: Final = (0, 2, 3, 4, 8)


def vendor_of(codes: dict[int, int], by_event: int) -> str:
    """Decide whose exit codes a recording holds, ``vmx`` or ``svm``.

    Xen has separate events for SVM's exits, but since 4.17 it writes the same event for both. Then the codes decide,
    each exit with one vote. A code that SVM defines and VMX does not (interrupts at 0x60, HLT at 0x78, nested page
    faults at 0x400) is SVM's. A code below 0x20 that would be, under SVM, an access to a control register that does
    not exist (1 external interrupt, 7 interrupt window, 12 HLT, 30 I/O) is VMX's. Without a majority: VMX.
    ``by_event`` counts exits that came by SVM's own event.
    """
    svm, vmx = by_event, 0
    for code, count in codes.items():
        if code in SVM_NAMES and code not in VMX_NAMES:
            svm += count
        elif code < 0x20 and code & 0xF not in CONTROL_REGISTERS:
            vmx += count
    return "svm" if svm > vmx else "vmx"


class Xentrace(Reader):
    """A recording by xentrace. Units: ``clock_hz`` is assumed to be 2.4 GHz unless it is given.

    With ``keeps`` set before the rows are read, ``of_pcpu`` holds the pCPUs' windows, whose ``places`` and ``slices``
    tell what rows have no column for.
    """

    format = "xentrace"
    what = "an xentrace recording (a CPU_CHANGE record: 03 f0 01 20)"
    wants_clock = True

    def __init__(self, source: Source, clock_hz: int = 0) -> None:
        super().__init__(source, clock_hz or DEFAULT_HZ)
        if not LEAST_HZ <= self.clock_hz <= MOST_HZ:
            raise TraceError(f"{source.name}: a clock of {clock_hz} Hz cannot be; expected 1 kHz to 1 THz")
        self.clock = "tsc"
        self.clock_origin = "given" if clock_hz else "assumed"
        self.size = source.size
        self.windows: dict[int, tuple[array[int], array[int]]] = {}
        self.keeps = False
        self.of_pcpu: dict[int, Window] = {}
        self.shared = Shared(source.name, self.clock_hz)
        self.vcpus = self.shared.vcpus
        self._scan()
        self.pcpus = max(self.windows, default=-1) + 1

    @classmethod
    def recognises(cls, head: bytes) -> bool:
        return head.startswith((MARK, MARK_BIG))

    def _scan(self) -> None:
        """Find every window by jumping from one CPU_CHANGE record to the next."""
        name, size, at = self.source.name, self.source.size, 0
        if self.source.head.startswith(MARK_BIG):
            raise TraceError(f"{name}: is an xentrace recording in big-endian words; expected little-endian ones")
        while at < size:
            head = self.source.read_at(at, 12)
            if len(head) < 12:
                self.problem(f"{name}: ends at offset {at + len(head)} within a CPU_CHANGE record of 12 bytes")
                break
            mark, cpu, length = struct.unpack("<3I", head)
            if mark != 0x2001F003 or cpu >= MOST_PCPUS or length % 4:
                self.problem(
                    f"{name}: at offset {at} expected a CPU_CHANGE record (03 f0 01 20, a pCPU below {MOST_PCPUS}, a "
                    f"size in words), found {head.hex(' ', 4)}; nothing from there on is used"
                )
                break
            have = min(length, size - at - 12)
            if have < length:
                self.problem(
                    f"{name}: the window of pCPU {cpu} at offset {at} should hold {length} bytes, but the file ends "
                    f"after {have}; the rest is missing"
                )
            starts, lengths = self.windows.setdefault(cpu, (array("Q"), array("Q")))
            starts.append(at + 12)
            lengths.append(have)
            at += 12 + have
        self.shared.count(CPU_CHANGE, sum(len(starts) for starts, _ in self.windows.values()))

    def blocks(self) -> Iterator[Columns]:
        """Hand out rows merged by time stamp; at equal stamps the lower pCPU comes first."""
        columns, shared = Columns([]), self.shared
        pcpus = [
            Window(shared, cpu, *self.windows[cpu], self._read, self.problem, columns, self.keeps)
            for cpu in sorted(self.windows)
        ]
        self.of_pcpu = {int(p.cpu): p for p in pcpus}
        shared.start(min((p.first_tsc for p in pcpus if p.first_tsc >= 0), default=0))
        for pcpu in pcpus:
            pcpu.step()
        weave = Weave(list(pcpus), columns)
        more = True
        while more:
            more = weave.fill()
            yield columns
            columns.fill = 0
        self._finish([int(p.last_ps) for p in pcpus])

    def _read(self, offset: int, count: int) -> bytes:
        """Read a part of a window."""
        data = self.source.read_at(offset, count)
        self.passed(len(data))
        return data

    def _finish(self, last_ps: list[int]) -> None:
        """Sum up what the pCPUs' windows held."""
        counts = self.shared.events()
        self.events = sum(counts.values())
        if self.events == sum(len(starts) for starts, _ in self.windows.values()):
            first = f": {self.problems[0].removeprefix(self.source.name + ': ')}" if self.problems else ""
            raise TraceError(f"{self.source.name}: holds no event in any window{first}; expected at least one record")
        self.kinds = {f"0x{event:08x}": count for event, count in sorted(counts.items())}
        self.names = {f"0x{event:08x}": event_name(event) for event in counts if event_name(event)}
        self.lost_events, self.lost_intervals = self.shared.lost_events, self.shared.lost_intervals
        self.duration_ps = max(last_ps, default=0)
        for sentence in self.shared.sentences():
            self.notes.append(sentence)

    def unread(self) -> Counter[str]:
        """Return the records whose event has no name here, or that are too short for their event."""
        out = Counter({f"0x{e:08x}": n for e, n in self.shared.events().items() if not event_name(e)})
        for event, count in self.shared.short.items():
            out[f"0x{event:08x} (too short)"] += count
        return out

    def vendor(self) -> str:
        """Say whose exits these are, ``vmx`` or ``svm``, judged by what has been read so far."""
        return vendor_of(self.shared.exits(), self.shared.svm_events())

    def exit_name(self, code: int) -> str:
        """Name an exit as Linux names it: by VMX's reason with its failed-entry flag, or by SVM's code."""
        if self.vendor() == "svm":
            return SVM_NAMES.get(code, f"0x{code:03x}")
        name = VMX_NAMES.get(code & 0xFFFF, f"0x{code & 0xFFFF:x}")
        return f"{name} FAILED_VMENTRY" if code & FAILED_ENTRY else name


def to_record(path: str, clock_hz: int = 0) -> Record:
    """Read an xentrace recording into a record. ``clock_hz`` 0: 2.4 GHz is assumed. Errors: TraceError."""
    with open_reader(path, clock_hz) as reader:
        if not isinstance(reader, Xentrace):
            raise TraceError(f"{path}: is {reader.what}; expected {Xentrace.what}")
        return record_of(reader)


__all__ = ["DEFAULT_HZ", "Vcpu", "Xentrace", "to_record", "vendor_of"]
