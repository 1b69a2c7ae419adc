"""Xen preempts a vCPU, and moves the blocked ones away from a pCPU that goes offline. Xen's vmx.c.

The second is a candidate problem of its own: between SN and its clearing a post sets PIR alone, and the question about
ON has been asked by then. It is Xen's order as read, confirmed by no manual.
"""

from librt.vecs import vec
from mypy_extensions import i64

from exitless.arch.kvm.posted_intr import rescan
from exitless.mech.procedures.procedure import Procedure, Surroundings, Verb
from exitless.mech.vcpu import VirtualCpu


def xen_preempt() -> vec[i64]:
    """Scheduled out while it could run: SN. Cites: Xen vmx.c vmx_pi_switch_from"""
    return vec[i64]([Verb.SUPPRESS, Verb.SWITCH_OUT])


def xen_desc_fixup() -> vec[i64]:
    """A blocked vCPU leaves the list of a pCPU that goes offline. Cites: Xen vmx.c vmx_pi_desc_fixup"""
    return vec[i64]([Verb.SUPPRESS, Verb.TEST_ON, Verb.MOVE_LIST, Verb.CLEAR_SN])


def rescanning_desc_fixup() -> vec[i64]:
    """The same with one step more after SN is cleared: whatever was posted meanwhile gets ON, and its vCPU is woken.

    No source has this step; it is KVM's second look, taken here. Cites: KVM vmx/posted_intr.c vmx_vcpu_pi_load
    """
    return vec[i64]([Verb.SUPPRESS, Verb.TEST_ON, Verb.MOVE_LIST, Verb.CLEAR_SN, Verb.RESCAN])


class Offline(Procedure):
    """Takes a vCPU from its pCPU; ``to`` is where a blocked one goes.

    Cites: Xen vmx.c vmx_pi_switch_from, Xen vmx.c vmx_pi_desc_fixup
    """

    def __init__(self, vcpu: VirtualCpu, to: i64, program: vec[i64]) -> None:
        super().__init__(vcpu, program)
        self.to: i64 = to

    def act(self, verb: i64, world: Surroundings) -> None:
        """Do one verb. A vCPU whose ON is 1 is woken instead of moved; SN is cleared in either case."""
        v: VirtualCpu = self.target
        if verb == Verb.SUPPRESS:
            v.pid.sn = 1
        elif verb == Verb.SWITCH_OUT:
            v.running_on = -1
        elif verb == Verb.TEST_ON:
            if v.pid.on != 0:
                world.delist(v)
                world.unblock(v)
                self.skip(Verb.MOVE_LIST)
        elif verb == Verb.MOVE_LIST:
            v.pid.ndst = self.to
            world.delist(v)
            world.enlist(v, self.to)
        elif verb == Verb.CLEAR_SN:
            v.pid.sn = 0
        elif verb == Verb.RESCAN:
            if rescan(v.pid):
                world.delist(v)
                world.unblock(v)
