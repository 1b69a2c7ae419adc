"""The judge finds what was put into a healthy recording on purpose, and names the phase in which it went wrong."""

from random import Random
from typing import Final

import pytest

from exitless.judge.judge import judge
from tests.judge.faults import FAULTS
from tests.judge.recordings import part, recording

MS = 10**9
LONG = 6_000
PLACES = 5
KVM = ("kvm-linux-2cpu/trace.dat.xz", "kvm-tiny-2cpu-xapic/trace.dat.xz")
XEN = ("xen-hvm-nopv2-load/xentrace.bin.xz", "xen-pvh2/xentrace.bin.xz")

# Of all places tried, in hundredths, those at which a fault must be found, where that is not each of them: what is left
# of a recording may be legal.
AT_LEAST: Final = {
    "injection left out": 80,
    "two events swapped": 75,
    "window for nothing": 80,
    "injection into another vCPU": 80,
}
XEN_AT_LEAST: Final = {
    "injection left out": 60,
    "run without wake-up": 80,
    "two events swapped": 75,
    "exit left out": 80,
    "injection into another vCPU": 80,
}
# What Xen's tracer does not record cannot be missed: requests, and whose vector an injection is.
NOT_OF_XEN: Final = {"injection of another vector", "injection of a vector below 16"}


def rates(name: str, fault: str, chance: Random) -> tuple[int, int, int]:
    """Put a fault at some places of a recording: how many could be put, were found, and had the right phase."""
    rows, threads, _ = recording(name)
    put, phases = FAULTS[fault]
    placed = found = right = 0
    for _ in range(PLACES):
        first = chance.randrange(max(1, len(rows) - LONG))
        changed = put(part(rows, first, first + LONG), 0.4 + 0.4 * chance.random())
        if changed is None:
            continue
        placed += 1
        findings = judge([changed[0]], threads=threads).findings
        if findings and findings[0].row[0] >= changed[1] - 10 * MS:
            found += 1
            right += not phases or findings[0].phase in phases
    return placed, found, right


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_in_a_recording_of_kvm_is_found(fault: str) -> None:
    """What no legal execution explains is found, not before it happens, and its phase is named."""
    chance = Random(11)
    placed, found, right = (sum(n) for n in zip(*(rates(name, fault, chance) for name in KVM), strict=True))
    assert placed
    assert 100 * found >= AT_LEAST.get(fault, 100) * placed, f"{fault}: found {found} of {placed}"
    assert right == found, f"{fault}: phase right in {right} of {found}"


@pytest.mark.parametrize("fault", sorted(set(FAULTS) - NOT_OF_XEN))
def test_a_fault_in_a_recording_of_xen_is_found(fault: str) -> None:
    """Xen records no requests and untold ends, and whose turn it is; what that suffices for is found."""
    chance = Random(12)
    placed, found, right = (sum(n) for n in zip(*(rates(name, fault, chance) for name in XEN), strict=True))
    if not placed:
        pytest.skip(f"recordings of Xen have no place for: {fault}")
    assert 100 * found >= XEN_AT_LEAST.get(fault, 100) * placed, f"{fault}: found {found} of {placed}"
    assert right == found, f"{fault}: phase right in {right} of {found}"
