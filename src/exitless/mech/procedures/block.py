"""A vCPU halts and blocks, is woken, and goes back into its guest: what its pCPU does for it, step by step.

The order is Xen's: blocked flag, list, NV, and only then the last question whether anything is deliverable. The other
side of each pair (a sender sets PIR and ON first and asks for the blocked flag or NV afterwards) is what makes it work.
"""

from librt.vecs import vec
from mypy_extensions import i64

from exitless.arch.kvm.posted_intr import rescan
from exitless.arch.vmx.injection import highest_requested, load_at_entry
from exitless.arch.vmx.posted import clear_outstanding
from exitless.mech.procedures.procedure import Procedure, Surroundings, Verb
from exitless.mech.procedures.process import take
from exitless.mech.vcpu import VirtualCpu


def xen_block() -> vec[i64]:
    """Xen's order of blocking. Cites: Xen core.c vcpu_block, Xen vmx.c vmx_vcpu_block"""
    return vec[i64](
        [
            Verb.SET_BLOCKED, Verb.ENLIST, Verb.NV_WAKEUP, Verb.SYNC_ON, Verb.SYNC_PIR, Verb.TEST, Verb.SWITCH_OUT,
        ]
    )  # fmt: skip


def xen_resume() -> vec[i64]:
    """Xen's order from the scheduler's choice to VM entry; after an exit it begins behind the context switch.

    Cites: Xen vmx.c vmx_pi_switch_to, Xen intr.c vmx_intr_assist, Xen vmx.c vmx_pi_do_resume
    """
    return vec[i64](
        [
            Verb.SWITCH_IN, Verb.CLEAR_SN, Verb.SYNC_ON, Verb.SYNC_PIR, Verb.WRITE_RVI, Verb.CLOSE, Verb.NV_NOTIFY,
            Verb.DELIST, Verb.ENTER,
        ]
    )  # fmt: skip


def rescanning_resume() -> vec[i64]:
    """The same with one step more after SN is cleared: ON is set for whatever was posted meanwhile, as KVM does.

    Cites: Xen vmx.c vmx_pi_switch_to, KVM vmx/posted_intr.c vmx_vcpu_pi_load
    """
    return vec[i64](
        [
            Verb.SWITCH_IN, Verb.CLEAR_SN, Verb.RESCAN, Verb.SYNC_ON, Verb.SYNC_PIR, Verb.WRITE_RVI, Verb.CLOSE,
            Verb.NV_NOTIFY, Verb.DELIST, Verb.ENTER,
        ]
    )  # fmt: skip


def xen_wakeup() -> vec[i64]:
    """The wake-up vector's handler: find a vCPU with ON=1 and take it off the list, wake it, look on.

    Cites: Xen vmx.c pi_wakeup_interrupt
    """
    return vec[i64]([Verb.WALK, Verb.WAKE])


def is_deliverable(vcpu: VirtualCpu) -> bool:
    """Tell whether the vCPU would take an interrupt if it ran. Cites: Xen vlapic.c vlapic_has_pending_irq"""
    vector: i64 = highest_requested(vcpu.vapic)
    return vcpu.state.interrupt_flag != 0 and vector >> 4 > vcpu.vapic.svi >> 4


def sync_step(vcpu: VirtualCpu, verb: i64) -> bool:
    """One of the two steps of moving PIR into VIRR by software.

    Returns: whether the next may follow: it does not when SYNC_ON finds ON clear, since PIR is then not looked at.
    Cites: Xen vmx.c vmx_sync_pir_to_irr
    """
    if verb == Verb.SYNC_ON:
        return clear_outstanding(vcpu.pid)
    take(vcpu, verb)
    return True


