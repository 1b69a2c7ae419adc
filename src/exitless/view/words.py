"""What each step of an interrupt's way is called, what happens in it, and where that is written."""

from typing import Final, NamedTuple

from exitless.record.block import Header
from exitless.study.ways import Step
from exitless.view.names import call_name, is_direct, owner_name, reason_name, source_name, vcpu_name
from exitless.vocab.exits import Exit
from exitless.vocab.kinds import Kind
from exitless.vocab.table import BY_KIND

CITES: Final = {
    "VT-d posted.descriptor": "Intel VT-d Specification rev. 5.10, Posted Interrupt Descriptor (9.11)",
    "SDM posted.processing": "Intel SDM vol. 3, Posted-Interrupt Processing (29.6)",
    "SDM apicv.delivery": "Intel SDM vol. 3, Virtual-Interrupt Delivery (29.2.2)",
    "SDM apicv.evaluation": "Intel SDM vol. 3, Evaluation of Pending Virtual Interrupts (29.2.1)",
    "SDM apicv.eoi": "Intel SDM vol. 3, EOI Virtualization (29.1.4)",
    "SDM vmx.event-injection": "Intel SDM vol. 3, Event Injection (26.5)",
    "SDM vmx.exit-reasons": "Intel SDM vol. 3, VMX Basic Exit Reasons (Appendix C)",
    "Xen irq.c do_IRQ": "Xen, xen/arch/x86/irq.c, do_IRQ",
    "Xen intr.c vmx_intr_assist": "Xen, xen/arch/x86/hvm/vmx/intr.c, vmx_intr_assist",
    "Xen event_2l.c evtchn_2l_set_pending": "Xen, xen/common/event_2l.c, evtchn_2l_set_pending",
    "Xen vlapic.c vlapic_set_irq": "Xen, xen/arch/x86/hvm/vlapic.c, vlapic_set_irq",
    "Linux events_base.c __xen_evtchn_do_upcall": "Linux, drivers/xen/events/events_base.c, __xen_evtchn_do_upcall",
    "Linux events_2l.c evtchn_2l_clear_pending": "Linux, drivers/xen/events/events_2l.c, evtchn_2l_clear_pending",
}


class Words(NamedTuple):
    """A step in words: a title, a detail, a sentence, and the key of its citation (empty for none)."""

    title: str
    detail: str
    sentence: str
    cites: str = ""


def words(header: Header, step: Step, host: str = "Xen") -> Words:
    """Put one row into words."""
    for part in (_device, _local_apic, _boundary, _virtual, _channel, _schedule):
        found = part(header, step, host)
        if found is not None:
            return found
    row = BY_KIND.get(step.kind)
    if row is None:
        return Words(f"kind {step.kind}", "", "This kind of row is not in the vocabulary.")
    return Words(row.name, f"{step.a}, {step.b}", f"{row.says[0].upper()}{row.says[1:]}.")


def _device(header: Header, s: Step, host: str) -> Words | None:
    if s.kind == Kind.SOURCE_ASSERT:
        return Words(
            f"{source_name(header, s.a)} asserts", "message on its way",
            "The source asks for service. From here to the first instruction of its handler is latency.",
        )  # fmt: skip
    if s.kind == Kind.TIMER_FIRE:
        return Words("Timer fires", f"pCPU{s.pcpu}", f"The deadline has passed, and {host} finds the timer expired.")
    if s.kind == Kind.MSI_ROUTE and s.b < 0:
        return Words(
            f"IRTE[{s.a}] posts", f"to the PID of {vcpu_name(header, s.vcpu)}",
            "The remapping entry is in posted mode: the unit sends no vector on but writes the guest's vector into the "
            "posted-interrupt descriptor that the entry names.", "VT-d posted.descriptor",
        )  # fmt: skip
    if s.kind == Kind.MSI_ROUTE:
        where = f", pCPU{s.pcpu}" if s.pcpu >= 0 else ""
        return Words(
            f"IRTE[{s.a}] remaps", f"host vector 0x{s.b:02x}{where}",
            f"The remapping unit turns the message into host vector 0x{s.b:02x}. It is a vector of the physical local "
            "APIC: no guest vector is compared with it.",
        )  # fmt: skip
    if s.kind == Kind.PID_POST:
        return _post(header, s)
    return _moving(header, s)


def _moving(header: Header, s: Step) -> Words | None:
    """An interrupt on its way to another pCPU, or a pCPU that goes."""
    row = BY_KIND[s.kind]
    says = f"{row.says[0].upper()}{row.says[1:]}."
    if s.kind == Kind.VECTOR_ASSIGN:
        return Words(f"{source_name(header, s.b)} moves", f"host vector 0x{s.a:02x}, pCPU{s.pcpu}", says)
    if s.kind == Kind.VECTOR_FREE:
        return Words(f"{source_name(header, s.b)} has moved", f"0x{s.a:02x} is free on pCPU{s.pcpu}", says)
    if s.kind == Kind.PCPU_OFFLINE:
        return Words(f"pCPU{s.pcpu} is offline", f"pCPU{s.a} does its work", says)
    return None


