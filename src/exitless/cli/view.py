"""``exitless view``: the workbench in a browser, served to this machine alone until it is stopped."""

import argparse
import os
import sys
import webbrowser
from collections.abc import Callable
from pathlib import Path
from typing import Any, Final

from exitless.cli import show
from exitless.cli.live import LONGEST_PS, WINDOW_PS, Bench, how_they_deliver
from exitless.cli.simulating import add_scenario_options
from exitless.errors import ScenarioError
from exitless.record.block import Record
from exitless.scenario import check_mechanisms, library_names, load, time_within
from exitless.view.page import Ways, document, written
from exitless.view.server import Answer, Server

MOST_ROWS: Final = 2_000_000


def add_parser(subparsers: Any) -> None:
    """Declare the command."""
    p = subparsers.add_parser("view", help="open the workbench in a browser on this machine")
    p.add_argument(
        "what", metavar="RUN|TRACE|SCENARIO", nargs="?", default="mail",
        help="a scenario by name or .toml file (default mail), of which 10 ms are simulated anew at every change; or a "
        "record (.xl), a folder of them, or a recording, which is only looked at",
    )  # fmt: skip
    add_scenario_options(p)
    p.add_argument("--port", type=int, default=0, metavar="N", help="port on 127.0.0.1 (default 0: any that is free)")
    p.add_argument("--no-browser", action="store_true", help="only print the address")
    p.set_defaults(run=run)


def is_scenario(what: str) -> bool:
    """Tell a scenario from a recording by its name."""
    return what in library_names() or (Path(what).suffix == ".toml" and not Path(what).is_dir())


def served(args: argparse.Namespace) -> tuple[Callable[[], str], dict[str, Answer]]:
    """Make what the server needs: the page and the answers. Errors: ExitlessError."""
    if not is_scenario(args.what):
        args.html = "all"
        return looked_at(show.records_of(args).records)
    scenario, name = load(args.what, args.set)
    names = list(dict.fromkeys(args.mechanism or scenario.run.mechanisms))
    if not names:
        raise ScenarioError(f"{name}: run.mechanisms is empty and no --mechanism was given")
    check_mechanisms(names, "--mechanism")
    length = WINDOW_PS if args.length is None else time_within(args.length, 10**6, LONGEST_PS, "--length")
    bench = Bench(args.what, args.set, (args.mechanism and names) or [], args.seed, length)
    bench.run(bench.asked({}), names[0])
    made: list[str] = []

    def first_page() -> str:
        if not made:
            made.append(written(bench.simulate({})))
        return made[0]

    return first_page, {"simulate": bench.simulate, "words": bench.words, "tour": bench.tour}


def looked_at(records: list[Record]) -> tuple[Callable[[], str], dict[str, Answer]]:
    """Make the page of records that are there already; it asks for the interrupts of a window as they are looked at."""
    ways: list[Ways] = []
    text = written({**document(records, budget=MOST_ROWS, keep=ways), "served": True, "says": how_they_deliver()})

    def window(request: dict[str, Any]) -> dict[str, Any]:
        number, low, high = (request.get(key) for key in ("record", "from", "to"))
        for value in (number, low, high):
            if isinstance(value, bool) or not isinstance(value, int):
                raise ScenarioError("ways: expected a record's number and two times in ps")
        if not 0 <= int(number or 0) < len(ways):
            raise ScenarioError(f"ways: there is no record {number}")
        return ways[int(number or 0)].between(int(low or 0), int(high or 0))

    return (lambda: text), {"ways": window}


def has_screen() -> bool:
    """Tell whether a browser would have a window; one in the terminal would take it over."""
    if sys.platform in ("darwin", "win32"):
        return True
    return bool(os.environ.get("DISPLAY") or os.environ.get("WAYLAND_DISPLAY"))


def run(args: argparse.Namespace) -> int:
    """Serve until interrupted. Returns: 0."""
    if not 0 <= args.port <= 65535:
        raise ScenarioError(f"--port {args.port}: expected 0 to 65535")
    text, answers = served(args)
    with Server(args.port, text, answers) as server:
        print(server.address, flush=True)
        print("The workbench runs until you press Ctrl-C.", flush=True)
        try:
            if not args.no_browser and has_screen():
                webbrowser.open(server.address)
            server.serve_forever(poll_interval=0.2)
        except KeyboardInterrupt:
            print("exitless: the workbench has stopped", file=sys.stderr)
    return 0
