"""KVM's protocol: a vCPU blocks on one pCPU and goes on on the other, while a device and a processor post for it.

Interrupts are off from put's last steps on, in load and on the way into the guest, so that no message arrives there.
"""

from typing import Final

from librt.vecs import vec
from mypy_extensions import i64

from exitless.arch.vmx.posted import clear_outstanding, take_pir
from exitless.check.property import Law, Sometimes
from exitless.check.world import Packed, Rule, World
from exitless.check.worlds.posting import HIGH, LOW, NOTIFICATION, WAKEUP, bit
from exitless.check.worlds.small import Small
from exitless.mech.procedures.kvm_block import KvmLoad, KvmPut, KvmWakeup, kvm_block, kvm_load, kvm_wakeup
from exitless.mech.procedures.kvm_post import KvmEnter, KvmPost, kvm_enter, kvm_post
from exitless.mech.procedures.procedure import Step, Verb
from exitless.mech.vcpu import VirtualCpu


class X:
    """Places of the numbers beside the procedures: the vCPU's pCPU, what it does, messages to pCPU 1, halts left."""

    HOME: Final = 0
    PHASE: Final = 1
    NOTIFICATIONS: Final = 2
    WAKEUPS: Final = 3
    HALTS: Final = 4


class Phase:
    """What is done with the vCPU."""

    GUEST: Final = 0
    PUT: Final = 1
    LOAD: Final = 2
    ENTER: Final = 3


def put_program(mutation: str) -> vec[i64]:
    """Return KVM's order of blocking, or a wrong one."""
    if mutation == "nv-not-armed":
        return vec[i64]([Verb.SET_BLOCKED, Verb.TEST_PENDING, Verb.ENLIST, Verb.SELF_CHECK, Verb.SWITCH_OUT])
    if mutation == "list-after-nv":
        return vec[i64](
            [Verb.SET_BLOCKED, Verb.TEST_PENDING, Verb.ARM_WAKEUP, Verb.SELF_CHECK, Verb.SWITCH_OUT, Verb.ENLIST]
        )
    if mutation == "never-listed":
        return vec[i64]([Verb.SET_BLOCKED, Verb.TEST_PENDING, Verb.ARM_WAKEUP, Verb.SELF_CHECK, Verb.SWITCH_OUT])
    if mutation == "no-self-ipi":
        return vec[i64]([Verb.SET_BLOCKED, Verb.TEST_PENDING, Verb.ENLIST, Verb.ARM_WAKEUP, Verb.SWITCH_OUT])
    return kvm_block()


def load_program(mutation: str) -> vec[i64]:
    """Return KVM's order of loading, or the control word before the list."""
    if mutation == "control-before-list":
        return vec[i64]([Verb.LOAD_CONTROL, Verb.LEAVE_LIST, Verb.RESCAN])
    return kvm_load()


def enter_program(mutation: str) -> vec[i64]:
    """Return KVM's order into the guest, or PIR before the mode."""
    if mutation == "sync-before-mode":
        return vec[i64](
            [Verb.SYNC_ON, Verb.SYNC_PIR, Verb.IN_GUEST_MODE, Verb.WRITE_MAX, Verb.CHECK_REQUESTS, Verb.ENTER]
        )
    return kvm_enter()