def _post(header: Header, s: Step) -> Words:
    """A post, by the bits of its second argument."""
    said = "PIR set"
    why = "a notification is owed"
    if s.b & 1:
        said, why = "PIR, ON set", "notification sent"
    elif s.b & 4:
        why = "SN = 1, no notification"
    elif s.b & 8:
        why = "ON was set, no notification"
    elif s.b & 2:
        why = "PIR was set already"
    by = "The remapping unit" if s.pcpu < 0 else f"pCPU{s.pcpu}"
    tail = {
        True: "ON was clear and SN is clear, so ON is set and the notification vector goes to the pCPU in NDST.",
        False: f"No notification follows: {why.split(',')[0]}.",
    }[bool(s.b & 1)]
    return Words(
        said, why, f"{by} sets bit 0x{s.a:02x} of PIR in the descriptor of {vcpu_name(header, s.vcpu)}. {tail}",
        "VT-d posted.descriptor",
    )  # fmt: skip


def _local_apic(header: Header, s: Step, host: str) -> Words | None:
    if s.kind == Kind.LAPIC_ACCEPT:
        merged = ", merged" if s.b else ""
        return Words(
            f"0x{s.a:02x} arrives", f"IRR of pCPU{s.pcpu}{merged}",
            f"The local APIC of pCPU{s.pcpu} accepts host vector 0x{s.a:02x} into its IRR"
            + (", where that vector was pending already: both are one now." if s.b else "."),
        )  # fmt: skip
    if s.kind == Kind.HOST_IRQ:
        what = f"irq {s.b}" if s.b >= 0 else "direct vector"
        return Words(
            f"{host} takes 0x{s.a:02x}", what,
            f"The handler of host vector 0x{s.a:02x} runs on pCPU{s.pcpu}. Its local APIC gets the EOI at once, so "
            "nothing of the guest's holds back another host vector.", "Xen irq.c do_IRQ" if host == "Xen" else "",
        )  # fmt: skip
    if s.kind == Kind.PID_PROCESS:
        return Words(
            "PIR into VIRR", f"RVI 0x{s.b:02x}, no exit",
            f"The vector that arrived, 0x{s.a:02x}, is the notification vector in the VMCS, so the CPU does not exit. "
            f"It clears ON, gives its local APIC the EOI, moves all of PIR into VIRR and raises RVI to 0x{s.b:02x}.",
            "SDM posted.processing",
        )  # fmt: skip
    if s.kind == Kind.PIR_SYNC:
        return Words(
            f"{host} syncs PIR", f"highest VIRR 0x{s.b:02x}" if s.b >= 0 else "VIRR empty",
            f"The vCPU is not in guest mode, so {host} itself moves PIR into VIRR before it enters the guest.",
            "Xen intr.c vmx_intr_assist" if host == "Xen" else "",
        )  # fmt: skip
    return None


def _boundary(header: Header, s: Step, host: str) -> Words | None:
    if s.kind == Kind.VM_EXIT:
        reason = reason_name(header, s.a)
        what = f"vector 0x{s.b:02x}" if s.a == Exit.EXTERNAL_INTERRUPT else f"qualification {s.b:#x}"
        return Words(
            reason, f"exit, {what}" if s.b or s.a == Exit.EXTERNAL_INTERRUPT else "exit",
            f"{vcpu_name(header, s.vcpu)} stops with exit reason {reason}, and {host} runs on pCPU{s.pcpu}.",
            "SDM vmx.exit-reasons",
        )  # fmt: skip
    if s.kind == Kind.VM_ENTRY and s.a >= 0:
        return Words(
            f"0x{s.a:02x} injected", f"VM entry, pCPU{s.pcpu}",
            f"VM entry delivers vector 0x{s.a:02x} through the guest's IDT before its first instruction.",
            "SDM vmx.event-injection",
        )  # fmt: skip
    if s.kind == Kind.VM_ENTRY:
        return Words("VM entry", f"pCPU{s.pcpu}", f"{vcpu_name(header, s.vcpu)} runs again on pCPU{s.pcpu}.")
    if s.kind == Kind.HYPERCALL:
        name = call_name(s.a, s.b)
        return Words(name, "hypercall", f"{vcpu_name(header, s.vcpu)} calls {host}: {name}.")
    return None


