"""A second, slow implementation of Intel's virtual APIC, written down step by step from the manual's prose.

It shares nothing with the package: 256-bit registers are Python integers, the page is a dictionary of bytes (what is
not in it is 0), and a VM exit is an exception, as the manual's text has it. The numbers are those of the steps.
"""

ACTIVE, HLT, SHUTDOWN, WAIT_FOR_SIPI, MWAIT = range(5)
VTPR, VPPR, VEOI, VISR, VTMR, VIRR, VICR_LO, VICR_HI = 0x80, 0xA0, 0xB0, 0x100, 0x180, 0x200, 0x300, 0x310

READ_ROWS = [0x020, 0x030, 0x080, 0x0B0, 0x0D0, 0x0E0, 0x0F0, *range(0x100, 0x280, 0x10), 0x280, 0x300, 0x310, 0x320]
READ_ROWS += [0x330, 0x340, 0x350, 0x360, 0x370, 0x380, 0x3E0]
WRITE_ROWS = [0x020, 0x080, 0x0B0, 0x0D0, 0x0E0, 0x0F0, 0x280, 0x300, 0x310, 0x320, 0x330, 0x340, 0x350, 0x360, 0x370]
WRITE_ROWS += [0x380, 0x3E0]


class VmExit(Exception):  # noqa: N818
    """Guest execution ends with this basic reason and qualification."""

    def __init__(self, reason: int, qualification: int) -> None:
        super().__init__(reason, qualification)
        self.reason, self.qualification = reason, qualification


class GeneralProtection(Exception):  # noqa: N818
    """The instruction faults."""


class RealApic(Exception):  # noqa: N818
    """The access goes to the physical local APIC, or to what the physical processor says of it."""


def highest(bits: int) -> int:
    """Return max(R): the highest bit set, or 0 where there is none."""
    for vector in range(255, -1, -1):
        if bits >> vector & 1:
            return vector
    return 0


class Descriptor:
    """A posted-interrupt descriptor."""

    def __init__(self) -> None:
        self.pir = self.on = self.sn = self.nv = self.ndst = 0


class Operation:
    """One operation of an instruction on the APIC-access page."""

    def __init__(self) -> None:
        self.written: tuple[int, int] | None = None


