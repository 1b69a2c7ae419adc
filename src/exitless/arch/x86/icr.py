"""The interrupt command register: what may be sent, and what becomes of it. SDM vol. 3, 10.6.1, 10.12.9, 10.12.11."""

from typing import Final

from mypy_extensions import i64

from exitless.arch.outcome import Access
from exitless.arch.x86.acceptance import STARTUP_MODE, receive
from exitless.arch.x86.apic import Apic
from exitless.arch.x86.destination import BusMessage, Shorthand, is_broadcast
from exitless.arch.x86.lapic import EsrBit, record_error
from exitless.arch.x86.message import DeliveryMode

ICR_WRITABLE: Final = 839679
ICR_RESERVED: Final = 4294123520
ICR_STATUS: Final = 4096
REDIRECTABLE: Final = 4


class Sent:
    """What a write of the ICR did. Cites: SDM apic.icr

    NOTHING: the combination is not one that the manual allows. MESSAGE: it is on its way, and the caller hands it to
    every APIC that it reaches, or to the one that lowest priority chooses. SELF: a self IPI, already accepted.
    ILLEGAL: a vector below 16, recorded. UNABLE: this part sends no lowest-priority IPIs, recorded.
    """

    NOTHING: Final = 0
    MESSAGE: Final = 1
    SELF: Final = 2
    ILLEGAL: Final = 3
    UNABLE: Final = 4


def decode_icr(low: i64, destination: i64, wide: i64, out: BusMessage) -> None:
    """Take an ICR value apart. Trigger and level mean something for INIT only; everything else is sent as an edge.

    Cites: SDM apic.icr
    """
    out.vector = low & 255
    out.delivery = (low >> 8) & 7
    out.logical = (low >> 11) & 1
    out.level = 1
    out.trigger = 0
    if out.delivery == DeliveryMode.INIT:
        out.level = (low >> 14) & 1
        out.trigger = (low >> 15) & 1
    out.shorthand = (low >> 18) & 3
    out.destination = destination
    out.wide = wide


def is_valid_combination(message: BusMessage) -> bool:
    """Tell whether Table 10-3 allows a message: self and all only with fixed delivery, and no lowest priority for all
    by physical destination; reserved delivery modes never.

    Cites: SDM apic.icr
    """
    mode: i64 = message.delivery
    if mode == 3 or mode == DeliveryMode.EXTINT:
        return False
    if message.shorthand == Shorthand.SELF or message.shorthand == Shorthand.ALL:
        return mode == DeliveryMode.FIXED
    if message.shorthand == Shorthand.NONE and mode == DeliveryMode.LOWEST:
        return message.logical != 0 or not is_broadcast(message)
    return mode <= STARTUP_MODE


def send(apic: Apic, low: i64, destination: i64, wide: i64, out: BusMessage) -> i64:
    """Software has written the register that sends: an IPI leaves, or is refused.

    A vector below 16 is recorded by the sender, and for a self IPI by the receiver too, and no IRR bit is ever set for
    it.

    Changes: the pending error status; for a self IPI TMR and IRR
    Returns: one of Sent; ``out`` is the message.
    Cites: SDM apic.icr, SDM apic.errors
    """
    decode_icr(low, destination, wide, out)
    mode: i64 = out.delivery
    if mode == DeliveryMode.LOWEST and apic.sends_lowest == 0:
        record_error(apic.core, REDIRECTABLE)
        return Sent.UNABLE
    if not is_valid_combination(out) and apic.choices.apic_invalid_combination_is_sent == 0:
        return Sent.NOTHING
    if out.vector < 16 and (mode == DeliveryMode.FIXED or mode == DeliveryMode.LOWEST):
        record_error(apic.core, EsrBit.SEND_ILLEGAL)
        if out.shorthand == Shorthand.SELF:
            receive(apic, out)
            return Sent.ILLEGAL
        if apic.choices.apic_illegal_vector_is_sent == 0:
            return Sent.ILLEGAL
    if out.shorthand == Shorthand.SELF and mode == DeliveryMode.FIXED:
        receive(apic, out)
        return Sent.SELF
    return Sent.MESSAGE


def write_icr_low(apic: Apic, value: i64, out: BusMessage) -> i64:
    """Software writes 300H in xAPIC mode, which sends to the destination in 310H.

    Changes: ICR, and as in :func:`send`. Returns: one of Sent. Cites: SDM apic.icr
    """
    apic.icr_low = value & ICR_WRITABLE
    return send(apic, apic.icr_low, apic.icr_high >> 24, 0, out)


def write_icr_high(apic: Apic, value: i64) -> None:
    """Software writes 310H in xAPIC mode, which only stores the destination. Changes: ICR. Cites: SDM apic.icr"""
    apic.icr_high = value & 4278190080


def write_icr_msr(apic: Apic, low: i64, high: i64, out: BusMessage) -> i64:
    """Software writes MSR 830H in x2APIC mode, which stores and sends at once.

    Changes: ICR, and as in :func:`send`
    Returns: one of Sent, or Access.GENERAL_PROTECTION for a reserved bit; then nothing is stored.
    Cites: SDM apic.icr, KVM lapic.c kvm_x2apic_icr_write
    """
    if low & ICR_RESERVED != 0:
        return Access.GENERAL_PROTECTION
    if apic.choices.apic_icr_status_faults != 0 and low & ICR_STATUS != 0:
        return Access.GENERAL_PROTECTION
    if apic.choices.apic_x2apic_lowest_faults != 0 and (low >> 8) & 7 == DeliveryMode.LOWEST:
        return Access.GENERAL_PROTECTION
    apic.icr_low = low & ICR_WRITABLE
    apic.icr_high = high
    return send(apic, apic.icr_low, high, 1, out)


def self_ipi(apic: Apic, vector: i64, out: BusMessage) -> i64:
    """Software writes the SELF IPI register: a fixed edge interrupt for itself, in IRR when the write has completed.

    Changes: TMR, IRR, or the pending error status; the ICR stays as it was
    Returns: Sent.SELF or Sent.ILLEGAL. Cites: SDM apic.self-ipi
    """
    return send(apic, (vector & 255) + 262144, 0, 1, out)
