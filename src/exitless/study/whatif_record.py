"""Finds out, event by event, why each exit of a recording happened.

What carries the answer: the access to an APIC register or an MSR that the hypervisor then carried out, the exit
qualification, the vector of a host interrupt, what was accepted for the vCPU before, and what was injected after.
"""

from collections.abc import Callable, Iterable
from typing import Final

from exitless.study.trace_totals import LOST, Row
from exitless.study.whatif_seen import Cell, Seen
from exitless.study.whatif_words import PAGE, TRAP, Class
from exitless.vocab.kinds import Kind, RunState

WRITTEN: Final = 4096
MSR_WRITTEN: Final = 2**32
LEVEL: Final = 1024
X2APIC: Final = range(0x800, 0x900)
TSC_DEADLINE: Final = 0x6E0
# Hyper-V's own names of EOI, ICR and TPR.
HYPERV: Final = {0x40000070: 0xB0, 0x40000072: 0x80}
HYPERV_ICR: Final = 0x40000071
TPR, EOI, ICR, ICR_HIGH, TIMER, COUNT, NOW, DIVIDE, SELF = 0x80, 0xB0, 0x300, 0x310, 0x320, 0x380, 0x390, 0x3E0, 0x3F0

NAMED: Final = {
    "TPR_BELOW_THRESHOLD": Class.TPR_BELOW, "EOI_INDUCED": Class.EOI_TOLD, "NMI_WINDOW": Class.WINDOW_EXTERNAL,
    "PREEMPTION_TIMER": Class.TIMER_GUEST, "write_cr8": Class.CR8, "read_cr8": Class.CR8,
    "avic_incomplete_ipi": Class.IPI_ASLEEP,
}  # fmt: skip
WINDOW_EXITS: Final = ("INTERRUPT_WINDOW", "vintr")
HOST_EXITS: Final = ("EXTERNAL_INTERRUPT", "interrupt")
CALLS: Final = ("VMCALL", "hypercall")
# The host vectors that make a vCPU look again, and those of the host's timer: Linux, Xen.
KICKS: Final = {"kvm": (0xFD,), "xen": (0xFC,), "exitless": (0xFC, 0xF4)}
TIMERS: Final = {"kvm": (0xEC,), "xen": (0xFA,), "exitless": (0xFA,)}
FIRST_SYSTEM: Final = 0xEC
# Xen's interrupt sources.
PIC, NMI_SOURCE, CALLBACK = 1, 3, 5
CALLBACK_VECTOR: Final = 0xF3
PHYSDEV_OP: Final = 33
SEND_IPI: Final = 10
CR8: Final = 8
RUN_GAP_PS: Final = 50_000_000


class Cpu:
    """One vCPU: the exit that is open, and what is known around it."""

    def __init__(self) -> None:
        self.code = -1
        self.at = 0
        self.detail = -1
        self.inside = False
        self.host = -1
        self.accesses: list[tuple[int, int, int]] = []
        self.injected = -1
        self.eoi = -1
        self.call = -1
        self.ipi: tuple[int, int] | None = None
        self.accepted_inside = False
        self.accepted_outside: set[int] = set()
        self.pending: set[int] = set()
        self.serving: set[int] = set()
        self.busy: dict[int, bool] = {}
        self.asleep = False
        self.last_ipi = (-1, -1, -1)
        self.window = -1
        self.target = -1
        self.last_vector = -1
        self.late = False

    def open(self, time: int, code: int, detail: int) -> None:
        """An exit has happened."""
        self.code, self.at, self.detail, self.inside = code, time, detail, False
        self.accesses.clear()
        self.accepted_outside.clear()
        self.injected = self.eoi = self.call = -1
        self.ipi = None


