"""What the stretches of recordings say of the cost table: which steps lie in each, and what is left for each step.

A cost is set so that the simulated stretch, between the same two rows, is as long as the recorded one: what steps
that are known already take is subtracted, and the rest is divided among the others in the proportion of the base table.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Any, Final

from exitless.study.stretch_table import DEFINITIONS, Definition
from exitless.study.stretches import Key
from exitless.study.times import Times

# A stretch that was seen less often sets no cost.
LEAST: Final = 10
USES: Final = ("min", "p50", "mean")


@dataclass
class Origin:
    """One recording: what it is, and what it says of the machine it was made on."""

    file: str
    format: str
    clock: str
    host: str
    vendor: str
    duration_ns: int
    exit_name: Callable[[int], str]
    samples: dict[Key, Times] = field(default_factory=dict)


@dataclass
class Stretch:
    """A stretch over all recordings. Units: ps."""

    name: str
    definition: Definition
    times: Times
    counts: dict[str, int]

    def value(self, use: str) -> int:
        """Return the figure that is used for the costs."""
        if use == "mean":
            return round(int(self.times.total) / self.times.count())
        return self.times.at_ps(0 if use == "min" else 500)

    def as_json(self) -> dict[str, Any]:
        """Return it with its distribution. Units: ns."""
        t = self.times
        return {
            "name": self.name, "place": self.definition.place, "ends": self.definition.ends,
            "conditions": self.definition.conditions, "count": t.count(), "min_ns": t.at_ps(0) / 1000,
            "p50_ns": t.at_ps(500) / 1000, "mean_ns": round(self.value("mean") / 1000, 3),
            "p90_ns": t.at_ps(900) / 1000, "p99_ns": t.at_ps(990) / 1000, "max_ns": t.at_ps(1000) / 1000,
            "recordings": self.counts, "steps": list(self.definition.steps),
        }  # fmt: skip


@dataclass
class Step:
    """A cost that was found. Units: ps."""

    name: str
    ps: int
    count: int
    source: str
    files: list[str]


def definition_of(name: str, number: int) -> Definition:
    """Find what a stretch is, by its name and number."""
    plain = name if not name.startswith("accepted to injection, ") else "accepted to injection"
    found = [d for d in DEFINITIONS if d.name == plain and d.number in (-1, number)]
    return found[0]


def stretches(origins: list[Origin]) -> list[Stretch]:
    """Put the samples of all recordings together, in the order of the definitions and then by how often."""
    out: dict[str, Stretch] = {}
    for origin in origins:
        for (name, number), times in origin.samples.items():
            definition = definition_of(name, number)
            shown = name
            if name == "exit":
                shown = f"exit {origin.exit_name(number)}"
            elif number >= 0:
                shown = f"{name} of 0x{number:02x}"
            one = out.setdefault(shown, Stretch(shown, definition, Times(), {}))
            one.times.extend(times)
            one.counts[origin.file] = one.counts.get(origin.file, 0) + times.count()
    place = {definition: n for n, definition in enumerate(DEFINITIONS)}
    return sorted(out.values(), key=lambda s: (place[s.definition], -s.times.count(), s.name))


def costs_of(found: list[Stretch], base: dict[str, int], use: str) -> tuple[list[Step], list[str]]:
    """Set the costs that the stretches allow; returns them and sentences on what they did not allow. Units: ps.

    ``base`` has the base table's costs by name, for their proportions only.
    """
    known: dict[str, Step] = {}
    said: list[str] = []
    for stretch in found:
        steps = [name for name in stretch.definition.steps if name not in known]
        if not steps:
            continue
        if stretch.times.count() < LEAST:
            said.append(f"{stretch.name}: seen {stretch.times.count()} times, fewer than {LEAST}; sets no cost")
            continue
        before = [name for name in stretch.definition.steps if name in known]
        value = stretch.value(use)
        left = value - sum(known[name].ps for name in before)
        if left <= 0:
            said.append(
                f"{stretch.name}: its {use} of {value / 1000:g} ns leaves nothing for {', '.join(steps)} beside "
                f"{', '.join(before)}, so {'it stays' if len(steps) == 1 else 'they stay'} as in the base"
            )
            continue
        whole = sum(base[name] for name in steps)
        shares = [left * base[name] // whole if whole else left // len(steps) for name in steps]
        shares[0] += left - sum(shares)
        how = f"{use} {value / 1000:g} ns of {stretch.times.count()} stretches '{stretch.name}'"
        if before:
            how += f" less {', '.join(before)}"
        if len(steps) > 1:
            how += f", divided among {', '.join(steps)} in the base's proportions"
        for name, ps in zip(steps, shares, strict=True):
            known[name] = Step(name, ps, stretch.times.count(), how, list(stretch.counts))
    order = list(base)
    return sorted(known.values(), key=lambda step: order.index(step.name)), said


__all__ = ["LEAST", "USES", "Origin", "Step", "Stretch", "costs_of", "stretches"]
