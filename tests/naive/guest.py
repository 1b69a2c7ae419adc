"""A whole logical processor, slow: VM entry with its checks, every access, every event, in the manual's order.

Built on the naive virtual APIC and the naive local APIC; shares nothing with the package. An answer is a tuple that
begins with a word: goes on, exit, interrupt, posted, halted, fault, failed, invalid state, real, SMM.
"""

from collections.abc import Callable

from tests.naive.apicv import (
    ACTIVE,
    HLT,
    MWAIT,
    SHUTDOWN,
    VTPR,
    WAIT_FOR_SIPI,
    Descriptor,
    GeneralProtection,
    Operation,
    Processor,
    RealApic,
    VmExit,
)
from tests.naive.lapic import NaiveApic

SECONDARY = {"VAA", "VX2", "REG", "VID"}
TERTIARY = {"IPIV", "VTMR"}
TRAP_LIKE = (43, 45, 56)
ADDRESSES = {"MSRB": ("C1", 4096), "TPRS": ("C2", 4096), "VAA": ("C5", 4096), "PI": ("C12", 64)}
PUSH_ERROR_CODE = (8, 10, 11, 12, 13, 14, 17)

Answer = tuple[object, ...]


class Guest(Processor):
    """One processor with its current VMCS. ``programmed`` are the controls as written, ``event`` what is injected."""

    def __init__(self, number: int = 0) -> None:
        super().__init__()
        self.programmed: set[str] = set()
        self.apic = NaiveApic(number)
        self.apic.svr = 0x1FF
        self.descriptor = Descriptor()
        self.anv = 0
        self.addresses = dict.fromkeys(ADDRESSES, 0)
        self.pid_table_address = 0
        self.timer_vector = 0
        self.narrow_addresses = False
        self.nmi_block = False
        self.other_blocking = 0
        self.privilege = 0
        self.event: tuple[int, int, int] | None = None  # type, vector, bits 30:11 of the field
        self.pending: set[str] = set()
        self.ram = bytearray(4096)
        self.read_exits = self.write_exits = 0
        self.inside = False
        self.status = 0
        self.acknowledged: int | None = None
        self.saved_activity = ACTIVE

    # VM entry.

    def in_force(self) -> set[str]:
        """The controls that count: secondary and tertiary ones only where they are activated."""
        hidden = (set() if "SEC" in self.programmed else SECONDARY) | (set() if "TERT" in self.programmed else TERTIARY)
        return self.programmed - hidden

    def control_problems(self) -> set[str]:
        """C1 to C16, and the event field: everything that is wrong."""
        on, wrong = self.control, set()
        for name, (check, align) in ADDRESSES.items():
            limit = 32 if self.narrow_addresses else self.physical_width
            if name in on and (self.addresses[name] % align or self.addresses[name] >> limit):
                wrong.add(check)
        if "TPRS" in on and "VID" not in on:
            if self.tpr_threshold >> 4:
                wrong.add("C3")
            if "VAA" not in on and self.tpr_threshold & 15 > self.get(VTPR) >> 4 & 15:
                wrong.add("C4")
        if "TPRS" not in on and on & {"VX2", "REG", "VID", "IPIV"}:
            wrong.add("C6")
        wrong |= {"C7"} if {"VX2", "VAA"} <= on else set()
        wrong |= {"C8"} if "VID" in on and "EXTINT" not in on else set()
        if "PI" in on:
            wrong |= {"C9"} if "VID" not in on else set()
            wrong |= {"C10"} if "ACK" not in on else set()
            wrong |= {"C11"} if self.anv > 255 else set()
        if ("VNMI" in on and "NMIX" not in on) or ("NMIWIN" in on and "VNMI" not in on):
            wrong.add("C13")
        if "IPIV" in on:
            limit = 32 if self.narrow_addresses else self.physical_width
            last = self.pid_table_address + 8 * self.last_pid_index + 7
            wrong |= {"C14"} if self.pid_table_address % 8 or last >> limit else set()
        if "VTMR" in on and (not {"EXTINT", "VID", "TPRS"} <= on or not 16 <= self.timer_vector <= 255):
            wrong.add("C15")
        return wrong | ({"event"} if self.event and not injectable(*self.event) else set())

    def guest_problems(self) -> set[str]:
        """G1 to G9: everything that is wrong."""
        wrong = set()
        blocked = self.sti_block or self.mov_ss_block
        if self.activity not in (ACTIVE, HLT, SHUTDOWN, WAIT_FOR_SIPI):
            wrong.add("G9")
        if (self.sti_block and self.mov_ss_block) or (self.sti_block and not self.interrupt_flag):
            wrong.add("G4")
        if self.other_blocking >> 5:
            wrong.add("G4")
        if blocked and self.activity != ACTIVE:
            wrong.add("G5")
        if self.activity == HLT and self.privilege:
            wrong.add("G6")
        return wrong | (self.event_problems(*self.event) if self.event else set())

    def event_problems(self, kind: int, vector: int, _: int) -> set[str]:
        """Of an event against the state it comes into."""
        wrong = set()
        blocked = self.sti_block or self.mov_ss_block
        machine_check = (kind, vector) == (3, 18)
        if kind == 0:
            wrong |= {"G1"} if not self.interrupt_flag else set()
            wrong |= {"G2"} if blocked else set()
        if kind == 2 and (self.mov_ss_block or ("VNMI" in self.control and self.nmi_block)):
            wrong.add("G3")
        if self.activity == HLT and kind not in (0, 2, 7) and not machine_check and (kind, vector) != (3, 1):
            wrong.add("G6")
        if self.activity == SHUTDOWN and kind != 2 and not machine_check:
            wrong.add("G7")
        return wrong | ({"G8"} if self.activity == WAIT_FOR_SIPI else set())

    def enter(self) -> Answer:
        """VMLAUNCH or VMRESUME."""
        self.control = self.in_force()
        if wrong := self.control_problems():  # 1
            return "failed", wrong
        if wrong := self.guest_problems():
            return "invalid state", wrong
        self.inside, self.recognized = True, False
        if "VID" in self.control:  # 3
            self.vm_entry(self.rvi, self.svi)
        below = self.tpr_threshold & 15 > self.get(VTPR) >> 4 & 15
        self.pending.discard("threshold")
        if {"TPRS", "VAA"} <= self.control and "VID" not in self.control and below:
            self.pending.add("threshold")
        if self.event:  # 4
            (kind, vector, _), self.event = self.event, None
            if kind == 7:
                self.pending.add("trap")
                return ("goes on",)
            self.nmi_block = self.nmi_block or kind == 2
            return self.through_idt(vector)
        return ("goes on",)

    def leave(self, reason: int, qualification: int = 0) -> Answer:
        """A VM exit."""
        if "VID" in self.control:
            self.status = self.rvi | self.svi << 8
        self.event, self.recognized, self.inside = None, False, False
        self.acknowledged = None
        self.pending.discard("threshold")
        if self.activity == MWAIT:
            self.activity = ACTIVE
        self.saved_activity = self.activity
        return "exit", reason, qualification

    def through_idt(self, vector: int) -> Answer:
        """Delivery through an interrupt gate."""
        self.activity = ACTIVE
        self.sti_block = self.mov_ss_block = self.interrupt_flag = False
        return "interrupt", vector

    # The instruction boundary, 0 to 9.

    def next_event(self) -> Answer:
        """What happens at this boundary."""
        if self.activity == WAIT_FOR_SIPI:
            return self.once("sipi", 4) if "sipi" in self.pending else ("halted",)
        awake = self.activity != SHUTDOWN
        if "threshold" in self.pending and awake:  # 1
            return self.once("threshold", 43)
        if "smi" in self.pending:  # 2
            self.pending.remove("smi")
            return ("SMM",)
        if "init" in self.pending:
            return self.once("init", 3)
        if "trap" in self.pending and awake:  # 3
            return self.once("trap", 37)
        if "timer" in self.pending:  # 5
            return self.once("timer", 52)
        if "NMIWIN" in self.control and not self.nmi_block and not self.mov_ss_block:  # 6
            return self.leave(8)
        if "nmi" in self.pending and not self.mov_ss_block:  # 7
            if "NMIX" in self.control and ("VNMI" in self.control or not self.nmi_block):
                return self.once("nmi", 0)
            if "NMIX" not in self.control and not self.nmi_block:
                self.pending.remove("nmi")
                self.nmi_block = True
                return self.through_idt(2)
        happens = self.boundary(self.apic.deliverable() is not None)  # 8, 9
        if happens == "window exit":
            return self.leave(7)
        if happens == "virtual interrupt":
            return self.through_idt(self.deliver_virtual())
        if happens == "guest interrupt":
            return self.through_idt(self.apic.acknowledge())
        if happens == "external interrupt":
            blocked = self.sti_block or self.mov_ss_block
            if not (blocked and "DELAYED" in self.control):
                return self.external()
        return ("goes on",) if self.activity == ACTIVE else ("halted",)

    def once(self, what: str, reason: int) -> Answer:
        """A pending event exits and is pending no longer."""
        self.pending.remove(what)
        return self.leave(reason)

    def external(self) -> Answer:
        """An interrupt of the real local APIC, with external-interrupt exiting."""
        vector = self.apic.acknowledge() if "ACK" in self.control else None
        if "PI" in self.control and vector == self.anv:
            self.apic.end()
            self.posted_interrupt_arrival(self.descriptor)
            self.activity = ACTIVE if self.activity == MWAIT else self.activity
            return ("posted",)
        answer = self.leave(1)
        self.acknowledged = vector
        return answer

    # Instructions.

    def execute(self, do: Callable[[], int | None], privileged: bool = False) -> Answer:
        """One instruction: what it read, or why it did not complete."""
        if privileged and self.privilege:
            return ("fault",)
        try:
            read = do()
        except VmExit as exit:
            if exit.reason in TRAP_LIKE:
                self.complete()
            return self.leave(exit.reason, exit.qualification)
        except GeneralProtection:
            return ("fault",)
        except RealApic:
            return ("real",)
        self.complete()
        return ("goes on",) if read is None else ("goes on", read)

    def complete(self) -> None:
        """Blocking by STI and MOV SS ends with the instruction after."""
        self.sti_block = self.mov_ss_block = False

    def read(self, offset: int, size: int) -> Answer:
        """MOV from the page."""
        return self.execute(lambda: self.load(offset, size, Operation()))

    def write(self, offset: int, size: int, value: int) -> Answer:
        """MOV to the page."""
        return self.execute(lambda: self.store(offset, size, value, Operation()))

    def set_bits(self, offset: int, size: int, bits: int) -> Answer:
        """OR to the page: one operation that reads, then writes."""
        operation = Operation()
        return self.execute(
            lambda: self.store(offset, size, self.load(offset, size, operation) | bits, operation),
        )

    def load(self, offset: int, size: int, operation: Operation) -> int:
        """One read of an operation."""
        if "VAA" not in self.control:
            return int.from_bytes(self.ram[offset : offset + size], "little")
        return self.page_read(offset, size, operation)

    def store(self, offset: int, size: int, value: int, operation: Operation) -> None:
        """The last write of an operation, and what it causes."""
        data = value % (1 << 8 * size)
        if "VAA" not in self.control:
            self.ram[offset : offset + size] = data.to_bytes(size, "little")
            return
        self.page_write(offset, size, operation, data)
        self.write_emulation(offset)

    def read_msr(self, index: int) -> Answer:
        """RDMSR of 800H + index."""
        return self.execute(lambda: self.any_rdmsr(index), privileged=True)

    def any_rdmsr(self, index: int) -> int:
        """Virtualized, or of the real local APIC as far as it decides interrupts."""
        try:
            return self.rdmsr(0x800 + index, bool(self.read_exits >> index & 1))
        except RealApic:
            if index == 0x08:
                return self.apic.tpr
            if index == 0x0A:
                return self.apic.ppr()
            raise

    def write_msr(self, index: int, value: int) -> Answer:
        """WRMSR of 800H + index."""
        return self.execute(lambda: self.any_wrmsr(index, value), privileged=True)

    def any_wrmsr(self, index: int, value: int) -> None:
        """Virtualized, or to the real local APIC as far as it decides interrupts."""
        try:
            self.wrmsr(0x800 + index, value, bool(self.write_exits >> index & 1))
        except RealApic:
            if index not in (0x08, 0x0B, 0x3F):
                raise
            if value >> (0 if index == 0x0B else 8):
                raise GeneralProtection from None
            if index == 0x08:
                self.apic.tpr = value
            elif index == 0x0B:
                self.apic.end()
            else:
                self.apic.accept(value, False)

    def read_cr8(self) -> Answer:
        """MOV from CR8 to the first register."""
        return self.execute(self.any_read_cr8, privileged=True)

    def any_read_cr8(self) -> int:
        """25.1.3, 29.3."""
        if "CR8S" in self.control:
            raise VmExit(28, 0x18)
        return self.get(VTPR) >> 4 & 15 if "TPRS" in self.control else self.apic.tpr >> 4

    def write_cr8(self, value: int) -> Answer:
        """MOV to CR8 from the first register."""
        return self.execute(lambda: self.any_write_cr8(value), privileged=True)

    def any_write_cr8(self, value: int) -> None:
        """25.1.3, 29.3."""
        if "CR8L" not in self.control and value > 15:
            raise GeneralProtection
        try:
            self.mov_to_cr8(value)
        except RealApic:
            self.apic.tpr = value << 4

    def sti(self) -> None:
        """STI blocks until the next instruction has completed where IF was 0."""
        self.sti_block, self.mov_ss_block, self.interrupt_flag = not self.interrupt_flag, False, True

    def mov_ss(self) -> None:
        """MOV SS blocks until the next instruction has completed."""
        self.sti_block, self.mov_ss_block = False, True

    def load_flag(self, flag: bool) -> None:
        """CLI, POPF."""
        self.interrupt_flag = flag
        self.complete()

    def hlt(self) -> Answer:
        """HLT."""
        return self.execute(lambda: self.sleep("HLTX", 12, HLT), privileged=True)

    def mwait(self) -> Answer:
        """MWAIT."""
        return self.execute(lambda: self.sleep("MWAITX", 36, MWAIT), privileged=True)

    def iret(self, flag: bool) -> None:
        """IRET unblocks NMIs, unless they exit and are not virtual."""
        self.load_flag(flag)
        if "NMIX" not in self.control or "VNMI" in self.control:
            self.nmi_block = False

    def sleep(self, control: str, reason: int, activity: int) -> None:
        """An exit, or the state in which nothing executes."""
        if control in self.control:
            raise VmExit(reason, 0)
        self.activity = activity

    # IPIs that stay inside.

    def ipi_virtualization(self, vector: int, target: int) -> None:
        """A notification to this very processor goes through its own local APIC."""
        super().ipi_virtualization(vector, target)
        if self.notifications and self.notifications[-1][0] == self.apic.number:
            self.apic.accept(self.notifications.pop()[1], False)


def injectable(kind: int, vector: int, bits: int) -> bool:
    """8.1: the field holds an event that can be."""
    if vector > 255 or kind == 1 or bits & ~0x800:
        return False
    if {2: vector != 2, 3: vector > 31, 7: vector != 0}.get(kind, False):
        return False
    return (bits == 0x800) == (kind == 3 and vector in PUSH_ERROR_CODE)
