"""Work whose outcome must not depend on the form it runs in."""

import hashlib

from exitless.bits import words
from exitless.sim.calendar import Calendar
from exitless.sim.chance import Stream, mix


def draws(seed: int, stream: int, count: int) -> list[list[int]]:
    """Draw from one stream with each of its verbs."""
    source = Stream(seed, stream)
    return [[int(source.word()), int(source.below(1000)), int(source.exponential(10**9))] for _ in range(count)]


def mixed(values: list[int]) -> list[int]:
    """Mix each word."""
    return [int(mix(value)) for value in values]


def shuffled(pushes: list[list[int]]) -> list[list[int]]:
    """Push entries, ``[-1, ...]`` meaning a pop between them, and return all that left, in order."""
    calendar = Calendar(4)
    left: list[list[int]] = []

    def pop() -> bool:
        if not calendar.pop():
            return False
        left.append([int(calendar.now), int(calendar.event), int(calendar.x), int(calendar.y)])
        return True

    for time, event, x, y in pushes:
        if time < 0:
            pop()
        else:
            calendar.push(time, event, x, y)
    while pop():
        pass
    return left


def registers(bits: list[int]) -> list[list[int]]:
    """Set bits one by one in a packed 256-bit register and tell all that can be asked of it after each."""
    register = words.zeros(8)
    answers = []
    for bit in bits:
        was = words.test_and_set(register, 0, words.PACKED, bit)
        top = words.highest_bit(register, 0, words.PACKED)
        answers.append([int(was), int(top), *(int(register[i]) for i in range(8))])
    return answers


def rows(scenario: str, mechanism: str, seed: int, length_ps: int) -> dict[str, list[int]]:
    """Simulate and return the whole record, column by column."""
    from exitless.scenario import simulate

    record = simulate(scenario, mechanism, seed, length_ps)
    return {"time": list(record.time), "where": list(record.where), "a": list(record.a), "b": list(record.b)}


def digest(columns: dict[str, list[int]]) -> str:
    """Return a short name for a record, so that two processes need not exchange it whole."""
    text = ";".join(",".join(map(str, columns[name])) for name in ("time", "where", "a", "b"))
    return hashlib.sha256(text.encode()).hexdigest()


def row_digests(scenario: str, mechanism: str, seed: int, length_ps: int) -> tuple[int, str]:
    """Simulate and return how many rows there were and their digest."""
    columns = rows(scenario, mechanism, seed, length_ps)
    return len(columns["time"]), digest(columns)


def replay_digest(path: str) -> tuple[int, str]:
    """Replay a recording and return how many rows came out and their digest."""
    from exitless.cli.replay import read as read_for_replay
    from exitless.scenario.costs import Preset

    replay = read_for_replay(path, 2_600_000_000)
    replay.simulate(Preset("illustrative", 2_600_000_000, {}), True)
    r = replay.record
    return len(r), digest({"time": list(r.time), "where": list(r.where), "a": list(r.a), "b": list(r.b)})
