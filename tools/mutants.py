"""Read what mutmut found over ``arch``, keep it in tools/mutants-found.json, and write docs/mutants.md from there.

``python -m tools.mutants`` (what ``make mutants`` ends with) keeps the whole run. ``--only x86`` shows the score of one
folder or file (``x86/msi.py``) and keeps nothing; ``--keep x86`` keeps that part beside what was kept of the others;
``--page`` writes the page anew. A part is kept only when every mutant in it was tried on the source as it stands.
"""

import argparse
import ast
import hashlib
import json
import os
import sys
import tomllib
from collections import defaultdict
from dataclasses import asdict, dataclass, field
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
ARCH = ROOT / "src" / "exitless" / "arch"
RUN = ROOT / "mutants" / "src" / "exitless" / "arch"
REASONS = ROOT / "tools" / "mutants.toml"
FOUND = ROOT / "tools" / "mutants-found.json"
PAGE = ROOT / "docs" / "mutants.md"
WANTED = 95.0
# What mutmut writes for a mutant: the exit status of pytest, or the signal that its limit of CPU time raised.
FAILED = (1, 3)
TIMEOUTS = (-24, 24, 36, 152, 255)
CHANGED = "\n## Changed since they were scored\n"


@dataclass(order=True, frozen=True)
class Survivor:
    """One change of one line that no test noticed."""

    function: str
    removed: str
    added: str


@dataclass
class Scored:
    """What a run found in one file: its mutants, those killed by a failing test, and those that ran out of time."""

    code: str
    mutants: int = 0
    failed: int = 0
    late: int = 0
    survivors: list[Survivor] = field(default_factory=list)


def files() -> list[str]:
    """Return every file of ``arch`` that holds a function, by its path below ``arch``."""
    return [
        path.relative_to(ARCH).as_posix()
        for path in sorted(ARCH.rglob("*.py"))
        if any(isinstance(node, ast.FunctionDef) for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))))
    ]


def code_of(name: str) -> str:
    """Return a sum over the code of one file; comments, docstrings and blanks do not count."""
    tree = ast.parse((ARCH / name).read_text(encoding="utf-8"))
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef) and ast.get_docstring(node) is not None:
            node.body = node.body[1:] or [ast.Pass()]
    return hashlib.sha256(ast.unparse(tree).encode()).hexdigest()[:16]


def functions_of(name: str) -> set[str]:
    """Return the dotted names of the functions and methods of one file."""
    module = ".".join(["exitless", "arch", *Path(name).with_suffix("").parts])
    found = set()
    for node in ast.parse((ARCH / name).read_text(encoding="utf-8")).body:
        for inner in node.body if isinstance(node, ast.ClassDef) else [node]:
            if isinstance(inner, ast.FunctionDef):
                owner = [node.name] if isinstance(node, ast.ClassDef) else []
                found.add(".".join([module, *owner, inner.name]))
    return found


def survivor(key: str, name: str) -> Survivor:
    """Return what one mutant of a file takes out and what it puts in, each as one line."""
    from mutmut.mutation.diff_apply import get_diff_for_mutant
    from mutmut.utils.format_utils import get_module_from_key, orig_function_and_class_names_from_key

    function, owner = orig_function_and_class_names_from_key(key)
    lines = get_diff_for_mutant(key, path=(ARCH / name).relative_to(ROOT)).splitlines()
    body = [line for line in lines if not line.startswith(("---", "+++"))]
    removed, added = (" ".join(line[1:].strip() for line in body if line.startswith(sign)) for sign in "-+")
    return Survivor(".".join(part for part in (get_module_from_key(key), owner, function) if part), removed, added)


def read_run(part: str) -> dict[str, Scored]:
    """Return what the run below ``mutants`` found in a folder or a file of ``arch`` (all of it for an empty part)."""
    scored = {}
    wanted = [name for name in files() if not part or name == part or name.startswith(part.rstrip("/") + "/")]
    if not wanted:
        sys.exit(f"src/exitless/arch holds no folder or file {part!r}; name one as x86 or x86/msi.py")
    for name in wanted:
        copy = RUN / name
        meta = copy.with_name(copy.name + ".meta")
        if not meta.exists() or os.path.getmtime(ARCH / name) > os.path.getmtime(copy):
            sys.exit(f"src/exitless/arch/{name} was not tried as it stands: run mutmut over it first")
        statuses = json.loads(meta.read_text(encoding="utf-8"))["exit_code_by_key"]
        untried = sum(status is None for status in statuses.values())
        if untried:
            sys.exit(f"src/exitless/arch/{name}: {untried} of {len(statuses)} mutants were not tried: run mutmut on")
        late = sum(status in TIMEOUTS for status in statuses.values())
        failed = sum(status in FAILED for status in statuses.values())
        alive = [key for key, status in statuses.items() if status not in FAILED + TIMEOUTS]
        left = sorted(survivor(key, name) for key in alive)
        scored[name] = Scored(code_of(name), len(statuses), failed, late, left)
    return scored


def kept() -> dict[str, Scored]:
    """Return what tools/mutants-found.json holds, by file; one whose file is gone is left out."""
    rows = json.loads(FOUND.read_text(encoding="utf-8"))["files"] if FOUND.exists() else {}
    here = files()
    return {
        name: Scored(**{**row, "survivors": [Survivor(*some) for some in row["survivors"]]})
        for name, row in sorted(rows.items())
        if name in here
    }


