"""Which Exitless this is, and whether its hot floors run compiled or interpreted."""

import platform
from importlib.machinery import EXTENSION_SUFFIXES
from typing import Final

from exitless.bits import words

VERSION: Final = "0.1.0"


def compiled() -> bool:
    """Tell whether the hot floors come from extension modules; they are compiled together or not at all."""
    return str(words.__file__).endswith(tuple(EXTENSION_SUFFIXES))


def form() -> str:
    """Name the form that runs: ``compiled`` or ``interpreted``."""
    return "compiled" if compiled() else "interpreted"


def line() -> str:
    """Say version and form in one line, with what to do about the slow one."""
    start = f"exitless {VERSION}, {form()}, Python {platform.python_version()}"
    if compiled():
        return start
    return f"{start} (about 40 times slower than compiled; EXITLESS_COMPILE=1 pip install . tells what is in the way)"
