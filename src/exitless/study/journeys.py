"""One interrupt's way, from its assertion to the end of its handler: its steps, what each cost, and the exits it met.

A recording without device assertions still shows ways: there one begins where its vector first enters a guest's
virtual APIC. Times are ps.
"""

from typing import Final

from exitless.record.block import Event, Header
from exitless.study.ways import Charges, Journey, Step
from exitless.vocab.exits import Exit
from exitless.vocab.kinds import Kind, Owner

LONGEST_PS: Final = 50_000_000_000


class Rows:
    """Rows in the order of their times, sorted out once for the ways of all sources: those a way may have as a step,
    and the costs charged."""

    def __init__(self, events: list[Event], header: Header) -> None:
        self.header = header
        self.steps = [e for e in events if e.kind in FOLLOWED]
        self.charges = Charges(events, header)
        self.notifications = _notifications(events)
        self.asserts: dict[int, list[int]] = {}
        for n, e in enumerate(self.steps):
            if e.kind == Kind.SOURCE_ASSERT:
                self.asserts.setdefault(e.a, []).append(n)
        self.assigned: dict[int, list[tuple[int, int]]] = {}
        for e in events:
            if e.kind == Kind.VECTOR_ASSIGN:
                self.assigned.setdefault(e.b, []).append((e.time_ps, e.a))
        self.merged = {(e.a, e.b) for e in events if e.kind == Kind.SOURCE_MERGE}

    def of_source(self, source: int) -> list[Journey]:
        """Return the ways of one source's interrupts."""
        way = _Source(self.header, source, self.notifications, self.assigned)
        out = []
        for n in self.asserts.get(source, ()):
            first = self.steps[n]
            journey = Journey(source, first.b, way.vcpu, way.vector, merged=(source, first.b) in self.merged)
            if journey.merged:
                journey.steps.append(Step(*first))
            else:
                _follow(self.steps, n, _Way(way, journey))
                if way.is_posted:
                    _drop_route(journey)
                self.charges.put(journey)
            out.append(journey)
        return out


def of_source(events: list[Event], header: Header, source: int) -> list[Journey]:
    """Return the ways of a source's interrupts, from rows in the order of their times."""
    return Rows(events, header).of_source(source)


def of_vectors(events: list[Event], header: Header) -> list[Journey]:
    """Return the ways of vectors from request, post or injection to their end."""
    open_: dict[tuple[int, int], Journey] = {}
    out: list[Journey] = []
    charges = Charges(events, header)
    serial: dict[tuple[int, int], int] = {}
    loaded: dict[int, int] = {}
    for e in events:
        vector = e.a
        if e.kind == Kind.IRQ_INJECT:
            loaded[e.vcpu] = e.a
        elif e.kind == Kind.VM_ENTRY:
            vector = e.a if e.a >= 0 else loaded.get(e.vcpu, -1)
            loaded.pop(e.vcpu, None)
        if e.vcpu < 0 or e.kind not in _OF_VECTOR or vector < 0:
            continue
        key = (e.vcpu, vector)
        if key not in open_:
            if e.kind in _ENDS:
                continue
            serial[key] = serial.get(key, 0) + 1
            open_[key] = Journey(-1, serial[key], e.vcpu, vector)
            out.append(open_[key])
        journey = open_[key]
        if journey.handled >= 0 and e.kind in (Kind.IRQ_REQUEST, Kind.PID_POST, Kind.IRQ_INJECT, Kind.IRQ_WINDOW):
            charges.put(journey)
            serial[key] += 1
            journey = Journey(-1, serial[key], e.vcpu, vector)
            open_[key] = journey
            out.append(journey)
        journey.steps.append(Step(*e))
        if e.kind in (Kind.VM_ENTRY, Kind.IRQ_DELIVER):
            journey.handled = len(journey.steps) - 1
        if e.kind in _ENDS:
            charges.put(open_.pop(key))
    for journey in open_.values():
        charges.put(journey)
    return out


