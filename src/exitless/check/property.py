"""What a world must keep: always, at the end of every run, and, so that an empty world cannot pass, sometimes.

The predicates themselves are those of :mod:`exitless.arch.laws`; a world says in which of its states they must hold.
"""

from typing import Final

from mypy_extensions import i64


class Law:
    """One number a law; 0 is none."""

    NONE: Final = 0
    SUPPRESSED_WHILE_RUNNING: Final = 1
    WRONG_VECTOR_IN_GUEST: Final = 2
    UNREACHABLE_SLEEPER: Final = 3
    DELIVERED_TWICE: Final = 4
    REQUEST_VANISHED: Final = 5
    STATUS_LAGS: Final = 6
    LOST: Final = 7
    ENDLESS: Final = 8
    LEFT_BEHIND: Final = 9
    DELAYED: Final = 10
    EVENT_LOST: Final = 11
    EVENT_UNSEEN: Final = 12
    UPCALL_UNSAID: Final = 13
    EVENT_VANISHED: Final = 14
    LINK_REFUSED: Final = 15
    STACK_DIFFERS: Final = 16
    INTERRUPT_LOST: Final = 17
    FORCED_EARLY: Final = 18
    NEVER_ENDED: Final = 19
    ENDED_EARLY: Final = 20
    LINE_DEAD: Final = 21
    LISTED_WHILE_RUNNING: Final = 22


class Sometimes:
    """One bit a thing that must happen in some run."""

    WOKEN_BY_VECTOR: Final = 1
    PROCESSED_IN_GUEST: Final = 2
    STAYED_AWAKE: Final = 4
    TAKEN_BY_OTHER: Final = 8
    WOKEN_BY_SENDER: Final = 16
    LOOKED_AGAIN: Final = 32
    SLEPT: Final = 64
    DELIVERED: Final = 128
    MERGED: Final = 256
    UPCALL: Final = 512
    FOUND_PENDING: Final = 1024
    FOUND_MASKED: Final = 2048
    LINK_AGAIN: Final = 4096
    LINK_EMPTY: Final = 8192
    APPENDED: Final = 16384
    FORCED: Final = 32768
    TOO_LATE: Final = 65536
    WINDOW: Final = 131072
    REINJECTED: Final = 262144
    SUPPRESSED: Final = 524288
    RESCANNED: Final = 1048576
    LEFT_FOR_LATER: Final = 2097152
    RETURNED: Final = 4194304
    ENDED_BY_CALL: Final = 8388608
    BEHIND_NMI: Final = 16777216
    ASKS_AGAIN: Final = 33554432
    MOVED_IN_FLIGHT: Final = 67108864
    NOTIFIED_ALREADY: Final = 134217728
    FORWARDED: Final = 268435456


EVENTUALLY: Final = [
    Law.LOST, Law.DELAYED, Law.ENDLESS, Law.LEFT_BEHIND, Law.EVENT_LOST, Law.INTERRUPT_LOST, Law.NEVER_ENDED,
    Law.LINE_DEAD,
]  # fmt: skip

