"""Predicts exits under other mechanisms: each class of exits by its rule, rows by their classes, the total by its rows.

Intervals come from two places: what a rule leaves open, and, in pasted tables, what a row does not tell of its classes.
The number of exits of a row is fixed, so its least and most are found by giving what is open to the class that keeps
fewest, or most. What stays moves with the load all the same, by :data:`DRIFT` between two runs; and a guest that saves
time does more in the same time, and so exits more: by up to :data:`MORE`.
"""

import math
from typing import Any, Final

from exitless.study.whatif_remarks import ALWAYS_TOGETHER, NO_MARK, remarks
from exitless.study.whatif_rules import ADDITIONS, ALL, CERTAIN, GUESS, RULES, USUAL, Addition, Rule, Share
from exitless.study.whatif_seen import Cell, Seen
from exitless.study.whatif_words import MECHANISMS, OF_KVM, OF_XEN, SAYS, Class, closure, way

DRIFT: Final = 0.06
# hackbench under KVM's fast path, which saves time and no exits: 11 % and 23 % more exits (Wanpeng Li, 9, 12 Nov 2019).
MORE: Final = 0.25
Ends = tuple[float, float, float]
STEADY: Final[Ends] = (1 - DRIFT, 1.0, 1 + DRIFT)
FASTER: Final[Ends] = (1 - DRIFT, 1.0, 1 + MORE)
SLOWER: Final[Ends] = (1 - MORE, 1.0, 1 + DRIFT)
STAYS: Final = "no rule of these mechanisms touches it"
SURE: Final = (CERTAIN, USUAL, GUESS)
# What KVM's fast path saves of the host's time for an IPI: 0.73 us before it, 0.40 us with it (W. Li, 12 Nov 2019).
FASTPATH_SAVES: Final = 1 - 0.40 / 0.73


class Part:
    """Exits of one class of a row, and what becomes of them."""

    def __init__(self, reason: str, cls: str, cell: Cell) -> None:
        self.reason = reason
        self.cls = cls
        self.cell = cell
        self.to = reason
        self.keep: Share = ALL
        self.rules: list[Rule | Addition] = []
        self.saved_ns = 0.0

    def sure(self) -> str:
        """Return how sure the least sure of its rules is."""
        return max((rule.sure for rule in self.rules), key=SURE.index, default=CERTAIN)

    def says(self) -> str:
        """Say what the rules make of it."""
        verb = self.verb()
        return f"{SAYS[self.cls]}: {verb}" + "".join(f"; {rule.says}" for rule in self.rules)

    def verb(self) -> str:
        """Say in a word or two what happens."""
        if not self.rules:
            return "stay"
        kept = self.keep[1]
        if kept == 0:
            return "go"
        if self.to != self.reason:
            return f"become {self.to}" + (f", {kept:g} for each" if kept != 1 else "")
        return "stay" if kept == 1 else f"{kept:.0%} stay" if kept < 1 else f"{kept:g} for each"


class Change:
    """Which mechanisms are switched on, and which off; ``asked`` holds what was named, the rest is brought along."""

    def __init__(self, enable: list[str], disable: list[str], seen: Seen) -> None:
        self.notes: list[str] = []
        foreign = OF_KVM if seen.hypervisor == "xen" else OF_XEN if seen.hypervisor == "kvm" else ()
        for name in (*enable, *disable):
            if name in foreign:
                owner = "KVM" if name in OF_KVM else "Xen"
                self.notes.append(
                    f"{name} is {owner}'s, and this file is of another hypervisor; it changes nothing here"
                )
        names = closure([name for name in enable if name not in foreign], seen.vendor)
        if "apicv" in names and "posted" not in names and seen.hypervisor == "kvm" and seen.vendor == "vmx":
            names = closure([*names, "posted"], seen.vendor)
            self.notes.append(ALWAYS_TOGETHER)
        self.asked = [name for name in MECHANISMS if name in enable]
        self.brought = [name for name in names if name not in enable and name not in seen.on]
        self.disable = [name for name in MECHANISMS if name in disable]
        self.enable = [name for name in names if name not in seen.on and name not in disable]
        if "pv-eoi" in self.enable and {"apicv", "avic"} & {*seen.on, *self.enable} - set(disable):
            self.enable.remove("pv-eoi")
            self.notes.append(NO_MARK)
        for name in names:
            if name in seen.on:
                self.notes.append(f"{name} is at work already ({seen.on[name]}); switching it on changes nothing")
        for name in self.disable:
            if not any(rule.mechanism == name and not rule.on for rule in (*RULES, *ADDITIONS)):
                self.notes.append(f"{name}: nothing in this file tells which exits come back without it")
            elif name not in seen.on and name not in foreign:
                self.notes.append(f"{name}: no sign of it in this file, so nothing is known to come back")


