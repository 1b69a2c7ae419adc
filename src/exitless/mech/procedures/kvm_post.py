"""KVM posts a vector in software, and goes into the guest. Linux, arch/x86/kvm/vmx/common.h and vmx.c."""

from librt.vecs import vec
from mypy_extensions import i64

from exitless.arch.kvm.posted_intr import set_on
from exitless.arch.vmx.injection import highest_requested, load_at_entry
from exitless.arch.vmx.posted import set_pir
from exitless.mech.procedures.block import sync_step
from exitless.mech.procedures.procedure import Procedure, Surroundings, Verb
from exitless.mech.vcpu import VirtualCpu


def kvm_post() -> vec[i64]:
    """KVM's order: PIR, then ON, then the target's mode. Cites: KVM vmx/common.h __vmx_deliver_posted_interrupt"""
    return vec[i64]([Verb.SET_PIR, Verb.SET_ON, Verb.READ_MODE, Verb.TELL])


def kvm_enter() -> vec[i64]:
    """KVM's order into the guest, with interrupts off: the mode, then PIR, then requests. Cites: KVM x86.c
    vcpu_enter_guest
    """
    return vec[i64]([Verb.IN_GUEST_MODE, Verb.SYNC_ON, Verb.SYNC_PIR, Verb.WRITE_MAX, Verb.CHECK_REQUESTS, Verb.ENTER])


class KvmPost(Procedure):
    """KVM's software posting of ``vector`` from ``pcpu``.

    ``seen_in_guest`` is what it read of the target's mode; a target in its guest is told by the notification vector,
    another one is woken. Cites: KVM vmx/common.h __vmx_deliver_posted_interrupt
    """

    def __init__(self, vcpu: VirtualCpu, vector: i64, pcpu: i64, program: vec[i64]) -> None:
        super().__init__(vcpu, program)
        self.vector: i64 = vector
        self.pcpu: i64 = pcpu
        self.seen_in_guest: i64 = 0

    def act(self, verb: i64, world: Surroundings) -> None:
        """Do one verb. A PIR bit or an ON that was set ends the post."""
        v: VirtualCpu = self.target
        if verb == Verb.SET_PIR:
            if set_pir(v.pid, self.vector):
                self.finish()
        elif verb == Verb.SET_ON:
            if set_on(v.pid):
                self.finish()
        elif verb == Verb.READ_MODE:
            self.seen_in_guest = v.in_guest_mode
        elif verb == Verb.TELL:
            if self.seen_in_guest == 0:
                world.unblock(v)
            elif v.running_on != self.pcpu:
                world.send(v.running_on, world.notification_vector)


class KvmEnter(Procedure):
    """A loaded vCPU goes into its guest on ``pcpu``.

    A request that is found once the mode says so sends it back to begin again. Cites: KVM x86.c vcpu_enter_guest
    """

    def __init__(self, vcpu: VirtualCpu, pcpu: i64, program: vec[i64]) -> None:
        super().__init__(vcpu, program)
        self.pcpu: i64 = pcpu

    def act(self, verb: i64, world: Surroundings) -> None:
        """Do one verb."""
        v: VirtualCpu = self.target
        if verb == Verb.IN_GUEST_MODE:
            v.in_guest_mode = 1
        elif verb == Verb.WRITE_MAX:
            v.vapic.rvi = highest_requested(v.vapic)
        elif verb == Verb.CHECK_REQUESTS:
            if world.take_softirq(self.pcpu):
                v.in_guest_mode = 0
                self.begin()
        elif verb == Verb.ENTER:
            load_at_entry(v.vapic)
        elif not sync_step(v, verb):
            self.skip(Verb.SYNC_PIR)
