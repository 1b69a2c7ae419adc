"""The FIFO ABI: the layout of words, who may change what, where events are lost, and that none else is."""

from collections import deque

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from exitless.arch.xen import fifo, fifo_guest
from exitless.arch.xen.fifo import ControlBlock, EventArray, Linking, Queued
from exitless.arch.xen.fifo_guest import Cursor, Unmask
from exitless.arch.xen.ports import Errno

PENDING, MASKED, LINKED, BUSY = 1 << 31, 1 << 30, 1 << 29, 1 << 28


def ready(pages: int = 1, vcpus: int = 1, limit: int = 2048) -> tuple[EventArray, list[ControlBlock]]:
    """Return an array with pages and vCPUs with control blocks."""
    array, blocks = EventArray(limit), [ControlBlock() for _ in range(vcpus)]
    for _ in range(pages):
        assert fifo.expand_array(array) == Errno.NONE
    for block in blocks:
        assert fifo.init_control(block, 0) == Errno.NONE
    return array, blocks


def test_the_words_bits_are_those_of_the_public_header() -> None:
    """PENDING 31, MASKED 30, LINKED 29, BUSY 28, LINK 16..0; 1,024 words a page, 128 pages, 131,072 ports."""
    assert (1 << fifo.PENDING, 1 << fifo.MASKED, 1 << fifo.LINKED, 1 << fifo.BUSY) == (PENDING, MASKED, LINKED, BUSY)
    assert (fifo.LINK, fifo.LINK_BITS, fifo.PAGE_WORDS * fifo.PAGES) == (0x1FFFF, 17, 131072)
    assert (fifo.CONTROL_BYTES, fifo.PRIORITIES, fifo.DEFAULT_PRIORITY) == (4 + 4 + 16 * 4, 16, 7)


@pytest.mark.parametrize("port", [1, 31, 32, 63, 64, 1023, 1024, 65535, 65536, 131071])
def test_a_raise_sets_pending_and_linked_of_its_own_word_only(port: int) -> None:
    array, blocks = ready(128, limit=131072)
    assert fifo.raise_port(array, blocks, port, 0) == Queued.DELIVERED
    assert array.words[port] == PENDING | LINKED
    assert sum(1 for word in array.words if word) == 1
    assert (blocks[0].head[7], blocks[0].tail[7], blocks[0].ready) == (port, port, 1 << 7)


@pytest.mark.parametrize("priority", range(16))
def test_ready_is_set_for_a_new_head_only_and_the_second_is_appended(priority: int) -> None:
    """READY on append would let the guest read a stale head."""
    array, blocks = ready()
    for port in (5, 6, 7):
        assert fifo.set_priority(array, port, priority) == Errno.NONE
    assert fifo.raise_port(array, blocks, 5, 0) == Queued.DELIVERED
    blocks[0].ready = 0
    assert fifo.raise_port(array, blocks, 6, 0) == Queued.APPENDED
    assert fifo.raise_port(array, blocks, 7, 0) == Queued.APPENDED
    assert blocks[0].ready == 0
    assert (array.words[5] & fifo.LINK, array.words[6] & fifo.LINK, array.words[7] & fifo.LINK) == (6, 7, 0)
    assert (blocks[0].head[priority], blocks[0].tail[priority]) == (5, 7)


def test_a_raise_stops_at_what_it_finds() -> None:
    array, blocks = ready()
    array.words[5] = MASKED
    assert fifo.raise_port(array, blocks, 5, 0) == Queued.MASKED
    assert array.words[5] == PENDING | MASKED
    assert fifo.raise_port(array, blocks, 5, 0) == Queued.ALREADY_PENDING
    array.words[6] = LINKED
    assert fifo.raise_port(array, blocks, 6, 0) == Queued.LINKED_BEFORE
    assert fifo.raise_port(array, blocks, 6, 0) == Queued.ALREADY_PENDING
    blocks[0].ready = 1 << 7
    assert fifo.raise_port(array, blocks, 7, 0) == Queued.READY_SET
    assert blocks[0].head[7] == 7


