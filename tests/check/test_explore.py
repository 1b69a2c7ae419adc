"""The explorer itself, on worlds small enough to count on the fingers."""

from exitless.check.catalog import make
from exitless.check.explore import Search, explore
from exitless.check.property import Law, Sometimes
from exitless.check.world import Packed, World


class Counting(World):
    """Two agents, each adding to a counter modulo ``size``; ``bad`` is a forbidden value, ``circle`` lets it wrap."""

    def __init__(self, size: int, bad: int = -1, circle: bool = False) -> None:
        super().__init__("counting", "")
        self.agents = ["one", "two"]
        self.size, self.bad, self.circle = size, bad, circle
        self.value = 0

    def reset(self) -> None:
        """Begin at 0."""
        self.value = 0

    def key(self) -> int:
        """The value is the state."""
        return self.value

    def load(self, key: int) -> None:
        """Take over a value."""
        self.value = key

    def move(self, agent: int) -> int:
        """The first agent adds 1, the second 2."""
        self.happened = 0
        if self.value + agent + 1 >= self.size and not self.circle:
            return 0
        self.value = (self.value + agent + 1) % self.size
        return 51

    def is_free(self, agent: int) -> bool:
        """Both must go on."""
        return False

    def broken(self) -> int:
        """The forbidden value breaks a law."""
        return Law.DELIVERED_TWICE if self.value == self.bad else Law.NONE

    def left_undone(self) -> int:
        """Nothing is owed."""
        return Law.NONE


def test_all_states_are_found_and_all_edges_counted() -> None:
    """0 to 9 by steps of 1 and 2: ten states, nine edges of 1 and eight of 2."""
    search = explore(Counting(10), 100)
    assert (len(search.keys), search.edges, search.quiet, search.law) == (10, 17, 1, Law.NONE)


def test_the_first_broken_state_is_one_with_the_fewest_steps() -> None:
    """7 takes four steps at least: 2, 2, 2 and 1."""
    search = explore(Counting(10, bad=7), 100)
    assert (search.law, len(search.route(search.found)) - 1) == (Law.DELIVERED_TWICE, 4)


def test_a_circle_is_a_run_that_does_not_end() -> None:
    assert explore(Counting(5, circle=True), 100).law == Law.ENDLESS


def test_a_world_in_which_nothing_happens_cannot_pass() -> None:
    world = Counting(10)
    world.wanted = Sometimes.SLEPT
    search = explore(world, 100)
    assert (search.law, search.missing()) == (Law.NONE, Sometimes.SLEPT)


def test_the_bound_stops_the_search_and_decides_nothing() -> None:
    search = explore(Counting(1000), 50)
    assert search.is_full and search.law == Law.NONE and len(search.keys) <= 52


def test_portions_change_nothing() -> None:
    """An exploration that is shown and interrupted finds the same states under the same numbers."""
    whole = explore(make("post-while-blocking", "nv-not-restored"), 100_000)
    parts = Search(make("post-while-blocking", "nv-not-restored"), 100_000)
    while parts.advance(13):
        pass
    assert (parts.keys, parts.parent, parts.edges, parts.found) == (whole.keys, whole.parent, whole.edges, whole.found)


def test_fields_come_out_of_a_packed_number_as_they_went_in() -> None:
    packed = Packed()
    packed.start(0)
    fields = [(1, 1), (0, 3), (37, 6), (2**31, 32), (5, 20)]
    for value, bits in fields:
        packed.put(value, bits)
    packed.start(packed.word)
    assert [packed.get(bits) for _, bits in fields] == [value for value, _ in fields]
