"""The judge finds what was put into a healthy recording on purpose, and where it was put."""

from random import Random

import pytest

from exitless.judge.judge import judge
from exitless.traces.reader import open_reader
from shared import shared
from tests.judge.faults import FAULTS, Row

MS = 10**9
NEAR_PS = 20 * MS

# How many of ten random places must be found, for those kinds that may equal a legal execution.
SURE = 10
AT_LEAST = {"accept left out": 6, "two events swapped": 8, "entry left out": 0, "window for nothing": 4}


def rows_of(name: str) -> list[Row]:
    with open_reader(str(shared(f"data/traces/{name}"))) as reader:
        return [row for rows in reader.rows() for row in rows]


@pytest.fixture(scope="module", params=["kvm-linux-2cpu/trace.dat.xz", "kvm-tiny-2cpu-xapic/trace.dat.xz"])
def healthy(request: pytest.FixtureRequest) -> list[Row]:
    return rows_of(request.param)


@pytest.mark.parametrize("kind", FAULTS)
def test_faults_are_found_where_they_were_put(healthy: list[Row], kind: str) -> None:
    chance, found, missed = Random(11), 0, []
    for _ in range(SURE):
        changed = FAULTS[kind](healthy, chance.random())
        assert changed is not None, f"there is no place for {kind}"
        rows, time, vcpu = changed
        findings = judge([rows]).findings
        if findings and findings[0].row[3] == vcpu and -MS <= findings[0].row[0] - time:
            found += 1
        else:
            missed.append(time)
    assert found >= AT_LEAST.get(kind, SURE), f"{kind} at {missed} ps was not found"
