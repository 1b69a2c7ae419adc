"""The judge finds what was put into a healthy recording on purpose, and names the phase in which it went wrong."""

from random import Random
from typing import Final

import pytest

from tests.judge.faults import FAULTS
from tests.judge.putting import outcomes
from tests.judge.recordings import recording

PLACES = 5
KVM = ("kvm-linux-2cpu/trace.dat.xz", "kvm-tiny-2cpu-xapic/trace.dat.xz")
XEN = ("xen-hvm-nopv2-load/xentrace.bin.xz", "xen-pvh2/xentrace.bin.xz")
# Xen records no requests, and so any vector may have been requested that no interrupt in service holds back.
NOT_OF_XEN: Final = {"injection of another vector"}


def hold(fault: str, names: tuple[str, ...], seed: int) -> None:
    """Each fault is found, with its phase, or the rows tell a legal explanation; and some are found."""
    chance = Random(seed)
    all_of = [outcome for name in names for outcome in outcomes(fault, recording(name), PLACES, chance)]
    if not all_of:
        pytest.skip(f"these recordings have no place for: {fault}")
    missed = [outcome for outcome in all_of if not outcome.found and not outcome.explained]
    assert not missed, f"{fault}: {len(missed)} of {len(all_of)} neither found nor explained"
    found = [outcome for outcome in all_of if outcome.found]
    assert found, f"{fault}: all of {len(all_of)} explained: {sorted({outcome.explained for outcome in all_of})}"
    assert all(outcome.right for outcome in found), f"{fault}: another phase than its own"


@pytest.mark.parametrize("fault", FAULTS)
def test_a_fault_in_a_recording_of_kvm_is_found(fault: str) -> None:
    """What no legal execution explains is found, not before it happens, and its phase is named."""
    hold(fault, KVM, 11)


@pytest.mark.parametrize("fault", sorted(set(FAULTS) - NOT_OF_XEN))
def test_a_fault_in_a_recording_of_xen_is_found(fault: str) -> None:
    """Xen records no requests and untold ends, and whose turn it is; what that suffices for is found."""
    hold(fault, XEN, 12)
