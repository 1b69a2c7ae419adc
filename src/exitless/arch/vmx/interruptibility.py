"""What blocks interrupts for the length of an instruction, and HLT. SDM vol. 3, 6.8.1, 6.8.3, 24.4.2 and 25.1.3."""

from mypy_extensions import i64

from exitless.arch.vmx.controls import Activity, Controls
from exitless.arch.vmx.injection import GuestState
from exitless.vocab.exits import Exit


def complete_instruction(state: GuestState) -> None:
    """An instruction has completed that sets no blocking itself: blocking by STI or MOV SS from before it ends.

    Changes: blocking by STI and by MOV SS. Cites: SDM exec.blocking
    """
    state.sti_blocking = 0
    state.mov_ss_blocking = 0


def execute_sti(state: GuestState) -> None:
    """STI sets IF; where IF was 0, interrupts stay blocked until the next instruction has completed.

    Changes: IF, blocking by STI, blocking by MOV SS. Cites: SDM exec.blocking
    """
    state.mov_ss_blocking = 0
    state.sti_blocking = 1 if state.interrupt_flag == 0 else 0
    state.interrupt_flag = 1


def execute_mov_ss(state: GuestState) -> None:
    """MOV SS or POP SS blocks interrupts, and more, until the next instruction has completed.

    Changes: blocking by MOV SS, blocking by STI. Cites: SDM exec.blocking
    """
    state.sti_blocking = 0
    state.mov_ss_blocking = 1


def load_interrupt_flag(state: GuestState, flag: i64) -> None:
    """CLI or POPF loads IF; neither blocks the next instruction, and a set IF counts at once.

    Changes: IF, blocking by STI and MOV SS. Cites: SDM exec.blocking
    """
    state.interrupt_flag = flag
    complete_instruction(state)


def execute_hlt(state: GuestState, controls: Controls) -> i64:
    """The guest executes HLT.

    Blocking by STI covers exactly the HLT after it, so that STI; HLT cannot miss an interrupt.

    Changes: the activity state, blocking by STI and MOV SS
    Returns: Exit.HLT (fault-like), or Exit.NONE: the processor halts until the next boundary that lets an event happen.
    Cites: SDM exec.hlt
    """
    if controls.hlt_exiting != 0:
        return Exit.HLT
    complete_instruction(state)
    state.activity = Activity.HLT
    return Exit.NONE


def execute_mwait(state: GuestState, controls: Controls) -> i64:
    """The guest executes MWAIT; what wakes it beside interrupts, a store to the monitored range, is not modelled.

    Changes: the activity state, blocking by STI and MOV SS
    Returns: Exit.MWAIT_INSTRUCTION (fault-like), or Exit.NONE: the processor waits, in a state that no VMCS field
        records.
    Cites: SDM exec.hlt, SDM vmcs.guest-state
    """
    if controls.mwait_exiting != 0:
        return Exit.MWAIT_INSTRUCTION
    complete_instruction(state)
    state.activity = Activity.MWAIT
    return Exit.NONE


def execute_iret(state: GuestState, controls: Controls, flag: i64) -> None:
    """IRET loads IF and ends blocking by NMI, or virtual-NMI blocking; NMI exiting without virtual NMIs keeps it.

    Changes: IF, blocking by STI, by MOV SS and by NMI. Cites: SDM exec.iret
    """
    load_interrupt_flag(state, flag)
    ends: bool = controls.nmi_exiting == 0 or controls.virtual_nmis != 0
    if ends and controls.choices.vmx_iret_ends_nmi_blocking != 0:
        state.nmi_blocking = 0


def faults_by_privilege(state: GuestState) -> bool:
    """RDMSR, WRMSR, MOV to and from CR8, HLT and MWAIT raise #GP outside privilege level 0, before any exit.

    Cites: SDM exec.privilege
    """
    return state.privilege != 0


def leave_mwait(state: GuestState) -> None:
    """Posted-interrupt processing has ended: it leaves MWAIT, but returns to HLT.

    Changes: the activity state. Cites: SDM posted.processing
    """
    if state.activity == Activity.MWAIT:
        state.activity = Activity.ACTIVE
