"""KVM schedules a vCPU in and out, lets it block and wakes it. Linux, arch/x86/kvm/vmx/posted_intr.c.

Since 2022 all of it hangs on load and put: a vCPU that is put while it blocks arms the wake-up vector, one that is put
otherwise sets SN, and each load looks at PIR again.
"""

from librt.vecs import vec
from mypy_extensions import i64

from exitless.arch.kvm.posted_intr import clear_suppress, has_pending, load_control, rescan, set_wakeup
from exitless.arch.vmx.injection import highest_requested
from exitless.mech.procedures.procedure import Procedure, Surroundings, Verb
from exitless.mech.vcpu import VirtualCpu


def kvm_load() -> vec[i64]:
    """Scheduled in: off the list, the control word, the rescan. Cites: KVM vmx/posted_intr.c vmx_vcpu_pi_load"""
    return vec[i64]([Verb.LEAVE_LIST, Verb.LOAD_CONTROL, Verb.RESCAN])


def kvm_block() -> vec[i64]:
    """A halted vCPU blocks: the last look, then put arms the wake-up vector and looks at ON once more.

    That the generic code says "blocked" before its last look is from memory; put's own steps are as read.
    Cites: KVM kvm_main.c kvm_vcpu_block, KVM vmx/posted_intr.c pi_enable_wakeup_handler
    """
    return vec[i64](
        [Verb.SET_BLOCKED, Verb.TEST_PENDING, Verb.ENLIST, Verb.ARM_WAKEUP, Verb.SELF_CHECK, Verb.SWITCH_OUT]
    )


def kvm_preempt() -> vec[i64]:
    """Scheduled out while it could run: SN, nothing else. Cites: KVM vmx/posted_intr.c vmx_vcpu_pi_put"""
    return vec[i64]([Verb.SUPPRESS, Verb.SWITCH_OUT])


def kvm_wakeup() -> vec[i64]:
    """The wake-up vector's handler: each vCPU on the list whose ON is 1 is woken, and stays on the list.

    Cites: KVM vmx/posted_intr.c pi_wakeup_handler
    """
    return vec[i64]([Verb.WALK_ON, Verb.WAKE])


def has_something(vcpu: VirtualCpu) -> bool:
    """Tell whether a halted vCPU need not block: posted, or requested above what is in service, with IF set.

    Cites: KVM vmx/posted_intr.c pi_has_pending_interrupt
    """
    if vcpu.state.interrupt_flag == 0:
        return False
    return has_pending(vcpu.pid) or highest_requested(vcpu.vapic) >> 4 > vcpu.vapic.svi >> 4


class KvmLoad(Procedure):
    """A vCPU is scheduled in on ``pcpu``: the long way after blocking or on another pCPU, else the short one.

    Cites: KVM vmx/posted_intr.c vmx_vcpu_pi_load
    """

    def __init__(self, vcpu: VirtualCpu, pcpu: i64, program: vec[i64]) -> None:
        super().__init__(vcpu, program)
        self.pcpu: i64 = pcpu

    def act(self, verb: i64, world: Surroundings) -> None:
        """Do one verb."""
        v: VirtualCpu = self.target
        if verb == Verb.LEAVE_LIST:
            if v.pid.nv == world.wakeup_vector:
                world.delist(v)
        elif verb == Verb.LOAD_CONTROL:
            v.running_on = self.pcpu
            if v.pid.nv != world.wakeup_vector and v.pid.ndst == self.pcpu:
                clear_suppress(v.pid)
            else:
                load_control(v.pid, self.pcpu, world.notification_vector)
        elif verb == Verb.RESCAN:
            rescan(v.pid)


class KvmPut(Procedure):
    """A vCPU is scheduled out on ``pcpu``, by :func:`kvm_block` or :func:`kvm_preempt`.

    Cites: KVM kvm_main.c kvm_vcpu_block, KVM vmx/posted_intr.c vmx_vcpu_pi_put
    """

    def __init__(self, vcpu: VirtualCpu, pcpu: i64, program: vec[i64]) -> None:
        super().__init__(vcpu, program)
        self.pcpu: i64 = pcpu

    def act(self, verb: i64, world: Surroundings) -> None:
        """Do one verb. A vCPU that has something stays; one that is woken meanwhile is put all the same, and loaded
        again.
        """
        v: VirtualCpu = self.target
        if verb == Verb.SET_BLOCKED:
            v.blocked = 1
        elif verb == Verb.TEST_PENDING:
            if has_something(v):
                world.unblock(v)
                self.finish()
        elif verb == Verb.ENLIST:
            world.enlist(v, self.pcpu)
        elif verb == Verb.ARM_WAKEUP:
            set_wakeup(v.pid, world.wakeup_vector)
        elif verb == Verb.SELF_CHECK:
            if v.pid.on != 0:
                world.send(self.pcpu, world.wakeup_vector)
        elif verb == Verb.SUPPRESS:
            v.pid.sn = 1
        elif verb == Verb.SWITCH_OUT:
            v.running_on = -1


class KvmWakeup(Procedure):
    """The handler of the wake-up vector on ``pcpu``. ``found`` is the vCPU it stands at, -1 for none.

    Cites: KVM vmx/posted_intr.c pi_wakeup_handler
    """

    def __init__(self, vcpu: VirtualCpu, pcpu: i64, program: vec[i64]) -> None:
        super().__init__(vcpu, program)
        self.pcpu: i64 = pcpu
        self.found: i64 = -1

    def begin(self) -> None:
        """Start at the head of the list."""
        self.at = 0
        self.found = -1

    def act(self, verb: i64, world: Surroundings) -> None:
        """Do one verb."""
        if verb == Verb.WALK_ON:
            self.found = world.listed_after(self.pcpu, self.found)
            if self.found < 0:
                self.finish()
        elif verb == Verb.WAKE:
            world.unblock(world.vcpu(self.found))
            self.at = 0
