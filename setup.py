"""Builds Exitless: the hot floors compiled with mypyc where a C compiler is to be had, interpreted otherwise.

``EXITLESS_COMPILE=0`` asks for the interpreted form, ``=1`` makes a failed compilation fatal. Unset, whatever
stands in the way of compiling is told on standard error and the same files are installed to run interpreted.
"""

import os
import shutil
import subprocess
import sys
import sysconfig
import tempfile
from pathlib import Path

from setuptools import Extension, setup
from setuptools.command.build_ext import build_ext
from setuptools.command.build_py import build_py

SRC = Path("src") / "exitless"

# The compile list. A folder stands for every file under it; what is listed is compiled in one call and one group, so
# that a call from one file to another stays a call in C. ``__init__.py`` files hold no code and stay out.
COMPILED = (
    "bits/words.py",
    "vocab/kinds.py",
    "vocab/exits.py",
    "vocab/given.py",
    "arch",
    "mech",
    "record/columns.py",
    "record/sinks.py",
    "record/row_sink.py",
    "study/meeting.py",
    "study/tally.py",
    "study/watch.py",
    "study/causes.py",
    "study/over_time.py",
    "study/waking.py",
    "study/times.py",
    "study/trace_parts.py",
    "study/trace_totals.py",
    "traces/kvm_rows.py",
    "traces/merge.py",
    "traces/perf_samples.py",
    "traces/rate.py",
    "traces/ring.py",
    "traces/text_form.py",
    "traces/text_line.py",
    "traces/text_lines.py",
    "traces/threads.py",
    "traces/trace_dat_pages.py",
    "traces/xen_records.py",
    "traces/xen_shared.py",
    "sim",
    "check",
)

# Files of those floors that stay interpreted, each with its reason (tests/house/test_compile_list.py reads both).
INTERPRETED = {
    "bits/units.py": "reads and prints quantities at the door with regular expressions; no run calls it",
    "vocab/table.py": "a table of named tuples that outputs and documents read; no run calls it",
    "study/calibration.py": "works on samples of finished stretches, once a calibration",
    "study/stretch_table.py": "a table: one row a stretch",
    "study/stretches.py": "works on what a reader gives; its cost is the reader's",
    "study/cites.py": "reads the table of citations once",
    "study/journeys.py": "works on finished records for pictures",
    "study/lapics.py": "works on finished records for pictures",
    "study/registers.py": "works on finished records for pictures",
    "study/spans.py": "works on finished records for pictures",
    "study/summary.py": "turns counts into what is printed, once a run",
    "study/arrivals.py": "works on what a reader gives; its cost is the reader's",
    "study/exit_names.py": "a table of names",
    "study/pasted.py": "reads a table of some hundred lines",
    "study/pasted_counters.py": "reads a table of some hundred lines",
    "study/pasted_kvm.py": "reads a table of some hundred lines",
    "study/pasted_lists.py": "reads a table of some hundred lines",
    "study/pasted_text.py": "splits lines of text; its time is the regular expressions'",
    "study/pasted_xen.py": "reads a table of some hundred lines",
    "study/passing.py": "works on what a reader gives; its cost is the reader's",
    "study/pcpu_timers.py": "works on what a reader gives; its cost is the reader's",
    "study/repeats.py": "a mean of some seeds a cell",
    "study/replayed.py": "works on what a reader gives, and on a finished record once",
    "study/unscheduled.py": "works on what a reader gives; its cost is the reader's",
    "study/ways.py": "works on finished records for pictures",
    "study/whatif.py": "works on counts by class of exits, once a prediction",
    "study/whatif_counters.py": "works on the few rows of a pasted table, once",
    "study/whatif_cycles.py": "works on the few rows of a pasted table, once",
    "study/whatif_record.py": "works on what a reader gives; its cost is the reader's",
    "study/whatif_remarks.py": "says some sentences, once a prediction",
    "study/whatif_rules.py": "a table: one row a rule",
    "study/whatif_seen.py": "counts by class of exits, filled once a file",
    "study/whatif_tables.py": "works on the few rows of a pasted table, once",
    "study/whatif_words.py": "a table of names",
    "study/trace_why.py": "turns what was followed into what is printed, once a recording",
    "study/pair.py": "works on what two readers give; its cost is theirs",
    "study/trace_report.py": "turns the totals of a recording into what is printed, once a recording",
    "traces/cursor.py": "steps through a file's frame, a few numbers a recording",
    "traces/event_format.py": "reads a recording's own format texts once",
    "traces/ftrace_text.py": "says what a text's lines are; text_line.py reads them",
    "traces/kvm.py": "a table: one row a tracepoint",
    "traces/kvm_reader.py": "sums up once a recording; the rows are kvm_rows.py's",
    "traces/kvm_text.py": "a table of printed forms; text_form.py matches them",
    "traces/opening.py": "opens and unpacks; its time is zlib's, lzma's and zstd's",
    "traces/perf_data.py": "walks rounds and records that are no samples; the samples are perf_samples.py's",
    "traces/perf_file.py": "reads a file's head and sections once",
    "traces/perf_script.py": "says what a text's lines are; text_line.py reads them",
    "traces/reader.py": "the base class, and the list of readers",
    "traces/record_reader.py": "hands out a record's rows as tuples, a block at a time",
    "traces/recording.py": "makes a finished record, once a recording",
    "traces/repair.py": "splits lines of text, when asked to",
    "traces/text_reader.py": "hands chunks of text to text_lines.py",
    "traces/trace_dat.py": "walks CPUs and pages; the events of a page are ring.py's",
    "traces/trace_dat_file.py": "reads a file's head and sections once",
    "traces/trace_dat_options.py": "reads a file's options once",
    "traces/xen.py": "a table: one row an event of Xen's tracer",
    "traces/xentrace.py": "finds the windows and sums up; their records are xen_records.py's",
    "vocab/hypercalls.py": "a table of names",
    "vocab/svm_exits.py": "a table of names",
    "record/store.py": "reads and writes files once a run",
    "record/block.py": "holds a finished record in array.array and a dataclass; it sees blocks, not rows",
}

