"""Every order, breadth first: the first broken state found is one with the fewest steps to it."""

from typing import Final

from mypy_extensions import i64

from exitless.bits.words import shl
from exitless.check.property import Law
from exitless.check.world import Rule, World

STATES_AT_MOST: Final = 2_000_000


class Search:
    """An exploration that can be continued in portions, so that whoever drives it can show progress and be interrupted.

    States are numbered in the order of discovery. ``keys`` holds them packed, ``parent`` the state each was first
    reached from, ``depth`` in how many steps. ``first`` and ``targets`` are the edges: those of state n are
    ``targets[first[n]]`` to ``targets[first[n + 1] - 1]``. ``quiet`` counts the states in
    which nothing under way leads further: whoever could move would begin something new, and may as well never do so.
    ``ignored`` has a bit for each law that shall not end the
    search. ``law`` is the broken law, ``found`` the state that breaks it.
    """

    def __init__(self, world: World, limit: i64) -> None:
        self.world: World = world
        self.limit: i64 = limit
        self.index: dict[int, int] = {}
        self.keys: list[int] = []
        self.parent: list[int] = []
        self.depth: list[int] = []
        self.first: list[int] = []
        self.targets: list[int] = []
        self.next: i64 = 0
        self.edges: i64 = 0
        self.quiet: i64 = 0
        self.happened: i64 = 0
        self.law: i64 = Law.NONE
        self.found: i64 = -1
        self.is_full: bool = False
        self.ignored: i64 = 0
        world.reset()
        self.visit(world.key(), -1)

    def visit(self, key: i64, parent: i64) -> i64:
        """Number a state if it is new. Returns: its number."""
        word: int = int(key)
        known: int = self.index.get(word, -1)
        if known >= 0:
            return known
        number: int = len(self.keys)
        self.index[word] = number
        self.keys.append(word)
        self.parent.append(int(parent))
        if parent < 0:
            self.depth.append(0)
        else:
            self.depth.append(self.depth[parent] + 1)
        return number

    def is_finished(self) -> bool:
        """Tell whether there is nothing left to explore, or no reason to."""
        return self.law != Law.NONE or self.is_full or self.next >= len(self.keys)

    def advance(self, portion: i64) -> bool:
        """Expand at most ``portion`` states. Returns: whether there are more."""
        done: i64 = 0
        while done < portion and not self.is_finished():
            self.expand(self.next)
            self.next += 1
            done += 1
        if self.law == Law.NONE and self.next >= len(self.keys) and not self.is_full:
            self.finish()
        return not self.is_finished()

    def expand(self, number: i64) -> None:
        """Judge one state and find all that can follow it."""
        world: World = self.world
        key: i64 = self.keys[number]
        world.load(key)
        self.first.append(len(self.targets))
        law: i64 = world.broken()
        if self.counts(law):
            self.law = law
            self.found = number
            return
        count: i64 = len(world.agents)
        moved: i64 = 0
        bound: i64 = 0
        agent: i64 = 0
        while agent < count:
            free: bool = world.is_free(agent)
            if world.move(agent) != Rule.NONE:
                moved += 1
                if not free:
                    bound += 1
                self.happened = self.happened | world.happened
                self.targets.append(int(self.visit(world.key(), number)))
                world.load(key)
            agent += 1
        self.edges += moved
        if bound == 0:
            self.quiet += 1
            law = world.left_undone()
            if self.counts(law):
                self.law = law
                self.found = number
        if len(self.keys) > self.limit:
            self.is_full = True

    def counts(self, law: i64) -> bool:
        """Tell whether a law is broken that ends the search."""
        return law != Law.NONE and self.ignored & shl(1, law) == 0

    def finish(self) -> None:
        """Everything is explored: does every run end? It does when states can be struck off that nothing leads to."""
        count: i64 = len(self.keys)
        if len(self.first) > count:
            return
        self.first.append(len(self.targets))
        entering: list[int] = [0] * len(self.keys)
        for target in self.targets:
            entering[target] += 1
        free: list[int] = []
        if entering[0] == 0:
            free.append(0)
        struck: i64 = 0
        while len(free) > 0:
            state: int = free.pop()
            struck += 1
            for i in range(self.first[state], self.first[state + 1]):
                target = self.targets[i]
                entering[target] -= 1
                if entering[target] == 0:
                    free.append(target)
        if struck < count:
            self.law = Law.ENDLESS
            n: i64 = 0
            while entering[n] == 0:
                n += 1
            self.found = n

    def missing(self) -> i64:
        """Return the Sometimes bits that should have happened and did not."""
        return self.world.wanted & ~self.happened

    def route(self, number: i64) -> list[int]:
        """Return the numbers of the states from the initial one to this one, by the fewest steps."""
        way: list[int] = []
        n: i64 = number
        while n >= 0:
            way.append(int(n))
            n = self.parent[n]
        way.reverse()
        return way

    def longest(self) -> i64:
        """Return the number of steps to the farthest state."""
        return self.depth[len(self.depth) - 1]


def explore(world: World, limit: i64) -> Search:
    """Explore a world to its end, or to the first broken law."""
    search: Search = Search(world, limit)
    while search.advance(100_000):
        pass
    return search
