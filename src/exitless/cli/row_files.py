"""Writes rows as CSV or as Parquet, a block of them at a time."""

import csv
import importlib
import io
from collections.abc import Iterable, Sequence
from typing import Any, BinaryIO, Final

from exitless.errors import TraceError

# What a column holds: whole numbers, other numbers, text. An empty place of the first two is None.
WHOLE: Final = "whole"
NUMBER: Final = "number"
TEXT: Final = "text"

Columns = dict[str, str]
Rows = Sequence[tuple[Any, ...]]


def write_csv(out: BinaryIO, columns: Columns, blocks: Iterable[Rows]) -> None:
    """Write a heading and one line a row; None is an empty place."""
    text = io.TextIOWrapper(out, "utf-8", newline="")
    lines = csv.writer(text, lineterminator="\n")
    lines.writerow(columns)
    for block in blocks:
        lines.writerows(block)
    text.flush()
    text.detach()


def parquet_library() -> str:
    """Name the package that can write Parquet. Errors: TraceError, when neither pyarrow nor polars is installed."""
    for name in ("pyarrow", "polars"):
        try:
            importlib.import_module(name)
            return name
        except ImportError:
            continue
    raise TraceError(
        "--parquet needs the package pyarrow or polars: pip install 'exitless[parquet]'; --csv needs neither"
    )


def write_parquet(out: BinaryIO, columns: Columns, blocks: Iterable[Rows]) -> None:
    """Write one row a row. Errors: TraceError, when no package for it is installed."""
    if parquet_library() == "pyarrow":
        _with_pyarrow(out, columns, blocks)
    else:
        _with_polars(out, columns, blocks)


def _turned(block: Rows, columns: Columns) -> list[tuple[Any, ...]]:
    """Return a block's columns."""
    return list(zip(*block, strict=True)) if block else [()] * len(columns)


def _with_pyarrow(out: BinaryIO, columns: Columns, blocks: Iterable[Rows]) -> None:
    arrow: Any = importlib.import_module("pyarrow")
    parquet: Any = importlib.import_module("pyarrow.parquet")
    named = {WHOLE: arrow.int64(), NUMBER: arrow.float64(), TEXT: arrow.string()}
    types = [named[kind] for kind in columns.values()]
    schema = arrow.schema(list(zip(columns, types, strict=True)))
    with parquet.ParquetWriter(out, schema) as writer:
        for block in blocks:
            arrays = [arrow.array(column, kind) for column, kind in zip(_turned(block, columns), types, strict=True)]
            writer.write_table(arrow.table(arrays, schema=schema))


def _with_polars(out: BinaryIO, columns: Columns, blocks: Iterable[Rows]) -> None:
    polars: Any = importlib.import_module("polars")
    named = {WHOLE: polars.Int64, NUMBER: polars.Float64, TEXT: polars.String}
    schema = {name: named[kind] for name, kind in columns.items()}
    frames = [polars.DataFrame(schema=schema)]
    for block in blocks:
        frames.append(polars.DataFrame(dict(zip(columns, _turned(block, columns), strict=True)), schema=schema))
    polars.concat(frames).write_parquet(out)
