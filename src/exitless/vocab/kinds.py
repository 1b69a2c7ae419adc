"""Numbers of the event kinds. What the two arguments of a kind mean stands in :mod:`exitless.vocab.table`."""

from typing import Final


class Kind:
    """One number an event kind; the number is what records and files hold."""

    SOURCE_ASSERT: Final = 1
    SOURCE_HANDLE: Final = 2
    MSI_ROUTE: Final = 3
    LAPIC_ACCEPT: Final = 4
    LAPIC_EOI: Final = 5
    HOST_IRQ: Final = 6
    PID_POST: Final = 7
    PID_PROCESS: Final = 8
    PIR_SYNC: Final = 9
    IPI_SEND: Final = 10
    PID_MOVE: Final = 11
    PID_CONTROL: Final = 12
    EOI_MAP: Final = 13

    VM_EXIT: Final = 16
    VM_ENTRY: Final = 17
    IRQ_INJECT: Final = 18
    IRQ_WINDOW: Final = 19
    IRQ_DELIVER: Final = 20
    IRQ_EOI: Final = 21
    IRQ_RETURN: Final = 22
    IRQ_REQUEST: Final = 23
    HYPERCALL: Final = 24
    GUEST_HLT: Final = 25
    RVI_WRITE: Final = 26
    IRQ_REINJECT: Final = 27
    EOI_SPARED: Final = 28
    GUEST_IPI: Final = 29
    GUEST_MSI: Final = 30
    GUEST_LINE: Final = 31

    PORT_RAISE: Final = 32
    PORT_CLEAR: Final = 33
    PIRQ_HOLD: Final = 34
    PIRQ_READY: Final = 35
    UPCALL_MARK: Final = 36
    UPCALL_ENTER: Final = 37
    PIRQ_LIMIT: Final = 38

    IOAPIC_SET: Final = 40
    PIC_SET: Final = 41
    APIC_ACCESS: Final = 42
    MSR_ACCESS: Final = 43
    VECTOR_ASSIGN: Final = 44
    VECTOR_FREE: Final = 45
    PCPU_OFFLINE: Final = 46

    CPU_OWNER: Final = 48
    RUNSTATE: Final = 49
    SCHED_SWITCH: Final = 50
    SCHED_WAKE: Final = 51
    SCHED_BLOCK: Final = 52
    SOFTIRQ: Final = 53
    SCHED_TICKLE: Final = 54
    VCPU_MOVE: Final = 55
    HALT_END: Final = 56
    HALT_POLL: Final = 57
    HOST_DONE: Final = 58
    SOFTIRQ_DONE: Final = 59
    TIMER_DONE: Final = 60

    STEP: Final = 64
    NIC_POLL: Final = 65
    NIC_DROP: Final = 66
    TIMER_FIRE: Final = 67
    DISK_SUBMIT: Final = 68
    SOURCE_MERGE: Final = 69


class Owner:
    """Whose code a physical CPU runs, for :data:`Kind.CPU_OWNER`."""

    IDLE: Final = 0
    XEN: Final = 1
    DOM0: Final = 2
    GUEST: Final = 3


class RunState:
    """Xen's runstates as they are reported and traced."""

    RUNNING: Final = 0
    RUNNABLE: Final = 1
    BLOCKED: Final = 2
    OFFLINE: Final = 3
