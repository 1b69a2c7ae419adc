"""Self-IPIs and IPI virtualization: which ICR values stay in the guest, and the PID-pointer table.

SDM vol. 3, 29.1.5 of the 2016 edition, and 30.1.6 of the later ones, which is known here from public notes on them.
IPI virtualization is three steps that others may come between: find the descriptor (:func:`find_descriptor`), set its
PIR bit (:func:`exitless.arch.vmx.posted.set_pir`), claim its notification
(:func:`exitless.arch.vmx.posted.claim_notification`) and, if claimed, send it (:func:`notification`).
"""

from typing import Final

from librt.vecs import vec
from mypy_extensions import i64

from exitless.arch.vmx.controls import Controls
from exitless.arch.vmx.posted import PostedDescriptor
from exitless.bits.words import shl

NOT_FOUND: Final = -1


def is_virtual_self_ipi(icr_low: i64) -> bool:
    """Tell whether an ICR value is a fixed, edge, self-shorthand IPI of vector 16 or more. Cites: SDM apicv.self-ipi"""
    return icr_low & 4294948608 == 262144 and icr_low & 240 != 0


def is_virtual_ipi(icr_low: i64, controls: Controls) -> bool:
    """Tell whether an ICR value is a fixed, edge, physical IPI without shorthand; the vector is judged later.

    Bits 31:20, 19:18 (shorthand), 17:16, 15 (level), 13, 12, 11 (logical) and 10:8 (mode) must be 0; two switches say
    whether 12 and 11 count.
    Cites: SDM apicv.ipi-virtualization
    """
    if icr_low & 4096 != 0 and controls.choices.vmx_ipiv_ignores_status == 0:
        return False
    if icr_low & 2048 != 0 and controls.choices.vmx_ipiv_ignores_mode == 0:
        return False
    return icr_low & 4294944512 == 0


def find_descriptor(controls: Controls, table: vec[i64], vector: i64, target: i64) -> i64:
    """Look up whose descriptor an IPI of ``vector`` to virtual APIC identifier ``target`` goes to.

    Returns: the descriptor's physical address, or NOT_FOUND: APIC-write exit with qualification 300H, because the
        vector is below 16, the target beyond the last index, or its entry not valid (bit 0 is 1, bits 5:1 and those
        beyond the physical-address width are 0).
    Shapes: ``table`` two 32-bit words an entry, low word first, one entry a virtual APIC identifier.
    Cites: SDM apicv.ipi-virtualization
    """
    if vector < 16 or target > controls.last_pid_index:
        return NOT_FOUND
    low: i64 = table[2 * target]
    high: i64 = table[2 * target + 1]
    if low & 63 != 1 or high >> (controls.physical_width - 32) != 0:
        return NOT_FOUND
    return shl(high, 32) | (low & 4294967232)


def notification(pid: PostedDescriptor, x2apic: bool) -> i64:
    """Whoever claimed the notification sends NV to NDST as a fixed, edge IPI with physical destination.

    Returns: the 64-bit ICR value in x2APIC mode; in xAPIC mode the same shape with the 8-bit identifier of NDST[15:8].
    Cites: SDM apicv.ipi-virtualization
    """
    destination: i64 = pid.ndst & 4294967295 if x2apic else (pid.ndst >> 8) & 255
    return shl(destination, 32) | pid.nv