class Processor:
    """One logical processor in non-root mode. ``control`` holds the controls that are 1, by their short names."""

    def __init__(self, *control: str) -> None:
        self.control = {"TPRS", *control}
        self.page: dict[int, int] = {}
        self.rvi = self.svi = 0
        self.recognized = False
        self.interrupt_flag = self.sti_block = self.mov_ss_block = False
        self.activity = ACTIVE
        self.eoi_exit_bitmap = 0
        self.tpr_threshold = 0
        self.pid_table: dict[int, int] = {}
        self.last_pid_index = 0
        self.physical_width = 46
        self.memory: dict[int, Descriptor] = {}
        self.notifications: list[tuple[int, int]] = []

    # The page.

    def get(self, offset: int, size: int = 4) -> int:
        """Read a little-endian field."""
        return int.from_bytes(bytes(self.page.get(offset + i, 0) for i in range(size)), "little")

    def put(self, offset: int, value: int, size: int = 4) -> None:
        """Write a little-endian field."""
        for i, byte in enumerate(value.to_bytes(size, "little")):
            self.page[offset + i] = byte

    def array(self, base: int) -> int:
        """Read a 256-bit register."""
        return sum(self.get(base + 0x10 * i) << 32 * i for i in range(8))

    def set_array(self, base: int, bits: int) -> None:
        """Write a 256-bit register."""
        for i in range(8):
            self.put(base + 0x10 * i, bits >> 32 * i & 0xFFFFFFFF)

    # 29.1.2 to 29.1.5: TPR, PPR, EOI and self-IPI virtualization.

    def tpr_virtualization(self) -> None:
        if "VID" not in self.control:  # 1
            if self.get(VTPR) >> 4 & 15 < self.tpr_threshold & 15:
                raise VmExit(43, 0)
        else:  # 2
            self.ppr_virtualization()
            self.evaluate_pending()

    def ppr_virtualization(self) -> None:
        if self.get(VTPR) >> 4 & 15 >= self.svi >> 4 & 15:  # 1
            self.put(VPPR, self.get(VTPR) & 0xFF)
        else:  # 2
            self.put(VPPR, self.svi & 0xF0)

    def eoi_virtualization(self) -> None:
        vector = self.svi  # 1
        self.set_array(VISR, self.array(VISR) & ~(1 << vector))  # 2
        self.svi = highest(self.array(VISR))  # 3
        self.ppr_virtualization()  # 4
        if self.eoi_exit_bitmap >> vector & 1:  # 5
            raise VmExit(45, vector)
        self.evaluate_pending()  # 6

    def self_ipi_virtualization(self, vector: int) -> None:
        self.set_array(VIRR, self.array(VIRR) | 1 << vector)  # 1
        self.rvi = max(self.rvi, vector)  # 2
        self.evaluate_pending()  # 3

    # 29.2: evaluation and delivery.

    def evaluate_pending(self) -> None:
        self.recognized = "INTRWIN" not in self.control and self.rvi // 16 > self.get(VPPR) // 16

    def deliverable(self) -> bool:
        return (
            self.recognized
            and self.interrupt_flag
            and not self.sti_block
            and not self.mov_ss_block
            and "INTRWIN" not in self.control
            and self.activity in (ACTIVE, HLT, MWAIT)
        )

    def deliver_virtual(self) -> int:
        vector = self.rvi  # 1
        self.set_array(VISR, self.array(VISR) | 1 << vector)  # 2
        self.svi = vector
        self.put(VPPR, vector & 0xF0)
        self.set_array(VIRR, self.array(VIRR) & ~(1 << vector))  # 3
        self.rvi = highest(self.array(VIRR))
        self.recognized = False  # 4
        return vector

    def boundary(self, physical_pending: bool) -> str:
        """Steps 8 and 9 of the arbiter: what happens next, by name."""
        if self.activity in (SHUTDOWN, WAIT_FOR_SIPI):
            return "nothing"
        open_window = self.interrupt_flag and not self.sti_block and not self.mov_ss_block
        if "INTRWIN" in self.control and open_window:
            return "window exit"
        if self.deliverable():
            return "virtual interrupt"
        if physical_pending and "EXTINT" in self.control:
            return "external interrupt"
        if physical_pending and open_window:
            return "guest interrupt"
        return "nothing"

    # VM entry, and the arrival of a notification.

    def vm_entry(self, rvi: int, svi: int) -> None:
        """Step 3 of the entry."""
        self.rvi, self.svi = rvi, svi
        self.ppr_virtualization()
        self.evaluate_pending()

    def posted_interrupt_arrival(self, descriptor: Descriptor) -> None:
        """Steps 3 to 7; the local APIC's part is not here."""
        descriptor.on = 0  # 3
        taken, descriptor.pir = descriptor.pir, 0  # 5
        self.set_array(VIRR, self.array(VIRR) | taken)
        if taken:  # 6
            self.rvi = max(self.rvi, highest(taken))
        self.evaluate_pending()  # 7

    # 29.3 to 29.5: accesses by CR8, memory and MSR.

    def mov_to_cr8(self, value: int) -> None:
        if "CR8L" in self.control:
            raise VmExit(28, 8)
        if "TPRS" not in self.control:
            raise RealApic
        self.put(VTPR, value << 4)
        self.tpr_virtualization()

    def page_read(self, offset: int, size: int, operation: Operation) -> int:
        access = VmExit(44, offset)
        if "TPRS" not in self.control or size > 4 or operation.written:  # 1
            raise access
        if offset >> 2 & 3 or offset + size - 1 >> 2 & 3:  # 2
            raise access
        if "REG" not in self.control:  # 3
            later = {0x0B0, 0x300} if {"VID", "NEW READS"} <= self.control else set()
            if offset not in {0x080, *later}:
                raise access
        elif offset - offset % 16 not in READ_ROWS:  # 4
            raise access
        return self.get(offset, size)

    def page_write(self, offset: int, size: int, operation: Operation, data: int) -> None:
        access = VmExit(44, 0x1000 | offset)
        if "TPRS" not in self.control or size > 4:  # 1
            raise access
        if operation.written and operation.written != (offset, size):  # 2
            raise access
        if offset >> 2 & 3 or offset + size - 1 >> 2 & 3:  # 3
            raise access
        if "REG" in self.control:  # 4
            allowed = offset - offset % 16 in WRITE_ROWS
        elif "VID" in self.control:
            allowed = offset in (0x080, 0x0B0, 0x300)
        elif "IPIV" in self.control:
            allowed = offset in (0x080, 0x300)
        else:
            allowed = offset == 0x080
        if not allowed:
            raise access
        self.put(offset, data, size)  # 5
        operation.written = (offset, size)

    def write_emulation(self, offset: int) -> None:
        """Step 6, when the operation has completed."""
        if offset == 0x080:
            self.put(VTPR, self.get(VTPR) & 0xFF)
            self.tpr_virtualization()
        elif offset == 0x0B0 and "VID" in self.control:
            self.put(VEOI, 0)
            self.eoi_virtualization()
        elif offset == 0x300 and "VID" in self.control and self_ipi_ok(self.get(VICR_LO)):
            self.self_ipi_virtualization(self.get(VICR_LO) & 0xFF)
        elif offset == 0x300 and "IPIV" in self.control and ipi_ok(self.get(VICR_LO)):
            self.ipi_virtualization(self.get(VICR_LO) & 0xFF, self.get(VICR_HI) >> 24)
        elif 0x310 <= offset <= 0x313:
            self.put(VICR_HI, self.get(VICR_HI) & 0xFF000000)
        else:
            raise VmExit(56, offset)

    def rdmsr(self, msr: int, intercepted: bool = False) -> int:
        if "MSRB" not in self.control or intercepted:
            raise VmExit(31, 0)
        if "VX2" not in self.control or ("REG" not in self.control and msr != 0x808):
            raise RealApic
        return self.get((msr & 0xFF) << 4, 8)

    def wrmsr(self, msr: int, value: int, intercepted: bool = False) -> None:
        if "MSRB" not in self.control or intercepted:
            raise VmExit(32, 0)
        special = msr == 0x808 or ("VID" in self.control and msr in (0x80B, 0x83F))
        special = special or ("IPIV" in self.control and msr == 0x830)
        if "VX2" not in self.control or not special:
            raise RealApic
        if msr == 0x830:
            self.write_virtual_icr(value)
            return
        if value >> (0 if msr == 0x80B else 8):  # 1
            raise GeneralProtection
        self.put((msr & 0xFF) << 4, value, 8)  # 2
        if msr == 0x808:  # 3
            self.tpr_virtualization()
        elif msr == 0x80B:
            self.eoi_virtualization()
        elif value >> 4 & 15:
            self.self_ipi_virtualization(value)
        else:
            raise VmExit(56, 0x3F0)

    def write_virtual_icr(self, value: int) -> None:
        """WRMSR 830H with IPI virtualization."""
        if value >> 20 & 0xFFF or value >> 16 & 3 or value >> 13 & 1:  # 1
            raise GeneralProtection
        self.put(VICR_LO, value, 8)  # 2
        if not ipi_ok(value & 0xFFFFFFFF):  # 3
            raise VmExit(56, 0x300)
        self.ipi_virtualization(value & 0xFF, value >> 32)

    # 30.1.6 of the later edition.

    def ipi_virtualization(self, vector: int, target: int) -> None:
        if vector < 16 or target > self.last_pid_index:  # 1, 2
            raise VmExit(56, 0x300)
        entry = self.pid_table.get(target, 0)  # 3
        if entry >> self.physical_width or entry & 0x3F != 1:  # 4
            raise VmExit(56, 0x300)
        descriptor = self.memory[entry - 1]  # 5
        descriptor.pir |= 1 << vector  # 6
        if not descriptor.on and not descriptor.sn:  # 7
            descriptor.on = 1
            self.notifications.append((descriptor.ndst, descriptor.nv))  # 8


def ipi_ok(low: int) -> bool:
    """Judge an ICR value for IPI virtualization bit field by bit field."""
    return (
        low >> 20 & 0xFFF == 0
        and low >> 18 & 3 == 0b00
        and low >> 16 & 3 == 0
        and low >> 15 & 1 == 0
        and low >> 13 & 1 == 0
        and low >> 12 & 1 == 0
        and low >> 11 & 1 == 0
        and low >> 8 & 7 == 0
    )


def self_ipi_ok(low: int) -> bool:
    """Judge an ICR value bit field by bit field."""
    return (
        low >> 20 & 0xFFF == 0
        and low >> 18 & 3 == 0b01
        and low >> 16 & 3 == 0
        and low >> 15 & 1 == 0
        and low >> 13 & 1 == 0
        and low >> 12 & 1 == 0
        and low >> 8 & 7 == 0
        and low >> 4 & 15 != 0
    )


def software_post(descriptor: Descriptor, vector: int) -> bool:
    """A processor posts a vector. Returns: whether it must notify."""
    if descriptor.pir >> vector & 1:  # 1
        return False
    descriptor.pir |= 1 << vector
    if descriptor.on or descriptor.sn:  # 2
        return False
    descriptor.on = 1
    return True
