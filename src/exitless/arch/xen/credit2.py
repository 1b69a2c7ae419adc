"""The credit2 scheduler's rules, Xen's default: one queue for several pCPUs, ordered by credit. Xen's credit2.c.

Times in ps; a credit is a ps of the heaviest vCPU. There is no boost: a vCPU that sleeps keeps its credit.
"""

from typing import Final

from mypy_extensions import i64

INITIAL_CREDIT: Final = 10_000_000_000
CARRYOVER: Final = 500_000_000
LOWEST_CREDIT: Final = -10_000_000_000
SHORTEST_PS: Final = 500_000_000
LONGEST_PS: Final = 10_000_000_000
RATELIMIT_PS: Final = 1_000_000_000
TICKLE_TOLERANCE_PS: Final = 50_000_000
MIGRATE_RESIST: Final = 500_000_000
MIGRATE_COMPENSATION: Final = 50_000_000
BUDGET_PERIOD_PS: Final = 10_000_000_000
DEFAULT_WEIGHT: Final = 256
PCPUS_PER_QUEUE: Final = 16
# The credit of a pCPU's idle vCPU: less than anybody's, by more than what resists a migration.
IDLE_CREDIT: Final = -1_073_741_824_000


class Skip:
    """Why a waiting vCPU is passed over in the choice. Cites: Xen credit2.c runq_candidate"""

    NONE: Final = 0
    AFFINITY: Final = 1
    PROMISED: Final = 2
    RESIST: Final = 3
    BUDGET: Final = 4
    CREDIT: Final = 5


class Tickle:
    """Who is asked to choose again when a vCPU has woken. Cites: Xen credit2.c runq_tickle"""

    NOBODY: Final = 0
    OWN: Final = 1
    IDLE_CORE: Final = 2
    IDLER: Final = 3
    PREEMPT: Final = 4


def burn(elapsed: i64, weight: i64, heaviest: i64, rest: i64) -> i64:
    """Return the credit that ``elapsed`` of running costs: as much more as the heaviest vCPU of the queue is heavier.

    ``rest`` is the remainder of the last burn (:func:`burn_rest`). Units: ps. Cites: Xen credit2.c t2c_update
    """
    return (elapsed * heaviest + rest) // weight


def burn_rest(elapsed: i64, weight: i64, heaviest: i64, rest: i64) -> i64:
    """Return the remainder that the next burn starts with. Units: ps. Cites: Xen credit2.c t2c_update"""
    return (elapsed * heaviest + rest) % weight


def time_for(credit: i64, weight: i64, heaviest: i64) -> i64:
    """Return how long ``credit`` lasts. Units: ps. Cites: Xen credit2.c c2t"""
    return credit * weight // heaviest


def lowered(credit: i64, cost: i64) -> i64:
    """Return a vCPU's credit after it has paid ``cost``, never below the floor. Cites: Xen credit2.c burn_credits"""
    left: i64 = credit - cost
    if left < LOWEST_CREDIT:
        return LOWEST_CREDIT
    return left


def needs_reset(credit: i64) -> bool:
    """Tell whether the chosen vCPU's credit makes all of its queue start anew. Cites: Xen credit2.c reset_credit"""
    return credit <= 0


def reset(credit: i64) -> i64:
    """Return a vCPU's credit after a reset: 10 ms more, of which at most 0.5 ms can be carried over.

    Cites: Xen credit2.c reset_credit
    """
    raised: i64 = credit + INITIAL_CREDIT
    if raised > INITIAL_CREDIT + CARRYOVER:
        return INITIAL_CREDIT + CARRYOVER
    return raised


def moved(credit: i64) -> i64:
    """Return a vCPU's credit after it has moved to another pCPU. Cites: Xen credit2.c csched2_schedule"""
    return credit + MIGRATE_COMPENSATION


def is_kept_by_ratelimit(ran: i64, ratelimit: i64, runnable: i64, yields: i64) -> bool:
    """Tell whether the running vCPU goes on because it has run for less than the rate limit (0: none).

    Units: ps. Cites: Xen credit2.c runq_candidate
    """
    return ratelimit != 0 and runnable != 0 and yields == 0 and ran < ratelimit


