"""A processor posts a vector for another one's vCPU. Unlike the remapping unit it takes several steps."""

from librt.vecs import vec
from mypy_extensions import i64

from exitless.arch.kvm.posted_intr import set_on
from exitless.arch.vmx.posted import claim_notification, set_pir
from exitless.mech.procedures.procedure import Procedure, Surroundings, Verb
from exitless.mech.vcpu import VirtualCpu


def xen_post() -> vec[i64]:
    """Xen's order: PIR before ON, then ask where the vCPU runs, wake it, interrupt it.

    Cites: Xen vmx.c vmx_deliver_posted_intr
    """
    return vec[i64]([Verb.SET_PIR, Verb.CLAIM_ON, Verb.READ_RUNNING, Verb.UNBLOCK, Verb.NOTIFY])


def xen_post_with_bitmap() -> vec[i64]:
    """Xen's order when the vector has changed the EOI-exit bitmap: ON without a claim, and a kick instead of a
    notification, so that an entry loads the bitmap before the vector is delivered.

    Cites: Xen vmx.c vmx_deliver_posted_intr
    """
    return vec[i64]([Verb.SET_PIR, Verb.SET_ON, Verb.READ_RUNNING, Verb.UNBLOCK, Verb.NOTIFY])


class Post(Procedure):
    """Xen's software posting of ``vector``.

    ``again`` is 1 when the PIR bit was already set, ``claimed`` 1 when ON was won; ``seen_on`` is the pCPU on which
    the vCPU was seen running, -1 for none.
    Cites: Xen vmx.c vmx_deliver_posted_intr
    """

    def __init__(self, vcpu: VirtualCpu, vector: i64, program: vec[i64]) -> None:
        super().__init__(vcpu, program)
        self.vector: i64 = vector
        self.again: i64 = 0
        self.claimed: i64 = 0
        self.seen_on: i64 = -1

    def begin(self) -> None:
        """Start at the first verb, with nothing claimed or seen."""
        self.at = 0
        self.claimed = 0
        self.seen_on = -1

    def act(self, verb: i64, world: Surroundings) -> None:
        """Do one verb.

        A bit that was already set ends the post; a claim that fails turns the notification into a kick.
        """
        v: VirtualCpu = self.target
        if verb == Verb.SET_PIR:
            self.again = 0
            if set_pir(v.pid, self.vector):
                self.again = 1
                self.finish()
        elif verb == Verb.CLAIM_ON:
            if claim_notification(v.pid):
                self.claimed = 1
        elif verb == Verb.SET_ON:
            set_on(v.pid)
        elif verb == Verb.READ_RUNNING:
            self.seen_on = v.running_on
        elif verb == Verb.UNBLOCK:
            world.unblock(v)
            if self.seen_on < 0:
                self.finish()
        elif verb == Verb.NOTIFY:
            if self.claimed != 0:
                world.send(self.seen_on, world.notification_vector)
            else:
                world.kick(self.seen_on)
