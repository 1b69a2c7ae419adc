"""The lanes of a picture: devices, routing, physical CPUs, virtual CPUs and their vectors, causes above effects."""

from collections.abc import Sequence
from typing import Final, NamedTuple

from exitless.record.block import Event, Header
from exitless.study.spans import Spans
from exitless.view.names import source_name, vcpu_name
from exitless.vocab.kinds import Kind, Owner

FEW: Final = 8


class Lane(NamedTuple):
    """One lane: ``kind`` tells what is drawn on it, ``number`` and ``vector`` whose it is."""

    group: str
    kind: str
    label: str
    detail: str
    number: int
    vector: int = -1
    members: tuple[int, ...] = ()


def sources_of(header: Header, name: str | None) -> list[int]:
    """Return the sources of a name (``sas`` stands for ``sas.0`` too), those of guests first, timers last."""
    numbers = list(range(len(header.sources)))
    if name is not None:
        return [n for n in numbers if header.sources[n] == name or header.sources[n].split(".")[0] == name]

    def rank(n: int) -> tuple[bool, bool, int]:
        vcpu = header.source_vcpu[n] if n < len(header.source_vcpu) else -1
        guest = 0 <= vcpu < len(header.owners) and header.owners[vcpu] == Owner.GUEST
        return header.sources[n].endswith("timer"), not guest, n

    return sorted(numbers, key=rank)


def lanes(header: Header, events: list[Event], spans: Spans, home: int, low: int, high: int) -> list[Lane]:
    """List the lanes of everything that has a row in a window, causes above effects.

    ``home`` is the vCPU of the selected interrupt, -1 for none; ``low`` and ``high`` are the window's ends in ps.
    """
    return [
        *_devices(header, events), *_routing(header, events), *_pcpus(header, events, spans),
        *_vcpus(header, spans, home, low, high),
    ]  # fmt: skip


def _devices(header: Header, events: list[Event]) -> list[Lane]:
    seen = {e.a for e in events if e.kind == Kind.SOURCE_ASSERT}
    groups: dict[str, list[int]] = {}
    for n in [n for n in sources_of(header, None) if n in seen]:
        name = header.sources[n]
        stem = name if name.endswith("timer") else name.split(".")[0]
        groups.setdefault(stem, []).append(n)
    out = []
    for name, members in groups.items():
        first = members[0]
        text = _vector_text(header, first) + _more(members)
        if name.endswith("timer"):
            text = text.removeprefix("guest ")
        out.append(Lane("Devices", "device", name, text, first, -1, tuple(members)))
    return out


def _vector_text(header: Header, source: int) -> str:
    """Say under which vector or port a source's guest or host knows it."""

    def entry(values: list[int]) -> int:
        return values[source] if source < len(values) else -1

    vector, host, port = entry(header.source_vector), entry(header.source_host_vector), entry(header.source_port)
    vcpu = entry(header.source_vcpu)
    guest = 0 <= vcpu < len(header.owners) and header.owners[vcpu] == Owner.GUEST
    if port >= 0 and guest:
        return f"port {port}"
    if guest and vector > 0:
        return f"guest 0x{vector:02x}"
    return f"host 0x{host:02x}" if host >= 0 else ""


def _routing(header: Header, events: list[Event]) -> list[Lane]:
    out = []
    entries = sorted({e.a for e in events if e.kind == Kind.MSI_ROUTE})
    if entries:
        whole = len(entries) > 1 and entries[-1] - entries[0] == len(entries) - 1
        text = f"{entries[0]}–{entries[-1]}" if whole else str(entries[0]) + _more(entries)
        out.append(Lane("Routing", "irte", "IRTE", text, -1))
    posted = {e.vcpu for e in events if e.kind in (Kind.PID_POST, Kind.PID_PROCESS, Kind.PIR_SYNC)}
    out += [Lane("Routing", "pid", f"PID {vcpu_name(header, v)}", "", v) for v in sorted(posted)]
    return out


def _pcpus(header: Header, events: list[Event], spans: Spans) -> list[Lane]:
    known = set(spans.owners) | {e.pcpu for e in events if e.pcpu >= 0} | set(range(header.pcpus))
    vectors: dict[int, set[int]] = {}
    hosts = set(header.source_host_vector) - {-1}
    for e in events:
        if e.kind in (Kind.LAPIC_ACCEPT, Kind.HOST_IRQ) and e.a >= 0 and (e.a in hosts or not hosts):
            vectors.setdefault(e.pcpu, set()).add(e.a)
    out = []
    for p in sorted(known):
        seen = sorted(vectors.get(p, ()))
        text = f"0x{seen[0]:02x}{_more(seen)}" if seen else ""
        out.append(Lane("Physical CPUs", "pcpu", f"pCPU{p}", text, p))
    return out


def _more(found: Sequence[int]) -> str:
    return f" +{len(found) - 1}" if len(found) > 1 else ""


def _vcpus(header: Header, spans: Spans, home: int, low: int, high: int) -> list[Lane]:
    out = []
    seen = {v for v, s in spans.states.items() if any(x.end > low and x.start < high for x in s)}
    place = {v: max((x.pcpu for x in spans.states[v]), default=-1) for v in seen}

    def rank(v: int) -> tuple[bool, bool, int]:
        return _is_dom0(header, v), place[v] != place.get(home, -2), v

    for v in sorted(seen, key=rank):
        dom0 = _is_dom0(header, v)
        out.append(Lane("Virtual CPUs", "vcpu", vcpu_name(header, v), "dom0" if dom0 else "guest", v))
        if dom0:
            continue
        for who, port in sorted(spans.ports):
            if who == v and any(x.end >= low and x.start <= high for x in spans.ports[(who, port)]):
                out.append(Lane("Virtual CPUs", "port", f"port {port}", _port_source(header, v, port), v, port))
        for vector in _vectors(spans, v, low, high):
            whose = _whose(header, v, vector, spans)
            out.append(Lane("Virtual CPUs", "vector", f"0x{vector:02x}", whose, v, vector))
    return out


def _vectors(spans: Spans, vcpu: int, low: int, high: int) -> list[int]:
    """Return a vCPU's vectors in a window from the highest down; of more than fit a page at once the busiest first."""
    often = {}
    for (who, vector), found in spans.vectors.items():
        inside = sum(x.end >= low and x.start <= high for x in found)
        if who == vcpu and inside:
            often[vector] = inside
    many = len(often) > FEW
    return sorted(often, key=lambda v: (-often[v] if many else 0, -v))


def _is_dom0(header: Header, vcpu: int) -> bool:
    return 0 <= vcpu < len(header.owners) and header.owners[vcpu] == Owner.DOM0


def _whose(header: Header, vcpu: int, vector: int, spans: Spans) -> str:
    """Say whose a guest vector is."""
    if spans.callbacks.get(vcpu) == vector:
        return "upcall"
    for n, v in enumerate(header.source_vector):
        port = header.source_port[n] if n < len(header.source_port) else -1
        if v == vector and header.source_vcpu[n] == vcpu and port < 0:
            return source_name(header, n).removeprefix(f"{vcpu_name(header, vcpu)}.")
    return ""


def _port_source(header: Header, vcpu: int, port: int) -> str:
    for n, p in enumerate(header.source_port):
        if p == port and header.source_vcpu[n] == vcpu:
            return source_name(header, n).removeprefix(f"{vcpu_name(header, vcpu)}.")
    return ""
