"""Samples of times, and counts of numbers that are mostly small: what totals of a recording are made of."""

from typing import Final

from librt.vecs import append, vec
from mypy_extensions import i64

from exitless.bits.words import reaching, zeros

# A rank is found by the digits of its time, from the highest on: six of eleven bits are 66.
DIGIT: Final = 11
DIGITS: Final = 2048
HIGHEST: Final = 55
# Typed, so that a choice between it and a number makes no object.
NONE: Final[i64] = -1


class Times:
    """A sample of times in ps: ``queued`` of their sum were waits for a pCPU, ``handled`` came before such waits.

    A percentile is the nearest rank's, 0 for an empty sample.
    """

    def __init__(self) -> None:
        self.sample: vec[i64] = zeros(0)
        self.total: i64 = 0
        self.most: i64 = 0
        self.queued: i64 = 0
        self.handled: i64 = 0

    def add(self, time_ps: i64) -> None:
        """Take one more."""
        self.sample = append(self.sample, time_ps)
        self.total += time_ps
        if time_ps > self.most:
            self.most = time_ps

    def extend(self, other: "Times") -> None:
        """Take all of another sample."""
        n: i64 = 0
        while n < i64(len(other.sample)):
            self.add(other.sample[n])
            n += 1
        self.queued += other.queued
        self.handled += other.handled

    def count(self) -> int:
        """Return how many times there are."""
        return len(self.sample)

    def at(self, per_mille: i64) -> int:
        """Return a percentile, given in thousandths, in whole ns."""
        return self.at_ps(per_mille) // 1000

    def at_ps(self, per_mille: i64) -> int:
        """Return a percentile, given in thousandths, in ps."""
        n: i64 = i64(len(self.sample))
        if n == 0:
            return 0
        rank: i64 = (per_mille * n + 999) // 1000 - 1
        return self._ranked(min(n - 1, max(0, rank)))

    def _ranked(self, rank: i64) -> i64:
        """Return the time that this many are not longer than, digit by digit."""
        sample: vec[i64] = self.sample
        found: i64 = 0
        shift: i64 = HIGHEST
        while shift > 0 and self.most >> shift == 0:
            shift -= DIGIT
        while shift >= 0:
            counts: vec[i64] = zeros(DIGITS)
            above: i64 = shift + DIGIT
            n: i64 = 0
            while n < i64(len(sample)):
                if above > 62 or sample[n] >> above == found:
                    digit: i64 = sample[n] >> shift & DIGITS - 1
                    counts[digit] = counts[digit] + 1
                n += 1
            digit = 0
            while counts[digit] <= rank:
                rank -= counts[digit]
                digit += 1
            found = found * DIGITS + digit
            shift -= DIGIT
        return found

    def as_json(self) -> dict[str, int]:
        """Return the percentiles of the contract."""
        return {"p50": self.at(500), "p99": self.at(990), "max": self.at(1000)}


class Slots:
    """A number for each pCPU or vCPU, -1 for none; they are numbered from -1 on."""

    def __init__(self) -> None:
        self.kept: vec[i64] = zeros(64)

    def get(self, key: i64) -> i64:
        """Return the number, -1 for none."""
        return self.kept[key + 1] - 1 if key + 1 < i64(len(self.kept)) else NONE

    def put(self, key: i64, number: i64) -> None:
        """Keep a number."""
        self.kept = reaching(self.kept, key + 1)
        self.kept[key + 1] = number + 1

    def drop(self, key: i64) -> None:
        """Keep none."""
        if key + 1 < i64(len(self.kept)):
            self.kept[key + 1] = 0


class Counts:
    """How often each number came: numbers below ``few`` are counted in an array, all others in a dictionary."""

    def __init__(self, few: i64) -> None:
        self.few: vec[i64] = zeros(few)
        self.rest: dict[int, int] = {}

    def add(self, number: i64) -> None:
        """Count one more."""
        if 0 <= number < i64(len(self.few)):
            self.few[number] = self.few[number] + 1
        else:
            self.rest[number] = self.rest.get(number, 0) + 1

    def has(self, number: i64) -> bool:
        """Tell whether a number came."""
        if 0 <= number < i64(len(self.few)):
            return self.few[number] > 0
        return number in self.rest

    def counted(self) -> dict[int, int]:
        """Return every number that came, in ascending order, with how often."""
        found = dict(self.rest)
        n: i64 = 0
        while n < i64(len(self.few)):
            if self.few[n] > 0:
                found[n] = self.few[n]
            n += 1
        return dict(sorted(found.items()))
