"""Event channel or local APIC: what a guest that knows Xen chooses for each class of interrupts.

The question that ends the mail (can both be mixed, and who decides?) as a rule: the guest decides, by class, from one
CPUID leaf and from what Xen offers; and two kernels answer differently. Linux's answers are those of the cited files in
versions between 4.10 and 6.x; FreeBSD's those of its xen_apic.c and hvm.c, and of the text of its commit 2450da67764c.
"""

from typing import Final

from mypy_extensions import i64

# Bits of EAX of the HVM leaf, base + 4.
APIC_ACCESS_VIRT: Final = 0
X2APIC_VIRT: Final = 1
IOMMU_MAPPINGS: Final = 2
VCPU_ID: Final = 3
DOMAIN_ID: Final = 4
EXTENDED_DESTINATION: Final = 5
UPCALL_VECTOR: Final = 6

# Bits of the features that Xen names to its guests.
FEATURE_CALLBACK_VECTOR: Final = 8
FEATURE_SAFE_PVCLOCK: Final = 9
FEATURE_HVM_PIRQS: Final = 10


class Route:
    """How a class of interrupts comes to the guest. Cites: Linux pci/xen.c xen_hvm_msi_init"""

    APIC: Final = 0
    CHANNEL: Final = 1


class Upcall:
    """How the guest wants to be told of events. Cites: Linux events_base.c xen_init_IRQ"""

    NONE: Final = 0
    GLOBAL_VECTOR: Final = 1
    VCPU_VECTOR: Final = 2
    DEVICE: Final = 3


class Abi:
    """Which event-channel ABI the guest uses. Cites: Linux events_base.c xen_init_IRQ"""

    TWO_LEVEL: Final = 0
    FIFO: Final = 1


class GuestMode:
    """What a guest knows of itself when it chooses, one number 0 or 1 each.

    ``x2apic``: its local APIC is in x2APIC mode; ``apic``: it has one and uses it; ``nopv``: it was told to use no
    interface of Xen's (refused in PVH); ``no_vector``: it was told to use no vector callback; ``pvh``: it has no
    emulated devices. Cites: Linux enlighten_hvm.c xen_hvm_guest_init
    """

    def __init__(self) -> None:
        self.x2apic: i64 = 0
        self.apic: i64 = 1
        self.nopv: i64 = 0
        self.no_vector: i64 = 0
        self.pvh: i64 = 0


def has(leaf: i64, bit: i64) -> bool:
    """Tell whether a bit of the leaf, or of the features, is set. Cites: Xen cpuid.h hvm_leaf"""
    return (leaf >> bit) & 1 != 0


def hvm_leaf(register_virt: i64, x2apic_virt: i64, vid: i64) -> i64:
    """What Xen says of the local APIC in EAX of the leaf: the host's capabilities, not this domain's present mode.

    Returns: APIC_ACCESS_VIRT with APIC-register virtualization; X2APIC_VIRT only with all three.
    Cites: Xen cpuid.h hvm_leaf
    """
    answer: i64 = 0
    if register_virt != 0:
        answer = 1
        if x2apic_virt != 0 and vid != 0:
            answer = 3
    return answer


def is_enlightened(mode: GuestMode) -> bool:
    """Tell whether Linux uses Xen's interfaces at all. Cites: Linux enlighten_hvm.c xen_hvm_guest_init"""
    return mode.nopv == 0 or mode.pvh != 0


def linux_upcall(leaf: i64, features: i64, mode: GuestMode, accepts_vcpu_vector: i64) -> i64:
    """Linux 6.x: its own vector for each vCPU where Xen offers and accepts it, else vector F3H for the domain.

    ``accepts_vcpu_vector`` is 1 when both hypercalls (the vector on vCPU 0, and the dummy callback) succeed.

    Returns: Upcall. Cites: Linux events_base.c xen_init_IRQ
    """
    if not is_enlightened(mode) or mode.no_vector != 0 or not has(features, FEATURE_CALLBACK_VECTOR):
        return Upcall.NONE
    if has(leaf, UPCALL_VECTOR) and accepts_vcpu_vector != 0:
        return Upcall.VCPU_VECTOR
    return Upcall.GLOBAL_VECTOR


