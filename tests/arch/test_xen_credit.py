"""Rules of the two schedulers: priorities and boost, who is told, slices, burning, resetting, resistance to moving."""

from itertools import product

import pytest
from librt.vecs import vec
from mypy_extensions import i64

from exitless.arch.xen import credit, credit2
from exitless.arch.xen.credit import Account, Next, Priority, Tickle

MS = 1_000_000_000
US = 1_000_000
ORDER = [Priority.IDLE, Priority.OVER, Priority.UNDER, Priority.BOOST]


def words(*values: int) -> vec[i64]:
    """Return a vector of these numbers."""
    return vec[i64](list(values))


def test_priorities_have_xens_numbers() -> None:
    assert ORDER == [-64, -2, -1, 0]


def test_a_vcpu_queues_behind_its_equals() -> None:
    queue = words(0, -1, -1, -2)
    assert [credit.queue_place(queue, p, 0) for p in (0, -1, -2)] == [1, 3, 4]
    assert credit.queue_place(queue, -1, 1) == 4, "one that yields lets one of the next priority go first"
    assert credit.queue_place(words(0, -1, -64), -1, 1) == 2, "but not the idle vCPU"


@pytest.mark.parametrize("migrated, parked", list(product((0, 1), repeat=2)))
def test_boost_iff_under_not_just_moved_and_not_parked(migrated: int, parked: int) -> None:
    for priority in ORDER:
        boosted = credit.woken_priority(priority, migrated, parked) == Priority.BOOST
        assert boosted == (priority == Priority.BOOST or (priority == Priority.UNDER and not migrated and not parked))


def test_a_tick_ends_the_boost_and_nothing_else() -> None:
    assert [credit.ticked_priority(p) for p in ORDER] == [-64, -2, -1, -1]


def test_ten_credits_a_millisecond_and_nothing_is_forgotten() -> None:
    assert credit.burnt(30 * MS) == 300
    owed, paid = 0, 0
    for piece in (33 * US, 77 * US, 250 * US, 640 * US):
        owed += piece
        paid += credit.burnt(owed)
        owed = credit.burnt_rest(owed)
    assert (paid, owed) == (10, 0)


def test_shares_follow_weights() -> None:
    assert credit.fair_share(300, 256, 512) == 150
    assert credit.fair_share(300, 512, 768) == 200
    assert credit.fair_share(100, 1, 3) == 34, "rounded up"


def accounted(had: int, share: int, cap: int) -> Account:
    """Return what one accounting makes of a vCPU with ``had`` credits."""
    state = Account()
    state.credit = had
    credit.account(state, share, cap, credit.SLICE_CREDITS)
    return state


def test_accounting_sets_priority_by_sign_and_retires_the_rich() -> None:
    assert accounted(-1, 0, 0).priority == Priority.OVER
    assert accounted(-10, 10, 0).priority == Priority.UNDER
    rich = accounted(250, 60, 0)
    assert (rich.active, rich.credit) == (0, 155), "above a slice's 300 it stops earning and keeps half"
    assert accounted(250, 50, 0).active == 1
    assert (accounted(-60, 0, 50).parked, accounted(-60, 0, 0).parked, accounted(-50, 0, 50).parked) == (1, 0, 0)
    assert accounted(-900, 0, 0).credit == -300


def test_who_is_told_of_a_woken_vcpu() -> None:
    """Own pCPU if idle; nobody idle: own if higher; an idler that suits; else preempt, and move the other away."""
    for new in ORDER[1:]:
        assert credit.tickle(new, Priority.IDLE, 3, 1, 1) == Tickle.OWN
        assert credit.tickle(new, Priority.BOOST, 2, 1, 0) == Tickle.IDLER
    assert credit.tickle(Priority.BOOST, Priority.UNDER, 0, 0, 0) == Tickle.OWN
    assert credit.tickle(Priority.UNDER, Priority.UNDER, 0, 0, 0) == Tickle.NOBODY
    assert credit.tickle(Priority.BOOST, Priority.UNDER, 1, 0, 1) == Tickle.OWN_AND_MOVE_CURRENT
    assert credit.tickle(Priority.BOOST, Priority.UNDER, 1, 0, 0) == Tickle.OWN
    assert credit.tickle(Priority.UNDER, Priority.UNDER, 1, 0, 1) == Tickle.NOBODY


def test_the_rate_limit_keeps_a_vcpu_for_a_millisecond() -> None:
    assert credit.is_kept_by_ratelimit(999 * US, MS, 1, 0)
    assert not credit.is_kept_by_ratelimit(MS, MS, 1, 0)
    for runnable, yields in ((0, 0), (1, 1), (0, 1)):
        assert not credit.is_kept_by_ratelimit(0, MS, runnable, yields)
    assert not credit.is_kept_by_ratelimit(0, 0, 1, 0), "0 switches it off"
    assert credit.rest_of_ratelimit(400 * US, MS) == 600 * US
    assert credit.rest_of_ratelimit(950 * US, MS) == 100 * US


