"""Faults put into a healthy recording on purpose: each kind changes its rows at one place and says where and when.

``put(rows, kind, n)`` gives the changed rows and the time of the fault for the ``n``-th place where it can be put, or
None when there is no such place. Nothing here knows how the judge works.
"""

from collections.abc import Callable

from exitless.vocab.kinds import Kind, RunState

Row = tuple[int, int, int, int, int, int]
Changed = tuple[list[Row], int, int]

VINTR = (0x64, 7)
FOREIGN = 0x76
UNTOLD = -1
LONG_PS = 50 * 10**9


def places(rows: list[Row], kind: int) -> list[int]:
    """Return where events of a kind stand, of known vCPUs and with vectors above those of exceptions."""
    return [
        n
        for n, r in enumerate(rows)
        if r[1] == kind and r[3] >= 0 and (r[4] > 31 or r[4] == UNTOLD or kind not in WITH_VECTOR)
    ]


WITH_VECTOR = (Kind.IRQ_REQUEST, Kind.IRQ_INJECT, Kind.IRQ_EOI)


def pick(found: list[int], share: float) -> int | None:
    """Choose one of some places."""
    return found[int(share * len(found))] if found else None


def dropped(kind: int) -> Callable[[list[Row], float], Changed | None]:
    """Leave one event out."""

    def fault(rows: list[Row], share: float) -> Changed | None:
        n = pick(places(rows, kind), share)
        return None if n is None else ([*rows[:n], *rows[n + 1 :]], rows[n][0], rows[n][3])

    return fault


def unasked(rows: list[Row], share: float) -> Changed | None:
    """Leave a request out that became an interrupt by itself, since no other merged with it."""
    waits: dict[tuple[int, int], list[int]] = {}
    found = []
    for n, r in enumerate(rows):
        if r[1] == Kind.IRQ_REQUEST and r[4] > 31:
            waits.setdefault((r[3], r[4]), []).append(n)
        elif r[1] == Kind.IRQ_INJECT:
            alone = waits.pop((r[3], r[4]), [])
            found += alone if len(alone) == 1 else []
    n = pick(sorted(found), share)
    return None if n is None else ([*rows[:n], *rows[n + 1 :]], rows[n][0], rows[n][3])


def doubled(kind: int) -> Callable[[list[Row], float], Changed | None]:
    """Let one event happen twice."""

    def fault(rows: list[Row], share: float) -> Changed | None:
        n = pick(places(rows, kind), share)
        return None if n is None else ([*rows[: n + 1], *rows[n:]], rows[n][0], rows[n][3])

    return fault


def other_vector(kind: int, vector: int) -> Callable[[list[Row], float], Changed | None]:
    """Let one event have another vector, which nobody asked for."""

    def fault(rows: list[Row], share: float) -> Changed | None:
        n = pick([n for n in places(rows, kind) if rows[n][4] >= 0], share)
        if n is None:
            return None
        time, _, pcpu, vcpu, _, b = rows[n]
        return [*rows[:n], (time, kind, pcpu, vcpu, vector, b), *rows[n + 1 :]], time, vcpu

    return fault


def other_vcpu(kind: int) -> Callable[[list[Row], float], Changed | None]:
    """Let one event happen to another vCPU of those that have such events."""

    def fault(rows: list[Row], share: float) -> Changed | None:
        found = places(rows, kind)
        vcpus = sorted({rows[n][3] for n in found})
        n = pick(found, share)
        if n is None or len(vcpus) < 2:
            return None
        time, _, pcpu, vcpu, a, b = rows[n]
        other = vcpus[vcpus.index(vcpu) - 1]
        return [*rows[:n], (time, kind, pcpu, other, a, b), *rows[n + 1 :]], time, vcpu

    return fault


def inverted(rows: list[Row], share: float) -> Changed | None:
    """Of two requests the lower is injected first: two injections in turn, both requested before, change vectors."""
    asked: dict[int, list[int]] = {}
    last: dict[int, tuple[int, list[int]]] = {}
    found = []
    for n, r in enumerate(rows):
        if r[1] == Kind.IRQ_REQUEST:
            asked.setdefault(r[3], []).append(r[4])
        elif r[1] == Kind.IRQ_INJECT and r[4] in asked.get(r[3], []):
            before = last.get(r[3])
            if before is not None and r[4] in before[1] and r[4] >> 4 < rows[before[0]][4] >> 4:
                found.append((before[0], n))
            asked[r[3]] = [v for v in asked[r[3]] if v != r[4]]
            last[r[3]] = n, list(asked[r[3]])
    at = pick(list(range(len(found))), share)
    if at is None:
        return None
    a, b = found[at]
    out = list(rows)
    out[a] = (*rows[a][:4], rows[b][4], rows[a][5])
    out[b] = (*rows[b][:4], rows[a][4], rows[b][5])
    return out, rows[a][0], rows[a][3]


