"""Two vectors in one local APIC: who met whom, who was taken first, how long the rival was held."""

import pytest

from exitless.study.meeting import Meeting

MINE, RIVAL = 0x80, 0x58


def told(*rows: tuple[str, int, int]) -> Meeting:
    """Tell a meeting on pCPU 1 a story of (what, vector, time)."""
    m = Meeting(1, MINE, RIVAL)
    for what, vector, time in rows:
        if what == "accept":
            m.accepted(time, 1, vector)
        elif what == "take":
            m.taken(time, 1, vector)
        else:
            m.ended(1, vector)
    return m


def test_two_requests_are_decided_by_who_is_taken() -> None:
    m = told(("accept", RIVAL, 0), ("accept", MINE, 5), ("take", MINE, 6), ("end", MINE, 9), ("take", RIVAL, 10))
    assert (m.met, m.mine_first, m.rival_first, list(m.held)) == (1, 1, 0, [10])
    m = told(("accept", RIVAL, 0), ("accept", MINE, 5), ("take", RIVAL, 6), ("end", RIVAL, 6), ("take", MINE, 7))
    assert (m.met, m.mine_first, m.rival_first, list(m.held)) == (1, 0, 1, [])


def test_a_vector_in_service_went_first() -> None:
    m = told(("accept", MINE, 0), ("take", MINE, 1), ("accept", RIVAL, 2), ("end", MINE, 8), ("take", RIVAL, 9))
    assert (m.met, m.mine_first, m.rival_first, list(m.held)) == (1, 1, 0, [7])
    m = told(("accept", RIVAL, 0), ("take", RIVAL, 1), ("accept", MINE, 2), ("end", RIVAL, 3), ("take", MINE, 4))
    assert (m.met, m.mine_first, m.rival_first) == (1, 0, 1)


def test_vectors_that_do_not_overlap_never_meet() -> None:
    m = told(("accept", MINE, 0), ("take", MINE, 1), ("end", MINE, 2), ("accept", RIVAL, 3), ("take", RIVAL, 4))
    assert (m.met, m.mine_first, m.rival_first) == (0, 0, 0)


def test_a_merged_request_meets_once() -> None:
    m = told(("accept", RIVAL, 0), ("accept", MINE, 1), ("accept", MINE, 2), ("accept", RIVAL, 3), ("take", MINE, 4))
    assert (m.met, m.mine_first) == (1, 1)


@pytest.mark.parametrize("vector", [v for v in range(256) if v not in (MINE, RIVAL)])
def test_other_vectors_and_other_pcpus_are_nobodys_business(vector: int) -> None:
    m = told(("accept", MINE, 0))
    m.accepted(1, 1, vector)
    m.taken(2, 1, vector)
    m.ended(1, vector)
    m.accepted(3, 0, RIVAL)
    m.taken(4, 2, MINE)
    assert (m.met, m.mine_first, m.rival_first) == (0, 0, 0)
