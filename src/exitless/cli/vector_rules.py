"""Chooses vectors of the second format: every value of every parameter of every rule, on states chosen by chance.

A rule whose parameters are numbers alone and few is tried on every combination. Chance is a function of the rule's
name and of the vector's number, so that the same vectors come out every time, whatever other rules there are.
"""

import json
import zlib
from collections.abc import Iterator
from itertools import product
from typing import Any, Final

from exitless.cli.vector_domains import ALWAYS, PAGES, REGISTERS, domain
from exitless.cli.vector_shapes import NUMBERS, WORDS, Rule, called, catalogue, element, live, new_plain
from exitless.cli.vector_starts import STARTS, laid_over
from exitless.sim.chance import Stream

ALL_COMBINATIONS: Final = 1200
BY_CHANCE: Final = 60
EACH_START: Final = 4
POOL: Final = (0x10, 0x1F, 0x30, 0x31, 0x41, 0x51, 0x52, 0x80, 0xC1, 0xEF, 0xF1, 0xFF)
VISR, VTMR, VIRR = 0x100, 0x180, 0x200

# Rules that no vector shows, each with its reason.
LEFT_OUT: Final = {
    "xen.fifo.new_array": "takes nothing and returns 131,072 empty ports, which the shape of EventArray says in a line",
}


class Chance:
    """Values by chance for the arguments of one vector."""

    def __init__(self, rule: int, number: int) -> None:
        self.stream = Stream(rule, number)

    def below(self, count: int) -> int:
        """Return a number below ``count``."""
        return int(self.stream.below(count))

    def number(self, owner: str, name: str) -> int:
        """Return a number of a domain."""
        values = domain(owner, name)
        return values[self.below(len(values))]

    def vectors(self) -> list[int]:
        """Return up to three vectors of a few, so that they meet."""
        return [POOL[self.below(len(POOL))] for _ in range(self.below(4))]

    def register(self) -> dict[str, int]:
        """Return a packed 256-bit register."""
        found: dict[str, int] = {}
        for vector in self.vectors():
            found[str(vector >> 5)] = found.get(str(vector >> 5), 0) | 1 << (vector & 31)
        return found

    def page(self) -> dict[str, int]:
        """Return the words of a register page that are not 0."""
        found: dict[str, int] = {}
        for name, offset in (("tpr", 0x080), ("tpr", 0x0A0), ("dfr", 0x0E0), ("icr_low", 0x300), ("icr_high", 0x310)):
            if self.below(3) == 0:
                found[str(offset // 4)] = self.number("", name)
        for base in (VISR, VTMR, VIRR):
            for vector in self.vectors():
                at = str((base + (vector >> 5) * 16) // 4)
                found[at] = found.get(at, 0) | 1 << (vector & 31)
        return dict(sorted(found.items(), key=lambda item: int(item[0])))

    def words(self, owner: str, name: str, length: int) -> dict[str, int]:
        """Return some words."""
        if name in REGISTERS:
            return self.register()
        if f"{owner}.{name}" in PAGES:
            return self.page()
        if length <= 16:
            every = f"{owner}.{name}" in ALWAYS
            return {str(i): self.number(owner, name) for i in range(length) if every or self.below(2)}
        return {str(self.below(min(length, 8))): self.number(owner, name) for _ in range(self.below(6))}

    def value(self, owner: str, name: str, kind: str, base: Any) -> Any:
        """Return one attribute as a file says it."""
        if kind == "i64":
            return self.number(owner, name)
        if kind == WORDS:
            return self.words(owner, name, len(base))
        if element(kind):
            length = len(base) or 4
            members = {str(i): self.shape(element(kind)) for i in range(length) if self.below(3)}
            return members if base else {"length": length, **members}
        return self.shape(kind)

    def shape(self, kind: str) -> dict[str, Any]:
        """Return an object: each of its attributes new, or chosen, as often."""
        base = new_plain(kind)
        found = {}
        often = 6 if kind.endswith("Choices") else 2
        for name, inner in catalogue().shapes[kind].fields.items():
            if self.below(often) == 0 or f"{kind}.{name}" in ALWAYS:
                found[name] = self.value(kind, name, inner, base[name])
        return found

    def argument(self, owner: str, name: str, kind: str) -> Any:
        """Return one argument as a file says it."""
        if kind == "i64":
            return self.number(owner, name)
        if kind == "bool":
            return self.below(2) == 1
        if kind == WORDS:
            return [self.number(owner, "word") for _ in range(lengths(owner, name))]
        if element(kind):
            return [self.shape(element(kind)) for _ in range(4)]
        return self.shape(kind)


def lengths(owner: str, name: str) -> int:
    """Return how many words an argument has that is words."""
    if name in REGISTERS:
        return 8
    return {
        "unpack_descriptor": 16,
        "descriptor_reserved": 16,
        "update_priority": 1024,
        "load_msr_bitmap": 1024,
        "find_descriptor": 8,
    }.get(owner, 2 if name in ("taken", "selector") or owner == "unpack_physical" else 4)


def every_value(rule: Rule) -> Iterator[dict[str, Any]]:
    """Hand out what is fixed in each vector of a rule: every value of each number, one number at a time, or all."""
    values = {
        name: (False, True) if kind == "bool" else tuple(dict.fromkeys(domain(rule.name, name)))
        for name, kind in rule.parameters.items()
        if kind in NUMBERS
    }
    combinations = 1
    for each in values.values():
        combinations *= len(each)
    if len(values) == len(rule.parameters) and combinations <= ALL_COMBINATIONS:
        for row in product(*values.values()):
            yield dict(zip(values, row, strict=True))
        return
    for name, each in values.items():
        for value in each:
            yield {name: value}
    for _ in range(BY_CHANCE):
        yield {}


def starting(name: str, rule: Rule) -> Iterator[tuple[dict[str, Any], dict[str, Any]]]:
    """Hand out what is fixed, and where to start: every start with chance, and again with each value in turn."""
    starts = STARTS.get(name, [])
    for start in starts:
        for _ in range(EACH_START):
            yield {}, start
    for number, fixed in enumerate(every_value(rule)):
        yield fixed, starts[number // 2 % len(starts)] if starts and number % 2 == 0 else {}


def vectors_of(name: str) -> Iterator[dict[str, Any]]:
    """Hand out the vectors of one rule."""
    rule = catalogue().rules[name]
    seen: set[str] = set()
    for number, (fixed, start) in enumerate(starting(name, rule)):
        chance = Chance(zlib.crc32(name.encode()), number)
        chosen = {parameter: chance.argument(rule.name, parameter, kind) for parameter, kind in rule.parameters.items()}
        merged = laid_over(chosen, start) | fixed
        said = {parameter: merged[parameter] for parameter in rule.parameters}
        text = json.dumps(said, separators=(",", ":"))
        if text in seen:
            continue
        seen.add(text)
        arguments = {parameter: live(kind, said[parameter]) for parameter, kind in rule.parameters.items()}
        answer, after = called(rule, arguments)
        yield {
            "id": f"{name}/{len(seen)}", "call": name, "clause": rule.clause(), "arguments": said, "answer": answer,
            "after": after,
        }  # fmt: skip


def all_vectors() -> Iterator[dict[str, Any]]:
    """Hand out the vectors of every rule, in the order of their names."""
    for name in sorted(catalogue().rules):
        if name not in LEFT_OUT:
            yield from vectors_of(name)
