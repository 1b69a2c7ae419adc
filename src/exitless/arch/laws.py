"""Named predicates over state: what must hold between any two steps; checker and simulator ask the same ones."""

from typing import Final

from mypy_extensions import i64

from exitless.arch.vmx.posted import PostedDescriptor, has_posted
from exitless.arch.vmx.virtual_apic import Reg, VirtualApic
from exitless.bits.words import ON_PAGE, highest_bit


class Law:
    """Numbers of the laws. Cites: SDM apicv.state"""

    NONE: Final = 0
    SVI_IS_HIGHEST_IN_SERVICE: Final = 1
    RVI_COVERS_REQUESTS: Final = 2
    POSTED_IS_OUTSTANDING: Final = 3
    RUNNING_IS_NOTIFIED_HERE: Final = 4
    BLOCKED_IS_WOKEN: Final = 5
    PENDING_IS_NOT_BLOCKED: Final = 6
    BALANCE: Final = 7
    SLEEPER_HAS_NO_REQUEST: Final = 8


LAW_NAMES: Final = {
    1: "SVI is the highest vector in VISR",
    2: "at VM entry RVI is of the class of the highest vector in VIRR or above, or the window is armed, or a kick that "
    "came after the last look is on its way",
    3: "with SN clear, a descriptor that holds a vector has ON set",
    4: "a running vCPU has SN clear and NDST naming its pCPU",
    5: "a blocked vCPU with VT-d posting has NV = wakeup vector and is on a pCPU's list",
    6: "a vCPU whose upcall is pending and deliverable is not blocked",
    8: "a vCPU that sleeps with IF=1 has no deliverable request in VIRR",
    7: "asserted = delivered + coalesced + pending for every source",
}


def svi_is_highest(vapic: VirtualApic) -> bool:
    """SVI names the highest vector in service. Cites: SDM apicv.state"""
    return vapic.svi == highest_bit(vapic.page, Reg.VISR, ON_PAGE)


def rvi_covers(vapic: VirtualApic) -> bool:
    """At VM entry no request of a higher class than RVI waits in VIRR unseen. Cites: SDM apicv.evaluation"""
    if vapic.window_exiting != 0:
        return True
    return highest_bit(vapic.page, Reg.VIRR, ON_PAGE) >> 4 <= vapic.rvi >> 4


def posted_is_outstanding(pid: PostedDescriptor) -> bool:
    """With SN clear, vectors in PIR have ON set, so that somebody is bound to look. Cites: VT-d posted.descriptor"""
    return pid.sn != 0 or pid.on != 0 or not has_posted(pid)


def running_is_notified(pid: PostedDescriptor, pcpu: i64) -> bool:
    """A running vCPU's notifications come to the pCPU it runs on. Cites: VT-d posted.descriptor"""
    return pid.sn == 0 and pid.ndst == pcpu


def blocked_is_woken(pid: PostedDescriptor, wakeup_vector: i64, listed: bool) -> bool:
    """A blocked vCPU's notification is the wakeup vector, and its handler will find the vCPU.

    Cites: VT-d posted.descriptor
    """
    return pid.nv == wakeup_vector and listed


def sleeper_has_no_request(vapic: VirtualApic) -> bool:
    """Nothing in VIRR is above what is in service, so that a sleeping vCPU sleeps rightly.

    Cites: SDM apicv.evaluation
    """
    return highest_bit(vapic.page, Reg.VIRR, ON_PAGE) >> 4 <= vapic.svi >> 4