def rule_for(name: str, on: bool, cls: str, reason: str) -> Rule | None:
    """Find the first rule of a mechanism that fits."""
    for rule in RULES:
        if rule.mechanism == name and rule.on == on and cls in rule.classes and rule.way in ("", way(reason)):
            return rule
    return None


def name_of(seen: Seen, to: str) -> str:
    """Return what the file calls the exit that a rule names."""
    attribute = ("write" if seen.software_way() == "msr" else "page") if to == "software" else to
    return str(getattr(seen.words, attribute))


def follow(seen: Seen, part: Part, change: Change) -> None:
    """Apply every mechanism to one class of exits, in the order in which they act."""
    for name in MECHANISMS:
        for on, names in ((True, change.enable), (False, change.disable)):
            rule = rule_for(name, on, part.cls, part.to) if name in names else None
            if rule is None:
                continue
            part.rules.append(rule)
            low, likely, high = part.keep
            part.keep = (low * rule.keep[0], likely * rule.keep[1], high * rule.keep[2])
            if rule.to and seen.unit == "exits":
                part.to = name_of(seen, rule.to)
            if name == "icr-fastpath":
                part.saved_ns = FASTPATH_SAVES * part.cell.mean_ns()
        if part.keep[2] == 0:
            return


def added(seen: Seen, change: Change) -> list[Part]:
    """Return the exits that come in: as parts of rows that had none of them."""
    parts = []
    virtual = {"apicv", "avic"} & set(change.enable)
    for entry in ADDITIONS:
        switched = entry.mechanism in (change.enable if entry.on else change.disable)
        if not switched or not seen.counts.get(entry.counter):
            continue
        if entry.mechanism == "upcall-vector" and entry.on and virtual:
            continue
        if entry.mechanism == "posted" and "apicv" in change.disable:
            continue
        count = seen.counts[entry.counter]
        cell = Cell(0.0)
        cell.timed, cell.spent_ns = (1, seen.mean_of(entry.like)) if seen.timed else (0, 0.0)
        part = Part("", entry.like[0], cell)
        part.to = name_of(seen, entry.to)
        part.keep = (count * entry.keep[0], count * entry.keep[1], count * entry.keep[2])
        part.rules.append(entry)
        parts.append(part)
    return parts


def spread(parts: list[Part], total: float, to: str | None, load: Ends = STEADY) -> tuple[float, float]:
    """Return the least and the most that may become ``to`` (None: anything) of one row's exits, ``total`` of them."""

    def keeps(part: Part, end: int) -> float:
        return part.keep[end] * load[end] if to in (None, part.to) else 0.0

    ends = []
    for end, order in ((0, 1), (2, -1)):
        left = total - sum(part.cell.low for part in parts)
        amount = sum(part.cell.low * keeps(part, end) for part in parts)
        for part in sorted(parts, key=lambda p: order * keeps(p, end)):
            more = min(max(0.0, left), part.cell.high - part.cell.low)
            amount += more * keeps(part, end)
            left -= more
        ends.append(amount)
    return ends[0], ends[1]


