"""Where tests find the project's reference recordings and vectors, which are kept beside the repository."""

from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parent.parent
SHARED = ROOT.parent / "shared"


def shared(path: str) -> Path:
    """Return the reference file or folder ``path``; skips the calling test where it is not there."""
    found = SHARED / path
    if not found.exists():
        pytest.skip(f"reference material {path} is not beside this clone (expected at ../shared/{path})")
    return found