class Block(Procedure):
    """A halted vCPU blocks on ``pcpu``, unless there is something to deliver; in the end it runs nowhere, or runs on.

    Cites: Xen core.c vcpu_block, Xen vmx.c vmx_vcpu_block
    """

    def __init__(self, vcpu: VirtualCpu, pcpu: i64, program: vec[i64]) -> None:
        super().__init__(vcpu, program)
        self.pcpu: i64 = pcpu

    def act(self, verb: i64, world: Surroundings) -> None:
        """Do one verb."""
        v: VirtualCpu = self.target
        if verb == Verb.SET_BLOCKED:
            v.blocked = 1
        elif verb == Verb.ENLIST:
            world.enlist(v, self.pcpu)
        elif verb == Verb.NV_WAKEUP:
            v.pid.nv = world.wakeup_vector
        elif verb == Verb.TEST:
            if is_deliverable(v):
                world.unblock(v)
                self.finish()
        elif verb == Verb.SUPPRESS:
            v.pid.sn = 1
        elif verb == Verb.SWITCH_OUT:
            if v.blocked != 0:
                v.running_on = -1
            else:
                self.finish()
        elif not sync_step(v, verb):
            self.skip(Verb.SYNC_PIR)


class Resume(Procedure):
    """A vCPU goes into its guest on ``pcpu``, from the scheduler's choice or after an exit.

    A softirq that is pending when interrupts have been switched off sends it back to look at PIR again.
    Cites: Xen vmx.c vmx_pi_switch_to, Xen intr.c vmx_intr_assist, Xen vmx.c vmx_pi_do_resume
    """

    def __init__(self, vcpu: VirtualCpu, pcpu: i64, program: vec[i64]) -> None:
        super().__init__(vcpu, program)
        self.pcpu: i64 = pcpu

    def after_exit(self) -> None:
        """Start behind the context switch."""
        self.at = 1
        self.skip(Verb.CLEAR_SN)
        self.skip(Verb.RESCAN)

    def is_closed(self) -> bool:
        """Tell whether interrupts are off: from the look at the softirqs to the entry."""
        verb: i64 = self.verb()
        return verb == Verb.NV_NOTIFY or verb == Verb.DELIST or verb == Verb.ENTER

    def act(self, verb: i64, world: Surroundings) -> None:
        """Do one verb."""
        v: VirtualCpu = self.target
        if verb == Verb.SWITCH_IN:
            v.pid.ndst = self.pcpu
            v.running_on = self.pcpu
        elif verb == Verb.CLEAR_SN:
            v.pid.sn = 0
        elif verb == Verb.RUN_HERE:
            v.running_on = self.pcpu
        elif verb == Verb.RESCAN:
            rescan(v.pid)
        elif verb == Verb.WRITE_RVI:
            vector: i64 = highest_requested(v.vapic)
            if vector != 0:
                v.vapic.rvi = vector
        elif verb == Verb.CLOSE:
            if world.take_softirq(self.pcpu):
                self.after_exit()
        elif verb == Verb.NV_NOTIFY:
            v.pid.nv = world.notification_vector
        elif verb == Verb.DELIST:
            world.delist(v)
        elif verb == Verb.ENTER:
            load_at_entry(v.vapic)
        elif not sync_step(v, verb):
            self.skip(Verb.SYNC_PIR)


class Wakeup(Procedure):
    """The handler of the wake-up vector on ``pcpu``, with interrupts off.

    ``found`` is the vCPU taken off the list last, -1 for none. Its ON stays set: what it stands for is still in PIR.
    Cites: Xen vmx.c pi_wakeup_interrupt
    """

    def __init__(self, vcpu: VirtualCpu, pcpu: i64, program: vec[i64]) -> None:
        super().__init__(vcpu, program)
        self.pcpu: i64 = pcpu
        self.found: i64 = -1

    def act(self, verb: i64, world: Surroundings) -> None:
        """Do one verb."""
        if verb == Verb.WALK:
            self.found = world.listed_with_notification(self.pcpu)
            if self.found < 0:
                self.finish()
            else:
                world.delist(world.vcpu(self.found))
        elif verb == Verb.WIPE_ON:
            clear_outstanding(world.vcpu(self.found).pid)
        elif verb == Verb.WAKE:
            world.unblock(world.vcpu(self.found))
        elif verb == Verb.LOOK_AGAIN:
            world.raise_softirq(self.pcpu)
        if self.is_idle() and self.found >= 0:
            self.begin()
