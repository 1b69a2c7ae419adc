"""The properties of interrupt delivery that are to be proven, each with the mutations that break it.

A property is asked in worlds of the checker, or, where it concerns one rule or one write, by a test with a naive twin.
"""

from typing import Final


class Property:
    """``shown`` holds world and mutation pairs; ``tests`` the tests that break it with a twin, as file::name."""

    def __init__(self, number: str, says: str, shown: list[tuple[str, str]], tests: list[str]) -> None:
        self.number: str = number
        self.says: str = says
        self.shown: list[tuple[str, str]] = shown
        self.tests: list[str] = tests


BLOCKING: Final = "post-while-blocking"
PREEMPTED: Final = "post-while-preempted"
KVM: Final = "kvm-blocking"


def descriptor_properties() -> list[Property]:
    """Return those of posting, taking and the scheduler."""
    return [
        Property(
            "P1", "No interrupt is lost: what is owed and of a class above VPPR comes once IF = 1 and the vCPU runs.",
            [(BLOCKING, "no-self-check"), (PREEMPTED, "no-rescan"), ("request-by-entry", "no-sync-behind-nmi")], [],
        ),
        Property(
            "P2", "In the guest RVI = max(VIRR) and SVI = max(VISR), if that held at entry.",
            [
                ("request-by-entry", "rvi-not-written"), ("save-and-restore", "svi-not-restored"),
                ("request-by-entry", "svi-kept"), ("request-by-entry", "svi-zeroed"),
            ], [],
        ),
        Property("P3", "A post sets PIR before it tests ON.", [("post-order", "pir-after-on")], []),
        Property(
            "P4", "Whoever takes what was posted clears ON before reading PIR.",
            [("consume-order", "scan-before-clear"), (BLOCKING, "scan-before-clear")], [],
        ),
        Property(
            "P5", "A barrier parts ON := 0 from reading PIR, and the mode from the merge.",
            [("consume-order", "scan-before-clear"), (KVM, "sync-before-mode")], [],
        ),
        Property(
            "P6", "PIR is looked at again after SN is cleared.",
            [(PREEMPTED, "no-rescan"), (PREEMPTED, "rescan-before-clear")], [],
        ),
        Property(
            "P7", "A post made while SN = 1 is noticed when the vCPU is next scheduled, although ON is 0.",
            [("post-while-migrating", "no-rescan")], [],
        ),
        Property(
            "P8", "Blocking: NV becomes the wake-up vector before the last question.",
            [(BLOCKING, "check-before-nv"), (KVM, "nv-not-armed")], [],
        ),
        Property(
            "P9", "A blocked vCPU is on the list of the pCPU in NDST before the wake-up vector can count on it.",
            [(BLOCKING, "list-after-nv"), (KVM, "never-listed")], [],
        ),
        Property(
            "P10", "Either the wake-up handler finds the vCPU, or the vCPU sees ON.",
            [(KVM, "no-self-ipi"), (BLOCKING, "no-self-check")], [],
        ),
        Property(
            "P11", "SN is never left 1 on a running vCPU.",
            [("hooks-removed", "switch-to-hook-removed"), (PREEMPTED, "sn-never-cleared")], [],
        ),
        Property(
            "P11b", "Whatever says that somebody has been notified is cleared by every consumer, hardware too.",
            [("claim-once", "softirq-as-latch")], [],
        ),
        Property(
            "P12", "Each entry merges PIR after the last point at which a notification is only a softirq.",
            [(BLOCKING, "notification-handler-does-nothing"), ("request-by-entry", "no-sync-behind-nmi")], [],
        ),
    ]  # fmt: skip


def other_properties() -> list[Property]:
    """Return those of entries, level-triggered lines, remapping entries, moving, AVIC and ELI."""
    return [
        Property(
            "P13", "An entry with RVI evaluates: a vector of the local APIC is never injected as well.",
            [("request-by-entry", "injected-too")], [],
        ),
        Property(
            "P14", "The handler of exit 45 does not clear VISR again.",
            [("level-in-flight", "visr-cleared-again")], [],
        ),
        Property(
            "P15", "The EOI-exit bit of a level-triggered vector is on its target before the vector is in VIRR.",
            [("level-in-flight", "bitmap-at-next-entry"), ("level-in-flight", "bitmap-by-kick")], [],
        ),
        Property(
            "P16", "A line that goes elsewhere keeps its EOI-exit bit here until what is in flight here has ended.",
            [("level-in-flight", "in-flight-forgotten")], [],
        ),
        Property(
            "P17", "A remapping entry changes as a whole, and its descriptor lives until no entry names it.", [],
            [
                "test_properties.py::test_p17_two_halves_are_an_entry_that_nobody_meant",
                "test_properties.py::test_p17_a_new_form_keeps_nothing_of_the_old_one",
                "test_properties.py::test_p17_a_descriptor_outlives_the_entries_that_name_it",
            ],
        ),
        Property(
            "P18", "PIR is merged when state is saved, and cleared when state is restored.",
            [("save-and-restore", "pid-not-cleared"), ("save-and-restore", "pir-not-merged")], [],
        ),
        Property(
            "P19", "A late notification on the old pCPU touches nobody's state but that of the vCPU that runs there.",
            [(KVM, "current-taken-for-target"), (KVM, "control-before-list")], [],
        ),
        Property(
            "P20", "AVIC: a sender sets IRR before it reads IsRunning, a sleeper clears IsRunning before it reads IRR.",
            [("avic-ipi", "running-read-first"), ("avic-ipi", "irr-asked-first")], [],
        ),
        Property(
            "P21", "AVIC: after an exit with ID 1 IRR is set already, and software only wakes.",
            [("avic-ipi", "request-set-again")], [],
        ),
        Property(
            "P22", "ELI: each vector in service in the real local APIC is ended once.",
            [("direct-eoi", "both-end"), ("direct-eoi", "host-does-not-end")], [],
        ),
        Property(
            "P23", "Xen: the way behind an event that is injected again writes RVI too.",
            [("window-under-vid", "rvi-in-lapic-branch-only")], [],
        ),
    ]  # fmt: skip


def properties() -> list[Property]:
    """Return all of them, in the order of their numbers."""
    return descriptor_properties() + other_properties()


def shown_by(world: str, mutation: str) -> list[str]:
    """Return the numbers of the properties that a mutation breaks."""
    return [found.number for found in properties() if (world, mutation) in found.shown]
