"""A vCPU is preempted and goes on on another pCPU while it is posted to: notifications go where it was.

Nothing may depend on a notification to the old pCPU: ON stays set, and the entry on the new pCPU finds it.
"""

from typing import Final

from mypy_extensions import i64

from exitless.arch.laws import running_is_notified, rvi_covers, svi_is_highest
from exitless.arch.vmx.posted import has_posted
from exitless.check.acts import Act
from exitless.check.property import Law, Sometimes
from exitless.check.world import Packed, Rule, World
from exitless.check.worlds.orders import post_program, switching_program
from exitless.check.worlds.posting import EVENT_CHECK, HIGH, LOW, NOTIFICATION, Posting, place_of, vector_at
from exitless.check.worlds.telling import told
from exitless.mech.procedures.block import Resume
from exitless.mech.procedures.post import Post
from exitless.mech.procedures.procedure import Step, Verb
from exitless.mech.procedures.process import Process, process_posted
from exitless.mech.vcpu import VirtualCpu


class Place:
    """What is done with the vCPU."""

    GUEST: Final = 0
    ENTERING: Final = 1
    LEAVING: Final = 2
    WAITING: Final = 3


class PostWhileMigrating(Posting):
    """One vCPU on pCPUs 0 and 1, preempted up to twice and moved up to twice; VT-d posts 0x41, pCPU 2 posts 0x51.

    ``home`` is the pCPU it runs on or waits for. ``notifications``, ``kicks`` and ``softirq`` are those of pCPU 0,
    ``notifications_1`` and so on those of pCPU 1.
    """

    def __init__(self, mutation: str) -> None:
        super().__init__("post-while-migrating", mutation, LOW, LOW)
        self.agents = [
            "the vCPU", "VT-d", "pCPU 2", "notification to 0", "notification to 1", "kick of 0", "kick of 1",
            "scheduler",
        ]  # fmt: skip
        self.laws = [
            Law.SUPPRESSED_WHILE_RUNNING, Law.STATUS_LAGS, Law.DELIVERED_TWICE, Law.REQUEST_VANISHED, Law.DELAYED,
            Law.ENDLESS,
        ]  # fmt: skip
        self.wanted = (
            Sometimes.TAKEN_BY_OTHER | Sometimes.SUPPRESSED | Sometimes.RESCANNED | Sometimes.PROCESSED_IN_GUEST
        )
        self.place: i64 = 0
        self.home: i64 = 0
        self.preemptions: i64 = 0
        self.moves: i64 = 0
        self.notifications_1: i64 = 0
        self.kicks_1: i64 = 0
        self.softirq_1: i64 = 0
        self.process: Process = Process(self.target, process_posted())
        self.resume: Resume = Resume(self.target, 0, switching_program(mutation))
        self.poster: Post = Post(self.target, HIGH, post_program(mutation))
        self.target.state.interrupt_flag = 1

    def reset(self) -> None:
        """The guest runs on pCPU 0, nothing is posted."""
        self.load(0)
        self.posts_left = 1
        self.preemptions = 2
        self.moves = 2
        self.target.running_on = 0
        self.process.finish()
        self.resume.finish()
        self.poster.begin()

    def key(self) -> i64:
        """Return the whole state as one number."""
        p: Packed = self.packed
        p.start(0)
        self.put_posting()
        p.put(self.place, 2)
        p.put(self.home, 1)
        p.put(self.preemptions, 2)
        p.put(self.moves, 2)
        p.put(self.target.running_on + 1, 2)
        p.put(self.notifications_1, 2)
        p.put(self.kicks, 1)
        p.put(self.kicks_1, 1)
        p.put(self.softirq, 1)
        p.put(self.softirq_1, 1)
        p.put(self.process.at, 2)
        p.put(place_of(self.process.top), 2)
        p.put(self.resume.at, 4)
        p.put(self.poster.at, 3)
        p.put(self.poster.claimed, 1)
        p.put(self.poster.seen_on + 1, 2)
        return p.word

    def load(self, key: i64) -> None:
        """Become the state with this number."""
        p: Packed = self.packed
        p.start(key)
        self.get_posting()
        self.place = p.get(2)
        self.home = p.get(1)
        self.preemptions = p.get(2)
        self.moves = p.get(2)
        self.target.running_on = p.get(2) - 1
        self.notifications_1 = p.get(2)
        self.kicks = p.get(1)
        self.kicks_1 = p.get(1)
        self.softirq = p.get(1)
        self.softirq_1 = p.get(1)
        self.process.at = p.get(2)
        self.process.top = vector_at(p.get(2))
        self.resume.at = p.get(4)
        self.resume.pcpu = self.home
        self.poster.at = p.get(3)
        self.poster.claimed = p.get(1)
        self.poster.seen_on = p.get(2) - 1

    def send(self, pcpu: i64, vector: i64) -> None:
        """A notification leaves for ``pcpu``."""
        if pcpu == 0:
            self.notifications += 1
        else:
            self.notifications_1 += 1

    def raise_softirq(self, pcpu: i64) -> None:
        """Raise the kick softirq of ``pcpu``."""
        if pcpu == 0:
            self.softirq = 1
        else:
            self.softirq_1 = 1

    def take_softirq(self, pcpu: i64) -> bool:
        """Clear the kick softirq of ``pcpu``."""
        was: bool = (self.softirq if pcpu == 0 else self.softirq_1) != 0
        if pcpu == 0:
            self.softirq = 0
        else:
            self.softirq_1 = 0
        return was

    def kick(self, pcpu: i64) -> None:
        """Raise the softirq from pCPU 2, with an event check unless the bit was set."""
        if not self.take_softirq(pcpu):
            if pcpu == 0:
                self.kicks = 1
            else:
                self.kicks_1 = 1
        self.raise_softirq(pcpu)

    def delist(self, vcpu: VirtualCpu) -> bool:
        """The vCPU never blocks here."""
        return False

    def unblock(self, vcpu: VirtualCpu) -> None:
        """The vCPU never blocks here."""

    def move(self, agent: i64) -> i64:
        """Let an agent take its next step."""
        self.happened = 0
        if agent == 0:
            return self.vcpu_step()
        if agent == 1:
            rule: i64 = self.hardware_post()
            if rule != Rule.NONE and self.b & 4 != 0:
                self.happened = self.happened | Sometimes.SUPPRESSED
            return rule
        if agent == 2:
            return self.software_post()
        if agent == 7:
            return self.schedule()
        pcpu: i64 = (agent - 3) & 1
        if self.home == pcpu and (not self.process.is_idle() or (self.place == Place.ENTERING and self.is_closed())):
            return Rule.NONE
        return self.notification_arrives(pcpu) if agent < 5 else self.kick_arrives(pcpu)

    def is_closed(self) -> bool:
        """Tell whether the pCPU that enters the guest has interrupts off."""
        return self.resume.is_closed()

    def schedule(self) -> i64:
        """The scheduler preempts the guest, or moves the vCPU that waits."""
        if self.place == Place.GUEST and self.process.is_idle() and self.preemptions > 0:
            self.preemptions -= 1
            self.target.vapic.recognized = 0
            self.place = Place.LEAVING
            return Act.PREEMPT
        if self.place == Place.WAITING and self.moves > 0:
            self.moves -= 1
            self.home = 1 - self.home
            return Act.MIGRATE
        return Rule.NONE

    def vcpu_step(self) -> i64:
        """Whatever runs the vCPU goes on."""
        if not self.process.is_idle():
            return self.process_step()
        if self.place == Place.GUEST:
            return self.guest_step()
        if self.place == Place.LEAVING:
            if self.target.pid.sn == 0:
                self.target.pid.sn = 1
                return Verb.SUPPRESS
            self.take_softirq(self.home)
            self.target.running_on = -1
            self.place = Place.WAITING
            return Rule.SWITCH_AWAY
        if self.place == Place.WAITING:
            self.place = Place.ENTERING
            self.resume.pcpu = self.home
            self.resume.begin()
        verb: i64 = self.resume.verb()
        had: bool = has_posted(self.target.pid)
        if self.resume.step(self) == Step.DONE:
            self.place = Place.GUEST
        if verb == Verb.SYNC_PIR:
            self.requests_taken()
        elif verb == Verb.RESCAN and had:
            self.happened = Sometimes.RESCANNED
        return verb

    def process_step(self) -> i64:
        """The processor takes a step of posted-interrupt processing."""
        verb: i64 = self.process.verb()
        if verb == Verb.TAKE_PIR and has_posted(self.target.pid):
            self.happened = Sometimes.PROCESSED_IN_GUEST
        self.process.step(self)
        if verb == Verb.TAKE_PIR:
            self.requests_taken()
        if self.process.is_idle():
            self.process.top = 0
        return verb

    def software_post(self) -> i64:
        """pCPU 2 takes a step of its post."""
        if self.poster.is_idle():
            return Rule.NONE
        verb: i64 = self.poster.verb()
        self.poster.step(self)
        self.a = HIGH
        self.b = self.poster.again if verb == Verb.SET_PIR else self.poster.claimed
        if verb == Verb.SET_PIR:
            self.request_accepted(HIGH)
        if self.poster.is_idle():
            self.poster.claimed = 0
            self.poster.seen_on = -1
        return verb

    def notification_arrives(self, pcpu: i64) -> i64:
        """The notification vector is taken on ``pcpu``, by the vCPU or by whatever else runs there."""
        if (self.notifications if pcpu == 0 else self.notifications_1) == 0:
            return Rule.NONE
        if pcpu == 0:
            self.notifications -= 1
        else:
            self.notifications_1 -= 1
        if self.home != pcpu or self.place == Place.WAITING:
            self.happened = Sometimes.TAKEN_BY_OTHER
            return Rule.NOTIFY_ELSEWHERE
        if self.place == Place.GUEST:
            self.process.begin()
            self.process_step()
            return Rule.NOTIFY_IN_GUEST
        self.raise_softirq(pcpu)
        return Rule.NOTIFY_IN_ROOT

    def kick_arrives(self, pcpu: i64) -> i64:
        """The event check is taken on ``pcpu``: a guest exits; another vCPU's entry consumes the softirq."""
        if (self.kicks if pcpu == 0 else self.kicks_1) == 0:
            return Rule.NONE
        if pcpu == 0:
            self.kicks = 0
        else:
            self.kicks_1 = 0
        self.a = EVENT_CHECK
        if self.home == pcpu and self.place == Place.GUEST:
            self.target.vapic.recognized = 0
            self.place = Place.ENTERING
            self.resume.after_exit()
            return Rule.KICK_IN_GUEST
        if self.home != pcpu or self.place == Place.WAITING:
            self.take_softirq(pcpu)
        return Rule.KICK_ELSEWHERE

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
            if self.process.is_idle() and not (rvi_covers(v.vapic) and svi_is_highest(v.vapic)):
                return Law.STATUS_LAGS
        return Law.NONE

    def left_undone(self) -> i64:
        """Every request must have been delivered."""
        return Law.DELAYED if self.is_owed() else Law.NONE

    def is_free(self, agent: i64) -> bool:
        """Nobody need post, preempt or move anything."""
        return agent == 1 or agent == 7 or (agent == 2 and self.poster.at == 0)

    def fields(self) -> list[tuple[str, str]]:
        """Return the state to be read."""
        names: list[str] = ["in its guest", "entering", "leaving", "waiting"]
        return super().fields() + [
            ("vCPU", names[self.place]),
            ("its pCPU", str(int(self.home))),
            ("under way to pCPU 1", str(int(self.notifications_1)) + " × notification"),
        ]

    def rows(self, rule: i64) -> list[tuple[int, int, int, int, int]]:
        """Return what the last move was in the record's words."""
        if rule == Act.PREEMPT or rule == Act.MIGRATE or rule == Verb.SWITCH_IN or rule == Rule.SWITCH_AWAY:
            return []
        return told(rule, self.target, NOTIFICATION if rule == Verb.NOTIFY else self.a, self.b)


def post_while_migrating(mutation: str) -> World:
    """Return the world of a vCPU that moves."""
    return PostWhileMigrating(mutation)
