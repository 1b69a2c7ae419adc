"""Lowest-priority delivery: which of those reached takes the message. SDM vol. 3, 10.6.2.4, and what software does.

The manual leaves the choice to the chipset, so each policy has a name.
"""

from typing import Final

from librt.vecs import vec
from mypy_extensions import i64

from exitless.arch.x86.apic import Apic
from exitless.arch.x86.destination import BusMessage, reaches
from exitless.arch.x86.lapic import SVR_ENABLE, LocalApic, processor_priority
from exitless.arch.x86.message import DeliveryMode
from exitless.bits.words import PACKED, highest_bit, zeros


class Policy:
    """Who takes a lowest-priority message. Cites: SDM apic.lowest, Xen vlapic.c vlapic_lowest_prio, KVM lapic.c
    kvm_irq_delivery_to_apic

    LOWEST_APR: by the arbitration priority, as before the Pentium 4. LOWEST_TPR: by the task priority, as chipsets
    know it. LOWEST_PPR: Xen's, ties in turn. HASH: vector mod the number reached, KVM's with vector hashing and Xen's
    for posting. COUNTER: KVM's, whoever has taken fewest. IN_TURN: the next one after the last.
    """

    LOWEST_APR: Final = 0
    LOWEST_TPR: Final = 1
    LOWEST_PPR: Final = 2
    HASH: Final = 3
    COUNTER: Final = 4
    IN_TURN: Final = 5


class Arbiter:
    """What the policies remember: who was chosen last (-1: nobody yet), and how often each was, by KVM's count.

    Shapes: ``taken`` one count a local APIC. Cites: SDM apic.lowest
    """

    def __init__(self, policy: i64, apics: i64) -> None:
        self.policy: i64 = policy
        self.last: i64 = -1
        self.taken: vec[i64] = zeros(apics)


def arbitration_priority(core: LocalApic) -> i64:
    """Return the APR: TPR where its class is the highest, else the common bits of the classes of TPR and ISR or the
    class of the highest request, whichever is more.

    Cites: SDM apic.lowest
    """
    requested: i64 = highest_bit(core.irr, 0, PACKED)
    in_service: i64 = highest_bit(core.isr, 0, PACKED)
    if core.tpr >> 4 >= requested >> 4 and core.tpr >> 4 > in_service >> 4:
        return core.tpr & 255
    common: i64 = core.tpr & in_service & 240
    if requested & 240 > common:
        return requested & 240
    return common


def _may_take(apics: list[Apic], number: i64, message: BusMessage, sender: i64) -> bool:
    apic: Apic = apics[number]
    if apic.core.enabled == 0 or apic.core.svr & SVR_ENABLE == 0:
        return False
    return reaches(apic, message, number, sender)


def _rank(arbiter: Arbiter, apic: Apic, number: i64) -> i64:
    policy: i64 = arbiter.policy
    if policy == Policy.LOWEST_APR:
        return arbitration_priority(apic.core)
    if policy == Policy.LOWEST_TPR:
        return apic.core.tpr & 255
    if policy == Policy.LOWEST_PPR:
        return processor_priority(apic.core)
    if policy == Policy.COUNTER:
        return arbiter.taken[number]
    return 0


def _count(apics: list[Apic], message: BusMessage, sender: i64) -> i64:
    total: i64 = 0
    i: i64 = 0
    while i < len(apics):
        if _may_take(apics, i, message, sender):
            total += 1
        i += 1
    return total


def lowest(arbiter: Arbiter, apics: list[Apic], message: BusMessage, sender: i64) -> i64:
    """Choose who takes a lowest-priority message among the enabled APICs that it reaches.

    Changes: what the policy remembers
    Returns: the number of the APIC, or -1 when it reaches nobody.
    Cites: SDM apic.lowest, Xen vlapic.c vlapic_lowest_prio, KVM lapic.c kvm_irq_delivery_to_apic
    """
    total: i64 = _count(apics, message, sender)
    if total == 0:
        return -1
    nth: i64 = -1
    if arbiter.policy == Policy.HASH:
        nth = message.vector % total
    first: i64 = 0
    if arbiter.policy == Policy.LOWEST_PPR or arbiter.policy == Policy.IN_TURN:
        first = arbiter.last + 1
    chosen: i64 = -1
    rank: i64 = 0
    i: i64 = 0
    size: i64 = len(apics)
    while i < size:
        number: i64 = (first + i) % size
        i += 1
        if not _may_take(apics, number, message, sender):
            continue
        if nth >= 0:
            if nth == 0:
                chosen = number
                break
            nth -= 1
            continue
        own: i64 = _rank(arbiter, apics[number], number)
        last_wins: bool = arbiter.policy <= Policy.LOWEST_TPR and apics[number].choices.apic_lowest_tie_is_last != 0
        if chosen < 0 or own < rank or (own == rank and last_wins):
            chosen = number
            rank = own
    arbiter.last = chosen
    if arbiter.policy == Policy.COUNTER and total > 1:
        arbiter.taken[chosen] = arbiter.taken[chosen] + 1
    return chosen


def recipients(arbiter: Arbiter, apics: list[Apic], message: BusMessage, sender: i64, out: vec[i64]) -> i64:
    """Find who is handed a message: everyone it reaches, or the one that lowest priority chooses.

    Shapes: ``out`` takes their numbers, lowest first, and has a place for every APIC.
    Changes: ``out``; what the policy remembers
    Returns: how many they are. Cites: SDM apic.destination, SDM apic.lowest
    """
    if message.delivery == DeliveryMode.LOWEST:
        chosen: i64 = lowest(arbiter, apics, message, sender)
        if chosen < 0:
            return 0
        out[0] = chosen
        return 1
    count: i64 = 0
    i: i64 = 0
    while i < len(apics):
        if reaches(apics[i], message, i, sender):
            out[count] = i
            count += 1
        i += 1
    return count
