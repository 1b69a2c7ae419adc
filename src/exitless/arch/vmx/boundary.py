"""Which event wins at an instruction boundary in VMX non-root operation. SDM vol. 3, 25.2, 26.6 and 29.2.2."""

from mypy_extensions import i64

from exitless.arch.outcome import Boundary
from exitless.arch.vmx.controls import Activity, Controls
from exitless.arch.vmx.injection import GuestState, may_take_interrupt
from exitless.arch.vmx.virtual_apic import VirtualApic


def arbitrate(vapic: VirtualApic, state: GuestState, controls: Controls, physical_pending: bool) -> i64:
    """The processor is between two instructions of the guest, or halted: the highest event wins.

    An interrupt window or a virtual interrupt goes before a physical interrupt; with external-interrupt
    exiting a physical interrupt exits whatever IF says, and no vector of one is compared with the other's.
    NMI, SMI, INIT, traps and the preemption timer stand above these and are not modelled here.

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
            return Boundary.EXTERNAL_INTERRUPT
        if open_window:
            return Boundary.GUEST_INTERRUPT
    return Boundary.NOTHING
