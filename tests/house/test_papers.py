"""Papers stay true: generated pages are current, links lead somewhere, decisions say all four things."""

import re

import pytest

from tests.house.tree import ROOT, kept_files, report
from tools.pages import PAGES


@pytest.mark.parametrize("page", sorted(PAGES))
def test_generated_pages_are_current(page: str) -> None:
    path = ROOT / "docs" / page
    kept = path.read_text(encoding="utf-8") if path.exists() else ""
    assert kept == PAGES[page](), f"docs/{page} is out of date: run make pages"


def test_links_between_papers_lead_somewhere() -> None:
    problems = []
    for path in kept_files():
        if path.suffix != ".md":
            continue
        for target in re.findall(r"\]\(([^)\s]+)\)", path.read_text(encoding="utf-8")):
            if not target.startswith(("http:", "https:", "#")) and not (path.parent / target.split("#")[0]).exists():
                problems.append(f"{path.relative_to(ROOT)} links to {target}")
    report(problems, "Correct these links.")


def test_decisions_say_what_why_what_else_and_what_would_change_our_mind() -> None:
    problems = []
    papers = sorted((ROOT / "docs" / "decisions").glob("*.md"))
    for number, path in enumerate(papers, 1):
        text = path.read_text(encoding="utf-8")
        missing = [
            part
            for part in ("**What.**", "**Why.**", "**What else.**", "**What would change our mind.**")
            if part not in text
        ]
        if missing:
            problems.append(f"{path.name} lacks {', '.join(missing)}")
        if not path.name.startswith(f"{number:04}-") or not text.startswith(f"# {number:04} "):
            problems.append(f"{path.name} is not number {number:04}, or its title has another number")
        if len(text.splitlines()) > 60:
            problems.append(f"{path.name} is longer than a page")
    report(problems, "A decision is one page: what, why, what else, what would change our mind.")
    assert papers, "there is no decision paper"


def test_architecture_paper_has_two_pages() -> None:
    lines = len((ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8").splitlines())
    assert lines <= 140, f"ARCHITECTURE.md has {lines} lines; two pages hold 140"
