"""Xen's rules at their edges: the first and last place of every queue, and each comparison at equality."""

from itertools import product

import pytest
from librt.vecs import vec
from mypy_extensions import i64

from exitless.arch.xen import credit, credit2, eoi_stack, operations, passthrough, two_level, vectors
from exitless.arch.xen.credit import Account, Priority
from exitless.arch.xen.eoi_stack import End, EoiStack
from exitless.arch.xen.fifo import EventArray
from exitless.arch.xen.ports import Errno, EventChannels
from exitless.arch.xen.two_level import SharedInfo
from exitless.arch.xen.vectors import FREE, Arrived, Cleaned, HostIrq, VectorTable
from exitless.bits.words import PACKED, set_bit, zeros

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


def test_one_unit_decides_in_both_schedulers() -> None:
    """credit2.c, tickle_score, runq_tickle, runq_candidate: a score of 1 preempts; a rate limit of 1 ps is one."""
    assert credit2.tickle_score(7 * MS, 4 * MS, 1) == 2500 * US
    assert [credit2.tickle(0, 0, 0, 0, score) for score in (-1, 0, 1)] == [0, 0, credit2.Tickle.PREEMPT]
    for scheduler in (credit, credit2):
        assert [scheduler.is_kept_by_ratelimit(ran, 1, 1, 0) for ran in (0, 1)] == [True, False]


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


# ---- vectors ----


def place(irq: HostIrq) -> tuple[int, ...]:
    """Return where an interrupt comes in and came in before, and what is left of its move."""
    return irq.vector, irq.pcpu, irq.old_vector, irq.old_pcpu, irq.moving, irq.cleanups


def moved(table: VectorTable) -> HostIrq:
    """Return an interrupt that moves from pCPU 0 to pCPU 1."""
    irq = HostIrq(7)
    assert vectors.assign_vector(table, irq, 0b01) == 0
    assert vectors.assign_vector(table, irq, 0b10) == 0
    return irq


def test_a_clean_up_leaves_nothing_of_the_old_place() -> None:
    """irq.c, irq_move_cleanup_interrupt: the interrupt has one place afterwards, and may move again."""
    table = VectorTable(2)
    irq = moved(table)
    new = irq.vector
    assert place(irq) == (new, 1, 0x38, 0, 1, 0)
    assert vectors.arrive(irq, 1, new) == Arrived.CLEAN_UP
    assert place(irq) == (new, 1, 0x38, 0, 0, 1)
    assert vectors.clean_up(table, irq, 0, 0) == Cleaned.FREED
    assert place(irq) == (new, 1, 0, -1, 0, 0)


@pytest.mark.parametrize(("old", "new"), [(0, 1), (1, 0), (2, 0), (1, 2)])
def test_a_move_waits_for_its_old_pcpu_where_that_is_online(old: int, new: int) -> None:
    """irq.c, assign_irq_vector: an old pCPU that has gone offline has nothing to clean up."""
    for offline in (-1, 0, 1, 2):
        table, irq = VectorTable(3), HostIrq(7)
        assert vectors.assign_vector(table, irq, 1 << old) == 0
        before = irq.vector
        table.online = 0b111 if offline < 0 else 0b111 & ~(1 << offline)
        answer = vectors.assign_vector(table, irq, 1 << new)
        if offline == new:
            assert (answer, place(irq)) == (-Errno.NO_SPACE, (before, old, 0, -1, 0, 0))
        elif offline == old:
            assert (answer, place(irq)) == (0, (irq.vector, new, 0, -1, 0, 0))
            assert vectors.owner_of(table, old, before) == FREE
        else:
            assert (answer, place(irq)) == (0, (irq.vector, new, before, old, 1, 0))
            assert vectors.owner_of(table, old, before) == 7


def test_a_move_ends_at_the_new_vector_on_the_new_pcpu_only() -> None:
    """irq.c, irq_complete_move: both must be those of the new place."""
    irq = moved(VectorTable(2))
    new = irq.vector
    for vector, pcpu in ((new, 0), (irq.old_vector, 1), (irq.old_vector, 0)):
        assert vectors.arrive(irq, pcpu, vector) == Arrived.STILL_OLD
        assert irq.moving == 1
    assert vectors.arrive(irq, 1, new) == Arrived.CLEAN_UP


