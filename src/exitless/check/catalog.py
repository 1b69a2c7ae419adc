"""The worlds, and the ways to break each on purpose. A new world is one row here and one file in ``worlds``."""

from typing import Final

from exitless.check.entry import Entry, Mutation
from exitless.check.properties import shown_by
from exitless.check.small_worlds import make_small, small_entries
from exitless.check.world import World
from exitless.check.worlds.collecting import consume_order, post_order
from exitless.check.worlds.entering import event_with_reinjection, window_under_vid
from exitless.check.worlds.fifo_link import fifo_link
from exitless.check.worlds.pirq_in_flight import pirq_in_flight
from exitless.check.worlds.post_while_blocking import post_while_blocking
from exitless.check.worlds.post_while_migrating import post_while_migrating
from exitless.check.worlds.post_while_preempted import post_while_preempted
from exitless.check.worlds.unmask_while_sending import unmask_while_sending

SOFTIRQ_NOTE: Final = (
    "Here the handler of the wake-up vector raises a softirq, as that of the notification vector does. Xen's, as its "
    "source reads, does not; wakeup-raises-no-softirq shows what follows. Read in the source, not observed."
)
RESCAN_NOTE: Final = (
    "Here switching in sets ON when PIR holds anything, as KVM does. Xen's, as its source reads, does not; no-rescan "
    "shows what follows (candidate C1). Read in the source, not observed."
)
REINJECTION_NOTE: Final = (
    "Here Xen arms the window for a callback that meets an event to be injected again, as it does without APICv. With "
    "APICv its source, as it reads, does not; no-window-for-callback shows what follows (candidate C3). Not observed."
)
RVI_NOTE: Final = (
    "Here Xen writes RVI also when an event to be injected again keeps it from acknowledging a vector, and arms the "
    "window for a callback then. Its source, as it reads, does neither; rvi-in-lapic-branch-only and "
    "no-window-for-callback show what follows (candidates C2, C3). Not observed."
)
LOCK_NOTE: Final = (
    "The guest never unmasks and acknowledges a port at once, which a lock of Linux sees to; no-guest-lock shows that "
    "Xen's five tries are not enough without it. Read in the source, not observed."
)


def entries() -> list[Entry]:
    """Return every world, smallest first."""
    return [
        Entry(
            "post-order",
            "A remapping unit posts while a processor takes what was posted before: is every post taken?",
            "VT-d posted.operation",
            "",
            [Mutation("pir-after-on", "The unit sets ON and notifies, and sets the PIR bit after it.", "post")],
        ),
        Entry(
            "consume-order",
            "A processor takes posted vectors while another is posted: is that one taken too?",
            "SDM posted.processing",
            "",
            [Mutation("scan-before-clear", "The processor takes PIR first and clears ON after it.", "consume")],
        ),
        *small_entries(),
        *event_entries(),
        Entry(
            "post-while-blocking",
            "A vCPU blocks, as Xen does it, while a remapping unit and another pCPU post for it: does it always wake?",
            "Xen vmx.c vmx_vcpu_block",
            SOFTIRQ_NOTE,
            blocking_mutations(),
        ),
        *scheduling_entries(),
    ]


def event_entries() -> list[Entry]:
    """Return the worlds of events, entries and interrupts in flight."""
    return [
        Entry(
            "event-with-reinjection",
            "An upcall meets an exception whose delivery was cut short: is the guest told of it?",
            "Xen intr.c vmx_intr_assist",
            REINJECTION_NOTE,
            entering_mutations()[:3],
        ),
        Entry(
            "window-under-vid",
            "The same with vectors of the local APIC: does RVI cover VIRR, or is the window armed, at each entry?",
            "Xen intr.c vmx_intr_assist",
            RVI_NOTE,
            entering_mutations(),
        ),
        Entry(
            "unmask-while-sending",
            "A 2-level port is raised while its guest masks and unmasks it: is an edge ever lost?",
            "Xen event_2l.c evtchn_2l_set_pending",
            "",
            unmask_mutations(),
        ),
        Entry(
            "pirq-in-flight",
            "A bound MSI without mask bits moves to another pCPU in flight: does each reach the guest, and end?",
            "Xen irq.c do_IRQ",
            "",
            flight_mutations(),
        ),
        Entry(
            "fifo-link",
            "Xen links two ports on a queue while the guest consumes, masks and unmasks: is an event ever lost?",
            "Xen event_fifo.c link",
            LOCK_NOTE,
            link_mutations(),
        ),
    ]


