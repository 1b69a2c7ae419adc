"""``exitless read HOST GUEST``: recordings of one run by a host and its guest, on one clock."""

from typing import Any, Final

from rich.console import Console

from exitless.cli.output import ns, per_cent
from exitless.cli.read_why import table
from exitless.study.pair import LEAST, Alignment, Guest, Handlers, Host, contained, handlers, search
from exitless.traces.kvm_reader import LinuxReader
from exitless.traces.kvm_rows import Clock
from exitless.traces.reader import Reader, open_reader
from exitless.traces.text_reader import TextReader
from exitless.traces.trace_dat import TraceDat

MISSING: Final = (
    "device to handler: not told. The host sees the acceptance of an interrupt, the guest the begin of its handler; "
)


def origin_ps(reader: Reader) -> int:
    """Return the time of a recording's first event on its own clock; 0 where the clock begins with it."""
    if not isinstance(reader, LinuxReader):
        return 0
    clock = reader.mapper.clock
    return clock.origin * clock.times // clock.over


def is_shifted(reader: LinuxReader) -> bool:
    """Tell whether a recording says how its clock is shifted against its host's."""
    return isinstance(reader, TraceDat) and bool(reader.layout.shifts)


def take_host(path: str, clock_hz: int) -> tuple[LinuxReader, Host] | None:
    """Read a recording as the host's side; None when it is of no Linux host with guests."""
    with open_reader(path, clock_hz) as reader:
        if not isinstance(reader, LinuxReader):
            return None
        host = Host()
        for rows in reader.rows():
            host.rows(rows, origin_ps(reader))
        return (reader, host) if host.entries else None


def take_guest(path: str, clock_hz: int, clock: Clock) -> tuple[LinuxReader, Guest] | None:
    """Read a recording as the guest's side, by the host's clock where both count the same ticks."""
    with open_reader(path, clock_hz) as reader:
        if not isinstance(reader, LinuxReader):
            return None
        if reader.clock == clock.name and not isinstance(reader, TextReader):
            reader.use_clock(Clock(clock.name, clock.times, clock.over))
        guest = Guest()
        for rows in reader.rows():
            guest.rows(rows, origin_ps(reader))
        return reader, guest


def machines(reader: LinuxReader) -> dict[str, dict[int, int]]:
    """Return the places of each machine's vCPUs by number."""
    out: dict[str, dict[int, int]] = {}
    for place, vcpu in enumerate(reader.vcpus):
        out.setdefault(vcpu.vm, {})[vcpu.number] = place
    return out


def align(host: LinuxReader, seen: Host, guest: LinuxReader, events: Guest) -> tuple[str, Alignment] | None:
    """Align a guest with the machine it fits best: by the file's own shift or clock, else by containment alone."""
    same = host.clock == guest.clock
    by = "the guest file's TIME_SHIFT" if is_shifted(guest) else f"the same clock, {guest.clock}"
    best: tuple[str, Alignment] | None = None
    for vm, places in machines(host).items():
        tried = [contained(seen, events, places, 0, by)] if same or is_shifted(guest) else []
        if not tried or not tried[0].is_believed():
            found = search(seen, events, places)
            tried += [found] if found is not None else []
        for one in tried:
            if best is None or one.contained > best[1].contained:
                best = vm, one
    return best


def untold(seen: Host, events: Guest, found: Handlers, believed: bool) -> list[str]:
    """Say what of the way from device to handler this pair cannot give."""
    out = []
    if not believed:
        out.append(MISSING + "the two recordings could not be aligned")
    elif not events.handlers:
        out.append(MISSING + "the guest's has no irq_handler_entry and no irq_vectors")
    elif not seen.accepted:
        out.append(MISSING + "the host's has no kvm_apic_accept_irq")
    elif found.unmatched:
        out.append(
            f"{found.unmatched:,} handlers of the guest have no interrupt before them that the host's recording shows "
            "alone: delivered without an acceptance, or several waited at once"
        )
    if seen.posted:
        out.append(f"{seen.posted:,} acceptances were posted: from there on only the guest's recording tells")
    return out


def pair(host_path: str, guest_path: str, clock_hz: int) -> dict[str, Any] | None:
    """Put two recordings together; None where the first is not a host's or the second not a guest's."""
    first = take_host(host_path, clock_hz)
    if first is None:
        return None
    host, seen = first
    second = take_guest(guest_path, clock_hz, host.mapper.clock)
    if second is None:
        return None
    guest, events = second
    found = align(host, seen, guest, events)
    if found is None:
        return None
    vm, alignment = found
    believed = alignment.is_believed()
    places = machines(host)[vm]
    matched = handlers(seen, events, places, alignment.shift) if believed else Handlers()
    return {
        "host": host.source.name, "guest": guest.source.name, "vm": vm, "aligned": believed, "aligned_by": alignment.by,
        "shift_ns": alignment.shift / 1000, "events": alignment.events, "contained": alignment.contained,
        "error_ns": {"earlier": alignment.earlier / 1000, "later": alignment.later / 1000} if believed else None,
        "handlers": {
            f"0x{vector:02x}": {
                "accepted": {"count": h.accepted.count(), **h.accepted.as_json()},
                "injected": {"count": h.injected.count(), **h.injected.as_json()},
                "irqs": {str(irq): n for irq, n in sorted(h.irqs.items())},
            } for vector, h in sorted(matched.by_vector.items())
        },
        "handlers_unmatched": matched.unmatched, "untold": untold(seen, events, matched, believed),
    }  # fmt: skip


def print_pair(out: Console, p: dict[str, Any]) -> None:
    """Print how the two fit, and the time from acceptance to handler."""
    share = p["contained"] / p["events"] if p["events"] else 0.0
    out.print(f"[bold]together[/]: {p['guest']} is {p['vm']} of {p['host']}")
    inside = f"{p['contained']:,} of {p['events']:,} guest events ({per_cent(share)}) lie where its vCPU ran"
    if not p["aligned"]:
        least = f"; expected at least 90 % of at least {LEAST}" if p["events"] else ""
        out.print(f"not aligned: at best {inside}{least}")
    else:
        error = p["error_ns"]
        out.print(
            f"aligned by {p['aligned_by']}, guest times shifted by {p['shift_ns']:,.3f} ns; {inside}; error: at most "
            f"{ns(error['earlier'])} early, {ns(error['later'])} late, as then events would leave their windows"
        )
    if p["handlers"]:
        t = table(["guest's handler", "from accepted", "p50", "p99", "max", "from injected", "p50", "p99", "guest irq"])
        for vector, h in p["handlers"].items():
            a, i = h["accepted"], h["injected"]
            cells = [f"{a['count']:,}", *(ns(a[k]) if a["count"] else "–" for k in ("p50", "p99", "max"))]
            cells += [f"{i['count']:,}", *(ns(i[k]) if i["count"] else "–" for k in ("p50", "p99"))]
            t.add_row(vector, *cells, ", ".join(h["irqs"]) or "–")
        out.print(t)
    for sentence in p["untold"]:
        out.print(f"note: {sentence}")
