"""The FIFO ABI to the bit, and linking against a guest that changes the tail's word between two accesses of Xen's."""

import pytest

from exitless import compiled
from exitless.arch.xen import fifo, fifo_guest
from exitless.arch.xen.fifo import ControlBlock, EventArray, Linking
from exitless.arch.xen.fifo_guest import Cursor

PENDING, MASKED, LINKED, BUSY = 1 << 31, 1 << 30, 1 << 29, 1 << 28
TAIL, PORT = 5, 77
# Which of Xen's reads of the word are those that an exchange follows: the first try, then after BUSY four more.
BEFORE_EXCHANGE = (1, 4, 6, 8, 10)


class Memory:
    """The tail's word, which the guest changes after as many of Xen's reads as it has time for."""

    def __init__(self, word: int, changes: int) -> None:
        self.word = word
        self.reads = 0
        self.after = BEFORE_EXCHANGE[:changes]
        self.was_busy: list[bool] = []

    def __getitem__(self, port: int) -> int:
        """Xen reads; the guest masks or unmasks before Xen's next access, if it is quick enough."""
        assert port == TAIL
        self.reads += 1
        seen = self.word
        if self.reads in BEFORE_EXCHANGE:
            self.was_busy.append(seen & BUSY != 0)
        if self.reads in self.after:
            self.word ^= MASKED
        return seen

    def __setitem__(self, port: int, word: int) -> None:
        assert port == TAIL
        self.word = word


@pytest.mark.skipif(compiled(), reason="the compiled form takes no memory but its own")
@pytest.mark.parametrize("changes", range(6))
def test_linking_tries_once_then_four_times_more_under_busy(changes: int) -> None:
    """event_fifo.c: a guest that changes the word at every try is given up, and BUSY goes in any case."""
    array = EventArray(8)
    memory = Memory(LINKED | PENDING | 99, changes)
    array.words = memory  # type: ignore[assignment]
    answer = fifo.set_link(array, TAIL, PORT)
    tries = min(changes + 1, 5)
    assert memory.was_busy == [False, True, True, True, True][:tries]
    assert memory.word & BUSY == 0 and memory.word & LINKED and memory.word & PENDING
    if changes < 5:
        assert (answer, memory.word & fifo.LINK) == (Linking.DONE, PORT)
        assert memory.reads == (2 if changes == 0 else 3 + 2 * changes)
    else:
        assert (answer, memory.word & fifo.LINK) == (Linking.REFUSED, 99)
        assert memory.reads == 12


@pytest.mark.parametrize("word", [0, BUSY, MASKED, MASKED | BUSY, PENDING | BUSY | 99])
def test_a_tail_that_is_not_linked_is_not_touched(word: int) -> None:
    """event_fifo.c: its queue is empty, and the head is to be used."""
    array = EventArray(8)
    array.words[TAIL] = word
    assert fifo.set_link(array, TAIL, PORT) == Linking.EMPTY
    assert array.words[TAIL] == word


def test_taking_ready_leaves_none_and_forgets_none() -> None:
    """events_fifo.c: READY is exchanged for 0, and what was in it is added to what is left from before."""
    for before, written in ((0, 0), (0, 1), (1, 0x80), (0x8000, 0xFFFF), (0x0F0F, 0xF0F1)):
        block, cursor = ControlBlock(), Cursor()
        cursor.ready, block.ready = before, written
        fifo_guest.guest_take_ready(block, cursor)
        assert (block.ready, cursor.ready) == (0, before | written)


@pytest.mark.parametrize("bit", [0, 1, 16, 28, 29, 30, 31])
def test_a_flag_is_set_and_cleared_alone_and_its_old_value_is_told(bit: int) -> None:
    """event_fifo.c, raise: test-and-set and test-and-clear of one bit, whatever the others are."""
    for others in (0, 0xFFFFFFFF, 0x55555555, 0xAAAAAAAA):
        for before in (0, 1):
            array = EventArray(8)
            word = others & ~(1 << bit) | before << bit
            array.words[TAIL] = word
            assert fifo.is_set(array, TAIL, bit) is False, "without its page a port has no word"
            array.pages = 1
            assert fifo.is_set(array, TAIL, bit) is bool(before)
            assert fifo.set_flag(array, TAIL, bit) is bool(before)
            assert array.words[TAIL] == word | 1 << bit
            array.words[TAIL] = word
            assert fifo.clear_flag(array, TAIL, bit) is bool(before)
            assert array.words[TAIL] == word & ~(1 << bit)


def test_which_ports_have_a_priority() -> None:
    """event_fifo.c, set_priority: ports 1 to the last, priorities 0 to 15."""
    array = EventArray(8)
    for port in range(-1, 10):
        for priority in range(-1, 18):
            legal = 1 <= port < 8 and 0 <= priority < 16
            assert fifo.set_priority(array, port, priority) == (0 if legal else 22)
            if legal:
                assert array.priority[port] == priority


@pytest.mark.parametrize("first", range(1, 8))
def test_every_port_can_be_the_tail_that_another_is_linked_behind(first: int) -> None:
    """event_fifo.c, raise: port 1 as any other; 0 alone stands for an empty queue."""
    for second in range(1, 8):
        if first == second:
            continue
        array, blocks = EventArray(8), [ControlBlock()]
        array.pages = 1
        fifo.init_control(blocks[0], 0)
        assert fifo.raise_port(array, blocks, first, 0) == fifo.Queued.DELIVERED
        assert fifo.raise_port(array, blocks, second, 0) == fifo.Queued.APPENDED
        assert (array.words[first] & fifo.LINK, blocks[0].head[7], blocks[0].tail[7]) == (second, first, second)


def test_a_port_without_its_page_is_saved_once() -> None:
    """event_fifo.c, raise and expand_array: one mark a port, taken once the page is there."""
    array, blocks = EventArray(8), [ControlBlock()]
    for _ in range(2):
        assert fifo.raise_port(array, blocks, 5, 0) == fifo.Queued.SAVED
        assert list(array.saved) == [0, 0, 0, 0, 0, 1, 0, 0]
    assert not fifo.take_saved(array, 5)
    assert fifo.expand_array(array) == 0
    assert [fifo.take_saved(array, port) for port in (5, 5)] == [True, False]
    assert list(array.saved) == [0] * 8


def test_registering_a_control_block_clears_all_of_it() -> None:
    """event_fifo.c, init_control: every head and READY, before the block is published."""
    block = ControlBlock()
    block.ready = 0xFFFF
    for priority in range(16):
        block.head[priority] = 99
    assert fifo.init_control(block, 0) == 0
    assert (list(block.head), block.ready, block.mapped) == ([0] * 16, 0, 1)


def test_which_ports_have_a_word() -> None:
    """event_fifo.c, raise: those of the table, of which the guest has given the page; 1,024 a page."""
    array = EventArray(2000)
    for pages, reach in ((0, 0), (1, 1024), (2, 2000)):
        array.pages = pages
        for port in (-1, 0, 1, 1023, 1024, 1999, 2000, 2047):
            assert fifo.has_word(array, port) is (0 <= port < reach)