def keep(scored: dict[str, Scored]) -> None:
    """Write tools/mutants-found.json: one line a file, and one a survivor."""
    lines = []
    for name, row in sorted(scored.items()):
        numbers = {key: value for key, value in asdict(row).items() if key != "survivors"}
        alive = [json.dumps([one.function, one.removed, one.added], ensure_ascii=False) for one in row.survivors]
        inner = "[\n   " + ",\n   ".join(alive) + "\n  ]" if alive else "[]"
        lines.append(f'  {json.dumps(name)}: {json.dumps(numbers)[:-1]}, "survivors": {inner}}}')
    write(FOUND, '{\n "files": {\n' + ",\n".join(lines) + "\n }\n}\n")


def write(path: Path, text: str) -> None:
    """Put a whole file in its place at once."""
    draft = path.with_name(path.name + ".part")
    draft.write_text(text, encoding="utf-8")
    draft.replace(path)


def reasons() -> dict[Survivor, str]:
    """Return the reasons of the data file by function, line and changed line."""
    why = {}
    for row in tomllib.loads(REASONS.read_text(encoding="utf-8")).get("equivalent", []):
        for added in [row["added"]] if isinstance(row["added"], str) else row["added"]:
            why[Survivor(row["function"], row["removed"], added)] = row["why"]
    return why


def share(some: list[Scored]) -> float:
    """Return how many of a hundred mutants were killed."""
    return 100 * sum(row.failed + row.late for row in some) / max(1, sum(row.mutants for row in some))


def by_folder(scored: dict[str, Scored]) -> dict[str, list[Scored]]:
    """Return the files' results by folder; those right in ``arch`` stand under its name."""
    folders: dict[str, list[Scored]] = defaultdict(list)
    for name, row in scored.items():
        folders[name.split("/")[0] if "/" in name else "(arch)"].append(row)
    return dict(sorted(folders.items()))


def table(scored: dict[str, Scored]) -> str:
    """Return the score of every folder, and of all."""
    lines = ["| folder | mutants | killed | out of time | survivors | score |", "|---|--:|--:|--:|--:|--:|"]
    for name, some in [*by_folder(scored).items(), ("total", list(scored.values()))]:
        counts = [sum(getattr(row, key) for row in some) for key in ("mutants", "failed", "late")]
        left = sum(len(row.survivors) for row in some)
        lines.append(f"| {name} | {' | '.join(str(count) for count in counts)} | {left} | {share(some):.1f} % |")
    return "\n".join(lines) + "\n"


def body(scored: dict[str, Scored]) -> str:
    """Return docs/mutants.md down to its list of survivors, from what was kept."""
    lines = [
        "# Mutants",
        "",
        "Every rule of `arch` changed in one place at a time by mutmut, and whether a test notices (`make mutants`;",
        "one folder at a time: CONTRIBUTING.md). A mutant that no test reaches counts as a survivor. Killed: a test",
        "fails. Out of time: the tests take more than fifteen times as long.",
        "",
        table(scored),
        "## Survivors",
        "",
    ]
    why = reasons()
    groups: dict[tuple[str, str, str], list[str]] = defaultdict(list)
    for row in scored.values():
        for one in row.survivors:
            reason = why.get(one, "**No reason is given yet.**")
            groups[one.function.removeprefix("exitless.arch."), one.removed, reason].append(one.added)
    for (function, removed, reason), added in groups.items():
        changes = ", ".join(f"`{line}`" if line else "nothing" for line in added)
        lines += [f"- `{function}`: `{removed}` → {changes}:", f"  {reason}"]
    return "\n".join(lines).rstrip("\n") + "\n"


def changed(scored: dict[str, Scored]) -> list[str]:
    """Return the files whose code is another than the one that was scored, or that were never scored."""
    return [name for name in files() if name not in scored or scored[name].code != code_of(name)]


def page(scored: dict[str, Scored]) -> str:
    """Return docs/mutants.md: scores, survivors, and the files that have changed since."""
    names = changed(scored)
    note = CHANGED + "\n" + "".join(f"- `{name}`\n" for name in names) if names else ""
    return body(scored) + note


def main(arguments: list[str]) -> int:
    """Score or keep a run, print its table, and fail under the score that is wanted or without a reason."""
    parser = argparse.ArgumentParser(prog="python -m tools.mutants", description=__doc__.partition("\n")[0])
    parser.add_argument("--only", metavar="PART", help="show the score of one folder or file; keep nothing")
    parser.add_argument("--keep", metavar="PART", help="keep what the run found in one folder or file")
    parser.add_argument("--page", action="store_true", help="write docs/mutants.md from what was kept")
    options = parser.parse_args(arguments)
    if options.page:
        scored = kept()
    else:
        scored = read_run(options.only or options.keep or "")
        if not options.only:
            keep({**kept(), **scored})
    if not options.only:
        write(PAGE, page(kept()))
    why = reasons()
    bare = [one for row in scored.values() for one in row.survivors if one not in why]
    print(table(scored))
    for one in bare:
        print(f"no reason: {one.function}: {one.removed} -> {one.added}")
    return int(bool(bare) or any(share(some) < WANTED for some in by_folder(scored).values()))


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
