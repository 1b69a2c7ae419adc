"""Compiled and interpreted, the oracle logs the same events."""

import pytest

import exitless
from tests.parity import plays
from tests.parity.interpreted import in_interpreted_form


@pytest.mark.skipif(not exitless.compiled(), reason="make test compares the two forms in its compiled run")
def test_every_vector_of_our_own_is_logged_alike() -> None:
    assert plays.logs() == in_interpreted_form("plays", "logs")
