"""The part of the VMCB's control area that virtual interrupts use. APM vol. 2, 15.21 and 15.29.4."""

from typing import Final

from librt.vecs import vec
from mypy_extensions import i64

from exitless.arch.choices import Choices
from exitless.bits.words import shl, zeros

INT_CTL: Final = 96
INT_VECTOR: Final = 100
INT_STATE: Final = 104
APIC_BAR: Final = 152
EVENT_INJECTION: Final = 168
BACKING_PAGE: Final = 224
LOGICAL_TABLE: Final = 240
PHYSICAL_TABLE: Final = 248
INT_CTL_LAYOUT: Final[list[tuple[str, int, int]]] = [
    ("v_tpr", 0, 8), ("v_irq", 8, 1), ("vgif", 9, 1), ("v_nmi", 11, 1), ("v_nmi_mask", 12, 1), ("v_intr_prio", 16, 4),
    ("v_ign_tpr", 20, 1), ("v_intr_masking", 24, 1), ("vgif_enable", 25, 1), ("v_nmi_enable", 26, 1),
    ("x2avic", 30, 1), ("avic", 31, 1),
]  # fmt: skip


class SvmExit:
    """Exit codes that virtual interrupts know. VINTR is from memory. Cites: APM svm.exit-codes, APM avic.exits"""

    NONE: Final = 0
    INVALID: Final = -1
    GENERAL_PROTECTION: Final = -2
    INTR: Final = 96
    NMI: Final = 97
    VINTR: Final = 100
    MSR: Final = 124
    INCOMPLETE_IPI: Final = 1025
    NOACCEL: Final = 1026


class Incomplete:
    """EXITINFO2[63:32] of an incomplete IPI: why hardware did not do all of it. Cites: APM avic.exits

    INVALID_TYPE and INVALID_TARGET: nothing was done, software does the whole IPI. NOT_RUNNING: every IRR bit is set
    already, software only wakes. NONE is ours.
    """

    NONE: Final = -1
    INVALID_TYPE: Final = 0
    NOT_RUNNING: Final = 1
    INVALID_TARGET: Final = 2
    INVALID_BACKING: Final = 3
    INVALID_VECTOR: Final = 4


class Vmcb:
    """Control fields, and what an exit writes. ``max_index`` is bits 11:0 of the physical table's field.

    Addresses are in 4-KiB pages: ``backing_page``, ``logical_table``, ``physical_table``. ``nested_paging`` is
    NP_ENABLE; ``has_x2avic_extension`` and ``physical_bits`` are the processor's. ``info1_low`` to ``info2_high`` are
    the halves of EXITINFO1 and EXITINFO2. Cites: APM avic.vmcb, APM svm.interrupts
    """

    def __init__(self) -> None:
        self.v_tpr: i64 = 0
        self.v_irq: i64 = 0
        self.vgif: i64 = 1
        self.v_nmi: i64 = 0
        self.v_nmi_mask: i64 = 0
        self.v_intr_prio: i64 = 0
        self.v_ign_tpr: i64 = 0
        self.v_intr_masking: i64 = 1
        self.vgif_enable: i64 = 0
        self.v_nmi_enable: i64 = 0
        self.x2avic: i64 = 0
        self.avic: i64 = 1
        self.shadow: i64 = 0
        self.nested_paging: i64 = 1
        self.backing_page: i64 = 1
        self.logical_table: i64 = 1
        self.physical_table: i64 = 1
        self.max_index: i64 = 254
        self.has_x2avic_extension: i64 = 0
        self.physical_bits: i64 = 48
        self.choices: Choices = Choices()
        self.info1_low: i64 = 0
        self.info1_high: i64 = 0
        self.info2_low: i64 = 0
        self.info2_high: i64 = 0


def pack_int_ctl(vmcb: Vmcb) -> i64:
    """Return the 32 bits at offset 060H. Cites: APM avic.vmcb"""
    low: i64 = vmcb.v_tpr + shl(vmcb.v_irq, 8) + shl(vmcb.vgif, 9) + shl(vmcb.v_nmi, 11) + shl(vmcb.v_nmi_mask, 12)
    middle: i64 = shl(vmcb.v_intr_prio, 16) + shl(vmcb.v_ign_tpr, 20) + shl(vmcb.v_intr_masking, 24)
    high: i64 = shl(vmcb.vgif_enable, 25) + shl(vmcb.v_nmi_enable, 26) + shl(vmcb.x2avic, 30) + shl(vmcb.avic, 31)
    return low + middle + high


def unpack_int_ctl(vmcb: Vmcb, value: i64) -> None:
    """Take the 32 bits at offset 060H apart. Changes: the fields. Cites: APM avic.vmcb"""
    vmcb.v_tpr = value & 255
    vmcb.v_irq = (value >> 8) & 1
    vmcb.vgif = (value >> 9) & 1
    vmcb.v_nmi = (value >> 11) & 1
    vmcb.v_nmi_mask = (value >> 12) & 1
    vmcb.v_intr_prio = (value >> 16) & 15
    vmcb.v_ign_tpr = (value >> 20) & 1
    vmcb.v_intr_masking = (value >> 24) & 1
    vmcb.vgif_enable = (value >> 25) & 1
    vmcb.v_nmi_enable = (value >> 26) & 1
    vmcb.x2avic = (value >> 30) & 1
    vmcb.avic = (value >> 31) & 1


def pack_physical_table(vmcb: Vmcb) -> vec[i64]:
    """Return the field at 0F8H as two 32-bit words: table in 51:12, greatest index in 11:0. Cites: APM avic.vmcb"""
    words: vec[i64] = zeros(2)
    words[0] = shl(vmcb.physical_table & 1048575, 12) + vmcb.max_index
    words[1] = vmcb.physical_table >> 20
    return words


def greatest_index(vmcb: Vmcb) -> i64:
    """Return the greatest legal index of the physical table: 255, 511 in x2AVIC, 4095 with its extension.

    Cites: APM avic.vmrun
    """
    if vmcb.x2avic == 0:
        return 255
    if vmcb.has_x2avic_extension == 0:
        return 511
    return 4095


def _is_beyond(vmcb: Vmcb, page: i64) -> bool:
    return page >> (vmcb.physical_bits - 12) != 0


def check_vmrun(vmcb: Vmcb) -> i64:
    """VMRUN looks at the AVIC fields.

    Returns: SvmExit.NONE; or INVALID: x2AVIC without AVIC, an index too great, a pointer beyond physical memory (the
        logical table counts in xAVIC only), or no nested paging.
    Cites: APM avic.vmrun
    """
    if vmcb.avic == 0:
        if vmcb.x2avic != 0:
            return SvmExit.INVALID
        return SvmExit.NONE
    if vmcb.nested_paging == 0 and vmcb.choices.avic_needs_nested_paging != 0:
        return SvmExit.INVALID
    if vmcb.max_index > greatest_index(vmcb):
        return SvmExit.INVALID
    if _is_beyond(vmcb, vmcb.backing_page) or _is_beyond(vmcb, vmcb.physical_table):
        return SvmExit.INVALID
    if vmcb.x2avic == 0 and _is_beyond(vmcb, vmcb.logical_table):
        return SvmExit.INVALID
    return SvmExit.NONE