_ENDS: Final = (Kind.IRQ_EOI, Kind.IRQ_RETURN)
_OF_VECTOR: Final = (
    Kind.IRQ_REQUEST, Kind.PID_POST, Kind.IRQ_INJECT, Kind.IRQ_WINDOW, Kind.VM_ENTRY, Kind.IRQ_DELIVER, *_ENDS,
)  # fmt: skip
_PHYSICAL: Final = frozenset((Kind.MSI_ROUTE, Kind.LAPIC_ACCEPT, Kind.HOST_IRQ))
_BOUNDARY: Final = frozenset((Kind.VM_EXIT, Kind.VM_ENTRY, Kind.HYPERCALL))
FOLLOWED: Final = frozenset(
    (
        Kind.SOURCE_ASSERT, Kind.SOURCE_HANDLE, *_BOUNDARY, *_PHYSICAL, Kind.TIMER_FIRE, Kind.PORT_RAISE,
        Kind.PORT_CLEAR, Kind.UPCALL_MARK, Kind.UPCALL_ENTER, Kind.PID_PROCESS, Kind.PIR_SYNC, Kind.SCHED_WAKE,
        Kind.SCHED_SWITCH, Kind.VCPU_MOVE, Kind.PID_POST, Kind.IRQ_REQUEST, Kind.IRQ_WINDOW, Kind.IRQ_INJECT,
        Kind.RVI_WRITE, Kind.IRQ_DELIVER, Kind.CPU_OWNER, *_ENDS,
    )
)  # fmt: skip


def _notifications(events: list[Event]) -> set[int]:
    """Return the notification and wakeup vectors, by what they cause: processing, or at once a vCPU that wakes."""
    found = {e.a for e in events if e.kind == Kind.PID_PROCESS}
    if not found and not any(e.kind == Kind.PID_POST for e in events):
        return found
    taken: dict[int, int] = {}
    for e in events:
        if e.kind == Kind.HOST_IRQ:
            taken[e.pcpu] = e.a if e.b < 0 else -1
        elif e.kind in (Kind.SOFTIRQ, Kind.VM_ENTRY):
            taken.pop(e.pcpu, None)
        elif e.kind == Kind.SCHED_WAKE and taken.get(e.pcpu, -1) >= 0:
            found.add(taken[e.pcpu])
    return found


class _Source:
    """What tells a source's rows from others'."""

    def __init__(
        self, header: Header, source: int, notifications: set[int], assigned: dict[int, list[tuple[int, int]]]
    ) -> None:
        self.source = source
        self.vcpu = _entry(header.source_vcpu, source)
        self.vector = _entry(header.source_vector, source)
        self.host_vector = _entry(header.source_host_vector, source)
        self.assigned = assigned.get(source, [])
        self.port = _entry(header.source_port, source)
        self.is_posted = self.host_vector < 0 and self.port < 0
        self.is_hvm = _entry(header.owners, self.vcpu) == Owner.GUEST
        self.notifications = notifications

    def host_at(self, time: int) -> int:
        """Return the host vector of its messages at a time; moves give it others."""
        return next((vector for since, vector in reversed(self.assigned) if since <= time), self.host_vector)


def _entry(values: list[int], number: int) -> int:
    return values[number] if 0 <= number < len(values) else -1


class _Way:
    """One interrupt on its way: which steps it has behind it."""

    def __init__(self, source: _Source, journey: Journey) -> None:
        self.s = source
        self.j = journey
        self.seen: set[int] = set()
        self.pcpu = -1
        self.host_vector = source.host_vector
        self.callback = -1
        self.in_service = False
        self.own_exit = False

    def take(self, e: Event) -> None:
        """A row is a step of this way."""
        self.seen.add(e.kind)
        self.j.steps.append(Step(*e))

    def once(self, e: Event, fits: bool) -> None:
        """A row is a step when it fits and none of its kind was one."""
        if fits and e.kind not in self.seen:
            self.take(e)

    @property
    def known(self) -> bool:
        """Whether the hypervisor or the descriptor has the interrupt."""
        return bool(self.seen & {Kind.PID_POST, Kind.IRQ_REQUEST, Kind.UPCALL_MARK, Kind.PORT_RAISE, Kind.TIMER_FIRE})

    def is_vector(self, vector: int) -> bool:
        """Whether a guest vector carries this interrupt: its own, or the callback after its port was raised."""
        s = self.s
        if s.port >= 0:
            return s.is_hvm and Kind.PORT_RAISE in self.seen and vector >= 0
        return vector == s.vector and vector >= 0