def scheduling_entries() -> list[Entry]:
    """Return the worlds in which the vCPU is switched out while it could run."""
    return [
        Entry(
            "post-while-migrating",
            "A vCPU is preempted and goes on on another pCPU while it is posted to: is it always told?",
            "Xen vmx.c vmx_pi_switch_to",
            RESCAN_NOTE,
            [
                *switching_mutations(),
                Mutation("ndst-not-written", "Switching in leaves NDST at the old pCPU.", "post"),
                Mutation("running-read-first", "The posting pCPU asks where the vCPU runs before it posts.", "post"),
            ],
        ),
        Entry(
            "post-while-preempted",
            "A vCPU is preempted, and halts too, while it is posted to: who makes up for what SN holds back?",
            "Xen vmx.c vmx_pi_switch_from",
            RESCAN_NOTE,
            switching_mutations(),
        ),
    ]


def switching_mutations() -> list[Mutation]:
    """Return the ways to break switching in after a preemption."""
    return [
        Mutation("no-rescan", "Switching in clears SN and asks nothing more, as Xen's reads.", "post"),
        Mutation("rescan-before-clear", "PIR is looked at before SN is cleared.", "post"),
        Mutation("sn-never-cleared", "Switching in leaves SN set.", "post"),
        Mutation("sync-before-switch", "PIR is merged before the vCPU is switched in.", "post"),
    ]


def entering_mutations() -> list[Mutation]:
    """Return the ways to break the entry; the first three do so without vectors of the local APIC."""
    return [
        Mutation("no-window-for-callback", "No window for a callback behind a re-injection, as Xen's reads.", "entry"),
        Mutation("no-window-when-closed", "No window for an interrupt that the guest's IF holds back.", "entry"),
        Mutation("window-kept", "The exit for the window leaves the window armed.", "entry"),
        Mutation("rvi-in-lapic-branch-only", "RVI is not written behind a re-injection, as Xen's reads.", "entry"),
        Mutation("no-window-after-injection", "After an injection nothing more is asked: no window tax.", "entry"),
    ]


def unmask_mutations() -> list[Mutation]:
    """Return the ways to break unmask-while-sending."""
    return [
        Mutation("mask-read-first", "Xen reads the mask bit before it sets the pending bit.", "event"),
        Mutation("no-second-mask", "The guest makes the hypercall on a port that it has unmasked already.", "event"),
        Mutation("pending-before-mask", "The guest looks at the pending bit before it clears the mask bit.", "event"),
        Mutation("no-hypercall", "The guest finds the port pending and makes no hypercall.", "event"),
        Mutation("upcall-cleared-late", "The guest clears upcall_pending after it has taken the selector.", "event"),
        Mutation("ack-last", "The guest clears the pending bit after the handler has run.", "event"),
    ]


def link_mutations() -> list[Mutation]:
    """Return the ways to break fifo-link."""
    return [
        Mutation("no-hypercall", "The guest unmasks a pending port without a hypercall.", "event"),
        Mutation("pending-after-link", "Xen sets PENDING after it has linked the port.", "event"),
        Mutation("stale-tail-kept", "Xen keeps a tail that is the port itself.", "event"),
        Mutation("link-unlinked-tail", "Xen writes LINK of a tail that the guest has taken.", "event"),
        Mutation("unlink-in-two-steps", "The guest reads LINK in one step and clears it in the next.", "event"),
        Mutation("no-busy", "Xen does not set BUSY before it tries again.", "event"),
        Mutation("unmask-while-busy", "The guest clears MASKED although BUSY is set.", "event"),
        Mutation("no-guest-lock", "The guest acknowledges a port on one vCPU while another unmasks it.", "event"),
    ]


