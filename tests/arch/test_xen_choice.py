"""Event channel or local APIC: Linux's and FreeBSD's answers, over all leaves, features and modes that matter."""

from itertools import product

from exitless.arch.xen import choice
from exitless.arch.xen.choice import Abi, GuestMode, Route, Upcall

ALL_FEATURES = 0x700
NO_PIRQS = 0x300
VCPU = 1 << choice.UPCALL_VECTOR
ACCESS, X2APIC = 1, 2


def guest(**marks: int) -> GuestMode:
    """Return a guest with these marks set."""
    mode = GuestMode()
    for name, value in marks.items():
        setattr(mode, name, value)
    return mode


def test_the_leaf_says_what_the_host_can() -> None:
    """APIC_ACCESS_VIRT follows register virtualization alone; X2APIC_VIRT takes all three."""
    for register, x2apic, vid in product((0, 1), repeat=3):
        leaf = choice.hvm_leaf(register, x2apic, vid)
        assert choice.has(leaf, choice.APIC_ACCESS_VIRT) == (register == 1)
        assert choice.has(leaf, choice.X2APIC_VIRT) == (register == x2apic == vid == 1)


def test_linux_takes_its_own_vector_where_it_is_offered_and_works() -> None:
    plain, mode = 0, GuestMode()
    assert choice.linux_upcall(VCPU, ALL_FEATURES, mode, 1) == Upcall.VCPU_VECTOR
    assert choice.linux_upcall(VCPU, ALL_FEATURES, mode, 0) == Upcall.GLOBAL_VECTOR
    assert choice.linux_upcall(plain, ALL_FEATURES, mode, 1) == Upcall.GLOBAL_VECTOR
    assert choice.linux_upcall(VCPU, 0, mode, 1) == Upcall.NONE
    assert choice.linux_upcall(VCPU, ALL_FEATURES, guest(no_vector=1), 1) == Upcall.NONE


def test_nopv_is_refused_in_pvh() -> None:
    assert choice.linux_upcall(VCPU, ALL_FEATURES, guest(nopv=1), 1) == Upcall.NONE
    assert choice.linux_upcall(VCPU, ALL_FEATURES, guest(nopv=1, pvh=1), 1) == Upcall.VCPU_VECTOR


def test_linux_sends_msis_through_the_apic_when_its_accesses_do_not_exit() -> None:
    """The mail's host of 2013: PIRQs. With APICv: native, in x2APIC mode by either bit, in xAPIC mode by bit 0 only."""
    for leaf, x2apic in product(range(4), (0, 1)):
        native = (leaf & X2APIC and x2apic) or leaf & ACCESS
        route = choice.linux_msi(leaf, ALL_FEATURES, guest(x2apic=x2apic), Upcall.GLOBAL_VECTOR)
        assert (route == Route.APIC) == bool(native)
    assert choice.linux_msi(3, ALL_FEATURES, guest(apic=0), Upcall.GLOBAL_VECTOR) == Route.CHANNEL


def test_without_hvm_pirqs_nothing_is_a_pirq() -> None:
    """Off by default since Xen 4.19: MSIs and GSIs go through the local APIC whatever the processor can."""
    for leaf, upcall in product(range(4), (Upcall.GLOBAL_VECTOR, Upcall.VCPU_VECTOR)):
        assert choice.linux_msi(leaf, NO_PIRQS, GuestMode(), upcall) == Route.APIC
        assert choice.linux_gsi(NO_PIRQS, upcall) == Route.APIC
    for upcall in (Upcall.NONE, Upcall.DEVICE):
        assert choice.linux_msi(0, ALL_FEATURES, GuestMode(), upcall) == Route.APIC


def test_linux_does_not_ask_about_the_apic_for_gsis_ipis_and_the_timer() -> None:
    for upcall in (Upcall.GLOBAL_VECTOR, Upcall.VCPU_VECTOR):
        assert choice.linux_gsi(ALL_FEATURES, upcall) == Route.CHANNEL
        assert choice.linux_ipi(upcall) == Route.CHANNEL
        assert choice.linux_timer(ALL_FEATURES, GuestMode(), upcall) == Route.CHANNEL
    assert choice.linux_ipi(Upcall.NONE) == Route.APIC
    assert choice.linux_timer(0x100, GuestMode(), Upcall.GLOBAL_VECTOR) == Route.APIC, "the clock is not safe"
    assert choice.linux_timer(ALL_FEATURES, guest(nopv=1), Upcall.GLOBAL_VECTOR) == Route.APIC


def test_the_mails_last_question_both_can_be_mixed_and_are() -> None:
    """With APICv, MSIs use the local APIC and IPIs event channels, on one vCPU: Linux. FreeBSD mixes without x2APIC
    virtualization, and has both on the local APIC with it.
    """
    leaf, mode = choice.hvm_leaf(1, 1, 1), guest(x2apic=1)
    upcall = choice.linux_upcall(leaf, ALL_FEATURES, mode, 0)
    assert choice.linux_msi(leaf, ALL_FEATURES, mode, upcall) == Route.APIC
    assert choice.linux_ipi(upcall) == Route.CHANNEL
    upcall = choice.freebsd_upcall(ALL_FEATURES, 1)
    assert (choice.freebsd_msi(), choice.freebsd_ipi(leaf, upcall)) == (Route.APIC, Route.APIC)
    assert (choice.freebsd_msi(), choice.freebsd_ipi(ACCESS, upcall)) == (Route.APIC, Route.CHANNEL)


def test_freebsd_falls_back_to_the_platform_device() -> None:
    assert choice.freebsd_upcall(0, 1) == Upcall.DEVICE
    assert choice.freebsd_upcall(ALL_FEATURES, 0) == Upcall.DEVICE
    assert choice.freebsd_ipi(0, Upcall.DEVICE) == Route.APIC


def test_fifo_unless_told_otherwise_or_refused() -> None:
    assert choice.linux_abi(1, 0) == Abi.FIFO
    assert {choice.linux_abi(0, 0), choice.linux_abi(1, 38), choice.linux_abi(0, 38)} == {Abi.TWO_LEVEL}
