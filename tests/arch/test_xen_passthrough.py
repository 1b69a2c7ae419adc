"""Bound MSIs: who gets them, what posting needs, messages that name PIRQs, and delivery by software."""

from itertools import product

import pytest
from librt.vecs import vec
from mypy_extensions import i64

from exitless.arch.x86.message import DeliveryMode
from exitless.arch.xen import passthrough
from exitless.arch.xen.passthrough import Binding, Host, Missing


def words(*values: int) -> vec[i64]:
    """Return a vector of these numbers."""
    return vec[i64](list(values))


def ready() -> Host:
    """Return a host that can post."""
    host = Host()
    host.option = host.remapping = host.units = host.processor = 1
    return host


def test_posting_is_off_by_default() -> None:
    assert passthrough.host_lacks(Host()) == Missing.OPTION


def test_every_condition_of_the_host_is_needed() -> None:
    assert passthrough.host_lacks(ready()) == Missing.NOTHING
    for name, missing in [
        ("option", Missing.OPTION),
        ("remapping", Missing.REMAPPING),
        ("units", Missing.UNITS),
        ("processor", Missing.PROCESSOR),
    ]:
        host = ready()
        setattr(host, name, 0)
        assert passthrough.host_lacks(host) == missing
        assert passthrough.bind(host, 1, 0) == Binding.STEERED, "without posting the irq follows its vCPU"


def test_only_msis_of_hvm_guests_with_one_destination_are_posted() -> None:
    for hvm, msi, target in product((0, 1), (0, 1), (-1, 3)):
        lacks = passthrough.binding_lacks(ready(), hvm, msi, target)
        assert (lacks == Missing.NOTHING) == (hvm == 1 and msi == 1 and target == 3)
    assert passthrough.bind(ready(), 1, 3) == Binding.POSTED
    assert passthrough.bind(ready(), 1, -1) == Binding.REMAPPED
    assert passthrough.bind(ready(), 0, 3) == Binding.STEERED


def test_one_destination_is_one_vcpu_and_a_domain_of_one_vcpu_is_not_asked() -> None:
    assert passthrough.single_vcpu(words(0, 1, 0)) == 1
    assert passthrough.single_vcpu(words(0, 1, 1)) == -1
    assert passthrough.single_vcpu(words(0, 0, 0)) == -1
    assert passthrough.single_vcpu(words(0)) == 0


@pytest.mark.parametrize("vector", range(16, 256))
def test_vector_hashing_takes_the_vector_modulo_the_number_of_vcpus_that_match(vector: int) -> None:
    assert passthrough.hashed_vcpu(words(1, 0, 1, 1), vector) == [0, 2, 3][vector % 3]
    assert passthrough.hashed_vcpu(words(0, 0), vector) == -1


def test_hashing_is_for_lowest_priority_on_hosts_that_post() -> None:
    many = words(1, 1, 0, 1)
    assert passthrough.target_vcpu(many, 0x42, DeliveryMode.LOWEST, 1) == [0, 1, 3][0x42 % 3]
    assert passthrough.target_vcpu(many, 0x42, DeliveryMode.LOWEST, 0) == -1
    assert passthrough.target_vcpu(many, 0x42, DeliveryMode.FIXED, 1) == -1


@pytest.mark.parametrize("pirq", [1, 5, 0xFF, 0x100, 0x1FF, 0x12345])
def test_a_message_with_vector_0_names_a_pirq(pirq: int) -> None:
    """Low 8 bits in address bits 19:12, the others in the high address word from bit 8 on."""
    low, high = passthrough.pirq_address(pirq), passthrough.pirq_address_high(pirq)
    assert low == 0xFEE00000 | (pirq & 0xFF) << 12 and high == pirq & ~0xFF
    assert passthrough.pirq_data() == 0x300
    assert passthrough.pirq_of_message(low, high, passthrough.pirq_data()) == pirq


def test_a_real_vector_is_no_pirq_and_pirq_0_is_out_of_range() -> None:
    assert passthrough.pirq_of_message(0xFEE05000, 0, 0x41) == 0
    assert passthrough.pirq_of_message(0xFEE00000, 0, 0x300) == -passthrough.ERROR_RANGE


def test_fixed_delivery_goes_to_every_match_that_is_enabled() -> None:
    took = [passthrough.takes_fixed(m, e) for m, e in product((0, 1), repeat=2)]
    assert took == [False, False, False, True]


def test_software_delivers_fixed_and_lowest_priority_only() -> None:
    assert {mode for mode in range(8) if passthrough.is_delivered(mode)} == {DeliveryMode.FIXED, DeliveryMode.LOWEST}
