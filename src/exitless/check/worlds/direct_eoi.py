"""ELI: a guest takes physical vectors itself and ends them at the real local APIC; what comes while it is out is
acknowledged and ended by the host and injected, and the guest's EOI must exit until that has ended.
"""

from typing import Final

from librt.vecs import vec
from mypy_extensions import i64

from exitless.arch.outcome import Access
from exitless.arch.vmx.eoi import software_eoi
from exitless.arch.vmx.injection import highest_requested
from exitless.arch.vmx.virtual_apic import Reg
from exitless.arch.x86.lapic import LocalApic, accept, acknowledge, deliverable, end_of_interrupt
from exitless.bits.words import ON_PAGE, PACKED, bits_of, clear_bit, highest_bit, is_empty, set_bit, zeros
from exitless.check.acts import Act
from exitless.check.property import Law, Sometimes
from exitless.check.world import Packed, Rule, World
from exitless.check.worlds.posting import HIGH, LOW, both, place_of, put_bit, vector_at, vectors
from exitless.check.worlds.small import get_all, put_all, top_place
from exitless.mech.direct import Direct
from exitless.mech.vcpu import VirtualCpu
from exitless.vocab.kinds import Kind


class X:
    """Places of the numbers: out of the guest, handlers that run directly, messages and exits left."""

    ROOT: Final = 0
    OPEN: Final = 1
    LEFT: Final = 2
    EXITS: Final = 3


