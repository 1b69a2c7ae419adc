"""Xen's trace records: one row an event, with its name, the kind it becomes and the words it must have.

Event numbers are the 28 low bits of a record's header: class, subclass, minor. In the HVM class the minor flag 0x100
marks the form with 64-bit addresses, 0x200 a write, 0x400 a nested guest.
"""

from typing import Final


class Use:
    """What the reader does with an event; ``NAME_ONLY`` events are known but become no row."""

    NAME_ONLY: Final = 0
    EXIT: Final = 1
    ENTRY: Final = 2
    RUNSTATE: Final = 3
    INJECT: Final = 4
    WINDOW: Final = 5
    INTR: Final = 6
    HANDLED: Final = 7
    VMMCALL: Final = 8
    PV_CALL: Final = 9
    HLT: Final = 10
    SWITCH: Final = 11
    WAKE: Final = 12
    BLOCK: Final = 13
    TICKLE: Final = 14
    MSR_WRITE: Final = 15
    VLAPIC: Final = 16
    IOMEM_WRITE: Final = 17
    LOST: Final = 18
    CONTINUE: Final = 19
    STRAY: Final = 20
    PREV: Final = 21
    NEXT: Final = 22
    MSR_READ: Final = 23
    IOMEM_READ: Final = 24
    PIC_ASKED: Final = 25
    PIC_TAKEN: Final = 26


CPU_CHANGE: Final = 0x0001F003
LOST_RECORDS: Final = 0x0001F001
WRAP_BUFFER: Final = 0x0001F002
NESTED: Final = 0x400
SVM_EXIT: Final = (0x00081003, 0x00081103)

# Event, name, use, extra words it must have at least.
EVENTS: Final = (
    (LOST_RECORDS, "LOST_RECORDS", Use.LOST, 4),
    (WRAP_BUFFER, "WRAP_BUFFER", Use.NAME_ONLY, 0),
    (CPU_CHANGE, "CPU_CHANGE", Use.STRAY, 0),
    (0x00021002, "CONTINUE_RUNNING", Use.CONTINUE, 1),
    (0x0002800A, "SWITCH", Use.SWITCH, 4),
    (0x0002800E, "SWITCH_INFPREV", Use.PREV, 2),
    (0x0002800F, "SWITCH_INFNEXT", Use.NEXT, 0),
    (0x00028004, "WAKE", Use.WAKE, 2),
    (0x00028006, "BLOCK", Use.BLOCK, 2),
    (0x00022006, "credit:tickle", Use.TICKLE, 1),
    (0x00022206, "credit2:tickle", Use.TICKLE, 1),
    (0x00022801, "rtds:tickle", Use.TICKLE, 1),
    (0x00081001, "VMENTRY", Use.ENTRY, 0),
    (0x00081002, "VMEXIT", Use.EXIT, 1),
    (0x00081102, "VMEXIT64", Use.EXIT, 1),
    (0x00081003, "SVM_EXIT", Use.EXIT, 1),
    (0x00081103, "SVM_EXIT64", Use.EXIT, 1),
    (0x00082004, "INJ_VIRQ", Use.INJECT, 1),
    (0x0008200F, "INTR", Use.INTR, 0),
    (0x00082012, "VMMCALL", Use.VMMCALL, 1),
    (0x00082013, "HLT", Use.HLT, 1),
    (0x00082020, "INTR_WINDOW", Use.WINDOW, 2),
    (0x00082025, "VLAPIC", Use.VLAPIC, 0),
    (0x0008200C, "MSR_READ", Use.MSR_READ, 1),
    (0x0008200D, "MSR_WRITE", Use.MSR_WRITE, 1),
    (0x00082017, "IOMEM_READ", Use.IOMEM_READ, 1),
    (0x00082117, "IOMEM_READ64", Use.IOMEM_READ, 1),
    (0x00082217, "IOMEM_WRITE", Use.IOMEM_WRITE, 1),
    (0x00082317, "IOMEM_WRITE64", Use.IOMEM_WRITE, 1),
    (0x00084011, "LAPIC_PIC_INTR", Use.PIC_ASKED, 2),
    (0x0008400D, "PIC_INTACK", Use.PIC_TAKEN, 0),
    (0x00802008, "IRQ_HANDLED", Use.HANDLED, 1),
    (0x0020100D, "PV_HYPERCALL_V2", Use.PV_CALL, 1),
)

