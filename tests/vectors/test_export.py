"""What ``exitless vectors export`` writes: every rule, every branch, and what the paper shows a reader of it."""

import ast
import json
import re
import shutil
import subprocess
import sys
from collections import Counter, defaultdict
from pathlib import Path
from types import FrameType
from typing import Any

import pytest

from exitless.cli.vector_directed import directed
from exitless.cli.vector_export import export
from exitless.cli.vector_files import Place, RuleRecord, read
from exitless.cli.vector_rules import LEFT_OUT, all_vectors
from exitless.cli.vector_shapes import catalogue
from exitless.cli.vectors import judge
from tests.house.tree import SRC, cites, floor, module, public, sources, tree

PAPER = Path(__file__).parent.parent.parent / "docs" / "vectors.md"

# Lines that no vector reaches, each with its reason.
UNREACHED = {
    "xen.fifo.set_link": "the tries after the first need a guest that changes the word between two accesses",
    "xen.fifo.new_array": "is left out",
    "x86.lvt._is_asserted": "the callers have asked for a pin already",
}


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The exported files."""
    made = tmp_path_factory.mktemp("vectors")
    export(str(made), 20, 1)
    return made


def functions() -> set[str]:
    """Return every public function of arch, by module and name."""
    return {
        f"{module(path).removeprefix('exitless.arch.')}.{name}"
        for path in sources()
        if floor(path) == "arch"
        for name, node in public(path)
        if isinstance(node, ast.FunctionDef) and "." not in name
    }


def lines(path: Path) -> list[dict[str, Any]]:
    """Return the records of a file."""
    return [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]


def test_every_public_function_is_exported_or_left_out_with_a_reason(folder: Path) -> None:
    exported = {record["call"] for record in lines(folder / "rules.jsonl")}
    assert exported | set(LEFT_OUT) == functions()
    assert not exported & set(LEFT_OUT)
    assert len(LEFT_OUT) <= 3 and all(len(reason.split()) > 5 for reason in LEFT_OUT.values())


def test_every_vector_has_its_clause(folder: Path) -> None:
    known, rules = cites(), functions()
    for file in ("rules.jsonl", "processor.jsonl", "processor-chance-1.jsonl"):
        for record in lines(folder / file):
            clause = record["clause"]
            assert clause["cites"] and all(key in known for key in clause["cites"]), record["id"]
            assert clause["says"].rstrip().endswith((".", ":")) or len(clause["says"].split()) > 4, clause
            assert record.get("rule", record.get("call")) in rules


def test_names_are_unique_and_the_size_is_bearable(folder: Path) -> None:
    for file in ("rules.jsonl", "processor.jsonl"):
        names = [record["id"] for record in lines(folder / file)]
        assert len(set(names)) == len(names)
    assert sum(path.stat().st_size for path in folder.iterdir()) < 40_000_000
    assert max(Counter(record["call"] for record in lines(folder / "rules.jsonl")).values()) < 3000


def test_a_vector_of_every_number_from_0_to_255(folder: Path) -> None:
    """Each rule that takes a vector is tried on all 256; the processor's vectors deliver, end and post all of them."""
    tried = defaultdict(set)
    for record in lines(folder / "rules.jsonl"):
        if "vector" in record["arguments"] and not record["call"].startswith("xen."):
            tried[record["call"]].add(record["arguments"]["vector"])
    assert len(tried) > 20
    for name, numbers in tried.items():
        assert set(range(256)) <= numbers, name
    by_rule = defaultdict(set)
    for record in directed():
        by_rule[record["rule"]].add(record["init"]["rvi"])
    assert by_rule["vmx.evaluate.deliver_virtual_interrupt"] == set(range(256))


def test_everything_exported_is_replayed(folder: Path) -> None:
    places = [place for file in sorted(folder.glob("*.jsonl")) for place in read(str(file))]
    failed = [f"{place.record.id}: {v.expected} / {v.got}" for place in places if (v := judge(place)).failed]
    assert not failed, "\n".join(failed[:9])
    assert len(places) > 40_000


