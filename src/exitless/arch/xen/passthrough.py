"""A passed-through or emulated MSI on its way to an HVM guest: who gets it, and whether hardware may post it. dpci.c.

PIRQ-remapped messages are here too: an MSI with vector 0 that names a PIRQ in place of a destination.
"""

from typing import Final

from librt.vecs import vec
from mypy_extensions import i64

from exitless.arch.x86.message import ADDRESS_BASE, DeliveryMode
from exitless.bits.words import shl

ERROR_RANGE: Final = 34
PIRQ_DELIVERY: Final = 3


class Missing:
    """The first condition of posting by the remapping unit that is not met. Cites: Xen iommu.c iommu_intpost"""

    NOTHING: Final = 0
    OPTION: Final = 1
    REMAPPING: Final = 2
    UNITS: Final = 3
    PROCESSOR: Final = 4
    HVM: Final = 5
    MSI: Final = 6
    DESTINATION: Final = 7


class Binding:
    """How Xen programs the remapping entry of a bound MSI, and whether it moves it to the guest's pCPU.

    Cites: Xen dpci.c pt_irq_create_bind
    """

    REMAPPED: Final = 0
    STEERED: Final = 1
    POSTED: Final = 2


class Host:
    """What a host has for posting by the remapping unit, one number 0 or 1 each; the option is off by default.

    ``units`` is 1 when every unit reports posting, ``processor`` when posted-interrupt processing can be used, which
    needs virtual-interrupt delivery. Cites: Xen iommu.c iommu_intpost
    """

    def __init__(self) -> None:
        self.option: i64 = 0
        self.remapping: i64 = 0
        self.units: i64 = 0
        self.processor: i64 = 0


def host_lacks(host: Host) -> i64:
    """Ask what keeps a host from posting. Returns: Missing. Cites: Xen iommu.c iommu_intpost"""
    if host.option == 0:
        return Missing.OPTION
    if host.remapping == 0:
        return Missing.REMAPPING
    if host.units == 0:
        return Missing.UNITS
    if host.processor == 0:
        return Missing.PROCESSOR
    return Missing.NOTHING


def binding_lacks(host: Host, is_hvm: i64, is_msi: i64, target: i64) -> i64:
    """Ask what keeps this interrupt from being posted; ``target`` is the vCPU of :func:`target_vcpu`, -1 for none.

    Returns: Missing. Cites: Xen dpci.c pt_irq_create_bind
    """
    lacks: i64 = host_lacks(host)
    if lacks != Missing.NOTHING:
        return lacks
    if is_hvm == 0:
        return Missing.HVM
    if is_msi == 0:
        return Missing.MSI
    if target < 0:
        return Missing.DESTINATION
    return Missing.NOTHING


def count_matching(matching: vec[i64]) -> i64:
    """Return how many vCPUs a destination names; ``matching`` is 0 or 1 a vCPU. Cites: Xen vmsi.c hvm_girq_dest"""
    count: i64 = 0
    i: i64 = 0
    while i < len(matching):
        count += matching[i]
        i += 1
    return count


def nth_matching(matching: vec[i64], n: i64) -> i64:
    """Return the ``n``-th vCPU (from 0) that a destination names, or -1. Cites: Xen dpci.c vector_hashing_dest"""
    left: i64 = n
    i: i64 = 0
    while i < len(matching):
        if matching[i] != 0:
            if left == 0:
                return i
            left -= 1
        i += 1
    return -1


def single_vcpu(matching: vec[i64]) -> i64:
    """Ask for the one vCPU that a message is for; in a domain of one vCPU that is vCPU 0 whatever the message says.

    Returns: the vCPU, or -1 for none or several. Cites: Xen vmsi.c hvm_girq_dest
    """
    if len(matching) == 1:
        return 0
    if count_matching(matching) != 1:
        return -1
    return nth_matching(matching, 0)


def hashed_vcpu(matching: vec[i64], vector: i64) -> i64:
    """Vector hashing: the guest vector modulo the number of matching vCPUs picks one of them. Returns: -1 for none.

    Cites: Xen dpci.c vector_hashing_dest
    """
    count: i64 = count_matching(matching)
    if count == 0:
        return -1
    return nth_matching(matching, vector % count)


def target_vcpu(matching: vec[i64], vector: i64, delivery: i64, posts: i64) -> i64:
    """Ask which vCPU a bound MSI is for: the single one; on a host that posts, lowest priority is decided by hashing.

    Returns: the vCPU, or -1. Cites: Xen dpci.c pt_irq_create_bind
    """
    if posts != 0 and delivery == DeliveryMode.LOWEST:
        return hashed_vcpu(matching, vector)
    return single_vcpu(matching)


def bind(host: Host, is_hvm: i64, target: i64) -> i64:
    """Ask how a guest's MSI is programmed: posted to a vCPU, sent to the pCPU of a vCPU, or left where it is.

    Returns: Binding. A posted interrupt is not moved when its vCPU moves. Cites: Xen dpci.c pt_irq_create_bind
    """
    if binding_lacks(host, is_hvm, 1, target) == Missing.NOTHING:
        return Binding.POSTED
    if target >= 0:
        return Binding.STEERED
    return Binding.REMAPPED


# A message with vector 0 that stands for a PIRQ.


def pirq_address(pirq: i64) -> i64:
    """Return the low address word of the message for ``pirq``: its low 8 bits stand in the destination.

    Cites: Linux pci/xen.c xen_msi_compose_msg
    """
    return ADDRESS_BASE | shl(pirq & 255, 12)


def pirq_address_high(pirq: i64) -> i64:
    """Return the high address word: the bits of ``pirq`` above its low 8. Cites: Linux pci/xen.c xen_msi_compose_msg"""
    return pirq & 4294967040


def pirq_data() -> i64:
    """Return the data word: vector 0 and delivery mode 3. Cites: Linux pci/xen.c xen_msi_compose_msg"""
    return PIRQ_DELIVERY * 256


def pirq_of_message(address: i64, address_high: i64, data: i64) -> i64:
    """Ask which PIRQ a message of an emulated device names.

    Returns: the PIRQ; 0 for a real vector, which goes to the local APIC; minus ERROR_RANGE for vector 0 and PIRQ 0.
    Cites: Xen hvm/irq.c hvm_inject_msi
    """
    if data & 255 != 0:
        return 0
    pirq: i64 = (address_high & 4294967040) | ((address >> 12) & 255)
    if pirq == 0:
        return -ERROR_RANGE
    return pirq


# Delivery by software, when nothing is posted. Who takes a lowest-priority message: exitless.arch.x86.lowest.


def takes_fixed(matching: i64, enabled: i64) -> bool:
    """Tell whether one vCPU gets a message with fixed delivery: all do that match and whose local APIC is enabled.

    Cites: Xen vmsi.c vmsi_deliver
    """
    return matching != 0 and enabled != 0


def is_delivered(delivery: i64) -> bool:
    """Tell whether software delivers this mode at all: fixed and lowest priority. Cites: Xen vmsi.c vmsi_deliver"""
    return delivery == DeliveryMode.FIXED or delivery == DeliveryMode.LOWEST
