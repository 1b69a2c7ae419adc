"""What a row of a record says in words, and which rule stands behind it."""

from exitless.record.block import Event, Header
from exitless.vocab.exits import Exit
from exitless.vocab.kinds import Kind
from exitless.vocab.table import BY_KIND

RULES: dict[int, tuple[str, str]] = {
    Kind.MSI_ROUTE: ("vtd.remap.translate", "VT-d remap.algorithm"),
    Kind.PID_POST: ("vtd.post.post", "VT-d posted.operation"),
    Kind.LAPIC_ACCEPT: ("x86.lapic.accept", "SDM apic.acceptance"),
    Kind.LAPIC_EOI: ("x86.lapic.end_of_interrupt", "SDM apic.eoi"),
    Kind.PID_PROCESS: ("vmx.posted: clear ON, take PIR, raise RVI; vmx.evaluate", "SDM posted.processing"),
    Kind.PIR_SYNC: ("vmx.posted.take_pir, by software", "Xen vmx.c vmx_sync_pir_to_irr"),
    Kind.VM_EXIT: ("vmx.boundary.arbitrate", "SDM vmx.event-priority"),
    Kind.VM_ENTRY: ("vmx.injection: load_at_entry, inject_at_entry", "SDM vmx.event-injection"),
    Kind.HOST_IRQ: ("do_IRQ", "Xen irq.c do_IRQ"),
    Kind.IRQ_INJECT: ("procedures.assist.intr_assist", "Xen intr.c vmx_intr_assist"),
    Kind.IRQ_WINDOW: ("procedures.assist.intr_assist", "Xen intr.c vmx_intr_assist"),
    Kind.RVI_WRITE: ("procedures.assist.intr_assist", "Xen intr.c vmx_intr_assist"),
    Kind.IRQ_REQUEST: ("vmx.injection.request_interrupt", "Xen vlapic.c vlapic_set_irq"),
    Kind.IRQ_DELIVER: ("vmx.evaluate.deliver_virtual_interrupt", "SDM apicv.delivery"),
    Kind.IRQ_EOI: ("vmx.access, then vmx.eoi", "SDM apicv.eoi"),
    Kind.PID_MOVE: ("vmx_pi_switch_to", "Xen vmx.c vmx_pi_switch_to"),
    Kind.PIRQ_HOLD: ("xen.eoi_stack.push", "Xen irq.c pending_eoi"),
    Kind.PIRQ_READY: ("xen.pirq: guest_eoi or forced_eoi; xen.eoi_stack.mark_ready", "Xen irq.c desc_guest_eoi"),
    Kind.PIRQ_LIMIT: ("xen.eoi_stack.exceeds_rate", "Xen irq.c irq_ratelimit"),
    Kind.VECTOR_ASSIGN: ("xen.vectors: acknowledge, assign_vector", "Xen irq.c assign_irq_vector"),
    Kind.PCPU_OFFLINE: ("xen.vectors.fix_up; procedures.offline", "Xen irq.c fixup_irqs"),
    Kind.VECTOR_FREE: ("xen.vectors.clean_up", "Xen irq.c irq_move_cleanup_interrupt"),
    Kind.PORT_RAISE: ("xen.two_level.raise_port", "Xen 2l.c evtchn_2l_set_pending"),
    Kind.UPCALL_MARK: ("xen.two_level.mark_events_pending", "Xen domain.c vcpu_mark_events_pending"),
    Kind.UPCALL_ENTER: (
        "xen.two_level.guest_take_upcall, guest_take_selector",
        "Linux events_2l.c evtchn_2l_handle_events",
    ),
    Kind.PORT_CLEAR: ("xen.two_level.guest_clear_pending", "Linux events_2l.c evtchn_2l_handle_events"),
    Kind.HYPERCALL: ("hypercall", "Xen physdev.c irq_status_query"),
    Kind.SOFTIRQ: ("softirq", "Xen softirq.h"),
    Kind.SCHED_WAKE: ("vcpu_unblock", "Xen core.c vcpu_unblock"),
    Kind.SCHED_SWITCH: ("schedule", "Xen credit.c priorities"),
}
# What stands behind an event of the FIFO ABI instead.
FIFO_RULES: dict[int, tuple[str, str]] = {
    Kind.PORT_RAISE: (
        "xen.fifo.raise_port: PENDING, LINKED, LINK of the tail or HEAD and READY",
        "Xen event_fifo.c raise",
    ),
    Kind.UPCALL_ENTER: (
        "xen.two_level.guest_take_upcall, xen.fifo_guest.guest_take_ready",
        "Linux events_fifo.c handle",
    ),
    Kind.PORT_CLEAR: (
        "xen.fifo_guest.guest_consume, the highest queue that is ready; then guest_clear_pending",
        "Linux events_fifo.c consume",
    ),
}
EXIT_RULES = {
    Exit.HLT: ("HLT exiting", "SDM vmx.controls"),
    Exit.VMCALL: ("VMCALL always exits", "SDM vmx.exit-reasons"),
    Exit.MSR_WRITE: ("vmx.access.write_msr: the MSR bitmap", "SDM apicv.x2apic-msrs"),
    Exit.APIC_ACCESS: ("vmx.access.page_write", "SDM apicv.writes"),
    Exit.APIC_WRITE: ("vmx.access.write_emulation", "SDM apicv.write-emulation"),
    Exit.EOI_INDUCED: ("vmx.eoi.eoi_virtualization", "SDM apicv.eoi"),
}
WITH_ARGUMENT = {0: "vector", 1: "vector", 32: "x2APIC register", 44: "page offset", 45: "vector", 56: "page offset"}
EVENT_CHANNEL_OP = 32
INTERRUPT_SOURCES = ("none", "pic", "lapic", "nmi", "mce", "vector")


