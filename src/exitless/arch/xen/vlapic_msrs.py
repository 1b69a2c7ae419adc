"""What Xen sets up in the VMCS when a guest changes the mode of its local APIC. Xen's vmx.c."""

from typing import Final

from mypy_extensions import i64

from exitless.arch.vmx.controls import Controls
from exitless.bits.words import PACKED, clear_bit, set_bit

# Numbers of x2APIC registers, from 800H on.
PPR: Final = 10
TIMER_INITIAL: Final = 56
TIMER_CURRENT: Final = 57
TPR: Final = 8
EOI: Final = 11
SELF_IPI: Final = 63


def vlapic_msr_changed(controls: Controls, x2apic: i64) -> None:
    """The guest's local APIC is in x2APIC mode (``x2apic`` 1) or in xAPIC mode at its usual address (0).

    In x2APIC mode accesses of the page are virtualized no more. Where register virtualization or virtual-interrupt
    delivery is there, x2APIC mode is virtualized: with the first, reads stay in the guest except for PPR and the timer
    counts; with the second, writes of TPR, EOI and SELF IPI. Everything else is intercepted, the ICR always.

    Changes: virtualize_apic_accesses, virtualize_x2apic_mode, both MSR bitmaps
    Cites: Xen vmx.c vmx_vlapic_msr_changed
    """
    able: bool = controls.apic_register_virtualization != 0 or controls.virtual_interrupt_delivery != 0
    virtualized: bool = x2apic != 0 and able and controls.use_tpr_shadow != 0
    controls.virtualize_apic_accesses = 1 - x2apic
    controls.virtualize_x2apic_mode = 0
    if virtualized:
        controls.virtualize_x2apic_mode = 1
    i: i64 = 0
    while i < 256:
        set_bit(controls.msr_write_exit, 0, PACKED, i)
        if virtualized and controls.apic_register_virtualization != 0:
            clear_bit(controls.msr_read_exit, 0, PACKED, i)
        else:
            set_bit(controls.msr_read_exit, 0, PACKED, i)
        i += 1
    if not virtualized:
        return
    set_bit(controls.msr_read_exit, 0, PACKED, PPR)
    set_bit(controls.msr_read_exit, 0, PACKED, TIMER_INITIAL)
    set_bit(controls.msr_read_exit, 0, PACKED, TIMER_CURRENT)
    if controls.virtual_interrupt_delivery != 0:
        clear_bit(controls.msr_write_exit, 0, PACKED, TPR)
        clear_bit(controls.msr_write_exit, 0, PACKED, EOI)
        clear_bit(controls.msr_write_exit, 0, PACKED, SELF_IPI)