def test_what_runs_next() -> None:
    under, over, idle = Priority.UNDER, Priority.OVER, Priority.IDLE
    assert credit.choose(1, 1, 1, Priority.BOOST, idle) == Next.IDLE, "a tasklet goes before every vCPU and limit"
    assert credit.choose(0, 1, 1, over, Priority.BOOST) == Next.CURRENT
    assert credit.choose(0, 0, 1, under, under) == Next.QUEUE, "equals take turns"
    assert credit.choose(0, 0, 1, under, over) == Next.CURRENT
    assert credit.choose(0, 0, 0, under, under) == Next.QUEUE
    assert credit.choose(0, 0, 1, over, idle) == Next.STEAL
    assert credit.choose(0, 0, 0, under, idle) == Next.STEAL
    assert [credit.may_steal(t) for t in (MS - 1, MS)] == [False, True]


# ---- credit2 ----


def test_the_heaviest_burns_one_a_picosecond_and_others_more() -> None:
    assert credit2.burn(7 * MS, 512, 512, 0) == 7 * MS
    assert credit2.burn(7 * MS, 256, 512, 0) == 14 * MS
    rest, paid = 0, 0
    for _ in range(3):
        paid, rest = paid + credit2.burn(1, 3, 5, rest), credit2.burn_rest(1, 3, 5, rest)
    assert (paid, rest) == (5, 0), "remainders are kept"
    assert credit2.time_for(14 * MS, 256, 512) == 7 * MS


def test_credit_has_a_floor_and_a_reset_has_a_ceiling() -> None:
    assert credit2.lowered(MS, 3 * MS) == -2 * MS
    assert credit2.lowered(-9 * MS, 3 * MS) == -10 * MS
    assert [credit2.needs_reset(c) for c in (-1, 0, 1)] == [True, True, False]
    assert credit2.reset(-3 * MS) == 7 * MS
    assert credit2.reset(300 * US) == 10_300 * US
    assert credit2.reset(4 * MS) == 10_500 * US, "half a millisecond is carried over at most"
    assert credit2.moved(0) == 50 * US


def test_a_capped_domain_hands_out_its_budget_and_gets_it_again() -> None:
    """One vCPU takes all there is; several take parts; an overrun is paid back at the next period."""
    assert (credit2.quota(4 * MS, 1), credit2.quota(4 * MS, 2), credit2.quota(4 * MS, 32)) == (4 * MS, 2 * MS, MS // 2)
    assert [credit2.grabbed(pool, 2 * MS) for pool in (-1, 0, 1, 2 * MS, 4 * MS)] == [0, 0, 1, 2 * MS, 2 * MS]
    assert [credit2.replenished(left, 4 * MS) for left in (-MS, 0, MS)] == [3 * MS, 4 * MS, 4 * MS]


def test_who_is_passed_over() -> None:
    skip = credit2.Skip
    assert credit2.skips(5, 5, 1, 0, 0, 1) == skip.CREDIT
    assert credit2.skips(6, 5, 0, 0, 0, 1) == skip.AFFINITY
    assert credit2.skips(6, 5, 1, 1, 0, 1) == skip.PROMISED
    assert credit2.skips(500 * US, 1, 1, 0, 1, 1) == skip.RESIST
    assert credit2.skips(500 * US + 1, 1, 1, 0, 1, 1) == skip.NONE
    assert credit2.skips(2, 1, 1, 0, 0, 0) == skip.BUDGET
    assert credit2.skips(2, 1, 1, 0, 0, 1) == skip.NONE


def test_a_slice_lasts_until_the_next_waiter_is_as_rich() -> None:
    least = credit2.least_slice(0, 0)
    assert least == 500 * US
    assert credit2.slice_length(9 * MS, 2 * MS, 256, 256, -1, least) == 7 * MS
    assert credit2.slice_length(9 * MS, 0, 256, 256, -1, least) == 9 * MS, "nobody waits: until 0"
    assert credit2.slice_length(8 * MS, 2 * MS, 256, 512, -1, least) == 3 * MS, "the light pay double"
    assert credit2.slice_length(9 * MS, 0, 256, 256, 4 * MS, least) == 4 * MS
    assert credit2.slice_length(MS, 900 * US, 256, 256, -1, least) == least
    assert credit2.slice_length(MS, 2 * MS, 256, 256, -1, least) == least
    assert credit2.slice_length(30 * MS, 0, 256, 256, -1, least) == 10 * MS
    assert credit2.least_slice(200 * US, MS) == 800 * US


def test_no_boost_but_credit_decides_whom_a_woken_vcpu_preempts() -> None:
    tickle = credit2.Tickle
    assert credit2.tickle_score(5 * MS, 4 * MS, 0) == MS
    assert credit2.tickle_score(5 * MS, 4 * MS, 1) == 500 * US
    assert not credit2.may_preempt(0, 9 * MS, MS)
    assert credit2.may_preempt(1, 950 * US, MS) and not credit2.may_preempt(1, 949 * US, MS)
    assert credit2.tickle(1, 1, 1, 1, 9) == tickle.OWN
    assert credit2.tickle(0, 1, 1, 1, 9) == tickle.IDLE_CORE
    assert credit2.tickle(0, 0, 0, 1, 9) == tickle.IDLER
    assert credit2.tickle(0, 0, 0, 0, 9) == tickle.PREEMPT
    assert credit2.tickle(0, 0, 0, 0, 0) == tickle.NOBODY
    assert credit2.is_kept_by_ratelimit(999 * US, MS, 1, 0) and not credit2.is_kept_by_ratelimit(MS, MS, 1, 0)
    assert [credit2.is_delayed(out) for out in (0, 1)] == [True, False]
