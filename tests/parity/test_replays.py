"""A replay gives one record, and the same in both forms."""

import pytest

import exitless
from tests.parity import work
from tests.parity.interpreted import in_interpreted_form
from tests.traces.helpers import DATA, EXCERPTS


@pytest.mark.parametrize("name", EXCERPTS)
def test_two_replays_are_one(name: str) -> None:
    path = str(DATA / f"{name}.bin.xz")
    first = work.replay_digest(path)
    assert first == work.replay_digest(path) and first[0] > 1000


@pytest.mark.skipif(not exitless.compiled(), reason="these tests run interpreted; the compiled run compares the forms")
@pytest.mark.parametrize("name", EXCERPTS)
def test_the_interpreted_form_replays_the_same_rows(name: str) -> None:
    path = str(DATA / f"{name}.bin.xz")
    assert list(work.replay_digest(path)) == in_interpreted_form("work", "replay_digest", path)
