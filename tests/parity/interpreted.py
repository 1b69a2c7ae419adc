"""Runs a piece of work in a process that has the interpreted form, whatever form the tests themselves have.

The work is a function of a module under tests/parity that takes plain values and returns plain values. Here it is also
the program of that process: ``python interpreted.py MODULE FUNCTION`` reads its arguments from standard input.
"""

import json
import os
import subprocess
import sys
from importlib import import_module
from pathlib import Path
from typing import Any

ROOT = Path(__file__).resolve().parent.parent.parent


def in_interpreted_form(module: str, function: str, *values: Any) -> Any:
    """Return what the function answers when the package is imported from src and nothing of it is compiled."""
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join([str(ROOT / "src"), str(ROOT)])}
    done = subprocess.run(
        [sys.executable, str(Path(__file__)), module, function],
        input=json.dumps(values),
        env=environment,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, f"the interpreted form stopped:\n{done.stderr}"
    return json.loads(done.stdout)


if __name__ == "__main__":
    import exitless

    if exitless.compiled():
        sys.exit("a compiled module lies beside the source: remove the .so files under src")
    answer = getattr(import_module(f"tests.parity.{sys.argv[1]}"), sys.argv[2])(*json.load(sys.stdin))
    json.dump(answer, sys.stdout)
