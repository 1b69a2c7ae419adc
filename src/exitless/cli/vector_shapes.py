"""The rules and shapes of ``arch`` for the second vector format: read from their source, and turned into plain data.

A shape's plain form is a dictionary of numbers, lists and further dictionaries. What stands in a file is always a
difference: from a new object, or between before and after a call.
"""

import ast
import importlib
from collections.abc import Callable
from functools import cache
from importlib import resources
from typing import Any, Final

from librt.vecs import vec
from mypy_extensions import i64

from exitless.bits.words import zeros
from exitless.cli.list import docstring_cites

WORDS: Final = "vec[i64]"
NUMBERS: Final = ("i64", "bool")
LIMIT: Final = 1 << 62
MOST_LONG: Final = 1 << 18

# What a constructor takes, where it takes something: the sizes that new objects of vectors have.
SIZES: Final[dict[str, tuple[int, ...]]] = {
    "LocalApic": (0,), "Apic": (0, 0), "IoApic": (0, 4), "GuestLog": (4,), "Tables": (4,), "EventArray": (64,),
    "EventChannels": (16,), "PirqGuest": (0, 3), "Arbiter": (0, 4), "Message": (0, 0),
    "VectorTable": (2,), "HostIrq": (16,),
}  # fmt: skip


class Shape:
    """A plain class of ``arch``: its module and the types of its attributes, as its source writes them."""

    def __init__(self, module: str, fields: dict[str, str]) -> None:
        self.module = module
        self.fields = fields


class Rule:
    """A public function of ``arch``: parameters with types, type of the answer, its first sentence, what it cites."""

    def __init__(self, module: str, node: ast.FunctionDef) -> None:
        self.module = module
        self.name = node.name
        self.parameters = {each.arg: ast.unparse(each.annotation) for each in node.args.args if each.annotation}
        self.answer = ast.unparse(node.returns) if node.returns else "None"
        text = ast.get_docstring(node) or ""
        self.cites = docstring_cites(text)
        self.says = first_sentence(text)

    def function(self) -> Callable[..., Any]:
        """Return the function itself."""
        found: Callable[..., Any] = getattr(importlib.import_module(f"exitless.arch.{self.module}"), self.name)
        return found

    def clause(self) -> dict[str, Any]:
        """Return what stands as ``clause`` in a vector of this rule."""
        return {"cites": self.cites, "says": self.says}


def first_sentence(text: str) -> str:
    """Return the first sentence of a docstring."""
    words = " ".join(text.split("\n\n")[0].split(" Cites:")[0].split())
    for heading in (" Returns:", " Changes:", " Atomic:", " Shapes:", " Units:"):
        words = words.split(heading)[0]
    end = words.find(". ")
    return words if end < 0 else words[: end + 1]


class Catalogue:
    """Everything of ``arch`` by name: ``rules`` by module and function, ``shapes`` by class."""

    def __init__(self) -> None:
        self.rules: dict[str, Rule] = {}
        self.shapes: dict[str, Shape] = {}
        self._walk(resources.files("exitless.arch"), "")

    def _walk(self, folder: Any, prefix: str) -> None:
        for entry in sorted(folder.iterdir(), key=lambda each: str(each.name)):
            if entry.is_dir() and not entry.name.startswith("_"):
                self._walk(entry, f"{prefix}{entry.name}.")
            elif entry.name.endswith(".py") and entry.name != "__init__.py":
                self._take(prefix + entry.name.removesuffix(".py"), ast.parse(entry.read_text("utf-8")))

    def _take(self, module: str, tree: ast.Module) -> None:
        for node in tree.body:
            if isinstance(node, ast.FunctionDef) and not node.name.startswith("_"):
                self.rules[f"{module}.{node.name}"] = Rule(module, node)
            elif isinstance(node, ast.ClassDef):
                fields = attributes(node)
                if fields:
                    self.shapes[node.name] = Shape(module, fields)


def attributes(node: ast.ClassDef) -> dict[str, str]:
    """Return the attributes that a class sets when it is made; one that is another's object is no part of it."""
    found: dict[str, str] = {}
    for method in node.body:
        if isinstance(method, ast.FunctionDef) and method.name == "__init__":
            for step in method.body:
                if isinstance(step, ast.AnnAssign) and isinstance(step.target, ast.Attribute) and step.value:
                    if not ast.unparse(step.value).startswith("self."):
                        found[step.target.attr] = ast.unparse(step.annotation)
    return found


@cache
def catalogue() -> Catalogue:
    """Return the rules and shapes, read once."""
    return Catalogue()


def element(kind: str) -> str:
    """Return the shape of a list's elements, the empty string for what is no list of objects."""
    return kind[5:-1] if kind.startswith("list[") else ""