def test_without_its_page_a_raise_is_saved_and_without_a_control_block_it_is_dropped_unseen() -> None:
    """Xen 8aa0e9d2d1: PENDING is not set where nothing will ever link the port."""
    array, blocks = ready()
    assert fifo.raise_port(array, blocks, 1024, 0) == Queued.SAVED
    assert not fifo.take_saved(array, 1024)
    assert fifo.expand_array(array) == Errno.NONE
    assert fifo.take_saved(array, 1024) and not fifo.take_saved(array, 1024)
    assert fifo.expand_array(array) == Errno.NO_SPACE
    lone = [ControlBlock()]
    assert fifo.raise_port(array, lone, 9, 0) == Queued.NO_CONTROL_BLOCK
    assert array.words[9] == 0
    assert fifo.expand_array(fifo.new_array()) == Errno.NONE


def test_a_stale_tail_on_another_queue_is_forgotten() -> None:
    """Xen e33d4257fc: the old queue is empty, and must not be linked to a port that is elsewhere now."""
    array, blocks = ready(vcpus=2)
    fifo.raise_port(array, blocks, 5, 0)
    assert fifo_guest.guest_unlink(array, 5) == 0
    fifo_guest.guest_clear_pending(array, 5)
    assert blocks[0].tail[7] == 5
    fifo.set_priority(array, 5, 3)
    assert fifo.raise_port(array, blocks, 5, 1) == Queued.DELIVERED
    assert (blocks[0].tail[7], blocks[1].tail[3], blocks[1].head[3]) == (0, 5, 5)
    assert (array.last_vcpu[5], array.last_priority[5]) == (1, 3)


def test_a_linked_event_keeps_its_queue_when_priority_or_vcpu_change() -> None:
    array, blocks = ready(vcpus=2)
    fifo.raise_port(array, blocks, 5, 0)
    fifo.set_priority(array, 5, 0)
    assert fifo.raise_port(array, blocks, 5, 1) == Queued.ALREADY_PENDING
    assert (blocks[0].head[7], blocks[1].head[0]) == (5, 0)
    fifo.bind_port(array, 5)
    assert array.priority[5] == 7


def test_try_link_keeps_the_guests_bits_and_takes_busy_away() -> None:
    array, _ = ready()
    for flags in range(8):
        word = LINKED | (flags & 1) * PENDING | (flags >> 1 & 1) * MASKED | (flags >> 2) * BUSY | 99
        array.words[5] = word
        assert fifo.try_link(array, 5, word, 77) == Linking.DONE
        assert array.words[5] == (word & ~(BUSY | fifo.LINK)) | 77
    array.words[5] = MASKED
    assert fifo.try_link(array, 5, MASKED, 77) == Linking.EMPTY
    assert fifo.try_link(array, 5, LINKED, 77) == Linking.RETRY
    assert array.words[5] == MASKED


def test_after_four_refusals_busy_goes_and_the_event_is_given_up() -> None:
    """Xen dae2a1c5f9: a guest that keeps changing the word cannot make Xen spin."""
    array, _ = ready()
    for answer, left in ((Linking.RETRY, Linking.REFUSED), (Linking.EMPTY, Linking.EMPTY)):
        array.words[5] = LINKED | BUSY
        assert fifo.give_up(array, 5, answer) == left
        assert array.words[5] == LINKED
    array.words[5] = LINKED | BUSY
    assert fifo.give_up(array, 5, Linking.DONE) == Linking.DONE
    assert array.words[5] == LINKED | BUSY


def test_a_queue_whose_tail_the_guest_has_unlinked_gets_a_new_head() -> None:
    array, blocks = ready()
    fifo.raise_port(array, blocks, 5, 0)
    blocks[0].ready = 0
    fifo_guest.guest_unlink(array, 5)
    assert fifo.raise_port(array, blocks, 6, 0) == Queued.DELIVERED
    assert (blocks[0].head[7], array.words[5] & fifo.LINK) == (6, 0)


