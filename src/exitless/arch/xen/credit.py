"""The credit scheduler's rules: who goes first, for how long, and who is told. Xen's credit.c.

Times in ps; a credit is a tenth of a millisecond of one pCPU.
"""

from typing import Final

from librt.vecs import vec
from mypy_extensions import i64

CREDIT_PS: Final = 100_000_000
TICK_PS: Final = 10_000_000_000
SLICE_PS: Final = 30_000_000_000
RATELIMIT_PS: Final = 1_000_000_000
SHORTEST_PS: Final = 100_000_000
STEAL_EVERY_PS: Final = 1_000_000_000
SLICE_CREDITS: Final = 300
DEFAULT_WEIGHT: Final = 256


class Priority:
    """Priorities, with Xen's numbers: a higher one goes first. Cites: Xen credit.c priorities"""

    BOOST: Final = 0
    UNDER: Final = -1
    OVER: Final = -2
    IDLE: Final = -64


class Tickle:
    """Who is asked to choose again when a vCPU has woken. Cites: Xen credit.c __runq_tickle"""

    NOBODY: Final = 0
    OWN: Final = 1
    IDLER: Final = 2
    OWN_AND_MOVE_CURRENT: Final = 3


class Next:
    """What a pCPU runs next. Cites: Xen credit.c csched_schedule"""

    IDLE: Final = 0
    CURRENT: Final = 1
    QUEUE: Final = 2
    STEAL: Final = 3


class Account:
    """What accounting made of a vCPU. Cites: Xen credit.c csched_acct"""

    def __init__(self) -> None:
        self.credit: i64 = 0
        self.priority: i64 = Priority.UNDER
        self.active: i64 = 1
        self.parked: i64 = 0


def queue_place(priorities: vec[i64], priority: i64, yields: i64) -> i64:
    """Ask where in a queue a vCPU goes: behind those of its priority or higher; one that yields lets one more go first.

    Cites: Xen credit.c __runq_insert
    """
    i: i64 = 0
    while i < len(priorities) and priorities[i] >= priority:
        i += 1
    if yields != 0 and i < len(priorities) and priorities[i] > Priority.IDLE:
        i += 1
    return i


def woken_priority(priority: i64, migrated: i64, parked: i64) -> i64:
    """A vCPU wakes: it is boosted if it was UNDER, has not just been moved and is not parked.

    Returns: Priority. Cites: Xen credit.c csched_unit_wake
    """
    if priority == Priority.UNDER and migrated == 0 and parked == 0:
        return Priority.BOOST
    return priority


def ticked_priority(priority: i64) -> i64:
    """A tick finds a vCPU running: a boost is over. Returns: Priority. Cites: Xen credit.c csched_unit_acct"""
    if priority == Priority.BOOST:
        return Priority.UNDER
    return priority


def burnt(elapsed: i64) -> i64:
    """Return the credits that ``elapsed`` of running costs; what is left over is :func:`burnt_rest`.

    Units: ps. Cites: Xen credit.c burn_credits
    """
    return elapsed // CREDIT_PS


def burnt_rest(elapsed: i64) -> i64:
    """Return the time that is not paid for yet. Units: ps. Cites: Xen credit.c burn_credits"""
    return elapsed % CREDIT_PS


def fair_share(total: i64, weight: i64, weights: i64) -> i64:
    """Return a vCPU's part of the credits of one period, by weight and rounded up.

    ``weights`` is the sum over all active vCPUs. Cites: Xen credit.c csched_acct
    """
    return (total * weight + weights - 1) // weights


def account(state: Account, share: i64, cap: i64, most: i64) -> None:
    """A period is over: the vCPU gets its share, and its priority follows.

    ``cap`` is in credits a period, 0 for none: below minus the cap it is parked. Above ``most``, a slice's credits
    (300 of the default slice), a vCPU uses less than it may: it stops being active and keeps half.

    Changes: the account. Cites: Xen credit.c csched_acct
    """
    state.credit += share
    if state.credit < 0:
        state.priority = Priority.OVER
        if cap != 0 and state.credit < -cap:
            state.parked = 1
        if state.credit < -most:
            state.credit = -most
        return
    state.priority = Priority.UNDER
    state.parked = 0
    if state.credit > most:
        state.active = 0
        state.credit = state.credit // 2


def tickle(new: i64, current: i64, idlers: i64, suited: i64, movable: i64) -> i64:
    """Ask who is told that a vCPU of priority ``new`` waits at a pCPU that runs one of priority ``current``.

    ``idlers``: how many pCPUs are idle; ``suited``: how many of them the waiting vCPU may run on; ``movable`` 1: the
    running one may run on an idle pCPU, so it is marked as migrating and makes room.

    Returns: Tickle. Cites: Xen credit.c __runq_tickle
    """
    if current == Priority.IDLE:
        return Tickle.OWN
    higher: bool = new > current
    if idlers == 0:
        return Tickle.OWN if higher else Tickle.NOBODY
    if suited != 0:
        return Tickle.IDLER
    if not higher:
        return Tickle.NOBODY
    return Tickle.OWN_AND_MOVE_CURRENT if movable != 0 else Tickle.OWN


def is_kept_by_ratelimit(ran: i64, ratelimit: i64, runnable: i64, yields: i64) -> bool:
    """Tell whether the running vCPU goes on because it has run for less than the rate limit (0: none).

    Units: ps. Cites: Xen credit.c csched_schedule
    """
    return ratelimit != 0 and runnable != 0 and yields == 0 and ran < ratelimit


def rest_of_ratelimit(ran: i64, ratelimit: i64) -> i64:
    """Return the slice of a vCPU kept by the rate limit: the rest of it, never under 100 us.

    Units: ps. Cites: Xen credit.c csched_schedule
    """
    left: i64 = ratelimit - ran
    if left < SHORTEST_PS:
        return SHORTEST_PS
    return left


def choose(tasklet: i64, kept: i64, runnable: i64, current: i64, best: i64) -> i64:
    """Ask what runs next; ``kept`` 1: the rate limit keeps the current one; ``current`` and ``best`` are priorities.

    The current vCPU, when runnable, stands in the queue behind its equals, so equals take turns. A best that is OVER
    or IDLE makes the pCPU look at its peers first.

    Returns: Next. Cites: Xen credit.c csched_schedule
    """
    if tasklet != 0:
        return Next.IDLE
    if kept != 0:
        return Next.CURRENT
    stays: bool = runnable != 0 and current > best
    top: i64 = current if stays else best
    if top <= Priority.OVER:
        return Next.STEAL
    return Next.CURRENT if stays else Next.QUEUE


def may_steal(since_last: i64) -> bool:
    """Tell whether a pCPU may look at its peers' queues again. Units: ps. Cites: Xen credit.c csched_schedule"""
    return since_last >= STEAL_EVERY_PS
