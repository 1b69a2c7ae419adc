"""Lowest-priority delivery under each named policy."""

from itertools import product

import pytest

from exitless.arch.x86.apic import Apic
from exitless.arch.x86.destination import BusMessage, Shorthand
from exitless.arch.x86.lapic import accept, acknowledge
from exitless.arch.x86.lowest import Arbiter, Policy, arbitration_priority, lowest, recipients
from exitless.bits.words import zeros

POLICIES = [
    Policy.LOWEST_APR, Policy.LOWEST_TPR, Policy.LOWEST_PPR, Policy.HASH, Policy.COUNTER, Policy.IN_TURN,
]  # fmt: skip


def host(*tprs: int) -> list[Apic]:
    """Return enabled APICs in the flat model, with these task priorities."""
    apics = []
    for number, tpr in enumerate(tprs):
        apic = Apic(number, 0)
        apic.core.svr, apic.core.tpr, apic.ldr = 0x1FF, tpr, 1 << number << 24
        apics.append(apic)
    return apics


def to(members: int, vector: int = 0x41) -> BusMessage:
    """Return a lowest-priority message to a set of members."""
    message = BusMessage()
    message.delivery, message.logical, message.destination, message.vector = 1, 1, members, vector
    return message


@pytest.mark.parametrize("policy", POLICIES)
def test_one_destination_takes_it_and_none_is_minus_one(policy: int) -> None:
    """10.6.2.4: it goes to one of those that the destination names; disabled ones are not among them."""
    apics = host(0x80, 0x20, 0x40)
    assert lowest(Arbiter(policy, 3), apics, to(0b100), -1) == 2
    assert lowest(Arbiter(policy, 3), apics, to(0b1000), -1) == -1
    apics[1].core.svr = 0xFF
    apics[2].core.enabled = 0
    assert [lowest(Arbiter(policy, 3), apics, to(0b111, v), -1) for v in range(16, 256)] == [0] * 240


@pytest.mark.parametrize("policy", [Policy.LOWEST_APR, Policy.LOWEST_TPR, Policy.LOWEST_PPR])
def test_the_lowest_priority_wins(policy: int) -> None:
    """10.6.2.4: the processor with the lowest priority."""
    for tprs in product((0x10, 0x50, 0x90), repeat=3):
        chosen = lowest(Arbiter(policy, 3), host(*tprs), to(0b111), -1)
        assert tprs[chosen] == min(tprs)
        assert chosen == tprs.index(min(tprs))


def test_ties_go_to_the_last_by_choice() -> None:
    """Ties are the chipset's: apic_lowest_tie_is_last."""
    apics = host(0x10, 0x10, 0x20)
    for apic in apics:
        apic.choices.apic_lowest_tie_is_last = 1
    assert lowest(Arbiter(Policy.LOWEST_TPR, 3), apics, to(0b111), -1) == 1


def test_xen_breaks_ties_in_turn_from_the_last() -> None:
    """Xen's vlapic_lowest_prio: lowest PPR, ties round robin from the last CPU used."""
    arbiter, apics = Arbiter(Policy.LOWEST_PPR, 4), host(0, 0, 0, 0x20)
    assert [lowest(arbiter, apics, to(0b1111), -1) for _ in range(6)] == [0, 1, 2, 0, 1, 2]


def test_what_is_in_service_counts_for_ppr_and_not_for_tpr() -> None:
    """PPR is the higher class of TPR and what is in service."""
    apics = host(0x10, 0x20)
    accept(apics[0].core, 0x91, 0)
    acknowledge(apics[0].core)
    assert lowest(Arbiter(Policy.LOWEST_PPR, 2), apics, to(0b11), -1) == 1
    assert lowest(Arbiter(Policy.LOWEST_TPR, 2), apics, to(0b11), -1) == 0


def test_hashing_takes_the_vector_mod_the_number_reached() -> None:
    """KVM's vector hashing: the (vector mod n)-th destination."""
    apics = host(0, 0, 0, 0, 0)
    members = [0, 2, 3]
    for vector in range(256):
        chosen = lowest(Arbiter(Policy.HASH, 5), apics, to(0b01101, vector), -1)
        assert chosen == members[vector % 3]


