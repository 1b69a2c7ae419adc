"""What the events so far say about one vCPU."""

from collections import deque
from typing import Any, Final

from exitless.judge.bounds import Bounds

UNKNOWN: Final = -1
NONE: Final = -1
UNTOLD: Final = -2

Row = tuple[int, int, int, int, int, int]
LAST_EVENTS: Final = 10


class Mode:
    """Who runs on the vCPU's behalf."""

    UNKNOWN: Final = -1
    GUEST: Final = 0
    HYPERVISOR: Final = 1


class Window:
    """Whether interrupt-window exiting is armed."""

    CLOSED: Final = 0
    PERHAPS: Final = 1
    ARMED: Final = 2


WINDOW_NAMES: Final = ("closed", "perhaps armed", "armed")


MODE_NAMES: Final = {Mode.UNKNOWN: "unknown", Mode.GUEST: "guest", Mode.HYPERVISOR: "hypervisor"}
RUNSTATE_NAMES: Final = {UNKNOWN: "unknown", 0: "running", 1: "runnable", 2: "blocked", 3: "offline"}


class Vcpu:
    """One vCPU.

    Shapes: ``fresh`` are requests that another CPU made since the last exit, which the hypervisor need not have seen;
    ``told`` and ``asked`` the vectors injected and requested since all was unknown (``blank``). ``field`` is the vector
    in the entry-injection field, ``given`` the one that the last entry injected, ``last`` the one that was in it last.
    ``runs`` is the runstate and ``pcpu`` where; ``owed`` is the request that must wake it, ``slept`` the moment it went
    to sleep over a request. ``overtaken`` is a vector in service over which a masked one was injected, with the number
    of that finding. ``nmis`` are entries that may inject an NMI, of which no tracer tells; ``resets`` tells that an
    INIT may be on its way, ``quiet`` that the last entry injected nothing. ``entered`` is the pCPU of the last entry;
    ``wrote`` a write of the EOI register since the exit, ``ending`` whether an end was told since.
    """

    def __init__(self, place: int) -> None:
        self.place = place
        self.apic = Bounds()
        self.fresh: set[int] = set()
        self.told: set[int] = set()
        self.asked: set[int] = set()
        self.blank = True
        self.mode = Mode.UNKNOWN
        self.reason = UNKNOWN
        self.ends = 0
        self.carrier: Row | None = None
        self.field = UNTOLD
        self.given = UNTOLD
        self.last = UNTOLD
        self.entered = UNKNOWN
        self.wrote: Row | None = None
        self.ending = False
        self.closed = False
        self.window = Window.PERHAPS
        self.open = False
        self.dirty = True
        self.possible = True
        self.runs = UNKNOWN
        self.pcpu = UNKNOWN
        self.woken = False
        self.overtaken = (NONE, NONE)
        self.nmis = 0
        self.resets = False
        self.quiet = False
        self.owed: Row | None = None
        self.slept: Row | None = None
        self.recent: deque[Row] = deque(maxlen=LAST_EVENTS)

    def state(self) -> dict[str, Any]:
        """Write down what is known: vectors as text, what may be beside what is sure."""
        apic = self.apic
        shown = f"0x{self.field:02x}" if self.field >= 0 else "none" if self.field == NONE else "unknown"
        return {
            "irr": apic.irr(),
            "isr": apic.isr(),
            "ppr": f"at least 0x{apic.priority():02x}",
            "injected": shown,
            "window": WINDOW_NAMES[self.window],
            "mode": MODE_NAMES[self.mode],
            "runstate": RUNSTATE_NAMES[self.runs],
            "pcpu": self.pcpu if self.pcpu >= 0 else None,
        }

    def forget_apic(self) -> None:
        """Nothing is known any more of its local APIC and of what is to be injected."""
        self.apic.forget()
        self.fresh.clear()
        self.told.clear()
        self.asked.clear()
        self.blank = True
        self.field = self.given = self.last = UNTOLD
        self.dirty = True
        self.overtaken = (NONE, NONE)

    def forget(self) -> None:
        """Events were lost: nothing is known any more."""
        self.forget_apic()
        self.mode = Mode.UNKNOWN
        self.carrier = self.wrote = None
        self.closed = self.ending = False
        self.entered = UNKNOWN
        self.window = Window.PERHAPS
        self.open = False
        self.runs = self.pcpu = UNKNOWN
        self.woken = False
        self.owed = self.slept = None