# Single optimized file: mypyc then writes one C file, and the C compiler may inline across all floors.
MYPYC_OPTIONS = {"opt_level": "3", "debug_level": "0", "group_name": "exitless"}

# Nothing outside calls into the group but by its entry. Told so, the C compiler inlines what position-independent code
# would otherwise call through a table (docs/performance.md). A compiler that does not know a flag builds without it.
INLINING = ["-fvisibility=hidden", "-fno-semantic-interposition"]

# Python hands its own -Wall to every extension. What it warns of, nobody reads in a translation, and looking for it
# takes gcc more than twice as long as compiling does (docs/performance.md).
UNWARNED = ["-Wno-all"]


def say(sentence: str) -> None:
    """Tell what the build decided, on standard error."""
    print(f"exitless: {sentence}", file=sys.stderr, flush=True)


def compile_list(src: Path = SRC) -> list[Path]:
    """Return every file that is compiled, in the order of their names, so that builds repeat."""
    files: set[Path] = set()
    for entry in COMPILED:
        path = src / entry
        files.update(path.rglob("*.py") if path.is_dir() else [path])
    kept = {src / name for name in INTERPRETED}
    return sorted(path for path in files - kept if path.name != "__init__.py")


def has_compiler(*flags: str) -> bool:
    """Tell whether a C extension can be built here: a compiler that runs and knows ``flags``, Python's headers."""
    compiler = (os.environ.get("CC") or sysconfig.get_config_var("CC") or "cc").split()
    include = sysconfig.get_path("include")
    with tempfile.TemporaryDirectory() as folder:
        probe = Path(folder) / "probe.c"
        probe.write_text("#include <Python.h>\nint probe(void) { return PY_VERSION_HEX != 0; }\n")
        command = [*compiler, *flags, f"-I{include}", "-c", str(probe), "-o", str(probe.with_suffix(".o"))]
        try:
            return subprocess.run(command, capture_output=True, check=False).returncode == 0
        except OSError:
            return False


def reason_to_stay_interpreted(wish: str) -> str:
    """Return why nothing is compiled this time, or the empty string when the build may try."""
    if {"editable_wheel", "develop"} & set(sys.argv):
        return (
            "an editable install runs interpreted, because a compiled module beside its source would hide later edits"
        )
    if wish == "0":
        return "EXITLESS_COMPILE=0 asks for it"
    if not has_compiler():
        return "no working C compiler with Python's headers was found (on Debian: apt-get install gcc python3-dev)"
    return ""


def extensions(wish: str) -> list[Extension]:
    """Translate the compile list to C, or return nothing and say why."""
    if wish not in ("", "0", "1"):
        raise SystemExit(
            f'exitless: EXITLESS_COMPILE is "{wish}"; expected 0 (interpreted), 1 (must compile) or nothing'
        )
    if not {"build", "build_ext", "bdist_wheel", "install", "editable_wheel", "develop"} & set(sys.argv):
        return []  # metadata only
    reason = reason_to_stay_interpreted(wish)
    if reason:
        if wish == "1":
            raise SystemExit(f"exitless: EXITLESS_COMPILE=1, but {reason}")
        say(f"installing the interpreted form: {reason}")
        return []
    try:
        from mypyc.build import mypycify

        paths = [str(path) for path in compile_list()]
        found = list(mypycify(["--config-file", "pyproject.toml", *paths], **MYPYC_OPTIONS))
        known = [flag for flag in INLINING + UNWARNED if has_compiler(flag)]
        for extension in found:
            # mypyc hands one list to all.
            extension.extra_compile_args = [*extension.extra_compile_args, *known]
        return found
    except (Exception, SystemExit) as problem:
        if wish == "1":
            raise
        say(f"installing the interpreted form: mypyc could not translate the hot floors ({problem})")
        return []


class BuildFresh(build_py):
    """Copies the package into an empty folder, so that files deleted since the last build are not installed."""

    def run(self) -> None:
        if not self.editable_mode:
            shutil.rmtree(self.build_lib, ignore_errors=True)
        super().run()


class BuildOrStayInterpreted(build_ext):
    """Compiles everything or nothing: half a compiled group would not import."""

    def finalize_options(self) -> None:
        super().finalize_options()
        if self.inplace and self.extensions:
            raise SystemExit(
                "exitless: --inplace is refused: a stale compiled module would hide its source; use pip install ."
            )

    def run(self) -> None:
        try:
            super().run()
        except Exception as problem:
            if os.environ.get("EXITLESS_COMPILE") == "1":
                raise
            for extension in self.extensions:
                Path(self.get_ext_fullpath(extension.name)).unlink(missing_ok=True)
            self.extensions = []
            say(f"installing the interpreted form: the C compiler stopped ({problem})")


if __name__ == "__main__":
    setup(
        ext_modules=extensions(os.environ.get("EXITLESS_COMPILE", "")),
        cmdclass={"build_py": BuildFresh, "build_ext": BuildOrStayInterpreted},
    )
