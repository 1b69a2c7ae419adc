"""The small worlds, each of which asks one property of its own, and the ways to break them on purpose."""

from typing import Final

from exitless.check.entry import Entry, Mutation
from exitless.check.world import World
from exitless.check.worlds.avic_ipi import avic_ipi
from exitless.check.worlds.by_entry import request_by_entry
from exitless.check.worlds.claiming import claim_once, hooks_removed
from exitless.check.worlds.direct_eoi import direct_eoi
from exitless.check.worlds.kvm_blocking import kvm_blocking
from exitless.check.worlds.level import level_in_flight
from exitless.check.worlds.posting_a_pirq import posting_a_pirq
from exitless.check.worlds.saving import save_and_restore

BITMAP_NOTE: Final = (
    "Here the bitmap has the line's vector from the writing of its redirection entry on, as KVM has it. Xen's, as its "
    "source reads, gets it when the line is accepted, and kicks; bitmap-by-kick shows what a notification does that is "
    "under way already (candidate C10). Read in the source, not observed."
)

PIRQ_NOTE: Final = (
    "Here a message without a guest vector is not posted. Xen, as its source reads, asks only for the vCPU, and a "
    "domain of one vCPU has it always; posts-vector-0 shows that (candidate C5). Read in the source, not observed."
)


def small_entries() -> list[Entry]:
    """Return the small worlds, and KVM's."""
    return [
        Entry(
            "claim-once",
            "A processor posts twice, and says once that it has notified: does every consumer clear that mark?",
            "Xen vmx.c vmx_deliver_posted_intr",
            "",
            [
                Mutation(
                    "softirq-as-latch", "The kick softirq's bit stands for it, as in Xen before b151125b4d.", "post"
                )
            ],
        ),
        Entry(
            "hooks-removed",
            "A vCPU's last device goes while the vCPU waits for a pCPU: is SN cleared when it runs again?",
            "Xen vmx.c vmx_pi_switch_to",
            "",
            [Mutation("switch-to-hook-removed", "The hook of switching in goes too: Xen before 7c00de1756.", "post")],
        ),
        *entry_entries(),
        Entry(
            "avic-ipi",
            "An IPI meets a vCPU that halts under AVIC: does one of the two see the other, and is it delivered once?",
            "APM avic.ipi",
            "",
            [
                Mutation("running-read-first", "The sender reads IsRunning before it sets IRR.", "sleep"),
                Mutation("irr-asked-first", "The vCPU looks at IRR before it clears IsRunning.", "sleep"),
                Mutation("no-doorbell", "A core that was seen running is not rung.", "post"),
                Mutation("request-set-again", "Software sets IRR once more after an exit with ID 1.", "post"),
            ],
        ),
        Entry(
            "direct-eoi",
            "A guest ends physical interrupts itself, and the host those it injects: is each ended once?",
            "ELI shadow-idt",
            "",
            [
                Mutation("both-end", "The EOI stays exposed while an injected vector is open.", "flight"),
                Mutation("host-does-not-end", "The host injects what it has taken and does not end it.", "flight"),
            ],
        ),
        Entry(
            "posting-a-pirq",
            "A host that posts binds an MSI that names a PIRQ and so has vector 0: does its event reach the guest?",
            "Xen dpci.c pt_irq_create_bind",
            PIRQ_NOTE,
            [Mutation("posts-vector-0", "The entry is posted although its vector is 0, as Xen's reads.", "post")],
        ),
        kvm_entry(),
    ]


def entry_entries() -> list[Entry]:
    """Return the worlds of state that software writes between two runs of a guest."""
    return [
        Entry(
            "save-and-restore",
            "A vCPU goes back to a saved state while it is posted to: has it what it had then, and nothing else?",
            "KVM vmx/vmx.c vmx_apicv_pre_state_restore",
            "",
            [
                Mutation("pid-not-cleared", "The restore leaves what PIR holds.", "entry"),
                Mutation("pir-not-merged", "The save leaves out what PIR holds: Xen before 607e8494c4.", "entry"),
                Mutation("svi-not-restored", "The restore leaves SVI 0: Xen before db2ba9286c.", "entry"),
            ],
        ),
        Entry(
            "request-by-entry",
            "Software brings vectors at entry and ends some of them: do RVI and SVI follow, and comes each once?",
            "Xen intr.c vmx_intr_assist",
            "",
            [
                Mutation("injected-too", "The vector goes into the entry field as well.", "entry"),
                Mutation("rvi-not-written", "VIRR is set and RVI is not.", "entry"),
                Mutation("no-sync-behind-nmi", "An NMI keeps the entry from looking at PIR: 56348df32b.", "entry"),
                Mutation("svi-kept", "An EOI in software leaves SVI as it was: 303066fdb1.", "entry"),
                Mutation("svi-zeroed", "An EOI in software makes SVI 0: 45cb9a4123.", "entry"),
            ],
        ),
        Entry(
            "level-in-flight",
            "A level-triggered line is posted, ended by exit 45, and sent elsewhere in flight: may it ask again?",
            "KVM ioapic.c kvm_ioapic_update_eoi",
            BITMAP_NOTE,
            [
                Mutation("bitmap-at-next-entry", "The guest is notified before the bitmap is loaded.", "entry"),
                Mutation("bitmap-by-kick", "It is loaded by an exit that comes too late, as Xen's reads.", "entry"),
                Mutation("visr-cleared-again", "Exit 45 retires a vector once more.", "entry"),
                Mutation("in-flight-forgotten", "The bit goes with the line, whatever is in flight here.", "entry"),
            ],
        ),
    ]


def kvm_entry() -> Entry:
    """Return the world of KVM's protocol."""
    return Entry(
        "kvm-blocking",
        "A vCPU blocks on one pCPU and goes on on another, as KVM does it, while it is posted to: does it always wake?",
        "KVM vmx/posted_intr.c vmx_vcpu_pi_load",
        "",
        [
            Mutation("sync-before-mode", "PIR is merged before the mode says that the guest runs.", "entry"),
            Mutation("nv-not-armed", "NV stays the notification vector.", "sleep"),
            Mutation("never-listed", "The vCPU does not go on the list.", "sleep"),
            Mutation("no-self-ipi", "ON is not looked at again after NV.", "sleep"),
            Mutation("control-before-list", "NDST, SN and NV are written before the list is left.", "sleep"),
            Mutation("current-taken-for-target", "A late notification takes the target's PIR to whoever runs.", "post"),
        ],
    )


def make_small(name: str, mutation: str) -> World:
    """Return a fresh small world by name, broken on purpose if a mutation is named."""
    if name == "claim-once":
        return claim_once(mutation)
    if name == "hooks-removed":
        return hooks_removed(mutation)
    if name == "save-and-restore":
        return save_and_restore(mutation)
    if name == "request-by-entry":
        return request_by_entry(mutation)
    if name == "level-in-flight":
        return level_in_flight(mutation)
    if name == "avic-ipi":
        return avic_ipi(mutation)
    if name == "direct-eoi":
        return direct_eoi(mutation)
    if name == "posting-a-pirq":
        return posting_a_pirq(mutation)
    return kvm_blocking(mutation)