def test_counting_serves_those_that_took_fewest() -> None:
    """KVM's apic_arb_prio: the smallest counter, which is then incremented; a single destination is not counted."""
    arbiter, apics = Arbiter(Policy.COUNTER, 3), host(0, 0, 0)
    lowest(arbiter, apics, to(0b001), -1)
    assert list(arbiter.taken) == [0, 0, 0]
    assert [lowest(arbiter, apics, to(0b111), -1) for _ in range(4)] == [0, 1, 2, 0]
    assert lowest(arbiter, apics, to(0b101), -1) == 2
    assert list(arbiter.taken) == [2, 1, 2]


def test_in_turn_goes_round() -> None:
    """Round robin, as chipsets since Nehalem."""
    arbiter, apics = Arbiter(Policy.IN_TURN, 3), host(0x80, 0, 0)
    assert [lowest(arbiter, apics, to(0b111), -1) for _ in range(4)] == [0, 1, 2, 0]


def test_arbitration_priority_as_written() -> None:
    """10.6.2.4: TPR if its class is the highest, else the greater of the classes' AND and the highest request."""
    for tpr, requested, serving in product(range(0, 256, 9), (0, 0x31, 0x58, 0xF0), (0, 0x21, 0x58, 0x91)):
        core = host(0)[0].core
        if serving:
            accept(core, serving, 0)
            acknowledge(core)
        if requested:
            accept(core, requested, 0)
        core.tpr = tpr
        if tpr // 16 >= requested // 16 and tpr // 16 > serving // 16:
            wanted = tpr
        else:
            wanted = max((tpr // 16 & serving // 16) * 16, requested // 16 * 16)
        assert arbitration_priority(core) == wanted


@pytest.mark.parametrize("policy", POLICIES)
@pytest.mark.parametrize("sender", range(4))
def test_to_all_others_never_comes_back_to_its_sender(policy: int, sender: int) -> None:
    """10.6.1: lowest priority may be sent to all others; the sender is not among those that are counted."""
    arbiter, apics = Arbiter(policy, 4), host(0, 0, 0, 0)
    message, others = BusMessage(), [n for n in range(4) if n != sender]
    message.delivery, message.shorthand = 1, Shorthand.OTHERS
    out = zeros(4)
    chosen = []
    for vector in range(16, 256):
        message.vector = vector
        assert recipients(arbiter, apics, message, sender, out) == 1
        chosen.append(out[0])
        if policy == Policy.HASH:
            assert out[0] == others[vector % 3]
    in_turn = policy in (Policy.HASH, Policy.COUNTER, Policy.IN_TURN, Policy.LOWEST_PPR)
    assert set(chosen) == (set(others) if in_turn else {others[0]})


def test_a_fixed_message_to_all_others_is_handed_to_each_of_them() -> None:
    """10.6.1: everyone but the sender, in the order of their numbers; a device is nobody's number."""
    apics, message, out = host(0, 0, 0, 0), BusMessage(), zeros(4)
    message.shorthand = Shorthand.OTHERS
    for sender in range(-1, 4):
        count = recipients(Arbiter(Policy.IN_TURN, 4), apics, message, sender, out)
        assert list(out[:count]) == [n for n in range(4) if n != sender]
    message.shorthand = Shorthand.SELF
    for sender in range(4):
        assert recipients(Arbiter(Policy.IN_TURN, 4), apics, message, sender, out) == 1
        assert out[0] == sender


def test_lowest_priority_is_handed_to_the_chosen_one_also_when_it_is_the_first() -> None:
    """10.6.2.4: one of those named takes it; nobody is -1, which is not the number 0."""
    apics, out = host(0x10, 0x20, 0x30), zeros(3)
    for members, taker in ((0b111, 0), (0b110, 1), (0b100, 2)):
        assert recipients(Arbiter(Policy.LOWEST_TPR, 3), apics, to(members), -1, out) == 1
        assert out[0] == taker
    assert recipients(Arbiter(Policy.LOWEST_TPR, 3), apics, to(0), -1, out) == 0
