"""What each step of a world is called, and where it comes from."""

from typing import Final

from mypy_extensions import i64

from exitless.check.acts import ACTS
from exitless.check.world import Rule
from exitless.mech.procedures.procedure import Verb

# Step: what happens, in one clause; the citation.
STEPS: Final[dict[int, tuple[str, str]]] = {
    Verb.SET_PIR: ("sets the PIR bit", "Xen vmx.c vmx_deliver_posted_intr"),
    Verb.CLAIM_ON: ("claims ON, unless ON or SN is set", "Xen vmx.c vmx_deliver_posted_intr"),
    Verb.READ_RUNNING: ("reads whether the vCPU runs", "Xen vmx.c vmx_deliver_posted_intr"),
    Verb.UNBLOCK: ("clears the blocked flag", "Xen core.c vcpu_unblock"),
    Verb.NOTIFY: ("interrupts the pCPU where the vCPU was seen running", "Xen vmx.c vmx_deliver_posted_intr"),
    Verb.SET_BLOCKED: ("sets the blocked flag", "Xen core.c vcpu_block"),
    Verb.ENLIST: ("adds the vCPU to this pCPU's list", "Xen vmx.c vmx_vcpu_block"),
    Verb.NV_WAKEUP: ("writes NV := wake-up vector", "Xen vmx.c vmx_vcpu_block"),
    Verb.SYNC_ON: ("tests ON and clears it", "Xen vmx.c vmx_sync_pir_to_irr"),
    Verb.SYNC_PIR: ("moves PIR into VIRR by software", "Xen vmx.c vmx_sync_pir_to_irr"),
    Verb.TEST: ("asks whether anything is deliverable", "Xen core.c vcpu_block"),
    Verb.SWITCH_OUT: ("switches to another vCPU, if this one is still blocked", "Xen core.c vcpu_block"),
    Verb.SUPPRESS: ("sets SN", "Xen vmx.c vmx_pi_switch_from"),
    Verb.SWITCH_IN: ("switches to the vCPU: NDST := this pCPU", "Xen vmx.c vmx_pi_switch_to"),
    Verb.CLEAR_SN: ("clears SN", "Xen vmx.c vmx_pi_switch_to"),
    Verb.RUN_HERE: ("switches to the vCPU and leaves NDST as it is", "Xen vmx.c vmx_pi_switch_to"),
    Verb.WRITE_RVI: ("writes RVI from VIRR", "Xen intr.c vmx_intr_assist"),
    Verb.CLOSE: ("switches interrupts off and looks for a softirq", "Xen entry.S vmx_asm_do_vmentry"),
    Verb.NV_NOTIFY: ("writes NV := notification vector", "Xen vmx.c vmx_pi_do_resume"),
    Verb.DELIST: ("takes the vCPU off the list, if it is on it", "Xen vmx.c vmx_pi_do_resume"),
    Verb.ENTER: ("enters the guest and evaluates", "SDM vmx.entry-vid"),
    Verb.CLEAR_ON: ("clears ON, in posted-interrupt processing", "SDM posted.processing"),
    Verb.TAKE_PIR: ("moves PIR into VIRR, in posted-interrupt processing", "SDM posted.processing"),
    Verb.RAISE_RVI: ("raises RVI and evaluates, in posted-interrupt processing", "SDM posted.processing"),
    Verb.COPY_PIR: ("copies PIR into VIRR and leaves it", "SDM posted.processing"),
    Verb.WIPE_PIR: ("clears PIR", "SDM posted.processing"),
    Verb.WALK: ("looks for a vCPU with ON = 1, to take it off the list", "Xen vmx.c pi_wakeup_interrupt"),
    Verb.WAKE: ("clears the blocked flag of the vCPU it has found", "Xen vmx.c pi_wakeup_interrupt"),
    Verb.LOOK_AGAIN: ("raises a softirq, so that an entry looks at PIR again", "Xen vmx.c pi_notification_interrupt"),
    Verb.WIPE_ON: ("clears ON of the vCPU it has found", "Xen vmx.c pi_wakeup_interrupt"),
    Verb.SET_ON: ("sets ON, whatever SN says", "KVM vmx/common.h __vmx_deliver_posted_interrupt"),
    Verb.READ_MODE: ("reads whether the target is in guest mode", "KVM vmx/common.h __vmx_deliver_posted_interrupt"),
    Verb.TELL: ("interrupts or wakes the target", "KVM vmx/common.h __vmx_deliver_posted_interrupt"),
    Verb.IN_GUEST_MODE: ("says that it is in guest mode", "KVM x86.c vcpu_enter_guest"),
    Verb.WRITE_MAX: ("writes RVI from VIRR", "KVM x86.c vcpu_enter_guest"),
    Verb.CHECK_REQUESTS: ("looks for requests", "KVM x86.c vcpu_enter_guest"),
    Verb.LEAVE_LIST: ("leaves the wake-up list, if NV is the wake-up vector", "KVM vmx/posted_intr.c vmx_vcpu_pi_load"),
    Verb.LOAD_CONTROL: ("writes NDST, SN = 0 and NV at once", "KVM vmx/posted_intr.c vmx_vcpu_pi_load"),
    Verb.RESCAN: ("sets ON if PIR holds anything", "KVM vmx/posted_intr.c vmx_vcpu_pi_load"),
    Verb.TEST_PENDING: ("asks whether anything is posted or requested", "KVM kvm_main.c kvm_vcpu_block"),
    Verb.ARM_WAKEUP: ("writes NV := wake-up vector", "KVM vmx/posted_intr.c pi_enable_wakeup_handler"),
    Verb.SELF_CHECK: ("sends itself the wake-up vector if ON is set", "KVM vmx/posted_intr.c pi_enable_wakeup_handler"),
    Verb.WALK_ON: ("looks for the next vCPU on the list with ON = 1", "KVM vmx/posted_intr.c pi_wakeup_handler"),
    Verb.TEST_ON: ("asks whether ON is set", "Xen vmx.c vmx_pi_desc_fixup"),
    Verb.MOVE_LIST: ("moves the vCPU to another pCPU's list", "Xen vmx.c vmx_pi_desc_fixup"),
    Verb.LEAVE_GUEST: ("leaves the guest", "KVM svm/avic.c avic_vcpu_put"),
    Verb.CLEAR_RUNNING: ("clears IsRunning in the table", "KVM svm/avic.c avic_vcpu_put"),
    Verb.DEVICE_LOGS: ("sets GALogIntr in the IOMMU's entry", "KVM svm/avic.c avic_vcpu_blocking"),
    Verb.DEVICE_STOPS: ("clears IsRun in the IOMMU's entry", "KVM svm/avic.c avic_update_iommu_vcpu_affinity"),
    Verb.TEST_REQUEST: ("asks whether IRR holds a request", "KVM svm/avic.c avic_vcpu_blocking"),
    Verb.SET_RUNNING: ("sets IsRunning and the core in the table", "KVM svm/avic.c avic_vcpu_load"),
    Verb.DEVICE_RUNS: ("sets IsRun and the core for the IOMMU", "KVM svm/avic.c avic_update_iommu_vcpu_affinity"),
    Verb.RUN_GUEST: ("runs the guest, which looks at IRR", "APM avic.vmrun"),
    Rule.HARDWARE_POST: ("posts: PIR, ON, and a message with NV to NDST", "VT-d posted.operation"),
    Rule.DELIVER: ("delivers the virtual interrupt in RVI", "SDM apicv.delivery"),
    Rule.END: ("ends the interrupt in service", "SDM apicv.eoi"),
    Rule.HALT: ("halts, which exits", "Xen core.c vcpu_block"),
    Rule.NOTIFY_IN_GUEST: ("arrives in the guest: processing begins, no exit", "SDM posted.processing"),
    Rule.NOTIFY_IN_ROOT: ("arrives in root mode: EOI, a softirq", "Xen vmx.c pi_notification_interrupt"),
    Rule.NOTIFY_ELSEWHERE: ("arrives while another vCPU runs, against its descriptor", "SDM posted.processing"),
    Rule.WAKEUP: ("arrives; its handler looks for a vCPU with ON = 1", "Xen vmx.c pi_wakeup_interrupt"),
    Rule.WAKEUP_IN_GUEST: ("arrives in the guest, which exits; its handler looks", "Xen vmx.c pi_wakeup_interrupt"),
    Rule.KICK_IN_GUEST: ("arrives in the guest, which exits", "Xen vmx.c vmx_deliver_posted_intr"),
    Rule.SWITCH_AWAY: ("switches to another vCPU", "Xen vmx.c vmx_pi_switch_from"),
    Rule.KICK_ELSEWHERE: ("arrives outside this guest", "Xen vmx.c vmx_deliver_posted_intr"),
}


def _step(rule: i64) -> tuple[str, str]:
    number: int = int(rule)
    return ACTS[number] if number in ACTS else STEPS[number]


def sentence(rule: i64) -> str:
    """Return what a step does, in one clause."""
    return _step(rule)[0]


def citation(rule: i64) -> str:
    """Return the key of src/exitless/study/cites.toml under which a step is to be found."""
    return _step(rule)[1]
