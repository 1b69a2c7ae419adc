"""Replays vectors of the second format: builds the arguments, calls the rule, compares answer and state."""

import json
from typing import Any

from exitless.cli.main import near
from exitless.cli.vector_files import RuleRecord
from exitless.cli.vector_shapes import Rule, called, catalogue, live
from exitless.errors import ScenarioError


def rule_of(where: str, record: RuleRecord) -> Rule:
    """Return the rule that a vector calls. Errors: ScenarioError with the place."""
    rules = catalogue().rules
    if record.call not in rules:
        hint = near(record.call, list(rules)) or "; exitless list rules names them"
        raise ScenarioError(f'{where}: there is no rule "{record.call}"{hint}')
    return rules[record.call]


def arguments_of(where: str, rule: Rule, record: RuleRecord) -> dict[str, Any]:
    """Make the arguments that a vector names. Errors: ScenarioError with the place."""
    if list(record.arguments) != list(rule.parameters):
        takes, named = ", ".join(rule.parameters) or "nothing", ", ".join(record.arguments) or "nothing"
        raise ScenarioError(f"{where}: {record.call} takes {takes}, in this order; the vector names {named}")
    made = {}
    for name, kind in rule.parameters.items():
        try:
            made[name] = live(kind, record.arguments[name])
        except (ValueError, OverflowError) as problem:
            raise ScenarioError(f"{where}: {name}: {problem}") from None
    return made


def replay(file: str, line: int, record: RuleRecord) -> tuple[str, str]:
    """Replay one vector. Returns: what was expected and what came, both empty when they agree.

    Errors: ScenarioError for what is no vector.
    """
    where = f"{file}:{line}: vector {record.id}"
    rule = rule_of(where, record)
    made = arguments_of(where, rule, record)
    try:
        answer, after = called(rule, made)
    except (IndexError, ValueError, OverflowError, ArithmeticError) as problem:
        raise ScenarioError(f"{where}: {record.call} takes no such arguments: {problem}") from None
    if type(answer) is type(record.answer) and answer == record.answer and after == record.after:
        return "", ""
    return said(record.answer, record.after), said(answer, after)


def said(answer: Any, after: dict[str, Any]) -> str:
    """Return an answer and the changed state in a line."""
    return f"answer {json.dumps(answer)} after {json.dumps(after)}"
