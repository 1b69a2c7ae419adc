"""KVM's atomic steps around AVIC: who runs where, and whether the IOMMU should log. Linux, arch/x86/kvm/svm/avic.c."""

from mypy_extensions import i64

from exitless.arch.svm.evaluate import Avic, update_priority
from exitless.arch.svm.iommu import GuestIrte
from exitless.arch.svm.tables import PhysicalEntry
from exitless.arch.vmx.virtual_apic import Reg
from exitless.bits.words import ON_PAGE, highest_bit


def set_running(entry: PhysicalEntry, host_id: i64, hides: i64) -> None:
    """A vCPU is loaded on a core: senders may ring it. With ``hides`` (erratum 1235) the table never says so, and every
    IPI to it exits.

    Changes: the host ID and IsRunning. Atomic: one write of 64 bits. Cites: KVM svm/avic.c avic_vcpu_load
    """
    entry.host_id = host_id
    entry.running = 1 - hides


def clear_running(entry: PhysicalEntry) -> None:
    """A vCPU leaves its core: senders exit now. Changes: IsRunning. Cites: KVM svm/avic.c avic_vcpu_put"""
    entry.running = 0


def update_device(irte: GuestIrte, host_id: i64) -> None:
    """The IOMMU is told where the vCPU runs, -1 for nowhere; a running vCPU needs no log.

    Changes: IsRun, destination, GALogIntr. Cites: KVM svm/avic.c avic_update_iommu_vcpu_affinity
    """
    if host_id < 0:
        irte.is_running = 0
        return
    irte.is_running = 1
    irte.destination = host_id
    irte.log_interrupt = 0


def log_while_blocked(irte: GuestIrte, blocking: i64) -> None:
    """The IOMMU writes its log for a vCPU that blocks, and only then. Changes: GALogIntr.

    Cites: KVM svm/avic.c avic_vcpu_blocking
    """
    irte.log_interrupt = blocking


def has_request(avic: Avic) -> bool:
    """Tell whether a vCPU that is about to sleep has a request above its priority in IRR.

    Changes: PPR. Cites: KVM svm/avic.c avic_vcpu_blocking
    """
    return highest_bit(avic.backing.words, Reg.VIRR, ON_PAGE) >> 4 > update_priority(avic.backing.words) >> 4
