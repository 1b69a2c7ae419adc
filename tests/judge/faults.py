"""Faults put into a healthy recording on purpose: each kind changes its rows at one place and says where and when.

``put(rows, kind, n)`` gives the changed rows and the time of the fault for the ``n``-th place where it can be put, or
None when there is no such place. Nothing here knows how the judge works.
"""

from collections.abc import Callable

from exitless.vocab.kinds import Kind, RunState

Row = tuple[int, int, int, int, int, int]
Changed = tuple[list[Row], int, int]

VINTR = (0x64, 7)
FOREIGN = 0x71


def places(rows: list[Row], kind: int) -> list[int]:
    """Return where events of a kind stand, of known vCPUs and with vectors above those of exceptions."""
    return [n for n, r in enumerate(rows) if r[1] == kind and r[3] >= 0 and (r[4] > 31 or kind not in WITH_VECTOR)]


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


def doubled(kind: int) -> Callable[[list[Row], float], Changed | None]:
    """Let one event happen twice."""

    def fault(rows: list[Row], share: float) -> Changed | None:
        n = pick(places(rows, kind), share)
        return None if n is None else ([*rows[: n + 1], *rows[n:]], rows[n][0], rows[n][3])

    return fault


def other_vector(rows: list[Row], share: float) -> Changed | None:
    """Inject a vector nobody asked for."""
    n = pick(places(rows, Kind.IRQ_INJECT), share)
    if n is None:
        return None
    time, kind, pcpu, vcpu, _, b = rows[n]
    return [*rows[:n], (time, kind, pcpu, vcpu, FOREIGN, b), *rows[n + 1 :]], time, vcpu


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
    n = pick(found[: len(found) * 9 // 10], share)
    if n is None:
        return None
    vcpu = rows[n][3]
    own = (Kind.IRQ_REQUEST, Kind.GUEST_MSI)
    return rows[: n + 1] + [r for r in rows[n + 1 :] if r[3] != vcpu or r[1] in own], rows[n][0], vcpu


def runs_unwoken(rows: list[Row], share: float) -> Changed | None:
    """A blocked vCPU runs though nobody woke it."""
    found = [n for n in places(rows, Kind.RUNSTATE) if rows[n][4:6] == (RunState.BLOCKED, RunState.RUNNABLE)]
    n = pick(found, share)
    if n is None:
        return None
    time, _, _, vcpu, _, _ = rows[n]
    first = n - 1 if rows[n - 1][1] == Kind.SCHED_WAKE and rows[n - 1][3] == vcpu else n
    return [*rows[:first], *rows[n + 1 :]], time, vcpu


def needless_window(rows: list[Row], share: float) -> Changed | None:
    """While the guest runs an interrupt window opens that was armed for nothing."""
    svm = any(r[1] == Kind.VM_EXIT and r[4] > 0x60 for r in rows)
    found = [n for n in places(rows, Kind.VM_EXIT) if rows[n][4] not in VINTR]
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
    early = [
        (time, Kind.IRQ_REQUEST, pcpu, vcpu, vector & 0xF0, -1),
        (time, Kind.IRQ_INJECT, pcpu, vcpu, vector & 0xF0, -1),
    ]
    return [*rows[:n], *early, *rows[n:]], time, vcpu


FAULTS: dict[str, Callable[[list[Row], float], Changed | None]] = {
    "accept left out": dropped(Kind.IRQ_REQUEST),
    "injection left out": dropped(Kind.IRQ_INJECT),
    "injection doubled": doubled(Kind.IRQ_INJECT),
    "injection of another vector": other_vector,
    "injection before its request": too_early,
    "injection while masked": masked,
    "end of interrupt left out": dropped(Kind.IRQ_EOI),
    "end of interrupt doubled": doubled(Kind.IRQ_EOI),
    "window for nothing": needless_window,
    "wake-up lost": never_woken,
    "run without wake-up": runs_unwoken,
    "entry left out": dropped(Kind.VM_ENTRY),
    "entry doubled": doubled(Kind.VM_ENTRY),
    "exit left out": dropped(Kind.VM_EXIT),
    "two events swapped": swapped,
}
