"""Citations: keys of ``src/exitless/study/cites.toml`` turned into what a reader can look up.

The table is installed with the package.
"""

import tomllib
from functools import cache
from importlib import resources


@cache
def table() -> dict[str, dict[str, str]]:
    """Return every citation by key."""
    text = (resources.files("exitless.study") / "cites.toml").read_text("utf-8")
    cites: dict[str, dict[str, str]] = tomllib.loads(text)["cites"]
    return cites


def reference(key: str) -> str:
    """Print one citation: key, title, source and section."""
    row = table().get(key)
    if row is None:
        return key
    return f"{key}: {row['title']}; {row['source']}, {row['section']}"
