"""Says which form of Exitless the tests run, and stops when it is not the form that was asked for."""

import os
import sys
from pathlib import Path

import pytest

import exitless
from exitless import version


def pytest_report_header() -> str:
    """Name the form and where it was imported from."""
    return f"{version.line()}\nimported from {Path(exitless.__file__).parent}"


def pytest_sessionstart() -> None:
    """A run of the wrong form proves nothing: ``EXITLESS_FORM`` names the right one."""
    wanted = os.environ.get("EXITLESS_FORM", version.form())
    if wanted != version.form():
        sys.stdout.flush()
        pytest.exit(
            f"EXITLESS_FORM asks for the {wanted} form, but the {version.form()} form was imported from "
            f"{exitless.__file__}; for the compiled form run EXITLESS_COMPILE=1 pip install . and leave PYTHONPATH "
            "alone, for the interpreted form set PYTHONPATH=src",
            returncode=3,
        )
