"""Which event wins at an instruction boundary: the whole order, every activity state, what holds each event back."""

from itertools import product

import pytest

from exitless.arch.outcome import Boundary
from exitless.arch.vmx.boundary import Pending, arbitrate, arbitrate_above
from exitless.arch.vmx.controls import Activity, Controls
from exitless.arch.vmx.injection import GuestState
from exitless.arch.vmx.virtual_apic import VirtualApic

ORDER = ("below_threshold", "smi", "init", "trap_flag", "timer", "nmi")
ANSWER = {
    "below_threshold": Boundary.TPR_THRESHOLD_EXIT,
    "smi": Boundary.SMI,
    "init": Boundary.INIT_EXIT,
    "trap_flag": Boundary.TRAP_FLAG_EXIT,
    "timer": Boundary.TIMER_EXIT,
    "nmi": Boundary.NMI_EXIT,
}


def pending(*names: str) -> Pending:
    """Return these events as pending."""
    events = Pending()
    for name in names:
        assert hasattr(events, name)
        setattr(events, name, 1)
    return events


@pytest.mark.parametrize("bits", list(product((0, 1), repeat=6)))
def test_the_highest_of_what_is_pending_wins(bits: tuple[int, ...]) -> None:
    """TPR threshold, SMI, INIT, monitor trap, timer, NMI; with IF=0 and under blocking by STI alike."""
    controls = Controls()
    controls.nmi_exiting = 1
    there = [name for name, bit in zip(ORDER, bits) if bit]
    expected = ANSWER[there[0]] if there else Boundary.NOTHING
    for flag, sti in ((0, 0), (1, 0), (1, 1)):
        state = GuestState()
        state.interrupt_flag, state.sti_blocking = flag, sti
        assert arbitrate_above(pending(*there), state, controls) == expected


@pytest.mark.parametrize("activity", [Activity.ACTIVE, Activity.HLT, Activity.MWAIT, Activity.SHUTDOWN])
def test_activity_states(activity: int) -> None:
    """In shutdown the TPR threshold and the monitor trap wait; HLT and MWAIT hold nothing back."""
    controls, state = Controls(), GuestState()
    controls.nmi_exiting, state.activity = 1, activity
    for name in ORDER:
        waits = activity == Activity.SHUTDOWN and name in ("below_threshold", "trap_flag")
        assert arbitrate_above(pending(name), state, controls) == (Boundary.NOTHING if waits else ANSWER[name])


def test_a_processor_that_waits_for_sipi_sees_nothing_else() -> None:
    state = GuestState()
    state.activity = Activity.WAIT_FOR_SIPI
    assert arbitrate_above(pending(*ORDER), state, Controls()) == Boundary.NOTHING
    assert arbitrate_above(pending(*ORDER, "sipi"), state, Controls()) == Boundary.SIPI_EXIT
    state.activity = Activity.ACTIVE
    assert arbitrate_above(pending("sipi"), state, Controls()) == Boundary.NOTHING


@pytest.mark.parametrize("bits", list(product((0, 1), repeat=6)))
def test_nmi_and_its_window(bits: tuple[int, ...]) -> None:
    """The window goes first and opens without blocking; virtual NMIs leave physical ones free to exit."""
    exiting, virtual, window, blocked, mov_ss, nmi = bits
    controls, state = Controls(), GuestState()
    controls.nmi_exiting, controls.virtual_nmis, controls.nmi_window_exiting = exiting, virtual, window
    state.nmi_blocking, state.mov_ss_blocking = blocked, mov_ss
    if mov_ss:
        expected = Boundary.NOTHING
    elif window and not blocked:
        expected = Boundary.NMI_WINDOW_EXIT
    elif nmi and exiting and (virtual or not blocked):
        expected = Boundary.NMI_EXIT
    elif nmi and not exiting and not blocked:
        expected = Boundary.GUEST_NMI
    else:
        expected = Boundary.NOTHING
    assert arbitrate_above(pending(*(["nmi"] if nmi else [])), state, controls) == expected


def test_whether_blocking_delays_an_external_interrupt_that_exits_is_a_switch() -> None:
    for delays, sti, mov_ss, flag, exiting in product((0, 1), repeat=5):
        controls, state = Controls(), GuestState()
        controls.choices.vmx_blocking_delays_external, controls.ext_int_exiting = delays, exiting
        state.sti_blocking, state.mov_ss_blocking, state.interrupt_flag = sti, mov_ss, flag
        blocked = sti or mov_ss
        if exiting:
            expected = Boundary.NOTHING if delays and blocked else Boundary.EXTERNAL_INTERRUPT
        else:
            expected = Boundary.GUEST_INTERRUPT if flag and not blocked else Boundary.NOTHING
        assert arbitrate(VirtualApic(), state, controls, True) == expected