def skips(credit: i64, current: i64, allowed: i64, promised: i64, remote: i64, has_budget: i64) -> i64:
    """Ask whether a waiting vCPU is passed over for the pCPU that chooses, whose vCPU has ``current`` credit.

    ``allowed`` 1: its hard affinity has this pCPU; ``promised`` 1: another pCPU was told of it; ``remote`` 1: it ran
    elsewhere, and needs 0.5 ms more credit.

    Returns: Skip; CREDIT ends the scan, because the queue is ordered. Cites: Xen credit2.c runq_candidate
    """
    if credit <= current:
        return Skip.CREDIT
    if allowed == 0:
        return Skip.AFFINITY
    if promised != 0:
        return Skip.PROMISED
    if remote != 0 and current + MIGRATE_RESIST > credit:
        return Skip.RESIST
    if has_budget == 0:
        return Skip.BUDGET
    return Skip.NONE


def slice_length(credit: i64, waiter: i64, weight: i64, heaviest: i64, budget: i64, least: i64) -> i64:
    """Ask how long the chosen vCPU may run: until its credit is the next waiter's.

    ``waiter`` is that credit, 0 or less for no limit by it; ``budget`` is what a cap leaves, -1 without a cap;
    ``least`` is :func:`least_slice`.

    Returns: at most 10 ms, at least ``least``. Units: ps. Cites: Xen credit2.c csched2_runtime
    """
    room: i64 = credit
    if waiter > 0:
        room = credit - waiter
    if room <= 0:
        return least
    length: i64 = time_for(room, weight, heaviest)
    if budget >= 0 and length > budget:
        length = budget
    if length < least:
        return least
    if length > LONGEST_PS:
        return LONGEST_PS
    return length


def least_slice(ran: i64, ratelimit: i64) -> i64:
    """Return the shortest slice: 0.5 ms, or what is left of the rate limit. Units: ps.

    Cites: Xen credit2.c csched2_runtime
    """
    left: i64 = ratelimit - ran
    if left > SHORTEST_PS:
        return left
    return SHORTEST_PS


def tickle_score(new: i64, current: i64, remote: i64) -> i64:
    """Return by how much a woken vCPU's credit beats a running one's; being ``remote`` takes 0.5 ms off.

    Cites: Xen credit2.c tickle_score
    """
    score: i64 = new - current
    if remote != 0:
        score -= MIGRATE_RESIST
    return score


def may_preempt(score: i64, ran: i64, ratelimit: i64) -> bool:
    """Tell whether a running vCPU may be preempted: it is beaten, and has run for the rate limit but for 50 us.

    Units: ps. Cites: Xen credit2.c tickle_score
    """
    return score > 0 and ran >= ratelimit - TICKLE_TOLERANCE_PS


def tickle(exclusive: i64, own_idle: i64, idle_cores: i64, idlers: i64, best_score: i64) -> i64:
    """Ask who is told of a woken vCPU: its own pCPU if it is bound to it and that idles, an idle core, an idle thread,
    or the running vCPU with the lowest credit when it may be preempted (``best_score`` above 0).

    Returns: Tickle. Cites: Xen credit2.c runq_tickle
    """
    if exclusive != 0 and own_idle != 0:
        return Tickle.OWN
    if idle_cores != 0:
        return Tickle.IDLE_CORE
    if idlers != 0:
        return Tickle.IDLER
    if best_score > 0:
        return Tickle.PREEMPT
    return Tickle.NOBODY


def is_delayed(is_switched_out: i64) -> bool:
    """A vCPU wakes; tell whether it is only marked, because its context is still being saved.

    Cites: Xen credit2.c csched2_unit_wake
    """
    return is_switched_out == 0


def quota(total: i64, vcpus: i64) -> i64:
    """Return how much of its domain's budget a vCPU takes at a time: all, or its part, never under 0.5 ms.

    Units: ps. Cites: Xen credit2.c unit_grab_budget
    """
    if vcpus <= 1:
        return total
    part: i64 = total // vcpus
    if part < SHORTEST_PS:
        return SHORTEST_PS
    return part


def grabbed(pool: i64, part: i64) -> i64:
    """Return what a vCPU without budget gets of what its domain has left: 0 parks it. Units: ps.

    Cites: Xen credit2.c unit_grab_budget
    """
    if pool <= 0:
        return 0
    if pool < part:
        return pool
    return part


def replenished(left: i64, total: i64) -> i64:
    """Return a domain's budget after its period of 10 ms: what it overran by is taken off. Units: ps.

    Cites: Xen credit2.c replenish_domain_budget
    """
    if left > 0:
        return total
    return left + total
