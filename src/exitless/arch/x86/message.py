"""Message-signalled interrupts: the compatibility and the remappable format. SDM vol. 3, 10.11; VT-d, 5.1.2."""

from typing import Final

from mypy_extensions import i64

from exitless.bits.words import shl

ADDRESS_BASE: Final = 4276092928


class DeliveryMode:
    """Delivery modes of an interrupt message. Cites: SDM apic.msi"""

    FIXED: Final = 0
    LOWEST: Final = 1
    SMI: Final = 2
    NMI: Final = 4
    INIT: Final = 5
    EXTINT: Final = 7


class Message:
    """A write that is an interrupt: 32-bit address, 32-bit data. Cites: SDM apic.msi"""

    def __init__(self, address: i64, data: i64) -> None:
        self.address: i64 = address
        self.data: i64 = data


class CompatMessage:
    """The fields of a message in compatibility format. Cites: SDM apic.msi"""

    def __init__(self) -> None:
        self.destination: i64 = 0
        self.rh: i64 = 0
        self.dm: i64 = 0
        self.vector: i64 = 0
        self.delivery: i64 = 0
        self.trigger: i64 = 0


def is_interrupt(address: i64) -> bool:
    """Tell whether a write goes to the interrupt range FEExxxxxH. Cites: SDM apic.msi"""
    return address >> 20 == 4078


def is_remappable(address: i64) -> bool:
    """Tell whether bit 4 of the address says remappable format. Cites: VT-d remap.formats"""
    return (address >> 4) & 1 != 0


def remapping_index(address: i64, data: i64) -> i64:
    """Return the index of the remapping-table entry: the handle, plus the subhandle when it is valid.

    Cites: VT-d remap.formats
    """
    handle: i64 = ((address >> 5) & 32767) + ((address >> 2) & 1) * 32768
    if (address >> 3) & 1 != 0:
        return handle + (data & 65535)
    return handle


def reserved_request_bits(address: i64, data: i64) -> bool:
    """Tell whether a remappable request sets reserved data bits. Cites: VT-d remap.formats"""
    if (address >> 3) & 1 != 0:
        return data >> 16 != 0
    return data != 0


def decode_compatible(address: i64, data: i64) -> CompatMessage:
    """Take a compatibility-format message apart. Cites: SDM apic.msi"""
    out: CompatMessage = CompatMessage()
    out.destination = (address >> 12) & 255
    out.rh = (address >> 3) & 1
    out.dm = (address >> 2) & 1
    out.vector = data & 255
    out.delivery = (data >> 8) & 7
    out.trigger = (data >> 15) & 1
    return out


def encode_compatible(destination: i64, rh: i64, dm: i64, vector: i64, delivery: i64, trigger: i64) -> Message:
    """Make a compatibility-format message; the level bit is set as the manual asks. Cites: SDM apic.msi"""
    address: i64 = ADDRESS_BASE + shl(destination & 255, 12) + shl(rh, 3) + shl(dm, 2)
    return Message(address, vector + shl(delivery, 8) + 16384 * trigger + shl(trigger, 15))


def remappable_address(index: i64) -> i64:
    """Return the address of a remappable message for ``index``, without a subhandle. Cites: VT-d remap.formats"""
    return ADDRESS_BASE + shl(index & 32767, 5) + 16 + shl((index >> 15) & 1, 2)


def encode_remappable(index: i64, subhandle: i64) -> Message:
    """Make a remappable message; a subhandle other than 0 sets SHV. Cites: VT-d remap.formats"""
    if subhandle != 0:
        return Message(remappable_address(index) + 8, subhandle)
    return Message(remappable_address(index), 0)
