"""Writes vectors of our own in both formats: chosen by rule or by chance from a seed, played, and logged."""

import json
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Final

import msgspec

from exitless.cli.output import write_whole
from exitless.cli.vector_directed import directed
from exitless.cli.vector_files import NAMES, Place, Record, make
from exitless.cli.vector_rules import LEFT_OUT, all_vectors
from exitless.cli.vector_shapes import catalogue, new_plain
from exitless.errors import ExitlessError
from exitless.mech.conformance import Play
from exitless.mech.happenings import DO, Happening, Seen
from exitless.sim.chance import Stream
from exitless.vocab.exits import VMX_NAMES, Exit

OP_OF: Final = {number: name for name, number in DO.items()}
ALL_MSRS: Final = (1 << 256) - 1
REAL_ICR: Final = 1 << 0x30
SPECIAL: Final = 1 << 0x08 | 1 << 0x0B | 1 << 0x3F
ROWS: Final = (0x020, 0x080, 0x0A0, 0x0B0, 0x100, 0x170, 0x200, 0x280, 0x300, 0x310, 0x320, 0x350, 0x380, 0x390, 0x3E0)

BASE: Final = ("preemption_timer", "msr_bitmaps", "ext_int_exiting", "ack_int_on_exit", "secondary", "use_tpr_shadow")
PAGE: Final = (*BASE, "virtualize_apic_accesses")
DELIVERY: Final = (*PAGE, "apic_register_virtualization", "virtual_interrupt_delivery")
X2APIC: Final = (*BASE, "virtualize_x2apic_mode", "virtual_interrupt_delivery")
POSTING: Final = (*DELIVERY, "process_posted_interrupts")
ANY: Final = (*POSTING, "virtualize_x2apic_mode", "hlt_exiting", "cr8_load_exiting", "interrupt_window_exiting")

FLAGS: Final = ("STI", "CLI", "MOVSS", "NOP")
HOST: Final = ("VMCALL", "HGIS", "HTHR", "HINTWIN", "HINJECT", "HSETIRR", "HEOI")

# Category: the controls, whether each may be missing, and the operations to choose from.
PROFILES: Final[dict[str, tuple[Sequence[str], bool, Sequence[str]]]] = {
    "tpr": (PAGE, False, ("WCR8", "RCR8", "STIWCR8", "WR", "HTHR", *FLAGS)),
    "regs": (DELIVERY, False, ("RD", "RD", "WR", "WR", "OR")),
    "x2regs": (X2APIC, False, ("RDMSR", "WRMSR", "WRMSR", "RCR8", "STI")),
    "vid": (DELIVERY, False, ("WR", "WR", "WCR8", "HSETIRR", "HGIS", "HEOI", *FLAGS)),
    "posted": (POSTING, False, ("POST", "POST", "WR", "WCR8", *FLAGS)),
    "extint": (DELIVERY, False, ("IPI", "IPI", "HSETIRR", *FLAGS)),
    "hlt": (POSTING, False, ("HLT", "STIHLT", "POST", "HSETIRR", "HINTWIN", "CLI")),
    "inject": (DELIVERY, False, ("HINJECT", "HINTWIN", "HSETIRR", "WR", *FLAGS)),
    "entry": (ANY, True, ("NOP", "VMCALL", "HINJECT")),
    "fuzz": (DELIVERY, False, ("RD", "WR", "OR", "WCR8", "RCR8", "IPI", "HLT", "STIHLT", *FLAGS, *HOST)),
}

# Controls that a category has now and then.
SOMETIMES: Final = {
    "hlt": ("hlt_exiting",),
    "tpr": ("cr8_load_exiting", "cr8_store_exiting"),
    "x2regs": ("apic_register_virtualization",),
    "extint": ("interrupt_window_exiting",),
    "fuzz": ("interrupt_window_exiting", "hlt_exiting"),
}


class Chooser:
    """Choices by chance, each a function of the seed and of the vector's number."""

    def __init__(self, seed: int, number: int) -> None:
        self.stream = Stream(seed, number)

    def below(self, count: int) -> int:
        """Return a number below ``count``, which is at most 2**30."""
        return int(self.stream.below(count))

    def word(self) -> int:
        """Return a 32-bit word."""
        return int(self.stream.word())

    def often(self, percent: int) -> bool:
        """Tell whether something happens that does so often."""
        return self.below(100) < percent

    def of(self, items: Sequence[Any]) -> Any:
        """Return one of the items."""
        return items[self.below(len(items))]

    def vector(self) -> int:
        """Return a vector from 16 on."""
        return 16 + self.below(240)

    def vectors(self, most: int) -> list[int]:
        """Return some vectors, in order."""
        return sorted({self.vector() for _ in range(self.below(most + 1))})


