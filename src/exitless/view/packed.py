"""A page's data made smaller: lists of times hold differences, which are short, instead of moments, which are long."""

from typing import Any, Final

SPANS: Final = {"owners": 5, "states": 4, "vectors": 4, "ports": 3, "on": 3, "exits": 7, "processing": 6}
MOMENTS: Final = {"asserts": 4, "routes": 5}
CHANGES: Final = {"registers": 3, "lapics": 2}


def packed(record: dict[str, Any]) -> dict[str, Any]:
    """Return one record's data with differences.

    A span's first number counts from the end of the span before, its second from its own begin; a moment counts from
    the moment before.
    """
    out = {**record, "packed": 1}
    for key, stride in SPANS.items():
        found = record[key]
        out[key] = (
            {k: _spans(v, stride) for k, v in found.items()} if isinstance(found, dict) else _spans(found, stride)
        )
    for key, stride in MOMENTS.items():
        out[key] = _moments(record[key], stride)
    for key, stride in CHANGES.items():
        out[key] = {k: {**v, "changes": _moments(v["changes"], stride)} for k, v in record[key].items()}
    return out


def _spans(flat: list[int], stride: int) -> list[int]:
    out = list(flat)
    before = 0
    for n in range(0, len(flat), stride):
        out[n], out[n + 1] = flat[n] - before, flat[n + 1] - flat[n]
        before = flat[n + 1]
    return out


def _moments(flat: list[int], stride: int) -> list[int]:
    out = list(flat)
    before = 0
    for n in range(0, len(flat), stride):
        out[n] = flat[n] - before
        before = flat[n]
    return out


class Once:
    """Each text or tuple once, by number."""

    def __init__(self) -> None:
        self.all: list[Any] = []
        self.place: dict[Any, int] = {}

    def __call__(self, value: Any) -> int:
        place = self.place.get(value)
        if place is None:
            place = self.place[value] = len(self.all)
            self.all.append(value)
        return place
