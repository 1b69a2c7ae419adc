"""The numbered steps as lines, and the characters of the terminal."""

import textwrap
from typing import Final, NamedTuple

from rich.text import Text

from exitless.bits.units import PS_PER_MS, PS_PER_NS, PS_PER_US, show_time
from exitless.view.cards import Card
from exitless.view.names import headline, is_model
from exitless.view.scene import Scene

DIGITS: Final = "123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ"


class Signs(NamedTuple):
    """The characters of one form."""

    owners: str  # idle, Xen, dom0, guest
    phases: str  # PIR, VIRR, in service, paused
    states: str  # running, in the host, runnable, blocked
    exits: str  # EXTERNAL_INTERRUPT, INTERRUPT_WINDOW, VMCALL, HLT, EOI_INDUCED, APIC and MSR access, any other
    box: str  # ON: left, inside, right
    mark: str
    micro: str


UNICODE: Final = Signs("·▓▒█", "┄─━╌", "█─╌·", "▼□▲‖◆●✕", "╞═╡", "│", "µs")
ASCII: Final = Signs(".x%#", ":-=~", "#-~.", "vw^hea*", "[=]", "|", "us")


def wrapped(line: str, width: int) -> list[str]:
    """Break a sentence into lines."""
    return textwrap.wrap(line, max(width, 20)) or [""]


def base_of(scene: Scene) -> int:
    """Return the round time from which the ruler counts."""
    unit = PS_PER_MS if scene.last_ps - scene.first_ps < 10 * PS_PER_MS else 1000 * PS_PER_MS
    return scene.first_ps // unit * unit if scene.first_ps >= unit else 0


def origins(card: Card) -> str:
    """Say what was charged for a step and where those numbers come from; a dash where nothing was."""
    charges = [c for row in card.rows for c in row.charges]
    if not charges:
        return "–"
    words = sorted({c.origin.split(":")[0] for c in charges})
    return f"{show_short(sum(c.ps for c in charges))} {', '.join(words)}"


def show_short(ps: int) -> str:
    """Print a duration in ns below 10 µs, so that parts add up."""
    if ps < 10 * PS_PER_US:
        return f"{ps / PS_PER_NS:.0f} ns"
    return show_time(ps)


def steps(scene: Scene, width: int, signs: Signs = UNICODE) -> list[Text]:
    """List the steps of the selected interrupt: number, time, what, detail, time since the step before, charged."""
    journey = scene.journey
    if is_model(scene.header):
        return _model(scene, width)
    if journey is None:
        return [Text("No interrupt in this window.")]
    base = base_of(scene)
    latency = show_time(journey.latency) if journey.latency >= 0 else "not reached in this record"
    begins = "assertion to handler" if journey.source >= 0 else "first seen to delivery"
    n, m = len(journey.exits), len(journey.touching)
    line = f"{headline(scene.header, journey)}: {begins} {latency}; exits of its own {n}, of others meanwhile {m}"
    out = [Text(piece.replace("µs", signs.micro), "bold") for piece in wrapped(line, width)]
    found = scene.cards()
    rows = [("", f"{signs.micro}{f' +{base // PS_PER_MS} ms' if base else ''}", "step", "", "since", "charged")]
    before = 0
    for number, card in enumerate(found, 1):
        moment = (card.time - found[0].time + PS_PER_NS // 2) // PS_PER_NS * PS_PER_NS
        since = f"+{show_short(moment - before)}" if number > 1 else ""
        before = moment
        at = f"{(card.time - base) / PS_PER_US:.3f}"
        rows.append((str(number), at, card.words.title, card.words.detail, since, origins(card)))
    wide = [max(len(row[n]) for row in rows) for n in range(6)]
    for row in rows:
        text = f"{row[0]:>{wide[0]}}  {row[1]:>{wide[1]}}  "
        room = width - len(text)
        tail = f"{row[4]:>{wide[4]}}  {row[5]}"
        middle = f"{row[2]:<{wide[2]}}  {row[3]:<{wide[3]}}"
        if wide[2] + wide[3] + 6 + wide[4] + wide[5] > room:
            space = max(room - wide[4] - wide[5] - 4, 10)
            middle = f"{f'{row[2]}, {row[3]}' if row[3] else row[2]:<{space}}"
            if len(middle) > space:
                middle = f"{row[2][:space]:<{space}}"
        line = f"{text}{middle}  {tail}".replace("µs", signs.micro)
        out.append(Text((line if signs is UNICODE else line.replace("–", "-"))[:width].rstrip()))
    return out


def _model(scene: Scene, width: int) -> list[Text]:
    """List the steps of a model's run: number, who, what; the sentence of each in as many lines as it needs."""
    found = scene.cards()
    wide = max((len(card.words.title) for card in found), default=0)
    out = []
    for number, card in enumerate(found, 1):
        head = f"{number:>3}  {card.words.title:<{wide}}  "
        lines = wrapped(card.words.detail, width - len(head))
        out += [Text(f"{head if n == 0 else ' ' * len(head)}{line}"[:width]) for n, line in enumerate(lines)]
    return out
