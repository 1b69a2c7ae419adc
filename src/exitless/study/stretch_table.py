"""The stretches of an interrupt's way that a recording times: one row each, with the steps of the cost table in it."""

from typing import Final, NamedTuple


class Definition(NamedTuple):
    """A stretch: its place in the way of an interrupt, its ends, its conditions, and the steps it is made of."""

    name: str
    place: str
    ends: str
    conditions: str
    steps: tuple[str, ...] = ()
    number: int = -1


CALM: Final = "nothing else in that exit: no host interrupt, no other injection, never off its pCPU"
WAY: Final = ("exit", "assist", "entry")

# In the order in which costs are set. The place is by step: 1 the source fires, 2 routed, 3 accepted, 4 notified, 5 the
# vCPU has a pCPU, 6 injected, 7 entered, 8 the handler starts, 9 EOI, 10 the line is acknowledged.
DEFINITIONS: Final = (
    Definition("host interrupt of a device", "1", "begin to end of its handlers, as the tracer brackets them", "every one", ("doirq",)),
    Definition("host interrupt of the timer", "1", "begin to end of the local timer's interrupt", "every one; what it calls is in it", ("timerirq",)),
    Definition("host interprocessor interrupt", "4", "begin to end of its handler", "every vector that is neither a device's nor the timer's", ("direct",)),
    Definition("host softirq", "1", "begin to end of one softirq", "no host interrupt in it", ("softirq",)),
    Definition("expired timer", "1", "begin to end of what one timer calls", "no host interrupt in it", ("timer_callback",)),
    Definition("exit to host interrupt", "7", "VM exit for a host interrupt to the begin of its handler", "the first one of that exit; VMX, where the tracer's exit comes first", ("exit",)),
    Definition("injection to entry", "6 to 7", "injection to VM entry", "no host interrupt in between", ("entry", "inject")),
    Definition("window exit to injection", "6", "VM exit for an interrupt window to the injection", "nothing in between", ("exit", "window", "assist")),
    Definition("exit for a window, nothing to inject", "7", "VM exit for an interrupt window to VM entry", CALM, ("window", *WAY)),
    Definition("exit for a window", "6 to 7", "VM exit for an interrupt window to VM entry", "one injection, no host interrupt", ("window", *WAY, "inject")),
    Definition("exit for a hypercall", "7", "VM exit for a hypercall to VM entry", CALM + "; what the call itself does is in it", ("hypercall", *WAY)),
    Definition("exit for an EOI", "9", "VM exit for an EOI to VM entry", CALM, ("eoi_exit", "msieoi", *WAY)),
    Definition("exit for an IPI", "1 to 3", "VM exit for a write of ICR to VM entry", CALM, ("icr", "vlapic", *WAY)),
    Definition("exit that sets a timer", "7", "VM exit for a write of the timer's count or deadline to VM entry", CALM, ("apic_emulation", "settimer", *WAY)),
    Definition("halt to blocked", "5", "VM exit for HLT to the vCPU's leaving its pCPU", CALM, ("hlt", "exit", "assist", "sched")),
    Definition("wake-up to running, pCPU idle", "4 to 5", "wake-up to running", "the pCPU was idle at the wake-up", ("sched",)),
    Definition("running to entry", "5 to 7", "the vCPU gets its pCPU to VM entry", "somebody else had the pCPU before; no host interrupt, no injection", ("ctxsw", "assist", "entry")),
    Definition("guest's handler", "7 to 9", "VM entry with the vector to the VM exit of its EOI", "no exit in between; a Linux guest's timer vector", ("g_irq_entry", "g_tick", "eoi_virt"), 0xEC),
    Definition("guest's handler", "7 to 9", "VM entry with the vector to the VM exit of its EOI", "no exit in between; a Linux guest's function call", ("g_irq_entry", "g_ipi_isr", "eoi_virt"), 0xFB),
    Definition("guest's handler", "7 to 9", "VM entry with the vector to the VM exit of its EOI", "no exit in between; a Linux guest's reschedule", ("g_irq_entry", "g_ipi_isr", "eoi_virt"), 0xFD),
    Definition("guest's handler", "7 to 9", "VM entry with the vector to the VM exit of its EOI", "no exit in between"),
    Definition("MSI to accepted", "2 to 3", "the message to its acceptance by the local APIC", "same pCPU, same vector, no entry in between"),
    Definition("IPI to accepted", "2 to 3", "the guest's ICR write to its acceptance", "same pCPU, same vector, no entry in between"),
    Definition("accepted to wake-up", "3 to 4", "acceptance to wake-up", "the vCPU was blocked"),
    Definition("wake-up to running, pCPU busy", "4 to 5", "wake-up to running", "the pCPU was not idle at the wake-up"),
    Definition("wake-up to running", "4 to 5", "wake-up to running", "whether the pCPU was idle is not told"),
    Definition("accepted to injection", "3 to 6", "acceptance to injection", "where the interrupt found the vCPU is in the name"),
    Definition("injection to EOI", "6 to 9", "injection to EOI", "every one"),
    Definition("accepted to EOI, not injected", "3 to 9", "acceptance to EOI", "the processor delivered by itself"),
    Definition("halt that only polled", "5", "the halt's own time, as the hypervisor measured it", "woken while it polled"),
    Definition("halt that blocked", "5", "the halt's own time, as the hypervisor measured it", "it blocked"),
    Definition("halt to blocked, with polling", "5", "VM exit for HLT to the vCPU's leaving its pCPU", CALM),
    Definition("exit", "7", "VM exit to VM entry", CALM),
)  # fmt: skip
UNTIMED: Final = "step 8 (the handler starts) and step 10 (the line is acknowledged) have no row in a host's recording and no time here"