def test_what_was_never_given_is_not_taken_back() -> None:
    """irq.c, clear_irq_vector: an interrupt without a vector frees none; one with two frees both, in every state."""
    table = VectorTable(2)
    for at in range(512):
        table.owner[at] = 9
    irq = HostIrq(7)
    vectors.clear_vector(table, irq)
    assert set(table.owner) == {9} and place(irq) == (0, -1, 0, -1, 0, 0)
    for stage in range(3):
        table = VectorTable(2)
        irq = moved(table)
        if stage > 0:
            vectors.arrive(irq, 1, irq.vector)
        if stage > 1:
            vectors.clean_up(table, irq, 0, 0)
        vectors.clear_vector(table, irq)
        assert set(table.owner) == {FREE} and place(irq) == (0, -1, 0, -1, 0, 0)


# ---- event channels and PIRQs ----


def test_a_full_table_has_no_port_however_far_the_toolstack_lets_one_look() -> None:
    """event_channel.c, get_free_port: the table ends at its limit."""
    ch, queues = EventChannels(8), EventArray(8)
    for port in range(1, 8):
        assert operations.find_port(ch, queues, 0, 1000) == port
        assert operations.open_ipi(ch, port, 0, 1) == port
    assert operations.find_port(ch, queues, 0, 1000) == -Errno.NO_SPACE


def test_pirq_0_can_be_bound() -> None:
    """event_channel.c, evtchn_bind_pirq: numbers from 0 up to the domain's limit."""
    ch = EventChannels(8)
    assert [operations.open_pirq(ch, 2, pirq, 3, 0, 0) for pirq in (-1, 3)] == [-Errno.INVALID] * 2
    assert [operations.open_pirq(ch, 2 + pirq, pirq, 3, 0, 0) for pirq in range(3)] == [2, 3, 4]


def test_the_low_bits_of_the_high_address_word_name_no_pirq() -> None:
    """hvm/irq.c, hvm_inject_msi: bits 31:8 of that word, bits 19:12 of the address, and nothing else."""
    for bit in range(32):
        for pirq in (0x01, 0x80):
            address = 0xFEE00000 | pirq << 12
            assert passthrough.pirq_of_message(address, 1 << bit, 0x300) == pirq | (1 << bit if bit >= 8 else 0)
        low = 0xFEE00000 ^ 1 << bit
        named = passthrough.pirq_of_message(low, 0x500, 0x300)
        assert named == (0x500 | (1 << bit - 12) if 12 <= bit < 20 else 0x500)


def test_port_1_may_be_the_peer() -> None:
    """event_channel.c, evtchn_bind_interdomain: every port but 0 of the peer's table, up to its last."""
    for peer in (1, 2, 7):
        front, back = EventChannels(8), EventChannels(8)
        assert operations.alloc_unbound(back, peer, 5, 0) == peer
        assert operations.connect(front, 5, 3, back, 0, peer) == 3
        assert (front.remote[3], back.remote[peer]) == (peer, 3)


def test_what_was_taken_off_the_stack_is_not_marked() -> None:
    """irq.c, set_eoi_ready: the stack ends at its depth, whatever is left above; the mark is 1, once."""
    stack = EoiStack()
    for irq, vector in ((4, 0x31), (5, 0x41), (6, 0x51)):
        assert eoi_stack.push(stack, irq, vector)
    for irq, vector in ((6, 0x51), (5, 0x41), (4, 0x31)):
        assert eoi_stack.mark_ready(stack, irq) and not eoi_stack.mark_ready(stack, irq)
        assert stack.ready[stack.depth - 1] == 1
        assert eoi_stack.pop_ready(stack) == vector
        stack.ready[stack.depth] = 0
        assert not eoi_stack.mark_ready(stack, irq)


@pytest.mark.parametrize("port", [0, 1, 7])
def test_the_first_and_the_last_port_of_a_table(port: int) -> None:
    """event_channel.c: port 0 exists, reserved, and is nobody's channel; port 1 and the last are as any other."""
    ch = EventChannels(8)
    own = port != 0
    if own:
        assert operations.open_ipi(ch, port, 0, 1) == port
    assert operations.status(ch, port) == (5 if own else 0)
    assert operations.set_priority_error(ch, port, 3, 1) == (0 if own else -Errno.ACCESS)
    assert operations.close(ch, port, 1) == (operations.Close.NOTHING if own else -Errno.INVALID)


@pytest.mark.parametrize("missing", range(5))
def test_every_entry_of_the_stack_must_be_in_service(missing: int) -> None:
    """irq.c, pending_eoi: from the bottom to the top."""
    stack, isr = EoiStack(), zeros(8)
    for at in range(5):
        assert eoi_stack.push(stack, at, 0x31 + 0x21 * at)
        if at != missing:
            set_bit(isr, 0, PACKED, 0x31 + 0x21 * at)
    assert not eoi_stack.is_in_service(stack, isr)
    set_bit(isr, 0, PACKED, 0x31 + 0x21 * missing)
    assert eoi_stack.is_in_service(stack, isr)


