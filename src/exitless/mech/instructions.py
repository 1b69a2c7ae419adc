"""An operation of a conformance vector or of a batch, done on the oracle: an instruction, a post, a host's write."""

from mypy_extensions import i64

from exitless.arch.vmx.posted import set_pir
from exitless.arch.vmx.virtual_apic import Reg
from exitless.arch.x86.lapic import accept
from exitless.bits.words import ON_PAGE, set_bit
from exitless.mech.happenings import Action, Do
from exitless.mech.oracle import Oracle


def begins_with_sti(action: Action) -> bool:
    """Tell whether STI, and the boundary after it, come before the operation's own instruction."""
    return action.do == Do.STI or action.do == Do.STIHLT or action.do == Do.STIWCR8


def execute(oracle: Oracle, action: Action) -> i64:
    """Execute the instruction of an operation; NOP where it has none of its own. Returns: a Step."""
    do: i64 = action.do
    if do == Do.RD:
        return oracle.read(action.offset, action.size)
    if do == Do.WR:
        return oracle.write(action.offset, action.size, action.low, action.high)
    if do == Do.OR:
        return oracle.set_bits(action.offset, action.size, action.low)
    if do == Do.RDMSR:
        return oracle.rdmsr(action.offset)
    if do == Do.WRMSR:
        return oracle.wrmsr(action.offset, action.low, action.high)
    if do == Do.RCR8:
        return oracle.read_cr8()
    if do == Do.WCR8 or do == Do.STIWCR8:
        return oracle.write_cr8(action.low, action.high)
    if do == Do.CLI:
        return oracle.load_flag(0)
    if do == Do.HLT or do == Do.STIHLT:
        return oracle.hlt()
    if do == Do.MOVSS:
        return oracle.mov_ss()
    if do >= Do.VMCALL:
        return oracle.vmcall()
    return oracle.nop()


def post(oracle: Oracle, action: Action) -> None:
    """POST sets up to two PIR bits and ON in memory, and sends the notification; IPI sends its vector.

    Either is a self-IPI of the real local APIC, which arrives within the NOPs behind it.
    """
    vector: i64 = action.low
    if action.do == Do.POST:
        if vector != 0:
            set_pir(oracle.pid, vector)
        if action.second != 0:
            set_pir(oracle.pid, action.second)
        if action.flags & 1 != 0:
            oracle.pid.on = 1
        vector = oracle.controls.notification_vector if action.flags & 2 != 0 else -1
    if vector >= 0:
        accept(oracle.lapic, vector & 255, 0)


def host_writes(oracle: Oracle, action: Action) -> None:
    """After VMCALL the host changes what the operation says, before it resumes."""
    do: i64 = action.do
    if do == Do.HGIS:
        oracle.vapic.rvi = action.low & 255
        oracle.vapic.svi = (action.low >> 8) & 255
    elif do == Do.HTHR:
        oracle.controls.tpr_threshold = action.low
    elif do == Do.HINTWIN:
        oracle.vapic.window_exiting = 1
    elif do == Do.HINJECT:
        oracle.state.entry_vector = action.low
        oracle.state.entry_type = 0
    elif do == Do.HSETIRR:
        set_bit(oracle.vapic.page, Reg.VIRR, ON_PAGE, action.low)
        oracle.vapic.rvi = oracle.vapic.rvi if oracle.vapic.rvi > action.low else action.low
    elif do == Do.HEOI:
        oracle.vapic.eoi_exit[2 * action.offset] = action.low
        oracle.vapic.eoi_exit[2 * action.offset + 1] = action.high
