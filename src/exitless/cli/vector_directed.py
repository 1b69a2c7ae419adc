"""Vectors of a whole processor, chosen by rule: every vector, every register, every legal and illegal setting.

Each stands for one rule of ``arch.vmx`` and for the clause that the rule follows.
"""

from collections.abc import Iterator
from itertools import product
from typing import Any, Final

from exitless.cli.vector_domains import BESIDE, ROWS
from exitless.cli.vector_shapes import catalogue

ALL_MSRS: Final = hex((1 << 256) - 1)
BASE: Final = ("preemption_timer", "msr_bitmaps", "ext_int_exiting", "ack_int_on_exit", "secondary", "use_tpr_shadow")
PAGE: Final = (*BASE, "virtualize_apic_accesses")
DELIVERY: Final = (*PAGE, "apic_register_virtualization", "virtual_interrupt_delivery")
X2APIC: Final = (*BASE, "virtualize_x2apic_mode", "virtual_interrupt_delivery")
POSTING: Final = (*DELIVERY, "process_posted_interrupts")
REG: Final = "apic_register_virtualization"
VID: Final = "virtual_interrupt_delivery"
SETTINGS: Final = (
    "use_tpr_shadow", "virtualize_apic_accesses", "virtualize_x2apic_mode", REG, VID, "ext_int_exiting",
    "process_posted_interrupts", "ack_int_on_exit",
)  # fmt: skip
NOTIFICATION: Final = 0xF2
ENTRIES: Final = ((0, 0), (0, 512), (1, 512), (1, 0), (2, 0), (2, 512), (3, 512), (8, 512), (16, 512), (32, 512))

Chosen = tuple[str, str, dict[str, Any], list[dict[str, Any]]]


def word_of(base: int, vector: int) -> dict[str, str]:
    """Return the word of the page in which a register has the bit of a vector."""
    return {f"{base + (vector >> 5) * 16:03x}": hex(1 << (vector & 31))}


def op(name: str, **fields: int) -> list[dict[str, Any]]:
    """Return one operation, as the list that most vectors have."""
    return [{"op": name, **fields}]


def priorities() -> Iterator[Chosen]:
    """TPR, PPR and the threshold: every pair of classes."""
    for tpr, other in product(range(16), repeat=2):
        page = {"080": hex(tpr * 16 + (other & 3) * 5)}
        in_service = {**page, **word_of(0x100, other * 16 + 1)} if other else page
        svi = other * 16 + 1 if other else 0
        yield "vmx.priority.ppr_virtualization", "vid", {"svi": svi, "vapic": in_service}, op("NOP")
        yield (
            "vmx.priority.tpr_virtualization",
            "vid",
            {"rvi": other * 16 + 15, "vapic": {"080": "0xf0"}},
            op("WCR8", val=tpr),
        )
        below = {"controls": PAGE, "tpr_threshold": other, "vapic": {"080": "0xf0"}}
        yield "vmx.cr8.write_cr8", "tpr", below, op("WCR8", val=tpr)
        yield "vmx.priority.tpr_virtualization", "tpr", below, op("WR", off=0x80, size=4, val=tpr * 16 + 7)
        entering = {"controls": PAGE, "tpr_threshold": other, "vapic": page}
        yield "vmx.controls.exits_below_threshold", "tpr", entering, op("NOP")
    for value in range(18):
        yield "vmx.cr8.move_to_cr8", "tpr", {"controls": PAGE}, [*op("WCR8", val=value), *op("RCR8")]
        yield "vmx.cr8.read_cr8", "tpr", {"controls": BASE, "vapic": {"080": hex(value * 15)}}, op("RCR8")


def every_vector() -> Iterator[Chosen]:
    """What happens to each of the 256 vectors."""
    for vector in range(256):
        same, below = vector & 0xF0, max((vector & 0xF0) - 16, 0) + 15
        pending = word_of(0x200, vector)
        for tpr in (same, below):
            start = {"rvi": vector, "vapic": {"080": hex(tpr), **pending}}
            yield "vmx.evaluate.evaluate_pending", "vid", start, op("NOP")
        yield "vmx.evaluate.deliver_virtual_interrupt", "vid", {"rvi": vector, "isr_mode": 1}, op("NOP")
        for exits in ([], [vector]):
            start = {"svi": vector, "vapic": word_of(0x100, vector), "eoi_exit": exits}
            yield "vmx.eoi.eoi_virtualization", "vid", start, op("WR", off=0xB0, size=4, val=vector)
            yield "vmx.msrs.write_msr", "x2regs", {**start, "controls": X2APIC}, op("WRMSR", off=0x0B, val=0)
        ipi = op("WR", off=0x300, size=4, val=0x40000 | vector)
        yield "vmx.evaluate.self_ipi_virtualization", "vid", {"isr_mode": 1}, ipi
        yield "vmx.msrs.write_msr", "x2regs", {"controls": X2APIC, "isr_mode": 2}, op("WRMSR", off=0x3F, val=vector)
        post = {"controls": POSTING, "pi_nv": NOTIFICATION, "isr_mode": 1}
        yield "vmx.posted.take_pir", "posted", post, op("POST", val=vector, val2=0, flags=3)
        if vector >= 16:
            yield "vmx.boundary.arbitrate", "extint", {"rflags": 0}, op("IPI", val=vector)
            yield "vmx.injection.inject_at_entry", "inject", {"inject": 0x80000000 | vector, "rvi": 0x51}, op("NOP")
            yield (
                "vmx.posted.raise_rvi",
                "posted",
                {**post, "rvi": 0x81, "vapic": {"080": "0xff"}},
                op("POST", val=vector, flags=3),
            )


