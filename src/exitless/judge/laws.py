"""The laws a recording is held against: what each says, where it stands, and which kinds of events it needs."""

from typing import Final, NamedTuple

from exitless.vocab.kinds import Kind


class Law(NamedTuple):
    """One law of what a trace may show.

    ``phase`` names the phase of an interrupt's life in which a broken one goes wrong. ``needs`` are kinds of events
    without which the law cannot be asked; with ``ordered`` it needs one clock for all pCPUs. A law of ``delivery``
    cannot be asked where the processor delivers interrupts by itself, since no tracer sees that.
    """

    name: str
    phase: str
    says: str
    cites: str
    needs: tuple[int, ...]
    ordered: bool = False
    delivery: bool = False


# Phases of an interrupt's life.
ACCEPT: Final = "accept"
INJECT: Final = "inject"
DELIVER: Final = "deliver"
END: Final = "EOI"
WINDOW: Final = "window"
WAKE: Final = "wake-up"
SCHEDULE: Final = "schedule"

REQUESTED: Final = Law(
    "inject.requested", INJECT, "a vector is injected only after it was requested, and once for each request",
    "SDM apic.dispatch", (Kind.IRQ_INJECT, Kind.IRQ_REQUEST), True, True,
)  # fmt: skip
UNMASKED: Final = Law(
    "inject.unmasked", INJECT, "a vector is injected only if its class is above that of every vector in service",
    "SDM apic.priority", (Kind.IRQ_INJECT, Kind.IRQ_EOI), False, True,
)  # fmt: skip
HIGHEST: Final = Law(
    "inject.highest", INJECT, "of all vectors requested the highest is injected first",
    "SDM apic.dispatch", (Kind.IRQ_INJECT,), True, True,
)  # fmt: skip
ONCE: Final = Law(
    "inject.once", INJECT, "one entry injects one event, so nothing new is injected while another waits for its entry",
    "SDM vmx.event-injection", (Kind.IRQ_INJECT, Kind.VM_ENTRY),
)  # fmt: skip
OUTSIDE: Final = Law(
    "inject.outside", INJECT, "the hypervisor injects only between an exit and the next entry",
    "SDM vmx.event-injection", (Kind.IRQ_INJECT, Kind.VM_ENTRY, Kind.VM_EXIT),
)  # fmt: skip
AGAIN: Final = Law(
    "inject.again", INJECT, "what is injected again is what was injected last",
    "SDM vmx.event-injection", (Kind.IRQ_REINJECT, Kind.IRQ_INJECT),
)  # fmt: skip
LEGAL: Final = Law(
    "inject.legal", INJECT, "a vector below 16 is an 8259's; a local APIC neither accepts nor delivers one",
    "SDM apic.acceptance", (Kind.IRQ_INJECT,),
)  # fmt: skip
CARRIED_OUT: Final = Law(
    "access.outside", DELIVER, "an access that exits is carried out between the exit and the next entry",
    "SDM apicv.accesses", (Kind.VM_EXIT, Kind.VM_ENTRY),
)  # fmt: skip
IN_SERVICE: Final = Law(
    "eoi.in-service", END, "an end of interrupt ends the highest vector in service",
    "SDM apic.eoi", (Kind.IRQ_EOI, Kind.IRQ_INJECT), False, True,
)  # fmt: skip
BACKED: Final = Law(
    "eoi.backed", END, "no more ends of a vector than requests of it",
    "SDM apic.eoi", (Kind.IRQ_EOI, Kind.IRQ_REQUEST), True,
)  # fmt: skip
SOMETHING: Final = Law(
    "eoi.something", END, "an interrupt taken once is ended once; a second end finds nothing in service",
    "SDM apic.eoi", (Kind.IRQ_EOI, Kind.IRQ_INJECT), False, True,
)  # fmt: skip
CARRIED: Final = Law(
    "eoi.carried", END, "an end of interrupt comes with an exit that can carry it, at most one with each, or is spared",
    "SDM apicv.accesses", (Kind.IRQ_EOI, Kind.VM_ENTRY, Kind.VM_EXIT),
)  # fmt: skip
WRITTEN: Final = Law(
    "eoi.written", END, "each write of the EOI register that exits ends an interrupt, or finds none",
    "SDM apic.eoi", (Kind.IRQ_EOI, Kind.VM_ENTRY, Kind.VM_EXIT),
)  # fmt: skip
ARMED: Final = Law(
    "window.armed", WINDOW, "an interrupt-window exit comes only of a window that was armed for something pending",
    "Xen intr.c vmx_intr_assist", (Kind.VM_EXIT, Kind.VM_ENTRY, Kind.IRQ_INJECT), True, True,
)  # fmt: skip
USED: Final = Law(
    "window.used", INJECT, "in an open interrupt window what is pending is injected before the guest goes on",
    "Xen intr.c vmx_intr_assist", (Kind.VM_EXIT, Kind.VM_ENTRY, Kind.IRQ_INJECT), True, True,
)  # fmt: skip
SHADOW: Final = Law(
    "window.shadow", WINDOW, "STI holds interrupts back until the HLT after it has run, so no window opens at that HLT",
    "SDM exec.hlt", (Kind.VM_EXIT, Kind.VM_ENTRY, Kind.IRQ_INJECT), False, True,
)  # fmt: skip
PAIRED: Final = Law(
    "entry.paired", DELIVER, "a guest that runs is not entered again before it has exited",
    "SDM vmx.entry-order", (Kind.VM_EXIT, Kind.VM_ENTRY),
)  # fmt: skip
ENTERED: Final = Law(
    "exit.entered", DELIVER, "a guest exits only after it has been entered",
    "SDM vmx.entry-order", (Kind.VM_EXIT, Kind.VM_ENTRY),
)  # fmt: skip
DELIVERED: Final = Law(
    "entry.delivers", DELIVER, "an entry delivers what was injected for it",
    "SDM vmx.event-injection", (Kind.VM_ENTRY, Kind.IRQ_INJECT),
)  # fmt: skip
STOPPED: Final = Law(
    "exit.before-leaving", DELIVER, "a vCPU gives its pCPU away only after its guest has exited there",
    "SDM vmx.entry-order", (Kind.VM_EXIT, Kind.VM_ENTRY),
)  # fmt: skip
PLACED: Final = Law(
    "schedule.placed", SCHEDULE, "a vCPU enters and exits on the pCPU it was given, and on no other",
    "Xen vcpu.h runstates", (Kind.RUNSTATE, Kind.VM_ENTRY),
)  # fmt: skip
CHAINED: Final = Law(
    "schedule.chained", SCHEDULE, "a vCPU leaves the runstate it was in, and a pCPU runs one vCPU at a time",
    "Xen vcpu.h runstates", (Kind.RUNSTATE,), True,
)  # fmt: skip
WOKEN: Final = Law(
    "wake.woken", WAKE, "a vCPU that blocks runs again only after it was woken",
    "KVM kvm_main.c kvm_vcpu_block", (Kind.RUNSTATE, Kind.SCHED_WAKE), True,
)  # fmt: skip
KICKED: Final = Law(
    "wake.kicked", WAKE, "a blocked vCPU that accepts an interrupt is woken",
    "KVM kvm_main.c kvm_vcpu_block", (Kind.RUNSTATE, Kind.SCHED_WAKE, Kind.IRQ_REQUEST), True,
)  # fmt: skip
RIGHTLY: Final = Law(
    "wake.rightly", WAKE, "a vCPU does not go to sleep over an interrupt that it could take",
    "SDM exec.hlt", (Kind.RUNSTATE, Kind.IRQ_REQUEST, Kind.IRQ_INJECT, Kind.VM_EXIT, Kind.VM_ENTRY), True, True,
)  # fmt: skip

LAWS: Final = (
    REQUESTED, UNMASKED, HIGHEST, LEGAL, ONCE, OUTSIDE, AGAIN, IN_SERVICE, BACKED, SOMETHING, CARRIED, WRITTEN, ARMED,
    USED, SHADOW, PAIRED, ENTERED, CARRIED_OUT, STOPPED, DELIVERED, PLACED, CHAINED, WOKEN, KICKED, RIGHTLY,
)  # fmt: skip
