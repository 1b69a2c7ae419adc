"""A second, slow AVIC: a guest's vCPUs with sets for registers and dictionaries for tables, from the manual's prose.

It shares nothing with the package. What the manual leaves open is answered as the package's defaults answer it.
"""

FLAT, CLUSTER = 15, 0
OFTEN_TRAPPED = {0x20, 0xC0, 0xD0, 0xE0, 0xF0, 0x280, 0x380, 0x3E0, *range(0x320, 0x380, 0x10)}


class Incomplete(Exception):  # noqa: N818
    """Exit 401H: the reason in EXITINFO2[63:32], and the table index below."""

    def __init__(self, reason: int, index: int = 0) -> None:
        super().__init__(reason, index)
        self.reason, self.index = reason, index & 0xFFF


class Vcpu:
    """One virtual processor: its backing page as sets, and whether its core has it in guest mode."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.requested: set[int] = set()
        self.serving: set[int] = set()
        self.level: set[int] = set()
        self.tpr = 0
        self.v_tpr = 0
        self.ppr = 0
        self.dfr = 0xF
        self.seen = 0
        self.in_guest = False
        self.interrupt_flag = True

    def evaluate(self) -> None:
        """VMRUN, a doorbell, a change of TPR or PPR, EOI: hardware looks at the page."""
        top = max(self.serving, default=0)
        self.ppr = self.tpr if self.tpr >> 4 >= top >> 4 else top & 0xF0
        able = [vector for vector in self.requested if vector >> 4 > self.ppr >> 4]
        self.seen = max(able, default=0)


class Machine:
    """A guest: vCPUs by guest APIC ID, the physical table (valid, running, host ID, page) and the logical one."""

    def __init__(self, count: int) -> None:
        self.vcpus = [Vcpu(number) for number in range(count)]
        self.physical = {n: {"valid": True, "running": False, "host": 100 + n, "page": n} for n in range(count)}
        self.logical: dict[int, int] = {}
        self.greatest = 254
        self.wide = False

    # Entering and leaving.

    def vmrun(self, v: Vcpu) -> None:
        """V_TPR follows the page; IRR is looked at."""
        v.in_guest, v.v_tpr = True, v.tpr >> 4
        v.evaluate()

    def vmexit(self, v: Vcpu) -> None:
        """Nothing recognized survives."""
        v.in_guest, v.seen = False, 0

    def doorbell(self, v: Vcpu) -> None:
        """In host mode it is lost: VMRUN makes good for it."""
        if v.in_guest:
            v.evaluate()

    def take(self, v: Vcpu) -> int:
        """The virtual interrupt is delivered."""
        vector = v.seen
        v.requested.discard(vector)
        v.serving.add(vector)
        v.evaluate()
        return vector

    # Registers.

    def write_tpr(self, v: Vcpu, value: int) -> None:
        """Accelerated."""
        v.tpr, v.v_tpr = value & 0xFF, value >> 4 & 15
        v.evaluate()

    def eoi(self, v: Vcpu) -> int | None:
        """Accelerated for an edge; a level traps, and its vector is told."""
        top = max(v.serving, default=None)
        if top is None:
            return None
        if top in v.level:
            return top
        v.serving.remove(top)
        v.evaluate()
        return None

    def write(self, v: Vcpu, offset: int) -> str:
        """Any other register: what hardware does with the write."""
        if offset in OFTEN_TRAPPED:
            return "trap"
        return "allowed" if offset == 0x310 else "fault"

    # IPIs.

    def named(self, v: Vcpu, low: int, high: int) -> list[int]:
        """Whom an IPI means, by guest APIC ID."""
        shorthand = low >> 18 & 3
        there = [n for n, entry in sorted(self.physical.items()) if entry["valid"] and n <= self.greatest]
        if shorthand == 2 or (shorthand == 0 and high == (0xFFFFFFFF if self.wide else 0xFF)):
            return there
        if shorthand == 3:
            return [n for n in there if n != v.number]
        if not low >> 11 & 1:
            return [high]
        if self.wide:
            found = []
            for number in ((high >> 16) * 16 + bit for bit in range(16) if high >> bit & 1):
                if number > 255:
                    raise Incomplete(2, number)
                found.append(self.usable(number))
            return found
        if v.dfr == CLUSTER and high >> 4 == 15:
            raise Incomplete(2)
        found = []
        for bit in range(8 if v.dfr == FLAT else 4):
            if high >> bit & 1:
                index = bit if v.dfr == FLAT else (high >> 4) * 4 + bit
                if index not in self.logical:
                    raise Incomplete(2, index)
                found.append(self.usable(self.logical[index]))
        return found

    def usable(self, number: int) -> int:
        """A named target must be valid, and its page must be one."""
        entry = self.physical.get(number)
        if number > self.greatest or entry is None or not entry["valid"]:
            raise Incomplete(2, number)
        if entry["page"] is None:
            raise Incomplete(3, number)
        return number

    def send(self, v: Vcpu, low: int, high: int) -> list[int]:
        """The guest has written its ICR. Returns: the host IDs that get a doorbell."""
        vector = low & 0xFF
        if low >> 8 & 7 or low >> 15 & 1:  # 0
            raise Incomplete(0)
        if vector < 16:
            raise Incomplete(4)
        if low >> 11 & 1 and not low >> 18 & 3 and not self.wide and v.dfr not in (FLAT, CLUSTER):
            raise Incomplete(0)
        if low >> 18 & 3 == 1:  # 1
            v.requested.add(vector)
            v.evaluate()
            return []
        rung, idle = [], []
        for number in [self.usable(n) for n in self.named(v, low, high)]:  # 2 to 5
            self.vcpus[self.physical[number]["page"]].requested.add(vector)
            if self.physical[number]["running"]:
                rung.append(self.physical[number]["host"])
            else:
                idle.append(number)
        if idle:  # 6
            self.rung = rung
            raise Incomplete(1, idle[0])
        return rung

    # The IOMMU.

    def device(self, v: Vcpu, vector: int, running: bool, logs: bool) -> str:
        """An interrupt of a device in guest mode."""
        v.requested.add(vector)
        return "doorbell" if running else "logged" if logs else "silent"