class DirectEoi(World):
    """A device sends 0x41 and then 0x51 to the vCPU's pCPU; the guest's handlers nest.

    Mutations: ``both-end`` leaves the guest's EOI exposed although the host has ended the vector that it injects,
    ``host-does-not-end`` injects without having ended.
    """

    def __init__(self, mutation: str) -> None:
        super().__init__("direct-eoi", mutation)
        self.agents = ["host", "device", "the guest", "the guest exits"]
        self.laws = [Law.ENDED_EARLY, Law.NEVER_ENDED, Law.ENDLESS]
        self.wanted = Sometimes.DELIVERED | Sometimes.FORWARDED
        self.packed: Packed = Packed()
        self.lapic: LocalApic = LocalApic(0)
        self.cpu: VirtualCpu = VirtualCpu(0)
        self.delivery: Direct = Direct()
        self.x: vec[i64] = zeros(4)
        self.widths: vec[i64] = vec[i64]([1, 2, 2, 2])

    def reset(self) -> None:
        """The guest runs, the device is quiet."""
        self.load(0)
        self.x[X.LEFT] = 2
        self.x[X.EXITS] = 2

    def key(self) -> i64:
        """Return the whole state as one number."""
        p: Packed = self.packed
        p.start(0)
        put_all(p, self.x, self.widths)
        p.put(both(self.lapic.irr[LOW >> 5]), 2)
        p.put(both(self.lapic.isr[LOW >> 5]), 2)
        p.put(both(self.cpu.vapic.page[Reg.VIRR + 4 * (LOW >> 5)]), 2)
        p.put(both(self.cpu.vapic.page[Reg.VISR + 4 * (LOW >> 5)]), 2)
        p.put(place_of(self.cpu.forwarded), 2)
        return p.word

    def load(self, key: i64) -> None:
        """Become the state with this number."""
        p: Packed = self.packed
        p.start(key)
        get_all(p, self.x, self.widths)
        for words in (self.lapic.irr, self.lapic.isr):
            for vector in (LOW, HIGH):
                if p.get(1) != 0:
                    set_bit(words, 0, PACKED, vector)
                else:
                    clear_bit(words, 0, PACKED, vector)
        for register in (Reg.VIRR, Reg.VISR):
            put_bit(self.cpu, register, LOW, p.get(1))
            put_bit(self.cpu, register, HIGH, p.get(1))
        self.cpu.vapic.svi = highest_bit(self.cpu.vapic.page, Reg.VISR, ON_PAGE)
        forwarded: i64 = vector_at(p.get(2))
        self.cpu.forwarded = forwarded if forwarded != 0 else -1

    def move(self, agent: i64) -> i64:
        """Let an agent take its next step."""
        self.happened = 0
        if agent == 0:
            return self.host_step()
        if agent == 1:
            if self.x[X.LEFT] == 0:
                return Rule.NONE
            accept(self.lapic, LOW if self.x[X.LEFT] == 2 else HIGH, 0)
            self.x[X.LEFT] -= 1
            return Act.ASSERT_DIRECT
        if agent == 2:
            return self.guest_step()
        if self.x[X.ROOT] != 0 or self.x[X.EXITS] == 0:
            return Rule.NONE
        self.x[X.EXITS] -= 1
        self.x[X.ROOT] = 1
        return Act.LEAVE

    def host_step(self) -> i64:
        """The host takes a physical interrupt and keeps it for the guest, or enters with what it has kept."""
        if self.x[X.ROOT] == 0:
            return Rule.NONE
        if deliverable(self.lapic) >= 0:
            vector: i64 = acknowledge(self.lapic)
            if self.mutation != "host-does-not-end":
                end_of_interrupt(self.lapic)
            self.delivery.request(self.cpu, vector, 0)
            return Act.HOST_TAKES
        waiting: i64 = self.delivery.pending(self.cpu)
        if waiting != 0:
            self.delivery.grant(self.cpu, waiting)
            self.happened = Sometimes.FORWARDED
        self.delivery.enter(self.cpu)
        self.x[X.ROOT] = 0
        return Act.PASS

    def guest_step(self) -> i64:
        """The guest takes a physical interrupt, which exits while an injected one is open, or ends its handler."""
        if self.x[X.ROOT] != 0:
            return Rule.NONE
        if deliverable(self.lapic) >= 0:
            if self.cpu.forwarded >= 0:
                self.x[X.ROOT] = 1
                return Act.LEAVE
            self.a = acknowledge(self.lapic)
            self.x[X.OPEN] = self.x[X.OPEN] | place_of(self.a)
            self.happened = Sometimes.DELIVERED
            return Act.TAKE_DIRECT
        if self.x[X.OPEN] == 0 and self.cpu.forwarded < 0:
            return Rule.NONE
        return self.end()

    def end(self) -> i64:
        """The highest handler ends: at the real local APIC, or by an exit after which software ends it."""
        injected: bool = self.cpu.forwarded >= 0
        if not injected:
            self.a = top_place(self.x[X.OPEN])
            self.x[X.OPEN] = self.x[X.OPEN] & ~place_of(self.a)
        if self.delivery.end(self.cpu) == Access.PHYSICAL or self.mutation == "both-end":
            end_of_interrupt(self.lapic)
            if not injected:
                return Act.END_DIRECT
        software_eoi(self.cpu.vapic)
        below: i64 = highest_bit(self.cpu.vapic.page, Reg.VISR, ON_PAGE)
        self.cpu.forwarded = below if below != 0 else -1
        self.x[X.ROOT] = 1
        return Act.END_BY_EXIT

    def broken(self) -> i64:
        """A vector whose handler runs directly is in service in the real local APIC."""
        return Law.ENDED_EARLY if self.x[X.OPEN] & ~both(self.lapic.isr[LOW >> 5]) != 0 else Law.NONE

    def left_undone(self) -> i64:
        """Everything is ended where it was taken."""
        is_clean: bool = is_empty(self.lapic.isr, 0, PACKED, 8) and highest_requested(self.cpu.vapic) == 0
        return Law.NONE if is_clean else Law.NEVER_ENDED

    def is_free(self, agent: i64) -> bool:
        """The device need not send, and the guest need not exit."""
        return agent == 1 or agent == 3

    def fields(self) -> list[tuple[str, str]]:
        """Return the state to be read."""
        return [
            ("IRR", vectors(bits_of(self.lapic.irr, 0, PACKED, 8))),
            ("ISR", vectors(bits_of(self.lapic.isr, 0, PACKED, 8))),
            ("emulated IRR", vectors(bits_of(self.cpu.vapic.page, Reg.VIRR, ON_PAGE, 8))),
            ("emulated ISR", vectors(bits_of(self.cpu.vapic.page, Reg.VISR, ON_PAGE, 8))),
            ("guest's handlers", str(int(self.x[X.OPEN]))),
            ("vCPU", "out of its guest" if self.x[X.ROOT] != 0 else "in its guest"),
            ("EOI", "exits" if self.cpu.forwarded >= 0 else "exposed"),
            ("to send", str(int(self.x[X.LEFT]))),
            ("exits left", str(int(self.x[X.EXITS]))),
        ]

    def rows(self, rule: i64) -> list[tuple[int, int, int, int, int]]:
        """Return what the last move was in the record's words."""
        if rule == Act.TAKE_DIRECT:
            return [(Kind.IRQ_DELIVER, 0, 0, int(self.a), 0)]
        return [(Kind.IRQ_EOI, 0, 0, int(self.a), 0)] if rule == Act.END_DIRECT else []


def direct_eoi(mutation: str) -> World:
    """Return the world of interrupts that end at the real local APIC."""
    return DirectEoi(mutation)
