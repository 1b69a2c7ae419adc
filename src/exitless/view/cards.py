"""The cards of an interrupt's way: rows that are one event to a reader, under one number and in one sentence."""

from typing import Final, NamedTuple

from exitless.record.block import Header
from exitless.study.ways import Journey, Step
from exitless.view.names import host_name
from exitless.view.words import Words, words
from exitless.vocab.kinds import Kind

_JOINED: Final = {
    (Kind.PORT_RAISE, Kind.UPCALL_MARK),
    (Kind.VM_EXIT, Kind.HYPERCALL),
    (Kind.IRQ_DELIVER, Kind.SOURCE_HANDLE),
    (Kind.VM_ENTRY, Kind.SOURCE_HANDLE),
    (Kind.PORT_CLEAR, Kind.SOURCE_HANDLE),
    (Kind.SOURCE_ASSERT, Kind.TIMER_FIRE),
}


class Card(NamedTuple):
    """One numbered step as it is shown: one row, or several at one moment that are one event to a reader."""

    time: int
    rows: tuple[Step, ...]
    words: Words


def cards(header: Header, journey: Journey) -> list[Card]:
    """Number an interrupt's steps as they are shown: rows that say one thing at one moment become one card."""
    host = host_name(header)
    return [Card(group[0].time, group, said(header, group, host)) for group in groups(journey)]


def groups(journey: Journey) -> list[tuple[Step, ...]]:
    """Return an interrupt's rows, those together that become one card."""
    out: list[tuple[Step, ...]] = []
    time, kind = -1, -1
    for step in journey.steps:
        if step.time == time and (kind, step.kind) in _JOINED:
            out[-1] = (*out[-1], step)
        else:
            out.append((step,))
        time, kind = step.time, step.kind
    return out


def said(header: Header, group: tuple[Step, ...], host: str) -> Words:
    """Put the rows of one card into words."""
    out = words(header, group[0], host)
    for step in group[1:]:
        more = words(header, step, host)
        detail = more.title if step.kind == Kind.HYPERCALL else out.detail
        if step.kind == Kind.SOURCE_HANDLE:
            detail = "first instruction"
        sentence = out.sentence if step.kind == Kind.UPCALL_MARK else f"{out.sentence} {more.sentence}"
        out = Words(out.title, detail, sentence, out.cites)
    return out
