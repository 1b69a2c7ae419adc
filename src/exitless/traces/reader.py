"""What every reader of recordings offers, and which reader reads what.

A reader maps, it does not think: it says which kind of event each record is and counts what it does not know.
"""

import importlib
from collections import Counter
from collections.abc import Callable, Iterator
from typing import Final

from exitless.errors import TraceError
from exitless.record.columns import Columns, unpacked
from exitless.traces.opening import Source, open_source
from exitless.traces.threads import Vcpu
from exitless.vocab.hypercalls import hypercall_name

# A row of this kind is no event. ``a`` >= 0: what the pCPU did from now on was lost, ``a`` records of it (0: unknown),
# until ``b`` (ps). ``a`` = -1: the pCPU is seen again, and runs ``vcpu``.
LOST: Final = 0

MOST_PROBLEMS: Final = 20

# time_ps, kind, pcpu, vcpu, a, b: as in exitless.vocab.table; vcpu is a place in Reader.vcpus, -1 for none or unknown.
Row = tuple[int, int, int, int, int, int]

# Module and class of each reader, in the order in which they look at a recording's first bytes.
READERS: Final = (
    ("exitless.traces.trace_dat", "TraceDat"),
    ("exitless.traces.xentrace", "Xentrace"),
    ("exitless.traces.perf_data", "PerfData"),
    ("exitless.traces.ftrace_text", "FtraceText"),
    ("exitless.traces.perf_script", "PerfScript"),
)


class Reader:
    """One recording, open. What is counted is complete once :meth:`rows` has been read to its end.

    Shapes: ``kinds`` counts every record by the tracer's own name for its kind, ``names`` explains those names;
    ``problems`` are sentences about damage: with any of them the result is partial; ``notes`` are sentences on how
    the result is to be taken; ``marks`` are what somebody wrote into the recording, with its time in ps. ``done`` of
    ``size`` bytes have been read, of which ``tick`` is told at once, whether rows come of them or not. Units:
    ``clock_hz`` is 0 for a clock in ns; ``clock_origin`` says where it comes from: recorded, given or assumed. ``host``
    is what the recording says of the machine it was made on: kernel, processor; "" for nothing. ``commands`` names
    threads.
    """

    format = ""
    what = ""
    wants_clock = False

    def __init__(self, source: Source, clock_hz: int = 0) -> None:
        self.source = source
        self.clock = ""
        self.clock_hz = clock_hz
        self.clock_origin = "given" if clock_hz else "recorded"
        self.host = ""
        self.commands: dict[int, str] = {}
        self.vcpus: list[Vcpu] = []
        self.pcpus = 0
        self.kinds: dict[str, int] = {}
        self.names: dict[str, str] = {}
        self.events = 0
        self.duration_ps = 0
        self.lost_events = 0
        self.guessed_vcpus = 0
        self.lost_intervals = 0
        self.problems: list[str] = [source.problem] if source.problem else []
        self.notes: list[str] = []
        self.marks: list[tuple[int, str]] = []
        self.done = 0
        self.size = 0
        self.tick: Callable[[int], None] = lambda done: None

    @classmethod
    def recognises(cls, head: bytes) -> bool:
        """Tell whether a recording that begins like this is one for this reader."""
        raise NotImplementedError

    def blocks(self) -> Iterator[Columns]:
        """Hand out the rows of all pCPUs in the order of time, a block at a time. Errors: TraceError.

        A block holds until the next is asked for.
        """
        raise NotImplementedError

    def rows(self) -> Iterator[list[Row]]:
        """Hand out the same rows as tuples. Errors: TraceError."""
        for columns in self.blocks():
            yield unpacked(columns)

    def marks_again(self) -> bool:
        """Tell whether what is injected again is an event of its own, as far as has been read."""
        return True

    def vcpu_name(self, place: int) -> str:
        """Name the vCPU at a place; one that no place has is unknown."""
        return self.vcpus[place].name() if 0 <= place < len(self.vcpus) else "unknown"

    def unread(self) -> Counter[str]:
        """Return how many records of which kinds were seen and not understood."""
        raise NotImplementedError

    def exit_name(self, code: int) -> str:
        """Name an exit as the vendor whose exits the recording holds."""
        raise NotImplementedError

    def hypercall_name(self, number: int) -> str:
        """Name a hypercall of the hypervisor that was recorded."""
        return hypercall_name(number)

    def passed(self, count: int) -> None:
        """Tell that some more bytes have been read."""
        self.done += count
        self.tick(self.done)

    def problem(self, sentence: str) -> None:
        """Keep a sentence about damage; after many, only that there are more."""
        if len(self.problems) < MOST_PROBLEMS:
            self.problems.append(sentence)
        elif len(self.problems) == MOST_PROBLEMS:
            self.problems.append("more damage of this kind is not listed")

    def close(self) -> None:
        """Close the recording."""
        self.source.close()

    def __enter__(self) -> "Reader":
        return self

    def __exit__(self, *problem: object) -> None:
        self.close()


def readers() -> list[type[Reader]]:
    """Return the classes of all readers there are."""
    return [getattr(importlib.import_module(module), name) for module, name in READERS]


def _looks_like(head: bytes) -> str:
    """Describe the first bytes of what no reader knows."""
    start = head[:16]
    if all(32 <= byte < 127 or byte in b"\t\r\n" for byte in start):
        return f"text that begins {start.decode('ascii')!r}"
    return "the bytes " + start.hex(" ")


def reader_of(source: Source, clock_hz: int = 0) -> Reader | None:
    """Return the reader that knows a recording's first bytes; None when none does, and the source stays open."""
    for reader in readers():
        if reader.recognises(source.head):
            source.settle()
            try:
                return reader(source, clock_hz if reader.wants_clock else 0)
            except TraceError as told:
                raise because_of(source, told) from None
    return None


def because_of(source: Source, told: TraceError) -> TraceError:
    """Return the sentence that a recording cannot be used; when its packed file is cut or damaged, that comes first."""
    if not source.problem or source.problem in str(told):
        return told
    rest = str(told).removeprefix(f"{source.name}: ")
    return TraceError(f"{source.problem}; the {source.size} bytes that were unpacked are too few: {rest}")


def unknown(source: Source, more: str = "") -> TraceError:
    """Return the sentence that no reader knows a recording; ``more`` names what else was expected."""
    known = " or ".join(reader.what for reader in readers())
    start = _looks_like(source.head)
    return because_of(
        source,
        TraceError(f"{source.name}: no reader knows this; it starts at offset 0 with {start}, expected {known}{more}"),
    )


def open_reader(path: str, clock_hz: int = 0) -> Reader:
    """Open a recording with the reader that knows its first bytes.

    ``clock_hz`` is the frequency of its clock for a recording that does not hold one, 0 to leave it to the reader.
    Errors: TraceError in one sentence when no reader knows it.
    """
    source = open_source(path)
    try:
        reader = reader_of(source, clock_hz)
        if reader is None:
            raise unknown(source)
        return reader
    except BaseException:
        source.close()
        raise


__all__ = ["LOST", "READERS", "Reader", "Row", "Vcpu", "open_reader", "reader_of", "readers", "unknown"]
