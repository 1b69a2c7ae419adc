"""One row a kind of event: its name, what its two arguments mean, its group and where real tracers have it.

Every output takes its names from here, and a test holds the table against :class:`~exitless.vocab.kinds.Kind`.
"""

from typing import NamedTuple

from exitless.vocab.kinds import Kind


class Row(NamedTuple):
    """One kind of event.

    ``model_only`` marks what no tracer could show; studies that must work on real traces do not use it.
    """

    kind: int
    name: str
    a: str
    b: str
    group: str
    says: str
    kvm: str = ""
    xen: str = ""
    model_only: bool = False


TABLE: tuple[Row, ...] = (
    Row(Kind.SOURCE_ASSERT, "source.assert", "source", "serial", "device", "a device or timer asserts its interrupt", "kvm_msi_set_irq", "HW_IRQ_HANDLED"),
    Row(Kind.SOURCE_HANDLE, "source.handle", "source", "serial", "guest", "the first instruction of the source's own handler", "irq_handler_entry in the guest"),
    Row(Kind.SOURCE_MERGE, "source.merge", "source", "serial", "device", "an assertion found an earlier one of the same source undelivered and became one with it", "", "", True),
    Row(Kind.MSI_ROUTE, "msi.route", "remapping index", "vector, -1 when posted", "device", "the remapping unit has translated a message", "kvm_pi_irte_update"),
    Row(Kind.LAPIC_ACCEPT, "lapic.accept", "host vector", "1 if it merged with a pending one", "pcpu", "a physical local APIC has accepted a vector"),
    Row(Kind.LAPIC_EOI, "lapic.eoi", "host vector", "", "pcpu", "a physical local APIC has retired a vector"),
    Row(Kind.HOST_IRQ, "host.irq", "host vector", "Xen irq, -1 for a direct vector", "pcpu", "the hypervisor handles a physical vector", "irq_handler_entry", "INTR, HW_IRQ_HANDLED"),
    Row(Kind.PID_POST, "pid.post", "guest vector", "1 when a notification is owed, 2 when PIR was already set, 4 when SN held it back, 8 when ON was already set; added up; -1 when not told", "routing", "a vector enters a posted-interrupt descriptor", "kvm_apicv_accept_irq"),
    Row(Kind.PID_PROCESS, "pid.process", "notification vector", "RVI afterwards", "vcpu", "the processor moves PIR into VIRR without an exit"),
    Row(Kind.PIR_SYNC, "pir.sync", "1 if ON was set", "highest VIRR afterwards", "vcpu", "the hypervisor moves PIR into VIRR"),
    Row(Kind.IPI_SEND, "ipi.send", "host vector", "destination pCPU", "pcpu", "a pCPU sends an interprocessor interrupt", "ipi:*"),
    Row(Kind.PID_MOVE, "pid.move", "pCPU notified before", "pCPU notified from now on", "routing", "the destination of a posted-interrupt descriptor is rewritten because its vCPU runs elsewhere"),
    Row(Kind.PID_CONTROL, "pid.control", "notification vector", "1 while notifications are suppressed", "routing", "the hypervisor writes the notification vector or the suppress bit of a posted-interrupt descriptor, whose destination is the pCPU of the row"),
    Row(Kind.EOI_MAP, "eoi.map", "word of the EOI-exit bitmap, 0 to 7", "its 32 bits", "vcpu", "the hypervisor writes a word of the EOI-exit bitmap to the VMCS"),
    Row(Kind.VM_EXIT, "vm.exit", "exit reason", "qualification, or the vector of an external interrupt; of an interrupt window 1 at the HLT where the exit before it stood", "vcpu", "the guest stops and the hypervisor runs", "kvm_exit", "VMX_EXIT, SVM_EXIT"),
    Row(Kind.VM_ENTRY, "vm.entry", "vector injected by this entry, -1 for none", "RVI", "vcpu", "the guest runs", "kvm_entry", "VMENTRY"),
    Row(Kind.IRQ_INJECT, "irq.inject", "guest vector", "interrupt source: 1 pic, 2 lapic, 3 nmi, 4 mce, 5 vector, 6 software, 7 not told, but no pic; -1 when not told", "vcpu", "the hypervisor fills the entry-injection field", "kvm_inj_virq", "INJ_VIRQ"),
    Row(Kind.IRQ_REINJECT, "irq.reinject", "guest vector", "interrupt source, as of irq.inject", "vcpu", "the hypervisor injects once more what an entry did not deliver; no new interrupt", "kvm_inj_virq [reinjected]", "REINJ_VIRQ"),
    Row(Kind.IRQ_WINDOW, "irq.window", "guest vector that waits", "interrupt source", "vcpu", "the hypervisor arms interrupt-window exiting", "", "INTR_WINDOW"),
    Row(Kind.IRQ_DELIVER, "irq.deliver", "guest vector", "RVI afterwards", "vcpu", "the processor vectors the guest through its IDT"),
    Row(Kind.IRQ_EOI, "irq.eoi", "guest vector; -1 when not told, -2 when none was in service", "1 if the write exits", "vcpu", "the guest ends the interrupt in service", "kvm_eoi"),
    Row(Kind.EOI_SPARED, "eoi.spared", "guest vector", "", "vcpu", "the end of interrupt recorded just before was left in memory by the guest and took no exit", "kvm_pv_eoi"),
    Row(Kind.IRQ_RETURN, "irq.return", "guest vector", "", "vcpu", "the guest's handler returns with IRET"),
    Row(Kind.IRQ_REQUEST, "irq.request", "guest vector, 2 for an NMI", "1 if it was already requested, -1 when not told", "vcpu", "a vector enters a guest's IRR", "kvm_apic_accept_irq"),
    Row(Kind.HYPERCALL, "hypercall", "hypercall number", "sub-operation", "vcpu", "the guest calls the hypervisor", "kvm_hypercall", "VMMCALL"),
    Row(Kind.GUEST_IPI, "guest.ipi", "guest vector, 2 for an NMI, -1 for INIT and the like", "destination as the guest wrote it", "vcpu", "a guest sends an interprocessor interrupt through its local APIC", "kvm_apic_ipi"),
    Row(Kind.GUEST_MSI, "guest.msi", "guest vector, 2 for an NMI", "destination of the message", "routing", "a message-signalled interrupt is sent to a guest", "kvm_msi_set_irq"),
    Row(Kind.GUEST_LINE, "guest.line", "global system interrupt", "level: 1 raised, 0 lowered", "routing", "an interrupt line of a guest is raised or lowered", "kvm_set_irq"),
    Row(Kind.IOAPIC_SET, "ioapic.set", "guest vector", "pin, plus 256 if it merged with a pending one, 512 if the pin is masked, 1024 if it is level-triggered", "routing", "a pin of a guest's I/O APIC is set", "kvm_ioapic_set_irq"),
    Row(Kind.PIC_SET, "pic.set", "pin, 8 to 15 on the second chip", "1 if it merged with a pending one, plus 2 if the pin is masked, 4 if it is level-triggered", "routing", "a pin of a guest's 8259 is set", "kvm_pic_set_irq"),
    Row(Kind.APIC_ACCESS, "apic.access", "offset of the register, plus 4096 if it is written", "value", "vcpu", "the hypervisor carries out a guest's access to a register of its local APIC", "kvm_apic, kvm_mmio", "IOMEM_READ, IOMEM_WRITE"),
    Row(Kind.MSR_ACCESS, "msr.access", "number of the MSR, plus 2^32 if it is written", "value", "vcpu", "the hypervisor carries out a guest's access to an MSR", "kvm_msr", "MSR_READ, MSR_WRITE"),
    Row(Kind.GUEST_HLT, "guest.hlt", "1 if already runnable again", "", "vcpu", "the guest halts", "kvm_exit HLT", "HLT"),
    Row(Kind.RVI_WRITE, "rvi.write", "RVI before", "RVI afterwards", "vcpu", "the hypervisor writes the guest interrupt status"),
    Row(Kind.PORT_RAISE, "port.raise", "port", "0 delivered, 1 already pending, 2 masked, 3 selector was set or appended to its queue, 4 READY was set, 5 linked already", "evtchn", "Xen raises an event channel"),
    Row(Kind.PORT_CLEAR, "port.clear", "port", "", "evtchn", "the guest clears the pending bit"),
    Row(Kind.PIRQ_HOLD, "pirq.hold", "host vector", "Xen irq", "pcpu", "a physical interrupt without mask bit stays in service until its guest ends it"),
    Row(Kind.PIRQ_READY, "pirq.ready", "Xen irq", "1 if the 1 ms timer of Xen ended it, not the guest", "pcpu", "all guests have ended a physical interrupt that was held in service"),
    Row(Kind.UPCALL_MARK, "upcall.mark", "1 if it was already set", "", "evtchn", "Xen sets evtchn_upcall_pending"),
    Row(Kind.UPCALL_ENTER, "upcall.enter", "callback vector", "", "evtchn", "the guest's upcall clears evtchn_upcall_pending and takes the selector"),
    Row(Kind.PIRQ_LIMIT, "pirq.limit", "Xen irq", "1 if it is on again", "pcpu", "Xen switches a physical interrupt that comes too often off for 10 ms"),
    Row(Kind.VECTOR_ASSIGN, "vector.assign", "host vector", "source", "routing", "a device interrupt gets another vector on another pCPU, and its remapping entry is rewritten", "", "ASSIGN_VECTOR"),
    Row(Kind.VECTOR_FREE, "vector.free", "host vector", "source", "pcpu", "a pCPU gives up the old vector of an interrupt that comes in elsewhere by now", "", "MOVE_CLEANUP"),
    Row(Kind.PCPU_OFFLINE, "pcpu.offline", "pCPU that takes its work over", "", "pcpu", "a pCPU has gone offline: it takes no interrupt and runs nobody any more"),
    Row(Kind.CPU_OWNER, "cpu.owner", "0 idle, 1 Xen, 2 dom0, 3 guest", "why: exit reason + 1, or 0", "pcpu", "another owner runs on a pCPU"),
    Row(Kind.RUNSTATE, "runstate", "old runstate", "new runstate", "sched", "a vCPU changes its runstate", "sched_switch", "RUNSTATE_CHANGE"),
    Row(Kind.SCHED_SWITCH, "sched.switch", "previous vCPU, -1 idle", "next vCPU, -1 idle", "sched", "a pCPU changes its vCPU", "sched_switch", "SWITCH"),
    Row(Kind.SCHED_WAKE, "sched.wake", "host thread that wakes it, 0 when not told or when no thread ran", "", "sched", "a vCPU becomes runnable", "sched_waking", "WAKE"),
    Row(Kind.SCHED_BLOCK, "sched.block", "", "", "sched", "a vCPU blocks", "kvm_vcpu_wakeup", "BLOCK"),
    Row(Kind.SCHED_TICKLE, "sched.tickle", "pCPU asked to reschedule", "", "sched", "the scheduler asks a pCPU to choose again", "", "tickle"),
    Row(Kind.VCPU_MOVE, "vcpu.move", "pCPU it leaves", "pCPU it goes to", "sched", "a vCPU runs on another pCPU than before", "sched_migrate_task", "picked cpu"),
    Row(Kind.HALT_END, "halt.end", "how long it lasted, in ns", "1 if the vCPU blocked after polling, plus 2 if the halt counts for the length of later polls", "sched", "a halted vCPU's thread goes on, woken while it polled or while it was blocked", "kvm_vcpu_wakeup"),
    Row(Kind.HALT_POLL, "halt.poll", "how long a halted vCPU polls from now on, in ns", "how long it polled before, in ns", "sched", "the hypervisor changes how long a halted vCPU's thread polls before it blocks", "kvm_halt_poll_ns"),
    Row(Kind.HOST_DONE, "host.done", "host vector, -1 when not told", "how long it took in ns, -1 for since host.irq", "pcpu", "the hypervisor has handled a physical vector", "irq_handler_exit", "HW_IRQ_HANDLED"),
    Row(Kind.SOFTIRQ, "softirq", "softirq number", "", "pcpu", "the hypervisor runs a softirq", "softirq_entry"),
    Row(Kind.SOFTIRQ_DONE, "softirq.done", "softirq number", "", "pcpu", "the hypervisor has run a softirq", "softirq_exit"),
    Row(Kind.STEP, "step", "cost identifier", "cost in ps", "pcpu", "time is charged for one named step", "", "", True),
    Row(Kind.NIC_POLL, "nic.poll", "frames taken", "frames left", "guest", "NAPI takes frames from the receive ring", "napi_poll in the guest"),
    Row(Kind.NIC_DROP, "nic.drop", "frames dropped", "", "device", "the receive ring was full", "", "", True),
    Row(Kind.TIMER_DONE, "timer.done", "", "", "pcpu", "what an expired timer calls has run", "hrtimer_expire_exit"),
    Row(Kind.TIMER_FIRE, "timer.fire", "source", "", "pcpu", "a timer's deadline has passed", "hrtimer_expire_entry"),
    Row(Kind.DISK_SUBMIT, "disk.submit", "source", "requests in flight", "guest", "a request goes to the disk controller"),
)

BY_KIND: dict[int, Row] = {row.kind: row for row in TABLE}
BY_NAME: dict[str, Row] = {row.name: row for row in TABLE}
