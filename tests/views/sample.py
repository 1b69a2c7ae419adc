"""Two short records written by hand, row by row, as a simulation would write them.

``posted()``: a NIC posts 0x80 to d1v0 on pCPU1; a SAS interrupt for host vector 0x58 exits inside its handler and dom0
serves port 30 on pCPU2; a disk vector 0x31 waits behind 0x80 and its EOI exits. ``pvhvm()``: the same NIC on port 64.
Times below are ns.
"""

from exitless.record.block import Header, Record
from exitless.vocab.exits import VMX_NAMES, Exit
from exitless.vocab.kinds import Kind, Owner, RunState

NIC, SAS, DISK = 0, 1, 2
DOM0_V1, GUEST = 1, 4
COSTS = ["exit", "entry", "doirq", "evraise", "notify", "assist", "inject", "eoi_exit", "hypercall", "sched"]


def header(mechanism: str) -> Header:
    """Name everything."""
    channel = mechanism == "pvhvm"
    return Header(
        title="A NIC and a SAS controller meet on pCPU1", scenario="sample", mechanism=mechanism, seed=1,
        length_ps=12_000_000, pcpus=4, vcpus=["d0v0", "d0v1", "d0v2", "d0v3", "d1v0"],
        owners=[Owner.DOM0] * 4 + [Owner.GUEST],
        sources=["nic", "sas", "disk"], source_vcpu=[GUEST, DOM0_V1, GUEST],
        source_vector=[-1 if channel else 0x80, -1, 0x31], source_host_vector=[0x48 if channel else -1, 0x58, -1],
        source_port=[64 if channel else -1, 30, -1],
        costs=COSTS, cost_origins=[f"guess: {name} of the sample" for name in COSTS],
        exits=dict(VMX_NAMES), clock_hz=2_400_000_000,
    )  # fmt: skip


class Writer:
    """A record under way, written in ns."""

    def __init__(self, mechanism: str) -> None:
        self.record = Record(header(mechanism))
        self.rows: list[tuple[int, int, int, int, int, int]] = []

    def __call__(self, ns: int, kind: int, pcpu: int, vcpu: int, a: int = 0, b: int = 0) -> None:
        self.rows.append((ns * 1000, kind, pcpu, vcpu, a, b))

    def cost(self, ns: int, pcpu: int, name: str, lasts: int) -> None:
        """Charge a named cost."""
        self(ns, Kind.STEP, pcpu, -1, COSTS.index(name), lasts * 1000)

    def exit(self, ns: int, reason: int, argument: int) -> None:
        """d1v0 exits on pCPU1; the exit costs 400 ns."""
        self(ns, Kind.VM_EXIT, 1, GUEST, reason, argument)
        self(ns, Kind.CPU_OWNER, 1, GUEST, Owner.XEN, reason + 1)
        self.cost(ns, 1, "exit", 400)

    def enter(self, ns: int, vector: int = -1, rvi: int = 0) -> None:
        """d1v0 is entered on pCPU1; the entry has cost 300 ns."""
        self.cost(ns - 300, 1, "entry", 300)
        self(ns, Kind.VM_ENTRY, 1, GUEST, vector, rvi)
        self(ns, Kind.CPU_OWNER, 1, GUEST, Owner.GUEST)

    def begin(self) -> None:
        """The state at time 0: dom0 on pCPU0 and pCPU3, the guest on pCPU1, pCPU2 idle."""
        for pcpu, vcpu, owner in ((0, 0, Owner.DOM0), (1, GUEST, Owner.GUEST), (3, 3, Owner.DOM0)):
            self(0, Kind.RUNSTATE, pcpu, vcpu, RunState.RUNNABLE, RunState.RUNNING)
            self(0, Kind.CPU_OWNER, pcpu, vcpu, owner)
        self(0, Kind.RUNSTATE, 2, DOM0_V1, RunState.RUNNING, RunState.BLOCKED)
        self(0, Kind.RUNSTATE, 2, 2, RunState.RUNNING, RunState.BLOCKED)
        self(0, Kind.CPU_OWNER, 2, -1, Owner.IDLE)
        self(0, Kind.VM_ENTRY, 1, GUEST, -1, 0)

    def sas(self, at: int) -> None:
        """A SAS interrupt reaches pCPU1 600 ns after ``at``, exits, and wakes d0v1 on pCPU2."""
        self(at, Kind.SOURCE_ASSERT, -1, DOM0_V1, SAS, 77)
        self(at + 100, Kind.MSI_ROUTE, 1, -1, 40, 0x58)
        self(at + 600, Kind.LAPIC_ACCEPT, 1, -1, 0x58, 0)
        self.exit(at + 600, Exit.EXTERNAL_INTERRUPT, 0x58)
        self(at + 1000, Kind.HOST_IRQ, 1, GUEST, 0x58, 5)
        self.cost(at + 1000, 1, "doirq", 300)
        self(at + 1000, Kind.LAPIC_EOI, 1, -1, 0x58, 0)
        self.cost(at + 1300, 1, "evraise", 80)
        self(at + 1380, Kind.PORT_RAISE, 1, DOM0_V1, 30, 0)
        self(at + 1380, Kind.UPCALL_MARK, 1, DOM0_V1, 0, 0)
        self(at + 1380, Kind.SCHED_WAKE, 1, DOM0_V1)
        self(at + 1380, Kind.RUNSTATE, 1, DOM0_V1, RunState.BLOCKED, RunState.RUNNABLE)
        self(at + 1400, Kind.IPI_SEND, 1, GUEST, 0xFC, 2)
        self(at + 1400, Kind.CPU_OWNER, 2, -1, Owner.XEN)
        self.cost(at + 1400, 2, "sched", 900)
        self(at + 2300, Kind.SCHED_SWITCH, 2, DOM0_V1, -1, DOM0_V1)
        self(at + 2300, Kind.RUNSTATE, 2, DOM0_V1, RunState.RUNNABLE, RunState.RUNNING)
        self(at + 2400, Kind.CPU_OWNER, 2, DOM0_V1, Owner.DOM0)
        self(at + 2600, Kind.UPCALL_ENTER, 2, DOM0_V1)
        self(at + 2700, Kind.PORT_CLEAR, 2, DOM0_V1, 30)
        self(at + 2700, Kind.SOURCE_HANDLE, 2, DOM0_V1, SAS, 77)
        self(at + 3900, Kind.IRQ_RETURN, 2, DOM0_V1)
        self(at + 4300, Kind.SCHED_BLOCK, 2, DOM0_V1)
        self(at + 4300, Kind.RUNSTATE, 2, DOM0_V1, RunState.RUNNING, RunState.BLOCKED)
        self(at + 4300, Kind.CPU_OWNER, 2, -1, Owner.IDLE)

    def finish(self) -> Record:
        """Put the rows in order and into the record."""
        for row in sorted(self.rows, key=lambda row: row[0]):
            self.record.add(*row)
        return self.record