def test_unmask_by_hypercall_raises_a_pending_port_again() -> None:
    array, blocks = ready()
    array.words[5] = MASKED
    assert fifo.hypercall_unmask(array, blocks, 5, 0) == Queued.MASKED
    assert array.words[5] == 0
    array.words[5] = MASKED | PENDING
    assert fifo.hypercall_unmask(array, blocks, 5, 0) == Queued.DELIVERED
    assert array.words[5] == PENDING | LINKED
    assert fifo.hypercall_unmask(array, blocks, 1500, 0) == Queued.MASKED


@pytest.mark.parametrize("word", [0, PENDING, MASKED, MASKED | PENDING, MASKED | BUSY, MASKED | PENDING | BUSY])
def test_the_guests_unmask_before_and_since_xsa_332(word: int) -> None:
    array, _ = ready()
    array.words[5] = word
    old = fifo_guest.guest_unmask(array, 5, 0)
    if word & BUSY:
        assert (old, array.words[5]) == (Unmask.BUSY, word)
    else:
        assert old == (Unmask.HYPERCALL if word & PENDING else Unmask.DONE)
        assert array.words[5] == word & ~MASKED
    array.words[5] = word
    new = fifo_guest.guest_unmask(array, 5, 1)
    if not word & MASKED:
        assert (new, array.words[5]) == (Unmask.DONE, word)
    elif word & PENDING:
        assert (new, array.words[5]) == (Unmask.HYPERCALL, word)
    elif word & BUSY:
        assert (new, array.words[5]) == (Unmask.BUSY, word)
    else:
        assert (new, array.words[5]) == (Unmask.DONE, 0)


def test_closing_clears_pending_and_a_linked_port_is_not_given_out() -> None:
    array, blocks = ready()
    fifo.raise_port(array, blocks, 5, 0)
    fifo.clear_pending(array, 5)
    assert array.words[5] == LINKED and fifo.is_busy(array, 5)
    cursor = Cursor()
    fifo_guest.guest_take_ready(blocks[0], cursor)
    assert fifo_guest.guest_consume(array, blocks[0], cursor) == 0
    assert not fifo.is_busy(array, 5)
    fifo.clear_pending(array, 1999)


@pytest.mark.parametrize(("offset", "error"), [(0, 0), (8, 0), (4024, 0), (4032, 22), (4, 22), (-8, 22)])
def test_a_control_block_lies_whole_and_aligned_in_one_page(offset: int, error: int) -> None:
    """72 bytes, 8-aligned: the last place is 4,096 - 72 = 4,024."""
    block = ControlBlock()
    assert fifo.init_control(block, offset) == error
    assert block.mapped == (error == 0)
    assert fifo.init_control(block, 0) == (Errno.INVALID if error == 0 else Errno.NONE)


@pytest.mark.parametrize(("port", "priority"), [(0, 7), (-1, 7), (2048, 7), (5, -1), (5, 16)])
def test_priorities_and_ports_out_of_range_are_refused(port: int, priority: int) -> None:
    array, _ = ready()
    assert fifo.set_priority(array, port, priority) == Errno.INVALID


def test_a_refilled_high_queue_starves_a_low_one() -> None:
    """The guest takes one event at a time, from the highest queue that is ready, and looks at READY in between."""
    array, blocks = ready()
    fifo.set_priority(array, 5, 0)
    fifo.raise_port(array, blocks, 9, 0)
    cursor, handled = Cursor(), []
    for _ in range(50):
        fifo.raise_port(array, blocks, 5, 0)
        fifo_guest.guest_take_ready(blocks[0], cursor)
        handled.append(fifo_guest.guest_consume(array, blocks[0], cursor))
        fifo_guest.guest_clear_pending(array, handled[-1])
    assert set(handled) == {5}
    assert fifo_guest.guest_consume(array, blocks[0], cursor) == 9
    assert fifo_guest.guest_consume(array, blocks[0], cursor) == -1


