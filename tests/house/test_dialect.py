"""The compiled floors keep to the dialect in which the compiled and the interpreted form agree."""

import ast
import tomllib

from tests.house.tree import ROOT, SRC, compiled, name, report, setup, sources, tree


def test_only_shl_shifts_left_by_a_variable() -> None:
    """A literal, or a name bound to one, shifted by a variable is a 32-bit shift once compiled."""
    problems = []
    for path in compiled():
        allowed = set()
        if path == SRC / "bits" / "words.py":
            functions = [node for node in tree(path).body if isinstance(node, ast.FunctionDef) and node.name == "shl"]
            allowed = {inner for node in functions for inner in ast.walk(node)}
        for node in ast.walk(tree(path)):
            if isinstance(node, ast.BinOp) and isinstance(node.op, ast.LShift):
                variable = not isinstance(node.right, ast.Constant)
            elif isinstance(node, ast.AugAssign) and isinstance(node.op, ast.LShift):
                variable = not isinstance(node.value, ast.Constant)
            else:
                continue
            if variable and node not in allowed:
                problems.append(f"{name(path)}:{node.lineno} {ast.unparse(node)}")
    report(
        problems, "Write shl(value, count) of exitless.bits.words: only there is the left operand surely 64 bits wide."
    )


def test_no_number_is_wider_than_62_bits() -> None:
    problems = [
        f"{name(path)}:{node.lineno} {node.value}"
        for path in compiled()
        for node in ast.walk(tree(path))
        if isinstance(node, ast.Constant) and type(node.value) is int and node.value.bit_length() > 63
    ]
    report(problems, "Split the value into two words: compiled 64-bit arithmetic wraps where the interpreter does not.")


FORBIDDEN_BASES = {"Protocol", "IntEnum", "Enum", "NamedTuple", "TypedDict"}


def _foreign(node: ast.AST) -> str:
    """Name what the dialect does not have, or return the empty string."""
    if isinstance(node, ast.ClassDef):
        bases = {ast.unparse(base).split(".")[-1] for base in node.bases} & FORBIDDEN_BASES
        if bases:
            return f"the base class {bases.pop()} (use a plain class)"
        if any("dataclass" in ast.unparse(decorator) for decorator in node.decorator_list):
            return "a dataclass (set the attributes in __init__)"
    if isinstance(node, ast.FunctionDef):
        if node.args.vararg or node.args.kwarg:
            return "*args or **kwargs"
        if any(ast.unparse(decorator) == "property" for decorator in node.decorator_list):
            return "a property"
        if any(isinstance(inner, ast.FunctionDef) and inner is not node for inner in ast.walk(node)):
            return "a nested function"
    if isinstance(node, ast.Lambda):
        return "a lambda"
    if isinstance(node, ast.Yield | ast.YieldFrom):
        return "a generator"
    if isinstance(node, ast.Global):
        return "a global variable"
    return ""


def test_compiled_files_keep_to_plain_classes_and_functions() -> None:
    problems = [
        f"{name(path)}:{getattr(node, 'lineno', 0)} has {_foreign(node)}"
        for path in compiled()
        for node in ast.walk(tree(path))
        if _foreign(node)
    ]
    report(
        problems, "These are slow or different once compiled; ARCHITECTURE.md, What is compiled, says what to write."
    )


def test_vec_is_written_out_where_it_is_used() -> None:
    """A module-level alias of ``vec[i64]`` fails at import once compiled."""
    problems = [
        f"{name(path)}:{node.lineno} {ast.unparse(node)}"
        for path in compiled()
        for node in tree(path).body
        if isinstance(node, ast.Assign | ast.AnnAssign)
        and node.value is not None
        and ast.unparse(node.value).startswith("vec[")
    ]
    report(problems, "Write vec[i64] where it is used.")


def test_every_file_of_a_compiled_floor_is_compiled_or_excepted_with_a_reason() -> None:
    floors = {entry.split("/")[0] for entry in setup().COMPILED}
    listed = set(compiled())
    problems = []
    for path in sources():
        if path.relative_to(SRC).parts[0] in floors and path.name != "__init__.py":
            excepted = name(path) in setup().INTERPRETED
            if (path in listed) == excepted:
                problems.append(f"{name(path)} is {'on both lists' if excepted else 'on neither list'}")
    report(problems, "Add the file to COMPILED in setup.py, or to INTERPRETED with the reason.")


def test_the_compile_list_names_only_what_exists_and_gives_reasons() -> None:
    problems = [
        f"COMPILED names {entry}, which is not there" for entry in setup().COMPILED if not (SRC / entry).exists()
    ]
    for entry, reason in setup().INTERPRETED.items():
        if not (SRC / entry).is_file():
            problems.append(f"INTERPRETED names {entry}, which is not there")
        if len(reason.split()) < 4:
            problems.append(f"INTERPRETED gives no reason for {entry}")
    for path in compiled():
        if not path.is_file():
            problems.append(f"{path} is on the list and missing")
    report(problems, "Correct the lists in setup.py.")


def test_init_files_of_compiled_floors_hold_no_code() -> None:
    """They are not compiled, so a rule written there would run interpreted and slow."""
    floors = {entry.split("/")[0] for entry in setup().COMPILED}
    problems = [
        f"{name(path)}:{node.lineno}"
        for path in sources()
        if path.name == "__init__.py" and path.parent != SRC and path.relative_to(SRC).parts[0] in floors
        for node in tree(path).body
        if not isinstance(node, ast.Expr | ast.Import | ast.ImportFrom)
    ]
    report(problems, "Move the code into a named file.")


def test_build_and_run_time_agree_on_librt() -> None:
    """mypyc's C code is tied to the librt it was built against."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    built = [need for need in project["build-system"]["requires"] if need.startswith("librt")]
    run = [need for need in project["project"]["dependencies"] if need.startswith("librt")]
    assert built == run, f"pin librt alike in build-system.requires ({built}) and dependencies ({run})"
    linted = [need for need in project["project"]["optional-dependencies"]["lint"] if need.startswith("mypy")]
    mypy = [need for need in project["build-system"]["requires"] if need.startswith("mypy==")]
    assert linted == mypy, f"check types with the mypy that compiles: {linted} against {mypy}"


def test_a_build_has_what_compiled_files_import() -> None:
    """A build stands alone: without a package that a compiled file reaches, mypyc stops and the install interprets."""
    project = tomllib.loads((ROOT / "pyproject.toml").read_text("utf-8"))
    missing = [name for name in project["project"]["dependencies"] if name not in project["build-system"]["requires"]]
    report(missing, "Add the dependency to requires of [build-system] in pyproject.toml.")
