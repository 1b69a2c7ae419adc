"""Two physical vectors in one local APIC at the same time: how often, who is taken first, how long the other waits.

It reads rows only: acceptance, what takes a vector (do_IRQ, direct delivery, posted-interrupt processing) and its EOI.
"""

from typing import Final

from librt.vecs import append, vec
from mypy_extensions import i64

ABSENT: Final = 0
REQUESTED: Final = 1
IN_SERVICE: Final = 2


class Meeting:
    """Two vectors of one pCPU's local APIC, ``mine`` and ``rival``; -1 for a vector that is not watched.

    ``met`` counts the acceptances that found the other vector requested or in service; of those ``mine_first`` and
    ``rival_first`` were decided. ``held`` has, for each meeting in which the rival came second, its time from
    acceptance to being taken. Units: ps.
    """

    def __init__(self, pcpu: i64, mine: i64, rival: i64) -> None:
        self.pcpu: i64 = pcpu
        self.mine: i64 = mine
        self.rival: i64 = rival
        self.mine_state: i64 = ABSENT
        self.rival_state: i64 = ABSENT
        self.rival_since: i64 = 0
        self.is_open: bool = False
        self.is_second: bool = False
        self.met: i64 = 0
        self.mine_first: i64 = 0
        self.rival_first: i64 = 0
        self.held: vec[i64] = vec[i64]([])

    def accepted(self, t: i64, pcpu: i64, vector: i64) -> None:
        """A vector is accepted; one that is requested already merges and meets nobody anew."""
        if pcpu != self.pcpu:
            return
        if vector == self.mine and self.mine_state != REQUESTED:
            self.mine_state = REQUESTED
            self.meet(self.rival_state, True)
        elif vector == self.rival and self.rival_state != REQUESTED:
            self.rival_state = REQUESTED
            self.rival_since = t
            self.meet(self.mine_state, False)

    def meet(self, other: i64, is_mine: bool) -> None:
        """The newcomer finds the other absent, requested (it is open who is first) or in service (the other is)."""
        if other == ABSENT:
            return
        self.met += 1
        if other == REQUESTED:
            self.is_open = True
        elif is_mine:
            self.rival_first += 1
        else:
            self.mine_first += 1
            self.is_second = True

    def taken(self, t: i64, pcpu: i64, vector: i64) -> None:
        """The processor takes a vector out of the local APIC's requests."""
        if pcpu != self.pcpu:
            return
        if vector == self.mine:
            self.mine_state = IN_SERVICE
            if self.is_open:
                self.mine_first += 1
                self.is_second = True
        elif vector == self.rival:
            self.rival_state = IN_SERVICE
            if self.is_open:
                self.rival_first += 1
            elif self.is_second:
                self.held = append(self.held, t - self.rival_since)
            self.is_second = False
        else:
            return
        self.is_open = False

    def ended(self, pcpu: i64, vector: i64) -> None:
        """A vector in service gets its EOI."""
        if pcpu != self.pcpu:
            return
        if vector == self.mine and self.mine_state == IN_SERVICE:
            self.mine_state = ABSENT
        elif vector == self.rival and self.rival_state == IN_SERVICE:
            self.rival_state = ABSENT
