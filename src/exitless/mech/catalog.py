"""The catalogue of mechanisms: each a pair of a route and a delivery under a name, with a sentence and a citation."""

from typing import Final

from exitless.mech.delivery import Delivery
from exitless.mech.direct import Direct
from exitless.mech.injected import Injected
from exitless.mech.posted import Posted
from exitless.mech.virtual import Virtual

ROUTE_HOST: Final = "host vector"
ROUTE_CHANNEL: Final = "event channel"
ROUTE_POSTED: Final = "posted entry"
ROUTE_DIRECT: Final = "direct vector"


class Mechanism:
    """One row: how a passed-through device's interrupt is routed and how the vCPU comes to take it.

    ``registers`` is 1 with APIC-register virtualization. ``placement`` says which side chooses vectors in direct
    delivery: ``as-chosen``, ``guest-below`` (negotiated) or ``host-above`` (shuffled). ``callback`` says how a guest on
    event channels is told: ``vector`` for the global one, ``upcall`` for a vector of each vCPU's own local APIC.
    """

    def __init__(
        self,
        name: str,
        route: str,
        delivery: str,
        registers: int,
        placement: str,
        says: str,
        cites: str,
        order: str,
        callback: str = "vector",
    ) -> None:
        self.name = name
        self.route = route
        self.delivery = delivery
        self.registers = registers
        self.placement = placement
        self.says = says
        self.cites = cites
        self.order = order
        self.callback = callback


CATALOG: Final[list[Mechanism]] = [
    Mechanism(
        "emulated", ROUTE_HOST, "injected", 0, "",
        "Software keeps the guest's local APIC; VM entry injects, every EOI exits.",
        "Xen intr.c vmx_intr_assist",
        "Guest vectors never meet host vectors: every physical interrupt exits first, the guest's is injected "
        "afterwards.",
    ),
    Mechanism(
        "apic-registers", ROUTE_HOST, "injected", 1, "",
        "APIC-register virtualization alone: reads stay in the guest, writes exit after the store (APIC write).",
        "SDM apicv.writes",
        "As with an emulated APIC: the physical interrupt exits, the guest's is injected at the next entry.",
    ),
    Mechanism(
        "pvhvm", ROUTE_CHANNEL, "injected", 0, "",
        "The device's interrupt is a PIRQ on an event channel; the upcall is injected as vector 0xf3, outside the "
        "local APIC.",
        "Xen hvm/irq.c hvm_assert_evtchn_irq",
        "The callback outranks every guest vector at VM entry, and no host vector: a physical interrupt exits at once.",
    ),
    Mechanism(
        "apicv", ROUTE_HOST, "virtual", 1, "",
        "Virtual-interrupt delivery: Xen writes RVI before entry, the processor delivers; edge EOIs stay in the guest.",
        "SDM apicv.delivery",
        "A recognized virtual interrupt goes through the guest's IDT first, and the next boundary takes the physical "
        "one.",
    ),
    Mechanism(
        "posted", ROUTE_HOST, "posted", 1, "",
        "As apicv, and Xen posts to a running vCPU by a notification that needs no exit there; the device still exits"
        " once.",
        "SDM posted.processing",
        "The device's host vector and the SAS vector meet in the local APIC by class; both exit, one after the other.",
    ),
    Mechanism(
        "vtd-posted", ROUTE_POSTED, "posted", 1, "",
        "The remapping unit posts the guest's vector into the vCPU's descriptor: the table from guest to host vectors.",
        "VT-d posted.operation",
        "The bus carries only the notification vector of class F: it is processed first, then the SAS vector exits.",
    ),
    Mechanism(
        "direct", ROUTE_DIRECT, "direct", 0, "as-chosen",
        "ELI-like: no external-interrupt exiting, the guest takes physical vectors through a shadow IDT; the mail's "
        "fear.",
        "ELI shadow-idt",
        "Both are physical vectors of one local APIC: the higher class wins, and holds the other back until its EOI.",
    ),
    Mechanism(
        "direct-negotiated", ROUTE_DIRECT, "direct", 0, "guest-below",
        "Direct delivery, with the guest's vector chosen below those of dom0: the mail's first cure.",
        "ELI shadow-idt",
        "The SAS vector has the higher class; only the guest's IF=0 still holds it back.",
    ),
    Mechanism(
        "direct-shuffled", ROUTE_DIRECT, "direct", 0, "host-above",
        "Direct delivery, with the hypervisor's device vectors moved above the guest's: the mail's second cure.",
        "ELI shadow-idt",
        "The SAS vector has the higher class; only the guest's IF=0 still holds it back.",
    ),
    Mechanism(
        "pvhvm-apicv", ROUTE_CHANNEL, "posted", 1, "",
        "As pvhvm on a host with APICv: the global vector is injected all the same, and its window holds virtual "
        "delivery back.",
        "Xen intr.c vmx_intr_assist",
        "The callback outranks every guest vector at VM entry; while its window is armed no virtual interrupt is "
        "recognized.",
    ),
    Mechanism(
        "upcall-emulated", ROUTE_CHANNEL, "injected", 0, "",
        "PIRQ on an event channel; the upcall is a vector of the vCPU's own local APIC, which Xen emulates: no window, "
        "an EOI that exits.",
        "Xen hvm.c hvmop_set_evtchn_upcall_vector",
        "The upcall is a guest vector like others: its class decides among them, and every physical interrupt exits.",
        "upcall",
    ),
    Mechanism(
        "upcall-apicv", ROUTE_CHANNEL, "virtual", 1, "",
        "The upcall's vector by virtual-interrupt delivery: RVI before entry, no injection, no window, a free EOI.",
        "Xen hvm.c hvmop_set_evtchn_upcall_vector",
        "The upcall is a guest vector like others, recognized by the processor; the next boundary takes the physical "
        "one.",
        "upcall",
    ),
    Mechanism(
        "upcall-posted", ROUTE_CHANNEL, "posted", 1, "",
        "As upcall-apicv, and an event raised on another pCPU is posted to a running vCPU without an exit there.",
        "Xen hvm.c hvmop_set_evtchn_upcall_vector",
        "The upcall is a guest vector like others; a notification comes in class F, before every device's vector.",
        "upcall",
    ),
]  # fmt: skip


def find(name: str) -> Mechanism | None:
    """Return the row of that name, or None."""
    for row in CATALOG:
        if row.name == name:
            return row
    return None


def make_delivery(kind: str) -> Delivery:
    """Make the delivery that a row names."""
    if kind == "virtual":
        return Virtual()
    if kind == "posted":
        return Posted()
    if kind == "direct":
        return Direct()
    return Injected()
