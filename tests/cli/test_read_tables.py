"""``exitless read`` on what people paste, and the files it writes of events."""

import csv
import io
import json
import lzma
from collections.abc import Callable
from pathlib import Path

import pytest

from exitless.cli.main import main
from exitless.cli.read_events import COLUMNS
from exitless.cli.report_tables import TABLES
from exitless.traces.reader import open_reader
from tests.traces.helpers import DATA, in_a_process, rows_of, unpacked
from tests.traces.test_linux_fuzz import SCRIPT

TABLE = """
             VM-EXIT    Samples  Samples%     Time%    Min Time    Max Time         Avg time

  EXTERNAL_INTERRUPT     471831    60.00%    68.58%      0.64us     65.42us      2.34us ( +-   0.11% )
                 HLT     238932    40.00%    31.42%      0.48us     41.05us      1.56us ( +-   0.14% )

Total Samples:710763, Total events handled time:1476818.40us.
"""
LINES = unpacked("kvm-linux-2cpu-part.report.txt").decode().splitlines()[:400]


@pytest.fixture
def said(capsys: pytest.CaptureFixture[str]) -> Callable[..., tuple[int, str, str]]:
    """Return a function that runs the command and returns status, standard output and standard error."""

    def run(*words: object) -> tuple[int, str, str]:
        status = main(["read", *(str(word) for word in words)])
        out, err = capsys.readouterr()
        return status, out, err

    return run


Said = Callable[..., tuple[int, str, str]]


def kept(folder: Path, text: str, name: str = "pasted.txt") -> Path:
    """Write a text and return where."""
    (folder / name).write_text(text)
    return folder / name


def test_a_table_has_the_fields_of_a_recording_with_null_for_what_it_does_not_tell(said: Said, tmp_path: Path) -> None:
    status, out, err = said(kept(tmp_path, TABLE), "--json", "-")
    d = json.loads(out)
    assert (status, err, d["format"], d["partial"]) == (0, "", "perf kvm stat", False)
    assert d["exits"]["total"] == 710763 and d["events"] is None and d["duration_ns"] is None
    row = d["exits"]["by_reason"]["HLT"]
    assert (row["count"], row["min_ns"], row["max_ns"], row["mean_ns"]) == (238932, 480, 41050, 1560)
    assert row["p50_ns"] is None and row["p99_ns"] is None and row["per_second"] is None
    assert d["lost"] == {"events": None, "intervals": None}


@pytest.mark.parametrize("width", ["80", "120"])
def test_a_table_is_printed_within_the_width_with_dashes_for_what_is_unknown(
    said: Said, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, width: str
) -> None:
    monkeypatch.setenv("COLUMNS", width)
    _, out, _ = said(kept(tmp_path, "exits:100\nhalt_exits:30\nirq_exits:20\nhalt_wait_ns:5000\n"))
    assert max(map(len, out.splitlines())) <= int(width)
    assert [line.split() for line in out.splitlines() if line.startswith(("HLT", "in no row"))] == [
        ["HLT", "30"], ["in", "no", "row", "50"],
    ]  # fmt: skip
    assert "halt_wait_ns 5 µs" in out


def test_a_packed_table_and_one_on_standard_input_are_read(said: Said, tmp_path: Path) -> None:
    (tmp_path / "t.xz").write_bytes(lzma.compress(TABLE.encode()))
    assert "710,763 exits" in said(tmp_path / "t.xz")[1].replace("\n", " ")
    program = "from exitless.cli.main import main; main(['read', '-', '--json', '-'])"
    assert json.loads(in_a_process(program, stdin=TABLE.encode()))["exits"]["total"] == 710763


def test_a_damaged_table_is_partial_and_says_so(said: Said, tmp_path: Path) -> None:
    status, out, err = said(kept(tmp_path, TABLE.replace("   HLT     238932    40.00%", "   HLT 23x")), "--json", "-")
    assert status == 0 and json.loads(out)["partial"] is True
    assert "partial result" in err and "in no row" in err and "Traceback" not in err


def test_a_repair_of_a_table_is_said_on_standard_error(said: Said, tmp_path: Path) -> None:
    cut = TABLE.replace("      2.34us ( +-", "\n2.34us ( +-").replace("         Avg time", "\nAvg time")
    quoted = "".join(f"> {line}\n" for line in cut.splitlines())
    status, out, err = said(kept(tmp_path, quoted), "--repair", "--json", "-")
    d = json.loads(out)
    assert status == 0 and "2 pieces of cut lines put together" in err and "quotation marks taken off" in err
    assert d["exits"]["by_reason"]["EXTERNAL_INTERRUPT"]["mean_ns"] == 2340 and d["partial"] is False
    assert d["marks"]["lines_repaired"] == 2 and d["marks"]["lines_quoted"] > 0


