"""What all pCPUs of an xentrace recording have in common: plans by header word, vCPUs, exit codes, the clock."""

from typing import Final

from librt.vecs import vec
from mypy_extensions import i64

from exitless.bits.words import zeros
from exitless.errors import TraceError
from exitless.traces.rate import PS_PER_S, Rate
from exitless.traces.threads import MOST_VCPUS, Vcpu
from exitless.traces.xen import SVM_EXIT, Use, use_of

MOST_KINDS: Final = 65_536
MOST_CODES: Final = 4_096
MOST_PS: Final = 1 << 62
LATEST: Final = 2**62 - 1
IDLE: Final = 0x7FFF
# Plans that were used last, by the low bits of their words.
LAST_USED: Final = 4096


class Plan:
    """What to do with every record that has one header word; ``count`` counts them. Units: words."""

    def __init__(self, word: i64, event: i64, size: i64, first: i64, use: i64) -> None:
        self.word: i64 = word
        self.event: i64 = event
        self.count: i64 = 0
        self.size: i64 = size
        self.first: i64 = first
        self.use: i64 = use


class Shared:
    """Plans, vCPUs, exit codes and clock of one recording.

    Shapes: ``recent`` has plans at the low bits of their header words; ``codes`` counts exits with small codes,
    ``others`` those with large ones.
    """

    def __init__(self, name: str, clock_hz: int) -> None:
        self.name = name
        self.clock_hz: i64 = clock_hz
        self.plans: dict[int, Plan] = {}
        self.recent: list[Plan] = [Plan(-1, 0, 1, 1, 0)] * LAST_USED
        self.extra: dict[int, int] = {}
        self.short: dict[int, int] = {}
        self.vcpu_numbers: dict[int, int] = {}
        self.vcpus: list[Vcpu] = []
        self.codes: vec[i64] = zeros(MOST_CODES)
        self.others: dict[int, int] = {}
        self.kinds_of_exits: i64 = 0
        self.rate: Rate = Rate(PS_PER_S, clock_hz)
        self.origin: i64 = 0
        self.limit: i64 = 0
        self.backwards: i64 = 0
        self.unowned: i64 = 0
        self.lost_events = 0
        self.lost_intervals = 0

    def start(self, origin: int) -> None:
        """Set the time stamp that counts as zero."""
        self.origin = min(origin, LATEST)
        self.limit = min(origin + MOST_PS * int(self.clock_hz) // PS_PER_S, LATEST)

    def count(self, event: int, count: int) -> None:
        """Count records that no plan counts."""
        self.extra[event] = self.extra.get(event, 0) + count

    def plan(self, word: i64) -> Plan:
        """Return the plan for a header word. Errors: TraceError, for too many of them."""
        plan: Plan = self.recent[word & LAST_USED - 1]
        if plan.word != word:
            known = self.plans.get(word)
            plan = self._new(word) if known is None else known
            self.recent[word & LAST_USED - 1] = plan
        return plan

    def _new(self, word: i64) -> Plan:
        if len(self.plans) >= MOST_KINDS:
            raise TraceError(f"{self.name}: more than {MOST_KINDS} kinds of records; xentrace writes no such thing")
        event: i64 = word & 0xFFFFFFF
        extra: i64 = word >> 28 & 7
        stamped: i64 = word >> 31
        use, needed = use_of(event)
        if extra < needed or (use == Use.LOST and not stamped):
            use = -1
        plan = Plan(word, event, 1 + 2 * stamped + extra, 1 + 2 * stamped, use)
        self.plans[word] = plan
        return plan

    def exit(self, code: i64) -> None:
        """Count an exit. Errors: TraceError, for too many kinds of them."""
        if code < MOST_CODES and self.codes[code] > 0:
            self.codes[code] = self.codes[code] + 1
        elif code in self.others:
            self.others[code] += 1
        elif self.kinds_of_exits >= MOST_CODES:
            raise TraceError(f"{self.name}: more than {MOST_CODES} exit reasons; xentrace writes no such thing")
        else:
            self.kinds_of_exits += 1
            if code < MOST_CODES:
                self.codes[code] = 1
            else:
                self.others[code] = 1

    def exits(self) -> dict[int, int]:
        """Return how many exits had each code."""
        found = dict(self.others)
        for code in range(MOST_CODES):
            if self.codes[code] > 0:
                found[code] = self.codes[code]
        return found

    def events(self) -> dict[int, int]:
        """Return how many records of each event were read."""
        counts = dict(self.extra)
        for plan in self.plans.values():
            if plan.count > 0:
                counts[plan.event] = counts.get(plan.event, 0) + plan.count
        self.short = {p.event: p.count for p in self.plans.values() if p.use < 0 and p.count > 0}
        return counts

    def svm_events(self) -> int:
        """Return how many exits came by SVM's own event."""
        counts = self.events()
        return sum([counts.get(event, 0) for event in SVM_EXIT])

    def vcpu(self, domain: i64, number: i64) -> i64:
        """Return the place of a vCPU in the list, -1 for an idle one. Errors: TraceError, for too many of them."""
        if domain == IDLE:
            return -1
        key: i64 = (domain << 32) + number
        place: i64 = i64(self.vcpu_numbers.get(key, -1))
        if place < 0:
            place = i64(len(self.vcpus))
            if place >= MOST_VCPUS:
                raise TraceError(f"{self.name}: more than {MOST_VCPUS} vCPUs; xentrace writes no such thing")
            self.vcpu_numbers[key] = place
            self.vcpus.append(Vcpu(f"d{domain}", number, -1, domain == 0))
        return place

    def sentences(self) -> list[str]:
        """Say what a person must know about these records."""
        said: list[str] = []
        if self.unowned > 0:
            said.append(
                f"exits and entries without a vCPU, since no scheduler record says who ran: {self.unowned}; they are "
                "paired on their pCPU, so their times may hold those of other vCPUs"
            )
        if self.backwards > 0:
            said.append(
                f"time stamps that went backwards on their pCPU and were taken as the one before: {self.backwards}"
            )
        return said