class Prediction:
    """A file's exits before and after, row by row."""

    def __init__(self, seen: Seen, enable: list[str], disable: list[str]) -> None:
        self.seen = seen
        self.change = Change(enable, disable, seen)
        self.parts = [Part(reason, cls, cell) for (reason, cls), cell in seen.cells.items()]
        for part in self.parts:
            follow(seen, part, self.change)
        self.new = added(seen, self.change)
        on, off = bool(self.change.enable), bool(self.change.disable)
        self.load = STEADY if seen.unit != "exits" or on == off else FASTER if on else SLOWER
        self.by_reason: dict[str, list[Part]] = {}
        for part in self.parts:
            self.by_reason.setdefault(part.reason, []).append(part)

    def rows(self) -> list[dict[str, Any]]:
        """Return one row a reason, of before or after, most frequent first."""
        targets = dict.fromkeys([*self.seen.rows, *(part.to for part in self.parts), *(part.to for part in self.new)])
        rows = [self.row(reason) for reason in targets]
        return sorted(rows, key=lambda r: (not r["exit"], -max(r["before"], r["after"]), r["reason"]))

    def row(self, reason: str) -> dict[str, Any]:
        """Make the row of one reason."""
        mine = self.by_reason.get(reason, [])
        coming = [part for part in self.parts if part.to == reason and part.reason != reason]
        new = [part for part in self.new if part.to == reason]
        after = sum(p.cell.count * p.keep[1] for p in (*mine, *coming) if p.to == reason)
        low = high = 0.0
        for source in dict.fromkeys(p.reason for p in (*mine, *coming)):
            least, most = spread(self.by_reason[source], self.seen.rows[source], reason, self.load)
            low, high = low + least, high + most
        after += sum(p.keep[1] for p in new)
        low, high = low + sum(p.keep[0] for p in new), high + sum(p.keep[2] for p in new)
        before = round(self.seen.rows.get(reason, 0))
        count = round(after)
        everything = [*mine, *coming, *new]
        row: dict[str, Any] = {
            "reason": reason, "before": before, "after": count, "low": min(count, math.floor(low)),
            "high": max(count, math.ceil(high)), "rule": self.sentence(everything), "evidence": self.evidence(reason),
            "sure": self.sure(everything),
            "cites": list(dict.fromkeys(rule.cites for p in everything for rule in p.rules)),
            "exit": reason not in self.seen.no_exits, "parts": [self.part(p) for p in self.weighed(everything)],
        }  # fmt: skip
        if self.seen.timed:
            row["time_ns"] = self.times(mine, coming, new, row)
        return row

    def sure(self, parts: list[Part]) -> str:
        """Return how sure the least sure rule of a row is; a guess, where the file does not tell which of its exits are
        of a class that goes and which of one that stays.
        """
        for reason in dict.fromkeys(p.reason for p in parts if p.reason):
            possible = [p for p in self.by_reason[reason] if p.cell.high >= 1]
            fates = {(p.to, p.keep) for p in possible}
            if len(fates) > 1 and any(p.cell.high - p.cell.low >= 1 for p in possible):
                return GUESS
        return max((p.sure() for p in parts), key=SURE.index, default=CERTAIN)

    def part(self, part: Part) -> dict[str, Any]:
        """Return one class of a row."""
        before = part.cell.count if part.reason else 0.0
        after = before * part.keep[1] if part.reason else part.keep[1]
        return {
            "class": part.cls, "says": SAYS[part.cls], "from": part.reason, "to": part.to, "before": round(before),
            "after": round(after), "does": part.verb() if part.reason else "come in", "sure": part.sure(),
            "rules": [{"mechanism": r.mechanism, "says": r.says, "sure": r.sure, "cites": r.cites} for r in part.rules],
        }  # fmt: skip

    @staticmethod
    def weighed(parts: list[Part]) -> list[Part]:
        """Put the parts that count most first."""
        return sorted(parts, key=lambda p: -(p.cell.count if p.reason else p.keep[1]))

    def sentence(self, parts: list[Part]) -> str:
        """Say what becomes of a row, class by class."""
        said = []
        for part in self.weighed(parts):
            number = part.cell.count if part.reason else part.keep[1]
            if round(number) or part.cell.high >= 1:
                verb = part.verb() if part.reason else "come in"
                source = f" from {part.reason}" if part.reason and part.reason != part.to else ""
                why = "".join(f" ({rule.says})" for rule in part.rules)
                said.append(f"{round(number):,} {SAYS[part.cls]}{source if verb != 'go' else ''} {verb}{why}")
        return "; ".join(said) or STAYS

    def evidence(self, reason: str) -> str:
        """Say by what the classes of a row were told."""
        seen = self.seen
        if reason in seen.why:
            return seen.why[reason]
        if reason not in seen.rows:
            return "none of these before"
        if seen.kind == "table":
            return f"the row of {seen.format}"
        return "each exit by what the hypervisor recorded of it"

    def times(self, mine: list[Part], coming: list[Part], new: list[Part], row: dict[str, Any]) -> dict[str, int]:
        """Return the time of a row: every exit of a class takes as long as its class took on average before."""
        before = sum(p.cell.count * p.cell.mean_ns() for p in mine)
        after = sum(
            p.cell.count * p.keep[1] * max(0.0, p.cell.mean_ns() - p.saved_ns) for p in (*mine, *coming)
            if p.to == row["reason"]
        )  # fmt: skip
        after += sum(p.keep[1] * p.cell.mean_ns() for p in new)
        each = after / row["after"] if row["after"] else self.seen.mean_of((Class.KEPT,))
        return {
            "before": round(before), "after": round(after), "low": min(round(after), round(each * row["low"])),
            "high": max(round(after), round(each * row["high"])),
        }  # fmt: skip

    def total(self, rows: list[dict[str, Any]]) -> dict[str, int]:
        """Add up the exits. A total that the table states wins over the sum of its rows."""
        exits = [row for row in rows if row["exit"]]
        low = sum(p.keep[0] for p in self.new)
        high = sum(p.keep[2] for p in self.new)
        for reason, parts in self.by_reason.items():
            if reason not in self.seen.no_exits:
                least, most = spread(parts, self.seen.rows[reason], None, self.load)
                low, high = low + least, high + most
        before, after = sum(row["before"] for row in exits), sum(row["after"] for row in exits)
        stated = before if self.seen.total is None else round(self.seen.total)
        if stated < before:
            over = self.seen.rows.get(self.seen.words.window, 0.0)
            window = next((r["after"] / r["before"] for r in exits if r["reason"] == self.seen.words.window), 1.0)
            excess = (before - stated) * (window if over >= before - stated else after / before)
            after, low, high = round(after - excess), low - excess, high - excess
        return {
            "before": stated, "after": after, "low": max(0, min(after, math.floor(low))),
            "high": max(after, math.ceil(high)),
        }  # fmt: skip

    def as_json(self, file: str) -> dict[str, Any]:
        """Make the document of the command ``whatif``."""
        rows = self.rows()
        total: dict[str, Any] = self.total(rows)
        if self.seen.timed:
            timed = [row["time_ns"] for row in rows if row["exit"]]
            total["time_ns"] = {key: sum(t[key] for t in timed) for key in ("before", "after", "low", "high")}
        return {
            "input": file, "kind": self.seen.kind, "format": self.seen.format, "hypervisor": self.seen.hypervisor,
            "vendor": self.seen.vendor, "unit": self.seen.unit, "enabled": self.change.asked,
            "brought": self.change.brought, "disabled": self.change.disable, "at_work": self.seen.on, "rows": rows,
            "total": total, "notes": [*self.seen.notes, *self.change.notes, *self.remarks()],
        }  # fmt: skip

    def remarks(self) -> list[str]:
        """Say what counts of exits do not show."""
        exits = {reason: n for reason, n in self.seen.rows.items() if reason not in self.seen.no_exits}
        kept = sum(p.cell.count for p in self.parts if p.reason in exits and p.keep[1] > 0)
        return remarks(set(self.change.enable), self.seen.vendor, exits, kept)


__all__ = ["Prediction"]