# The first event, what is put before each name, and the names of it and those that follow it; "" where there is none.
NAMED: Final = (
    (
        0x00022001,
        "credit:",
        "tasklet account_start account_stop stolen picked_cpu tickle boost_start boost_end schedule ratelimit "
        "steal_check",
    ),
    (
        0x00022201,
        "credit2:",
        "tick runq_pos burn_credits credit_add tickle_check tickle credit_reset tasklet update_load "
        "runq_assign update_vcpu_load update_rq_load tickle_new runq_max_weight migrate load_check "
        "load_balance - picked_cpu runq_candidate schedule ratelimit runq_cand_check",
    ),
    (
        0x00022801,
        "rtds:",
        "tickle runq_pos burn_budget replenish tasklet schedule",
    ),
    (
        0x00022A01,
        "null:",
        "picked_cpu assign deassign migrate schedule tasklet",
    ),
    (
        0x00028001,
        "",
        "DOM_ADD DOM_REM SLEEP WAKE YIELD BLOCK SHUTDOWN CTL ADJDOM SWITCH S_TIMER_FN T_TIMER_FN DOM_TIMER_FN "
        "SWITCH_INFPREV SWITCH_INFNEXT SHUTDOWN_CODE SWITCH_INFCONT",
    ),
    (
        0x00082001,
        "",
        "PF_XEN PF_INJECT INJ_EXC INJ_VIRQ REINJ_VIRQ IO_READ IO_WRITE CR_READ CR_WRITE DR_READ DR_WRITE "
        "MSR_READ MSR_WRITE CPUID INTR NMI SMI VMMCALL HLT INVLPG MCE IOPORT_READ IOMEM_READ CLTS LMSW RDTSC",
    ),
    (
        0x00082020,
        "",
        "INTR_WINDOW NPF REALMODE_EMULATE TRAP TRAP_DEBUG VLAPIC XCR_READ XCR_WRITE",
    ),
    (
        0x00082101,
        "",
        "PF_XEN64 PF_INJECT64",
    ),
    (
        0x00082108,
        "",
        "CR_READ64 CR_WRITE64",
    ),
    (
        0x00082114,
        "",
        "INVLPG64",
    ),
    (
        0x00082117,
        "",
        "IOMEM_READ64 - LMSW64",
    ),
    (
        0x00082216,
        "",
        "IOPORT_WRITE IOMEM_WRITE",
    ),
    (
        0x00084001,
        "",
        "HPET_START_TIMER PIT_START_TIMER RTC_START_TIMER LAPIC_START_TIMER HPET_STOP_TIMER PIT_STOP_TIMER "
        "RTC_STOP_TIMER LAPIC_STOP_TIMER PIT_TIMER_CB LAPIC_TIMER_CB PIC_INT_OUTPUT PIC_KICK PIC_INTACK "
        "PIC_POSEDGE PIC_NEGEDGE PIC_PEND_IRQ_CALL LAPIC_PIC_INTR",
    ),
    (
        0x0010F001,
        "",
        "PAGE_GRANT_MAP PAGE_GRANT_UNMAP PAGE_GRANT_TRANSFER SET_P2M_ENTRY DECREASE_RESERVATION",
    ),
    (
        0x00201001,
        "PV_",
        "HYPERCALL - TRAP PAGE_FAULT FORCED_INVALID_OP EMULATE_PRIVOP EMULATE_4GB MATH_STATE_RESTORE "
        "PAGING_FIXUP GDT_LDT_MAPPING_FAULT PTWR_EMULATION PTWR_EMULATION_PAE HYPERCALL_V2",
    ),
    (
        0x00201101,
        "PV_",
        "HYPERCALL64 - TRAP64 PAGE_FAULT64 FORCED_INVALID_OP64 EMULATE_PRIVOP64 EMULATE_4GB64 "
        "MATH_STATE_RESTORE64 PAGING_FIXUP64 GDT_LDT_MAPPING_FAULT64 PTWR_EMULATION64 PTWR_EMULATION_PAE64 "
        "HYPERCALL_V2",
    ),
    (
        0x0020200E,
        "PV_",
        "HYPERCALL_SUBCALL",
    ),
    (
        0x00801001,
        "PM_",
        "FREQ_CHANGE IDLE_ENTRY IDLE_EXIT",
    ),
    (
        0x00802001,
        "IRQ_",
        "MOVE_CLEANUP_DELAY MOVE_CLEANUP BIND_VECTOR CLEAR_VECTOR MOVE_FINISH ASSIGN_VECTOR UNMAPPED_VECTOR HANDLED",
    ),
)

STATES: Final = ("running", "runnable", "blocked", "offline")
RUNSTATE_NAMES: Final = {
    0x00021001 + (old << 8) + (new << 4): f"RUNSTATE {before}->{after}"
    for old, before in enumerate(STATES)
    for new, after in enumerate(STATES)
}


def _names() -> dict[int, str]:
    """Put all names together."""
    names = dict(RUNSTATE_NAMES)
    for first, prefix, words in NAMED:
        for n, word in enumerate(words.split()):
            if word != "-":
                names[first + n] = prefix + word
    names.update({event: name for event, name, _, _ in EVENTS})
    return names


EVENT_NAMES: Final = _names()
USES: Final = {event: (use, words) for event, _, use, words in EVENTS}


def plain(event: int) -> int:
    """Take the nested-guest flag off an event of the HVM class."""
    return event & ~NESTED if event >> 16 == 0x8 else event


def event_name(event: int) -> str:
    """Name an event; the empty string for one that is not known."""
    name = EVENT_NAMES.get(plain(event), "")
    return f"nested {name}" if name and event != plain(event) else name


def use_of(event: int) -> tuple[int, int]:
    """Return what becomes of an event, and the extra words it must have for that."""
    if event in RUNSTATE_NAMES:
        return Use.RUNSTATE, 1
    return USES.get(plain(event), (Use.NAME_ONLY, 0))
