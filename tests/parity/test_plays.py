"""Compiled and interpreted, the oracle logs the same events."""

import pytest

import exitless
from tests.parity import plays
from tests.parity.interpreted import in_interpreted_form

needs_compiled = pytest.mark.skipif(
    not exitless.compiled(), reason="make test compares the two forms in its compiled run"
)


@needs_compiled
def test_every_vector_of_our_own_is_logged_alike() -> None:
    assert plays.logs() == in_interpreted_form("plays", "logs")


@needs_compiled
@pytest.mark.parametrize("seed", [1, 4294967295])
def test_a_seed_exports_the_same_vectors(seed: int) -> None:
    assert plays.exported(400, seed) == in_interpreted_form("plays", "exported", 400, seed)
