"""Writes docs/validation.md by running what it shows: ``make validation``."""

import contextlib
import io
import json
import sys
from typing import Any

from exitless.cli.main import main as exitless
from exitless.cli.published import compare, published
from exitless.cli.run import run_one
from exitless.scenario import load
from tests.house.tree import ROOT

PAGE = ROOT / "docs" / "validation.md"
TRACES = ROOT.parent / "shared" / "data" / "traces"
START, END = "<!-- replay tables -->", "<!-- end of replay tables -->"
NAMES = ("VMEXIT", "VMMCALL", "INTR_WINDOW", "HLT", "INTR", "INJ_VIRQ")
VARIANTS: tuple[tuple[str, list[str]], ...] = (
    ("as it is", []),
    ("seed 2", ["run.seed=2"]),
    ("interrupts never off", ["load[0].off=0"]),
    ("off for 25 % of the work", ["load[0].off=25"]),
    ("sections off of 2 us", ["load[0].section=2 us"]),
    ("interrupts any distance apart", ["load[0].apart=0 us"]),
    ("at least 20 us apart", ["load[0].apart=20 us"]),
    ("work 30 us", ["load[0].work=30 us"]),
    ("work 36 us", ["load[0].work=36 us"]),
    ("clock 3.4 GHz", ["host.clock=3.4 GHz"]),
    ("guest timer every 4 ms", ["vm[0].tick=4 ms"]),
)


def columns(settings: list[str]) -> dict[str, Any]:
    """Run both columns at the published length and compare them."""
    data = published("netperf")
    assert data is not None
    scenario, name = load("netperf", settings)
    summaries = [
        run_one(scenario, name, data[side], None, None, False, False, lambda share: None)[0].summary
        for side in ("before", "after")
    ]
    document = compare(summaries, data)
    assert document is not None
    return document


def netperf_table(document: dict[str, Any]) -> str:
    """Return the table of published rows."""
    lines = [
        "| record in 5 s | column | simulated | published | difference | share | published | given | rule |",
        "| --- | --- | ---: | ---: | ---: | ---: | ---: | --- | --- |",
    ]
    for row in document["rows"]:
        for side in ("before", "after"):
            c = row[side]
            rule, given = (row["rule"], row["given"]) if side == "before" else ("", "")
            lines.append(
                f"| {row['name']} | {side} | {c['simulated']:,} | {c['published']:,} "
                f"| {c['difference_per_cent']:+.1f} % | {c['simulated_share']:.1%} | {c['published_share']:.1%} "
                f"| {given} | {rule} |"
            )
    change = document["change_of_exits_per_cent"]
    missed = "; ".join(document["missed"]) or "none"
    return (
        "\n".join(lines)
        + f"\n\nChange of all exits: {change['simulated']} %, published {change['published']} %. "
        + f"Outside the targets (10 % a row over 1,000, 3 points of the change): {missed}.\n"
    )


def sensitivity_table(first: dict[str, Any]) -> str:
    """Return how far each row is off when one assumption changes at a time."""
    heads = [
        f"{name} {side}" for name in NAMES for side in ("before", "after") if (name, side) != ("INJ_VIRQ", "after")
    ]
    heads = [head for head in heads if head != "INTR_WINDOW after"]
    lines = ["| changed | " + " | ".join(heads) + " | all exits |", "| --- |" + " ---: |" * (len(heads) + 1)]
    for says, settings in VARIANTS:
        document = columns(settings) if settings else first
        rows = {row["name"]: row for row in document["rows"]}
        cells = [f"{rows[n][s]['difference_per_cent']:+.1f}" for n, s in (head.split() for head in heads)]
        change = document["change_of_exits_per_cent"]["simulated"]
        lines.append(f"| {says} | " + " | ".join(cells) + f" | {change:.1f} |")
        print(f"netperf, {says}: exits change by {change} %")
    return "\n".join(lines) + "\n"


def replay_tables(old: str) -> str:
    """Return the comparison of every Xen recording beside this clone, or what the page had."""
    files = sorted(TRACES.glob("xen-*/xentrace.bin*"))
    if not files:
        print("no recordings in ../shared/data/traces: the replay tables of the page stay as they are")
        return old.partition(START)[2].partition(END)[0]
    parts = []
    for file in files:
        said = io.StringIO()
        with contextlib.redirect_stdout(said):
            options = [] if file.suffix == ".bin" else ["--cpu-hz", "2.6G"]
            exitless(["replay", str(file), "--json", "-", *options])
        lines = [f"\n### {file.parent.name}\n", "| quantity | recorded | simulated | difference | basis |"]
        lines.append("| --- | ---: | ---: | ---: | --- |")
        for row in json.loads(said.getvalue())["rows"]:
            off = row["difference_percent"]
            shown = "-" if off is None else f"{off:+.1f} %"
            recorded = "-" if row["recorded"] is None else row["recorded"]
            lines.append(f"| {row['quantity']} | {recorded} | {row['simulated']} | {shown} | {row['basis']} |")
        parts.append("\n".join(lines) + "\n")
    return "\n" + "".join(parts)


def main() -> int:
    """Write the page."""
    old = PAGE.read_text("utf-8") if PAGE.exists() else ""
    text = (ROOT / "tools" / "validation.txt").read_text("utf-8")
    document = columns([])
    text = text.replace("{netperf}", netperf_table(document)).replace("{sensitivity}", sensitivity_table(document))
    PAGE.write_text(text.replace("{replay}", START + replay_tables(old) + END), "utf-8")
    print("docs/validation.md")
    return 0


if __name__ == "__main__":
    sys.exit(main())