def posted(bits: int) -> str:
    """Say what came of posting, by the bits of a ``pid.post`` row."""
    words = ["a notification is owed" if bits & 1 else "no notification is owed"]
    if bits & 2:
        words.append("PIR held it already")
    if bits & 4:
        words.append("SN held the notification back")
    if bits & 8:
        words.append("ON was set already")
    return ", ".join(words)


def say(e: Event, header: Header) -> str:
    """Say what a row means, with names in place of numbers."""
    row = BY_KIND[e.kind]
    words = [row.says]
    if e.kind == Kind.PID_POST:
        return f"{row.says}: guest vector 0x{e.a:02x}; {posted(e.b)}"
    for label, value in ((row.a, e.a), (row.b, e.b)):
        if not label:
            continue
        if label == "source":
            words.append(header.sources[value])
        elif label == "exit reason":
            words.append(header.exits.get(value, str(value)))
        elif (
            label.startswith("vector") or "vector" in label.split(",")[0] or label.startswith("RVI") or "VIRR" in label
        ):
            words.append(f"{label.split(',')[0]} " + (f"0x{value:02x}" if value >= 0 else "none"))
        elif label.startswith("qualification"):
            if e.a in WITH_ARGUMENT:
                words.append(f"{WITH_ARGUMENT[e.a]} 0x{value:02x}")
        elif label.startswith("interrupt source"):
            words.append(f"source {INTERRUPT_SOURCES[value]}")
        elif label.startswith("1 if "):
            words.append(label.removeprefix("1 if ") if value else "")
        elif label.startswith("0 ") or label.startswith("1 ") or label.startswith("1 if"):
            words.append(f"({value}: {label})" if value else "")
        else:
            words.append(f"{label.split(',')[0]} {value}")
    return words[0] + (": " + ", ".join(w for w in words[1:] if w) if any(words[1:]) else "")


def rule_of(e: Event, header: Header) -> tuple[str, str]:
    """Name the rule behind a row and its citation; direct delivery has its own for the guest's IDT, FIFO events have
    theirs.
    """
    if e.vcpu in header.fifo and e.kind in FIFO_RULES:
        return FIFO_RULES[e.kind]
    if e.kind == Kind.IRQ_DELIVER and header.mechanism.startswith("direct"):
        return "vmx.boundary.arbitrate, then the shadow IDT", "ELI shadow-idt"
    if e.kind == Kind.HYPERCALL and e.a == EVENT_CHANNEL_OP:
        return "evtchn_send", "Xen event_channel.c evtchn_send"
    if e.kind == Kind.VM_EXIT and e.a in EXIT_RULES:
        return EXIT_RULES[e.a]
    return RULES.get(e.kind, ("", ""))
