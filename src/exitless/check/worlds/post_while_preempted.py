"""A vCPU is preempted while it is posted to, and may halt as well: what does SN hold back, and who makes up for it?

All but the preemption is post-while-blocking's. While SN is set a post fills PIR and leaves ON clear; Xen looks at PIR
only if ON is set. So switching in must ask again, which this world does and Xen's source does not.
"""

from typing import Final

from mypy_extensions import i64

from exitless.arch.vmx.posted import has_posted
from exitless.check.acts import Act
from exitless.check.property import Law, Sometimes
from exitless.check.world import Rule, World
from exitless.check.worlds.orders import switching_program
from exitless.check.worlds.post_while_blocking import Place, PostWhileBlocking
from exitless.check.worlds.posting import EVENT_CHECK
from exitless.check.worlds.telling import owner
from exitless.mech.procedures.block import Resume
from exitless.mech.procedures.procedure import Verb
from exitless.vocab.exits import Exit
from exitless.vocab.kinds import Kind, Owner, RunState

PREEMPTIONS: Final = 1


class Leaving:
    """How far a preempted vCPU has come on its way out."""

    NO: Final = 0
    SUPPRESS: Final = 1
    SWITCH: Final = 2


class PostWhilePreempted(PostWhileBlocking):
    """One vCPU that halts once and is preempted once, on one pCPU. ``leaving`` is one of Leaving."""

    def __init__(self, mutation: str) -> None:
        super().__init__(mutation)
        self.name = "post-while-preempted"
        self.agents = self.agents + ["scheduler"]
        self.wanted = (
            Sometimes.SUPPRESSED | Sometimes.RESCANNED | Sometimes.WOKEN_BY_VECTOR | Sometimes.PROCESSED_IN_GUEST
        )
        self.resume = Resume(self.target, 0, switching_program(mutation))
        self.preemptions: i64 = 0
        self.leaving: i64 = 0

    def reset(self) -> None:
        """As in post-while-blocking; the guest may halt once."""
        super().reset()
        self.halts = 1
        self.preemptions = PREEMPTIONS

    def key(self) -> i64:
        """Return the whole state as one number."""
        super().key()
        self.packed.put(self.preemptions, 1)
        self.packed.put(self.leaving, 2)
        return self.packed.word

    def load(self, key: i64) -> None:
        """Become the state with this number."""
        super().load(key)
        self.preemptions = self.packed.get(1)
        self.leaving = self.packed.get(2)

    def move(self, agent: i64) -> i64:
        """Let an agent take its next step."""
        if agent == 6:
            self.happened = 0
            return self.preempt()
        rule: i64 = super().move(agent)
        if agent == 1 and self.b & 4 != 0:
            self.happened = self.happened | Sometimes.SUPPRESSED
        return rule

    def preempt(self) -> i64:
        """The guest exits, and the scheduler wants another vCPU to run here."""
        if self.preemptions == 0 or self.place != Place.GUEST or not self.process.is_idle():
            return Rule.NONE
        if not self.wakeup.is_idle():
            return Rule.NONE
        self.preemptions -= 1
        self.exit_guest()
        self.resume.finish()
        self.leaving = Leaving.SUPPRESS
        return Act.PREEMPT

    def root_step(self) -> i64:
        """pCPU 0 leaves the vCPU, or does what it does in post-while-blocking."""
        if self.leaving == Leaving.SUPPRESS:
            if self.mutation != "not-suppressed":
                self.target.pid.sn = 1
            self.leaving = Leaving.SWITCH
            return Verb.SUPPRESS
        if self.leaving == Leaving.SWITCH:
            self.leaving = Leaving.NO
            self.target.running_on = -1
            self.place = Place.ELSEWHERE
            self.softirq = 0
            return Rule.SWITCH_AWAY
        rule: i64 = super().root_step()
        if rule == Verb.RESCAN and has_posted(self.target.pid):
            self.happened = self.happened | Sometimes.RESCANNED
        return rule

    def is_free(self, agent: i64) -> bool:
        """Nobody need be preempted."""
        return agent == 6 or super().is_free(agent)

    def left_undone(self) -> i64:
        """Every request must have been delivered."""
        if self.leaving != Leaving.NO:
            return Law.NONE
        return super().left_undone()

    def rows(self, rule: i64) -> list[tuple[int, int, int, int, int]]:
        """Return what the last move was in the record's words."""
        if rule == Act.PREEMPT:
            return [(Kind.VM_EXIT, 0, 0, Exit.EXTERNAL_INTERRUPT, EVENT_CHECK), owner(Owner.XEN)]
        if rule == Rule.SWITCH_AWAY:
            return [
                (Kind.RUNSTATE, 0, 0, RunState.RUNNING, RunState.RUNNABLE),
                (Kind.SCHED_SWITCH, 0, 1, 0, 1),
                (Kind.VM_ENTRY, 0, 1, -1, 0),
                owner(Owner.GUEST),
            ]
        return super().rows(rule)


def post_while_preempted(mutation: str) -> World:
    """Return the world of a vCPU that is preempted."""
    return PostWhilePreempted(mutation)