def posted() -> Record:
    """VT-d posting: the NIC's interrupt needs no exit, the SAS controller's exits inside its handler."""
    w = Writer("vtd-posted")
    w.begin()
    w(600, Kind.SOURCE_ASSERT, -1, GUEST, DISK, 9)
    w(600, Kind.PID_POST, 3, GUEST, 0x31, 1)
    w(1000, Kind.LAPIC_ACCEPT, 1, -1, 0xF4, 0)
    w(1000, Kind.PID_PROCESS, 1, GUEST, 0xF4, 0x31)
    w.cost(1000, 1, "notify", 200)
    w(1200, Kind.SOURCE_ASSERT, -1, GUEST, NIC, 1562)
    w(1300, Kind.MSI_ROUTE, -1, GUEST, 18, -1)
    w(1300, Kind.PID_POST, -1, GUEST, 0x80, 1)
    w(1800, Kind.LAPIC_ACCEPT, 1, -1, 0xF4, 0)
    w(1800, Kind.LAPIC_EOI, 1, GUEST, 0xF4, 0)
    w(1800, Kind.PID_PROCESS, 1, GUEST, 0xF4, 0x80)
    w.cost(1800, 1, "notify", 200)
    w(2000, Kind.IRQ_DELIVER, 1, GUEST, 0x80, 0x31)
    w(2000, Kind.SOURCE_HANDLE, 1, GUEST, NIC, 1562)
    w.sas(2300)
    w.cost(3750, 1, "assist", 150)
    w.enter(4300)
    w(5200, Kind.IRQ_EOI, 1, GUEST, 0x80, 0)
    w(5300, Kind.IRQ_RETURN, 1, GUEST, 0x80)
    w(5300, Kind.IRQ_DELIVER, 1, GUEST, 0x31, 0)
    w(5300, Kind.SOURCE_HANDLE, 1, GUEST, DISK, 9)
    w(6200, Kind.IRQ_EOI, 1, GUEST, 0x31, 1)
    w.exit(6200, Exit.EOI_INDUCED, 0x31)
    w.cost(6600, 1, "eoi_exit", 250)
    w.enter(7200)
    w(7300, Kind.IRQ_RETURN, 1, GUEST, 0x31)
    w(9200, Kind.SOURCE_ASSERT, -1, GUEST, NIC, 1563)
    w(9300, Kind.MSI_ROUTE, -1, GUEST, 18, -1)
    w(9300, Kind.PID_POST, -1, GUEST, 0x80, 1)
    w(9800, Kind.LAPIC_ACCEPT, 1, -1, 0xF4, 0)
    w(9800, Kind.PID_PROCESS, 1, GUEST, 0xF4, 0x80)
    w.cost(9800, 1, "notify", 200)
    w(10000, Kind.IRQ_DELIVER, 1, GUEST, 0x80, 0)
    w(10000, Kind.SOURCE_HANDLE, 1, GUEST, NIC, 1563)
    w(12000, Kind.IRQ_EOI, 1, GUEST, 0x80, 0)
    return w.finish()


