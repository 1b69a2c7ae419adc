"""Makes conformance records by chance: every category, any controls, any order, and what is odd but legal.

The events are the naive player's; nothing of the package is asked.
"""

from random import Random
from typing import Any

from tests.naive.player import SHORT, Player

EVERY = sorted(SHORT)
USUAL = ["msr_bitmaps", "ext_int_exiting", "ack_int_on_exit", "secondary", "use_tpr_shadow"]
PAGE = [*USUAL, "virtualize_apic_accesses"]
X2 = [*USUAL, "virtualize_x2apic_mode"]
VID = ["virtual_interrupt_delivery"]
REG = ["apic_register_virtualization"]
PI = [*VID, "process_posted_interrupts"]
FLAGS = ["STI", "CLI", "MOVSS", "NOP"]
HOST = ["VMCALL", "HGIS", "HTHR", "HINTWIN", "HINJECT", "HSETIRR", "HEOI"]
ALL = ["RD", "WR", "WR", "OR", "RDMSR", "WRMSR", "WRMSR", "WCR8", "RCR8", "HLT", "STIHLT", "STIWCR8", "POST", "IPI"]
TPR = ["WCR8", "RCR8", "STIWCR8", "WR", "HTHR"]
SLEEP = ["HLT", "STIHLT", "POST", "IPI", "HSETIRR", "HINTWIN"]
KINDS: dict[str, tuple[list[list[str]], list[str]]] = {
    "tpr": ([PAGE, USUAL, [*PAGE, "cr8_load_exiting"], [*X2, "cr8_store_exiting"]], TPR),
    "regs": ([PAGE, [*PAGE, *REG], [*PAGE, *VID], [*PAGE, *REG, *VID]], ["RD", "WR", "OR"]),
    "x2regs": ([X2, [*X2, *REG], [*X2, *VID], [*X2, *REG, *VID]], ["RDMSR", "WRMSR", "RCR8", "WCR8"]),
    "vid": ([[*PAGE, *VID], [*X2, *VID], [*PAGE, *VID, *REG]], ["WR", "WRMSR", "WCR8", "HSETIRR", "HGIS", "HEOI"]),
    "posted": ([[*PAGE, *PI], [*X2, *PI], [*PAGE, *PI, *REG]], ["POST", "POST", "WR", "WRMSR", "WCR8", "IPI"]),
    "extint": ([PAGE, [*PAGE, *VID], [*X2, *VID]], ["IPI", "IPI", "HSETIRR", "HINTWIN", "STIHLT"]),
    "hlt": ([[*PAGE, *PI], [*X2, *VID], [*PAGE, "hlt_exiting"]], SLEEP),
    "inject": ([[*PAGE, *VID], USUAL, [*X2, *VID]], ["HINJECT", "HINTWIN", "HSETIRR", "WR"]),
    "entry": ([EVERY], ["NOP", "VMCALL", "HINJECT", "HLT"]),
    "fuzz": ([EVERY, [*PAGE, *PI, *REG], [*X2, *PI, *REG]], [*ALL, *HOST]),
}  # fmt: skip
EDGES = [0, 1, 15, 16, 17, 31, 32, 47, 48, 63, 64, 127, 128, 239, 240, 254, 255]
ROWS = [0x080, 0x0B0, 0x300, 0x310, 0x020, 0x030, 0x090, 0x0A0, 0x0D0, 0x0E0, 0x0F0, 0x100, 0x170, 0x180, 0x200, 0x270]
ROWS += [0x280, 0x2F0, 0x320, 0x370, 0x380, 0x390, 0x3E0]
MSRS = [0x08, 0x0B, 0x3F]


