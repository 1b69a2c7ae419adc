"""MOV to and from CR8, the other name of the task priority. SDM vol. 3, 29.3 of the 2016 edition."""

from mypy_extensions import i64

from exitless.arch.outcome import Access
from exitless.arch.vmx.access import Operation
from exitless.arch.vmx.controls import Controls
from exitless.arch.vmx.priority import tpr_virtualization
from exitless.arch.vmx.virtual_apic import Reg, VirtualApic
from exitless.vocab.exits import Exit


def read_cr8(vapic: VirtualApic, controls: Controls, op: Operation) -> i64:
    """The guest moves from CR8.

    Changes: the operation's ``low``
    Returns: Exit.CR_ACCESS (fault-like; qualification 18H: from CR8 to the first register), Access.PHYSICAL, or
        Access.VIRTUALIZED.
    Cites: SDM apicv.cr8
    """
    if controls.cr8_store_exiting != 0:
        op.qualification = 24
        return Exit.CR_ACCESS
    if controls.use_tpr_shadow == 0:
        return Access.PHYSICAL
    op.low = (vapic.page[Reg.VTPR] >> 4) & 15
    return Access.VIRTUALIZED


def move_to_cr8(vapic: VirtualApic, controls: Controls, op: Operation) -> i64:
    """The guest moves ``op.low`` (and ``op.high``) to CR8: an exit goes before the fault of bits 63:4, by default.

    Changes: VTPR, then what TPR virtualization changes
    Returns: what :func:`write_cr8` returns, or Access.GENERAL_PROTECTION.
    Cites: SDM apicv.cr8
    """
    exits: bool = controls.cr8_load_exiting != 0 and controls.choices.vmx_cr8_fault_first == 0
    if not exits and (op.low > 15 or op.high != 0):
        return Access.GENERAL_PROTECTION
    op.qualification = 8 if controls.cr8_load_exiting != 0 else 0
    return write_cr8(vapic, controls, op.low)


def write_cr8(vapic: VirtualApic, controls: Controls, value: i64) -> i64:
    """The guest moves ``value`` (0 to 15) to CR8.

    Changes: VTPR, then what TPR virtualization changes
    Returns: Exit.CR_ACCESS (fault-like), Access.PHYSICAL, Exit.TPR_BELOW_THRESHOLD (trap-like), or Exit.NONE.
    Cites: SDM apicv.cr8
    """
    if controls.cr8_load_exiting != 0:
        return Exit.CR_ACCESS
    if controls.use_tpr_shadow == 0:
        return Access.PHYSICAL
    vapic.page[Reg.VTPR] = value * 16
    return tpr_virtualization(vapic, controls)
