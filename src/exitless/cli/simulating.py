"""What commands that simulate take alike: mechanisms, seed, length and changes of a scenario."""

import argparse
import json
from collections.abc import Sequence
from typing import Any

from exitless.errors import ScenarioError
from exitless.scenario import LONGEST_PS, Scenario, check_mechanisms, load, time_within


class CostsOption(argparse.Action):
    """``--costs NAME``: the same as ``--set host.costs=NAME``, so that every run of a command takes it alike."""

    def __call__(
        self, parser: argparse.ArgumentParser, namespace: argparse.Namespace, values: str | Sequence[Any] | None,
        option_string: str | None = None,
    ) -> None:  # fmt: skip
        """Add the change."""
        namespace.set = [*namespace.set, f"host.costs={json.dumps(str(values), ensure_ascii=False)}"]


def add_costs_option(p: Any) -> None:
    """Declare the option that chooses the costs; ``--set`` must be declared as well."""
    p.add_argument(
        "--costs", metavar="FILE", action=CostsOption,
        help="a cost table: a .toml file, as `exitless calibrate` writes, or a table's name (`exitless list costs`)",
    )  # fmt: skip


def add_scenario_options(p: Any) -> None:
    """Declare the options that say how a scenario is simulated."""
    p.add_argument("--mechanism", action="append", metavar="NAME", help="only this one (repeatable)")
    p.add_argument("--seed", type=int, help="seed of every random stream (default: the scenario's)")
    p.add_argument("--length", metavar="TIME", help='simulated time, for example "200 ms" (default: the scenario\'s)')
    p.add_argument(
        "--set",
        action="append",
        default=[],
        metavar="PATH=VALUE",
        help="change the scenario, for example device[0].load=60",
    )
    add_costs_option(p)


def asked(what: str, args: argparse.Namespace) -> tuple[Scenario, str, list[str], int | None]:
    """Load what those options ask for: scenario, name, mechanisms, and length in ps (None: its own).

    Errors: ScenarioError.
    """
    scenario, name = load(what, args.set)
    names = args.mechanism or scenario.run.mechanisms
    if not names:
        raise ScenarioError(f"{name}: run.mechanisms is empty and no --mechanism was given")
    check_mechanisms(names, "--mechanism")
    length = None if args.length is None else time_within(args.length, 1, LONGEST_PS, "--length")
    return scenario, name, list(dict.fromkeys(names)), length
