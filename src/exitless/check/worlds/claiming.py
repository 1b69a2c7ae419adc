"""Two small worlds about who remembers that a notification is on its way, and whether SN is cleared again."""

from typing import Final

from librt.vecs import vec
from mypy_extensions import i64

from exitless.arch.kvm.posted_intr import rescan
from exitless.arch.laws import running_is_notified
from exitless.arch.vmx.posted import claim_notification, has_posted, set_pir
from exitless.check.acts import Act
from exitless.check.property import Law, Sometimes
from exitless.check.world import Rule, World
from exitless.check.worlds.posting import HIGH, LOW, NOTIFICATION
from exitless.check.worlds.small import Small
from exitless.mech.procedures.procedure import Verb

AT: Final = 0
CLAIMED: Final = 1
OTHERS: Final = 2
LATCH: Final = 3

PLACE: Final = 2
HOOKED: Final = 3
PREEMPTS: Final = 4


class Sending(Small):
    """A processor posts 0x41 and then 0x51 in three steps. ``at`` is its step, ``claimed`` 1 when it must notify."""

    def post_step(self) -> i64:
        """The PIR bit, the claim, the message: a claim that failed makes it a kick."""
        if self.x[AT] == 0:
            if self.posts_left == 0:
                return Rule.NONE
            self.a = LOW if self.posts_left == 2 else HIGH
            self.posts_left -= 1
            set_pir(self.target.pid, self.a)
            self.request_accepted(self.a)
            self.x[AT] = 1
            return Verb.SET_PIR
        self.a = HIGH if self.posts_left == 0 else LOW
        if self.x[AT] == 1:
            self.x[CLAIMED] = self.claim()
            self.x[AT] = 2
            return Verb.CLAIM_ON
        self.x[AT] = 0
        self.a = NOTIFICATION
        if self.x[CLAIMED] != 0:
            self.send(0, NOTIFICATION)
        else:
            self.told_already()
        self.x[CLAIMED] = 0
        return Verb.NOTIFY

    def claim(self) -> i64:
        """Claim the duty to notify. Returns: 1 for claimed."""
        return 1 if claim_notification(self.target.pid) else 0

    def told_already(self) -> None:
        """The claim has failed: a kick."""
        self.kick(0)


class ClaimOnce(Sending):
    """The guest runs with interrupts disabled, and exits twice of itself; an entry takes the softirq and merges.

    Mutation: ``softirq-as-latch`` takes the kick softirq's bit for "notified already", which the processor does not
    clear when it takes PIR in the guest.
    """

    def __init__(self, mutation: str) -> None:
        super().__init__(
            "claim-once", mutation, HIGH, ["sender", "claimed", "exits left", "softirq"], vec[i64]([2, 1, 2, 1])
        )
        self.agents = ["hypervisor", "pCPU 1", "notification", "the guest exits"]
        self.laws = [Law.REQUEST_VANISHED, Law.LEFT_BEHIND, Law.ENDLESS]
        self.wanted = Sometimes.PROCESSED_IN_GUEST | Sometimes.NOTIFIED_ALREADY

    def reset(self) -> None:
        """The guest runs, nothing is posted."""
        self.load(0)
        self.posts_left = 2
        self.x[OTHERS] = 2

    def move(self, agent: i64) -> i64:
        """Let an agent take its next step."""
        self.happened = 0
        if agent == 0:
            if self.root == 0:
                return Rule.NONE
            self.x[LATCH] = 0
            self.sync()
            self.enter()
            return Act.PASS
        if agent == 1:
            return self.post_step()
        if agent == 2:
            return self.notification_arrives()
        if self.root != 0 or self.x[OTHERS] == 0:
            return Rule.NONE
        self.x[OTHERS] -= 1
        self.leave()
        return Act.LEAVE

    def claim(self) -> i64:
        """ON, which every consumer clears; or the softirq's bit."""
        if self.mutation != "softirq-as-latch":
            return super().claim()
        was: i64 = self.x[LATCH]
        self.x[LATCH] = 1
        claim_notification(self.target.pid)
        return 1 - was

    def told_already(self) -> None:
        """Somebody has notified and nobody has looked yet: nothing more is due while interrupts are disabled."""
        self.happened = Sometimes.NOTIFIED_ALREADY

    def broken(self) -> i64:
        """No request may vanish."""
        return Law.REQUEST_VANISHED if self.has_vanished() else Law.NONE

    def left_undone(self) -> i64:
        """Everything posted must have been taken."""
        return Law.LEFT_BEHIND if has_posted(self.target.pid) else Law.NONE

    def is_free(self, agent: i64) -> bool:
        """Nobody need begin a post or exit."""
        return agent == 3 or (agent == 1 and self.x[AT] == 0)


