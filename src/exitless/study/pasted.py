"""Tables of exits that people paste: what perf, KVM's counters, SystemTap and Xen's tools print of a host's exits.

:func:`read_pasted` recognises a table by its content. Whoever uses a :class:`Pasted` takes exits from ``exits``, by the
kernel's names; ``counts`` has every row of the table, also those that are no exits. What a table does not tell is None.
"""

from collections.abc import Callable
from dataclasses import dataclass, field
from typing import Final

from exitless.errors import TraceError
from exitless.study.exit_names import exit_by_name, known_exit
from exitless.study.pasted_text import Text

EXPECTED: Final = (
    "expected a report of perf kvm stat, counters of perf stat -e kvm:*, KVM's counters in debugfs, a report of "
    "kvm_service_time.stp, kvm_stat or kvmexit, what xenalyze --summary prints, a summary of xentrace records with a "
    "row VMEXIT, or a list of at least two exits with their counts"
)


@dataclass(slots=True)
class Exits:
    """The exits of one reason. ``code`` is the exit's number, -1 where the table's name has none.

    Units: ns; None is not told. ``time_ns`` is all of their time, ``share`` the table's own part of the time of all.
    """

    count: int
    code: int = -1
    time_ns: float | None = None
    min_ns: float | None = None
    mean_ns: float | None = None
    max_ns: float | None = None
    share: float | None = None
    written: str = ""


@dataclass(slots=True)
class Pasted:
    """A table as it was read.

    ``counts`` has all rows: exits by the kernel's names, other things by the table's own. ``exits`` has the exits,
    empty where the table does not tell them by reason; ``mean_ns`` their mean times where they are given. ``total`` is
    how many exits there were in all, None where nothing says so; ``unlisted`` how many of them no row has. ``vendor``
    is vmx, svm, arm64 or "" for not told. ``records`` counts tracepoints, counters or Xen's records by their own names,
    ``vectors`` the guest's interrupts, ``calls`` its hypercalls. ``derived``: the exits are those records that stand
    for exits, so ``counts`` has the records alone. With ``problems`` the result is partial; ``notes`` say how it is to
    be taken; ``repaired`` counts pieces of rows that were put together,
    ``quoted`` lines that had a mail program's quotation marks. Units: ``time_ns`` and ``duration_ns`` ns.
    """

    format: str
    counts: dict[str, int] = field(default_factory=dict)
    mean_ns: dict[str, float] = field(default_factory=dict)
    total: int | None = None
    exits: dict[str, Exits] = field(default_factory=dict)
    unlisted: int = 0
    vendor: str = ""
    time_ns: float | None = None
    duration_ns: float | None = None
    records: dict[str, int] = field(default_factory=dict)
    vectors: dict[int, int] = field(default_factory=dict)
    calls: dict[str, int] = field(default_factory=dict)
    derived: bool = False
    repaired: int = 0
    quoted: int = 0
    problems: list[str] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def exit(self, written: str, count: int, place: str, again: bool = False) -> Exits:
        """Take a row of exits under the kernel's name; ``again``: rows of one name add up.

        Errors: TraceError for a name that has a row already.
        """
        name, code, vendor = exit_by_name(known_exit(written) or written)
        self.vendor = self.vendor or vendor
        return self.exit_named(name, code, written, count, place, again)

    def exit_named(self, name: str, code: int, written: str, count: int, place: str, again: bool = False) -> Exits:
        """Take a row of exits under this name. Errors: TraceError for a name that has a row already."""
        if name in self.exits and not again:
            raise TraceError(f"{place}: {written} has a row already; expected one table with one row for each name")
        row = self.exits.setdefault(name, Exits(0, code, written=written))
        row.count += count
        return row

    def record(self, name: str, count: int, place: str, again: bool = False) -> None:
        """Take a row of something else. Errors: TraceError for a name that has a row already."""
        if name in self.records and not again:
            raise TraceError(f"{place}: {name} has a row already; expected one table with one row for each name")
        self.records[name] = self.records.get(name, 0) + count

    def finish(self) -> None:
        """Add up what the rows say."""
        rows = {} if self.derived else {name: row.count for name, row in self.exits.items()}
        self.counts = {**rows, **self.records}
        for name, row in self.exits.items():
            if row.mean_ns is None and row.time_ns is not None and row.count:
                row.mean_ns = row.time_ns / row.count
            if row.mean_ns is not None:
                self.mean_ns[name] = row.mean_ns
                if row.time_ns is None:
                    row.time_ns = row.mean_ns * row.count
        listed = sum(row.count for row in self.exits.values())
        if self.exits and self.total is not None and listed != self.total:
            self.unlisted = max(0, self.total - listed)


Form = tuple[Callable[[Text], bool], Callable[[Text, str], Pasted], Callable[[Text], None] | None]


def forms() -> list[Form]:
    """Return what there is, in the order of asking: does a text look like it, how is it read, how is it repaired."""
    from exitless.study import pasted_counters, pasted_kvm, pasted_lists, pasted_xen

    return [
        (pasted_kvm.is_kvm_stat, pasted_kvm.kvm_stat, pasted_kvm.repair_kvm_stat),
        (pasted_xen.is_xenalyze, pasted_xen.xenalyze, None),
        (pasted_counters.is_service_time, pasted_counters.service_time, None),
        (pasted_counters.is_perf_stat, pasted_counters.perf_stat, pasted_counters.repair_perf_stat),
        (pasted_counters.is_kvm_stat_tool, pasted_counters.kvm_stat_tool, None),
        (pasted_counters.is_debugfs, pasted_counters.debugfs, None),
        (pasted_lists.is_bcc, pasted_lists.bcc, None),
        (pasted_lists.is_points, pasted_lists.points, None),
        (pasted_xen.is_records, pasted_xen.records, None),
        (pasted_lists.is_list, pasted_lists.exit_list, None),
    ]


def looks_pasted(text: str) -> bool:
    """Tell whether a text looks like one of the tables, from its first part."""
    lines = Text(text)
    return any(is_one(lines) for is_one, _, _ in forms())


def read_pasted(text: str, source: str, repair: bool = False) -> Pasted:
    """Recognise a pasted table and read it; ``repair`` puts rows together again that a mail program cut in two.

    Quotation marks before lines are taken off and said in a note. Errors: TraceError in one sentence.
    """
    lines = Text(text)
    for is_one, read, mend in forms():
        if not is_one(lines):
            continue
        if repair and mend is not None:
            mend(lines)
        table = read(lines, source)
        if not (table.exits or table.records):
            break
        table.finish()
        table.repaired, table.quoted = lines.joined, lines.quoted
        if lines.quoted:
            table.notes.append(f"quotation marks before {lines.quoted} lines were taken off")
        return table
    if any("Total Samples:" in line for line in lines.lines):
        raise TraceError(
            f"{source}: the line Total Samples stands alone; expected rows of exits by reason before it, whole ones "
            "or, with --repair, cut in two"
        )
    raise TraceError(f"{source}: {EXPECTED}")
