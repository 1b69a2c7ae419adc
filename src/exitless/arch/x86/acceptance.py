"""A message reaches a local APIC: what it does, by delivery mode. SDM vol. 3, 10.4.7.2, 10.6.1 and 10.8.4."""

from typing import Final

from mypy_extensions import i64

from exitless.arch.outcome import Accept
from exitless.arch.x86.apic import Apic
from exitless.arch.x86.destination import BusMessage
from exitless.arch.x86.lapic import accept
from exitless.arch.x86.message import DeliveryMode

STARTUP_MODE: Final = 6


class Arrival:
    """What else a message may be, beside what Accept says of a vector: it is for the core, past IRR and priorities.

    INIT obliges the caller to :func:`~exitless.arch.x86.modes.init` and to put the core into wait-for-SIPI; STARTUP,
    only there, to start it at page ``vector``; NMI, SMI and EXTINT to raise them at the core, EXTINT with the vector of
    the interrupt controller that answers. IGNORED is a reserved mode or an INIT de-assert, MASKED a local source that
    its LVT entry holds back. Cites: SDM apic.icr, SDM apic.lvt
    """

    NMI: Final = 4
    SMI: Final = 5
    INIT: Final = 6
    STARTUP: Final = 7
    EXTINT: Final = 8
    IGNORED: Final = 9
    MASKED: Final = 10


def arrival_of(delivery: i64) -> i64:
    """Return what a delivery mode other than fixed and lowest priority is to the core.

    Returns: one of Arrival; IGNORED for a reserved mode
    Cites: SDM apic.icr
    """
    if delivery == DeliveryMode.NMI:
        return Arrival.NMI
    if delivery == DeliveryMode.SMI:
        return Arrival.SMI
    if delivery == DeliveryMode.INIT:
        return Arrival.INIT
    if delivery == STARTUP_MODE:
        return Arrival.STARTUP
    if delivery == DeliveryMode.EXTINT:
        return Arrival.EXTINT
    return Arrival.IGNORED


def is_init_deassert(message: BusMessage) -> bool:
    """Tell whether a message is the old INIT level de-assert, which only synchronized arbitration IDs.

    Cites: SDM apic.icr
    """
    return message.delivery == DeliveryMode.INIT and message.trigger != 0 and message.level == 0


def receive(apic: Apic, message: BusMessage) -> i64:
    """A message that names this APIC reaches it.

    A fixed or lowest-priority one goes through :func:`~exitless.arch.x86.lapic.accept`; the others ignore SVR, IRR and
    priorities. A globally disabled APIC takes nothing.

    Changes: TMR, IRR; the pending error status
    Returns: one of Accept for a vector, else one of Arrival.
    Cites: SDM apic.acceptance, SDM apic.reset
    """
    if apic.core.enabled == 0:
        return Accept.DROPPED
    if message.delivery == DeliveryMode.FIXED or message.delivery == DeliveryMode.LOWEST:
        return accept(apic.core, message.vector, message.trigger)
    if is_init_deassert(message) and apic.choices.apic_init_deassert_resets == 0:
        return Arrival.IGNORED
    return arrival_of(message.delivery)