def _follow(steps: list[Event], first: int, way: _Way) -> None:
    """Take every step of one interrupt, until its handler returns or the record ends."""
    s = way.s
    source, vcpu, serial = s.source, s.vcpu, way.j.serial
    way.take(steps[first])
    limit = steps[first].time_ps + LONGEST_PS
    handled = False
    for n in range(first + 1, len(steps)):
        e = steps[n]
        time, kind, pcpu, to, a, b = e
        if time > limit:
            return
        if kind == _HANDLE and a == source and b == serial:
            way.take(e)
            way.j.handled = len(way.j.steps) - 1
            way.pcpu = pcpu
            handled = True
        elif to == vcpu and vcpu >= 0 and kind in _BOUNDARY:
            _boundary(e, way)
        elif kind == _EXIT and pcpu == way.pcpu and _by_message(e, way):
            way.j.exits.append(time)
            way.once(e, True)
        elif handled:
            if to == vcpu and _closes(e, way):
                return
        elif kind in _PHYSICAL:
            _physical(e, way)
        elif to == vcpu:
            _virtual(e, way)


_HANDLE: Final = int(Kind.SOURCE_HANDLE)
_EXIT: Final = int(Kind.VM_EXIT)


def _drop_route(journey: Journey) -> None:
    """Drop another interrupt's translation: a posted one is translated at the moment it enters its descriptor."""
    posts = [step.time for step in journey.steps if step.kind == Kind.PID_POST]
    kept = []
    for n, step in enumerate(journey.steps):
        if step.kind == Kind.MSI_ROUTE and (posts or journey.handled >= 0) and step.time not in posts:
            journey.handled -= 1 if n < journey.handled else 0
        else:
            kept.append(step)
    journey.steps = kept


def _physical(e: Event, way: _Way) -> None:
    """The remapping unit and a physical local APIC."""
    s = way.s
    if e.kind == Kind.MSI_ROUTE:
        if s.is_posted and e.b < 0 and e.vcpu == s.vcpu and Kind.PID_POST not in way.seen:
            way.j.steps = [step for step in way.j.steps if step.kind != Kind.MSI_ROUTE]
            way.take(e)
        elif not s.is_posted:
            if e.b == s.host_at(e.time_ps) and e.kind not in way.seen:
                way.host_vector = e.b
                way.take(e)
    elif e.kind == Kind.LAPIC_ACCEPT:
        if s.is_posted:
            fits = Kind.PID_POST in way.seen and e.a in s.notifications and Kind.PID_PROCESS not in way.seen
        else:
            fits = e.a == way.host_vector and Kind.MSI_ROUTE in way.seen
        if fits and e.kind not in way.seen:
            way.pcpu = e.pcpu
            way.take(e)
    elif s.is_posted:
        way.once(e, Kind.LAPIC_ACCEPT in way.seen and e.pcpu == way.pcpu and e.a in s.notifications)
    elif s.host_vector >= 0:
        way.once(e, Kind.LAPIC_ACCEPT in way.seen and e.a == way.host_vector and e.pcpu == way.pcpu)


