"""When a guest under AVIC takes a virtual interrupt: evaluation, doorbell, delivery. APM vol. 2, 15.21.4, 15.29.8."""

from typing import Final

from librt.vecs import vec
from mypy_extensions import i64

from exitless.arch.svm.tables import Backing
from exitless.arch.svm.vmcb import SvmExit, Vmcb, check_vmrun
from exitless.arch.vmx.virtual_apic import Reg
from exitless.bits.words import ON_PAGE, clear_bit, has_bit, highest_bit, set_bit, shl, test_and_set


class Avic:
    """A vCPU under AVIC on its core.

    ``backing`` is its backing page, ``guest_id`` its guest APIC ID. ``recognized`` is the virtual interrupt that the
    last evaluation found, 0 for none: an IRR bit that was set since is not seen until the next one. ``kept`` is 1 while
    a doorbell waits for VMRUN (a choice). ``interrupt_flag`` is the guest's IF, ``host_interrupt_flag`` the host's at
    VMRUN, ``gif`` the global interrupt flag. Cites: APM avic.doorbell, APM svm.interrupts
    """

    def __init__(self, guest_id: i64, backing: Backing) -> None:
        self.guest_id: i64 = guest_id
        self.backing: Backing = backing
        self.vmcb: Vmcb = Vmcb()
        self.in_guest: i64 = 0
        self.recognized: i64 = 0
        self.kept: i64 = 0
        self.interrupt_flag: i64 = 1
        self.host_interrupt_flag: i64 = 1
        self.gif: i64 = 1


class Next:
    """What the arbiter at an instruction boundary lets happen. Cites: APM svm.interrupts"""

    NOTHING: Final = 0
    PHYSICAL_EXIT: Final = 1
    PHYSICAL: Final = 2
    VIRTUAL: Final = 3


def update_priority(words: vec[i64]) -> i64:
    """PPR follows TPR and the highest vector in service; classes decide. Changes: PPR. Returns: it. Cites: APM
    avic.priority
    """
    tpr: i64 = words[Reg.VTPR] & 255
    in_service: i64 = highest_bit(words, Reg.VISR, ON_PAGE)
    priority: i64 = in_service & 240
    if tpr >> 4 >= in_service >> 4:
        priority = tpr
    words[Reg.VPPR] = priority
    return priority


def evaluate(avic: Avic) -> i64:
    """Hardware looks at the backing page: at VMRUN, at a doorbell, when TPR or PPR changes, and at EOI.

    Changes: PPR, what is recognized
    Returns: the vector recognized, 0 for none. Cites: APM avic.doorbell, APM avic.priority
    """
    words: vec[i64] = avic.backing.words
    priority: i64 = update_priority(words)
    vector: i64 = highest_bit(words, Reg.VIRR, ON_PAGE)
    avic.recognized = 0
    if vector >> 4 > priority >> 4:
        avic.recognized = vector
    return avic.recognized


def set_requested(backing: Backing, vector: i64) -> bool:
    """Somebody requests ``vector`` of a vCPU: another core, the IOMMU, or software.

    Changes: IRR. Returns: whether it was already requested.
    Atomic: one locked operation; IsRunning is read afterwards. Cites: APM avic.ipi, APM avic.iommu
    """
    return test_and_set(backing.words, Reg.VIRR, ON_PAGE, vector)


def doorbell(avic: Avic) -> i64:
    """A doorbell reaches the core: in its guest it evaluates again; in host mode VMRUN will, so that nothing is owed.

    Changes: what is recognized, or the kept doorbell by choice
    Returns: the vector recognized, 0 for none. Cites: APM avic.doorbell
    """
    if avic.in_guest != 0:
        return evaluate(avic)
    avic.kept = avic.vmcb.choices.avic_host_doorbell_is_kept
    return 0


