"""Xen's protocol: a vCPU halts and blocks while a remapping unit and another processor post vectors for it.

While the vCPU sleeps another vCPU with the same notification vector runs on its pCPU, which is why NV has to change:
a notification that arrives then is consumed against the wrong descriptor.
"""

from typing import Final

from mypy_extensions import i64

from exitless.arch.laws import blocked_is_woken, running_is_notified, rvi_covers, svi_is_highest
from exitless.arch.vmx.posted import has_posted
from exitless.check.property import Law, Sometimes
from exitless.check.world import Rule, World
from exitless.check.worlds.hosting import Hosting
from exitless.check.worlds.orders import block_program, post_program, process_program, resume_program, wakeup_program
from exitless.check.worlds.posting import EVENT_CHECK, HIGH, LOW, NOTIFICATION, WAKEUP, place_of, vector_at
from exitless.check.worlds.telling import told
from exitless.mech.procedures.block import Block, Resume, Wakeup
from exitless.mech.procedures.post import Post
from exitless.mech.procedures.procedure import Step, Verb
from exitless.mech.procedures.process import Process, process_posted
from exitless.mech.vcpu import VirtualCpu

HALTS: Final = 2


class Place:
    """What pCPU 0 is doing when it is in no handler."""

    GUEST: Final = 0
    BLOCKING: Final = 1
    ENTERING: Final = 2
    ELSEWHERE: Final = 3