def pvhvm() -> Record:
    """The NIC on an event channel: an exit for its host vector, a callback injected, a hypercall inside the handler."""
    w = Writer("pvhvm")
    w.begin()
    w(1200, Kind.SOURCE_ASSERT, -1, GUEST, NIC, 1562)
    w(1300, Kind.MSI_ROUTE, 1, -1, 18, 0x48)
    w(1600, Kind.LAPIC_ACCEPT, 1, -1, 0x48, 0)
    w.exit(1600, Exit.EXTERNAL_INTERRUPT, 0x48)
    w(2000, Kind.HOST_IRQ, 1, GUEST, 0x48, 4)
    w.cost(2000, 1, "doirq", 300)
    w(2000, Kind.LAPIC_EOI, 1, -1, 0x48, 0)
    w.cost(2300, 1, "evraise", 80)
    w(2380, Kind.PORT_RAISE, 1, GUEST, 64, 0)
    w(2380, Kind.UPCALL_MARK, 1, GUEST, 0, 0)
    w.cost(2380, 1, "assist", 120)
    w(2500, Kind.IRQ_INJECT, 1, GUEST, 0xF3, 5)
    w.cost(2500, 1, "inject", 100)
    w.enter(2900, 0xF3)
    w(3200, Kind.UPCALL_ENTER, 1, GUEST, 0xF3)
    w(3300, Kind.PORT_CLEAR, 1, GUEST, 64)
    w.exit(3300, Exit.VMCALL, 0)
    w(3300, Kind.HYPERCALL, 1, GUEST, 33, 12)
    w.cost(3700, 1, "hypercall", 230)
    w.enter(4300)
    w(4300, Kind.SOURCE_HANDLE, 1, GUEST, NIC, 1562)
    w.sas(4400)
    w.enter(6400)
    w(7000, Kind.IRQ_RETURN, 1, GUEST, 0xF3)
    w(9200, Kind.SOURCE_ASSERT, -1, GUEST, NIC, 1563)
    w(9200, Kind.SOURCE_ASSERT, -1, GUEST, NIC, 1564)
    w(9200, Kind.SOURCE_MERGE, -1, GUEST, NIC, 1564)
    w(9300, Kind.MSI_ROUTE, 1, -1, 18, 0x48)
    w(12000, Kind.SCHED_TICKLE, 0, 0)
    return w.finish()


def recording() -> Record:
    """As a tracer would have it: entries, exits, injections; no owner, no source, no descriptor, no cost."""
    w = Writer("")
    w.record.header = Header(
        title="kvm.dat", origin="kvm trace", pcpus=2, vcpus=["vcpu0"], owners=[Owner.GUEST], exits=dict(VMX_NAMES)
    )
    w(0, Kind.VM_ENTRY, 1, 0, -1, -1)
    w(3000, Kind.VM_EXIT, 1, 0, Exit.EXTERNAL_INTERRUPT, 0xEC)
    w(3500, Kind.IRQ_REQUEST, 1, 0, 0x41, 0)
    w(3600, Kind.IRQ_INJECT, 1, 0, 0x41, 5)
    w(4000, Kind.VM_ENTRY, 1, 0, -1, -1)
    w(6000, Kind.VM_EXIT, 1, 0, Exit.APIC_WRITE, 0xB0)
    w(6100, Kind.IRQ_EOI, 1, 0, 0x41, 1)
    w(6500, Kind.VM_ENTRY, 1, 0, -1, -1)
    w(9000, Kind.VM_EXIT, 1, 0, Exit.HLT, 0)
    return w.finish()
