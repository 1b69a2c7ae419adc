"""KVM's atomic operations on a posted-interrupt descriptor. Linux, arch/x86/kvm/vmx/posted_intr.c and posted_intr.h.

Xen claims ON by a compare-exchange that minds SN; KVM's sender does not mind it, and its vCPU looks at PIR again when
it has cleared SN.
"""

from mypy_extensions import i64

from exitless.arch.vmx.posted import PIR_WORDS, PostedDescriptor, has_posted, take_pir
from exitless.arch.vmx.virtual_apic import VirtualApic


def set_on(pid: PostedDescriptor) -> bool:
    """A sender sets ON, whatever SN says. Returns: whether it was set; then somebody else has told or will.

    Changes: ON. Atomic: one locked operation. Cites: KVM vmx/common.h __vmx_deliver_posted_interrupt
    """
    was: bool = pid.on != 0
    pid.on = 1
    return was


def load_control(pid: PostedDescriptor, apic_id: i64, vector: i64) -> None:
    """A vCPU is loaded on a pCPU: NDST names it, SN is clear, NV is the notification vector.

    Changes: NDST, SN, NV
    Atomic: one compare-exchange of the control word, repeated until nobody came between.
    Cites: KVM vmx/posted_intr.c vmx_vcpu_pi_load
    """
    pid.ndst = apic_id
    pid.sn = 0
    pid.nv = vector


def clear_suppress(pid: PostedDescriptor) -> None:
    """The short way of loading: the vCPU comes back to its pCPU. Changes: SN. Cites: KVM vmx/posted_intr.c
    vmx_vcpu_pi_load
    """
    pid.sn = 0


def rescan(pid: PostedDescriptor) -> bool:
    """What was posted while SN was set gets its ON, so that the entry work looks at PIR. Returns: whether there was
    any.

    Changes: ON. Cites: KVM vmx/posted_intr.c vmx_vcpu_pi_load
    """
    if not has_posted(pid):
        return False
    pid.on = 1
    return True


def set_wakeup(pid: PostedDescriptor, vector: i64) -> None:
    """A vCPU that blocks is notified by the wake-up vector from now on; SN is clear.

    Changes: NV. Atomic: one compare-exchange of the control word. Cites: KVM vmx/posted_intr.c pi_enable_wakeup_handler
    """
    pid.nv = vector


def has_pending(pid: PostedDescriptor) -> bool:
    """Tell whether a vCPU that does not run has something posted: ON, or PIR while SN holds ON back.

    Cites: KVM vmx/posted_intr.c pi_has_pending_interrupt
    """
    if pid.on != 0:
        return True
    return pid.sn != 0 and has_posted(pid)


def clear_for_restore(pid: PostedDescriptor) -> None:
    """A guest's APIC state is about to be restored: nothing that was posted before belongs to it.

    Changes: ON, PIR. Cites: KVM vmx/vmx.c vmx_apicv_pre_state_restore
    """
    pid.on = 0
    i: i64 = 0
    while i < PIR_WORDS:
        pid.pir[i] = 0
        i += 1


def merge_for_save(pid: PostedDescriptor, vapic: VirtualApic) -> i64:
    """A guest's APIC state is about to be saved: what is posted becomes part of it.

    Changes: ON, PIR, VIRR. Returns: the highest vector moved, 0 for none. Cites: Xen vmx.c vmx_sync_pir_to_irr
    """
    pid.on = 0
    return take_pir(pid, vapic)
