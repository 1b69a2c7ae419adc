"""VM-exit reasons with the numbers and names of the manuals. Cites: SDM vmx.exit-reasons, APM svm.exit-codes."""

from typing import Final


class Exit:
    """Basic exit reasons of VMX; ``NONE`` is a rule's answer that no exit occurs."""

    NONE: Final = -1
    EXCEPTION_NMI: Final = 0
    EXTERNAL_INTERRUPT: Final = 1
    INIT_SIGNAL: Final = 3
    SIPI_SIGNAL: Final = 4
    INTERRUPT_WINDOW: Final = 7
    NMI_WINDOW: Final = 8
    CPUID: Final = 10
    HLT: Final = 12
    VMCALL: Final = 18
    CR_ACCESS: Final = 28
    IO_INSTRUCTION: Final = 30
    MSR_READ: Final = 31
    MSR_WRITE: Final = 32
    INVALID_STATE: Final = 33
    MWAIT_INSTRUCTION: Final = 36
    MONITOR_TRAP_FLAG: Final = 37
    TPR_BELOW_THRESHOLD: Final = 43
    APIC_ACCESS: Final = 44
    EOI_INDUCED: Final = 45
    EPT_VIOLATION: Final = 48
    PREEMPTION_TIMER: Final = 52
    APIC_WRITE: Final = 56


VMX_NAMES: Final = {
    0: "EXCEPTION_NMI", 1: "EXTERNAL_INTERRUPT", 2: "TRIPLE_FAULT", 3: "INIT_SIGNAL", 4: "SIPI_SIGNAL",
    5: "IO_SMI", 6: "OTHER_SMI", 7: "INTERRUPT_WINDOW", 8: "NMI_WINDOW", 9: "TASK_SWITCH", 10: "CPUID",
    11: "GETSEC", 12: "HLT", 13: "INVD", 14: "INVLPG", 15: "RDPMC", 16: "RDTSC", 17: "RSM", 18: "VMCALL",
    19: "VMCLEAR", 20: "VMLAUNCH", 21: "VMPTRLD", 22: "VMPTRST", 23: "VMREAD", 24: "VMRESUME", 25: "VMWRITE",
    26: "VMOFF", 27: "VMON", 28: "CR_ACCESS", 29: "DR_ACCESS", 30: "IO_INSTRUCTION", 31: "MSR_READ",
    32: "MSR_WRITE", 33: "INVALID_STATE", 34: "MSR_LOAD_FAIL", 36: "MWAIT_INSTRUCTION", 37: "MONITOR_TRAP_FLAG",
    39: "MONITOR_INSTRUCTION", 40: "PAUSE_INSTRUCTION", 41: "MCE_DURING_VMENTRY", 43: "TPR_BELOW_THRESHOLD",
    44: "APIC_ACCESS", 45: "EOI_INDUCED", 46: "GDTR_IDTR", 47: "LDTR_TR", 48: "EPT_VIOLATION",
    49: "EPT_MISCONFIG", 50: "INVEPT", 51: "RDTSCP", 52: "PREEMPTION_TIMER", 53: "INVVPID", 54: "WBINVD",
    55: "XSETBV", 56: "APIC_WRITE", 57: "RDRAND", 58: "INVPCID", 59: "VMFUNC", 60: "ENCLS", 61: "RDSEED",
    62: "PML_FULL", 63: "XSAVES", 64: "XRSTORS", 65: "PCONFIG", 66: "SPP_EVENT", 67: "UMWAIT", 68: "TPAUSE",
    69: "LOADIWKEY", 72: "ENQCMD_PASID", 73: "ENQCMDS_PASID", 74: "BUS_LOCK", 75: "NOTIFY", 76: "SEAMCALL",
    77: "TDCALL", 78: "RDMSRLIST", 79: "WRMSRLIST", 84: "MSR_READ_IMM", 85: "MSR_WRITE_IMM",
}  # fmt: skip
