"""A counterexample as a record: the words are the record's, so that any view can draw it."""

import pytest

from exitless.check.acts import ACTS
from exitless.check.catalog import entries, make
from exitless.check.explore import explore
from exitless.check.path import STEP_PS, Path, counterexample, counterexample_record
from exitless.check.words import STEPS
from exitless.vocab.kinds import Kind
from exitless.vocab.table import BY_KIND
from tests.house.tree import cites

BROKEN = [(entry.name, m) for entry in entries() for m in entry.mutation_names()]


def path_of(name: str, mutation: str) -> Path:
    """Return the counterexample of one mutation."""
    return counterexample(explore(make(name, mutation), 100_000))


@pytest.mark.parametrize(("name", "mutation"), BROKEN)
def test_every_counterexample_is_a_record_whose_time_is_the_step(name: str, mutation: str) -> None:
    path = path_of(name, mutation)
    record = counterexample_record(path)
    times = [event.time_ps for event in record]
    assert times == sorted(times) and all(event.kind in BY_KIND for event in record)
    steps = [event for event in record if event.kind == Kind.STEP]
    assert [event.time_ps // STEP_PS for event in steps] == list(range(1, len(path.steps) + 1))
    assert [record.header.costs[event.a] for event in steps] == [f"{t.who}: {t.says}" for t in path.steps]


def test_the_lost_wakeup_in_the_record() -> None:
    """Halt, post, block, and a notification processed by the wrong vCPU: nothing wakes vCPU 0."""
    record = counterexample_record(path_of("post-while-blocking", "check-before-nv"))
    told = [(event.kind, event.vcpu, event.a) for event in record if event.kind != Kind.STEP]
    for row in [(Kind.GUEST_HLT, 0, 0), (Kind.PID_POST, 0, 0x41), (Kind.SCHED_BLOCK, 0, 0), (Kind.PID_PROCESS, 1, 242)]:
        assert row in told
    assert not [event for event in record if event.kind in (Kind.SCHED_WAKE, Kind.IRQ_DELIVER)]


def test_delivery_and_its_end_are_in_the_record() -> None:
    record = counterexample_record(path_of("post-while-blocking", "pir-kept"))
    kinds = [(event.kind, event.a) for event in record]
    delivered, ended = kinds.index((Kind.IRQ_DELIVER, 0x41)), kinds.index((Kind.IRQ_EOI, 0x41))
    assert kinds.index((Kind.PID_PROCESS, 242)) < delivered < ended


@pytest.mark.parametrize(("name", "mutation"), BROKEN)
def test_what_changed_is_what_differs(name: str, mutation: str) -> None:
    """The changes of all steps, applied to the first state, give the last."""
    path = path_of(name, mutation)
    state = dict(path.first)
    for taken in path.steps:
        for change in taken.changes:
            assert state[change.name] == change.before
            state[change.name] = change.after
    assert state == dict(path.last)


def test_every_step_has_a_sentence_and_a_citation_that_exists() -> None:
    assert STEPS and ACTS and not set(STEPS) & set(ACTS)
    assert all(says and key in cites() for says, key in [*STEPS.values(), *ACTS.values()])
    assert all(entry.cites in cites() for entry in entries())
