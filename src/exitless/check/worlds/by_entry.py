"""Software gives a guest with virtual-interrupt delivery its vectors at VM entry, and ends them for it now and then.

A request sets its PIR bit and ON and sends a kick; the pass after an exit merges, writes RVI and enters. The guest ends
a handler by itself or by a call, as Viridian's EOI register makes it; an NMI may stand before the local APIC.
"""

from typing import Final

from librt.vecs import vec
from mypy_extensions import i64

from exitless.arch.kvm.posted_intr import set_on
from exitless.arch.vmx.eoi import software_eoi
from exitless.arch.vmx.injection import EventType, highest_requested, inject_at_entry, load_at_entry
from exitless.arch.vmx.posted import set_pir
from exitless.check.acts import Act
from exitless.check.property import Law, Sometimes
from exitless.check.world import Rule, World
from exitless.check.worlds.posting import HIGH, LOW, place_of
from exitless.check.worlds.small import Small, top_place

NMI: Final = 0
CALLS: Final = 1
NMI_VECTOR: Final = 2


class ByEntry(Small):
    """``posts_left`` counts requests, 0x41 and then 0x51. The NMI's handler is over at once.

    Mutations: ``injected-too`` puts the vector into the entry field as well, ``rvi-not-written`` leaves RVI,
    ``no-sync-behind-nmi`` does not look at PIR when an NMI goes first, ``svi-kept`` and ``svi-zeroed`` write the wrong
    SVI after an EOI in software.
    """

    def __init__(self, mutation: str) -> None:
        super().__init__("request-by-entry", mutation, HIGH, ["NMI", "calls left"], vec[i64]([2, 2]))
        self.agents = ["hypervisor", "sender", "kick", "the guest", "a call", "NMI"]
        self.laws = [Law.DELIVERED_TWICE, Law.STATUS_LAGS, Law.DELAYED, Law.ENDLESS]
        self.wanted = Sometimes.DELIVERED | Sometimes.ENDED_BY_CALL | Sometimes.BEHIND_NMI

    def reset(self) -> None:
        """The guest runs, nothing is requested."""
        self.load(0)
        self.posts_left = 2
        self.x[NMI] = 2
        self.x[CALLS] = 2

    def move(self, agent: i64) -> i64:
        """Let an agent take its next step."""
        self.happened = 0
        if agent == 0:
            return self.pass_through()
        if agent == 1:
            return self.request()
        if agent == 2:
            return self.kick_arrives()
        if agent == 3:
            return self.guest_step()
        if agent == 4:
            return self.call()
        if self.x[NMI] != 2:
            return Rule.NONE
        self.x[NMI] = 1
        self.leave()
        return Act.NMI_EXIT

    def request(self) -> i64:
        """A vector is posted by software, and an exit asked for."""
        if self.posts_left == 0:
            return Rule.NONE
        self.a = LOW if self.posts_left == 2 else HIGH
        self.posts_left -= 1
        set_pir(self.target.pid, self.a)
        set_on(self.target.pid)
        self.request_accepted(self.a)
        self.kick(0)
        return Act.REQUEST

    def pass_through(self) -> i64:
        """The hypervisor asks what is pending, and enters; an NMI that was taken goes first."""
        if self.root == 0:
            return Rule.NONE
        v = self.target
        behind: bool = self.x[NMI] == 1
        if not (behind and self.mutation == "no-sync-behind-nmi"):
            self.sync()
        vector: i64 = highest_requested(v.vapic)
        if behind:
            self.x[NMI] = 0
            v.state.entry_vector = NMI_VECTOR
            v.state.entry_type = EventType.NMI
            if vector != 0:
                self.happened = Sometimes.BEHIND_NMI
        elif vector != 0 and self.mutation == "injected-too":
            v.state.entry_vector = vector
            v.state.entry_type = EventType.EXTERNAL_INTERRUPT
        if self.mutation != "rvi-not-written":
            v.vapic.rvi = vector
        load_at_entry(v.vapic)
        self.root = 0
        injected: i64 = inject_at_entry(v.state)
        v.state.interrupt_flag = 1
        v.state.nmi_blocking = 0
        if injected > NMI_VECTOR:
            self.request_delivered(injected)
            self.serving = self.serving | place_of(injected)
        return Act.PASS

    def call(self) -> i64:
        """The highest handler ends by a call: the guest exits, and software retires the vector."""
        vapic = self.target.vapic
        if self.root != 0 or self.x[CALLS] == 0 or vapic.recognized != 0 or self.serving == 0:
            return Rule.NONE
        self.x[CALLS] -= 1
        self.leave()
        was: i64 = vapic.svi
        self.a = software_eoi(vapic)
        self.serving = self.serving & ~place_of(top_place(self.serving))
        if self.mutation == "svi-kept":
            vapic.svi = was
        elif self.mutation == "svi-zeroed":
            vapic.svi = 0
        self.happened = Sometimes.ENDED_BY_CALL
        return Act.END_BY_CALL

    def broken(self) -> i64:
        """Nothing is delivered twice, and RVI and SVI are right in the guest."""
        if self.fault != 0:
            return self.fault
        return Law.STATUS_LAGS if self.lags() else Law.NONE

    def is_free(self, agent: i64) -> bool:
        """Nobody need request anything, end a handler by a call, or send an NMI."""
        return agent == 1 or agent == 4 or agent == 5


def request_by_entry(mutation: str) -> World:
    """Return the world of vectors that entries bring."""
    return ByEntry(mutation)
