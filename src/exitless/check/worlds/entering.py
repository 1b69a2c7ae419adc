"""What Xen asks on the way into a guest with virtual-interrupt delivery, when an upcall, a vector of the local APIC and
an exception that is to be injected again come together.

vmx_intr_assist is taken whole, as :mod:`exitless.mech.procedures.assist` has it for the simulator too. The worlds add
what Xen's leaves out, and say so; a mutation takes it away again.
"""

from typing import Final

from mypy_extensions import i64

from exitless.arch.laws import rvi_covers, svi_is_highest
from exitless.arch.outcome import Source
from exitless.arch.vmx.eoi import eoi_virtualization
from exitless.arch.vmx.evaluate import deliver_virtual_interrupt
from exitless.arch.vmx.injection import highest_requested
from exitless.arch.vmx.virtual_apic import Reg
from exitless.arch.xen.callback import Callback
from exitless.arch.xen.two_level import mark_events_pending
from exitless.bits.words import ON_PAGE, has_bit
from exitless.check.acts import Act
from exitless.check.property import Law, Sometimes
from exitless.check.world import Packed, Rule, World
from exitless.check.worlds.posting import (
    EVENT_CHECK,
    HIGH,
    LOW,
    bit,
    hexadecimal,
    place_of,
    place_of_class,
    put_bit,
    vector_at,
    vectors,
)
from exitless.check.worlds.telling import owner
from exitless.mech.procedures.assist import Assist, intr_assist
from exitless.mech.vcpu import VirtualCpu
from exitless.mech.virtual import Virtual
from exitless.vocab.exits import Exit
from exitless.vocab.kinds import Kind, Owner

UPCALL: Final = 243
EXCEPTION: Final = 14


class Handler:
    """What the guest runs; handlers run with IF = 0."""

    NONE: Final = 0
    UPCALL: Final = 1
    UPCALL_DONE: Final = 2
    EXCEPTION: Final = 3
    VECTOR: Final = 4
    VECTOR_DONE: Final = 5


