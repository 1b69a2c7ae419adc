"""``exitless check``: explore a delivery protocol in every order, and show the shortest run that breaks it."""

import argparse
import time
from pathlib import Path as FilePath
from typing import Any

from rich.console import Console
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from exitless.check.catalog import entries, find, make
from exitless.check.entry import Entry
from exitless.check.explore import STATES_AT_MOST, Search
from exitless.check.path import Path, counterexample, counterexample_record
from exitless.check.property import law_kind, law_name, sometimes_name
from exitless.cli.main import near
from exitless.cli.output import console, write_json
from exitless.errors import ScenarioError
from exitless.record.store import write as store

PORTION = 2_000
DEFAULT = "post-while-blocking"


def add_parser(subparsers: Any) -> None:
    """Declare the command."""
    p = subparsers.add_parser("check", help="explore a delivery protocol in every order")
    p.add_argument("worlds", nargs="*", metavar="WORLD", help=f"worlds to explore (default {DEFAULT})")
    p.add_argument("--all", action="store_true", help="explore every world")
    p.add_argument("--mutate", metavar="NAME", help="break the protocol on purpose")
    p.add_argument("--list", action="store_true", help="list the worlds and their mutations")
    p.add_argument("--states", type=int, default=STATES_AT_MOST, metavar="N", help="give up beyond so many states")
    p.add_argument("--out", metavar="DIR", help="keep the record of each counterexample there, for `exitless show`")
    p.add_argument("--json", metavar="FILE", help="write the results as JSON (- for standard output)")
    p.set_defaults(run=run)


class Outcome:
    """One world explored: how much of it there is, and what is broken."""

    def __init__(self, entry: Entry, mutation: str, search: Search, seconds: float) -> None:
        self.entry = entry
        self.mutation = mutation
        self.search = search
        self.seconds = seconds
        self.path: Path | None = counterexample(search) if search.found >= 0 else None
        missing = search.missing() if self.path is None else 0
        self.absent = [sometimes_name(bit) for bit in bits(missing)]

    def is_broken(self) -> bool:
        """Tell whether a law or a "sometimes" does not hold."""
        return self.path is not None or bool(self.absent)

    def property(self) -> str:
        """Return the broken property, or those that hold."""
        if self.path is not None:
            return f"{law_kind(self.search.law)}: {law_name(self.search.law)}"
        if self.absent:
            return f"sometimes: {self.absent[0]}"
        return "all"

    def row(self) -> dict[str, Any]:
        """Return the JSON of this world."""
        found: dict[str, Any] = {
            "world": self.entry.name,
            "mutation": self.mutation or None,
            "states": len(self.search.keys),
            "edges": int(self.search.edges),
            "verdict": "broken" if self.is_broken() else "holds",
            "property": self.property(),
            "steps": len(self.path.steps) if self.path else 0,
            "depth": int(self.search.longest()),
            "quiet": int(self.search.quiet),
            "seconds": round(self.seconds, 3),
        }
        if self.entry.note:
            found["note"] = self.entry.note
        if self.path is not None:
            found["path"] = [
                {
                    "agent": taken.who,
                    "step": taken.says,
                    "cites": taken.cites,
                    "changes": {c.name: [c.before, c.after] for c in taken.changes},
                }
                for taken in self.path.steps
            ]
            found["end"] = dict(self.path.last)
        return found


def bits(mask: int) -> list[int]:
    """Return the bits of a mask, each as a number of its own."""
    return [1 << n for n in range(int(mask).bit_length()) if int(mask) >> n & 1]


def choose(args: argparse.Namespace) -> list[tuple[Entry, str]]:
    """Return the worlds to explore, each with its mutation. Errors: ScenarioError with a near match."""
    known = [entry.name for entry in entries()]
    for name in args.worlds:
        if name not in known:
            hint = near(name, known) or f"; there are {', '.join(known)}"
            raise ScenarioError(f'check: there is no world "{name}"{hint}')
    if args.all and args.worlds:
        raise ScenarioError("check: name worlds or say --all, not both")
    mutation: str = args.mutate or ""
    names = known if args.all else args.worlds or ([DEFAULT] if not mutation else [home_of(mutation)])
    chosen = [find(name)[0] for name in dict.fromkeys(names)]
    if mutation and args.all:
        chosen = [entry for entry in chosen if mutation in entry.mutation_names()] or [find(home_of(mutation))[0]]
    for entry in chosen:
        if mutation and mutation not in entry.mutation_names():
            mutations = entry.mutation_names()
            hint = near(mutation, mutations) or f"; there are {', '.join(mutations)}"
            raise ScenarioError(f'check: {entry.name} has no mutation "{mutation}"{hint}')
    return [(entry, mutation) for entry in chosen]


def home_of(mutation: str) -> str:
    """Return the world that is explored when only a mutation is named: the default, unless another alone has it."""
    homes = [entry.name for entry in entries() if mutation in entry.mutation_names()]
    return homes[0] if homes and DEFAULT not in homes else DEFAULT


def explore(entry: Entry, mutation: str, limit: int) -> Outcome:
    """Explore one world; tells how far it is when that takes over a second. Errors: ScenarioError beyond the limit."""
    if limit < 1:
        raise ScenarioError(f"check --states: {limit} is no number of states to stop at; expected 1 or more")
    began = time.perf_counter()
    search = Search(make(entry.name, mutation), limit)
    status = None
    try:
        while search.advance(PORTION):
            if time.perf_counter() - began > 1:
                text = f"{entry.name}: {len(search.keys):,} states found, {int(search.next):,} explored"
                if status is None:
                    status = console(stderr=True).status(text)
                    status.start()
                status.update(text)
    finally:
        if status is not None:
            status.stop()
    if search.is_full:
        raise ScenarioError(
            f"check: {entry.name} has more than {limit:,} states, so nothing is decided; --states N allows more"
        )
    return Outcome(entry, mutation, search, time.perf_counter() - began)