def linux_considers_pirqs(features: i64, upcall: i64) -> bool:
    """Tell whether Linux may use PIRQs at all: Xen offers them (off by default since 4.19) and a vector tells of them.

    Cites: Linux pci/xen.c pci_xen_hvm_init
    """
    return (upcall == Upcall.GLOBAL_VECTOR or upcall == Upcall.VCPU_VECTOR) and has(features, FEATURE_HVM_PIRQS)


def linux_msi(leaf: i64, features: i64, mode: GuestMode, upcall: i64) -> i64:
    """Linux's MSIs: through the local APIC when its accesses need no exit in the present mode, else as PIRQs.

    The first condition needs X2APIC_VIRT and x2APIC mode; the second APIC_ACCESS_VIRT in any mode.

    Returns: Route. Cites: Linux pci/xen.c xen_hvm_msi_init
    """
    if not linux_considers_pirqs(features, upcall):
        return Route.APIC
    if mode.apic != 0:
        if has(leaf, X2APIC_VIRT) and mode.x2apic != 0:
            return Route.APIC
        if has(leaf, APIC_ACCESS_VIRT):
            return Route.APIC
    return Route.CHANNEL


def linux_gsi(features: i64, upcall: i64) -> i64:
    """Linux's INTx and emulated devices: PIRQs wherever they may be used, whatever the processor virtualizes.

    Returns: Route. Cites: Linux pci/xen.c pci_xen_hvm_init
    """
    if linux_considers_pirqs(features, upcall):
        return Route.CHANNEL
    return Route.APIC


def linux_ipi(upcall: i64) -> i64:
    """Linux's IPIs: event channels with any vector callback, whatever the processor virtualizes.

    Returns: Route. Cites: Linux smp_hvm.c xen_hvm_smp_init
    """
    if upcall == Upcall.GLOBAL_VECTOR or upcall == Upcall.VCPU_VECTOR:
        return Route.CHANNEL
    return Route.APIC


def linux_timer(features: i64, mode: GuestMode, upcall: i64) -> i64:
    """Linux's timer: the VIRQ of each vCPU where the clock is safe, else the local APIC's.

    Returns: Route. Cites: Linux enlighten_hvm.c xen_hvm_guest_init
    """
    tells: bool = upcall == Upcall.GLOBAL_VECTOR or upcall == Upcall.VCPU_VECTOR
    if is_enlightened(mode) and tells and has(features, FEATURE_SAFE_PVCLOCK):
        return Route.CHANNEL
    return Route.APIC


def linux_abi(wants_fifo: i64, init_control_error: i64) -> i64:
    """Linux uses FIFO queues unless it was told not to or Xen refuses. Returns: Abi.

    Cites: Linux events_base.c xen_init_IRQ
    """
    if wants_fifo != 0 and init_control_error == 0:
        return Abi.FIFO
    return Abi.TWO_LEVEL


def freebsd_upcall(features: i64, accepts_vector: i64) -> i64:
    """FreeBSD: one vector for the domain, else the interrupt of the platform device.

    Returns: Upcall. Cites: FreeBSD hvm.c xen_hvm_set_callback
    """
    if has(features, FEATURE_CALLBACK_VECTOR) and accepts_vector != 0:
        return Upcall.GLOBAL_VECTOR
    return Upcall.DEVICE


def freebsd_ipi(leaf: i64, upcall: i64) -> i64:
    """FreeBSD's IPIs: event channels with the vector callback, but not where accesses to the x2APIC need no exit.

    Returns: Route. Cites: FreeBSD xen_apic.c xen_setup_cpus
    """
    if upcall != Upcall.GLOBAL_VECTOR or has(leaf, X2APIC_VIRT):
        return Route.APIC
    return Route.CHANNEL


def freebsd_msi() -> i64:
    """FreeBSD's MSIs in an HVM guest: always through the local APIC, of whose operations only IPIs are replaced.

    Returns: Route. Cites: FreeBSD xen_apic.c xen_setup_cpus
    """
    return Route.APIC
