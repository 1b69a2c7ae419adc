"""What commands that simulate take alike: mechanisms, seed, length and changes of a scenario."""

import argparse
from typing import Any

from exitless.errors import ScenarioError
from exitless.scenario import LONGEST_PS, Scenario, check_mechanisms, load, time_within


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
