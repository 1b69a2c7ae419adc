"""Physical interrupts bound to guests: when the local APIC is told that they ended, and what a guest's EOI does.

Xen's irq.c and physdev.c.
"""

from typing import Final

from librt.vecs import vec
from mypy_extensions import i64

from exitless.bits.words import zeros

NEEDS_EOI: Final = 1
SHARED: Final = 2


class AckType:
    """Who owes what after a guest-bound interrupt; fixed when the first guest binds. Cites: Xen irq.c irq_acktype"""

    NONE: Final = 0
    UNMASK: Final = 1
    EOI: Final = 2


# An interrupt of the 8259 pair is always of this type.
ACK_8259: Final = AckType.UNMASK


class Physdev:
    """Sub-operations of the physdev hypercall. Cites: Xen physdev.h operations"""

    IRQ_STATUS_QUERY: Final = 5
    EOI: Final = 12
    MAP_PIRQ: Final = 13
    UNMAP_PIRQ: Final = 14
    PIRQ_EOI_GMFN_V1: Final = 17
    SETUP_GSI: Final = 21
    GET_FREE_PIRQ: Final = 23
    PIRQ_EOI_GMFN_V2: Final = 28


class Emulated:
    """What a PIRQ of an HVM guest is tied to, where that is not a GSI number. Cites: Xen hvm/irq.c emuirq"""

    UNBOUND: Final = -1
    PASSED_THROUGH: Final = -2
    EMULATED_MSI: Final = -3


class Eoi:
    """What an EOI for a guest-bound interrupt comes to. Cites: Xen irq.c desc_guest_eoi"""

    NOTHING: Final = 0
    OTHERS: Final = 1
    UNMASK: Final = 2
    READY: Final = 3


class PirqGuest:
    """An interrupt bound to ``guests`` guests: who of them has yet to end it.

    Shapes: ``marked`` one number 0 or 1 a guest; ``in_flight`` is their sum.
    Cites: Xen irq.c do_IRQ
    """

    def __init__(self, ack: i64, guests: i64) -> None:
        self.ack: i64 = ack
        self.guests: i64 = guests
        self.in_flight: i64 = 0
        self.marked: vec[i64] = zeros(guests)


def ack_type(msi: i64, maskable: i64, ioapic_level: i64, new_ack: i64) -> i64:
    """Ask for the type of an MSI (``maskable``: MSI-X, or MSI with mask bits) or of an IO-APIC pin.

    ``new_ack`` is Xen's default for level pins; directed EOI is the other way.

    Returns: AckType. Cites: Xen irq.c irq_acktype
    """
    if msi != 0:
        if maskable != 0:
            return AckType.NONE
        return AckType.EOI
    if ioapic_level == 0:
        return AckType.NONE
    if new_ack != 0:
        return AckType.EOI
    return AckType.UNMASK


def eoi_before_guest(ack: i64) -> bool:
    """Tell whether the local APIC gets its EOI in do_IRQ, before any guest runs; otherwise the guest holds it back.

    Cites: Xen irq.c do_IRQ
    """
    return ack != AckType.EOI


def arms_forced_eoi(ack: i64) -> bool:
    """Tell whether do_IRQ starts the timer that ends the interrupt when the guests do not. Cites: Xen irq.c do_IRQ"""
    return ack != AckType.NONE


def mark_in_flight(bound: PirqGuest, guest: i64) -> bool:
    """do_IRQ gives the interrupt to one guest: it is marked, unless the type asks nothing of guests.

    Changes: the guest's mark, in_flight. Returns: whether it is newly marked. Cites: Xen irq.c do_IRQ
    """
    if bound.ack == AckType.NONE or bound.marked[guest] != 0:
        return False
    bound.marked[guest] = 1
    bound.in_flight += 1
    return True


def _ended(bound: PirqGuest) -> i64:
    if bound.ack == AckType.UNMASK:
        return Eoi.UNMASK
    return Eoi.READY


def guest_eoi(bound: PirqGuest, guest: i64) -> i64:
    """A guest ends the interrupt; without its mark that means nothing, which is every EOI of a maskable MSI.

    Changes: the guest's mark, in_flight
    Returns: Eoi.NOTHING, Eoi.OTHERS (some other guest still has it), Eoi.UNMASK (stop the timer, unmask the pin), or
        Eoi.READY (stop the timer, mark it ready on the pending-EOI stack of every pCPU that has it).
    Cites: Xen irq.c desc_guest_eoi
    """
    if bound.marked[guest] == 0:
        return Eoi.NOTHING
    bound.marked[guest] = 0
    bound.in_flight -= 1
    if bound.in_flight != 0:
        return Eoi.OTHERS
    return _ended(bound)


def forced_eoi(bound: PirqGuest, armed_again: i64) -> i64:
    """The timer of do_IRQ has expired: what all guests owe is done for them, unless a new interrupt has armed it again.

    Changes: all marks, in_flight
    Returns: Eoi.NOTHING, Eoi.UNMASK or Eoi.READY. Cites: Xen irq.c irq_guest_eoi_timer_fn
    """
    if armed_again != 0 or bound.in_flight == 0:
        return Eoi.NOTHING
    guest: i64 = 0
    while guest < bound.guests:
        bound.marked[guest] = 0
        guest += 1
    bound.in_flight = 0
    return _ended(bound)


def irq_status(shared: i64) -> i64:
    """PHYSDEVOP_irq_status_query: NEEDS_EOI always, so that a PVHVM guest makes an EOI hypercall for every event.

    Returns: NEEDS_EOI, with SHARED added. Cites: Xen physdev.c irq_status_query
    """
    if shared != 0:
        return NEEDS_EOI | SHARED
    return NEEDS_EOI


def is_allowed_to_hvm(operation: i64, has_pirqs: i64) -> bool:
    """Tell whether an HVM guest may make this physdev call.

    All others are ENOSYS to it, among them both that share the EOI bitmap.

    Cites: Xen hypercall.c hvm_physdev_op
    """
    if operation == Physdev.MAP_PIRQ or operation == Physdev.UNMAP_PIRQ:
        return True
    if has_pirqs == 0:
        return False
    return operation == Physdev.EOI or operation == Physdev.IRQ_STATUS_QUERY or operation == Physdev.GET_FREE_PIRQ


def is_routed_by_channel(emulated: i64) -> bool:
    """Tell whether an HVM guest gets this PIRQ on its event channel: it is tied to something.

    Cites: Xen hvm/irq.c emuirq
    """
    return emulated != Emulated.UNBOUND
