"""One mechanism's part of the JSON of ``exitless run``, and numbers of it by their path, for a scenario's [expect]."""

from fnmatch import fnmatchcase
from typing import Any

from exitless.scenario.schema import Bound


def json_row(r: Any) -> dict[str, Any]:
    """Make one mechanism's part of the document."""
    s = r.summary
    row = {
        "mechanism": s.mechanism,
        "sources": {
            x.name: {
                "asserted": x.asserted, "delivered": x.delivered, "coalesced": x.coalesced, "pending": x.pending,
                "lost": x.lost, "exits_when_running": round(x.exits_when_running, 4),
                "latency_ns": x.latency.as_json(), "taken_ns": x.taken.as_json(),
                **({"by_runstate": {k: v.as_json() for k, v in x.by_state.items()}} if x.by_state else {}),
            } for x in s.sources.values()
        },
        "exits": {"total": sum(s.exits.values()), "by_reason": s.exits, "by_source": s.by_source},
        "exits_per_interrupt": round(s.exits_per_interrupt, 4),
        "interrupt": s.first_source,
        "hypercalls": s.hypercalls,
        "injections": {"total": sum(s.injections.values()),
                       "by_vector": {f"0x{v:02x}": n for v, n in s.injections.items()}},
        "windows_armed": {f"0x{v:02x}": n for v, n in s.windows.items()},
        "cpu": {p: {k: round(v, 6) for k, v in shares.items()} for p, shares in s.cpu.items()},
        "frames": {"received": s.frames, "dropped": s.drops},
        "events": s.events, "rows": s.rows, "seconds": round(r.seconds, 4),
        "laws": {"checked": s.laws_checked, "broken": s.laws_broken},
    }  # fmt: skip
    if s.extras is not None:
        row["more"] = s.extras.as_json()
    return row


def numbers_at(row: Any, path: list[str]) -> list[float]:
    """Return every number that a path of names leads to; a name may have ``*`` in it."""
    if not path:
        return [float(row)] if isinstance(row, int | float) else []
    if not isinstance(row, dict):
        return []
    return [n for key, value in row.items() if fnmatchcase(key, path[0]) for n in numbers_at(value, path[1:])]


def measure(row: dict[str, Any], what: str) -> float:
    """Return a number of a row, 0 where there is none, or the ratio of two.

    ``sources/nic/latency_ns/p99``; ``exits/total per sources/*.ipi/asserted``.
    """
    above, per, below = what.partition(" per ")
    value = sum(numbers_at(row, above.split("/")))
    if not per:
        return value
    other = sum(numbers_at(row, below.split("/")))
    return value / other if other else 0.0


def broken_measures(measures: dict[str, dict[str, Bound]], row: dict[str, Any]) -> list[str]:
    """Hold one mechanism's numbers against the bounds that a scenario gives for them."""
    out = []
    for what, bounds in measures.items():
        bound = bounds.get(row["mechanism"], Bound())
        value = measure(row, what)
        if (bound.min is not None and value < bound.min) or (bound.max is not None and value > bound.max):
            top = "any" if bound.max is None else bound.max
            out.append(f"{row['mechanism']}: {what} is {value:.3f}, expected {bound.min or 0} to {top}")
    return out
