"""TPR virtualization and PPR virtualization. SDM vol. 3, 29.1.2 and 29.1.3 of the 2016 edition."""

from mypy_extensions import i64

from exitless.arch.vmx.controls import Controls, has_vid
from exitless.arch.vmx.evaluate import evaluate_pending
from exitless.arch.vmx.virtual_apic import Reg, VirtualApic
from exitless.vocab.exits import Exit


def ppr_virtualization(vapic: VirtualApic) -> None:
    """VPPR becomes VTPR, or the class of SVI where that is higher; classes alone are compared.

    Changes: VPPR
    Cites: SDM apicv.ppr
    """
    vtpr: i64 = vapic.page[Reg.VTPR] & 255
    svi: i64 = vapic.svi
    if vtpr >> 4 >= svi >> 4:
        vapic.page[Reg.VPPR] = vtpr
    else:
        vapic.page[Reg.VPPR] = svi & 240


def tpr_virtualization(vapic: VirtualApic, controls: Controls) -> i64:
    """The guest has changed VTPR.

    Without virtual-interrupt delivery every change is compared with the TPR threshold; with it the priority
    and the pending virtual interrupts are evaluated anew, and the threshold is not used.

    Changes: VPPR, recognition
    Returns: Exit.TPR_BELOW_THRESHOLD (trap-like), or Exit.NONE.
    Cites: SDM apicv.tpr
    """
    if has_vid(controls):
        ppr_virtualization(vapic)
        evaluate_pending(vapic)
        return Exit.NONE
    if (vapic.page[Reg.VTPR] >> 4) & 15 < controls.tpr_threshold & 15:
        return Exit.TPR_BELOW_THRESHOLD
    return Exit.NONE
