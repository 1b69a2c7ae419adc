"""The numbers of the cost table: one for every step of an interrupt's way that takes time.

Only identities live here; cycles, units and origins are data in ``scenario/presets``.
"""

from typing import Final


class Cost:
    """One number a step. The names are those of the cost table, without their ``c_``."""

    EXIT: Final = 0
    ENTRY: Final = 1
    VMREAD: Final = 2
    VMWRITE: Final = 3
    DOIRQ: Final = 4
    DIRECT: Final = 5
    TIMERIRQ: Final = 6
    EVRAISE: Final = 7
    CALLBACK: Final = 8
    KICK: Final = 9
    IPI_SEND: Final = 10
    IPI_FLIGHT: Final = 11
    UNBLOCK: Final = 12
    SOFTIRQ: Final = 13
    DPCI: Final = 14
    VMSI: Final = 15
    VLAPIC: Final = 16
    PIRSYNC: Final = 17
    ASSIST: Final = 18
    INJECT: Final = 19
    WINDOW: Final = 20
    EOI_EXIT: Final = 21
    EOI_VIRT: Final = 22
    HYPERCALL: Final = 23
    PIRQEOI: Final = 24
    MSIEOI: Final = 25
    SCHED: Final = 26
    CTXSW: Final = 27
    WAKELIST: Final = 28
    HWPOST: Final = 29
    NOTIFY: Final = 30
    GUESTLOOP: Final = 31
    TIMER_CALLBACK: Final = 32
    HLT: Final = 33
    APIC_EMULATION: Final = 34
    SETTIMER: Final = 35
    FORWARD: Final = 36
    PV_TRAP: Final = 37
    PV_BOUNCE: Final = 38
    MSI_FLIGHT: Final = 39
    REMAP: Final = 40
    G_IRQ_ENTRY: Final = 41
    G_IRET: Final = 42
    G_NIC_ISR: Final = 43
    G_NAPI_POLL: Final = 44
    G_FRAME: Final = 45
    G_TICK: Final = 46
    G_DISK_ISR: Final = 47
    G_DISK_DONE: Final = 48
    G_DISPATCH: Final = 49
    G_APPLICATION: Final = 50
    FIFO_LINK: Final = 51
    ICR: Final = 52
    EOISTACK: Final = 53
    EOI_READY: Final = 54
    VMCS_MOVE: Final = 55
    G_FIFO_EVENT: Final = 56
    G_IPI_ISR: Final = 57
    G_FRONT_ISR: Final = 58
    G_BACK_ISR: Final = 59
    G_BACK: Final = 60
    COUNT: Final = 61
