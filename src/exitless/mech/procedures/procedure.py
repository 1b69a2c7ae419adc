"""What a hypervisor or a processor does in several steps: one atomic step at a time, so that others can come between.

A procedure is a program, a short row of verbs, and a step counter. The simulator lets it run through; the checker
takes its steps in every order with those of other agents. A wrong order is a different program, not different code.
"""

from typing import Final

from librt.vecs import vec
from mypy_extensions import i64, mypyc_attr

from exitless.mech.vcpu import VirtualCpu


class Step:
    """What a step answers: whether the procedure has more of them."""

    MORE: Final = 0
    DONE: Final = 1


class Verb:
    """One number an atomic step; :mod:`exitless.check.words` has the sentence and the citation of each."""

    SET_PIR: Final = 1
    CLAIM_ON: Final = 2
    READ_RUNNING: Final = 3
    UNBLOCK: Final = 4
    NOTIFY: Final = 5

    SET_BLOCKED: Final = 10
    ENLIST: Final = 11
    NV_WAKEUP: Final = 12
    SYNC_ON: Final = 13
    SYNC_PIR: Final = 14
    TEST: Final = 15
    SWITCH_OUT: Final = 16
    SUPPRESS: Final = 17

    SWITCH_IN: Final = 20
    WRITE_RVI: Final = 21
    CLOSE: Final = 22
    NV_NOTIFY: Final = 23
    DELIST: Final = 24
    ENTER: Final = 25
    CLEAR_SN: Final = 26
    RUN_HERE: Final = 27

    CLEAR_ON: Final = 30
    TAKE_PIR: Final = 31
    RAISE_RVI: Final = 32
    COPY_PIR: Final = 33
    WIPE_PIR: Final = 34

    WALK: Final = 40
    WAKE: Final = 41
    WIPE_ON: Final = 42
    LOOK_AGAIN: Final = 43

    SET_ON: Final = 80
    READ_MODE: Final = 81
    TELL: Final = 82
    IN_GUEST_MODE: Final = 83
    WRITE_MAX: Final = 84
    CHECK_REQUESTS: Final = 85
    LEAVE_LIST: Final = 86
    LOAD_CONTROL: Final = 87
    RESCAN: Final = 88
    TEST_PENDING: Final = 89
    ARM_WAKEUP: Final = 90
    SELF_CHECK: Final = 91
    WALK_ON: Final = 92
    TEST_ON: Final = 93
    MOVE_LIST: Final = 94

    LEAVE_GUEST: Final = 100
    CLEAR_RUNNING: Final = 101
    DEVICE_LOGS: Final = 102
    DEVICE_STOPS: Final = 103
    TEST_REQUEST: Final = 104
    SET_RUNNING: Final = 105
    DEVICE_RUNS: Final = 106
    RUN_GUEST: Final = 107


@mypyc_attr(allow_interpreted_subclasses=True)
class Surroundings:
    """What procedures reach beside their own vCPU; each driver has its own.

    ``notification_vector`` and ``wakeup_vector`` are host vectors, the same on every pCPU.
    """

    def __init__(self) -> None:
        self.notification_vector: i64 = 0
        self.wakeup_vector: i64 = 0

    def send(self, pcpu: i64, vector: i64) -> None:
        """A physical interrupt is on its way to ``pcpu``."""
        raise NotImplementedError

    def kick(self, pcpu: i64) -> None:
        """Make ``pcpu`` pass its softirqs, and so its entry work, once more; a remote one is sent an event check."""
        raise NotImplementedError

    def raise_softirq(self, pcpu: i64) -> None:
        """Code on ``pcpu`` itself makes it pass its entry work once more."""
        raise NotImplementedError

    def take_softirq(self, pcpu: i64) -> bool:
        """Clear what :meth:`kick` or :meth:`raise_softirq` asked of ``pcpu``. Returns: whether anything was asked."""
        raise NotImplementedError

    def enlist(self, vcpu: VirtualCpu, pcpu: i64) -> None:
        """Put a vCPU on the list of those blocked on ``pcpu``, under the list's lock."""
        raise NotImplementedError

    def delist(self, vcpu: VirtualCpu) -> bool:
        """Take a vCPU off the list it is on. Returns: whether it was on one."""
        raise NotImplementedError

    def listed_with_notification(self, pcpu: i64) -> i64:
        """Find the first vCPU on the list of ``pcpu`` whose ON is 1. Returns: its number, or -1."""
        raise NotImplementedError

    def listed_after(self, pcpu: i64, after: i64) -> i64:
        """Find the vCPU with ON = 1 that follows ``after`` (-1: the first) on the list of ``pcpu``. Returns: it, or
        -1.
        """
        raise NotImplementedError

    def vcpu(self, number: i64) -> VirtualCpu:
        """Return a vCPU by its number."""
        raise NotImplementedError

    def unblock(self, vcpu: VirtualCpu) -> None:
        """Clear a vCPU's blocked flag and, when it was set, let the scheduler know that it can run."""
        raise NotImplementedError


class Procedure:
    """A program over one vCPU, and how far it has come; past its last verb it is idle.

    Shapes: ``program`` one verb a word.
    """

    def __init__(self, vcpu: VirtualCpu, program: vec[i64]) -> None:
        self.target: VirtualCpu = vcpu
        self.program: vec[i64] = program
        self.at: i64 = len(program)

    def begin(self) -> None:
        """Start, or start again, at the first verb."""
        self.at = 0

    def finish(self) -> None:
        """Leave out whatever is left."""
        self.at = len(self.program)

    def is_idle(self) -> bool:
        """Tell whether nothing is left to do."""
        return self.at >= len(self.program)

    def verb(self) -> i64:
        """Return the verb that the next step does, 0 when idle."""
        if self.at >= len(self.program):
            return 0
        return self.program[self.at]

    def skip(self, verb: i64) -> None:
        """Leave out the next verb if it is this one."""
        if self.verb() == verb:
            self.at += 1

    def step(self, world: Surroundings) -> i64:
        """Do one atomic step. Returns: Step."""
        verb: i64 = self.program[self.at]
        self.at += 1
        self.act(verb, world)
        if self.at >= len(self.program):
            return Step.DONE
        return Step.MORE

    def act(self, verb: i64, world: Surroundings) -> None:
        """Do what one verb says."""
        raise NotImplementedError

    def run(self, world: Surroundings) -> None:
        """Do the whole program with nobody in between."""
        self.begin()
        while self.step(world) == Step.MORE:
            pass
