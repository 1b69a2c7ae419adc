"""Exits as tools, plugins and hypervisors call them, under the kernel's names; the numbers are the same."""

from typing import Final

from exitless.vocab.exits import VMX_NAMES
from exitless.vocab.svm_exits import SVM_NAMES

VMX: Final = "vmx"
SVM: Final = "svm"
ARM64: Final = "arm64"

# Names of VMX's reasons in trace-cmd's plugin, older kernels and xenalyze.
OTHER_VMX: Final = {
    "PENDING_INTERRUPT": 7, "PENDING_VIRT_INTR": 7, "VIRTUAL_INTR": 7, "PENDING_VIRT_NMI": 8, "VIRTUAL_NMI": 8,
    "IOIO": 30, "IO": 30, "EPT_MISCONFIGURATION": 49, "EOI_EXIT": 45, "EOI_VIRTUALIZED": 45, "SIPI": 4, "INIT": 3,
    "MONITOR": 39, "MWAIT": 36, "PAUSE": 40, "APIC_ACCESS_EXIT": 44, "VMX_PREEMPTION_TIMER_EXPIRED": 52,
    "ACCESS_GDTR_OR_IDTR": 46, "ACCESS_LDTR_OR_TR": 47, "WRMSR": 32, "RDMSR": 31, "IRQ_WINDOW": 7, "EXT_INT": 1,
    "EXT_INTR": 1, "EXTINT": 1, "TPR_THRESHOLD": 43, "VIRTUALIZED_EOI": 45,
}  # fmt: skip

# Names of SVM's codes after EXIT_ (trace-cmd's plugin) or VMEXIT_ (xenalyze) that are not the kernel's in capitals.
OTHER_SVM: Final = {
    "INTR": 0x60, "IOIO": 0x7B, "VMMCALL": 0x81, "ERR": 0xFFFFFFFF, "INVALID": 0xFFFFFFFF, "SHUTDOWN": 0x7F,
    "IDTR_READ": 0x66, "GDTR_READ": 0x67, "LDTR_READ": 0x68, "TR_READ": 0x69, "IDTR_WRITE": 0x6A, "GDTR_WRITE": 0x6B,
    "LDTR_WRITE": 0x6C, "TR_WRITE": 0x6D, "SWINT": 0x75, "TASK_SWITCH": 0x7D,
}  # fmt: skip

# Exception classes of arm64, as perf names them, and two traps beside them.
ARM64_NAMES: Final = frozenset(
    "UNKNOWN_EC WFx CP15_32 CP15_64 CP14_MR CP14_LS FP_ASIMD CP10_ID PAC CP14_64 SVC64 HVC64 SMC64 SVC32 HVC32 SMC32 "
    "SYS64 SVE IMP_DEF IABT_LOW IABT_CUR PC_ALIGN DABT_LOW DABT_CUR SP_ALIGN FP_EXC32 FP_EXC64 SERROR BREAKPT_LOW "
    "BREAKPT_CUR SOFTSTP_LOW SOFTSTP_CUR WATCHPT_LOW WATCHPT_CUR BKPT32 VECTOR32 BRK64 ERET IRQ EL1_SERROR TRAP "
    "IL".split()
)


def _reasons() -> dict[str, tuple[str, int]]:
    found = {name: (VMX, code) for name, code in OTHER_VMX.items()}
    for code, name in SVM_NAMES.items():
        word, _, excp = name.partition(" ")
        short = f"EXCP_{word}" if excp else word.upper()
        long = f"EXCEPTION_{word}" if excp else word.upper()
        found.update({name: (SVM, code), f"EXIT_{short}": (SVM, code), f"VMEXIT_{long}": (SVM, code)})
        found[f"VMEXIT_{short}"] = SVM, code
    for name, code in OTHER_SVM.items():
        found[f"EXIT_{name}"] = found[f"VMEXIT_{name}"] = SVM, code
    found.update({name: (VMX, code) for code, name in VMX_NAMES.items()})
    return found


REASONS: Final = _reasons()


def exit_by_name(name: str) -> tuple[str, int, str]:
    """Return the kernel's name of an exit, its number (-1: none is known) and whose exit it is ("": not told)."""
    for known in (name, name.removeprefix("EXIT_REASON_")):
        if known in REASONS:
            vendor, code = REASONS[known]
            return (VMX_NAMES if vendor == VMX else SVM_NAMES)[code], code, vendor
    return name, -1, ARM64 if name in ARM64_NAMES else ""


def _as_written(name: str) -> str:
    return "_".join(name.upper().replace("-", " ").replace("_", " ").split())


WRITTEN: Final = {_as_written(name): name for name in sorted(REASONS, reverse=True)}
SHORTEST: Final = 10


def known_exit(name: str) -> str | None:
    """Return the exit's name as :func:`exit_by_name` takes it; None where the name is no exit's.

    Capitals, spaces and dashes do not matter, nor does a plural; a name cut short is found by its first ten letters or
    more where only one exit has them. Small letters alone are SVM's: other lists have ``vmcall`` for an operation.
    """
    if exit_by_name(name)[1] >= 0:
        return name
    if name.islower() and " " not in name:
        return None
    word = _as_written(name)
    for known in (word, word.removesuffix("S"), word.removeprefix("EXIT_REASON_"), word.removesuffix("_EXITS")):
        if known in WRITTEN:
            return WRITTEN[known]
    if len(word) < SHORTEST:
        return None
    found = {exit_by_name(full)[:2] for written, full in WRITTEN.items() if written.startswith(word)}
    return next(iter(found))[0] if len(found) == 1 else None


def exit_by_number(code: int, vendor: str) -> str:
    """Return the kernel's name of an exit, its number in hexadecimal where it has none."""
    return (VMX_NAMES if vendor == VMX else SVM_NAMES).get(code, f"0x{code:x}")