def other(value: Any) -> Any:
    """Return another answer of the same kind."""
    if value is None:
        return 0
    if isinstance(value, bool):
        return not value
    if isinstance(value, int):
        return value + 1
    return [*value, 1] if isinstance(value, list) else {**value, "no such": 1}


def test_a_wrong_answer_or_state_fails() -> None:
    seen: set[str] = set()
    for record in all_vectors():
        if record["call"] in seen:
            continue
        seen.add(record["call"])
        given = {name: record[name] for name in ("id", "call", "arguments", "answer", "after")}
        for change in ({"answer": other(record["answer"])}, {"after": {**record["after"], "nobody": {"x": 1}}}):
            assert judge(Place("own", 1, RuleRecord(**{**given, **change}))).failed, record["id"]
        if record["after"]:
            assert judge(Place("own", 1, RuleRecord(**{**given, "after": {}}))).failed


def statements(path: Path) -> dict[int, str]:
    """Return the lines of a file's functions that hold a statement, with the function's name."""
    found = {}
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.FunctionDef) and node.name != "__init__":
            for step in ast.walk(node):
                said = isinstance(step, ast.Expr) and isinstance(step.value, ast.Constant)
                if isinstance(step, ast.stmt) and step is not node and not said:
                    found[step.lineno] = node.name
    return found


def test_every_line_of_every_rule_is_reached() -> None:
    """Measured on the interpreted form; the compiled form has no lines."""
    if catalogue().rules["vtd.post.post"].function().__class__.__name__ != "function":
        pytest.skip("lines can be followed in the interpreted form only")
    reached: dict[str, set[int]] = defaultdict(set)
    root = str(SRC / "arch")

    def follow(frame: FrameType, event: str, _: object) -> Any:
        if event == "line":
            reached[frame.f_code.co_filename].add(frame.f_lineno)
        return follow

    before = sys.gettrace()
    sys.settrace(lambda frame, *_: follow if frame.f_code.co_filename.startswith(root) else None)
    try:
        for _ in all_vectors():
            pass
    finally:
        sys.settrace(before)
    missed = set()
    for path in sources():
        if floor(path) == "arch":
            prefix = module(path).removeprefix("exitless.arch.")
            missed |= {f"{prefix}.{name}" for line, name in statements(path).items() if line not in reached[str(path)]}
    assert missed == set(UNREACHED)


# ---- what is refused ----


GOOD = {
    "id": 1, "call": "vtd.post.post", "arguments": {"pid": {"pir": {"2": 8}}, "vector": 65, "urgent": 0}, "answer": 1,
    "after": {"pid": {"pir": {"2": 10}, "on": 1}},
}  # fmt: skip


