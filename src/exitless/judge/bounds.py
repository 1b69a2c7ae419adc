"""What is surely and what is perhaps in a virtual local APIC: two of them bracket the one no trace shows.

``least`` holds the requests and interrupts in service that must be there, ``most`` those that may be. Both are changed
by the very rules of :mod:`exitless.arch.x86.lapic`, so what holds for every APIC between them is what the trace proves.
"""

from typing import Final

from librt.vecs import vec
from mypy_extensions import i64

from exitless.arch.x86.lapic import LocalApic, accept, acknowledge, deliverable, end_of_interrupt, processor_priority
from exitless.bits.words import PACKED, bits_of, clear_bit, has_bit, highest_bit, set_bit, shl

MOST_NAMED: Final = 8
FULL: Final = 0xFFFFFFFF
ILLEGAL: Final = 0xFFFF0000  # vectors 0 to 15 are never requested


def only_below(words: vec[i64], vector: int) -> None:
    """Clear the bits of this vector and all above it."""
    n = vector >> 5
    if n < 8:
        words[n] = words[n] & (shl(1, vector & 31) - 1)
    for i in range(n + 1, 8):
        words[i] = 0


class Bounds:
    """Two local APICs, and two more views of the same words.

    ``hope`` has the requests that may be and the service that must be: what it cannot deliver, nobody can. ``fear`` has
    the requests that must be and the service that may be: what it delivers, everybody would. TPR is taken as 0, the
    lowest it can be, except where a law says otherwise.
    """

    def __init__(self) -> None:
        self.least = LocalApic(0)
        self.most = LocalApic(0)
        self.hope = LocalApic(0)
        self.fear = LocalApic(0)
        self.hope.irr, self.hope.isr = self.most.irr, self.least.isr
        self.fear.irr, self.fear.isr = self.least.irr, self.most.isr
        self.forget()

    def forget(self) -> None:
        """Nothing is known any more."""
        self.forget_requests()
        self.forget_service()

    def forget_requests(self) -> None:
        """Any vector may be requested, none surely is."""
        for n in range(8):
            self.least.irr[n] = 0
            self.most.irr[n] = ILLEGAL if n == 0 else FULL

    def any_requested(self) -> None:
        """Any vector may be requested; what surely is stays so."""
        for n in range(8):
            self.most.irr[n] = ILLEGAL if n == 0 else FULL

    def forget_service(self) -> None:
        """Any vector may be in service, none surely is."""
        for n in range(8):
            self.least.isr[n] = 0
            self.most.isr[n] = ILLEGAL if n == 0 else FULL

    def request(self, vector: int) -> None:
        """A vector is surely requested."""
        accept(self.least, vector, 0)
        accept(self.most, vector, 0)

    def perhaps_requested(self, vector: int) -> None:
        """A vector has been requested here or elsewhere."""
        accept(self.most, vector, 0)

    def may_be_requested(self, vector: int) -> bool:
        """Tell whether a request of the vector would explain its injection."""
        return has_bit(self.most.irr, 0, PACKED, vector)

    def may_be_in_service(self, vector: int) -> bool:
        """Tell whether the vector may be in service."""
        return has_bit(self.most.isr, 0, PACKED, vector)

    def is_masked(self, vector: int) -> bool:
        """Tell whether what is surely in service holds the vector back."""
        return vector >> 4 <= processor_priority(self.least) >> 4

    def take(self, vector: int, fresh: set[int], sure: bool) -> None:
        """The vector was taken to be injected, as the highest request; requests in ``fresh`` may have come too late.

        ``sure`` tells that it was taken from this APIC, so that it is in service now.
        """
        if sure:
            kept = [v for v in fresh if v > vector and has_bit(self.least.irr, 0, PACKED, v)]
            only_below(self.least.irr, vector + 1)
            only_below(self.most.irr, vector + 1)
            only_below(self.least.isr, vector & 0xF0)
            only_below(self.most.isr, vector & 0xF0)
            self.request(vector)
            acknowledge(self.least)
            acknowledge(self.most)
            for v in kept:
                self.request(v)
        else:
            clear_bit(self.least.irr, 0, PACKED, vector)
            set_bit(self.most.isr, 0, PACKED, vector)

    def end(self) -> None:
        """The highest vector in service is ended, whichever it is: so the highest that may be is not in service now."""
        end_of_interrupt(self.least)
        end_of_interrupt(self.most)

    def ends(self, vector: int) -> bool:
        """Tell whether the vector may be the highest in service."""
        return has_bit(self.most.isr, 0, PACKED, vector) and highest_bit(self.least.isr, 0, PACKED) <= vector

    def end_of(self, vector: int) -> None:
        """This vector was the highest in service and is ended."""
        only_below(self.least.isr, vector)
        only_below(self.most.isr, vector)

    def nothing_in_service(self) -> None:
        """Nothing is in service."""
        for n in range(8):
            self.least.isr[n] = 0
            self.most.isr[n] = 0

    def keep(self, requested: set[int] | None, served: set[int]) -> None:
        """Of what was unknown keep only these as possible; None for all."""
        for words, kept in ((self.most.irr, requested), (self.most.isr, served)):
            for n in range(8 if kept is not None else 0):
                words[n] = words[n] & sum(shl(1, v & 31) for v in kept or () if v >> 5 == n)

    def top_possible(self) -> int:
        """Return the highest vector that may be delivered, -1 when surely none is."""
        return int(deliverable(self.hope))

    def top_sure(self) -> int:
        """Return the highest vector that is surely requested and held back by nothing in service, -1 for none."""
        return int(deliverable(self.fear))

    def highest_request(self) -> int:
        """Return the highest vector surely requested, -1 for none."""
        return int(highest_bit(self.least.irr, 0, PACKED)) or -1

    def in_service(self) -> int:
        """Return the highest vector surely in service, -1 for none."""
        return int(highest_bit(self.least.isr, 0, PACKED)) or -1

    def may_serve(self) -> bool:
        """Tell whether anything may be in service."""
        return highest_bit(self.most.isr, 0, PACKED) != 0

    def priority(self) -> int:
        """Return the lowest that PPR can be."""
        return int(processor_priority(self.least))

    def irr(self) -> dict[str, object]:
        """Write down the requests."""
        return written(self.least.irr, self.most.irr)

    def isr(self) -> dict[str, object]:
        """Write down what is in service."""
        return written(self.least.isr, self.most.isr)


def written(least: vec[i64], most: vec[i64]) -> dict[str, object]:
    """Write down what surely is and what else may be; many that may be are only counted."""
    sure = bits_of(least, 0, PACKED, 8)
    more = [v for v in bits_of(most, 0, PACKED, 8) if v not in sure]
    perhaps: object = [f"0x{v:02x}" for v in more] if len(more) <= MOST_NAMED else f"{len(more)} others"
    return {"sure": [f"0x{v:02x}" for v in sure], "perhaps": perhaps}