class HooksRemoved(Sending):
    """The scheduler's hooks come with the first assigned device and go with the last, maybe while the vCPU waits.

    ``place`` is 0 running, 1 waiting, 2 chosen again; ``hooked`` 1 while a device is there.
    Mutation: ``switch-to-hook-removed`` takes the hook of switching in away too, which clears SN.
    """

    def __init__(self, mutation: str) -> None:
        super().__init__(
            "hooks-removed", mutation, HIGH, ["sender", "claimed", "place", "hooked", "preemptions left"],
            vec[i64]([2, 1, 2, 1, 2]),
        )  # fmt: skip
        self.agents = ["scheduler", "pCPU 1", "notification", "kick", "the guest", "toolstack"]
        self.laws = [Law.SUPPRESSED_WHILE_RUNNING, Law.DELAYED, Law.ENDLESS]
        self.wanted = Sometimes.SUPPRESSED | Sometimes.RESCANNED | Sometimes.DELIVERED

    def reset(self) -> None:
        """The guest runs with a device, nothing is posted."""
        self.load(0)
        self.posts_left = 2
        self.x[HOOKED] = 1
        self.x[PREEMPTS] = 2
        self.target.running_on = 0

    def load(self, key: i64) -> None:
        """Become the state with this number."""
        super().load(key)
        self.target.running_on = 0

    def move(self, agent: i64) -> i64:
        """Let an agent take its next step."""
        self.happened = 0
        if agent == 0:
            return self.switch_step()
        if agent == 1:
            return self.post_step()
        if agent == 2:
            return self.notification_arrives()
        if agent == 3:
            return self.kick_arrives()
        if agent == 4:
            return self.guest_step()
        if self.x[HOOKED] == 0:
            return Rule.NONE
        self.x[HOOKED] = 0
        return Act.DETACH

    def claim(self) -> i64:
        """ON, unless SN is set."""
        if self.target.pid.sn != 0:
            self.happened = Sometimes.SUPPRESSED
        return super().claim()

    def switch_step(self) -> i64:
        """The vCPU is preempted, chosen again, and enters."""
        pid = self.target.pid
        if self.root == 0:
            if self.x[PREEMPTS] == 0:
                return Rule.NONE
            self.x[PREEMPTS] -= 1
            self.leave()
            self.x[PLACE] = 1
            if self.x[HOOKED] != 0:
                pid.sn = 1
            return Act.PREEMPT
        if self.x[PLACE] == 1:
            self.x[PLACE] = 0
            if self.x[HOOKED] != 0 or self.mutation != "switch-to-hook-removed":
                pid.ndst = 0
                pid.sn = 0
                if rescan(pid):
                    self.happened = Sometimes.RESCANNED
            return Verb.SWITCH_IN
        self.sync()
        self.enter()
        return Act.PASS

    def broken(self) -> i64:
        """A running vCPU has SN = 0."""
        if self.root == 0 and not running_is_notified(self.target.pid, self.target.running_on):
            return Law.SUPPRESSED_WHILE_RUNNING
        return Law.NONE

    def is_free(self, agent: i64) -> bool:
        """Nobody need begin a post, preempt or detach anything."""
        return agent == 5 or (agent == 1 and self.x[AT] == 0) or (agent == 0 and self.root == 0)


def claim_once(mutation: str) -> World:
    """Return the world of one duty to notify."""
    return ClaimOnce(mutation)


def hooks_removed(mutation: str) -> World:
    """Return the world of a device that goes while its vCPU waits."""
    return HooksRemoved(mutation)
