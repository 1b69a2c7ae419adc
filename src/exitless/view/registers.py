"""What a vCPU's interrupt registers hold after each step of an interrupt, as far as a record tells, as lines."""

from itertools import pairwise
from typing import Final

from rich.text import Text

from exitless.study.spans import Phase
from exitless.view.names import is_model, vcpu_name
from exitless.view.scene import Scene
from exitless.vocab.kinds import Kind

COLUMNS: Final = ("PIR", "ON", "VIRR", "RVI", "in service", "port", "upcall")
RVI_ROWS: Final = (Kind.PID_PROCESS, Kind.IRQ_DELIVER, Kind.RVI_WRITE)

State = dict[str, frozenset[str]]


def held(scene: Scene, vcpu: int, time_ps: int) -> State:
    """Return what each register holds right after a moment; RVI is ``?`` before the first row that tells it."""
    out: dict[str, set[str]] = {name: set() for name in COLUMNS}
    names = {Phase.POSTED: "PIR", Phase.REQUESTED: "VIRR", Phase.SERVICE: "in service"}
    for (who, vector), found in scene.spans.vectors.items():
        for s in found:
            if who == vcpu and s.start <= time_ps and (time_ps < s.end or (time_ps == s.end and not s.closed)):
                upcall = s.phase == Phase.POSTED and scene.spans.callbacks.get(vcpu) == vector
                out["upcall" if upcall else names[s.phase]].add(f"{vector:02x}")
    for (who, port), pending in scene.spans.ports.items():
        if who == vcpu and any(s.start <= time_ps and (time_ps < s.end or not s.closed) for s in pending):
            out["port"].add(str(port))
    if any(s.start <= time_ps and (time_ps < s.end or not s.closed) for s in scene.spans.on.get(vcpu, [])):
        out["ON"].add("1")
    told = [e for e in scene.events if e.kind in RVI_ROWS and e.vcpu == vcpu]
    before = [e for e in told if e.time_ps <= time_ps]
    if told:
        out["RVI"].add(f"{max(0, before[-1].b):02x}" if before else "?")
    return {name: frozenset(values) for name, values in out.items()}


def cell(name: str, before: frozenset[str], after: frozenset[str]) -> str:
    """Write one register: what it holds, ``+`` before what is new, ``-`` before what is gone; RVI as old > new."""
    if name == "RVI":
        old, new = "".join(before), "".join(after)
        return new if old == new else f"{old}>{new}"
    words = [f"+{x}" if x not in before else f"-{x}" if x not in after else x for x in sorted(before | after)]
    return " ".join(words) or "{}"


def registers(scene: Scene, width: int) -> list[Text]:
    """List the registers of the selected interrupt's vCPU at the steps that change any; nothing where none is known."""
    journey, found = scene.journey, scene.cards()
    if journey is None or is_model(scene.header) or journey.vcpu < 0:
        return []
    vcpu = journey.vcpu
    last = {card.time: number for number, card in enumerate(found, 1)}
    before = held(scene, vcpu, journey.start - 1)
    states = [("", before)] + [(str(n), held(scene, vcpu, time)) for time, n in last.items()]
    shown = [name for name in COLUMNS if any(state[name] for _, state in states)]
    rows = [["after", *shown], ["", *(cell(name, before[name], before[name]) for name in shown)]]
    for (_, old), (number, new) in pairwise(states):
        if old != new:
            rows.append([number, *(cell(name, old[name], new[name]) for name in shown)])
    if not shown or len(rows) < 3:
        return []
    wide = [max(len(row[n]) for row in rows) for n in range(len(shown) + 1)]
    out = [
        Text(
            f"Registers of {vcpu_name(scene.header, vcpu)} after a step (+ set by it, - cleared by it)"[:width], "bold"
        )
    ]
    for row in rows:
        line = "  ".join(f"{word:<{wide[n]}}" if n else f"{word:>{wide[n]}}" for n, word in enumerate(row))
        out.append(Text(line[:width].rstrip()))
    return out