def cut(lines: list[str], width: int, mark: str = "") -> str:
    """Cut lines at spaces, as a mail program does."""
    out = []
    for line in lines:
        while len(line) > width and (at := line.rfind(" ", 1, width)) > 0 and line[:at].strip():
            out.append(mark + line[:at])
            line = line[at + 1 :]
        out.append(mark + line)
    return "\n".join(out) + "\n"


@pytest.mark.parametrize("width", [72, 78, 90])
@pytest.mark.parametrize("mark", ["", "> ", "> > "])
def test_a_cut_and_quoted_trace_repaired_gives_the_rows_of_the_whole_one(
    said: Said, tmp_path: Path, width: int, mark: str
) -> None:
    whole, mail = kept(tmp_path, "\n".join(LINES) + "\n"), kept(tmp_path, cut(LINES, width, mark), "mail.txt")
    said(whole, "--csv", tmp_path / "whole.csv", "--json", tmp_path / "whole.json")
    status, _, err = said(mail, "--repair", "--csv", tmp_path / "mail.csv", "--json", tmp_path / "mail.json")
    assert status == 0 and (tmp_path / "mail.csv").read_text() == (tmp_path / "whole.csv").read_text()
    ours, theirs = (json.loads((tmp_path / f"{name}.json").read_text()) for name in ("mail", "whole"))
    assert ours["kinds"] == theirs["kinds"] and ours["unread"] == theirs["unread"]
    pieces = cut(LINES, width).count("\n") - len(LINES)
    assert f"{pieces:,} piece" in err and ours["notes"][-1].startswith("repaired: ")
    assert ours["marks"]["lines_repaired"] == pieces and bool(ours["marks"]["lines_quoted"]) == bool(mark)


def test_a_cut_trace_that_is_not_repaired_is_read_as_it_stands_with_a_hint(said: Said, tmp_path: Path) -> None:
    status, out, _ = said(kept(tmp_path, cut(SCRIPT, 70, "> ")), "--json", "-")
    d = json.loads(out)
    assert status == 0 and d["unread"]["lines"] > 0 and any("--repair" in note for note in d["notes"])


def test_a_trace_cut_before_its_events_is_refused_with_the_way_out(said: Said, tmp_path: Path) -> None:
    status, out, err = said(kept(tmp_path, SCRIPT[0].replace(" kvm:kvm_entry", "\nkvm:kvm_entry")))
    assert (status, out) == (2, "") and "text of perf script" in err and "--repair" in err and err.count("\n") == 1


def test_prose_after_a_trace_is_not_taken_for_the_rest_of_its_last_line(said: Said, tmp_path: Path) -> None:
    said(kept(tmp_path, "\n".join([*LINES, "", "Thanks,", "A reader of traces who writes long lines of prose here"])),
         "--repair", "--json", tmp_path / "o.json")  # fmt: skip
    assert "0 pieces of cut lines" in json.loads((tmp_path / "o.json").read_text())["notes"][-1]


PART = DATA / "kvm-linux-2cpu-part.dat.xz"


def test_csv_has_a_line_an_event_with_the_columns_of_the_record(said: Said, tmp_path: Path) -> None:
    assert said(PART, "--csv", tmp_path / "events.csv")[0] == 0
    lines = list(csv.reader(io.StringIO((tmp_path / "events.csv").read_text())))
    assert lines[0] == list(COLUMNS) and [path.name for path in tmp_path.iterdir()] == ["events.csv"]
    with open_reader(str(PART)) as reader:
        rows = rows_of(reader)
        assert [tuple(map(int, line[:6])) for line in lines[1:]] == rows
        names = [vcpu.name() for vcpu in reader.vcpus]
    for line in lines[1:]:
        assert line[7] == (names[int(line[3])] if int(line[3]) >= 0 else "")
        assert bool(line[8]) == (line[6] == "vm.exit")


def test_parquet_has_the_same_rows(said: Said, tmp_path: Path) -> None:
    parquet = pytest.importorskip("pyarrow.parquet", reason="pyarrow writes and reads Parquet")
    assert said(PART, "--parquet", tmp_path / "e.parquet", "--csv", tmp_path / "e.csv")[0] == 0
    table = parquet.read_table(tmp_path / "e.parquet")
    lines = list(csv.reader(io.StringIO((tmp_path / "e.csv").read_text())))[1:]
    assert table.column_names == list(COLUMNS) and table.num_rows == len(lines) > 0
    assert [[str(v) for v in row.values()] for row in table.to_pylist()] == lines


