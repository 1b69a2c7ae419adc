"""What the small worlds share: a few counters and marks beside the descriptor and the virtual APIC, and one guest.

Their guest lets handlers nest, takes what is recognized before anything else, and ends the highest handler that runs.
"""

from librt.vecs import vec
from mypy_extensions import i64

from exitless.arch.laws import rvi_covers, svi_is_highest
from exitless.arch.vmx.eoi import eoi_virtualization
from exitless.arch.vmx.evaluate import deliver_virtual_interrupt, evaluate_pending
from exitless.arch.vmx.injection import highest_requested, load_at_entry
from exitless.arch.vmx.posted import clear_outstanding, raise_rvi, take_pir
from exitless.arch.vmx.virtual_apic import Reg
from exitless.bits.words import zeros
from exitless.check.property import Law, Sometimes
from exitless.check.world import Packed, Rule
from exitless.check.worlds.posting import HIGH, LOW, Posting, both, place_of
from exitless.check.worlds.telling import told


def put_all(packed: Packed, numbers: vec[i64], widths: vec[i64]) -> None:
    """Pack numbers, each in as many bits as its width says."""
    i: i64 = 0
    while i < len(numbers):
        packed.put(numbers[i], widths[i])
        i += 1


def get_all(packed: Packed, numbers: vec[i64], widths: vec[i64]) -> None:
    """Unpack in the same order."""
    i: i64 = 0
    while i < len(numbers):
        numbers[i] = packed.get(widths[i])
        i += 1


def numbered(names: list[str], numbers: vec[i64]) -> list[tuple[str, str]]:
    """Return numbers with their names, to be read."""
    found: list[tuple[str, str]] = []
    i: i64 = 0
    while i < len(names):
        found.append((names[i], str(int(numbers[i]))))
        i += 1
    return found


def top_place(places: i64) -> i64:
    """Return the higher of two vectors that are there, one bit each, or 0."""
    if places & place_of(HIGH) != 0:
        return HIGH
    if places & place_of(LOW) != 0:
        return LOW
    return 0


class Small(Posting):
    """A posting world with ``x``, numbers beside the descriptor and the virtual APIC, ``names`` and ``widths`` theirs.

    ``root`` is 1 while the vCPU is out of its guest, ``serving`` has a bit for each vector whose handler runs.
    """

    def __init__(self, name: str, mutation: str, second: i64, names: list[str], widths: vec[i64]) -> None:
        super().__init__(name, mutation, LOW, second)
        self.names: list[str] = names
        self.widths: vec[i64] = widths
        self.x: vec[i64] = zeros(len(widths))
        self.root: i64 = 0
        self.serving: i64 = 0
        self.target.state.interrupt_flag = 1

    def key(self) -> i64:
        """Return the whole state as one number."""
        self.packed.start(0)
        self.put_posting()
        self.packed.put(self.root, 1)
        self.packed.put(self.serving, 2)
        self.packed.put(self.kicks, 1)
        put_all(self.packed, self.x, self.widths)
        return self.packed.word

    def load(self, key: i64) -> None:
        """Become the state with this number."""
        self.packed.start(key)
        self.get_posting()
        self.root = self.packed.get(1)
        self.serving = self.packed.get(2)
        self.kicks = self.packed.get(1)
        get_all(self.packed, self.x, self.widths)

    def kick(self, pcpu: i64) -> None:
        """An event check leaves for the vCPU's pCPU; two that have not arrived are one."""
        self.kicks = 1

    def leave(self) -> None:
        """The guest exits; recognition does not survive that."""
        self.root = 1
        self.target.vapic.recognized = 0

    def kick_arrives(self) -> i64:
        """The event check is taken: a guest exits."""
        if self.kicks == 0:
            return Rule.NONE
        self.kicks = 0
        if self.root != 0:
            return Rule.KICK_ELSEWHERE
        self.leave()
        return Rule.KICK_IN_GUEST

    def notification_arrives(self) -> i64:
        """The notification is processed at once in the guest; in root mode the entry will look at PIR anyway."""
        if self.notifications == 0:
            return Rule.NONE
        self.notifications -= 1
        if self.root != 0:
            return Rule.NOTIFY_IN_ROOT
        clear_outstanding(self.target.pid)
        self.take_posted()
        return Rule.NOTIFY_IN_GUEST

    def take_posted(self) -> None:
        """The processor takes PIR, raises RVI and evaluates."""
        vector: i64 = take_pir(self.target.pid, self.target.vapic)
        if vector != 0:
            self.happened = self.happened | Sometimes.PROCESSED_IN_GUEST
        raise_rvi(self.target.vapic, vector)
        evaluate_pending(self.target.vapic)
        self.requests_taken()

    def sync(self) -> None:
        """Software takes PIR if ON is set."""
        if clear_outstanding(self.target.pid):
            take_pir(self.target.pid, self.target.vapic)
            self.requests_taken()

    def enter(self) -> None:
        """RVI follows VIRR, and the guest is entered."""
        self.target.vapic.rvi = highest_requested(self.target.vapic)
        load_at_entry(self.target.vapic)
        self.root = 0

    def guest_takes(self) -> i64:
        """The guest takes what is recognized."""
        vapic = self.target.vapic
        if self.root != 0 or vapic.recognized == 0:
            return Rule.NONE
        self.a = deliver_virtual_interrupt(vapic)
        self.request_delivered(self.a)
        self.serving = self.serving | place_of(self.a)
        self.happened = self.happened | Sometimes.DELIVERED
        return Rule.DELIVER

    def guest_step(self) -> i64:
        """The guest takes what is recognized, or else its highest handler ends."""
        rule: i64 = self.guest_takes()
        if rule != Rule.NONE or self.root != 0 or self.serving == 0:
            return rule
        self.a = top_place(self.serving)
        self.serving = self.serving & ~place_of(self.a)
        eoi_virtualization(self.target.vapic)
        return Rule.END

    def is_ended_early(self) -> bool:
        """Tell whether a handler runs whose vector is not in service any more."""
        return self.serving & ~both(self.target.vapic.page[Reg.VISR + 4 * (LOW >> 5)]) != 0

    def lags(self) -> bool:
        """Tell whether, in the guest, RVI does not cover VIRR, or SVI is not the highest in VISR."""
        vapic = self.target.vapic
        return self.root == 0 and not (rvi_covers(vapic) and svi_is_highest(vapic))

    def broken(self) -> i64:
        """Return the law that this state breaks."""
        if self.fault != 0:
            return self.fault
        if self.is_ended_early():
            return Law.ENDED_EARLY
        if self.has_vanished():
            return Law.REQUEST_VANISHED
        return Law.STATUS_LAGS if self.lags() else Law.NONE

    def left_undone(self) -> i64:
        """Every request must have been delivered."""
        return Law.DELAYED if self.is_owed() else Law.NONE

    def fields(self) -> list[tuple[str, str]]:
        """Return the state to be read."""
        where: list[tuple[str, str]] = [("vCPU", "out of its guest" if self.root != 0 else "in its guest")]
        return super().fields() + where + numbered(self.names, self.x)

    def rows(self, rule: i64) -> list[tuple[int, int, int, int, int]]:
        """Return what the last move was in the record's words."""
        return told(rule, self.target, self.a, self.b)
