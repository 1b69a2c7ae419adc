"""What is known while a recording is replayed: its vCPUs, what it records at all, and what was found.

Each vCPU has what is surely so and what may be so; an event is a finding only when nothing that may be so explains it.
"""

from typing import Any, Final, NamedTuple

from exitless.judge import laws
from exitless.judge.laws import Law
from exitless.judge.vcpu import Row, Vcpu
from exitless.vocab.kinds import Kind
from exitless.vocab.table import BY_KIND

MOST_FINDINGS: Final = 10_000
# A vector that no local APIC ever accepts is an 8259's when it comes as often as this and nobody recorded 8259s.
REPEATED: Final = 3
# A guest that saves EOIs in memory saves at least one in so many.
SPARED_ONE_IN: Final = 5


class Finding(NamedTuple):
    """One event that nothing explains: the row, the law it breaks, the state before it, what its vCPU did before.

    ``phase`` is the law's, unless what came before or after tells that another phase went wrong.
    """

    row: Row
    law: Law
    phase: str
    says: str
    state: dict[str, Any]
    before: tuple[Row, ...]


class Case:
    """The replay of one recording.

    Shapes: ``vcpus`` by place; ``on`` the vCPU that each pCPU runs (-1: none); ``findings`` in the order in which they
    were found; ``broken`` counts them by law. ``blind`` is the time until which records were lost. ``requests``,
    ``ends`` and ``windows`` tell whether requests, ends of interrupt and the arming of windows are recorded at all;
    ``delivery`` whether the processor delivers nothing by itself. ``threads`` tells that vCPUs are threads of a host,
    whose scheduler may be recorded in part; ``continuous`` that it is not, as far as the first events show; ``own``
    that Exitless has simulated it; ``marks`` that what is injected again is always marked so. ``partly`` are the kinds
    of events of which many are missing, with what shows it.
    ``pic`` and ``latched`` are the pins of 8259s that may have interrupts pending, and that may when they are unmasked.
    ``foreign`` are findings by vector that 8259s explain if they are not recorded, ``unended`` those that a vector
    explains which the hypervisor ends by itself (Hyper-V's AutoEOI), ``unspared`` those that the saving of EOIs in
    memory explains if it is not recorded. Units: ps.
    """

    def __init__(self, ordered: bool = True, threads: bool = True, own: bool = False) -> None:
        self.ordered = ordered
        self.threads = threads
        self.own = own
        self.marks = False
        self.partly: dict[int, str] = {}
        self.counts: dict[int, int] = {}
        self.vcpus: list[Vcpu] = []
        self.on: dict[int, int] = {}
        self.findings: list[Finding] = []
        self.broken: dict[str, int] = {}
        self.events = 0
        self.blind = -1
        self.blinded = False
        self.now = 0
        self.seen: set[int] = set()
        self.requests = self.ends = self.windows = self.delivery = self.marked = self.lines = False
        self.sources: dict[int, int] = {}
        self.ever: set[int] = set()
        self.ended: set[int] = set()
        self.foreign: dict[int, list[Finding]] = {}
        self.unspared: list[Finding] = []
        self.unended: dict[int, list[Finding]] = {}
        self.pic: set[int] = set()
        self.latched: set[int] = set()
        self.level: set[int] = set()
        self.continuous = True
        self.asked: frozenset[Law] = frozenset()

    def look(self, seen: set[int]) -> None:
        """Settle which laws can be asked of a recording that holds events of these kinds."""
        self.seen = seen
        self.requests = Kind.IRQ_REQUEST in seen and Kind.IRQ_REQUEST not in self.partly
        self.ends = Kind.IRQ_EOI in seen
        self.windows = Kind.IRQ_WINDOW in seen
        self.marked = self.marks or Kind.IRQ_REINJECT in seen
        self.delivery = Kind.IRQ_INJECT in seen and Kind.PID_POST not in seen
        self.asked = frozenset(law for law in laws.LAWS if not self.why_not(law))

    def why_not(self, law: Law) -> str:
        """Say why a law is not asked of this recording; nothing when it is."""
        missing = [kind for kind in law.needs if kind not in self.seen]
        if missing:
            return "the recording has no events of the kind " + ", ".join(BY_KIND[kind].name for kind in missing)
        for kind in law.needs:
            if kind in self.partly:
                return f"events of the kind {BY_KIND[kind].name} are recorded in part: {self.partly[kind]}"
        if law.ordered and not self.ordered:
            return "its clocks are local to each CPU"
        if Kind.RUNSTATE in law.needs and not self.continuous:
            return "the scheduler is recorded in part: vCPUs stop that never started"
        if law.delivery and not self.delivery:
            return "the processor delivers by itself, which leaves no events"
        return ""

    def forget(self) -> None:
        """Nothing is known of any vCPU."""
        for v in self.vcpus:
            v.forget()
        self.on.clear()

    def break_(self, law: Law, v: Vcpu, row: Row, says: str, phase: str = "") -> bool:
        """A row contradicts all that may be so; tells whether that is a finding."""
        if self.blinded or law not in self.asked:
            return False
        self.keep(finding_of(law, v, row, says, phase))
        return True

    def keep(self, finding: Finding) -> None:
        """Count a finding and keep it."""
        self.broken[finding.law.name] = self.broken.get(finding.law.name, 0) + 1
        if len(self.findings) < MOST_FINDINGS:
            self.findings.append(finding)

    def doubt(self, law: Law, v: Vcpu, row: Row, says: str, doubtful: list[Finding], phase: str = "") -> None:
        """A row contradicts all that may be so, unless something is not recorded, which shows at the end."""
        if not self.blinded and law in self.asked and len(doubtful) < MOST_FINDINGS:
            doubtful.append(finding_of(law, v, row, says, phase))

    def settle_doubts(self) -> None:
        """Decide at the end which doubtful findings are findings."""
        for vector, found in self.foreign.items():
            if len(found) < REPEATED or vector in self.ever or vector in self.ended or Kind.PIC_SET in self.seen:
                for finding in found:
                    self.keep(finding)
        for served, found in self.unended.items():
            if len(found) < REPEATED or served in self.ended:
                for finding in found:
                    self.keep(finding)
        few, ends = len(self.unspared) < REPEATED, self.counts.get(Kind.IRQ_EOI, 0)
        if few or len(self.unspared) * SPARED_ONE_IN < ends or Kind.EOI_SPARED in self.seen:
            for finding in self.unspared:
                self.keep(finding)


def finding_of(law: Law, v: Vcpu, row: Row, says: str, phase: str = "") -> Finding:
    """Write a finding down with what is known of its vCPU."""
    return Finding(row, law, phase or law.phase, says, v.state(), tuple(v.recent))
