"""The VMX controls that decide interrupts, and the VM-entry checks on them. SDM vol. 3, 24.6, 24.7 and 26.2.1.1."""

from typing import Final

from librt.vecs import vec
from mypy_extensions import i64

from exitless.arch.vmx.choices import VmxChoices
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

    The secondary and tertiary controls hold what is programmed; :func:`secondary` and :func:`tertiary` mask them as
    the processor does. Interrupt-window exiting lives with the virtual APIC, because evaluation reads it.
    ``physical_width`` is the processor's physical-address width; ``addresses_32_bit`` is IA32_VMX_BASIC[48].
    ``choices`` decide where editions or processors part.
    Shapes: ``msr_read_exit`` and ``msr_write_exit`` eight 32-bit words, bit n is MSR 800H+n.
    Cites: SDM vmx.controls
    """

    def __init__(self) -> None:
        self.ext_int_exiting: i64 = 1
        self.nmi_exiting: i64 = 0
        self.virtual_nmis: i64 = 0
        self.nmi_window_exiting: i64 = 0
        self.process_posted_interrupts: i64 = 0
        self.hlt_exiting: i64 = 1
        self.mwait_exiting: i64 = 0
        self.cr8_load_exiting: i64 = 0
        self.cr8_store_exiting: i64 = 0
        self.use_tpr_shadow: i64 = 0
        self.msr_bitmaps: i64 = 1
        self.secondary: i64 = 1
        self.virtualize_apic_accesses: i64 = 0
        self.virtualize_x2apic_mode: i64 = 0
        self.apic_register_virtualization: i64 = 0
        self.virtual_interrupt_delivery: i64 = 0
        self.tertiary: i64 = 0
        self.ipi_virtualization: i64 = 0
        self.apic_timer_virtualization: i64 = 0
        self.ack_int_on_exit: i64 = 1
        self.notification_vector: i64 = 0
        self.descriptor_address: i64 = 0
        self.msr_bitmap_address: i64 = 0
        self.virtual_apic_address: i64 = 0
        self.apic_access_address: i64 = 0
        self.pid_table_address: i64 = 0
        self.last_pid_index: i64 = 0
        self.virtual_timer_vector: i64 = 0
        self.physical_width: i64 = 46
        self.addresses_32_bit: i64 = 0
        self.choices: VmxChoices = VmxChoices()
        self.tpr_threshold: i64 = 0
        self.msr_read_exit: vec[i64] = zeros(8)
        self.msr_write_exit: vec[i64] = zeros(8)


def secondary(controls: Controls, control: i64) -> bool:
    """A secondary control counts only while the secondary controls are activated. Cites: SDM vmx.controls"""
    return controls.secondary != 0 and control != 0


def has_vid(controls: Controls) -> bool:
    """Tell whether virtual-interrupt delivery is in force. Cites: SDM vmx.controls"""
    return controls.secondary != 0 and controls.virtual_interrupt_delivery != 0


def tertiary(controls: Controls, control: i64) -> bool:
    """A tertiary control counts only while the tertiary controls are activated.

    Cites: SDM vmx.controls
    """
    return control != 0 and (controls.tertiary != 0 or controls.choices.vmx_tertiary_stand_alone != 0)


def has_ipiv(controls: Controls) -> bool:
    """Tell whether IPI virtualization is in force. Cites: SDM apicv.ipi-virtualization"""
    return tertiary(controls, controls.ipi_virtualization)


class Check:
    """Which VM-entry check on the controls failed; 0 when all hold. Cites: SDM vmx.entry-checks"""

    PASS: Final = 0
    MSR_BITMAP_ADDRESS: Final = 1
    VIRTUAL_APIC_ADDRESS: Final = 2
    TPR_THRESHOLD_BITS: Final = 3
    TPR_THRESHOLD_VALUE: Final = 4
    APIC_ACCESS_ADDRESS: Final = 5
    NEEDS_TPR_SHADOW: Final = 6
    X2APIC_WITH_ACCESSES: Final = 7
    VID_NEEDS_EXTINT: Final = 8
    POSTING_NEEDS_VID: Final = 9
    POSTING_NEEDS_ACK: Final = 10
    NOTIFICATION_VECTOR: Final = 11
    DESCRIPTOR_ADDRESS: Final = 12
    NMI_CONTROLS: Final = 13
    PID_TABLE_ADDRESS: Final = 14
    APIC_TIMER: Final = 15
    EVENT_FIELD: Final = 16
    IPIV_NEEDS_VID: Final = 17


CHECK_REASONS: Final = {
    0: "all checks on the controls hold",
    1: "the MSR-bitmap address is not 4-KiB aligned or beyond the physical-address width",
    2: "the virtual-APIC address is not 4-KiB aligned or beyond the physical-address width",
    3: "bits 31:4 of the TPR threshold are not 0, and virtual-interrupt delivery is 0",
    4: "the TPR threshold is above bits 7:4 of VTPR, and APIC accesses are not virtualized",
    5: "the APIC-access address is not 4-KiB aligned or beyond the physical-address width",
    6: "without the TPR shadow, x2APIC mode, register virtualization, virtual-interrupt delivery and IPI "
    "virtualization must be 0",
    7: "virtualize-x2APIC-mode and virtualize-APIC-accesses are both 1",
    8: "virtual-interrupt delivery needs external-interrupt exiting",
    9: "process-posted-interrupts needs virtual-interrupt delivery",
    10: "process-posted-interrupts needs acknowledge-interrupt-on-exit",
    11: "bits 15:8 of the posted-interrupt notification vector are not 0",
    12: "the posted-interrupt descriptor address is not 64-byte aligned or beyond the physical-address width",
    13: "virtual NMIs need NMI exiting, and NMI-window exiting needs virtual NMIs",
    14: "the PID-pointer table is not 8-byte aligned, or its last entry is beyond the physical-address width",
    15: "APIC-timer virtualization needs external-interrupt exiting, virtual-interrupt delivery, the TPR shadow and a "
    "vector from 16 to 255",
    16: "the VM-entry interruption-information field holds no event that can be injected",
    17: "IPI virtualization needs virtual-interrupt delivery, by choice of vmx_ipiv_needs_vid",
}


def is_address(controls: Controls, address: i64, alignment: i64) -> bool:
    """Tell whether a physical address is aligned and within the width that addresses of VMX structures may have.

    Units: ``alignment`` is in bytes, a power of two
    Cites: SDM vmx.entry-checks
    """
    width: i64 = 32 if controls.addresses_32_bit != 0 else controls.physical_width
    return address & (alignment - 1) == 0 and address >> width == 0


def _check_posting(c: Controls) -> i64:
    if not has_vid(c):
        return Check.POSTING_NEEDS_VID
    if c.ack_int_on_exit == 0:
        return Check.POSTING_NEEDS_ACK
    if c.notification_vector > 255:
        return Check.NOTIFICATION_VECTOR
    if not is_address(c, c.descriptor_address, 64):
        return Check.DESCRIPTOR_ADDRESS
    return Check.PASS


def _check_tertiary(c: Controls) -> i64:
    """The checks of the two tertiary controls."""
    if has_ipiv(c) and c.choices.vmx_ipiv_needs_vid != 0 and not has_vid(c):
        return Check.IPIV_NEEDS_VID
    if has_ipiv(c) and c.choices.vmx_ipiv_table_is_checked != 0:
        last: i64 = c.pid_table_address + 8 * c.last_pid_index + 7
        if not is_address(c, c.pid_table_address, 8) or not is_address(c, last, 1):
            return Check.PID_TABLE_ADDRESS
    if tertiary(c, c.apic_timer_virtualization) and c.choices.vmx_timer_is_checked != 0:
        if c.ext_int_exiting == 0 or not has_vid(c) or c.use_tpr_shadow == 0:
            return Check.APIC_TIMER
        if c.virtual_timer_vector < 16 or c.virtual_timer_vector > 255:
            return Check.APIC_TIMER
    return Check.PASS


def _check_tpr_shadow(c: Controls, vtpr: i64) -> i64:
    if not is_address(c, c.virtual_apic_address, 4096):
        return Check.VIRTUAL_APIC_ADDRESS
    if has_vid(c):
        return Check.PASS
    if c.tpr_threshold >> 4 != 0:
        return Check.TPR_THRESHOLD_BITS
    if not secondary(c, c.virtualize_apic_accesses) and c.tpr_threshold > (vtpr >> 4) & 15:
        return Check.TPR_THRESHOLD_VALUE
    return Check.PASS


def check_controls(controls: Controls, vtpr: i64) -> i64:
    """VM entry checks the controls of interrupt virtualization, in the manual's order.

    Returns: Check.PASS, or the first check that fails: VMfailValid with error 7, no entry.
    Cites: SDM vmx.entry-checks
    """
    c: Controls = controls
    vid: bool = has_vid(c)
    vaa: bool = secondary(c, c.virtualize_apic_accesses)
    x2: bool = secondary(c, c.virtualize_x2apic_mode)
    failed: i64 = Check.PASS
    if c.msr_bitmaps != 0 and not is_address(c, c.msr_bitmap_address, 4096):
        return Check.MSR_BITMAP_ADDRESS
    if c.use_tpr_shadow != 0:
        failed = _check_tpr_shadow(c, vtpr)
        if failed != Check.PASS:
            return failed
    if (c.virtual_nmis != 0 and c.nmi_exiting == 0) or (c.nmi_window_exiting != 0 and c.virtual_nmis == 0):
        return Check.NMI_CONTROLS
    if vaa and not is_address(c, c.apic_access_address, 4096):
        return Check.APIC_ACCESS_ADDRESS
    if c.use_tpr_shadow == 0:
        if x2 or vid or secondary(c, c.apic_register_virtualization):
            return Check.NEEDS_TPR_SHADOW
        if has_ipiv(c) and c.choices.vmx_ipiv_needs_tpr_shadow != 0:
            return Check.NEEDS_TPR_SHADOW
    if x2 and vaa:
        return Check.X2APIC_WITH_ACCESSES
    if vid and c.ext_int_exiting == 0:
        return Check.VID_NEEDS_EXTINT
    if c.process_posted_interrupts != 0:
        failed = _check_posting(c)
        if failed != Check.PASS:
            return failed
    return _check_tertiary(c)


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