LAW_NAMES: Final[dict[int, str]] = {
    Law.NONE: "",
    Law.SUPPRESSED_WHILE_RUNNING: "a vCPU in its guest has SN = 0 and NDST naming its pCPU",
    Law.WRONG_VECTOR_IN_GUEST: "a vCPU in its guest has NV = notification vector",
    Law.UNREACHABLE_SLEEPER: "a sleeping vCPU has NV = wake-up vector and is on its pCPU's list",
    Law.DELIVERED_TWICE: "no request is delivered twice",
    Law.REQUEST_VANISHED: "a request that is not delivered yet is in PIR or VIRR",
    Law.STATUS_LAGS: "in the guest RVI covers VIRR, and SVI is the highest vector in VISR",
    Law.LOST: "no wake-up is lost: a vCPU does not sleep on a request when nothing under way will wake it",
    Law.ENDLESS: "every run ends",
    Law.LEFT_BEHIND: "no post is left behind: when nothing more is under way, PIR is empty",
    Law.DELAYED: "no request waits for the next exit: a guest is told of it when nothing else happens",
    Law.EVENT_LOST: "no event is lost: when nothing more is under way, no unmasked port is pending",
    Law.EVENT_UNSEEN: "an unmasked pending port is selected or linked, or somebody under way will see to it",
    Law.UPCALL_UNSAID: "with a selector bit or a ready queue upcall_pending is set, or somebody will see to it",
    Law.EVENT_VANISHED: "an event that is not handled yet is pending",
    Law.LINK_REFUSED: "Xen's five tries to write a link are enough",
    Law.STACK_DIFFERS: "the pending-EOI stack of a pCPU holds the vectors in service there, in order",
    Law.INTERRUPT_LOST: "every physical interrupt reaches the guest, by itself or merged with another",
    Law.FORCED_EARLY: "an EOI is forced only for an interrupt whose own millisecond is over",
    Law.NEVER_ENDED: "every interrupt in service is ended, by its guest or by force",
    Law.ENDED_EARLY: "an interrupt whose handler runs is in service",
    Law.LINE_DEAD: "a level-triggered line whose interrupt has ended may ask again: its remote IRR is 0",
    Law.LISTED_WHILE_RUNNING: "a vCPU in its guest is on no list of sleepers",
}

SOMETIMES_NAMES: Final[dict[int, str]] = {
    Sometimes.WOKEN_BY_VECTOR: "the wake-up vector wakes a sleeping vCPU",
    Sometimes.PROCESSED_IN_GUEST: "the notification is processed without an exit",
    Sometimes.STAYED_AWAKE: "the last question before sleeping finds a request",
    Sometimes.TAKEN_BY_OTHER: "a late notification is taken by another vCPU",
    Sometimes.WOKEN_BY_SENDER: "a software sender wakes a sleeping vCPU",
    Sometimes.LOOKED_AGAIN: "a softirq sends the entry back to look at PIR again",
    Sometimes.SLEPT: "the vCPU sleeps",
    Sometimes.DELIVERED: "a request is delivered",
    Sometimes.MERGED: "two requests of one vector become one",
    Sometimes.UPCALL: "the guest takes an upcall",
    Sometimes.FOUND_PENDING: "an unmasking finds its port pending",
    Sometimes.FOUND_MASKED: "a raise finds its port masked",
    Sometimes.LINK_AGAIN: "a link takes a second try",
    Sometimes.LINK_EMPTY: "a link finds that the guest has taken the tail meanwhile",
    Sometimes.APPENDED: "an event is linked behind another",
    Sometimes.FORCED: "the timer ends an interrupt that the guest has not ended",
    Sometimes.TOO_LATE: "a guest's EOI comes after the timer's",
    Sometimes.WINDOW: "an interrupt window opens",
    Sometimes.REINJECTED: "an entry injects again what an exit had cut short",
    Sometimes.SUPPRESSED: "SN holds a notification back",
    Sometimes.RESCANNED: "switching in finds PIR filled and sets ON",
    Sometimes.LEFT_FOR_LATER: "an entry of the stack is left, because a newer interrupt is in flight",
    Sometimes.RETURNED: "the vCPU goes back to its saved state",
    Sometimes.ENDED_BY_CALL: "software ends an interrupt for the guest",
    Sometimes.BEHIND_NMI: "a request waits behind an NMI at entry",
    Sometimes.ASKS_AGAIN: "an EOI makes a line that is still high ask again",
    Sometimes.MOVED_IN_FLIGHT: "a line goes to another vCPU while its interrupt is in flight",
    Sometimes.NOTIFIED_ALREADY: "a post finds that somebody has notified",
    Sometimes.FORWARDED: "the host injects what it has taken for the guest",
}


def law_kind(law: i64) -> str:
    """Return when a law is asked: ``always`` in every state, ``eventually`` at the end of every run."""
    return "eventually" if int(law) in EVENTUALLY else "always"


def law_name(law: i64) -> str:
    """Return the sentence that holds while the law is kept."""
    return LAW_NAMES[int(law)]


def sometimes_name(bit: i64) -> str:
    """Return what must happen in some run."""
    return SOMETIMES_NAMES[int(bit)]
