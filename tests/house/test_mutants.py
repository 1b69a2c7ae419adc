"""docs/mutants.md says what was kept of the mutation runs: a score that is high enough, and a reason a survivor."""

import warnings

from tests.house.tree import report
from tools.mutants import CHANGED, PAGE, WANTED, Survivor, body, by_folder, changed, functions_of, kept, reasons, share


def test_the_page_is_written_from_what_was_kept() -> None:
    """What has changed since a file was scored is told and fails nothing: a whole run takes longer than a change."""
    text = PAGE.read_text(encoding="utf-8").partition(CHANGED)[0] if PAGE.exists() else ""
    assert text == body(kept()), "docs/mutants.md is out of date: python -m tools.mutants --page"
    names = changed(kept())
    if names:
        warnings.warn(f"to be scored again (make mutants): {', '.join(names)}", stacklevel=1)


def test_the_numbers_of_every_file_add_up() -> None:
    for name, row in kept().items():
        assert row.failed + row.late + len(row.survivors) == row.mutants, name


def test_in_every_folder_enough_mutants_are_killed() -> None:
    problems = [f"{name}: {share(some):.1f} %" for name, some in by_folder(kept()).items() if share(some) < WANTED]
    report(problems, f"Write the tests that kill {WANTED} of a hundred mutants.")


def test_every_survivor_has_a_reason_and_every_reason_a_survivor() -> None:
    """A reason for a file that has changed since waits for the next run."""
    left: set[Survivor] = {one for row in kept().values() for one in row.survivors}
    why = reasons()
    known = set().union(*(functions_of(name) for name in kept()), *(functions_of(name) for name in changed(kept())))
    waiting = set().union(*(functions_of(name) for name in changed(kept())))
    problems = [f"no reason for {one.function}: {one.removed} -> {one.added}" for one in left if one not in why]
    problems += [f"a reason for {one.function}, which does not exist" for one in why if one.function not in known]
    problems += [
        f"a reason for {one.function}: {one.removed} -> {one.added}, which no run left over"
        for one in why
        if one not in left and one.function in known - waiting
    ]
    report(problems, "Correct tools/mutants.toml.")
    assert all(len(text.split()) > 4 for text in why.values()), "a reason is a sentence"