def test_a_stack_holds_every_vector_of_a_device_and_then_begins_anew() -> None:
    """irq.c, pending_eoi: 208 vectors, 20H to EFH; empty, it takes any of them, else only one above."""
    stack = EoiStack()
    for _ in range(2):
        for vector in range(0x20, 0xF0):
            assert eoi_stack.push(stack, vector, vector)
            assert not eoi_stack.push(stack, 1, vector) and not eoi_stack.push(stack, 1, vector - 1)
        assert stack.depth == eoi_stack.SLOTS
        for vector in reversed(range(0x20, 0xF0)):
            assert eoi_stack.mark_ready(stack, vector)
            assert eoi_stack.pop_ready(stack) == vector
    assert eoi_stack.push(stack, 1, 0x31)
    assert eoi_stack.end_internal(stack, 9, 0x28) == End.WAITS
    assert [stack.vector[at] for at in range(stack.depth)] == [0x28, 0x31], "nothing above the top counts"


@pytest.mark.parametrize("at", range(1, 5))
def test_one_pair_out_of_order_is_found_wherever_it_is(at: int) -> None:
    """irq.c, pending_eoi: strictly increasing from each entry to the next."""
    for wrong in (0, -1):
        stack = EoiStack()
        for vector in (0x30, 0x40, 0x50, 0x60, 0x70):
            eoi_stack.push(stack, vector, vector)
        assert eoi_stack.is_increasing(stack)
        for above in range(at, 5):
            stack.vector[above] = stack.vector[at - 1] + wrong + 0x10 * (above - at)
        assert not eoi_stack.is_increasing(stack)


@pytest.mark.parametrize("virq", [-2, -1, 24, 25, 1000])
def test_a_virq_that_is_none_is_refused_before_anything_else(virq: int) -> None:
    """event_channel.c, evtchn_bind_virq: EINVAL, whoever asks and for whichever vCPU."""
    for vcpu, is_handler in product((0, 1, 9), (0, 1)):
        assert operations.open_virq(EventChannels(8), 1, virq, vcpu, 4, is_handler) == -Errno.INVALID


def test_a_quantum_is_counted_from_its_first_interrupt() -> None:
    """irq.c, irq_ratelimit: 10 ms from then on, however late that is."""
    for start in (0, 3 * MS, 10 * MS, 1000 * MS):
        rate = eoi_stack.Rate()
        assert [eoi_stack.exceeds_rate(rate, start + n, 2) for n in range(3)] == [False, False, True]
        assert eoi_stack.exceeds_rate(rate, start + 10 * MS - 1, 2)
        assert not eoi_stack.exceeds_rate(rate, start + 10 * MS, 2)
        assert (rate.since_ps, rate.count) == (start + 10 * MS, 1)


def test_the_nth_of_too_few_is_none() -> None:
    """dpci.c, vector_hashing_dest: over every set of four vCPUs."""
    for matching in product((0, 1), repeat=4):
        named = [vcpu for vcpu in range(4) if matching[vcpu]]
        assert passthrough.count_matching(words(*matching)) == len(named)
        for n in range(5):
            assert passthrough.nth_matching(words(*matching), n) == (named[n] if n < len(named) else -1)


def test_a_port_is_active_when_it_is_pending_and_not_masked() -> None:
    """events_2l.c, evtchn_2l_handle_events: all four states, at the ends of words."""
    for port, pending, masked in product((0, 31, 32, 4095), (0, 1), (0, 1)):
        shared = SharedInfo()
        if pending:
            set_bit(shared.pending, 0, PACKED, port)
        if masked:
            set_bit(shared.mask, 0, PACKED, port)
        assert two_level.is_active(shared, port) is bool(pending and not masked)


def test_without_a_selector_bit_there_is_no_next_port() -> None:
    """events_2l.c, evtchn_2l_handle_events: whatever is pending, and wherever the last scan ended."""
    shared = SharedInfo()
    for word in range(128):
        shared.pending[word] = 0xFFFFFFFF
    for after in (-1, 0, 1, 4095):
        assert two_level.next_port(shared, words(0, 0), after) == -1


@pytest.mark.parametrize("after", [-1, 0, 29, 30, 31, 62, 63, 64, 4093, 4094, 4095])
def test_the_scan_goes_on_with_the_very_next_port(after: int) -> None:
    """events_2l.c, evtchn_2l_handle_events: of all active ports the one behind the last, round the end of the table."""
    shared = SharedInfo()
    for word in range(128):
        shared.pending[word] = 0xFFFFFFFF
    assert two_level.next_port(shared, words(0xFFFFFFFF, 0xFFFFFFFF), after) == (after + 1) % 4096
