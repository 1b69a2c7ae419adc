"""AVIC: an IPI meets a vCPU that halts. IRR before IsRunning on one side, IsRunning before IRR on the other."""

from typing import Final

from librt.vecs import vec
from mypy_extensions import i64

from exitless.arch.kvm.avic import clear_running, has_request, set_running
from exitless.arch.svm.evaluate import Avic, Next, arbitrate, deliver, doorbell, retire, set_requested, vmexit, vmrun
from exitless.arch.svm.tables import Backing, PhysicalEntry
from exitless.arch.vmx.virtual_apic import Reg
from exitless.bits.words import ON_PAGE, clear_bit, has_bit, set_bit, zeros
from exitless.check.acts import Act
from exitless.check.property import Law, Sometimes
from exitless.check.world import Packed, Rule, World
from exitless.check.worlds.posting import bit
from exitless.check.worlds.small import get_all, numbered, put_all
from exitless.mech.procedures.procedure import Verb
from exitless.vocab.kinds import Kind

VECTOR: Final = 65
CORE: Final = 5


class X:
    """Places of the numbers beside the backing page and the table."""

    PLACE: Final = 0
    AT: Final = 1
    BLOCKED: Final = 2
    SENDER: Final = 3
    SEEN: Final = 4
    LEFT: Final = 5
    DOORBELLS: Final = 6
    HALTS: Final = 7
    OWED: Final = 8
    FAULT: Final = 9


class Place:
    """Where the vCPU is."""

    GUEST: Final = 0
    BLOCKING: Final = 1
    ASLEEP: Final = 2
    LOADING: Final = 3


