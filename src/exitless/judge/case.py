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


class Finding(NamedTuple):
    """One event that nothing explains: the row, the law it breaks, the state before it, what its vCPU did before."""

    row: Row
    law: Law
    says: str
    state: dict[str, Any]
    before: tuple[Row, ...]


class Case:
    """The replay of one recording.

    Shapes: ``vcpus`` by place; ``on`` the vCPU that each pCPU runs (-1: none); ``findings`` in the order in which they
    were found; ``broken`` counts them by law. ``blind`` is the time until which records were lost. ``requests``,
    ``ends`` and ``windows`` tell whether requests, ends of interrupt and the arming of windows are recorded at all;
    ``delivery`` whether the processor delivers nothing by itself. ``threads`` tells that vCPUs are threads of a host,
    whose scheduler may be recorded in part; ``continuous`` that it is not, as far as the first events show. ``pic`` and
    ``latched`` are the pins of 8259s that may have interrupts pending, and that may when they are unmasked. Units: ps.
    """

    def __init__(self, ordered: bool = True, threads: bool = True) -> None:
        self.ordered = ordered
        self.threads = threads
        self.vcpus: list[Vcpu] = []
        self.on: dict[int, int] = {}
        self.findings: list[Finding] = []
        self.broken: dict[str, int] = {}
        self.events = 0
        self.blind = -1
        self.blinded = False
        self.now = 0
        self.seen: set[int] = set()
        self.requests = self.ends = self.windows = self.delivery = self.marked = False
        self.sources: dict[int, int] = {}
        self.ever: set[int] = set()
        self.pic: set[int] = set()
        self.latched: set[int] = set()
        self.level: set[int] = set()
        self.continuous = True
        self.asked: frozenset[Law] = frozenset()

    def look(self, seen: set[int]) -> None:
        """Settle which laws can be asked of a recording that holds events of these kinds."""
        self.seen = seen
        self.requests = Kind.IRQ_REQUEST in seen
        self.ends = Kind.IRQ_EOI in seen
        self.windows = Kind.IRQ_WINDOW in seen
        self.marked = Kind.IRQ_REINJECT in seen
        self.delivery = Kind.IRQ_INJECT in seen and Kind.PID_POST not in seen
        self.asked = frozenset(law for law in laws.LAWS if not self.why_not(law))

    def why_not(self, law: Law) -> str:
        """Say why a law is not asked of this recording; nothing when it is."""
        missing = [kind for kind in law.needs if kind not in self.seen]
        if missing:
            return "the recording has no events of the kind " + ", ".join(BY_KIND[kind].name for kind in missing)
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

    def break_(self, law: Law, v: Vcpu, row: Row, says: str) -> bool:
        """A row contradicts all that may be so; tells whether that is a finding."""
        if self.blinded or law not in self.asked:
            return False
        self.broken[law.name] = self.broken.get(law.name, 0) + 1
        if len(self.findings) < MOST_FINDINGS:
            self.findings.append(Finding(row, law, says, v.state(), tuple(v.recent)))
        return True
