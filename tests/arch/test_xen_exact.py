"""Xen's rules at their edges: the first and last place of every queue, and each comparison at equality."""

from itertools import product

import pytest
from librt.vecs import vec
from mypy_extensions import i64

from exitless.arch.xen import credit, credit2, eoi_stack
from exitless.arch.xen.credit import Account, Priority
from exitless.arch.xen.eoi_stack import End, EoiStack

MS = 1_000_000_000
US = 1_000_000


def words(*values: int) -> vec[i64]:
    """Return a vector of these numbers."""
    return vec[i64](list(values))


# ---- credit and credit2 ----


def test_a_place_in_a_queue_is_behind_all_that_are_not_lower() -> None:
    """credit.c, __runq_insert: over every ordered queue of up to four, against a count."""
    for length in range(5):
        for queue in product((0, -1, -2, -64), repeat=length):
            if list(queue) != sorted(queue, reverse=True):
                continue
            for priority in (0, -1, -2):
                place = sum(other >= priority for other in queue)
                assert credit.queue_place(words(*queue), priority, 0) == place
                lets_one_go = place < length and queue[place] > Priority.IDLE
                assert credit.queue_place(words(*queue), priority, 1) == place + lets_one_go


@pytest.mark.parametrize("had", [*range(-310, -290), -61, -60, -50, -1, 0, 1, 299, 300, 301, 302, 311])
def test_an_accounting_changes_credit_at_its_ends_only(had: int) -> None:
    """credit.c, csched_acct: not below minus a slice's credits, half (in whole credits) above them."""
    for parked, cap in product((0, 1), (0, 60)):
        state = Account()
        state.credit, state.parked = had, parked
        credit.account(state, 0, cap, 300)
        assert state.credit == (-300 if had < -300 else had // 2 if had > 300 else had)
        assert isinstance(state.credit, int)
        assert state.parked == (parked or int(cap != 0 and had < -cap) if had < 0 else 0)
        assert state.active == int(had <= 300)


def test_a_slice_of_credit2_at_each_of_its_limits() -> None:
    """credit2.c, csched2_runtime: the next waiter's credit to the last unit; a cap's budget even at 0."""
    least = credit2.least_slice(0, 0)
    for waiter in (1, 2, 3 * MS):
        assert credit2.slice_length(9 * MS, waiter, 256, 256, -1, least) == 9 * MS - waiter
    assert credit2.slice_length(9 * MS, 0, 256, 256, 0, least) == least
    assert credit2.slice_length(9 * MS, 0, 256, 256, 1, least) == least
    assert credit2.slice_length(9 * MS, 0, 256, 256, 600 * US, least) == 600 * US


def test_one_unit_decides_in_credit2() -> None:
    """credit2.c, tickle_score, runq_tickle, runq_candidate: a score of 1 preempts; a rate limit of 1 ps is one."""
    assert credit2.tickle_score(7 * MS, 4 * MS, 1) == 2500 * US
    assert [credit2.tickle(0, 0, 0, 0, score) for score in (-1, 0, 1)] == [0, 0, credit2.Tickle.PREEMPT]
    assert [credit2.is_kept_by_ratelimit(ran, 1, 1, 0) for ran in (0, 1)] == [True, False]


def test_a_budget_is_shared_in_whole_picoseconds_and_not_at_all_by_one() -> None:
    """credit2.c, unit_grab_budget: the least part of 0.5 ms is for those that share."""
    assert [credit2.quota(100 * US, vcpus) for vcpus in (0, 1, 2)] == [100 * US, 100 * US, 500 * US]
    part = credit2.quota(4 * MS + 1, 2)
    assert part == 2 * MS and isinstance(part, int)
    assert [credit2.replenished(left, 4 * MS) for left in (-1, 0, 1)] == [4 * MS - 1, 4 * MS, 4 * MS]


def test_credit_lasts_whole_picoseconds() -> None:
    """credit2.c, c2t: what is over is not time."""
    lasts = [credit2.time_for(left, 2, 3) for left in range(7)]
    assert lasts == [0, 0, 1, 2, 2, 3, 4] and all(isinstance(time, int) for time in lasts)


# ---- the pending-EOI stack ----


def test_an_interrupt_of_xens_own_is_put_in_its_place_and_moves_the_others_whole() -> None:
    """irq.c: whatever is marked and wherever it belongs, against an ordered list of the entries."""
    for depth in range(5):
        for marks, place in product(product((0, 1), repeat=depth), range(depth + 1)):
            stack, entries = EoiStack(), []
            for at in range(depth):
                vector = 0x30 + 0x10 * at
                assert eoi_stack.push(stack, 100 + at, vector)
                stack.ready[at] = marks[at]
                entries.append((100 + at, vector, marks[at]))
            own = 0x28 + 0x10 * place
            answer = eoi_stack.end_internal(stack, 9, own)
            if place == depth:
                assert (answer, stack.depth) == (End.NOW, depth)
            else:
                assert (answer, stack.depth) == (End.WAITS, depth + 1)
                entries.insert(place, (9, own, 1))
            got = [(stack.irq[at], stack.vector[at], stack.ready[at]) for at in range(stack.depth)]
            assert got == entries
