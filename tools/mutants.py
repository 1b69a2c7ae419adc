"""Read what mutmut found over ``arch`` and write docs/mutants.md: the score, and every survivor with its reason."""

import json
import sys
import tomllib
from collections import defaultdict
from dataclasses import dataclass
from importlib.metadata import version
from pathlib import Path

from mutmut.mutation.diff_apply import get_diff_for_mutant
from mutmut.utils.format_utils import get_module_from_key, orig_function_and_class_names_from_key

ROOT = Path(__file__).resolve().parent.parent
ARCH = Path("src/exitless/arch")
REASONS = ROOT / "tools" / "mutants.toml"
PAGE = ROOT / "docs" / "mutants.md"
WANTED = 95.0
# What mutmut writes for a mutant: the exit status of pytest, or the signal that its limit of CPU time raised.
FAILED = (1, 3)
TIMEOUTS = (-24, 24, 36, 152, 255)


@dataclass
class Mutant:
    """One change of one line, and what became of it."""

    name: str
    folder: str
    path: Path
    status: int | None

    def killed(self) -> bool:
        """Tell whether a test failed, or ran out of its time; a mutant that no test reaches has survived."""
        return self.status in FAILED or self.status in TIMEOUTS

    def function(self) -> str:
        """Return the dotted name of the function that the mutant changes."""
        name, owner = orig_function_and_class_names_from_key(self.name)
        return ".".join(part for part in (get_module_from_key(self.name), owner, name) if part)


def found() -> list[Mutant]:
    """Return every mutant of the run; one that was not tried stops here, for a part is no score."""
    mutants = []
    for meta in sorted((ROOT / "mutants" / ARCH).rglob("*.meta")):
        path = meta.relative_to(ROOT / "mutants").with_suffix("")
        folder = path.relative_to(ARCH).parts[0] if path.parent != ARCH else "(arch)"
        for name, status in json.loads(meta.read_text(encoding="utf-8"))["exit_code_by_key"].items():
            mutants.append(Mutant(name, folder, path, status))
    untried = sum(mutant.status is None for mutant in mutants)
    if untried or not mutants:
        sys.exit(
            f"mutants/ holds {len(mutants)} mutants of which {untried} were not tried: run make mutants to its end"
        )
    return mutants


def change(mutant: Mutant) -> tuple[str, str]:
    """Return what the mutant takes out and what it puts in, each as one line."""
    lines = get_diff_for_mutant(mutant.name, path=mutant.path).splitlines()
    body = [line for line in lines if not line.startswith(("---", "+++"))]
    removed = " ".join(line[1:].strip() for line in body if line.startswith("-"))
    added = " ".join(line[1:].strip() for line in body if line.startswith("+"))
    return removed, added


def reasons() -> dict[tuple[str, str, str], str]:
    """Return the reasons of the data file by function, line and changed line."""
    rows = tomllib.loads(REASONS.read_text(encoding="utf-8")).get("equivalent", [])
    return {(row["function"], row["removed"], row["added"]): row["why"] for row in rows}


def share(mutants: list[Mutant]) -> float:
    """Return how many of a hundred mutants were killed."""
    return 100 * sum(mutant.killed() for mutant in mutants) / len(mutants)


def page(mutants: list[Mutant]) -> str:
    """Return docs/mutants.md."""
    by_folder: dict[str, list[Mutant]] = defaultdict(list)
    for mutant in mutants:
        by_folder[mutant.folder].append(mutant)
    lines = [
        "# Mutants",
        "",
        "Written by `make mutants`: every rule of `arch` changed in one place at a time, and whether",
    ]
    lines += [f"a test notices. mutmut {version('mutmut')}. A mutant that no test reaches counts as a survivor.", ""]
    lines += ["| folder | mutants | killed | out of time | survivors | score |", "|---|--:|--:|--:|--:|--:|"]
    for name, some in [*sorted(by_folder.items()), ("total", mutants)]:
        late = sum(mutant.status in TIMEOUTS for mutant in some)
        dead = sum(mutant.killed() for mutant in some)
        lines.append(f"| {name} | {len(some)} | {dead - late} | {late} | {len(some) - dead} | {share(some):.1f} % |")
    why = reasons()
    lines += ["", "## Survivors", ""]
    for mutant in mutants:
        if not mutant.killed():
            removed, added = change(mutant)
            reason = why.get((mutant.function(), removed, added), "**No reason is given yet.**")
            lines += [f"- `{mutant.function()}`: `{removed}` → `{added}`  ", f"  {reason}"]
    return "\n".join(lines) + "\n"


def main() -> int:
    """Write the page, print its table, and fail under the score that is wanted."""
    mutants = found()
    text = page(mutants)
    PAGE.write_text(text, encoding="utf-8")
    print(text.partition("\n## Survivors")[0])
    return int(share(mutants) < WANTED)


if __name__ == "__main__":
    sys.exit(main())