def flight_mutations() -> list[Mutation]:
    """Return the ways to break pirq-in-flight."""
    return [
        Mutation("queue-before-work", "do_IRQ sets SCHED before it notes that there is work.", "flight"),
        Mutation("work-before-list", "The softirq takes the work before it clears SCHED.", "flight"),
        Mutation("timer-not-armed", "do_IRQ does not arm the timer of 1 ms.", "flight"),
        Mutation("armed-again-not-asked", "A timer that fires does not ask whether it was armed again.", "flight"),
        Mutation("ready-on-one-pcpu", "The end of an interrupt is told to one pCPU only.", "flight"),
        Mutation("no-eoi", "An entry is taken off the stack without an EOI of the local APIC.", "flight"),
    ]


def blocking_mutations() -> list[Mutation]:
    """Return the ways to break post-while-blocking."""
    return [
        Mutation("check-before-nv", "The last question is asked before NV becomes the wake-up vector.", "sleep"),
        Mutation("list-after-nv", "The vCPU goes on the list last, after NV and after the question.", "sleep"),
        Mutation("no-self-check", "The vCPU sleeps without a last question.", "sleep"),
        Mutation("pir-after-on", "The posting pCPU claims ON first and sets the PIR bit after it.", "post"),
        Mutation("scan-before-clear", "Software and processor take PIR first and clear ON after it.", "consume"),
        Mutation(
            "notification-handler-does-nothing",
            "A notification that arrives in root mode is forgotten in place of raising a softirq.",
            "entry",
        ),
        Mutation(
            "wakeup-raises-no-softirq",
            "The wake-up handler only unblocks, as Xen's reads: a vCPU that is entering is not told.",
            "entry",
        ),
        Mutation(
            "softirq-only-if-found",
            "The wake-up handler raises a softirq only when it finds a vCPU on the list.",
            "entry",
        ),
        Mutation("wakeup-clears-on", "The wake-up handler clears ON, which belongs to whoever takes PIR.", "consume"),
        Mutation("suppress-while-blocked", "Switching out sets SN although the vCPU is blocked.", "sleep"),
        Mutation("sn-left-set", "As before, and switching in does not clear SN either.", "sleep"),
        Mutation("never-listed", "The vCPU does not go on the list.", "sleep"),
        Mutation("rvi-not-written", "Entering the guest does not write RVI from VIRR.", "entry"),
        Mutation("pir-wiped", "The processor reads PIR in one step and clears it in the next.", "consume"),
        Mutation("nv-not-restored", "Entering the guest leaves NV at the wake-up vector.", "entry"),
        Mutation("pir-kept", "The processor copies PIR into VIRR and does not clear it.", "consume"),
    ]


def make(name: str, mutation: str) -> World:
    """Return a fresh world, broken on purpose if a mutation is named; both names must be known."""
    if name == "post-order":
        return post_order(mutation)
    if name == "consume-order":
        return consume_order(mutation)
    if name == "event-with-reinjection":
        return event_with_reinjection(mutation)
    if name == "window-under-vid":
        return window_under_vid(mutation)
    if name == "unmask-while-sending":
        return unmask_while_sending(mutation)
    if name == "pirq-in-flight":
        return pirq_in_flight(mutation)
    if name == "fifo-link":
        return fifo_link(mutation)
    if name == "post-while-migrating":
        return post_while_migrating(mutation)
    if name == "post-while-preempted":
        return post_while_preempted(mutation)
    if name == "post-while-blocking":
        return post_while_blocking(mutation)
    return make_small(name, mutation)


def find(name: str) -> list[Entry]:
    """Return the world of this name in a list, empty when there is none."""
    return [entry for entry in entries() if entry.name == name]


def marked(world: str, mutation: str) -> str:
    """Return a mutation's name with the properties that it breaks."""
    numbers: list[str] = shown_by(world, mutation)
    return mutation + (" (" + ", ".join(numbers) + ")" if len(numbers) > 0 else "")


def world_rows() -> list[tuple[str, str, str]]:
    """Return name, sentence and citation of every world, with its mutations and their properties in the sentence."""
    return [
        (e.name, e.says + " Mutations: " + ", ".join([marked(e.name, m) for m in e.mutation_names()]) + ".", e.cites)
        for e in entries()
    ]
