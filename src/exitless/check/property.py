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


def law_kind(law: i64) -> str:
    """Return when a law is asked: ``always`` in every state, ``eventually`` at the end of every run."""
    if law == Law.LOST or law == Law.DELAYED or law == Law.ENDLESS or law == Law.LEFT_BEHIND:
        return "eventually"
    return "always"


def law_name(law: i64) -> str:
    """Return the sentence that holds while the law is kept."""
    names: list[str] = [
        "",
        "a vCPU in its guest has SN = 0 and NDST naming its pCPU",
        "a vCPU in its guest has NV = notification vector",
        "a sleeping vCPU has NV = wake-up vector and is on its pCPU's list",
        "no request is delivered twice",
        "a request that is not delivered yet is in PIR or VIRR",
        "in the guest RVI covers VIRR, and SVI is the highest vector in VISR",
        "no wake-up is lost: a vCPU does not sleep on a request when nothing under way will wake it",
        "every run ends",
        "no post is left behind: when nothing more is under way, PIR is empty",
        "no request waits for the next exit: a guest is told of it when nothing else happens",
    ]
    return names[law]


def sometimes_name(bit: i64) -> str:
    """Return what must happen in some run."""
    if bit == Sometimes.WOKEN_BY_VECTOR:
        return "the wake-up vector wakes a sleeping vCPU"
    if bit == Sometimes.PROCESSED_IN_GUEST:
        return "the notification is processed without an exit"
    if bit == Sometimes.STAYED_AWAKE:
        return "the last question before sleeping finds a request"
    if bit == Sometimes.TAKEN_BY_OTHER:
        return "a late notification is taken by another vCPU"
    if bit == Sometimes.WOKEN_BY_SENDER:
        return "a software sender wakes a sleeping vCPU"
    if bit == Sometimes.LOOKED_AGAIN:
        return "a softirq sends the entry back to look at PIR again"
    if bit == Sometimes.SLEPT:
        return "the vCPU sleeps"
    if bit == Sometimes.DELIVERED:
        return "a request is delivered"
    return "two requests of one vector become one"