class Classes:
    """Reads rows and fills a :class:`~exitless.study.whatif_seen.Seen`."""

    def __init__(self, seen: Seen, exit_name: Callable[[int], str], numbers: Callable[[int], tuple[str, int]]) -> None:
        self.seen = seen
        self.exit_name = exit_name
        self.numbers = numbers
        self.names: dict[int, str] = {}
        self.cpus: dict[int, Cpu] = {}
        self.level: set[int] = set()
        self.lapic: set[int] = set()
        self.upcall: set[int] = set()
        self.accepts = False
        self.calls_told = False

    def cpu(self, pcpu: int, vcpu: int) -> Cpu:
        """Find a vCPU, or who stands in for it on a pCPU."""
        key = vcpu if vcpu >= 0 else -2 - pcpu
        if key not in self.cpus:
            self.cpus[key] = Cpu()
        return self.cpus[key]

    def rows(self, rows: Iterable[Row]) -> None:
        """Take some rows, in the order of time."""
        for time, kind, pcpu, vcpu, a, b in rows:
            if kind == Kind.VM_EXIT:
                cpu = self.cpu(pcpu, vcpu)
                self.close(cpu, -1)
                cpu.open(time, a, b)
            elif kind == Kind.VM_ENTRY:
                self.entry(self.cpu(pcpu, vcpu), time)
            elif kind == LOST:
                for cpu in self.cpus.values():
                    cpu.pending.clear()
                    cpu.serving.clear()
            else:
                self.event(self.cpu(pcpu, vcpu), kind, a, b)

    def entry(self, cpu: Cpu, time: int) -> None:
        """The guest runs on: the open exit is judged, and what this entry injects.

        What is in service still has had an exit before its end, which takes PV EOI's mark back; KVM sets it again only
        with the next injection (KVM lapic.c apic_sync_pv_eoi_to_guest).
        """
        for vector in cpu.serving:
            cpu.busy[vector] = True
        if cpu.injected >= 0:
            vector = cpu.injected
            cpu.pending.discard(vector)
            cpu.busy[vector] = bool(cpu.pending or cpu.serving)
            cpu.serving.add(vector)
        late = cpu.injected >= 0 or bool(cpu.accepted_outside)
        self.close(cpu, time)
        cpu.late = late
        cpu.code, cpu.inside, cpu.host, cpu.asleep, cpu.accepted_inside = -1, True, -1, False, False

    def event(self, cpu: Cpu, kind: int, a: int, b: int) -> None:
        """Remember what may explain an exit."""
        seen = self.seen
        if kind == Kind.APIC_ACCESS:
            cpu.accesses.append((a & 0xFFF, a & WRITTEN, b))
        elif kind == Kind.MSR_ACCESS:
            self.msr(cpu, a & 0xFFFFFFFF, a & MSR_WRITTEN, b)
        elif kind == Kind.IRQ_INJECT:
            cpu.injected = cpu.last_vector = a
            seen.count("injected")
            if a in self.upcall or b == CALLBACK:
                self.upcall.add(a)
                seen.count("upcalls")
        elif kind == Kind.IRQ_WINDOW:
            cpu.window = b
            if b == CALLBACK:
                self.upcall.add(a)
        elif kind == Kind.IRQ_REQUEST or kind == Kind.PID_POST:
            self.request(cpu, kind, a, b)
        elif kind == Kind.IRQ_EOI:
            cpu.serving.discard(a)
            if b and cpu.code >= 0:
                cpu.eoi = a
            elif not b:
                seen.count("virtual")
        elif kind == Kind.EOI_SPARED:
            seen.count("spared")
        elif kind == Kind.GUEST_IPI:
            cpu.ipi = (a, b)
        elif kind == Kind.HYPERCALL:
            cpu.call = a
        elif kind == Kind.HOST_IRQ:
            cpu.host = a if a >= 0 else cpu.host
        elif kind == Kind.IOAPIC_SET and b & LEVEL:
            self.level.add(a)
        elif kind == Kind.RUNSTATE:
            cpu.asleep = b in (RunState.BLOCKED, RunState.RUNNABLE)
        elif kind == Kind.PID_PROCESS:
            seen.count("posted_running")

    def msr(self, cpu: Cpu, number: int, written: int, value: int) -> None:
        """An MSR of the local APIC is one of its registers by another name."""
        if number in X2APIC:
            cpu.accesses.append(((number & 0xFF) << 4, WRITTEN if written else 0, value))
        elif number in HYPERV:
            cpu.accesses.append((HYPERV[number], WRITTEN if written else 0, value))
        else:
            cpu.accesses.append((-number, written, value))

    def request(self, cpu: Cpu, kind: int, vector: int, how: int) -> None:
        """A vector is accepted for the vCPU: by its APIC, or by its posted-interrupt descriptor."""
        self.accepts = True
        self.lapic.add(vector)
        cpu.pending.add(vector)
        if cpu.inside:
            cpu.accepted_inside = True
        else:
            cpu.accepted_outside.add(vector)
        if kind == Kind.PID_POST:
            self.seen.count("posted")
            cpu.pending.discard(vector)
            if how < 0 and cpu.inside:  # a tracer: nothing tells the notification itself
                self.seen.count("posted_running")

    def close(self, cpu: Cpu, time: int) -> None:
        """Judge the exit that is open, if there is one."""
        if cpu.code < 0:
            return
        reason = self.names.get(cpu.code)
        if reason is None:
            reason = self.names[cpu.code] = self.exit_name(cpu.code)
        cls = self.judge(cpu, reason)
        self.seen.add(reason, cls, (time - cpu.at) / 1000 if time >= 0 else -1.0)
        cpu.code = -1

    def judge(self, cpu: Cpu, reason: str) -> str:
        """Say why an exit happened."""
        if reason in NAMED:
            return NAMED[reason]
        if reason in WINDOW_EXITS:
            return self.window(cpu)
        if reason in HOST_EXITS:
            return self.host(cpu)
        if reason in CALLS:
            xen = self.seen.hypervisor != "kvm"
            return Class.PIRQ_EOI if xen and cpu.call == PHYSDEV_OP else (
                Class.MANY_CALL if not xen and cpu.call == SEND_IPI else Class.KEPT
            )  # fmt: skip
        if reason == "CR_ACCESS" and cpu.detail >= 0 and cpu.detail & 15 == CR8:
            return Class.CR8
        return self.access(cpu, reason)

    def window(self, cpu: Cpu) -> str:
        """A window: for a vector of the local APIC, for Xen's callback, or for an 8259's interrupt."""
        vector = cpu.injected
        if cpu.window == CALLBACK:
            return Class.WINDOW_UPCALL
        if cpu.window in (PIC, NMI_SOURCE):
            return Class.WINDOW_EXTERNAL
        if vector < 0 or not self.accepts or vector in self.lapic:
            return Class.WINDOW
        return Class.WINDOW_EXTERNAL

    def host(self, cpu: Cpu) -> str:
        """An interrupt of the host: a kick, maybe a late one, a timer, or a device, for the guest or not."""
        hypervisor = self.seen.hypervisor
        vector = cpu.detail if cpu.detail >= 0 and self.seen.vendor == "vmx" else cpu.host
        if vector in KICKS[hypervisor]:
            if self.accepts and not (cpu.accepted_inside or cpu.injected >= 0 or cpu.late):
                return Class.HOST
            return Class.KICK
        caused = cpu.accepted_outside or (not self.accepts and cpu.injected >= 0)
        if vector < 0:
            return Class.HOST_UNTOLD
        if vector in TIMERS[hypervisor]:
            return Class.TIMER_GUEST if caused else Class.HOST
        if 0x20 <= vector < FIRST_SYSTEM and caused:
            return Class.DEVICE_GUEST
        return Class.HOST

    def access(self, cpu: Cpu, reason: str) -> str:
        """An access to a register of the local APIC, or none."""
        for offset, written, value in cpu.accesses:
            if offset == -TSC_DEADLINE:
                return Class.DEADLINE
            if offset == -HYPERV_ICR and written:
                return Class.IPI_HYPERV
            if offset > 0:
                return self.register(cpu, offset, bool(written), value)
        if reason in TRAP or (reason == "APIC_ACCESS" and cpu.detail >= 0):
            written = reason in TRAP or cpu.detail >> 12 & 15 == 1
            return self.register(cpu, cpu.detail & 0xFF0 if cpu.detail >= 0 else 0, written, -1)
        if reason in PAGE or reason in ("MSR_WRITE", "msr"):
            if cpu.eoi != -1 and cpu.eoi != -2:
                return self.register(cpu, EOI, True, -1)
            if cpu.ipi is not None:
                return self.register(cpu, ICR, True, -1)
        return Class.KEPT

    def register(self, cpu: Cpu, offset: int, written: bool, value: int) -> str:
        """Say which of its registers the access to the local APIC was for."""
        offset &= 0xFF0
        if offset == TPR:
            return Class.TPR
        if offset == ICR_HIGH:
            cpu.target = value >> 24 & 255 if written and value >= 0 else cpu.target
            return Class.ICR_HIGH if written else Class.ICR_READ
        if offset == ICR:
            return self.send(cpu, value) if written else Class.ICR_READ
        if offset == NOW:
            return Class.TIMER_READ
        if not written:
            return Class.APIC_READ
        if offset == EOI:
            return self.eoi(cpu)
        if offset == SELF:
            return Class.IPI_SELF
        return Class.TIMER_ARM if offset in (TIMER, COUNT, DIVIDE) else Class.APIC_WRITE

    def eoi(self, cpu: Cpu) -> str:
        """An EOI: level-triggered, while others wait, or alone."""
        if cpu.eoi in self.level:
            return Class.EOI_LEVEL
        if self.seen.hypervisor == "xen" and cpu.last_vector == CALLBACK_VECTOR and not self.upcall:
            return Class.EOI_UPCALL
        busy = cpu.busy.get(cpu.eoi, False) if cpu.eoi >= 0 else False
        return Class.EOI_BUSY if busy else Class.EOI

    def send(self, cpu: Cpu, value: int) -> str:
        """An IPI, by the value written to ICR, and by what is told of it else."""
        vector, target = cpu.ipi if cpu.ipi is not None else (-1, cpu.target)
        if value >= 0:
            mode, shorthand, logical = value >> 8 & 7, value >> 18 & 3, value >> 11 & 1
            if shorthand == 1:
                return Class.IPI_SELF
            if mode != 0:
                return Class.IPI_ODD
            if shorthand or (logical and self.several(value >> 32 if value >> 32 else target)):
                return Class.IPI_MANY
            vector = value & 255
            target = value >> 32 if value >> 32 else target
        elif vector < 16 and cpu.ipi is not None:
            return Class.IPI_ODD
        last, cpu.last_ipi = cpu.last_ipi, (vector, target, cpu.at)
        if vector == last[0] and target not in (-1, last[1]) and cpu.at - last[2] < RUN_GAP_PS:
            return Class.IPI_REST
        return Class.IPI_ASLEEP if self.sleeps(cpu, target) else Class.IPI

    @staticmethod
    def several(target: int) -> bool:
        """Tell whether a logical destination names more than one vCPU; one that is not told does not."""
        if target < 0:
            return False
        members = target & 0xFFFF if target > 255 else target & 255
        return members & (members - 1) != 0

    def sleeps(self, sender: Cpu, target: int) -> bool:
        """Tell whether the vCPU of a number, in the sender's machine, is known not to run."""
        mine = next((key for key, cpu in self.cpus.items() if cpu is sender), -1)
        if target < 0 or mine < 0:
            return False
        machine = self.numbers(mine)[0]
        for key, cpu in self.cpus.items():
            if key >= 0 and self.numbers(key) == (machine, target):
                halted = cpu.code >= 0 and self.exit_name(cpu.code) in ("HLT", "hlt")
                return cpu.asleep or halted
        return False

    def finish(self) -> None:
        """Nothing more comes: open exits are judged, and what is at work is named."""
        for cpu in self.cpus.values():
            self.close(cpu, -1)
        seen = self.seen
        if not seen.counts.get("injected"):
            self.untold()
        trapped = sum(n for reason, n in seen.rows.items() if reason in TRAP or reason == "EOI_INDUCED")
        if seen.counts.get("posted") or trapped:
            name = "avic" if seen.vendor == "svm" else "apicv"
            seen.on[name] = (
                f"{int(seen.counts.get('posted', 0)):,} interrupts posted, {int(trapped):,} trapped accesses"
            )
        if seen.counts.get("posted_running"):
            seen.on["posted"] = f"{int(seen.counts['posted_running']):,} of them to a running vCPU"
        if seen.counts.get("spared"):
            seen.on["pv-eoi"] = f"{int(seen.counts['spared']):,} EOIs left in memory"
        if ended := seen.sum_of((Class.EOI_UPCALL,)):
            seen.on["upcall-vector"] = f"{int(ended):,} EOIs after vector 0x{CALLBACK_VECTOR:x}"
            seen.count("upcalls_lapic", ended)
        if "virtual" not in seen.counts and seen.counts.get("posted"):
            told = seen.sum_of((Class.EOI_TOLD,))
            seen.counts["virtual"] = max(0.0, seen.counts["posted"] - told)
        if seen.cells and seen.software_way() == "msr":
            seen.on["x2apic"] = "the local APIC is reached by MSRs"

    def untold(self) -> None:
        """Where no injection was recorded, nothing tells which EOIs another vector or exit came before."""
        for (reason, cls), cell in list(self.seen.cells.items()):
            if cls == Class.EOI:
                cell.low = 0.0
                self.seen.cells[reason, Class.EOI_BUSY] = Cell(0.0, 0.0, cell.count)
                self.seen.why[reason] = "what each exit accessed; no injection was recorded, so what EOIs met is open"