@pytest.mark.parametrize(
    ("change", "says"),
    [
        ({"call": "vtd.post.pots"}, 'there is no rule "vtd.post.pots"; did you mean "vtd.post.post"?'),
        ({"arguments": {"pid": {}, "vector": 65}}, "takes pid, vector, urgent, in this order"),
        ({"arguments": {"pid": {"pri": {}}, "vector": 65, "urgent": 0}}, 'PostedDescriptor has no "pri"'),
        ({"arguments": {"pid": {"pir": {"8": 1}}, "vector": 65, "urgent": 0}}, 'no element "8" among 8'),
        ({"arguments": {"pid": {"pir": {"length": -1}}, "vector": 65, "urgent": 0}}, "a length is -1"),
        ({"arguments": {"pid": {"on": "1"}, "vector": 65, "urgent": 0}}, "pid: '1' is no whole number"),
        ({"arguments": {"pid": [], "vector": 65, "urgent": 0}}, "[] is no object of differences"),
        ({"arguments": {"pid": {}, "vector": 1 << 63, "urgent": 0}}, "is no whole number of up to 62 bits"),
        ({"arguments": {"pid": {}, "vector": True, "urgent": 0}}, "True is no whole number"),
        ({"arguments": {"pid": {}, "vector": 4096, "urgent": 0}}, "takes no such arguments"),
    ],
)
def test_what_is_no_vector_of_a_rule_is_one_sentence(change: dict[str, Any], says: str, tmp_path: Path) -> None:
    path = tmp_path / "bad.jsonl"
    path.write_text(json.dumps(GOOD) + "\n" + json.dumps({**GOOD, **change}) + "\n", encoding="utf-8")
    command = [sys.executable, "-m", "exitless", "vectors", "run", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert (done.returncode, done.stdout) == (2, ""), done.stdout
    assert len(done.stderr.splitlines()) == 1 and "Traceback" not in done.stderr
    assert f"{path}:2: " in done.stderr and says in done.stderr


def test_a_difference_of_a_rule_is_told(tmp_path: Path) -> None:
    path = tmp_path / "wrong.jsonl"
    path.write_text(json.dumps({**GOOD, "answer": 4}) + "\n" + json.dumps(GOOD) + "\n", encoding="utf-8")
    command = [sys.executable, "-m", "exitless", "vectors", "run", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert done.returncode == 1
    assert "expected  answer 4" in done.stdout and "got       answer 1" in done.stdout
    assert done.stdout.splitlines()[-1] == "1 passed, 1 failed"


# ---- the paper ----


def example(language: str) -> str:
    """Return the one example of the paper in a language."""
    (found,) = re.findall(rf"```{language}\n(.*?)```", PAPER.read_text(encoding="utf-8"), re.DOTALL)
    assert len(found.splitlines()) <= 48
    return str(found)


def read_by_paper(folder: Path) -> str:
    """Run the paper's Python where the files are; return what it prints."""
    done = subprocess.run(
        [sys.executable, "-c", example("python")], cwd=folder, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout


def test_the_papers_python_reads_what_is_exported(folder: Path) -> None:
    printed = read_by_paper(folder).splitlines()
    wanted = [record for record in lines(folder / "rules.jsonl") if record["call"] == "vtd.post.post"]
    assert len(printed) == len(wanted) > 200
    for line, record in zip(printed, wanted, strict=True):
        vector, bit, _, answer, *_ = line.split()
        assert (int(vector), int(answer)) == (record["arguments"]["vector"], record["answer"])
        assert int(bit) == int(answer) >> 1 & 1, "ALREADY says whether the PIR bit was set"


POST = """
int post(unsigned long long pir[4], int *on, int sn, int vector, int urgent)
{
    unsigned long long bit = 1ull << vector % 64;
    int answer = pir[vector / 64] & bit ? 2 : 0;

    pir[vector / 64] |= bit;
    if (*on)
        return answer | 8;
    if (sn && !urgent)
        return answer | 4;
    *on = RIGHT;
    return answer | 1;
}
"""


@pytest.mark.parametrize("right", [1, 0])
def test_the_papers_c_judges_an_implementation(folder: Path, tmp_path: Path, right: int) -> None:
    compiler = shutil.which("cc") or shutil.which("gcc")
    if not compiler:
        pytest.skip("there is no C compiler")
    program = tmp_path / "judge"
    (tmp_path / "judge.c").write_text(example("c") + POST.replace("RIGHT", str(right)), encoding="utf-8")
    command = [compiler, "-Wall", "-Wextra", "-Werror", "-o", str(program), str(tmp_path / "judge.c")]
    subprocess.run(command, check=True)
    printed = read_by_paper(folder)
    done = subprocess.run([str(program)], input=printed, capture_output=True, text=True, check=False)
    assert done.stdout.startswith(f"{len(printed.splitlines())} vectors, ")
    assert (done.returncode, done.stdout.endswith(" 0 wrong\n")) == (1 - right, right == 1)
