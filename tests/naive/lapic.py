"""A second, slow local APIC, written down from the manual's prose with sets, a dictionary and one tick at a time.

It shares nothing with the package. What the manual leaves open is answered as the package's defaults answer it.
"""

LVT_ROWS = {0x2F: "cmci", 0x32: "timer", 0x33: "thermal", 0x34: "perfmon", 0x35: "lint0", 0x36: "lint1", 0x37: "error"}
FIELDS = {  # bits that mean something, and those of them that only hardware changes
    "cmci": (0x117FF, 0x1000), "timer": (0x710FF, 0x1000), "thermal": (0x117FF, 0x1000), "perfmon": (0x117FF, 0x1000),
    "lint0": (0x1F7FF, 0x5000), "lint1": (0x1F7FF, 0x5000), "error": (0x110FF, 0x1000),
}  # fmt: skip
MASK = 1 << 16
DIVIDERS = {0b000: 2, 0b001: 4, 0b010: 8, 0b011: 16, 0b100: 32, 0b101: 64, 0b110: 128, 0b111: 1}


class GeneralProtection(Exception):  # noqa: N818
    """The instruction faults, and nothing has changed."""


class NaiveApic:
    """One local APIC. ``sent`` collects (vector, mode, logical, destination, shorthand) of IPIs that left."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.extended = False
        self.enabled = True
        self.sent: list[tuple[int, int, int, int, int]] = []
        self.pins = {"lint0": 0, "lint1": 0}
        self.reset()

    def reset(self) -> None:
        """Everything but the ID and the mode."""
        self.requested: set[int] = set()
        self.serving: set[int] = set()
        self.level: set[int] = set()
        self.tpr = 0
        self.svr = 0xFF
        self.errors: set[int] = set()
        self.esr = 0
        self.armed = True
        self.lvt = dict.fromkeys(FIELDS, MASK)
        self.ldr, self.dfr = 0, 0xFFFFFFFF
        self.icr = 0
        self.high = 0
        self.initial = self.count = self.phase = self.dcr = 0
        self.deadline = 0

    # Priorities.

    def ppr(self) -> int:
        """The processor priority."""
        top = max(self.serving, default=0)
        return self.tpr if self.tpr // 16 >= top // 16 else top // 16 * 16

    def deliverable(self) -> int | None:
        """The vector the core would be given."""
        able = [v for v in self.requested if v // 16 > self.ppr() // 16]
        return max(able, default=None)

    def accept(self, vector: int, level: bool) -> str:
        """A fixed interrupt arrives."""
        if not self.enabled or not self.svr & 0x100:
            return "dropped"
        if vector < 16:
            self.error(6)
            return "illegal"
        self.level.discard(vector)
        if level:
            self.level.add(vector)
        if vector in self.requested:
            return "merged"
        self.requested.add(vector)
        return "accepted"

    def acknowledge(self) -> int:
        """INTA."""
        vector = self.deliverable()
        if vector is None:
            return self.svr & 0xFF
        self.requested.remove(vector)
        self.serving.add(vector)
        return vector

    def end(self) -> tuple[int | None, bool]:
        """EOI: what ended, and whether the I/O APICs hear of it."""
        if not self.serving:
            return None, False
        vector = max(self.serving)
        self.serving.remove(vector)
        told = vector in self.level and not self.svr & 0x1000
        if self.lvt["lint0"] & 0x4000 and self.lvt["lint0"] % 256 == vector:
            self.lvt["lint0"] &= ~0x4000
            self.ask_again()
        return vector, told

    def error(self, bit: int) -> None:
        """An error is recorded; the error LVT delivers once until ESR is written."""
        self.errors.add(bit)
        entry = self.lvt["error"]
        if self.armed and not entry & MASK and entry % 256 >= 16:
            self.armed = False
            self.requested.add(entry % 256)
            self.level.discard(entry % 256)

    # Sending.

    def send(self, low: int, destination: int, wide: bool) -> None:
        """The ICR has been written."""
        vector, mode, logical, shorthand = low % 256, low >> 8 & 7, low >> 11 & 1, low >> 18 & 3
        if mode in (3, 7):
            return
        if shorthand in (1, 2) and mode != 0:
            return
        if mode == 1 and shorthand == 0 and not logical and destination == (0xFFFFFFFF if wide else 0xFF):
            return
        if mode in (0, 1) and vector < 16:
            self.error(5)
            if shorthand == 1:
                self.accept(vector, False)
            return
        if shorthand == 1:
            self.accept(vector, False)
            return
        self.sent.append((vector, mode, logical, destination, shorthand))

    # The timer, a tick of the input clock at a time.

    def mode(self) -> int:
        """Timer mode."""
        return self.lvt["timer"] >> 17 & 3

    def tick(self) -> None:
        """One tick of the input clock passes."""
        if self.count == 0 or self.mode() > 1:
            return
        self.phase += 1
        if self.phase < DIVIDERS[self.dcr >> 1 & 4 | self.dcr & 3]:
            return
        self.phase = 0
        self.count -= 1
        if self.count == 0:
            if self.mode() == 1:
                self.count = self.initial
            self.fire("timer")

    def tsc(self, now: int) -> None:
        """The time-stamp counter has reached a value."""
        if self.mode() == 2 and self.deadline and now >= self.deadline:
            self.deadline = 0
            self.fire("timer")

    def fire(self, name: str) -> str:
        """A local source fires."""
        entry = self.lvt[name]
        if not self.enabled:
            return "dropped"
        if entry & MASK:
            return "masked"
        mode = 0 if name in ("timer", "error") else entry >> 8 & 7
        if mode not in ((0, 2, 4, 5, 7) if name.startswith("lint") else (0, 2, 4)):
            return "ignored"
        if name == "perfmon":
            self.lvt[name] |= MASK
        if mode:
            return {2: "smi", 4: "nmi", 5: "init", 7: "extint"}[mode]
        if name != "lint0" or not self.is_level():
            return self.accept(entry % 256, False)
        if entry & 0x4000:
            return "masked"
        answer = self.accept(entry % 256, True)
        if answer in ("accepted", "merged"):
            self.lvt[name] |= 0x4000
        return answer

    def is_level(self) -> bool:
        """LINT0 is a level: trigger bit and fixed delivery; LINT1 never is."""
        return self.lvt["lint0"] >> 8 & 7 == 0 and bool(self.lvt["lint0"] & 0x8000)

    def active(self, name: str) -> bool:
        """A pin is at the level that polarity calls active."""
        return self.pins[name] == (0 if self.lvt[name] & 0x2000 else 1)

    def ask_again(self) -> None:
        """A level line that is active asks whenever something might let it through."""
        if self.is_level() and self.active("lint0"):
            self.fire("lint0")

    def pin(self, name: str, level: int) -> str:
        """A pin takes a level."""
        was = self.active(name)
        self.pins[name] = level
        if self.active(name) and (not was or (name == "lint0" and self.is_level())):
            return self.fire(name)
        return "ignored"

    # Registers.

    def read(self, row: int) -> int:
        """The low half of the register in a slot; None where there is none in xAPIC mode."""
        if 0x10 <= row < 0x28:
            chosen = [self.serving, self.level, self.requested][(row - 0x10) // 8]
            return sum(1 << v % 32 for v in chosen if v // 32 == row % 8)
        if row in LVT_ROWS:
            return self.lvt[LVT_ROWS[row]]
        if row == 0x0D and self.extended:
            return (self.number >> 4 & 0xFFFF) << 16 | 1 << self.number % 16
        return {
            0x02: self.number if self.extended else self.number % 256 << 24, 0x03: 0x01060015, 0x08: self.tpr,
            0x09: 0, 0x0A: self.ppr(), 0x0B: 0, 0x0C: 0, 0x0D: self.ldr, 0x0E: self.dfr, 0x0F: self.svr,
            0x28: self.esr, 0x30: self.icr, 0x31: self.high, 0x38: self.initial,
            0x39: 0 if self.mode() > 1 else self.count, 0x3E: self.dcr,
        }[row]  # fmt: skip

    def write_lvt(self, name: str, value: int) -> None:
        """An LVT entry is written."""
        defined, fixed = FIELDS[name]
        if self.extended and value & ~defined:
            raise GeneralProtection
        old = self.mode()
        waits = self.lvt[name] & 0x4000 if value & 0x8000 else 0
        self.lvt[name] = value & defined & ~fixed | waits | (0 if self.svr & 0x100 else MASK)
        if name == "lint0":
            self.ask_again()
        if self.mode() != old:
            self.count = self.phase = self.deadline = 0

    def write(self, row: int, value: int) -> None:
        """A register is written in xAPIC mode; the value has 32 bits."""
        if row in LVT_ROWS:
            self.write_lvt(LVT_ROWS[row], value)
        elif row == 0x08:
            self.tpr = value % 256
        elif row == 0x0B:
            self.end()
        elif row == 0x0D:
            self.ldr = value & 0xFF000000
        elif row == 0x0E:
            self.dfr = value | 0x0FFFFFFF
        elif row == 0x0F:
            self.svr = value & 0x11FF
            if not value & 0x100:
                self.lvt = {name: entry | MASK for name, entry in self.lvt.items()}
        elif row == 0x28:
            self.esr = sum(1 << bit for bit in self.errors)
            self.errors, self.armed = set(), True
        elif row == 0x30:
            self.icr = value & 0x000CCFFF
            self.send(self.icr, self.high if self.extended else self.high >> 24, self.extended)
        elif row == 0x31:
            self.high = value & 0xFF000000
        elif row == 0x38 and self.mode() != 2:
            self.initial = value
            self.count, self.phase = (value if self.mode() < 2 else 0), 0
        elif row == 0x3E:
            self.dcr = value & 0b1011
            self.phase = 0

    def write_msr(self, row: int, value: int) -> None:
        """A register is written in x2APIC mode; the value has 64 bits."""
        writable = {0x08: 0xFF, 0x0B: 0, 0x0F: 0x11FF, 0x28: 0, 0x38: 0xFFFFFFFF, 0x3E: 0b1011, 0x3F: 0xFF}
        writable |= {row: FIELDS[name][0] for row, name in LVT_ROWS.items()}
        writable[0x30] = 0xFFFFFFFF_000CDFFF
        if not self.enabled or not self.extended or row not in writable or value & ~writable[row]:
            raise GeneralProtection
        if row == 0x3F:
            self.send(value | 1 << 18, 0, True)
            return
        if row == 0x30:
            self.high = value >> 32
        self.write(row, value & 0xFFFFFFFF)

    def write_base(self, value: int) -> None:
        """IA32_APIC_BASE is written, with 46 physical address bits."""
        names = {(0, 0): "disabled", (1, 0): "xapic", (1, 1): "x2apic"}
        new = names.get((value >> 11 & 1, value >> 10 & 1))
        old = "disabled" if not self.enabled else "x2apic" if self.extended else "xapic"
        legal = {
            "disabled": {"disabled", "xapic"},
            "xapic": {"disabled", "xapic", "x2apic"},
            "x2apic": {"disabled", "x2apic"},
        }  # fmt: skip
        if value & 0x2FF or value >> 46 or new not in legal[old]:
            raise GeneralProtection
        if new == "disabled" and old != new:
            self.reset()
        if new == "x2apic" and old == "xapic":
            self.high = self.ldr = 0
        self.enabled, self.extended = new != "disabled", new == "x2apic"