def _virtual(e: Event, way: _Way) -> None:
    """Rows of the interrupt's own vCPU before its handler runs."""
    s, kind = way.s, e.kind
    if kind == Kind.TIMER_FIRE:
        way.once(e, e.a == s.source)
    elif kind == Kind.PORT_RAISE or kind == Kind.PORT_CLEAR:
        way.once(e, e.a == s.port)
    elif kind == Kind.UPCALL_MARK:
        way.once(e, Kind.PORT_RAISE in way.seen and e.a == 0)
    elif kind == Kind.UPCALL_ENTER:
        way.once(e, Kind.PORT_RAISE in way.seen)
    elif kind == Kind.PID_PROCESS or kind == Kind.PIR_SYNC:
        if Kind.PID_POST in way.seen and not way.seen & {Kind.PID_PROCESS, Kind.PIR_SYNC}:
            way.take(e)
    elif kind in (Kind.SCHED_WAKE, Kind.SCHED_SWITCH, Kind.VCPU_MOVE):
        way.once(e, way.known and not way.in_service)
    elif kind in (Kind.PID_POST, Kind.IRQ_REQUEST, Kind.IRQ_WINDOW, Kind.IRQ_INJECT):
        waits = kind != Kind.IRQ_WINDOW or Kind.IRQ_INJECT not in way.seen
        way.once(e, way.is_vector(e.a) and not way.in_service and waits)
    elif kind == Kind.RVI_WRITE:
        way.once(e, way.is_vector(e.b) and not way.in_service)
    elif kind == Kind.IRQ_DELIVER:
        if way.is_vector(e.a):
            way.once(e, True)
            way.in_service, way.callback = True, e.a
    elif kind == Kind.CPU_OWNER and not s.is_hvm and s.port >= 0:
        way.once(e, e.a == Owner.DOM0 and Kind.UPCALL_MARK in way.seen)


def _boundary(e: Event, way: _Way) -> None:
    """An exit, entry or hypercall of the interrupt's vCPU."""
    if e.kind == Kind.VM_ENTRY:
        if e.a >= 0 and way.is_vector(e.a) and not way.in_service:
            way.take(e)
            way.in_service, way.callback = True, e.a
        elif way.own_exit:
            way.take(e)
        way.own_exit = False
    elif e.kind == Kind.HYPERCALL:
        if way.own_exit:
            way.take(e)
    elif _is_own(e, way):
        way.j.exits.append(e.time_ps)
        way.own_exit = True
        way.take(e)
    elif e.a != Exit.HLT and (Kind.MSI_ROUTE in way.seen or way.known):
        way.j.touching.append(e.time_ps)


def _is_own(e: Event, way: _Way) -> bool:
    """Tell whether an interrupt causes an exit: by its own host vector, its window, or its handler."""
    if e.a in (Exit.EXTERNAL_INTERRUPT, Exit.EXCEPTION_NMI):
        return _by_message(e, way)
    if e.a == Exit.HLT:
        return False
    if e.a == Exit.INTERRUPT_WINDOW:
        return Kind.IRQ_WINDOW in way.seen and not way.in_service
    return way.in_service


def _by_message(e: Event, way: _Way) -> bool:
    """Tell whether an exit takes this interrupt's host vector, or its notification, out of the local APIC."""
    s = way.s
    mine = e.b == way.host_vector if s.host_vector >= 0 else e.b in s.notifications
    outside = e.a in (Exit.EXTERNAL_INTERRUPT, Exit.EXCEPTION_NMI)
    return outside and mine and Kind.LAPIC_ACCEPT in way.seen and Kind.HOST_IRQ not in way.seen


def _closes(e: Event, way: _Way) -> bool:
    """Take the steps after the handler's first instruction. Returns: whether this was the last of them."""
    vector = way.callback if way.callback >= 0 else way.s.vector
    if e.kind == Kind.IRQ_EOI:
        way.once(e, e.a == vector)
    elif e.kind == Kind.IRQ_RETURN and (e.a == vector or not way.s.is_hvm):
        way.take(e)
        return True
    elif e.kind == Kind.UPCALL_ENTER or (e.kind == Kind.PORT_CLEAR and e.a != way.s.port):
        return True
    return e.kind == Kind.SOURCE_HANDLE


def choose(found: list[Journey], nth: int | None = None) -> int:
    """Return the place of the ``nth`` interrupt (its serial), or of one worth a look; -1 for none.

    Worth a look is the first complete one that another's exit touches, else one that finds its vCPU running, else one
    that at least reached its handler.
    """
    if nth is not None:
        return next((n for n, j in enumerate(found) if j.serial == nth), -1)
    whole = [n for n, j in enumerate(found) if j.handled >= 0 and j.handled + 1 < len(j.steps)]
    touched = [n for n in whole if found[n].touching]
    awake = [n for n in whole if all(step.kind != Kind.SCHED_WAKE for step in found[n].steps)]
    reached = [n for n, j in enumerate(found) if j.handled >= 0]
    return next(iter(touched or awake or whole or reached), -1 if not found else 0)