class AvicIpi(World):
    """One vCPU that halts twice, and one that sends it 0x41 twice.

    Mutations: ``running-read-first`` reads IsRunning before it sets IRR, ``irr-asked-first`` looks at IRR before it
    clears IsRunning, ``request-set-again`` sets IRR once more after an incomplete IPI, ``no-doorbell`` rings nobody.
    """

    def __init__(self, mutation: str) -> None:
        super().__init__("avic-ipi", mutation)
        self.agents = ["the vCPU", "sender", "doorbell"]
        self.laws = [Law.DELIVERED_TWICE, Law.LOST, Law.DELAYED, Law.ENDLESS]
        self.wanted = Sometimes.DELIVERED | Sometimes.STAYED_AWAKE | Sometimes.WOKEN_BY_SENDER | Sometimes.MERGED
        self.packed: Packed = Packed()
        self.avic: Avic = Avic(0, Backing())
        self.entry: PhysicalEntry = PhysicalEntry()
        self.x: vec[i64] = zeros(10)
        self.widths: vec[i64] = vec[i64]([2, 2, 1, 2, 1, 2, 2, 2, 1, 1])

    def reset(self) -> None:
        """The guest runs, nothing is requested."""
        self.load(0)
        self.entry.running = 1
        self.x[X.LEFT] = 2
        self.x[X.HALTS] = 2

    def key(self) -> i64:
        """Return the whole state as one number."""
        p: Packed = self.packed
        p.start(0)
        put_all(p, self.x, self.widths)
        p.put(bit(has_bit(self.avic.backing.words, Reg.VIRR, ON_PAGE, VECTOR)), 1)
        p.put(bit(has_bit(self.avic.backing.words, Reg.VISR, ON_PAGE, VECTOR)), 1)
        p.put(bit(self.avic.recognized != 0), 1)
        p.put(self.entry.running, 1)
        return p.word

    def load(self, key: i64) -> None:
        """Become the state with this number."""
        p: Packed = self.packed
        p.start(key)
        get_all(p, self.x, self.widths)
        words = self.avic.backing.words
        for register in (Reg.VIRR, Reg.VISR):
            if p.get(1) != 0:
                set_bit(words, register, ON_PAGE, VECTOR)
            else:
                clear_bit(words, register, ON_PAGE, VECTOR)
        self.avic.recognized = p.get(1) * VECTOR
        self.entry.running = p.get(1)
        self.avic.in_guest = bit(self.x[X.PLACE] == Place.GUEST)

    def move(self, agent: i64) -> i64:
        """Let an agent take its next step."""
        self.happened = 0
        if agent == 0:
            return self.vcpu_step()
        if agent == 1:
            return self.send_step()
        if self.x[X.DOORBELLS] == 0:
            return Rule.NONE
        self.x[X.DOORBELLS] -= 1
        doorbell(self.avic)
        return Act.DOORBELL

    def vcpu_step(self) -> i64:
        """The guest takes, ends or halts; its core blocks, sleeps or loads it."""
        place: i64 = self.x[X.PLACE]
        if place == Place.GUEST:
            return self.guest_step()
        if place == Place.BLOCKING:
            return self.block_step()
        if place == Place.ASLEEP:
            if self.x[X.BLOCKED] != 0:
                return Rule.NONE
            self.x[X.PLACE] = Place.LOADING
            place = Place.LOADING
        if self.x[X.AT] == 0:
            self.x[X.AT] = 1
            set_running(self.entry, CORE, 0)
            return Verb.SET_RUNNING
        self.x[X.AT] = 0
        self.x[X.PLACE] = Place.GUEST
        vmrun(self.avic)
        return Verb.RUN_GUEST

    def guest_step(self) -> i64:
        """The guest takes what is recognized, ends what is in service, or halts, in this order."""
        if arbitrate(self.avic, False, True) == Next.VIRTUAL:
            deliver(self.avic)
            if self.x[X.OWED] == 0:
                self.x[X.FAULT] = 1
            self.x[X.OWED] = 0
            self.happened = Sometimes.DELIVERED
            return Act.DELIVER
        if has_bit(self.avic.backing.words, Reg.VISR, ON_PAGE, VECTOR):
            retire(self.avic)
            return Act.END
        if self.x[X.HALTS] == 0:
            return Rule.NONE
        self.x[X.HALTS] -= 1
        vmexit(self.avic)
        self.x[X.BLOCKED] = 1
        self.x[X.PLACE] = Place.BLOCKING
        return Rule.HALT

    def block_step(self) -> i64:
        """IsRunning is cleared, IRR asked, and the vCPU sleeps if nothing wants it."""
        at: i64 = self.x[X.AT]
        self.x[X.AT] = at + 1
        if at == 2:
            self.x[X.AT] = 0
            self.x[X.PLACE] = Place.ASLEEP if self.x[X.BLOCKED] != 0 else Place.LOADING
            return Verb.SWITCH_OUT
        if (at == 0) != (self.mutation == "irr-asked-first"):
            clear_running(self.entry)
            return Verb.CLEAR_RUNNING
        if has_request(self.avic):
            self.x[X.BLOCKED] = 0
            self.happened = Sometimes.STAYED_AWAKE
        return Verb.TEST_REQUEST

    def send_step(self) -> i64:
        """The IRR bit, then IsRunning: a doorbell, or an exit whose handler wakes the vCPU."""
        at: i64 = self.x[X.SENDER]
        if at == 0 and self.x[X.LEFT] == 0:
            return Rule.NONE
        self.x[X.SENDER] = at + 1
        if at == 0:
            self.x[X.LEFT] -= 1
        if at == 2:
            return self.tell()
        if (at == 0) != (self.mutation == "running-read-first"):
            if set_requested(self.avic.backing, VECTOR):
                self.happened = Sometimes.MERGED
            self.x[X.OWED] = 1
            return Act.SET_IRR
        self.x[X.SEEN] = self.entry.running
        return Act.READ_RUNNING

    def tell(self) -> i64:
        """A core that was seen running is rung; otherwise software finishes the incomplete IPI."""
        self.x[X.SENDER] = 0
        seen: i64 = self.x[X.SEEN]
        self.x[X.SEEN] = 0
        if seen != 0:
            if self.mutation != "no-doorbell":
                self.x[X.DOORBELLS] += 1
            return Act.RING
        if self.mutation == "request-set-again":
            set_requested(self.avic.backing, VECTOR)
        if self.x[X.PLACE] == Place.ASLEEP and self.x[X.BLOCKED] != 0:
            self.happened = Sometimes.WOKEN_BY_SENDER
        self.x[X.BLOCKED] = 0
        return Act.FINISH_IPI

    def broken(self) -> i64:
        """Nothing is delivered twice."""
        return Law.DELIVERED_TWICE if self.x[X.FAULT] != 0 else Law.NONE

    def left_undone(self) -> i64:
        """Every request must have been delivered."""
        if self.x[X.OWED] == 0:
            return Law.NONE
        return Law.LOST if self.x[X.PLACE] == Place.ASLEEP else Law.DELAYED

    def is_free(self, agent: i64) -> bool:
        """The guest need not halt, and the sender need not begin."""
        if agent == 0:
            idle: bool = not has_bit(self.avic.backing.words, Reg.VISR, ON_PAGE, VECTOR)
            return self.x[X.PLACE] == Place.GUEST and self.avic.recognized == 0 and idle
        return agent == 1 and self.x[X.SENDER] == 0

    def fields(self) -> list[tuple[str, str]]:
        """Return the state to be read."""
        words = self.avic.backing.words
        places: list[str] = ["in its guest", "blocking", "asleep", "loading"]
        names: list[str] = ["step", "blocked", "sender", "seen running", "to send", "doorbells", "halts left"]
        return [
            ("IRR", "0x41" if has_bit(words, Reg.VIRR, ON_PAGE, VECTOR) else "0"),
            ("ISR", "0x41" if has_bit(words, Reg.VISR, ON_PAGE, VECTOR) else "0"),
            ("recognized", "0x41" if self.avic.recognized != 0 else "0"),
            ("IsRunning", str(int(self.entry.running))),
            ("vCPU", places[self.x[X.PLACE]]),
            ("owed", str(int(self.x[X.OWED]))),
        ] + numbered(names, self.x[1:8])

    def rows(self, rule: i64) -> list[tuple[int, int, int, int, int]]:
        """Return what the last move was in the record's words."""
        if rule == Act.DELIVER:
            return [(Kind.IRQ_DELIVER, 0, 0, VECTOR, 0)]
        return [(Kind.IRQ_EOI, 0, 0, VECTOR, 0)] if rule == Act.END else []


def avic_ipi(mutation: str) -> World:
    """Return the world of AVIC's two orders."""
    return AvicIpi(mutation)
