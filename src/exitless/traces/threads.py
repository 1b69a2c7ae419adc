"""Which threads of a Linux recording are vCPUs, of which machine."""

from typing import Final

from librt.vecs import vec
from mypy_extensions import i64

from exitless.bits.words import reaching, zeros
from exitless.errors import TraceError

MOST_VCPUS: Final = 65_536
# No Linux numbers its threads higher (PID_MAX_LIMIT).
MOST_TID: Final = 4_194_304
FIRST_TIDS: Final = 4_096


class Vcpu:
    """One vCPU of the recording: the name of its machine, its number there, its host thread (-1: it has none)."""

    def __init__(self, vm: str, number: int, tid: int, dom0: bool = False) -> None:
        self.vm = vm
        self.number = number
        self.tid = tid
        self.dom0 = dom0

    def name(self) -> str:
        """Return what a person calls it, as ``d2v0``."""
        return f"{self.vm}v{self.number}"


class Threads:
    """Which threads are vCPUs, of which machine.

    Shapes: ``vcpus`` are the reader's; ``numbers`` has the vCPUs with one number; ``tgids`` the process of a thread,
    where the recording tells it; ``guests`` machine and number of a thread. ``seats`` has each thread's vCPU plus one
    (0: none) by the thread's number, ``far`` the same for numbers that no Linux gives; ``known`` each vCPU's number.
    """

    def __init__(self, name: str) -> None:
        self.name = name
        self.vcpus: list[Vcpu] = []
        self.numbers: dict[int, list[int]] = {}
        self.tgids: dict[int, int] = {}
        self.guests: dict[int, tuple[str, int]] = {}
        self.doubtful = 0
        self.guessed = 0
        self.seats: vec[i64] = zeros(FIRST_TIDS)
        self.far: dict[int, int] = {}
        self.known: vec[i64] = zeros(64)

    def place(self, tid: i64) -> i64:
        """Return the vCPU that a thread runs, -1 for none."""
        if 0 <= tid < i64(len(self.seats)):
            return self.seats[tid] - 1
        return i64(self.far.get(tid, -1))

    def number(self, place: i64) -> i64:
        """Return a vCPU's number in its machine, -1 where it is not told."""
        return self.known[place]

    def _seat(self, tid: i64, place: i64) -> None:
        """A thread runs a vCPU from now on."""
        if not 0 <= tid < MOST_TID:
            self.far[tid] = place
            return
        self.seats = reaching(self.seats, tid)
        self.seats[tid] = place + 1

    def _new(self, number: i64, tid: i64) -> i64:
        place: i64 = i64(len(self.vcpus))
        if place >= MOST_VCPUS:
            raise TraceError(f"{self.name}: more than {MOST_VCPUS} vCPUs; no host runs so many")
        self.vcpus.append(Vcpu("", number, tid))
        self.numbers.setdefault(number, []).append(place)
        self.known = reaching(self.known, place)
        self.known[place] = number
        return place

    def runs(self, tid: i64, number: i64) -> i64:
        """A thread proves to run a vCPU, ``number`` -1 where that is not told; returns its place."""
        if number < -1:
            number = -1
        place: i64 = self.place(tid)
        if place < 0:
            place = self._waiting(number)
            if place < 0:
                place = self._new(number, tid)
            self.vcpus[place].tid = tid
            self._seat(tid, place)
        elif number >= 0 > self.known[place]:
            self.numbers[-1].remove(place)
            self.numbers.setdefault(number, []).append(place)
            self.vcpus[place].number = number
            self.known[place] = number
        elif 0 <= number != self.known[place]:
            place = self._another(tid, number)
        return place

    def _waiting(self, number: i64) -> i64:
        """Return the first vCPU of a number whose thread has not been seen yet, -1 for none."""
        if number >= 0:
            for place in self.numbers.get(number, []):
                if self.vcpus[place].tid < 0:
                    return place
        return -1

    def _another(self, tid: i64, number: i64) -> i64:
        """A thread that runs several vCPUs in turn goes on with another of them."""
        for place in self.numbers.get(number, []):
            if self.vcpus[place].tid == tid:
                self._seat(tid, place)
                return place
        new: i64 = self._new(number, tid)
        self._seat(tid, new)
        return new

    def addressed(self, number: i64, tid: i64) -> i64:
        """A thread acts on a vCPU of its own machine; returns its place, -1 where that could be several."""
        if number < 0:
            return -1
        own: i64 = self.place(tid)
        if own >= 0 and self.known[own] == number:
            return own
        found = self.numbers.get(number)
        if not found:
            return self._new(number, -1)
        if len(found) > 1:
            group = self.tgids.get(tid, -1)
            if group >= 0:
                found = [n for n in found if self.tgids.get(self.vcpus[n].tid, -1) == group]
        if len(found) == 1:
            return found[0]
        self.doubtful += 1
        return -1

    def name_machines(self) -> str:
        """Name every vCPU's machine; returns a sentence where that is a guess, else nothing.

        By the process where it is known. Otherwise threads are taken in their order, which is the order in which they
        were made, and a number that comes again begins another machine.
        """
        machine, seen, guessed, taken = 1, set[int](), False, 0
        for _, _, _, place in sorted((v.tid < 0, v.tid, v.number, n) for n, v in enumerate(self.vcpus)):
            vcpu = self.vcpus[place]
            group = self.tgids.get(vcpu.tid, -1)
            if vcpu.tid in self.guests:
                vcpu.vm, vcpu.number = self.guests[vcpu.tid]
                continue
            if group >= 0:
                vcpu.vm = f"vm{group}"
                continue
            if vcpu.number in seen:
                machine, seen, guessed = machine + 1, set(), True
            seen.add(vcpu.number)
            taken += 1
            vcpu.vm = f"vm{machine}"
        if not guessed:
            return ""
        self.guessed = taken
        return (
            f"the recording does not say which threads belong to one machine; by vCPU and thread numbers there seem to "
            f"be {machine}"
        )
