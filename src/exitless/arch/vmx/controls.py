"""The VMX controls that decide interrupts, and the VM-entry checks on them. SDM vol. 3, 24.6, 24.7 and 26.2.1.1."""

from typing import Final

from librt.vecs import vec
from mypy_extensions import i64

from exitless.bits.words import zeros


class Activity:
    """Activity states of a logical processor. Cites: SDM vmcs.guest-state"""

    ACTIVE: Final = 0
    HLT: Final = 1
    SHUTDOWN: Final = 2
    WAIT_FOR_SIPI: Final = 3
    MWAIT: Final = 4


class Controls:
    """VM-execution and VM-exit controls, one number 0 or 1 each, with the fields that belong to them.

    The secondary controls hold what is programmed; :func:`secondary` masks them as the processor does.
    Interrupt-window exiting lives with the virtual APIC, because evaluation reads it.
    Shapes: ``msr_read_exit`` and ``msr_write_exit`` eight 32-bit words, bit n is MSR 800H+n.
    Cites: SDM vmx.controls
    """

    def __init__(self) -> None:
        self.ext_int_exiting: i64 = 1
        self.process_posted_interrupts: i64 = 0
        self.hlt_exiting: i64 = 1
        self.cr8_load_exiting: i64 = 0
        self.cr8_store_exiting: i64 = 0
        self.use_tpr_shadow: i64 = 0
        self.msr_bitmaps: i64 = 1
        self.secondary: i64 = 1
        self.virtualize_apic_accesses: i64 = 0
        self.virtualize_x2apic_mode: i64 = 0
        self.apic_register_virtualization: i64 = 0
        self.virtual_interrupt_delivery: i64 = 0
        self.ack_int_on_exit: i64 = 1
        self.notification_vector: i64 = 0
        self.descriptor_address: i64 = 0
        self.tpr_threshold: i64 = 0
        self.msr_read_exit: vec[i64] = zeros(8)
        self.msr_write_exit: vec[i64] = zeros(8)


def secondary(controls: Controls, control: i64) -> bool:
    """A secondary control counts only while the secondary controls are activated. Cites: SDM vmx.controls"""
    return controls.secondary != 0 and control != 0


def has_vid(controls: Controls) -> bool:
    """Tell whether virtual-interrupt delivery is in force. Cites: SDM vmx.controls"""
    return controls.secondary != 0 and controls.virtual_interrupt_delivery != 0


class Check:
    """Which VM-entry check on the controls failed; 0 when all hold. Cites: SDM vmx.entry-checks"""

    PASS: Final = 0
    TPR_THRESHOLD_BITS: Final = 3
    TPR_THRESHOLD_VALUE: Final = 4
    NEEDS_TPR_SHADOW: Final = 6
    X2APIC_WITH_ACCESSES: Final = 7
    VID_NEEDS_EXTINT: Final = 8
    POSTING_NEEDS_VID: Final = 9
    POSTING_NEEDS_ACK: Final = 10
    NOTIFICATION_VECTOR: Final = 11
    DESCRIPTOR_ALIGNMENT: Final = 12


def check_controls(controls: Controls, vtpr: i64) -> i64:
    """VM entry checks the controls of interrupt virtualization, in the manual's order.

    Returns: Check.PASS, or the first check that fails: VMfailValid with error 7, no entry.
    Cites: SDM vmx.entry-checks
    """
    c: Controls = controls
    vid: bool = has_vid(c)
    vaa: bool = secondary(c, c.virtualize_apic_accesses)
    x2: bool = secondary(c, c.virtualize_x2apic_mode)
    if c.use_tpr_shadow != 0 and not vid:
        if c.tpr_threshold > 15:
            return Check.TPR_THRESHOLD_BITS
        if not vaa and c.tpr_threshold > (vtpr >> 4) & 15:
            return Check.TPR_THRESHOLD_VALUE
    if c.use_tpr_shadow == 0 and (x2 or vid or secondary(c, c.apic_register_virtualization)):
        return Check.NEEDS_TPR_SHADOW
    if x2 and vaa:
        return Check.X2APIC_WITH_ACCESSES
    if vid and c.ext_int_exiting == 0:
        return Check.VID_NEEDS_EXTINT
    if c.process_posted_interrupts != 0:
        if not vid:
            return Check.POSTING_NEEDS_VID
        if c.ack_int_on_exit == 0:
            return Check.POSTING_NEEDS_ACK
        if c.notification_vector > 255:
            return Check.NOTIFICATION_VECTOR
        if c.descriptor_address & 63 != 0:
            return Check.DESCRIPTOR_ALIGNMENT
    return Check.PASS


def exits_below_threshold(controls: Controls, vtpr: i64) -> bool:
    """After VM entry: tell whether the TPR threshold causes an exit before the first instruction.

    Cites: SDM vmx.entry-tpr-threshold
    """
    return (
        controls.use_tpr_shadow != 0
        and secondary(controls, controls.virtualize_apic_accesses)
        and not has_vid(controls)
        and controls.tpr_threshold & 15 > (vtpr >> 4) & 15
    )