def accesses() -> Iterator[Chosen]:
    """Every register by every width, beside its slot, and every index of an MSR."""
    for kinds in ((), (VID,), (REG,), (REG, VID)):
        start = {
            "controls": (*PAGE, *kinds),
            "vapic": {"020": "0x1000000", "0f0": "0x1ff", "300": "0x41", "380": "0x99"},
        }
        for offset, size in product((*ROWS, *BESIDE), (1, 2, 4, 8)):
            if offset + size <= 4096:
                yield "vmx.access.page_read", "regs", start, op("RD", off=offset, size=size)
                yield "vmx.access.page_write", "regs", start, op("WR", off=offset, size=size, val=0x04030201)
        for bit in range(32):
            ipi = op("WR", off=0x300, size=4, val=0x40041 ^ 1 << bit)
            yield "vmx.access.write_emulation", "regs", start, ipi
            yield "vmx.access.page_write", "regs", start, op("OR", off=0x80, size=4, val=1 << bit)
    for index in range(256):
        reading = {"controls": (*BASE, "virtualize_x2apic_mode", REG), "msr_read_intercept": "0x0"}
        yield "vmx.msrs.read_msr", "x2regs", reading, op("RDMSR", off=index)
        yield "vmx.msrs.read_msr", "x2regs", {**reading, "msr_read_intercept": hex(1 << index)}, op("RDMSR", off=index)
    for index, bit in product((0x08, 0x0B, 0x3F), range(64)):
        yield "vmx.msrs.write_msr", "x2regs", {"controls": X2APIC}, op("WRMSR", off=index, val=1 << bit)


def states() -> Iterator[Chosen]:
    """Controls that may and may not stand together, activity, blocking, windows."""
    for chosen in product((0, 1), repeat=len(SETTINGS)):
        controls = ["preemption_timer", "msr_bitmaps", "secondary"]
        controls += [name for name, wanted in zip(SETTINGS, chosen, strict=True) if wanted]
        start = {"controls": controls, "pi_nv": NOTIFICATION}
        yield "vmx.controls.check_controls", "entry", start, op("NOP")
    for activity, (blocking, flags), event in product(range(4), ENTRIES, (0, 0x80000051)):
        start = {"activity": activity, "interruptibility": blocking, "rflags": flags, "inject": event}
        yield "vmx.entry.check_guest_state", "entry", start, op("NOP")
    for word in (
        0x80000151,
        0x80000202,
        0x80000203,
        0x80000303,
        0x80000B0D,
        0x8000030D,
        0x80000401,
        0x80001051,
        0x80000751,
    ):
        yield "vmx.entry.is_event", "entry", {"inject": word}, op("NOP")
    for rvi, flag, activity in product((0, 0x1F, 0x20, 0x51, 0xF1), (0, 512), (0, 1)):
        start = {"controls": POSTING, "pi_nv": NOTIFICATION, "rvi": rvi, "rflags": flag, "isr_mode": 1}
        yield "vmx.boundary.arbitrate", "hlt", {**start, "activity": activity}, op("NOP")
        for name in ("HLT", "STIHLT"):
            yield "vmx.interruptibility.execute_hlt", "hlt", start, op(name)
            exiting = {**start, "controls": (*POSTING, "hlt_exiting")}
            yield "vmx.interruptibility.execute_hlt", "hlt", exiting, op(name)
        window = [*op("HINTWIN"), *op("NOP"), *op("STI"), *op("NOP")]
        yield "vmx.boundary.arbitrate", "inject", start, window
        held = {**start, "rflags": 0, "vapic": {"080": "0xff"}, "pre_ipi": 0x61}
        for first in ("STI", "MOVSS", "CLI", "NOP"):
            yield "vmx.interruptibility.execute_sti", "vid", held, [*op(first), *op("WCR8", val=0), *op("NOP")]
    for rvi, real in product((0x41, 0xF1), (0x31, 0x58, 0xF0)):
        yield "vmx.boundary.arbitrate", "extint", {"rvi": rvi, "pre_ipi": real, "isr_mode": 1}, op("NOP")


def start_of(given: dict[str, Any]) -> dict[str, Any]:
    """Return a whole state before VMLAUNCH."""
    whole: dict[str, Any] = {
        "controls": DELIVERY, "tpr_threshold": 0, "rvi": 0, "svi": 0, "pi_nv": 0, "activity": 0,
            "interruptibility": 0,
        "rflags": 512, "inject": 0, "isr_mode": 0, "pre_ipi": 0, "eoi_exit": [], "msr_read_intercept": ALL_MSRS,
        "msr_write_intercept": hex(((1 << 256) - 1) & ~(1 << 0x08 | 1 << 0x0B | 1 << 0x30 | 1 << 0x3F)), "pir": [],
        "pid_on": 0, "vapic": {},
    } | given  # fmt: skip
    return {**whole, "controls": sorted(whole["controls"])}


def directed() -> Iterator[dict[str, Any]]:
    """Hand out every record, without its trace."""
    number = 0
    for group in (priorities, every_vector, accesses, states):
        for rule, category, given, ops in group():
            number += 1
            yield {
                "id": f"rule-{number}", "cat": category, "rule": rule, "clause": catalogue().rules[rule].clause(),
                "init": start_of(given), "ops": ops,
            }  # fmt: skip
