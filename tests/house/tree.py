"""The source tree as the house tests see it: files, their syntax trees, and what setup.py says of them."""

import ast
import importlib.util
import re
import subprocess
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from types import ModuleType

ROOT = Path(__file__).resolve().parent.parent.parent
SRC = ROOT / "src" / "exitless"
TOP = frozenset({"__init__", "__main__", "errors", "version"})

Function = ast.FunctionDef | ast.AsyncFunctionDef


@cache
def sources() -> tuple[Path, ...]:
    """Return every Python file of the package, in order."""
    return tuple(sorted(SRC.rglob("*.py")))


@cache
def tree(path: Path) -> ast.Module:
    """Return the syntax tree of one file."""
    return ast.parse(path.read_text(encoding="utf-8"), str(path))


def name(path: Path) -> str:
    """Return how failures call a file: its path below src/exitless."""
    return str(path.relative_to(SRC))


def floor(path: Path) -> str:
    """Return the floor a file stands on: its folder below the package, or its own name at the top."""
    parts = path.relative_to(SRC).parts
    return parts[0] if len(parts) > 1 else path.stem


def module(path: Path) -> str:
    """Return the dotted name of a file's module."""
    parts = list(path.relative_to(SRC.parent).with_suffix("").parts)
    return ".".join(parts[:-1] if parts[-1] == "__init__" else parts)


def imports(path: Path) -> Iterator[tuple[int, str]]:
    """Yield line and full dotted name of everything a file imports, inside functions too."""
    package = module(path).split(".")
    if path.name != "__init__.py":
        package = package[:-1]
    for node in ast.walk(tree(path)):
        if isinstance(node, ast.Import):
            for alias in node.names:
                yield node.lineno, alias.name
        elif isinstance(node, ast.ImportFrom):
            start = package[: len(package) - node.level + 1] if node.level else []
            base = ".".join([*start, *([node.module] if node.module else [])])
            for alias in node.names:
                yield node.lineno, f"{base}.{alias.name}"


def public(path: Path) -> Iterator[tuple[str, Function | ast.ClassDef]]:
    """Yield qualified name and node of every public class, function and method of a file."""

    def below(body: list[ast.stmt], prefix: str) -> Iterator[tuple[str, Function | ast.ClassDef]]:
        for node in body:
            if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef | ast.ClassDef) and not node.name.startswith(
                "_"
            ):
                yield prefix + node.name, node
                if isinstance(node, ast.ClassDef):
                    yield from below(node.body, f"{prefix}{node.name}.")

    yield from below(tree(path).body, "")


@cache
def setup() -> ModuleType:
    """Return setup.py as a module: the compile list is kept there and nowhere else."""
    spec = importlib.util.spec_from_file_location("exitless_setup", ROOT / "setup.py")
    assert spec is not None and spec.loader is not None
    loaded = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(loaded)
    return loaded


@cache
def compiled() -> tuple[Path, ...]:
    """Return the files of the compile list."""
    return tuple(setup().compile_list(SRC))


HEADINGS = ("Changes", "Returns", "Shapes", "Units", "Atomic", "Errors", "Cites")
_CITES = re.compile(rf"\bCites:\s*(.*?)(?=\n\s*(?:{'|'.join(HEADINGS)}):|\n\s*\n|\Z)", re.DOTALL)


def cited(docstring: str | None) -> list[str]:
    """Return the keys after every ``Cites:`` of a docstring; commas part them and the paragraph ends them."""
    found: list[str] = []
    for paragraph in _CITES.findall(docstring or ""):
        text = " ".join(paragraph.split()).rstrip(".")
        found += [key.strip() for key in text.split(",") if key.strip()]
    return found


@cache
def cites() -> dict[str, dict[str, str]]:
    """Return the table of citations: every key with its title, source and section."""
    with (ROOT / "src" / "exitless" / "study" / "cites.toml").open("rb") as file:
        table: dict[str, dict[str, str]] = tomllib.load(file)["cites"]
    return table


@cache
def kept_files() -> tuple[Path, ...]:
    """Return the files that a commit would hold: git's own list, or in a plain copy all but what tools leave behind."""
    command = ["git", "-C", str(ROOT), "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    try:
        listed = subprocess.run(command, capture_output=True, check=True, text=True).stdout.split("\0")
        return tuple(sorted(ROOT / entry for entry in listed if entry and (ROOT / entry).is_file()))
    except (OSError, subprocess.CalledProcessError):
        left = {".venv", "build", "dist", ".git", "__pycache__"}
        return tuple(
            path
            for path in sorted(ROOT.rglob("*"))
            if path.is_file()
            and not any(
                part in left or part.endswith((".egg-info", "_cache", ".so")) or part == ".hypothesis"
                for part in path.relative_to(ROOT).parts
            )
        )


def report(problems: list[str], what_to_do: str) -> None:
    """Fail with every problem on its own line under one sentence that says what to do."""
    assert not problems, "\n".join([what_to_do, *(f"  {problem}" for problem in problems)])
