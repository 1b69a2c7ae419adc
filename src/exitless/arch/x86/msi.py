"""From a compatibility-format message to the local APICs: whose it is. SDM vol. 3, 10.11."""

from mypy_extensions import i64

from exitless.arch.choices import Choices
from exitless.arch.x86.destination import BusMessage, Shorthand
from exitless.arch.x86.message import CompatMessage, DeliveryMode


def is_logical(message: CompatMessage, choices: Choices) -> bool:
    """Tell whether the destination is logical: DM says so, and counts with the redirection hint set.

    Cites: SDM apic.msi
    """
    return message.dm != 0 and (message.rh != 0 or choices.msi_logical_without_hint != 0)


def is_level_message(delivery: i64, trigger: i64) -> bool:
    """Tell whether a message is level triggered: fixed and lowest priority may be, the others are edges.

    Cites: SDM apic.msi
    """
    return trigger != 0 and (delivery == DeliveryMode.FIXED or delivery == DeliveryMode.LOWEST)


def to_bus(message: CompatMessage, choices: Choices, out: BusMessage) -> None:
    """A device's message that no remapping unit has changed sets out for the local APICs: an 8-bit destination.

    Cites: SDM apic.msi
    """
    out.vector = message.vector
    out.delivery = message.delivery
    out.logical = 0
    if is_logical(message, choices):
        out.logical = 1
    out.destination = message.destination
    out.wide = 0
    out.trigger = 0
    if is_level_message(message.delivery, message.trigger):
        out.trigger = 1
    out.level = 1
    out.shorthand = Shorthand.NONE