class Entering(World):
    """A guest with a global callback vector. An exit is one step, Xen's pass with the entry another; a kick that
    arrives between them costs no exit of its own.

    ``raises``, ``requests`` and ``cuts`` count what may still happen: events, vectors of the local APIC (0x41, then
    0x51), exits amid an exception's delivery. ``kicked`` is 1 while an event check is under way, ``root`` in root mode.
    """

    def __init__(self, name: str, mutation: str, requests: i64) -> None:
        super().__init__(name, mutation)
        self.agents = ["the guest", "Xen", "kick", "exception"]
        self.laws = [Law.DELAYED, Law.ENDLESS]
        self.wanted = Sometimes.UPCALL | Sometimes.WINDOW | Sometimes.REINJECTED
        if requests > 0:
            self.laws = [Law.STATUS_LAGS, Law.DELAYED, Law.ENDLESS]
            self.wanted = self.wanted | Sometimes.DELIVERED
        self.packed: Packed = Packed()
        self.target: VirtualCpu = VirtualCpu(0)
        self.target.has_vid = 1
        self.target.callback_style = Callback.VECTOR
        self.target.callback_vector = UPCALL
        self.delivery: Virtual = Virtual()
        self.out: Assist = Assist()
        self.most: i64 = requests
        self.raises: i64 = 0
        self.requests: i64 = 0
        self.cuts: i64 = 0
        self.kicked: i64 = 0
        self.root: i64 = 0
        self.handler: i64 = 0

    def reset(self) -> None:
        """The guest runs with IF = 1, nothing is pending."""
        self.load(0)
        self.target.state.interrupt_flag = 1
        self.raises = 2
        self.requests = self.most
        self.cuts = 2

    def key(self) -> i64:
        """Return the whole state as one number."""
        p: Packed = self.packed
        v: VirtualCpu = self.target
        p.start(0)
        p.put(bit(has_bit(v.vapic.page, Reg.VIRR, ON_PAGE, LOW)), 1)
        p.put(bit(has_bit(v.vapic.page, Reg.VIRR, ON_PAGE, HIGH)), 1)
        p.put(bit(has_bit(v.vapic.page, Reg.VISR, ON_PAGE, LOW)), 1)
        p.put(bit(has_bit(v.vapic.page, Reg.VISR, ON_PAGE, HIGH)), 1)
        p.put(place_of(v.vapic.rvi), 2)
        p.put(place_of(v.vapic.svi), 2)
        p.put(place_of_class(v.vapic.page[Reg.VPPR] >> 4), 2)
        p.put(v.vapic.recognized, 1)
        p.put(v.vapic.window_exiting, 1)
        p.put(v.state.interrupt_flag, 1)
        p.put(v.info.upcall_pending, 1)
        p.put(self.raises, 2)
        p.put(self.requests, 2)
        p.put(self.cuts, 2)
        p.put(self.kicked, 1)
        p.put(self.root, 1)
        p.put(bit(v.state.entry_vector >= 0), 1)
        p.put(self.handler, 3)
        return p.word

    def load(self, key: i64) -> None:
        """Become the state with this number."""
        p: Packed = self.packed
        v: VirtualCpu = self.target
        p.start(key)
        put_bit(v, Reg.VIRR, LOW, p.get(1))
        put_bit(v, Reg.VIRR, HIGH, p.get(1))
        put_bit(v, Reg.VISR, LOW, p.get(1))
        put_bit(v, Reg.VISR, HIGH, p.get(1))
        v.vapic.rvi = vector_at(p.get(2))
        v.vapic.svi = vector_at(p.get(2))
        v.vapic.page[Reg.VPPR] = vector_at(p.get(2)) & 240
        v.vapic.recognized = p.get(1)
        v.vapic.window_exiting = p.get(1)
        v.state.interrupt_flag = p.get(1)
        v.info.upcall_pending = p.get(1)
        self.raises = p.get(2)
        self.requests = p.get(2)
        self.cuts = p.get(2)
        self.kicked = p.get(1)
        self.root = p.get(1)
        v.state.entry_vector = -1
        if p.get(1) != 0:
            v.state.entry_vector = EXCEPTION
        self.handler = p.get(3)

    def move(self, agent: i64) -> i64:
        """Let an agent take its next step."""
        self.happened = 0
        if agent == 0:
            if self.root != 0:
                self.root = 0
                self.pass_through()
                return Act.PASS
            return self.guest_step()
        if agent == 1:
            return self.xen_step()
        if agent == 2:
            if self.kicked == 0:
                return Rule.NONE
            self.kicked = 0
            was: i64 = self.root
            self.leave()
            return Act.KICK_IN_ROOT if was != 0 else Act.KICK_EXIT
        if self.cuts == 0 or self.handler != Handler.NONE or self.root != 0:
            return Rule.NONE
        self.cuts -= 1
        self.target.state.entry_vector = EXCEPTION
        self.happened = Sometimes.REINJECTED
        self.leave()
        return Act.CUT_SHORT

    def leave(self) -> None:
        """The guest exits, unless it is out already; recognition does not survive that."""
        self.root = 1
        self.target.vapic.recognized = 0

    def xen_step(self) -> i64:
        """Somebody raises an event, or else requests a vector."""
        v: VirtualCpu = self.target
        if self.raises > 0 and (self.requests == 0 or self.raises >= self.requests):
            self.raises -= 1
            if not mark_events_pending(v.info):
                self.kicked = 1
            return Act.RAISE
        if self.requests == 0:
            return Rule.NONE
        self.a = LOW if self.requests == 2 else HIGH
        self.requests -= 1
        if self.delivery.request(v, self.a, 0) != 0:
            self.kicked = 1
        return Act.REQUEST

    def pass_through(self) -> None:
        """Xen after an exit: it asks what is pending, arms or writes what its source leaves out, and enters."""
        v: VirtualCpu = self.target
        out: Assist = self.out
        armed: i64 = v.vapic.window_exiting
        intr_assist(v, self.delivery, out)
        if self.mutation == "no-window-after-injection" and out.window_after >= 0:
            v.vapic.window_exiting = armed
        if self.mutation == "no-window-when-closed" and out.window_first >= 0:
            v.vapic.window_exiting = armed
        waits: bool = out.injected < 0 and out.window_first < 0
        if self.mutation != "no-window-for-callback" and waits and out.source == Source.VECTOR:
            v.vapic.window_exiting = 1
        if self.mutation != "rvi-in-lapic-branch-only" and waits and out.source == Source.LAPIC:
            v.vapic.rvi = highest_requested(v.vapic)
        injected: i64 = self.delivery.enter(v)
        if injected == UPCALL:
            self.handler = Handler.UPCALL
            self.happened = self.happened | Sometimes.UPCALL
        elif injected == EXCEPTION:
            self.handler = Handler.EXCEPTION

    def guest_step(self) -> i64:
        """The guest at an instruction boundary: the window first, then a virtual interrupt, then its handler."""
        v: VirtualCpu = self.target
        if v.state.interrupt_flag != 0 and v.vapic.window_exiting != 0:
            if self.mutation != "window-kept":
                v.vapic.window_exiting = 0
            self.happened = Sometimes.WINDOW
            self.leave()
            return Act.WINDOW_EXIT
        if v.state.interrupt_flag != 0 and v.vapic.recognized != 0:
            self.a = deliver_virtual_interrupt(v.vapic)
            v.state.interrupt_flag = 0
            self.handler = Handler.VECTOR
            self.happened = Sometimes.DELIVERED
            return Act.DELIVER
        if self.handler == Handler.UPCALL:
            v.info.upcall_pending = 0
            self.handler = Handler.UPCALL_DONE
            return Act.CLEAR_UPCALL
        if self.handler == Handler.VECTOR:
            self.a = v.vapic.svi
            eoi_virtualization(v.vapic)
            self.handler = Handler.VECTOR_DONE
            return Act.END
        if self.handler == Handler.NONE:
            return Rule.NONE
        v.state.interrupt_flag = 1
        self.handler = Handler.NONE
        return Act.RETURN

    def broken(self) -> i64:
        """I1 and I10, asked in the guest as far as no kick is under way to it."""
        v: VirtualCpu = self.target
        if self.kicked == 0 and self.root == 0 and not (rvi_covers(v.vapic) and svi_is_highest(v.vapic)):
            return Law.STATUS_LAGS if self.most > 0 else Law.NONE
        return Law.NONE

    def left_undone(self) -> i64:
        """Nothing may wait for the next exit."""
        v: VirtualCpu = self.target
        if v.info.upcall_pending != 0 or highest_requested(v.vapic) != 0:
            return Law.DELAYED
        return Law.NONE

    def is_free(self, agent: i64) -> bool:
        """Nobody need raise or request anything, and no exception need come."""
        return agent == 1 or agent == 3

    def fields(self) -> list[tuple[str, str]]:
        """Return the state to be read."""
        v: VirtualCpu = self.target
        names: list[str] = ["its own code", "the upcall", "the upcall's end", "an exception", "0x41/0x51", "after EOI"]
        held: list[int] = [n for n in (LOW, HIGH) if has_bit(v.vapic.page, Reg.VIRR, ON_PAGE, n)]
        return [
            ("upcall_pending", str(int(v.info.upcall_pending))),
            ("VIRR", vectors(held)),
            ("RVI", hexadecimal(v.vapic.rvi)),
            ("SVI", hexadecimal(v.vapic.svi)),
            ("window", "armed" if v.vapic.window_exiting != 0 else "no"),
            ("IF", str(int(v.state.interrupt_flag))),
            ("kick under way", str(int(self.kicked))),
            ("pCPU 0 runs", "Xen" if self.root != 0 else names[self.handler]),
        ]

    def rows(self, rule: i64) -> list[tuple[int, int, int, int, int]]:
        """Return what the last move was in the record's words."""
        rvi: int = int(self.target.vapic.rvi)
        if rule == Act.RAISE:
            return [(Kind.UPCALL_MARK, -1, 0, 0, 0)]
        if rule == Act.REQUEST:
            return [(Kind.IRQ_REQUEST, -1, 0, int(self.a), 0)]
        if rule == Act.KICK_EXIT:
            return [(Kind.VM_EXIT, 0, 0, Exit.EXTERNAL_INTERRUPT, EVENT_CHECK), owner(Owner.XEN)]
        if rule == Act.CUT_SHORT:
            return [(Kind.VM_EXIT, 0, 0, Exit.EPT_VIOLATION, 0), owner(Owner.XEN)]
        if rule == Act.WINDOW_EXIT:
            return [(Kind.VM_EXIT, 0, 0, Exit.INTERRUPT_WINDOW, 0), owner(Owner.XEN)]
        if rule == Act.PASS:
            return [(Kind.VM_ENTRY, 0, 0, -1, rvi), owner(Owner.GUEST)]
        if rule == Act.DELIVER:
            return [(Kind.IRQ_DELIVER, 0, 0, int(self.a), rvi)]
        if rule == Act.END:
            return [(Kind.IRQ_EOI, 0, 0, int(self.a), 0)]
        return []


def event_with_reinjection(mutation: str) -> World:
    """Return the world of upcalls that meet an exception to be injected again."""
    return Entering("event-with-reinjection", mutation, 0)


def window_under_vid(mutation: str) -> World:
    """Return the same with vectors of the local APIC."""
    return Entering("window-under-vid", mutation, 2)