def _virtual(header: Header, s: Step, host: str) -> Words | None:
    vcpu = vcpu_name(header, s.vcpu)
    cite = "Xen intr.c vmx_intr_assist" if host == "Xen" else ""
    if s.kind == Kind.IRQ_REQUEST:
        return Words(
            f"0x{s.a:02x} requested", f"IRR of {vcpu}" + (", set already" if s.b else ""),
            f"{host} sets bit 0x{s.a:02x} of the virtual IRR of {vcpu}.",
            "Xen vlapic.c vlapic_set_irq" if host == "Xen" else "",
        )  # fmt: skip
    if s.kind == Kind.IRQ_INJECT:
        return Words(
            f"0x{s.a:02x} to inject", "entry field filled",
            f"{host} writes vector 0x{s.a:02x} into the entry-injection field; the next VM entry delivers it.", cite,
        )  # fmt: skip
    if s.kind == Kind.IRQ_WINDOW:
        return Words(
            "Window armed", f"0x{s.a:02x} waits",
            f"The guest cannot take vector 0x{s.a:02x} now, so {host} asks for an exit as soon as it can.", cite,
        )  # fmt: skip
    if s.kind == Kind.RVI_WRITE:
        return Words("RVI written", f"0x{s.a:02x} to 0x{s.b:02x}", f"{host} writes the guest interrupt status.", cite)
    if s.kind == Kind.IRQ_DELIVER and is_direct(header, s.vcpu, s.a):
        return Words(
            f"0x{s.a:02x} in service", f"pCPU{s.pcpu}",
            f"The CPU delivers host vector 0x{s.a:02x} through the guest's IDT, out of the local APIC of pCPU{s.pcpu}: "
            "no virtual APIC holds it, and no exit is needed.",
        )  # fmt: skip
    if s.kind == Kind.IRQ_DELIVER:
        return Words(
            f"0x{s.a:02x} in service", f"RVI 0x{s.b:02x}",
            f"The CPU delivers 0x{s.a:02x} through the guest's IDT: the bit moves from VIRR to VISR, VPPR rises, and "
            f"RVI becomes 0x{s.b:02x}. No exit is needed.", "SDM apicv.delivery",
        )  # fmt: skip
    if s.kind == Kind.SOURCE_HANDLE:
        return Words(
            f"{source_name(header, s.a)} handler", "first instruction",
            f"The first instruction of the handler of {source_name(header, s.a)} runs on {vcpu}. Latency ends here.",
        )  # fmt: skip
    if s.kind == Kind.IRQ_EOI:
        said = "and the write exits" if s.b else "and the write needs no exit"
        return Words(
            "EOI exits" if s.b else "EOI, no exit", f"0x{s.a:02x}",
            f"{vcpu} ends vector 0x{s.a:02x}, {said}.",
            "" if is_direct(header, s.vcpu, s.a) else "SDM apicv.eoi",
        )  # fmt: skip
    if s.kind == Kind.IRQ_RETURN:
        return Words("Handler returns", "IRET", f"The handler on {vcpu} returns, and what it interrupted goes on.")
    return None


def _channel(header: Header, s: Step, host: str) -> Words | None:
    vcpu = vcpu_name(header, s.vcpu)
    if s.kind == Kind.PORT_RAISE:
        how = {
            0: "delivered",
            1: "was pending",
            2: "masked",
            3: "selector was set or appended",
            4: "READY was set",
            5: "linked already",
        }.get(s.b, "?")
        return Words(
            f"Port {s.a} pending", how,
            f"{host} sets the pending bit of port {s.a}"
            + (f"; {vcpu} is told." if s.b == 0 else f": {how}, so no more."),
            "Xen event_2l.c evtchn_2l_set_pending",
        )  # fmt: skip
    if s.kind == Kind.UPCALL_MARK:
        return Words("Upcall pending", vcpu, f"{host} sets evtchn_upcall_pending of {vcpu}.")
    if s.kind == Kind.UPCALL_ENTER:
        return Words(
            "Upcall begins", vcpu, f"{vcpu} clears evtchn_upcall_pending and takes its selector word.",
            "Linux events_base.c __xen_evtchn_do_upcall",
        )  # fmt: skip
    if s.kind == Kind.PORT_CLEAR:
        return Words(
            f"Port {s.a} taken", "pending bit cleared", f"{vcpu} finds port {s.a} and clears its pending bit.",
            "Linux events_2l.c evtchn_2l_clear_pending",
        )  # fmt: skip
    return None


def _schedule(header: Header, s: Step, host: str) -> Words | None:
    vcpu = vcpu_name(header, s.vcpu)
    if s.kind == Kind.SCHED_WAKE:
        return Words(f"{vcpu} wakes", "blocked to runnable", f"{vcpu} was blocked; {host} makes it runnable.")
    if s.kind == Kind.SCHED_SWITCH:
        return Words(f"{vcpu} scheduled", f"pCPU{s.pcpu}", f"The scheduler gives pCPU{s.pcpu} to {vcpu}.")
    if s.kind == Kind.VCPU_MOVE:
        return Words(f"{vcpu} moves", f"pCPU{s.a} to pCPU{s.b}", f"{vcpu} runs on another pCPU than before.")
    if s.kind == Kind.CPU_OWNER:
        owner = owner_name(header, s.a)
        return Words(f"{owner} runs", f"pCPU{s.pcpu}", f"pCPU{s.pcpu} runs {owner} from here on.")
    return None