def vmrun(avic: Avic) -> i64:
    """VMRUN: the checks, then the task priority is reconciled and IRR is looked at.

    Changes: TPR of the page or V_TPR, PPR, what is recognized
    Returns: SvmExit.NONE, or INVALID without any change. Cites: APM avic.vmrun, APM avic.doorbell
    """
    answer: i64 = check_vmrun(avic.vmcb)
    if answer != SvmExit.NONE:
        return answer
    avic.in_guest = 1
    avic.kept = 0
    if avic.vmcb.avic == 0:
        return SvmExit.NONE
    words: vec[i64] = avic.backing.words
    if avic.vmcb.choices.avic_vmrun_loads_vtpr != 0:
        words[Reg.VTPR] = shl(avic.vmcb.v_tpr & 15, 4)
    else:
        avic.vmcb.v_tpr = (words[Reg.VTPR] >> 4) & 15
    evaluate(avic)
    return SvmExit.NONE


def vmexit(avic: Avic) -> None:
    """The guest is left; what was recognized is found again at the next VMRUN. Changes: what is recognized.

    Cites: APM avic.doorbell
    """
    avic.in_guest = 0
    avic.recognized = 0


def may_take_virtual(avic: Avic) -> bool:
    """Tell whether the guest could take a virtual interrupt: IF, GIF, and VGIF where it is enabled, are 1, and there is
    no interrupt shadow.

    Cites: APM svm.interrupts
    """
    if avic.interrupt_flag == 0 or avic.gif == 0 or avic.vmcb.shadow != 0:
        return False
    return avic.vmcb.vgif_enable == 0 or avic.vmcb.vgif != 0


def may_take_physical(avic: Avic) -> bool:
    """Tell whether a physical interrupt comes through: GIF, and the host's IF at VMRUN with V_INTR_MASKING, the guest's
    IF without.

    Cites: APM svm.interrupts
    """
    if avic.gif == 0:
        return False
    if avic.vmcb.v_intr_masking != 0:
        return avic.host_interrupt_flag != 0
    return avic.interrupt_flag != 0 and avic.vmcb.shadow == 0


def arbitrate(avic: Avic, physical_pending: bool, intercepts: bool) -> i64:
    """Decide what happens at an instruction boundary of the guest. Physical interrupts come before virtual ones.

    Returns: one of Next; PHYSICAL_EXIT is SvmExit.INTR, and leaves the virtual interrupt where it is.
    Cites: APM svm.interrupts
    """
    if physical_pending and may_take_physical(avic):
        if intercepts:
            return Next.PHYSICAL_EXIT
        return Next.PHYSICAL
    if avic.recognized != 0 and may_take_virtual(avic):
        return Next.VIRTUAL
    return Next.NOTHING


def deliver(avic: Avic) -> i64:
    """The guest takes the virtual interrupt that is recognized: it goes from IRR into service, PPR follows.

    Changes: IRR, ISR, PPR, what is recognized
    Returns: the vector, for the guest's IDT. Cites: APM avic.priority
    """
    vector: i64 = avic.recognized
    clear_bit(avic.backing.words, Reg.VIRR, ON_PAGE, vector)
    set_bit(avic.backing.words, Reg.VISR, ON_PAGE, vector)
    evaluate(avic)
    return vector


def write_tpr(avic: Avic, value: i64) -> None:
    """The guest writes TPR: page and V_TPR change, PPR follows, and IRR is looked at again.

    Changes: TPR, V_TPR, PPR, what is recognized. Cites: APM avic.registers
    """
    avic.backing.words[Reg.VTPR] = value & 255
    avic.vmcb.v_tpr = (value >> 4) & 15
    evaluate(avic)


def is_level_in_service(backing: Backing) -> bool:
    """Tell whether the highest vector in service was level triggered when it was accepted. Cites: APM avic.registers"""
    vector: i64 = highest_bit(backing.words, Reg.VISR, ON_PAGE)
    return vector != 0 and has_bit(backing.words, Reg.VTMR, ON_PAGE, vector)


def retire(avic: Avic) -> i64:
    """The highest vector in service is retired, by hardware or by software on the guest's behalf.

    Changes: ISR, PPR, what is recognized
    Returns: the vector, or -1 when none was in service. Cites: APM avic.registers
    """
    vector: i64 = highest_bit(avic.backing.words, Reg.VISR, ON_PAGE)
    if vector == 0:
        return -1
    clear_bit(avic.backing.words, Reg.VISR, ON_PAGE, vector)
    evaluate(avic)
    return vector
