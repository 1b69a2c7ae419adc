"""Which event wins at an instruction boundary in VMX non-root operation. SDM vol. 3, 25.2, 26.6 and 29.2.2."""

from mypy_extensions import i64

from exitless.arch.outcome import Boundary
from exitless.arch.vmx.controls import Activity, Controls
from exitless.arch.vmx.injection import GuestState, may_take_interrupt
from exitless.arch.vmx.virtual_apic import VirtualApic


class Pending:
    """Events above virtual and external interrupts, 0 or 1 each.

    ``below_threshold`` is what VM entry found (:func:`exitless.arch.vmx.controls.exits_below_threshold`),
    ``trap_flag`` a pending monitor trap, ``timer`` a VMX-preemption timer that has expired.
    Cites: SDM vmx.event-priority
    """

    def __init__(self) -> None:
        self.below_threshold: i64 = 0
        self.smi: i64 = 0
        self.init: i64 = 0
        self.sipi: i64 = 0
        self.trap_flag: i64 = 0
        self.timer: i64 = 0
        self.nmi: i64 = 0


def _arbitrate_nmi(pending: Pending, state: GuestState, controls: Controls) -> i64:
    """NMI window before NMI; MOV SS blocks both, blocking by NMI means virtual NMIs where those are in use."""
    if state.mov_ss_blocking != 0 or (state.sti_blocking != 0 and controls.choices.vmx_sti_blocks_nmi != 0):
        return Boundary.NOTHING
    if controls.nmi_window_exiting != 0 and state.nmi_blocking == 0:
        return Boundary.NMI_WINDOW_EXIT
    if pending.nmi != 0:
        if controls.nmi_exiting != 0 and (controls.virtual_nmis != 0 or state.nmi_blocking == 0):
            return Boundary.NMI_EXIT
        if controls.nmi_exiting == 0 and state.nmi_blocking == 0:
            return Boundary.GUEST_NMI
    return Boundary.NOTHING


def arbitrate_above(pending: Pending, state: GuestState, controls: Controls) -> i64:
    """The events that go before interrupts: TPR threshold, SMI, INIT, monitor trap, timer, NMI window, NMI.

    Neither IF nor, unless chosen for NMIs, blocking by STI holds any of them back; the TPR threshold waits while the
    processor is shut down, and a processor that waits for SIPI sees nothing else.

    Returns: one of Boundary, NOTHING when :func:`arbitrate` is to be asked next.
    Cites: SDM vmx.event-priority
    """
    if state.activity == Activity.WAIT_FOR_SIPI:
        return Boundary.SIPI_EXIT if pending.sipi != 0 else Boundary.NOTHING
    if pending.below_threshold != 0 and state.activity != Activity.SHUTDOWN:
        return Boundary.TPR_THRESHOLD_EXIT
    if pending.smi != 0:
        return Boundary.SMI
    if pending.init != 0:
        return Boundary.INIT_EXIT
    if pending.trap_flag != 0 and state.activity != Activity.SHUTDOWN:
        return Boundary.TRAP_FLAG_EXIT
    if pending.timer != 0:
        return Boundary.TIMER_EXIT
    return _arbitrate_nmi(pending, state, controls)


def arbitrate(vapic: VirtualApic, state: GuestState, controls: Controls, physical_pending: bool) -> i64:
    """The processor is between two instructions of the guest, or halted: the highest event wins.

    An interrupt window or a virtual interrupt goes before a physical interrupt; with external-interrupt
    exiting a physical interrupt exits whatever IF says, and no vector of one is compared with the other's.
    What stands above these is asked of :func:`arbitrate_above` first.

    Returns: one of Boundary; EXTERNAL_INTERRUPT obliges the caller to acknowledge the local APIC and to tell a
        notification from an exit; GUEST_INTERRUPT means delivery through the guest's IDT with the physical vector.
    Cites: SDM vmx.event-priority
    """
    activity: i64 = state.activity
    if activity == Activity.SHUTDOWN or activity == Activity.WAIT_FOR_SIPI:
        return Boundary.NOTHING
    open_window: bool = may_take_interrupt(state)
    if open_window:
        if vapic.window_exiting != 0:
            return Boundary.WINDOW_EXIT
        if vapic.recognized != 0:
            return Boundary.VIRTUAL_INTERRUPT
    if physical_pending:
        if controls.ext_int_exiting != 0:
            blocked: bool = state.sti_blocking != 0 or state.mov_ss_blocking != 0
            if blocked and controls.choices.vmx_blocking_delays_external != 0:
                return Boundary.NOTHING
            return Boundary.EXTERNAL_INTERRUPT
        if open_window:
            return Boundary.GUEST_INTERRUPT
    return Boundary.NOTHING
