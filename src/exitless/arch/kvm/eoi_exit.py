"""Which vectors KVM puts into a vCPU's EOI-exit bitmap because of the I/O APIC. Linux, arch/x86/kvm/ioapic.c."""

from typing import Final

from librt.vecs import vec
from mypy_extensions import i64

from exitless.arch.choices import Choices
from exitless.arch.vmx.virtual_apic import Reg, VirtualApic
from exitless.arch.x86.apic import Apic
from exitless.arch.x86.destination import BusMessage, matches
from exitless.arch.x86.ioapic import Entry, IoApic, is_level, message
from exitless.arch.x86.message import decode_compatible
from exitless.arch.x86.msi import to_bus
from exitless.bits.words import ON_PAGE, PACKED, has_bit, set_bit, zeros

RTC_PIN: Final = 8


def needs_exit(entry: Entry, number: i64, notified: i64) -> bool:
    """Tell whether somebody must hear of the EOI of a pin's vector: it is level triggered, has an acknowledge
    notifier, or is the real-time clock.

    Cites: KVM ioapic.c ioapic_handled_vectors
    """
    return is_level(entry) or notified != 0 or number == RTC_PIN


def is_in_flight(vapic: VirtualApic, vector: i64) -> bool:
    """Tell whether a vCPU still has a vector requested or in service, from before its pin was sent elsewhere.

    Cites: KVM ioapic.c ioapic_handled_vectors
    """
    return has_bit(vapic.page, Reg.VIRR, ON_PAGE, vector) or has_bit(vapic.page, Reg.VISR, ON_PAGE, vector)


def scan(ioapic: IoApic, notified: vec[i64], apic: Apic, vapic: VirtualApic) -> vec[i64]:
    """Work out the EOI-exit bitmap of the vCPU whose APIC answers to ``apic``: the vectors of all pins that need it,
    whose destination it is or where they are in flight.

    Shapes: ``notified`` one word a pin, 1 with an acknowledge notifier.
    Returns: eight 32-bit words, bit v is vector v. Cites: KVM ioapic.c ioapic_handled_vectors
    """
    out: vec[i64] = zeros(8)
    sent: BusMessage = BusMessage()
    choices: Choices = ioapic.choices
    i: i64 = 0
    while i < len(ioapic.entries):
        entry: Entry = ioapic.entries[i]
        vector: i64 = entry.low & 255
        if needs_exit(entry, i, notified[i]):
            made = message(ioapic, i)
            to_bus(decode_compatible(made.address, made.data), choices, sent)
            if matches(apic, sent) or is_in_flight(vapic, vector):
                set_bit(out, 0, PACKED, vector)
        i += 1
    return out