def too_early(rows: list[Row], share: float) -> Changed | None:
    """Inject before the request: the injection moves to just before the event that accepted it."""
    found = []
    accepted: dict[tuple[int, int], int] = {}
    for n, r in enumerate(rows):
        if r[1] == Kind.IRQ_REQUEST:
            accepted.setdefault((r[3], r[4]), n)
        elif r[1] == Kind.IRQ_INJECT and (r[3], r[4]) in accepted:
            found.append((accepted.pop((r[3], r[4])), n))
    at = pick(list(range(len(found))), share)
    if at is None:
        return None
    first, n = found[at]
    moved = (rows[first][0], *rows[n][1:])
    return [*rows[:first], moved, *rows[first:n], *rows[n + 1 :]], moved[0], moved[3]


def never_woken(rows: list[Row], share: float) -> Changed | None:
    """A wake-up is lost: the vCPU that a request should have woken does nothing more."""
    state: dict[int, int] = {}
    halted: dict[int, bool] = {}
    found = []
    for n, r in enumerate(rows):
        if r[1] == Kind.VM_EXIT:
            halted[r[3]] = r[4] in (12, 0x78)
        elif r[1] == Kind.VM_ENTRY:
            halted[r[3]] = False
        elif r[1] == Kind.RUNSTATE:
            state[r[3]] = r[5]
        elif r[1] == Kind.IRQ_REQUEST and state.get(r[3]) == RunState.BLOCKED and halted.get(r[3]):
            found.append(n)
    n = pick([n for n in found if rows[-1][0] - rows[n][0] > LONG_PS], share)
    if n is None:
        return None
    vcpu = rows[n][3]
    own = (Kind.IRQ_REQUEST, Kind.GUEST_MSI)
    return rows[: n + 1] + [r for r in rows[n + 1 :] if r[3] != vcpu or r[1] in own], rows[n][0], vcpu


def runs_unwoken(rows: list[Row], share: float) -> Changed | None:
    """A vCPU that has given its pCPU away to sleep runs though nobody woke it."""
    asleep: dict[int, bool] = {}
    found = []
    for n in places(rows, Kind.RUNSTATE):
        _, _, _, vcpu, old, new = rows[n]
        if (old, new) == (RunState.BLOCKED, RunState.RUNNABLE) and asleep.get(vcpu):
            found.append(n)
        asleep[vcpu] = new == RunState.BLOCKED
    n = pick(found, share)
    if n is None:
        return None
    time, _, _, vcpu, _, _ = rows[n]
    first = n - 1 if rows[n - 1][1] == Kind.SCHED_WAKE and rows[n - 1][3] == vcpu else n
    return [*rows[:first], *rows[n + 1 :]], time, vcpu


def needless_window(rows: list[Row], share: float) -> Changed | None:
    """While the guest runs an interrupt window opens, though no entry since the last one found anything that waits.

    Where requests are recorded, the vCPU must have slept once before that window, so that none was armed for what came
    before them.
    """
    svm = any(r[1] == Kind.VM_EXIT and r[4] > 0x60 for r in rows)
    requested = any(r[1] == Kind.IRQ_REQUEST for r in rows)
    found = []
    waits: dict[int, set[int]] = {}
    armed: dict[int, bool] = {}
    slept: set[int] = set()
    for n, r in enumerate(rows):
        if r[1] == Kind.IRQ_REQUEST:
            for vcpu in [r[3]] if r[3] >= 0 else list(waits):
                waits.setdefault(vcpu, set()).add(r[4])
        elif r[1] in (Kind.IRQ_INJECT, Kind.IRQ_REINJECT):
            waits.setdefault(r[3], set()).discard(r[4])
        elif r[1] == Kind.IRQ_WINDOW:
            waits.setdefault(r[3], set()).add(r[4])
            armed[r[3]] = True
        elif r[1] == Kind.VM_ENTRY:
            armed[r[3]] = armed.get(r[3], True) or bool(waits.get(r[3]))
        elif r[1] == Kind.VM_EXIT and r[3] >= 0 and r[4] in VINTR:
            armed[r[3]] = requested and r[3] not in slept
        elif r[1] == Kind.VM_EXIT and not armed.get(r[3], True):
            found.append(n)
        if r[1] == Kind.RUNSTATE and r[5] == RunState.BLOCKED:
            slept.add(r[3])
    n = pick(found, share)
    if n is None:
        return None
    time, _, pcpu, vcpu, _, _ = rows[n]
    window = [
        (time, Kind.VM_EXIT, pcpu, vcpu, VINTR[0] if svm else VINTR[1], 0),
        (time, Kind.VM_ENTRY, pcpu, vcpu, -1, -1),
    ]
    return [*rows[:n], *window, *rows[n:]], time, vcpu