def choose_op(choose: Chooser, name: str) -> dict[str, Any]:
    """Return one operation."""
    op: dict[str, Any] = {"op": name}
    if name in ("RD", "WR", "OR"):
        op["off"] = choose.of((0x080, 0x0B0, 0x300)) if choose.often(50) else choose.of(ROWS) + choose.below(5)
        op["size"] = 4 if name == "OR" or choose.often(75) else choose.of((1, 2, 8))
        if name != "RD":
            op["val"] = choose.of((0, choose.below(256), 0x40000 | choose.vector(), choose.word()))
    elif name in ("RDMSR", "WRMSR"):
        op["off"] = choose.of((0x08, 0x0B, 0x3F)) if choose.often(80) else choose.of(ROWS) >> 4
        if name == "WRMSR":
            op["val"] = choose.of((0, choose.vector(), choose.vector(), choose.below(16), choose.word() << 8 | 0x41))
    elif name in ("WCR8", "STIWCR8"):
        op["val"] = choose.below(18)
    elif name == "POST":
        op |= {"val": choose.vector(), "val2": choose.of((0, choose.vector())), "flags": choose.of((3, 3, 3, 1, 2, 0))}
    elif name in ("IPI", "HINJECT", "HSETIRR"):
        op["val"] = choose.vector()
    elif name == "HGIS":
        op["val"] = choose.below(65536)
    elif name == "HTHR":
        op["val"] = choose.below(16)
    elif name == "HEOI":
        op |= {"off": choose.below(4), "val": choose.word() << 32 | choose.word()}
    return op


def choose_page(choose: Chooser, irr: list[int], isr: list[int]) -> dict[str, str]:
    """Return the words of the virtual-APIC page that are not 0."""
    words = {0x080: choose.below(256) if choose.often(40) else 0}
    for base, vectors in ((0x100, isr), (0x200, irr)):
        for vector in vectors:
            at = base + (vector >> 5) * 16
            words[at] = words.get(at, 0) | 1 << (vector & 31)
    return {f"{offset:03x}": hex(word) for offset, word in sorted(words.items()) if word}


def choose_record(seed: int, number: int) -> dict[str, Any]:
    """Return a vector without its trace."""
    choose = Chooser(seed, number)
    category = list(PROFILES)[number % len(PROFILES)]
    wanted, partial, names = PROFILES[category]
    controls = [name for name in wanted if not partial or choose.often(80)]
    controls += [name for name in SOMETIMES.get(category, ()) if choose.often(40)]
    irr, isr = choose.vectors(3), choose.vectors(2)
    virtual = "virtual_interrupt_delivery" in controls
    init = {
        "controls": sorted(controls),
        "tpr_threshold": 0 if virtual else choose.below(4),
        "rvi": max(irr, default=0) if virtual else 0,
        "svi": max(isr, default=0) if virtual else 0,
        "pi_nv": choose.vector() if "process_posted_interrupts" in controls else 0,
        "activity": int(category == "hlt" and choose.often(30)),
        "interruptibility": choose.of((0, 0, 0, 1, 2, 3)) if category == "entry" else 0,
        "rflags": choose.of((0, 512)),
        "inject": 0x80000000 | choose.vector() if category in ("inject", "entry") and choose.often(50) else 0,
        "isr_mode": choose.of((0, 2, 4) if category == "x2regs" else (0, 1, 1, 3)),
        "pre_ipi": choose.vector() if category in ("extint", "hlt") and choose.often(30) else 0,
        "eoi_exit": choose.vectors(12),
        "msr_read_intercept": hex(0 if category == "x2regs" and choose.often(80) else ALL_MSRS),
        "msr_write_intercept": hex(ALL_MSRS & ~REAL_ICR & ~(SPECIAL if category == "x2regs" else 0)),
        "pir": choose.vectors(2) if category == "posted" else [],
        "pid_on": 0,
        "vapic": choose_page(choose, irr, isr),
    }
    ops = [choose_op(choose, choose.of(names)) for _ in range(1 + choose.below(9))]
    return {"id": number, "cat": category, "init": init, "ops": ops}