class Maker:
    """Records from one seed."""

    def __init__(self, seed: int) -> None:
        self.r = Random(seed)

    def vector(self) -> int:
        """A vector, often one at an edge."""
        return self.r.choice(EDGES) if self.r.random() < 0.4 else self.r.randrange(256)

    def some(self, most: int) -> list[int]:
        """Vectors, in no order, perhaps twice."""
        return [self.vector() for _ in range(self.r.randrange(most + 1))]

    def word(self) -> int:
        """32 bits."""
        vector = self.vector()
        icr = vector | self.r.choice(
            [0x40000, 0x40000, 0x44800, 0x41000, 0x48000, 0x40100, 0x80000, 0x42000, 0, 0x10000]
        )
        return self.r.choice([vector, icr, self.r.getrandbits(32), 0])

    def controls(self, kind: str) -> list[str]:
        """Names, in no order."""
        names = set(self.r.choice(KINDS[kind][0]))
        if kind in ("entry", "fuzz"):
            names = {name for name in sorted(names) if self.r.random() < 0.8}
        elif self.r.random() < 0.2:
            names ^= {self.r.choice(EVERY)}
        if self.r.random() < 0.1:
            names.add("interrupt_window_exiting")
        if kind != "hlt" and self.r.random() < 0.7:
            names.discard("hlt_exiting")
        if self.r.random() < 0.9:
            names.add("preemption_timer")
        return self.r.sample(sorted(names), len(names))

    def init(self, kind: str) -> dict[str, Any]:
        """The state before; what the schema gives a default may be absent."""
        r, names = self.r, self.controls(kind)
        virtual = {"virtualize_x2apic_mode", "secondary"} <= set(names)
        through = sum(1 << i for i in MSRS) if virtual else 0
        reads = (1 << 256) - 1
        if virtual:
            reads = r.choice([0, r.getrandbits(256)]) if "apic_register_virtualization" in names else reads & ~(1 << 8)
        writes = ((1 << 256) - 1) & ~(through if "virtual_interrupt_delivery" in names else through & 1 << 8)
        if r.random() < 0.1:
            writes |= 1 << r.choice(MSRS)
        full = {
            "tpr_threshold": r.choice([0, 0, r.randrange(16), 0x10, r.getrandbits(32) if kind == "entry" else 0]),
            "rvi": self.vector() if r.random() < 0.5 else 0, "svi": self.vector() if r.random() < 0.3 else 0,
            "pi_nv": r.choice([0xF2, self.vector() | 16, 0x1F2 if kind == "entry" else 0xF2]),
            "activity": r.choice([0, 0, 0, 1]) if kind in ("hlt", "entry", "fuzz") else 0,
            "interruptibility": r.choice([0, 0, 0, 1, 2, 3, 8]) if kind in ("entry", "fuzz", "inject") else 0,
            "rflags": r.choice([0, 0x200, 0x202, 0x246]),
            "inject": 1 << 31 | self.vector() if kind in ("inject", "entry") and r.random() < 0.4 else self.vector(),
            "isr_mode": r.randrange(5), "pre_ipi": r.choice([0, 0, self.vector()]), "eoi_exit": self.some(9),
            "msr_read_intercept": hex(reads), "msr_write_intercept": hex(writes), "pir": self.some(4),
            "pid_on": r.randrange(2), "vapic": self.vapic(),
        }  # fmt: skip
        absent = {name for name in full if not name.startswith("msr") and r.random() < 0.15}
        return {"controls": names, **{name: value for name, value in full.items() if name not in absent}}

    def vapic(self) -> dict[str, str]:
        """Words of the page, in any of the ways in which a hexadecimal number may be written."""
        r = self.r
        words = {0x080: self.vector(), 0x0A0: self.vector(), 0x300: self.word(), 0x310: self.word()}
        for base in (0x100, 0x200):
            for vector in self.some(4):
                at = base + (vector >> 5) * 16
                words[at] = words.get(at, 0) | 1 << (vector & 31)
        shown = [f"{{:{kind}}}" for kind in ("x", "03x", "X", "#x", "#05x")]
        kept = {at: word for at, word in words.items() if r.random() < 0.7}
        return {
            r.choice(shown).format(at): r.choice(["0x{:x}", "{:08x}", "{:#X}"]).format(word)
            for at, word in kept.items()
        }

    def op(self, kind: str) -> dict[str, Any]:
        """One operation; fields that are 0 may be absent."""
        r = self.r
        name = r.choice([*KINDS[kind][1], *KINDS[kind][1], *FLAGS])
        made: dict[str, Any] = {"op": name}
        if name in ("RD", "WR", "OR"):
            made["size"] = 4 if name == "OR" else r.choice([1, 2, 4, 4, 4, 8])
            row = r.choice(ROWS) if r.random() < 0.8 else 16 * r.randrange(63)
            made["off"] = min(row + r.choice([0, 0, 0, r.randrange(16)]), 4096 - made["size"])
        if name in ("WR", "OR"):
            made["val"] = self.word() | (self.word() << 32 if made["size"] == 8 else 0)
        if name in ("RDMSR", "WRMSR"):
            made["off"] = r.choice(MSRS) if r.random() < 0.7 else r.randrange(256)
        if name == "WRMSR":
            made["val"] = r.choice([self.vector(), 0, self.word(), self.word() << 32 | self.word()])
        if name in ("WCR8", "STIWCR8"):
            made["val"] = r.choice([r.randrange(16), r.randrange(16), 16, self.word(), 1 << 40])
        if name in ("IPI", "HINJECT", "HSETIRR"):
            made["val"] = self.vector()
        if name == "POST":
            made |= {"val": r.choice([0, self.vector()]), "val2": r.choice([0, self.vector()]), "flags": r.randrange(4)}
        if name == "HGIS":
            made["val"] = self.vector() | self.vector() << 8
        if name == "HTHR":
            made["val"] = r.choice([r.randrange(16), 0x15])
        if name == "HEOI":
            made |= {"off": r.randrange(4), "val": r.choice([0, (1 << 64) - 1, r.getrandbits(64)])}
        return {key: value for key, value in made.items() if value != 0 or key == "op" or r.random() < 0.5}

    def record(self, number: int, kind: str) -> dict[str, Any]:
        """A record with its events."""
        ops = [self.op(kind) for _ in range(self.r.randrange(12))]
        made = {"id": number, "cat": kind, "init": self.init(kind), "ops": ops, "tags": [], "xcheck": "agree"}
        return {**made, "events": Player(made).run()}