@pytest.mark.parametrize(
    ("words", "sentence"),
    [
        (["--parquet", "-"], "Parquet is no text"),
        (["--csv", "-", "--json", "-"], "cannot both go to standard output"),
        (["--csv", "absent/e.csv"], "cannot write"),
        (["--table", "causes"], "--table causes says what --csv or --parquet writes"),
        (["--table", "cause", "--csv", "c.csv"], "--table cause: expected exits, vcpus"),
        (["--table", "all", "--csv", "-"], "name a folder"),
        (["--table", "all", "--csv", "absent/tables"], "cannot be made a folder"),
    ],
)
def test_outputs_that_cannot_be_are_refused_in_a_sentence(
    said: Said, words: list[str], sentence: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    status, _, err = said(PART, *words)
    assert status == 2 and sentence in err and err.count("\n") == 1


def test_a_table_has_no_events_to_write(said: Said, tmp_path: Path) -> None:
    status, _, err = said(kept(tmp_path, TABLE), "--csv", tmp_path / "e.csv")
    assert status == 2 and "holds no events" in err and not (tmp_path / "e.csv").exists()
    assert said(kept(tmp_path, TABLE), "--exits-csv", tmp_path / "x.csv")[0] == 0
    rows = list(csv.DictReader(io.StringIO((tmp_path / "x.csv").read_text())))
    assert [(row["reason"], row["count"], row["p50_ns"]) for row in rows] == [
        ("EXTERNAL_INTERRUPT", "471831", ""), ("HLT", "238932", ""),
    ]  # fmt: skip


def test_every_table_of_the_report_can_be_written(said: Said, tmp_path: Path) -> None:
    """What the document says of vCPUs, causes, wake-ups, waits, halts and time stands in tables, one file each."""
    assert said(PART, "--table", "all", "--csv", tmp_path / "t", "--json", tmp_path / "d.json")[0] == 0
    d = json.loads((tmp_path / "d.json").read_text())
    found = {path.stem: list(csv.DictReader(io.StringIO(path.read_text()))) for path in (tmp_path / "t").iterdir()}
    assert set(found) == set(TABLES)
    assert [int(row["guest_ns"]) for row in found["vcpus"]] == [v["guest_ns"] for v in d["vcpus"]]
    assert [(row["cause"], row["vector"], int(row["exits"])) for row in found["causes"]] == [
        (c["cause"], c["vector"] or "", c["exits"]) for c in d["causes"]
    ]
    assert sum(int(row["count"]) for row in found["cause-exits"]) == d["exits"]["total"]
    assert [int(row["delay_ns_p99"]) for row in found["wakers"]] == [w["delay_ns"]["p99"] for w in d["wakers"]]
    assert [int(row["blocked_ns"]) for row in found["waits"]] == [w["blocked_ns"] for w in d["waits"]]
    exits = [row for row in found["over-time"] if row["series"] == "exits"]
    assert [int(row["count"]) for row in exits] == d["over_time"]["series"]["exits"]
    assert int(exits[1]["from_ns"]) == d["over_time"]["interval_ns"]
    assert {row["kind"]: int(row["count"]) for row in found["kinds"]} == d["kinds"]


def test_a_table_of_several_recordings_names_them(said: Said) -> None:
    status, out, _ = said(PART, PART, "--table", "vectors", "--csv", "-")
    rows = list(csv.DictReader(io.StringIO(out)))
    assert status == 0 and len(rows) % 2 == 0 and {row["file"] for row in rows} == {str(PART)}
    assert "0xec" in {row["vector"] for row in rows}


@pytest.mark.parametrize("table", TABLES)
def test_tables_of_a_pasted_table_and_parquet_have_the_same_columns(table: str, said: Said, tmp_path: Path) -> None:
    """A pasted table has only some rows, and places that are empty; Parquet has the rows of CSV."""
    paths = {name: tmp_path / f"{name}.csv" for name in ("pasted", "part")}
    assert said(kept(tmp_path, TABLE), "--table", table, "--csv", paths["pasted"])[0] == 0
    assert said(PART, "--table", table, "--csv", paths["part"])[0] == 0
    read = {name: list(csv.reader(io.StringIO(path.read_text()))) for name, path in paths.items()}
    assert read["pasted"][0] == read["part"][0] == list(TABLES[table].columns())
    parquet = pytest.importorskip("pyarrow.parquet", reason="pyarrow writes and reads Parquet")
    for name, path in (("pasted", tmp_path / "pasted.txt"), ("part", PART)):
        assert said(path, "--table", table, "--parquet", tmp_path / "p")[0] == 0
        lines, rows = read[name], parquet.read_table(tmp_path / "p")
        assert lines[0] == rows.column_names
        assert [["" if v is None else str(v) for v in row.values()] for row in rows.to_pylist()] == lines[1:]
