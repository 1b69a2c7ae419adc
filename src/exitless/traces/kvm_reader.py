"""What all readers of Linux recordings have in common."""

from collections import Counter
from typing import Final

from exitless.errors import TraceError
from exitless.traces.kvm import HYPERCALLS, Isa, exit_name
from exitless.traces.kvm_rows import Clock, Mapper
from exitless.traces.opening import Source
from exitless.traces.reader import Reader

DEFAULT_HZ: Final = 2_400_000_000
LEAST_HZ: Final = 1_000
MOST_HZ: Final = 1_000_000_000_000
TICKS: Final = "x86-tsc"
LOCAL: Final = "local"


class LinuxReader(Reader):
    """A recording of Linux tracepoints; ``mapper`` makes its rows."""

    wants_clock = True

    def __init__(self, source: Source, clock_hz: int = 0) -> None:
        super().__init__(source, clock_hz)
        if clock_hz and not LEAST_HZ <= clock_hz <= MOST_HZ:
            raise TraceError(f"{source.name}: a clock of {clock_hz} Hz cannot be; expected 1 kHz to 1 THz")
        self.mapper = Mapper(source.name, Clock())
        self.vcpus = self.mapper.threads.vcpus
        self.unknown: Counter[str] = Counter()

    def use_clock(self, clock: Clock) -> None:
        """Tell what the recording's clock is."""
        self.mapper.clock = clock
        self.clock = clock.name

    def given_hz(self, clock: str) -> int:
        """Decide the frequency of a clock that counts ticks: the given one, else an assumption; 0 for one in ns."""
        if clock != TICKS:
            self.clock_hz, self.clock_origin = 0, "recorded"
            return 0
        self.clock_origin = "given" if self.clock_hz else "assumed"
        self.clock_hz = self.clock_hz or DEFAULT_HZ
        return self.clock_hz

    def marks_again(self) -> bool:
        """Tell whether the kernel marks what it injects again, as far as has been read."""
        return self.mapper.marks_again

    def unread(self) -> Counter[str]:
        """Return the records whose tracepoint is not known, or that are too short for it."""
        return self.unknown

    def vendor(self) -> str:
        """Say whose exits these are, ``vmx`` or ``svm``."""
        return "svm" if self.mapper.isa == Isa.SVM else "vmx"

    def exit_name(self, code: int) -> str:
        """Name an exit as Linux names it."""
        return exit_name(self.mapper.isa, code)

    def hypercall_name(self, number: int) -> str:
        """Name a hypercall of KVM."""
        return HYPERCALLS.get(number, f"hypercall_{number}")

    def finish(self, counts: Counter[str], last: int) -> None:
        """Sum up at the end: records by kind, and the time of the last in ticks."""
        self.kinds = dict(sorted(counts.items()))
        self.events = sum(counts.values())
        self.lost_events = self.mapper.lost_events
        self.lost_intervals = self.mapper.lost_intervals
        self.duration_ps = max(0, self.mapper.clock.ps(last))
        threads = self.mapper.threads
        if self.clock == LOCAL and self.pcpus > 1:
            self.notes.append(
                "the clock is local to each pCPU, so times between pCPUs may be wrong; record with -C mono"
            )
        sentence = threads.name_machines()
        self.guessed_vcpus = threads.guessed
        if sentence:
            self.notes.append(sentence)
        if threads.doubtful:
            self.notes.append(
                f"interrupts sent from threads of which the recording does not say to which machine they belong: "
                f"{threads.doubtful}; their vCPU is left open"
            )
