"""SVM's exit codes with the names under which Linux prints them in ``kvm_exit``. Cites: APM svm.exit-codes."""

from typing import Final

SVM_INVALID: Final = 0xFFFFFFFF

SVM_NAMES: Final = {
    0x000: "read_cr0", 0x002: "read_cr2", 0x003: "read_cr3", 0x004: "read_cr4", 0x008: "read_cr8",
    0x010: "write_cr0", 0x012: "write_cr2", 0x013: "write_cr3", 0x014: "write_cr4", 0x018: "write_cr8",
    0x020: "read_dr0", 0x021: "read_dr1", 0x022: "read_dr2", 0x023: "read_dr3", 0x024: "read_dr4",
    0x025: "read_dr5", 0x026: "read_dr6", 0x027: "read_dr7", 0x030: "write_dr0", 0x031: "write_dr1",
    0x032: "write_dr2", 0x033: "write_dr3", 0x034: "write_dr4", 0x035: "write_dr5", 0x036: "write_dr6",
    0x037: "write_dr7", 0x040: "DE excp", 0x041: "DB excp", 0x043: "BP excp", 0x044: "OF excp", 0x045: "BR excp",
    0x046: "UD excp", 0x047: "NM excp", 0x048: "DF excp", 0x04A: "TS excp", 0x04B: "NP excp", 0x04C: "SS excp",
    0x04D: "GP excp", 0x04E: "PF excp", 0x050: "MF excp", 0x051: "AC excp", 0x052: "MC excp", 0x053: "XF excp",
    0x060: "interrupt", 0x061: "nmi", 0x062: "smi", 0x063: "init", 0x064: "vintr", 0x065: "cr0_sel_write",
    0x066: "read_idtr", 0x067: "read_gdtr", 0x068: "read_ldtr", 0x069: "read_rt", 0x06A: "write_idtr",
    0x06B: "write_gdtr", 0x06C: "write_ldtr", 0x06D: "write_rt", 0x06E: "rdtsc", 0x06F: "rdpmc", 0x070: "pushf",
    0x071: "popf", 0x072: "cpuid", 0x073: "rsm", 0x074: "iret", 0x075: "swint", 0x076: "invd", 0x077: "pause",
    0x078: "hlt", 0x079: "invlpg", 0x07A: "invlpga", 0x07B: "io", 0x07C: "msr", 0x07D: "task_switch",
    0x07E: "ferr_freeze", 0x07F: "shutdown", 0x080: "vmrun", 0x081: "hypercall", 0x082: "vmload", 0x083: "vmsave",
    0x084: "stgi", 0x085: "clgi", 0x086: "skinit", 0x087: "rdtscp", 0x088: "icebp", 0x089: "wbinvd",
    0x08A: "monitor", 0x08B: "mwait", 0x08D: "xsetbv", 0x08F: "write_efer_trap", 0x090: "write_cr0_trap",
    0x094: "write_cr4_trap", 0x098: "write_cr8_trap", 0x0A2: "invpcid", 0x400: "npf",
    0x401: "avic_incomplete_ipi", 0x402: "avic_unaccelerated_access", 0x403: "vmgexit",
    SVM_INVALID: "invalid_guest_state",
}  # fmt: skip