def event(row: Happening) -> dict[str, Any]:
    """Return one event of a log as the format has it."""
    kind = NAMES[row.kind]
    said: dict[str, Any] = {"ev": kind, "step": int(row.step)}
    if row.kind == Seen.STEP:
        said["op"] = OP_OF[row.number]
        if said["op"] in ("RD", "RDMSR", "RCR8"):
            said["val"] = hex(row.high << 32 | row.low) if row.read else None
        said["if"] = int(row.flag)
    elif row.kind == Seen.EXIT:
        said |= {"reason": int(row.number), "name": VMX_NAMES[row.number & 0xFFFF], "qual": hex(row.qualification)}
        said |= {"rvi": int(row.status) & 255, "svi": int(row.status) >> 8, "act": int(row.activity)}
        said |= {"intb": int(row.interruptibility), "if": int(row.flag)}
        if row.number == Exit.EXTERNAL_INTERRUPT and row.information >= 0:
            said["intr_info"] = hex(0x80000000 | row.information)
    elif row.kind == Seen.FAILED:
        said |= {"kind": "valid", "error": int(row.number)}
    else:
        said["vec"] = int(row.number)
        if row.kind != Seen.EOI_DONE:
            said["if"] = int(row.flag)
    words, quads = row.words, row.quads
    if words:
        said["d"] = {f"{words[i] * 4:03x}": hex(words[i + 1]) for i in range(0, len(words), 2)}
    if quads:
        said["pid"] = {str(quads[i]): hex(quads[i + 1] | quads[i + 2] << 32) for i in range(0, len(quads), 3)}
    return said


def played(record: dict[str, Any]) -> Play:
    """Play a vector that has no trace yet."""
    play = make(Place("export", 1, msgspec.convert({**record, "events": []}, Record)))
    play.run()
    return play


# What a category chosen by chance stands for: the rule whose clause its vectors carry.
MEANT: Final = {
    "tpr": "vmx.priority.tpr_virtualization", "regs": "vmx.access.page_write", "x2regs": "vmx.msrs.write_msr",
    "vid": "vmx.evaluate.evaluate_pending", "posted": "vmx.posted.take_pir", "extint": "vmx.boundary.arbitrate",
    "hlt": "vmx.interruptibility.execute_hlt", "inject": "vmx.injection.inject_at_entry",
    "entry": "vmx.controls.check_controls", "fuzz": "vmx.boundary.arbitrate",
}  # fmt: skip


def line(row: dict[str, Any]) -> bytes:
    """Return a record as a line of a file."""
    return json.dumps(row, separators=(",", ":")).encode() + b"\n"


def with_trace(record: dict[str, Any]) -> bytes:
    """Return a record of a whole processor with its trace, as a line."""
    events = [event(row) for row in played(record).log]
    return line({**record, "events": events, "tags": [], "xcheck": "unchecked"})


def by_chance(count: int, seed: int) -> Iterator[bytes]:
    """Hand out vectors of a whole processor that are chosen by chance."""
    for number in range(count):
        record = choose_record(seed, number)
        rule = MEANT[record["cat"]]
        yield with_trace({**record, "rule": rule, "clause": catalogue().rules[rule].clause()})


def shapes() -> dict[str, Any]:
    """Return what a reader of the second format needs: new objects, and what each rule takes and answers."""
    known = catalogue()
    return {
        "shapes": {name: {"attributes": shape.fields, "new": new_plain(name)} for name, shape in known.shapes.items()
                   if name != "Choice"},
        "rules": {
            name: {"parameters": rule.parameters, "answer": rule.answer, **rule.clause()}
            for name, rule in sorted(known.rules.items())
        },
        "left_out": LEFT_OUT,
    }  # fmt: skip


def export(folder: str, count: int, seed: int) -> list[tuple[Path, int]]:
    """Write every vector of ours into files of a folder.

    Returns: each file of vectors and how many it holds. Errors: ExitlessError in one sentence.
    """
    target = Path(folder)
    try:
        target.mkdir(parents=True, exist_ok=True)
    except OSError as problem:
        raise ExitlessError(f"{folder}: no folder can be made there: {problem.strerror}") from None
    parts = {
        "processor.jsonl": [with_trace(record) for record in directed()],
        f"processor-chance-{seed}.jsonl": list(by_chance(count, seed)),
        "rules.jsonl": [line(row) for row in all_vectors()],
    }
    for name, lines in parts.items():
        write_whole(target / name, b"".join(lines))
    write_whole(target / "shapes.json", json.dumps(shapes(), indent=1).encode() + b"\n")
    return [(target / name, len(lines)) for name, lines in parts.items()]