def new(kind: str) -> Any:
    """Make a new object of a shape."""
    made = getattr(importlib.import_module(f"exitless.arch.{catalogue().shapes[kind].module}"), kind)
    if kind == "Avic":
        return made(0, new("Backing"))
    return made(*SIZES.get(kind, ()))


def plain(kind: str, value: Any) -> Any:
    """Return a value as plain data."""
    if kind == "None" or kind == "bool":
        return value
    if kind == "i64":
        return int(value)
    if kind == WORDS:
        return [int(word) for word in value]
    if element(kind):
        return [plain(element(kind), each) for each in value]
    return {name: plain(inner, getattr(value, name)) for name, inner in catalogue().shapes[kind].fields.items()}


@cache
def new_plain(kind: str) -> Any:
    """Return a new object of a shape as plain data; 0 stands for a new number."""
    return 0 if kind == "i64" else plain(kind, new(kind))


def change(kind: str, before: Any, after: Any) -> Any:
    """Return how plain data changed: a number, or a dictionary of what is different; empty when nothing is."""
    if kind in NUMBERS:
        return after
    if kind == WORDS or element(kind):
        inner = element(kind) or "i64"
        if len(before) == len(after):
            start, found = before, {}
        else:
            start, found = [new_plain(inner)] * len(after), {"length": len(after)}
        for i, (old, now) in enumerate(zip(start, after, strict=True)):
            if old != now:
                found[str(i)] = change(inner, old, now)
        return found
    fields = catalogue().shapes[kind].fields
    return {name: change(fields[name], old, after[name]) for name, old in before.items() if old != after[name]}


def number(said: Any) -> int:
    """Return a number of a file. Errors: ValueError with what is said instead."""
    if isinstance(said, bool) or not isinstance(said, int) or not -LIMIT < said < LIMIT:
        raise ValueError(f"{said!r} is no whole number of up to 62 bits")
    return said


def apply(kind: str, value: Any, said: Any) -> Any:
    """Change a live value as a file says. Returns: the value. Errors: ValueError in part of a sentence."""
    if kind == "bool":
        if not isinstance(said, bool):
            raise ValueError(f"{said!r} is neither true nor false")
        return said
    if kind == "i64":
        return number(said)
    if not isinstance(said, dict):
        raise ValueError(f"{said!r} is no object of differences")
    if kind == WORDS or element(kind):
        return apply_list(kind, value, said)
    fields = catalogue().shapes[kind].fields
    for name, inner in said.items():
        if name not in fields:
            raise ValueError(f'{kind} has no "{name}"; there are {", ".join(fields)}')
        setattr(value, name, apply(fields[name], getattr(value, name), inner))
    return value


def apply_list(kind: str, value: Any, said: dict[str, Any]) -> Any:
    """Change live words or a live list as a file says. Errors: ValueError in part of a sentence."""
    inner = element(kind)
    if "length" in said:
        length = number(said["length"])
        if not 0 <= length <= MOST_LONG:
            raise ValueError(f"a length is {length}; expected 0 to {MOST_LONG}")
        value = [new(inner) for _ in range(length)] if inner else zeros(length)
    for index, each in said.items():
        if index == "length":
            continue
        if not index.isdecimal() or int(index) >= len(value):
            raise ValueError(f'there is no element "{index}" among {len(value)}')
        i = int(index)
        value[i] = apply(inner or "i64", value[i], each)
    return value


def live(kind: str, said: Any) -> Any:
    """Make the live argument that a file says. Errors: ValueError in part of a sentence."""
    if kind in NUMBERS:
        return apply(kind, 0, said)
    if kind == WORDS:
        if not isinstance(said, list):
            raise ValueError(f"{said!r} is no list of words")
        return vec[i64]([number(word) for word in said])
    if element(kind):
        if not isinstance(said, list):
            raise ValueError(f"{said!r} is no list")
        return [apply(element(kind), new(element(kind)), each) for each in said]
    return apply(kind, new(kind), said)


def said_of(kind: str, data: Any) -> Any:
    """Return how a file says plain data: the other direction of :func:`live`."""
    if kind in (*NUMBERS, WORDS, "None"):
        return data
    if element(kind):
        return [change(element(kind), new_plain(element(kind)), each) for each in data]
    return change(kind, new_plain(kind), data)


def called(rule: Rule, arguments: dict[str, Any]) -> tuple[Any, dict[str, Any]]:
    """Call a rule with live arguments. Returns: the answer as a file says it, and what the call changed."""
    before = {name: plain(kind, arguments[name]) for name, kind in rule.parameters.items()}
    answer = rule.function()(*arguments.values())
    after = {}
    for name, kind in rule.parameters.items():
        if kind not in NUMBERS:
            now = plain(kind, arguments[name])
            if now != before[name]:
                after[name] = change(kind, before[name], now)
    return said_of(rule.answer, plain(rule.answer, answer)), after
