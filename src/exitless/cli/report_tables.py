"""The tables of ``exitless read`` as rows for other programs: one table a file, or each in a folder.

Columns are the fields of the JSON document; those of a field within a field have both names. Every row begins with its
recording.
"""

import io
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any, BinaryIO, Final, NamedTuple

from exitless.cli.output import open_whole
from exitless.cli.row_files import NUMBER, TEXT, WHOLE, Columns, Rows, write_csv, write_parquet
from exitless.errors import TraceError

EVENTS: Final = "events"
EVERY: Final = "all"
NUMBERS: Final = ("per_second", "share")
RANKS: Final = ("p50", "p99", "max")
SAMPLE: Final = ("count", *RANKS)

Document = dict[str, Any]
# Values of the columns that name a row, and the fields of the document for the others.
Row = tuple[tuple[Any, ...], Document]


class Shape(NamedTuple):
    """One table: the columns that name a row, the fields that fill the others, and its rows in a document.

    Shapes: a field within a field is written with a point between them.
    """

    names: tuple[str, ...]
    fields: tuple[str, ...]
    rows: Callable[[Document], Iterator[Row]]

    def columns(self) -> Columns:
        """Return the columns with what they hold."""
        fields = {name.replace(".", "_"): NUMBER if name in NUMBERS else WHOLE for name in self.fields}
        return {name: WHOLE if name == "from_ns" else TEXT for name in ("file", *self.names)} | fields

    def block(self, d: Document) -> Rows:
        """Return the rows of one document."""
        kinds = list(self.columns().values())[1:]
        rows = []
        for names, found in self.rows(d):
            told = (*names, *(field(found, name) for name in self.fields))
            rows.append((d["file"], *(written(x, kind) for x, kind in zip(told, kinds, strict=True))))
        return rows


def written(value: Any, kind: str) -> Any:
    """Return a value as its column holds it."""
    return str(value) if kind == TEXT and value is not None else value


def field(found: Document, name: str) -> Any:
    """Take a field out of a document, None where it is not there."""
    for part in name.split("."):
        found = found.get(part) if isinstance(found, dict) else None  # type: ignore[assignment]
    return found


def within(name: str, ranks: tuple[str, ...] = RANKS) -> tuple[str, ...]:
    """Name the fields within a field."""
    return tuple(f"{name}.{rank}" for rank in ranks)


def by_name(key: str) -> Callable[[Document], Iterator[Row]]:
    """Return what finds the rows of a field whose parts are named."""
    return lambda d: (((name,), found) for name, found in (d.get(key) or {}).items())


def listed(key: str, *names: str) -> Callable[[Document], Iterator[Row]]:
    """Return what finds the rows of a field that is a list."""
    return lambda d: ((tuple(found[name] for name in names), found) for found in d.get(key) or [])


def counted(key: str, inner: str, *names: str) -> Callable[[Document], Iterator[Row]]:
    """Return what finds a row for each count within the parts of a field that is a list."""
    return lambda d: (
        ((*(found[name] for name in names), name), count if isinstance(count, dict) else {"count": count})
        for found in d.get(key) or []
        for name, count in (found.get(inner) or {}).items()
    )


def exits(d: Document) -> Iterator[Row]:
    """Find exits by reason."""
    return by_name("by_reason")(d["exits"])


def over_time(d: Document) -> Iterator[Row]:
    """Find the counts of every interval: when it begins, what is counted."""
    over = d.get("over_time") or {"series": {}}
    for name, counts in over["series"].items():
        for n, count in enumerate(counts):
            yield (n * over["interval_ns"], name), {"interval_ns": over["interval_ns"], "count": count}


def hypercalls(d: Document) -> Iterator[Row]:
    """Find hypercalls by machine and name."""
    for vm, calls in (d.get("hypercalls_by_vm") or {}).items():
        for name, count in calls.items():
            yield (vm, name), {"count": count}


def kinds(d: Document) -> Iterator[Row]:
    """Find the records by kind, with what a number is called."""
    for kind, count in d["kinds"].items():
        yield (kind, d["names"].get(kind, "")), {"count": count}


