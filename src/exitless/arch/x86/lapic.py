"""The local APIC of a physical CPU: acceptance, priority, acknowledge and EOI. SDM vol. 3, 10.5, 10.8 and 10.9."""

from typing import Final

from librt.vecs import vec
from mypy_extensions import i64

from exitless.arch.choices import Choices
from exitless.arch.outcome import Accept
from exitless.bits.words import PACKED, clear_bit, has_bit, highest_bit, set_bit, shl, test_and_set, zeros

SVR_RESET: Final = 255
SVR_ENABLE: Final = 256
SVR_NO_BROADCAST: Final = 4096
LVT_MASKED: Final = 65536


class EsrBit:
    """Bits of the error status register. Cites: SDM apic.errors"""

    SEND_ILLEGAL: Final = 5
    RECEIVE_ILLEGAL: Final = 6
    REGISTER_ILLEGAL: Final = 7


class LocalApic:
    """One physical local APIC.

    Shapes: ``irr``, ``isr``, ``tmr`` eight 32-bit words each, bit v is vector v. ``svr`` is the spurious-interrupt
    register with its enable bit 8 set, as a hypervisor leaves it; ``enabled`` the global enable of IA32_APIC_BASE;
    ``esr_armed`` 1 while the error LVT may deliver. ``choices`` decide what the manual leaves open.
    Cites: SDM apic.registers
    """

    def __init__(self, apic_id: i64) -> None:
        self.apic_id: i64 = apic_id
        self.irr: vec[i64] = zeros(8)
        self.isr: vec[i64] = zeros(8)
        self.tmr: vec[i64] = zeros(8)
        self.tpr: i64 = 0
        self.svr: i64 = SVR_RESET | SVR_ENABLE
        self.esr: i64 = 0
        self.esr_pending: i64 = 0
        self.esr_armed: i64 = 1
        self.lvt_error: i64 = LVT_MASKED
        self.enabled: i64 = 1
        self.choices: Choices = Choices()


def processor_priority(lapic: LocalApic) -> i64:
    """Return the PPR: TPR, or the class of the highest vector in service where that is higher; classes decide.

    With equal classes the low nibble is TPR's, the choice that PPR virtualization makes too. Cites: SDM apic.priority
    """
    in_service: i64 = highest_bit(lapic.isr, 0, PACKED)
    if lapic.tpr >> 4 >= in_service >> 4:
        return lapic.tpr & 255
    return in_service & 240


def accept(lapic: LocalApic, vector: i64, level: i64) -> i64:
    """A fixed or lowest-priority message with ``vector`` reaches the local APIC.

    Changes: TMR, IRR; the pending error status for a vector below 16
    Returns: Accept.ACCEPTED; MERGED when IRR held it already; ILLEGAL; or DROPPED by a disabled APIC.
    Cites: SDM apic.acceptance
    """
    if lapic.enabled == 0 or (lapic.svr & SVR_ENABLE == 0 and lapic.choices.apic_accepts_while_disabled == 0):
        return Accept.DROPPED
    if vector < 16:
        record_error(lapic, EsrBit.RECEIVE_ILLEGAL)
        return Accept.ILLEGAL
    if level != 0:
        set_bit(lapic.tmr, 0, PACKED, vector)
    else:
        clear_bit(lapic.tmr, 0, PACKED, vector)
    if test_and_set(lapic.irr, 0, PACKED, vector):
        return Accept.MERGED
    return Accept.ACCEPTED


def deliverable(lapic: LocalApic) -> i64:
    """Ask which vector the core would get now. Returns: it, or -1 when none is above the PPR.

    Cites: SDM apic.priority
    """
    vector: i64 = highest_bit(lapic.irr, 0, PACKED)
    if vector == 0 or vector >> 4 <= processor_priority(lapic) >> 4:
        return -1
    return vector


def acknowledge(lapic: LocalApic) -> i64:
    """The core acknowledges: the highest request goes into service.

    Changes: IRR, ISR
    Returns: the vector; the spurious vector, without any change, when none is deliverable.
    Cites: SDM apic.dispatch
    """
    vector: i64 = deliverable(lapic)
    if vector < 0:
        return lapic.svr & 255
    clear_bit(lapic.irr, 0, PACKED, vector)
    set_bit(lapic.isr, 0, PACKED, vector)
    return vector


def end_of_interrupt(lapic: LocalApic) -> i64:
    """Software writes EOI: the highest vector in service is retired, whatever was written.

    Changes: ISR
    Returns: the vector, or -1 when nothing was in service.
    Cites: SDM apic.eoi
    """
    vector: i64 = highest_bit(lapic.isr, 0, PACKED)
    if vector == 0:
        return -1
    clear_bit(lapic.isr, 0, PACKED, vector)
    return vector


def broadcasts_eoi(lapic: LocalApic, vector: i64) -> bool:
    """Tell whether the EOI of ``vector`` goes to the I/O APICs: level when accepted, and broadcast not suppressed.

    Cites: SDM apic.eoi
    """
    return has_bit(lapic.tmr, 0, PACKED, vector) and lapic.svr & SVR_NO_BROADCAST == 0


def write_tpr(lapic: LocalApic, value: i64) -> None:
    """Software writes the task priority. Changes: TPR. Cites: SDM apic.priority"""
    lapic.tpr = value & 255


def record_error(lapic: LocalApic, bit: i64) -> None:
    """An error has happened; the error LVT delivers once until the status is written again.

    The error LVT is edge triggered, and masked while the APIC is disabled by software. A vector below 16 in the error
    LVT itself is dropped, not recorded again: recording it would not end.

    Changes: the pending error status, IRR, TMR
    Cites: SDM apic.errors
    """
    lapic.esr_pending = lapic.esr_pending | shl(1, bit)
    vector: i64 = lapic.lvt_error & 255
    masked: bool = lapic.lvt_error & LVT_MASKED != 0 or lapic.svr & SVR_ENABLE == 0
    if lapic.esr_armed != 0 and not masked and vector >= 16:
        lapic.esr_armed = 0
        clear_bit(lapic.tmr, 0, PACKED, vector)
        set_bit(lapic.irr, 0, PACKED, vector)


def write_esr(lapic: LocalApic) -> None:
    """Software writes the error status register, which latches what has accumulated and arms the error LVT.

    Changes: ESR, the pending error status. Cites: SDM apic.errors
    """
    lapic.esr = lapic.esr_pending
    lapic.esr_pending = 0
    lapic.esr_armed = 1
