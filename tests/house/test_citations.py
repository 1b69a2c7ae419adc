"""Every rule cites the manual or the source it follows, and every citation can be looked up."""

import ast

from tests.house.tree import SRC, cited, cites, floor, name, public, report, sources, tree

PUBLISHERS = ("SDM", "VT-d", "APM", "Xen", "Linux", "FreeBSD", "IXGBE", "ELI", "KVM", "PCI", "IEEE", "Measured")

# Files of arch that follow no manual, with the reason.
OWN_WORDS = {"arch/outcome.py": "small integers that rules answer: our words, where the manuals have prose"}


def _keys_in(path) -> set[str]:
    """Return every key cited in any docstring of a file."""
    nodes = [node for node in ast.walk(tree(path)) if isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef)]
    return {key for node in nodes for key in cited(ast.get_docstring(node))}


def test_every_public_rule_cites() -> None:
    problems = []
    for path in sources():
        if floor(path) != "arch" or name(path) in OWN_WORDS:
            continue
        whole_classes = {node.name for _, node in public(path) if isinstance(node, ast.ClassDef)}
        for qualified, node in public(path):
            if "." in qualified and qualified.split(".")[0] in whole_classes:
                continue  # a method belongs to the shape its class cites
            if not cited(ast.get_docstring(node)):
                problems.append(f"{name(path)}:{node.lineno} {qualified}")
    report(
        problems,
        "Add a line `Cites: KEY topic` to the docstring, and the key to src/exitless/study/cites.toml if it is new.",
    )


def test_every_cited_key_exists() -> None:
    problems = [
        f"{name(path)} cites {key!r}" for path in sources() for key in sorted(_keys_in(path)) if key not in cites()
    ]
    report(problems, "Add the key to src/exitless/study/cites.toml (title, source, section), or correct the spelling.")


def test_every_key_is_used() -> None:
    used = set().union(*(_keys_in(path) for path in sources()))
    text = "\n".join(
        path.read_text(encoding="utf-8")
        for path in sorted(SRC.rglob("*"))
        if path.suffix in {".py", ".toml"} and path.is_file()
    )
    unused = sorted(
        key for key in cites() if key not in used and f'"{key}"' not in text and f"Cites: {key}" not in text
    )
    problems = [key for key in unused if not _listed(key, text)]
    report(
        problems,
        "Nothing cites these keys of src/exitless/study/cites.toml: cite them where the rule is, or take the line out.",
    )


def _listed(key: str, text: str) -> bool:
    """Tell whether data cites the key among several in one string, separated by commas or semicolons."""
    return any(f"{before}{key}{after}" in text for before in ('"', ", ", "; ") for after in ('"', ",", ";"))


def test_every_key_says_where_to_look() -> None:
    problems = []
    for key, entry in cites().items():
        missing = [field for field in ("title", "source", "section") if not entry.get(field)]
        if missing:
            problems.append(f"{key}: no {', '.join(missing)}")
        if not key.startswith(PUBLISHERS):
            problems.append(f"{key}: begins with none of {', '.join(PUBLISHERS)}")
    report(problems, "Complete these entries of src/exitless/study/cites.toml.")
