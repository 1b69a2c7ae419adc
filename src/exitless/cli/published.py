"""A run beside published counts of the same experiment, where the library has some: ``NAME.published.toml``."""

import tomllib
from importlib import resources
from typing import Any

from rich.console import Console

from exitless.cli.tables import new_table
from exitless.study.summary import Summary

EXIT_ROWS = {
    "VMMCALL": "VMCALL", "HLT": "HLT", "INTR": "EXTERNAL_INTERRUPT", "TRAP": "EXCEPTION_NMI",
}  # fmt: skip


def published(name: str) -> dict[str, Any] | None:
    """Read the published counts of a library scenario, None where there are none."""
    file = resources.files("exitless.scenario") / "library" / f"{name}.published.toml"
    return tomllib.loads(file.read_text("utf-8")) if file.is_file() else None


def counted(name: str, s: Summary) -> int:
    """Count in a run what a row of Xen's trace counts; INTR_WINDOW is an arming, not the exit."""
    if name == "VMEXIT":
        return sum(s.exits.values())
    if name == "INTR_WINDOW":
        return sum(s.windows.values())
    if name == "INJ_VIRQ":
        return sum(s.injections.values())
    return s.exits.get(EXIT_ROWS[name], 0)


def per_cent_off(simulated: int, real: int) -> float:
    """Return by how many per cent a count differs from a published one."""
    return 100.0 * (simulated - real) / real


def compare(summaries: list[Summary], data: dict[str, Any]) -> dict[str, Any] | None:
    """Hold both columns against the published ones; None when either mechanism has not run or the length differs."""
    by_name = {s.mechanism: s for s in summaries}
    columns = [by_name.get(data[side]) for side in ("before", "after")]
    length_ps = int(data["length"].split()[0]) * 10**12
    if any(s is None or s.length_ps != length_ps for s in columns):
        return None
    rows = []
    for row in data["row"]:
        entry: dict[str, Any] = {"name": row["name"], "rule": row["rule"], "given": row.get("given", "")}
        for side, s in zip(("before", "after"), columns, strict=True):
            assert s is not None
            n = counted(row["name"], s)
            entry[side] = {
                "simulated": n, "published": row[side], "difference_per_cent": round(per_cent_off(n, row[side]), 2),
            }  # fmt: skip
        rows.append(entry)
    for entry in rows:
        for side in ("before", "after"):
            for what in ("simulated", "published"):
                entry[side][f"{what}_share"] = round(entry[side][what] / rows[0][side][what], 4)
    total = rows[0]
    change = {
        what: round(per_cent_off(total["after"][what], total["before"][what]), 2) for what in ("simulated", "published")
    }
    document = {"source": data["source"], "rows": rows, "change_of_exits_per_cent": change}
    document["missed"] = missed(document, data)
    return document


def missed(document: dict[str, Any], data: dict[str, Any]) -> list[str]:
    """Say which rows are farther off than the published table's targets allow."""
    out = []
    for row in document["rows"]:
        for side in ("before", "after"):
            cell = row[side]
            if cell["published"] > data["rows_over"] and abs(cell["difference_per_cent"]) > data["within_per_cent"]:
                out.append(
                    f"{row['name']} {side}: {cell['simulated']:,} simulated, {cell['published']:,} published, expected "
                    f"within {data['within_per_cent']} %"
                )
    change = document["change_of_exits_per_cent"]
    if abs(change["simulated"] - change["published"]) > data["change_within_points"]:
        out.append(
            f"exits change by {change['simulated']} %, published {change['published']} %, expected within "
            f"{data['change_within_points']} points"
        )
    return out


def print_published(out: Console, document: dict[str, Any]) -> None:
    """Print both columns beside the published ones, and under them the rule of each row."""
    t = new_table()
    t.add_column("record in 5 s", no_wrap=True)
    for head in ("simulated", "published", "difference", "share", "published"):
        t.add_column(head, justify="right", no_wrap=True)
    for side in ("before", "after"):
        t.add_row(f"[bold]{side}[/]")
        for row in document["rows"]:
            c = row[side]
            t.add_row(
                row["name"], f"{c['simulated']:,}", f"{c['published']:,}", f"{c['difference_per_cent']:+.1f} %",
                f"{c['simulated_share']:.1%}", f"{c['published_share']:.1%}",
            )  # fmt: skip
    out.print()
    out.print("[bold]Beside what was published[/]: " + document["source"])
    out.print(t)
    change = document["change_of_exits_per_cent"]
    out.print(f"Exits change by {change['simulated']} %; published: {change['published']} %.")
    for row in document["rows"]:
        given = f" Given: {row['given']}." if row["given"] else ""
        out.print(f"{row['name']}: {row['rule']}.{given}", style="dim")
    for sentence in document["missed"]:
        out.print(f"Off: {sentence}.")


def print_if_published(out: Console, name: str, results: list[Any]) -> None:
    """Print the comparison of a scenario that has one."""
    document = published_of(name, results)
    if document is not None:
        print_published(out, document)


def published_of(name: str, results: list[Any]) -> dict[str, Any] | None:
    """Compare results with what was published of their scenario; None where nothing was."""
    data = published(name)
    return compare([r.summary for r in results], data) if data is not None else None
