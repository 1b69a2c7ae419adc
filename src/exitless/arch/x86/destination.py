"""Messages on their way to local APICs, and whose they are: physical and logical destinations. SDM vol. 3, 10.6.2."""

from typing import Final

from mypy_extensions import i64

from exitless.arch.x86.apic import Apic
from exitless.bits.words import shl

BROADCAST: Final = 255
WIDE_BROADCAST: Final = 4294967295
FLAT: Final = 15
CLUSTER: Final = 0


class Shorthand:
    """Destination shorthands of the ICR. Cites: SDM apic.icr"""

    NONE: Final = 0
    SELF: Final = 1
    ALL: Final = 2
    OTHERS: Final = 3


class BusMessage:
    """An interrupt message between its sender and the local APICs.

    ``delivery`` is one of :class:`~exitless.arch.x86.message.DeliveryMode` or STARTUP; ``logical`` the destination
    mode; ``wide`` 1 when ``destination`` has 32 bits (sent in x2APIC mode, or remapped with EIME), 0 for 8 bits;
    ``trigger`` 1 for level; ``level`` the assert bit. ``shorthand`` other than NONE makes the destination irrelevant;
    it then counts from ``sender``, a number among the APICs of the host. Cites: SDM apic.destination, SDM apic.icr
    """

    def __init__(self) -> None:
        self.vector: i64 = 0
        self.delivery: i64 = 0
        self.logical: i64 = 0
        self.destination: i64 = 0
        self.wide: i64 = 0
        self.trigger: i64 = 0
        self.level: i64 = 1
        self.shorthand: i64 = 0


def x2apic_ldr(apic_id: i64) -> i64:
    """Return the logical ID of x2APIC mode: cluster ID[19:4] above, one bit of 16 for ID[3:0] below.

    Cites: SDM apic.destination
    """
    return shl((apic_id >> 4) & 65535, 16) + shl(1, apic_id & 15)


def matches_physical(apic: Apic, destination: i64, wide: i64) -> bool:
    """Tell whether a physical destination names this APIC. Cites: SDM apic.destination"""
    if wide != 0:
        return destination == WIDE_BROADCAST or destination == apic.core.apic_id
    if destination == BROADCAST:
        return apic.x2apic == 0 or apic.choices.apic_narrow_reaches_x2apic != 0
    if apic.x2apic != 0:
        return apic.choices.apic_narrow_reaches_x2apic != 0 and destination == apic.core.apic_id
    return destination == apic.xapic_id


def matches_x2apic_logical(ldr: i64, destination: i64) -> bool:
    """Tell whether a 32-bit logical destination names the one with this logical ID: the same cluster, a common member.

    Cites: SDM apic.destination
    """
    if destination == WIDE_BROADCAST:
        return True
    return destination >> 16 == ldr >> 16 and destination & ldr & 65535 != 0


def matches_xapic_logical(ldr: i64, dfr: i64, destination: i64, every_15: i64) -> bool:
    """Tell whether an 8-bit logical destination names the one with these LDR and DFR.

    In the flat model any common bit does. In the cluster model FFH is all, otherwise the cluster in bits 7:4 must be
    the same and a member bit common. Another model in DFR matches nothing. Cites: SDM apic.destination
    """
    own: i64 = (ldr >> 24) & 255
    model: i64 = (dfr >> 28) & 15
    if model == FLAT:
        return destination & own != 0
    if model == CLUSTER:
        if destination == BROADCAST or (every_15 != 0 and destination >> 4 == 15):
            return True
        return destination >> 4 == own >> 4 and destination & own & 15 != 0
    return False


def matches(apic: Apic, message: BusMessage) -> bool:
    """Tell whether the destination of a message without a shorthand names this APIC.

    Cites: SDM apic.destination
    """
    if message.logical == 0:
        return matches_physical(apic, message.destination, message.wide)
    if message.wide != 0:
        return apic.x2apic != 0 and matches_x2apic_logical(x2apic_ldr(apic.core.apic_id), message.destination)
    if apic.x2apic != 0:
        return False
    return matches_xapic_logical(apic.ldr, apic.dfr, message.destination, apic.choices.apic_cluster_15_is_broadcast)


def reaches(apic: Apic, message: BusMessage, number: i64, sender: i64) -> bool:
    """Tell whether a message is for the APIC ``number``, sent by ``sender`` (-1 for a device). Lowest priority is not
    yet settled by this: it goes to one of those that are reached.

    Cites: SDM apic.icr
    """
    if message.shorthand == Shorthand.SELF:
        return number == sender
    if message.shorthand == Shorthand.ALL:
        return True
    if message.shorthand == Shorthand.OTHERS:
        return number != sender
    return matches(apic, message)


def is_broadcast(message: BusMessage) -> bool:
    """Tell whether the destination field says all, as it does in either mode and width.

    Cites: SDM apic.destination
    """
    if message.wide != 0:
        return message.destination == WIDE_BROADCAST
    return message.destination == BROADCAST