class PostWhileBlocking(Hosting):
    """One vCPU that halts twice, three posts: 0x41 and 0x51 by the remapping unit, 0x41 by pCPU 1.

    ``place`` is one of Place. The agents are pCPU 0 with whatever it runs, the two posters, and one for each kind of
    message under way, whose step is the arrival.
    """

    def __init__(self, mutation: str) -> None:
        super().__init__("post-while-blocking", mutation, LOW, HIGH)
        self.agents = ["pCPU 0", "VT-d", "pCPU 1", "notification", "wake-up", "event check"]
        self.laws = [
            Law.SUPPRESSED_WHILE_RUNNING,
            Law.WRONG_VECTOR_IN_GUEST,
            Law.UNREACHABLE_SLEEPER,
            Law.STATUS_LAGS,
            Law.DELIVERED_TWICE,
            Law.REQUEST_VANISHED,
            Law.LOST,
            Law.DELAYED,
            Law.ENDLESS,
        ]
        self.wanted = (
            Sometimes.WOKEN_BY_VECTOR
            | Sometimes.PROCESSED_IN_GUEST
            | Sometimes.STAYED_AWAKE
            | Sometimes.TAKEN_BY_OTHER
            | Sometimes.WOKEN_BY_SENDER
            | Sometimes.LOOKED_AGAIN
            | Sometimes.MERGED
        )
        self.place: i64 = Place.GUEST
        self.halts: i64 = HALTS
        self.is_deaf: bool = mutation == "notification-handler-does-nothing"
        self.is_told: bool = mutation != "wakeup-raises-no-softirq" and mutation != "softirq-only-if-found"
        self.process: Process = Process(self.target, process_program(mutation))
        self.others: Process = Process(self.other, process_posted())
        self.block: Block = Block(self.target, 0, block_program(mutation))
        self.resume: Resume = Resume(self.target, 0, resume_program(mutation))
        self.wakeup: Wakeup = Wakeup(self.target, 0, wakeup_program(mutation))
        self.poster: Post = Post(self.target, LOW, post_program(mutation))
        self.target.state.interrupt_flag = 1

    def reset(self) -> None:
        """The guest runs on pCPU 0, nothing is posted, nobody has begun."""
        self.load(0)
        self.posts_left = 2
        self.halts = HALTS
        self.target.running_on = 0
        self.process.finish()
        self.block.finish()
        self.resume.finish()
        self.wakeup.finish()
        self.poster.begin()

    def key(self) -> i64:
        """Return the whole state as one number."""
        self.packed.start(0)
        self.put_posting()
        p = self.packed
        p.put(self.place, 2)
        p.put(self.halts, 2)
        p.put(self.target.blocked, 1)
        p.put(self.target.running_on + 1, 1)
        p.put(self.listed + 1, 1)
        p.put(self.softirq, 1)
        p.put(self.kicks, 1)
        p.put(self.process.at, 3)
        p.put(place_of(self.process.top), 2)
        p.put(self.block.at, 4)
        p.put(self.resume.at, 4)
        p.put(self.wakeup.at, 3)
        p.put(self.poster.at, 3)
        p.put(self.poster.claimed, 1)
        p.put(self.poster.seen_on + 1, 1)
        return p.word

    def load(self, key: i64) -> None:
        """Become the state with this number."""
        self.packed.start(key)
        self.get_posting()
        p = self.packed
        self.place = p.get(2)
        self.halts = p.get(2)
        self.target.blocked = p.get(1)
        self.target.running_on = p.get(1) - 1
        self.listed = p.get(1) - 1
        self.softirq = p.get(1)
        self.kicks = p.get(1)
        self.process.at = p.get(3)
        self.process.top = vector_at(p.get(2))
        self.block.at = p.get(4)
        self.resume.at = p.get(4)
        self.wakeup.at = p.get(3)
        self.wakeup.found = 0
        self.poster.at = p.get(3)
        self.poster.claimed = p.get(1)
        self.poster.seen_on = p.get(1) - 1

    def move(self, agent: i64) -> i64:
        """Let an agent take its next step."""
        self.happened = 0
        if agent == 0:
            if not self.wakeup.is_idle():
                return self.wakeup_step()
            if not self.process.is_idle():
                return self.process_step()
            if self.place == Place.GUEST:
                return self.guest_step()
            return self.root_step()
        if agent == 1:
            return self.hardware_post()
        if agent == 2:
            return self.software_post()
        if not self.wakeup.is_idle() or not self.process.is_idle():
            return Rule.NONE
        if self.place == Place.ENTERING and self.resume.is_closed():
            return Rule.NONE
        if agent == 3:
            return self.notification_arrives()
        if agent == 4:
            return self.wakeup_arrives()
        return self.event_check_arrives()

    def guest_step(self) -> i64:
        """The guest takes a recognized interrupt, ends the one in service, or halts, in this order."""
        rule: i64 = super().guest_step()
        if rule != Rule.NONE:
            return rule
        if self.halts == 0:
            return Rule.NONE
        self.halts -= 1
        self.place = Place.BLOCKING
        self.block.begin()
        return Rule.HALT

    def root_step(self) -> i64:
        """pCPU 0 goes on blocking or entering, or runs another vCPU until this one can run."""
        if self.place == Place.BLOCKING:
            verb: i64 = self.block.verb()
            running: i64 = self.target.blocked
            if self.block.step(self) == Step.DONE:
                self.leave_block(verb, running)
            if verb == Verb.SYNC_PIR:
                self.requests_taken()
            return verb
        if self.place == Place.ELSEWHERE:
            if self.target.blocked != 0:
                return Rule.NONE
            self.place = Place.ENTERING
            self.resume.begin()
        verb = self.resume.verb()
        asked: i64 = self.softirq
        if self.resume.step(self) == Step.DONE:
            self.place = Place.GUEST
        if verb == Verb.SYNC_PIR:
            self.requests_taken()
        if verb == Verb.CLOSE and asked != 0:
            self.happened = Sometimes.LOOKED_AGAIN
        return verb

    def leave_block(self, verb: i64, blocked: i64) -> None:
        """Blocking has ended: the vCPU sleeps, or goes back into its guest."""
        if verb == Verb.TEST and blocked != 0:
            self.happened = Sometimes.STAYED_AWAKE
        if self.target.running_on < 0:
            self.place = Place.ELSEWHERE
            self.softirq = 0
        else:
            self.place = Place.ENTERING
            self.resume.after_exit()

    def process_step(self) -> i64:
        """The processor takes a step of posted-interrupt processing."""
        verb: i64 = self.process.verb()
        had: bool = has_posted(self.target.pid)
        self.process.step(self)
        if verb == Verb.TAKE_PIR or verb == Verb.COPY_PIR:
            self.requests_taken()
            if had:
                self.happened = Sometimes.PROCESSED_IN_GUEST
        if self.process.is_idle():
            self.process.top = 0
        return verb

    def wakeup_step(self) -> i64:
        """The handler of the wake-up vector takes a step."""
        verb: i64 = self.wakeup.verb()
        if verb == Verb.WAKE and self.place == Place.ELSEWHERE and self.target.blocked != 0:
            self.happened = Sometimes.WOKEN_BY_VECTOR
        self.wakeup.step(self)
        return verb

    def software_post(self) -> i64:
        """pCPU 1 takes a step of its post."""
        if self.poster.is_idle():
            return Rule.NONE
        verb: i64 = self.poster.verb()
        if verb == Verb.UNBLOCK and self.place == Place.ELSEWHERE and self.target.blocked != 0:
            self.happened = Sometimes.WOKEN_BY_SENDER
        before: i64 = self.poster.claimed
        self.poster.again = 0
        self.poster.step(self)
        self.a = LOW
        if verb == Verb.SET_PIR:
            self.b = self.poster.again
            self.request_accepted(LOW)
            if self.poster.again != 0:
                self.happened = Sometimes.MERGED
        elif verb == Verb.CLAIM_ON:
            self.b = 1 if self.poster.claimed != before else 8
        elif verb == Verb.NOTIFY:
            self.a = NOTIFICATION if self.poster.claimed != 0 else EVENT_CHECK
        if self.poster.is_idle():
            self.poster.claimed = 0
            self.poster.seen_on = -1
        return verb

    def notification_arrives(self) -> i64:
        """The notification vector is taken on pCPU 0, by whatever runs there."""
        if self.notifications == 0:
            return Rule.NONE
        self.notifications -= 1
        if self.place == Place.GUEST:
            self.process.begin()
            self.process_step()
            return Rule.NOTIFY_IN_GUEST
        if self.place == Place.ELSEWHERE:
            self.others.run(self)
            self.happened = Sometimes.TAKEN_BY_OTHER
            return Rule.NOTIFY_ELSEWHERE
        if not self.is_deaf:
            self.raise_softirq(0)
        return Rule.NOTIFY_IN_ROOT

    def wakeup_arrives(self) -> i64:
        """The wake-up vector is taken on pCPU 0: a guest exits, and the handler looks through the list."""
        if self.wakeups == 0:
            return Rule.NONE
        self.wakeups -= 1
        rule: i64 = Rule.WAKEUP
        if self.place == Place.GUEST:
            self.exit_guest()
            rule = Rule.WAKEUP_IN_GUEST
        self.a = WAKEUP
        if self.is_told:
            self.raise_softirq(0)
        self.wakeup.begin()
        self.wakeup.step(self)
        return rule

    def event_check_arrives(self) -> i64:
        """The event check is taken on pCPU 0: a guest exits; elsewhere the softirq has been seen anyway."""
        if self.kicks == 0:
            return Rule.NONE
        self.kicks -= 1
        self.a = EVENT_CHECK
        if self.place == Place.GUEST:
            self.exit_guest()
            return Rule.KICK_IN_GUEST
        if self.place == Place.ELSEWHERE:
            self.softirq = 0
        return Rule.KICK_ELSEWHERE

    def exit_guest(self) -> None:
        """An external interrupt takes the vCPU out of its guest; recognition does not survive that."""
        self.target.vapic.recognized = 0
        self.place = Place.ENTERING
        self.resume.after_exit()

    def broken(self) -> i64:
        """Return the law that this state breaks."""
        v: VirtualCpu = self.target
        if self.fault != 0:
            return self.fault
        if self.has_vanished():
            return Law.REQUEST_VANISHED
        if self.place == Place.GUEST:
            if not running_is_notified(v.pid, v.running_on):
                return Law.SUPPRESSED_WHILE_RUNNING
            if v.pid.nv != NOTIFICATION:
                return Law.WRONG_VECTOR_IN_GUEST
            if self.process.is_idle() and not (rvi_covers(v.vapic) and svi_is_highest(v.vapic)):
                return Law.STATUS_LAGS
        if self.place == Place.ELSEWHERE and v.blocked != 0 and self.wakeup.is_idle():
            if not blocked_is_woken(v.pid, WAKEUP, self.listed == v.pid.ndst):
                return Law.UNREACHABLE_SLEEPER
        return Law.NONE

    def left_undone(self) -> i64:
        """Every request must have been delivered."""
        if not self.is_owed():
            return Law.NONE
        if self.target.running_on < 0:
            return Law.LOST
        return Law.DELAYED

    def is_free(self, agent: i64) -> bool:
        """A guest need not halt, and nobody need begin a post."""
        if agent == 0:
            return self.place == Place.GUEST and self.process.is_idle() and self.is_guest_content()
        return agent == 1 or (agent == 2 and self.poster.at == 0)

    def is_guest_content(self) -> bool:
        """Tell whether the guest has nothing to take or to end, and no handler runs on its pCPU."""
        return self.wakeup.is_idle() and self.target.vapic.recognized == 0 and self.target.vapic.svi == 0

    def where(self) -> str:
        """Say what pCPU 0 runs."""
        if not self.wakeup.is_idle():
            return "wake-up handler"
        if self.place == Place.GUEST:
            return "the guest"
        if self.place == Place.ELSEWHERE:
            return "another vCPU"
        return "Xen, blocking" if self.place == Place.BLOCKING else "Xen, entering"

    def fields(self) -> list[tuple[str, str]]:
        """Return the state to be read."""
        state: str = "runs"
        if self.target.running_on < 0:
            state = "asleep" if self.target.blocked != 0 else "runnable"
        return super().fields() + [
            ("vCPU", state),
            ("blocked", str(int(self.target.blocked))),
            ("on the list", "of pCPU 0" if self.listed >= 0 else "no"),
            ("softirq", str(int(self.softirq))),
            ("pCPU 0 runs", self.where()),
        ]

    def rows(self, rule: i64) -> list[tuple[int, int, int, int, int]]:
        """Return what the last move was in the record's words."""
        return told(rule, self.target, self.a, self.b)


def post_while_blocking(mutation: str) -> World:
    """Return the world of Xen's protocol."""
    return PostWhileBlocking(mutation)
