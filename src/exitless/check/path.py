"""A way through a world as a value: its steps with what they changed, and the record that any view can draw."""

from typing import Final

from mypy_extensions import i64

from exitless.check.explore import Search
from exitless.check.property import law_kind, law_name
from exitless.check.words import citation, sentence
from exitless.check.world import World
from exitless.record.block import Header, Record
from exitless.vocab.exits import VMX_NAMES
from exitless.vocab.kinds import Kind, Owner

STEP_PS: Final = 1_000_000


class Change:
    """One field that a step changed."""

    def __init__(self, name: str, before: str, after: str) -> None:
        self.name: str = name
        self.before: str = before
        self.after: str = after


class Taken:
    """One step of a path: who took it, what it did, where that is written, what changed, and its rows of a record."""

    def __init__(
        self, agent: int, who: str, rule: int, changes: list[Change], rows: list[tuple[int, int, int, int, int]]
    ) -> None:
        self.agent: int = agent
        self.who: str = who
        self.rule: int = rule
        self.says: str = sentence(rule)
        self.cites: str = citation(rule)
        self.changes: list[Change] = changes
        self.rows: list[tuple[int, int, int, int, int]] = rows


class Path:
    """A run from the initial state. ``law`` is the law broken at its end; ``last`` the state there, to be read."""

    def __init__(self, world: str, mutation: str, agents: list[str], law: i64) -> None:
        self.world: str = world
        self.mutation: str = mutation
        self.agents: list[str] = agents
        self.law: int = int(law)
        self.property: str = law_name(law)
        self.kind: str = law_kind(law)
        self.first: list[tuple[str, str]] = []
        self.last: list[tuple[str, str]] = []
        self.steps: list[Taken] = []


def differences(before: list[tuple[str, str]], after: list[tuple[str, str]]) -> list[Change]:
    """Return the fields that differ."""
    found: list[Change] = []
    i: i64 = 0
    while i < len(before):
        if before[i][1] != after[i][1]:
            found.append(Change(before[i][0], before[i][1], after[i][1]))
        i += 1
    return found


def path_to(search: Search, number: i64) -> Path:
    """Return the shortest run to a state that the search has found."""
    world: World = search.world
    path: Path = Path(world.name, world.mutation, world.agents, search.law)
    way: list[int] = search.route(number)
    world.load(search.keys[way[0]])
    path.first = world.fields()
    i: i64 = 1
    while i < len(way):
        path.steps.append(step_between(world, search.keys[way[i - 1]], search.keys[way[i]]))
        i += 1
    path.last = world.fields()
    return path


def step_between(world: World, before: i64, after: i64) -> Taken:
    """Find the agent whose move leads from one state to the other, and leave the world in the latter."""
    agent: i64 = 0
    while True:
        world.load(before)
        fields: list[tuple[str, str]] = world.fields()
        rule: i64 = world.move(agent)
        if rule != 0 and world.key() == after:
            changes: list[Change] = differences(fields, world.fields())
            return Taken(int(agent), world.agents[agent], int(rule), changes, world.rows(rule))
        agent += 1


def counterexample(search: Search) -> Path:
    """Return the run to the state in which the search found its law broken."""
    return path_to(search, search.found)


def counterexample_record(path: Path) -> Record:
    """Return the path as a record: step n happens at n µs and lasts one, and the events of it are at its beginning.

    Units: time_ps in the record counts 1,000,000 a step.
    """
    header = Header(
        title=f"{path.world}: {path.property}",
        origin="model checker",
        scenario=path.world,
        mechanism=path.mutation,
        length_ps=(len(path.steps) + 1) * STEP_PS,
        pcpus=2,
        vcpus=["vCPU 0", "vCPU 1"],
        owners=[Owner.GUEST, Owner.GUEST],
        costs=[f"{taken.who}: {taken.says}" for taken in path.steps],
        cost_origins=["one step of a model" for _ in path.steps],
        exits={int(number): name for number, name in VMX_NAMES.items()},
    )
    record = Record(header)
    record.add(0, Kind.CPU_OWNER, 0, -1, Owner.GUEST, 0)
    record.add(0, Kind.SCHED_SWITCH, 0, 0, -1, 0)
    for n, taken in enumerate(path.steps):
        now = (n + 1) * STEP_PS
        pcpu = 1 if taken.who == "pCPU 1" else 0 if taken.agent != 1 else -1
        record.add(now, Kind.STEP, pcpu, -1, n, STEP_PS)
        for kind, at, vcpu, a, b in taken.rows:
            record.add(now, kind, at, vcpu, a, b)
    return record