class Naive:
    """Queues as lists, and two sets a port can be in."""

    def __init__(self, vcpus: int) -> None:
        self.queues = [[deque() for _ in range(16)] for _ in range(vcpus)]
        self.pending: set[int] = set()
        self.masked: set[int] = set()
        self.linked: set[int] = set()
        self.priority: dict[int, int] = {}

    def put(self, port: int, vcpu: int) -> None:
        """Raise a port."""
        self.pending.add(port)
        if port not in self.masked and port not in self.linked:
            self.linked.add(port)
            self.queues[vcpu][self.priority.get(port, 7)].append(port)

    def take(self, vcpu: int) -> int | None:
        """Take the first of the highest queue off; None when all are empty."""
        for queue in self.queues[vcpu]:
            if queue:
                port = queue.popleft()
                self.linked.discard(port)
                return port if port in self.pending and port not in self.masked else 0
        return None


PORTS = st.integers(1, 9)


class BothSides(RuleBasedStateMachine):
    """Xen raises and unmasks, two guest vCPUs mask, consume and acknowledge: as lists would do it, nothing is lost."""

    def __init__(self) -> None:
        super().__init__()
        self.array, self.blocks = ready(vcpus=2)
        self.cursors = [Cursor(), Cursor()]
        self.naive = Naive(2)

    @rule(port=PORTS, vcpu=st.integers(0, 1))
    def raise_port(self, port: int, vcpu: int) -> None:
        fifo.raise_port(self.array, self.blocks, port, vcpu)
        self.naive.put(port, vcpu)

    @rule(port=PORTS, priority=st.integers(0, 15))
    def set_priority(self, port: int, priority: int) -> None:
        fifo.set_priority(self.array, port, priority)
        self.naive.priority[port] = priority

    @rule(port=PORTS)
    def mask(self, port: int) -> None:
        assert fifo_guest.guest_mask(self.array, port) == (port in self.naive.masked)
        self.naive.masked.add(port)

    @rule(port=PORTS, new=st.integers(0, 1), vcpu=st.integers(0, 1))
    def unmask(self, port: int, new: int, vcpu: int) -> None:
        if fifo_guest.guest_unmask(self.array, port, new) == Unmask.HYPERCALL:
            fifo.hypercall_unmask(self.array, self.blocks, port, vcpu)
            self.naive.masked.discard(port)
            self.naive.put(port, vcpu)
        self.naive.masked.discard(port)

    @rule(port=PORTS)
    def close(self, port: int) -> None:
        fifo.clear_pending(self.array, port)
        self.naive.pending.discard(port)

    @rule(vcpu=st.integers(0, 1))
    def consume(self, vcpu: int) -> None:
        cursor = self.cursors[vcpu]
        fifo_guest.guest_take_ready(self.blocks[vcpu], cursor)
        port = fifo_guest.guest_consume(self.array, self.blocks[vcpu], cursor)
        expected = self.naive.take(vcpu)
        assert port == (-1 if expected is None else expected)
        if port > 0:
            fifo_guest.guest_clear_pending(self.array, port)
            self.naive.pending.discard(port)

    @invariant()
    def words_are_as_the_sets_say(self) -> None:
        for port in range(1, 10):
            word = self.array.words[port]
            assert bool(word & PENDING) == (port in self.naive.pending)
            assert bool(word & MASKED) == (port in self.naive.masked)
            assert bool(word & LINKED) == (port in self.naive.linked)
            assert not word & BUSY

    @invariant()
    @precondition(lambda self: True)
    def a_queue_with_events_is_announced(self) -> None:
        """READY set, or the guest is in the middle of that queue: otherwise nobody would ever look."""
        for vcpu, block in enumerate(self.blocks):
            for priority, queue in enumerate(self.naive.queues[vcpu]):
                if queue:
                    assert (block.ready | self.cursors[vcpu].ready) >> priority & 1


BothSides.TestCase.settings = settings(max_examples=150, stateful_step_count=60, deadline=None)
TestBothSides = BothSides.TestCase