def swapped(rows: list[Row], share: float) -> Changed | None:
    """Two events of a vCPU that follow one another change places."""
    kinds = (Kind.IRQ_INJECT, Kind.VM_ENTRY, Kind.VM_EXIT, Kind.IRQ_EOI, Kind.IRQ_REQUEST)
    last: dict[int, int] = {}
    found = []
    for n, r in enumerate(rows):
        if r[1] in kinds and r[3] >= 0:
            if r[3] in last and rows[last[r[3]]][1] != r[1]:
                found.append((last[r[3]], n))
            last[r[3]] = n
    at = pick(list(range(len(found))), share)
    if at is None:
        return None
    a, b = found[at]
    out = list(rows)
    out[a], out[b] = (rows[a][0], *rows[b][1:]), (rows[b][0], *rows[a][1:])
    return out, rows[b][0], rows[a][3]


# What stands right before an EOI that exits: the exit, or what it says of the register.
WRITE = (Kind.VM_EXIT, Kind.APIC_ACCESS)


def masked(rows: list[Row], share: float) -> Changed | None:
    """A vector of a class that is in service is accepted and injected at once, before the one in service is ended."""
    found = [
        n
        for n in places(rows, Kind.IRQ_EOI)
        if n and rows[n - 1][1] in WRITE and rows[n - 1][3] == rows[n][3] and rows[n][4] > 0x30
    ]
    n = pick(found, share)
    if n is None:
        return None
    time, _, pcpu, vcpu, vector, _ = rows[n]
    lower = vector & 0xF0 if vector & 0xF else vector | 1
    early = [(time, Kind.IRQ_REQUEST, pcpu, vcpu, lower, -1), (time, Kind.IRQ_INJECT, pcpu, vcpu, lower, -1)]
    return [*rows[:n], *early, *rows[n:]], time, vcpu


Fault = Callable[[list[Row], float], Changed | None]

# Each fault, and the phases in which a judge may say that it went wrong; none for any.
FAULTS: dict[str, tuple[Fault, frozenset[str]]] = {
    "request left out": (unasked, frozenset({"inject", "window"})),
    "request of another vector": (other_vector(Kind.IRQ_REQUEST, FOREIGN), frozenset({"inject", "window", "wake-up"})),
    "request at another vCPU": (other_vcpu(Kind.IRQ_REQUEST), frozenset({"inject", "window", "wake-up"})),
    "injection left out": (dropped(Kind.IRQ_INJECT), frozenset({"inject", "EOI"})),
    "injection doubled": (doubled(Kind.IRQ_INJECT), frozenset({"inject"})),
    "injection of another vector": (other_vector(Kind.IRQ_INJECT, FOREIGN), frozenset({"inject", "EOI"})),
    "injection of a vector below 16": (other_vector(Kind.IRQ_INJECT, 9), frozenset({"inject", "EOI"})),
    "injection into another vCPU": (other_vcpu(Kind.IRQ_INJECT), frozenset({"inject", "EOI"})),
    "injection before its request": (too_early, frozenset({"inject"})),
    "injection while masked": (masked, frozenset({"inject"})),
    "lower request injected first": (inverted, frozenset({"inject", "EOI"})),
    "end of interrupt left out": (dropped(Kind.IRQ_EOI), frozenset({"EOI"})),
    "end of interrupt doubled": (doubled(Kind.IRQ_EOI), frozenset({"EOI"})),
    "end of another vector": (other_vector(Kind.IRQ_EOI, FOREIGN), frozenset({"EOI"})),
    "end by another vCPU": (other_vcpu(Kind.IRQ_EOI), frozenset({"EOI"})),
    "window for nothing": (needless_window, frozenset({"window"})),
    "wake-up lost": (never_woken, frozenset({"wake-up"})),
    "run without wake-up": (runs_unwoken, frozenset({"wake-up"})),
    "entry left out": (dropped(Kind.VM_ENTRY), frozenset({"deliver"})),
    "entry doubled": (doubled(Kind.VM_ENTRY), frozenset({"deliver"})),
    "exit left out": (dropped(Kind.VM_EXIT), frozenset({"deliver", "inject", "EOI"})),
    "exit doubled": (doubled(Kind.VM_EXIT), frozenset({"deliver"})),
    "two events swapped": (swapped, frozenset()),
}