STATES: Final = tuple(f"runstates.{s}.{of}" for s in ("running", "runnable", "blocked") for of in ("count", "time_ns"))
TABLES: Final[dict[str, Shape]] = {
    "exits": Shape(
        ("reason",),
        ("count", "per_second", "time_ns", "min_ns", "p50_ns", "p99_ns", "max_ns", "share", "timed", "runnable_ns",
         "handled_ns", "code"),
        exits,
    ),
    "vcpus": Shape(
        ("vm",), ("vcpu", "tid", "pcpu", "exits", "guest_ns", "host_ns", *STATES), listed("vcpus", "vm")
    ),
    "vcpu-exits": Shape(("vm", "vcpu", "reason"), ("count", "timed", "time_ns"),
                        counted("vcpus", "by_reason", "vm", "vcpu")),
    "vectors": Shape(
        ("vector",),
        ("accepted", "merged", "injected", "reinjected", "eoi", "eoi_without_exit", "windows_armed",
         "windows_rechecked", "latencies", *within("latency_ns"), "services", *within("service_ns"), "accept_to_eois",
         *within("accept_to_eoi_ns")),
        by_name("vectors"),
    ),
    "causes": Shape(("cause", "vector"), ("interrupts", "exits", "kicks", "time_ns"),
                    listed("causes", "cause", "vector")),
    "cause-exits": Shape(("cause", "vector", "reason"), ("count",), counted("causes", "by_reason", "cause", "vector")),
    "wakers": Shape(("waker", "vcpu"), ("count", *within("delay_ns", SAMPLE)), listed("wakers", "waker", "vcpu")),
    "waker-vectors": Shape(("waker", "vcpu", "vector"), ("count",), counted("wakers", "vectors", "waker", "vcpu")),
    "waits": Shape(
        ("vcpu",),
        (*within("after_wake_up_ns", SAMPLE), *within("after_losing_pcpu_ns", SAMPLE),
         *within("halts_polled_ns", SAMPLE), *within("halts_blocked_ns", SAMPLE), "polled_ns", "blocked_ns",
         "halt_poll_ns", "most_halt_poll_ns", "poll_grown", "poll_shrunk"),
        listed("waits", "vcpu"),
    ),
    "over-time": Shape(("from_ns", "series"), ("interval_ns", "count"), over_time),
    "hypercalls": Shape(("vm", "name"), ("count",), hypercalls),
    "kinds": Shape(("kind", "name"), ("count",), kinds),
}  # fmt: skip


def check_table(table: str, csv: str | None, parquet: str | None) -> None:
    """Refuse a table that has no file. Errors: TraceError."""
    if table not in (EVENTS, EVERY, *TABLES):
        raise TraceError(f"--table {table}: expected {', '.join(TABLES)}, {EVENTS} or {EVERY}")
    if table != EVENTS and not (csv or parquet):
        raise TraceError(f"--table {table} says what --csv or --parquet writes; give one of them")
    if table == EVERY and "-" in (csv, parquet):
        raise TraceError(f"--table {EVERY} writes one file a table into a folder; name a folder")


def write(out: BinaryIO, table: str, documents: list[Document], parquet: bool) -> None:
    """Write the rows of a table."""
    shape = TABLES[table]
    (write_parquet if parquet else write_csv)(out, shape.columns(), (shape.block(d) for d in documents))


def write_tables(place: str, table: str, documents: list[Document], parquet: bool) -> None:
    """Write a table into a file, or all of them into a folder. Errors: ExitlessError."""
    if table != EVERY:
        with open_whole(place) as out:
            write(out, table, documents, parquet)
        return
    folder = Path(place)
    try:
        folder.mkdir(exist_ok=True)
    except OSError as problem:
        raise TraceError(f"{place}: cannot be made a folder: {(problem.strerror or str(problem)).lower()}") from None
    for name in TABLES:
        write_tables(str(folder / f"{name}.{'parquet' if parquet else 'csv'}"), name, documents, parquet)


def write_report(
    documents: list[Document], table: str, csv: str | None, parquet: str | None, exits_csv: str | None
) -> None:
    """Write the tables of the report to where they are asked for, - for standard output. Errors: ExitlessError."""
    wanted = {"exits": exits_csv} if exits_csv else {}
    if table != EVENTS and csv:
        wanted[table] = csv
    for name, place in wanted.items():
        if place == "-":
            out = io.BytesIO()
            write(out, name, documents, False)
            print(out.getvalue().decode(), end="")
        else:
            write_tables(place, name, documents, False)
    if table != EVENTS and parquet:
        write_tables(parquet, table, documents, True)
