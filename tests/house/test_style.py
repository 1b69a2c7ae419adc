"""Files and functions stay short, public names are explained, and nothing names a machine."""

import ast
import re

from tests.house.tree import ROOT, Function, kept_files, name, public, report, sources, tree

FILE_LINES = 400
FUNCTION_LINES = 60

# Tables that are read down, not across a screen at a time.
LONG_FILES: dict[str, str] = {}


def test_files_are_at_most_400_lines() -> None:
    lengths = {name(path): len(path.read_text(encoding="utf-8").splitlines()) for path in sources()}
    worst = max(lengths, key=lambda path: lengths[path])
    problems = [
        f"{path}: {lines} lines" for path, lines in lengths.items() if lines > FILE_LINES and path not in LONG_FILES
    ]
    report(problems, f"Split these files where their chapters part (the longest is {worst}).")
    gone = [path for path in LONG_FILES if lengths.get(path, 0) <= FILE_LINES]
    assert not gone, f"take out of LONG_FILES: {gone}"


def test_functions_are_at_most_60_lines() -> None:
    problems = []
    for path in sources():
        for node in ast.walk(tree(path)):
            if isinstance(node, Function):
                body = node.body[1:] if ast.get_docstring(node) else node.body
                lines = (node.end_lineno or 0) - body[0].lineno + 1 if body else 0
                if lines > FUNCTION_LINES:
                    problems.append(f"{name(path)}:{node.lineno} {node.name}: {lines} lines below its docstring")
    report(problems, "Give each part of these functions a name of its own.")


def test_every_public_name_has_a_docstring() -> None:
    """A method that takes over a documented verb of a base class needs none."""
    verbs: dict[str, set[str]] = {}
    bases: dict[str, list[str]] = {}
    for path in sources():
        for qualified, node in public(path):
            if isinstance(node, ast.ClassDef):
                bases[node.name] = [ast.unparse(base).split(".")[-1] for base in node.bases]
            elif "." in qualified and ast.get_docstring(node):
                owner, verb = qualified.rsplit(".", 1)
                verbs.setdefault(owner, set()).add(verb)

    def inherited(owner: str, verb: str) -> bool:
        return any(verb in verbs.get(base, set()) or inherited(base, verb) for base in bases.get(owner, []))

    problems = []
    for path in sources():
        if path.name != "__init__.py" and not ast.get_docstring(tree(path)):
            problems.append(f"{name(path)} has no docstring")
        for qualified, node in public(path):
            owner, _, verb = qualified.rpartition(".")
            if not ast.get_docstring(node) and not (owner and inherited(owner.rsplit(".")[-1], verb)):
                problems.append(f"{name(path)}:{node.lineno} {qualified}")
    report(problems, "Say in one plain sentence what has happened or what is asked.")


# Put together here, so that this file does not hold what it looks for.
FOREIGN = [
    ("a path of one machine", re.compile("(?<![A-Za-z0-9_.])/" + r"(work|home/[a-z]|root|tmp/lab|Users)/")),
    ("a registry's host", re.compile("(?i)(pypi|pythonhosted|npmjs|debian)" + r"\.(org|com)\b")),
    ("an index option", re.compile("(--|PIP_)(extra[-_])?" + "index[-_]url", re.IGNORECASE)),
]


def test_nothing_kept_names_a_machine_or_a_registry() -> None:
    problems = []
    for path in kept_files():
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        for line, content in enumerate(text.splitlines(), 1):
            problems += [
                f"{path.relative_to(ROOT)}:{line} holds {what}" for what, sign in FOREIGN if sign.search(content)
            ]
    report(problems, "Use relative paths, and let pip and apt find their registries by themselves.")


def test_nothing_built_is_kept() -> None:
    built = [str(path.relative_to(ROOT)) for path in kept_files() if path.suffix in {".so", ".pyc", ".o", ".whl"}]
    beside = [name(path) for path in (ROOT / "src").rglob("*.so")] if not built else []
    report(built + beside, "Remove these: a compiled module beside its source hides every later edit of the source.")


def test_text_files_end_with_one_newline_and_no_trailing_blanks() -> None:
    problems = []
    for path in kept_files():
        if path.suffix not in {".py", ".toml", ".md", ".c", ".h", ".html", ".js", ".css"} and path.name != "Makefile":
            continue
        text = path.read_text(encoding="utf-8")
        if text and (not text.endswith("\n") or text.endswith("\n\n")):
            problems.append(f"{path.relative_to(ROOT)} does not end with exactly one newline")
        problems += [
            f"{path.relative_to(ROOT)}:{n} ends with a blank"
            for n, line in enumerate(text.split("\n"), 1)
            if line != line.rstrip()
        ]
    report(problems, "Trim these.")