def print_outcome(out: Console, outcome: Outcome) -> None:
    """Say what was explored and what came out."""
    search, entry = outcome.search, outcome.entry
    name = entry.name + (f", {outcome.mutation}" if outcome.mutation else "")
    verdict = Text("broken", "bold red") if outcome.is_broken() else Text("holds", "bold green")
    out.print(Text.assemble((name, "bold"), ": ", verdict))
    says(out, entry.says)
    for mutation in entry.mutations:
        if mutation.name == outcome.mutation:
            says(out, f"Broken on purpose: {lower(mutation.says)}")
    says(out, f"[{entry.cites}]")
    if entry.note:
        says(out, f"Note: {entry.note}")
    counted = f"{len(search.keys):,} states, {int(search.edges):,} edges"
    if outcome.path is None:
        says(out, f"{counted}; {int(search.quiet):,} states at rest; {int(search.longest())} steps to the farthest")
    else:
        says(out, f"{counted} up to the first that is broken")
    for absent in outcome.absent:
        says(out, f"Never happens, and should in some run: {absent}")
    if outcome.path is not None:
        print_path(out, outcome.path)
    elif not outcome.absent:
        print_kept(out, outcome)


def says(out: Console, sentence: str, style: str = "") -> None:
    """Print a sentence, indented."""
    out.print(Padding(Text(sentence, style), (0, 0, 0, 2), expand=False))


def lower(sentence: str) -> str:
    """Return a sentence to be put behind a colon."""
    return sentence[:1].lower() + sentence[1:]


def print_kept(out: Console, outcome: Outcome) -> None:
    """List the properties that hold."""
    table = Table.grid(padding=(0, 2))
    for law in outcome.search.world.laws:
        table.add_row(law_kind(law), law_name(law))
    for bit in bits(outcome.search.world.wanted):
        table.add_row("sometimes", sometimes_name(bit))
    out.print(Padding(table, (0, 0, 0, 2), expand=False))


def print_path(out: Console, path: Path) -> None:
    """Print a counterexample as numbered steps, the state at its end, and a small timeline."""
    out.print()
    says(out, f"After {len(path.steps)} steps this does not hold: {path.property}", "red")
    out.print()
    table = Table.grid(padding=(0, 2))
    table.add_column(justify="right")
    for n, taken in enumerate(path.steps, 1):
        table.add_row(str(n), Text(taken.who, "bold"), taken.says)
        if taken.changes:
            changes = [f"{change.name}: {change.before} → {change.after}" for change in taken.changes]
            table.add_row("", "", Text("; ".join(changes), "yellow"))
        table.add_row("", "", Text(f"[{taken.cites}]", "dim"))
    out.print(Padding(table, (0, 0, 0, 2), expand=False))
    out.print()
    says(out, "In the end: " + "; ".join(f"{name} {value}" for name, value in path.last))
    print_timeline(out, path)


def print_timeline(out: Console, path: Path) -> None:
    """Draw one lane an agent; step n stands in column n of the lane whose agent took it."""
    out.print()
    lanes = [agent for agent in path.agents if any(taken.who == agent for taken in path.steps)]
    wide = max(len(agent) for agent in lanes)
    room = max(10, (out.width - wide - 6) // 3)
    for first in range(0, len(path.steps), room):
        part = path.steps[first : first + room]
        for agent in lanes:
            cells = "".join(f"{first + n + 1:>3}" if taken.who == agent else "  ·" for n, taken in enumerate(part))
            out.print(Text.assemble(f"  {agent:<{wide}}  ", cells))
        out.print()


def keep(folder: str, outcome: Outcome) -> None:
    """Write a counterexample as a record, if there is one. Errors: ScenarioError."""
    if outcome.path is None:
        return
    target = FilePath(folder)
    try:
        target.mkdir(parents=True, exist_ok=True)
    except OSError as problem:
        raise ScenarioError(f"--out {folder}: cannot make the directory: {problem.strerror}") from None
    name = "-".join(part for part in (outcome.entry.name, outcome.mutation) if part)
    store(counterexample_record(outcome.path), target / f"{name}.xl")


def print_list(out: Console) -> None:
    """List worlds and mutations."""
    for entry in entries():
        out.print(Text(entry.name, "bold"))
        says(out, entry.says)
        says(out, f"[{entry.cites}]")
        for mutation in entry.mutations:
            line = Text.assemble((mutation.name, "bold"), ": ", lower(mutation.says))
            out.print(Padding(line, (0, 0, 0, 4), expand=False))


def run(args: argparse.Namespace) -> int:
    """Explore what was asked for. Returns: 0, or 1 when a world is broken."""
    out = console(stderr=args.json == "-")
    if args.list:
        print_list(out)
        return 0
    outcomes = []
    for entry, mutation in choose(args):
        outcomes.append(explore(entry, mutation, args.states))
        if args.out:
            keep(args.out, outcomes[-1])
        if args.json != "-":
            if len(outcomes) > 1:
                out.print()
            print_outcome(out, outcomes[-1])
    if args.json:
        write_json({"worlds": [outcome.row() for outcome in outcomes]}, args.json)
    return int(any(outcome.is_broken() for outcome in outcomes))