class KvmBlocking(Small):
    """``listed`` is the pCPU on whose list the vCPU is; another vCPU runs where it does not.

    Mutations: ``sync-before-mode``, ``nv-not-armed``, ``never-listed``, ``no-self-ipi``, ``control-before-list``,
    and ``current-taken-for-target``: a late notification takes the posts of the vCPU that it was meant for into the one
    that runs.
    """

    def __init__(self, mutation: str) -> None:
        super().__init__(
            "kvm-blocking", mutation, LOW, ["its pCPU", "phase", "notifications to pCPU 1", "wake-ups to pCPU 1",
            "halts left"], vec[i64]([1, 2, 2, 2, 2]),
        )  # fmt: skip
        self.agents = ["the vCPU", "VT-d", "pCPU 2", "notification 0", "notification 1", "wake-up 0", "wake-up 1"]
        self.laws = [Law.REQUEST_VANISHED, Law.LISTED_WHILE_RUNNING, Law.LOST, Law.DELAYED, Law.ENDLESS]
        self.wanted = (
            Sometimes.WOKEN_BY_VECTOR | Sometimes.WOKEN_BY_SENDER | Sometimes.PROCESSED_IN_GUEST
            | Sometimes.TAKEN_BY_OTHER | Sometimes.STAYED_AWAKE
        )  # fmt: skip
        self.poster: KvmPost = KvmPost(self.target, HIGH, 2, kvm_post())
        self.put: KvmPut = KvmPut(self.target, 0, put_program(mutation))
        self.coming: KvmLoad = KvmLoad(self.target, 0, load_program(mutation))
        self.entering: KvmEnter = KvmEnter(self.target, 0, enter_program(mutation))

    def reset(self) -> None:
        """The guest runs on pCPU 0, nothing is posted."""
        self.load(0)
        self.posts_left = 1
        self.x[X.HALTS] = 2
        self.put.finish()
        self.coming.finish()
        self.entering.finish()
        self.poster.begin()
        self.target.running_on = 0
        self.target.in_guest_mode = 1
        self.listed = -1

    def key(self) -> i64:
        """Return the whole state as one number."""
        super().key()
        p: Packed = self.packed
        p.put(self.put.at, 3)
        p.put(self.coming.at, 2)
        p.put(self.entering.at, 3)
        p.put(self.poster.at, 3)
        p.put(self.poster.seen_in_guest, 1)
        p.put(self.target.in_guest_mode, 1)
        p.put(self.target.blocked, 1)
        p.put(self.target.running_on + 1, 2)
        p.put(self.listed + 1, 2)
        return p.word

    def load(self, key: i64) -> None:
        """Become the state with this number."""
        super().load(key)
        p: Packed = self.packed
        self.put.at = p.get(3)
        self.coming.at = p.get(2)
        self.entering.at = p.get(3)
        self.poster.at = p.get(3)
        self.poster.seen_in_guest = p.get(1)
        self.target.in_guest_mode = p.get(1)
        self.target.blocked = p.get(1)
        self.target.running_on = p.get(2) - 1
        self.listed = p.get(2) - 1
        home: i64 = self.x[X.HOME]
        self.put.pcpu = home
        self.coming.pcpu = home
        self.entering.pcpu = home

    def send(self, pcpu: i64, vector: i64) -> None:
        """A message leaves for ``pcpu``; two of one vector that have not arrived are one."""
        if vector == NOTIFICATION:
            if pcpu == 0:
                self.notifications = 1
            else:
                self.x[X.NOTIFICATIONS] = 1
        elif pcpu == 0:
            self.wakeups = 1
        else:
            self.x[X.WAKEUPS] = 1

    def take_softirq(self, pcpu: i64) -> bool:
        """No requests here."""
        return False

    def enlist(self, vcpu: VirtualCpu, pcpu: i64) -> None:
        """Put the vCPU on a list."""
        self.listed = pcpu

    def delist(self, vcpu: VirtualCpu) -> bool:
        """Take the vCPU off its list."""
        was: bool = self.listed >= 0
        self.listed = -1
        return was

    def listed_after(self, pcpu: i64, after: i64) -> i64:
        """There is one vCPU, so nobody follows it."""
        return 0 if after < 0 and self.listed == pcpu and self.target.pid.on != 0 else -1

    def unblock(self, vcpu: VirtualCpu) -> None:
        """Clear the blocked flag."""
        vcpu.blocked = 0

    def move(self, agent: i64) -> i64:
        """Let an agent take its next step."""
        self.happened = 0
        if agent == 0:
            return self.vcpu_step()
        if agent == 1:
            return self.hardware_post()
        if agent == 2:
            return self.software_post()
        if agent < 5:
            return self.notified(agent - 3)
        return self.woken(agent - 5)

    def vcpu_step(self) -> i64:
        """The guest takes, ends or halts; its pCPU goes on putting, loading or entering it."""
        phase: i64 = self.x[X.PHASE]
        if phase == Phase.GUEST:
            rule: i64 = self.guest_step()
            if rule != Rule.NONE or self.x[X.HALTS] == 0:
                return rule
            self.x[X.HALTS] -= 1
            self.leave()
            self.target.in_guest_mode = 0
            self.x[X.PHASE] = Phase.PUT
            self.put.begin()
            return Rule.HALT
        if phase == Phase.PUT:
            return self.put_step()
        if phase == Phase.LOAD:
            return self.load_step()
        verb: i64 = self.entering.verb()
        if self.entering.step(self) == Step.DONE:
            self.x[X.PHASE] = Phase.GUEST
            self.root = 0
        if verb == Verb.SYNC_PIR:
            self.requests_taken()
        return verb

    def put_step(self) -> i64:
        """The vCPU goes on blocking, and may find that it need not."""
        verb: i64 = self.put.verb()
        if self.put.step(self) == Step.DONE:
            if self.target.running_on < 0:
                self.x[X.PHASE] = Phase.LOAD
                self.x[X.HOME] = 1 - self.x[X.HOME]
                self.coming.begin()
            else:
                self.happened = Sometimes.STAYED_AWAKE
                self.x[X.PHASE] = Phase.ENTER
                self.entering.begin()
        return verb

    def load_step(self) -> i64:
        """The vCPU is loaded on the other pCPU, once it may run."""
        if self.coming.at == 0 and self.target.blocked != 0:
            return Rule.NONE
        verb: i64 = self.coming.verb()
        if self.coming.step(self) == Step.DONE:
            self.x[X.PHASE] = Phase.ENTER
            self.entering.begin()
        return verb

    def software_post(self) -> i64:
        """pCPU 2 takes a step of its post."""
        if self.poster.is_idle():
            return Rule.NONE
        verb: i64 = self.poster.verb()
        if verb == Verb.TELL and self.poster.seen_in_guest == 0 and self.is_asleep():
            self.happened = Sometimes.WOKEN_BY_SENDER
        self.poster.step(self)
        self.a = HIGH if verb == Verb.SET_PIR else NOTIFICATION
        self.b = 0
        if verb == Verb.SET_PIR:
            self.request_accepted(HIGH)
        if self.poster.is_idle():
            self.poster.seen_in_guest = 0
        return verb

    def is_asleep(self) -> bool:
        """Tell whether the vCPU is off its pCPU and may not be loaded."""
        return self.x[X.PHASE] == Phase.LOAD and self.coming.at == 0 and self.target.blocked != 0

    def is_closed(self, pcpu: i64) -> bool:
        """Tell whether interrupts are off on ``pcpu`` for the vCPU's sake."""
        if self.x[X.HOME] != pcpu:
            return False
        phase: i64 = self.x[X.PHASE]
        if phase == Phase.PUT:
            return self.put.at > 1
        return (phase == Phase.LOAD and self.coming.at > 0) or (phase == Phase.ENTER and self.entering.at > 0)

    def notified(self, pcpu: i64) -> i64:
        """The notification vector is taken on ``pcpu``, by the vCPU or by whatever else runs there."""
        there: i64 = self.notifications if pcpu == 0 else self.x[X.NOTIFICATIONS]
        if there == 0 or self.is_closed(pcpu):
            return Rule.NONE
        if pcpu == 0:
            self.notifications = 0
        else:
            self.x[X.NOTIFICATIONS] = 0
        if self.target.running_on == pcpu:
            if self.x[X.PHASE] != Phase.GUEST:
                return Rule.NOTIFY_IN_ROOT
            clear_outstanding(self.target.pid)
            self.take_posted()
            return Rule.NOTIFY_IN_GUEST
        self.happened = Sometimes.TAKEN_BY_OTHER
        if self.mutation == "current-taken-for-target":
            clear_outstanding(self.target.pid)
            take_pir(self.target.pid, self.other.vapic)
        return Rule.NOTIFY_ELSEWHERE

    def woken(self, pcpu: i64) -> i64:
        """The wake-up vector is taken on ``pcpu``, whose handler looks through the list."""
        there: i64 = self.wakeups if pcpu == 0 else self.x[X.WAKEUPS]
        if there == 0 or self.is_closed(pcpu):
            return Rule.NONE
        if pcpu == 0:
            self.wakeups = 0
        else:
            self.x[X.WAKEUPS] = 0
        asleep: bool = self.is_asleep()
        KvmWakeup(self.target, pcpu, kvm_wakeup()).run(self)
        if asleep and self.target.blocked == 0:
            self.happened = Sometimes.WOKEN_BY_VECTOR
        self.a = WAKEUP
        return Rule.WAKEUP

    def broken(self) -> i64:
        """No request may vanish, and a vCPU in its guest is on no list."""
        if self.has_vanished():
            return Law.REQUEST_VANISHED
        if self.x[X.PHASE] == Phase.GUEST and self.listed >= 0:
            return Law.LISTED_WHILE_RUNNING
        return Law.NONE

    def left_undone(self) -> i64:
        """Every request must have been delivered."""
        if not self.is_owed():
            return Law.NONE
        return Law.LOST if self.is_asleep() else Law.DELAYED

    def is_free(self, agent: i64) -> bool:
        """A guest need not halt, and nobody need begin a post."""
        if agent == 0:
            idle: bool = self.serving == 0 and self.target.vapic.recognized == 0
            return self.x[X.PHASE] == Phase.GUEST and idle
        return agent == 1 or (agent == 2 and self.poster.at == 0)

    def fields(self) -> list[tuple[str, str]]:
        """Return the state to be read."""
        return super().fields() + [
            ("blocked", str(int(self.target.blocked))),
            ("on the list", "of pCPU " + str(int(self.listed)) if self.listed >= 0 else "no"),
            ("guest mode", str(int(self.target.in_guest_mode))),
            ("pCPU 2", str(int(self.poster.at))),
            ("asleep", str(int(bit(self.is_asleep())))),
        ]


def kvm_blocking(mutation: str) -> World:
    """Return the world of KVM's protocol."""
    return KvmBlocking(mutation)
