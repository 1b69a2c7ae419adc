"""What a replayed vCPU is given, and how far it has come with it."""

from mypy_extensions import i64

from exitless.vocab.kinds import RunState


class Item:
    """One thing that is given: when, what, its two arguments, and whether the guest had interrupts off then.

    ``dark`` is 2 when the guest was seen with interrupts off at that place before, 1 when it was seen so near by.
    ``again`` is 1 for a hypercall that sets a timer which becomes the earliest of the pCPU.

    Units: ``time`` in ps.
    """

    def __init__(self, time: i64, what: i64, a: i64, b: i64, dark: i64, again: i64) -> None:
        self.time: i64 = time
        self.what: i64 = what
        self.a: i64 = a
        self.b: i64 = b
        self.dark: i64 = dark
        self.again: i64 = again


class Lane:
    """What a replayed vCPU needs beside its :class:`~exitless.sim.state.Vcpu`.

    ``own`` are the exits it will make, ``at`` the next one, ``looked`` the next EOI or HLT. ``hits`` are the host
    interrupts that will find it running, ``hit`` the next one. ``due`` are guest vectors
    that the next timer interrupt of its pCPU raises. ``ended`` counts EOIs that were given before the handler began
    that they end, ``owed`` handlers that ended before their EOI was given. ``away`` is 1 while others have the pCPU,
    ``leaves_as`` the runstate it then has. ``slice_first`` says whether the scheduler's slice timer will be the
    earliest of the pCPU; ``slice_set`` that it has just been set.
    """

    def __init__(self) -> None:
        self.own: list[Item] = []
        self.at: i64 = 0
        self.looked: i64 = 0
        self.hits: list[Item] = []
        self.hit: i64 = 0
        self.due: list[i64] = []
        self.ended: i64 = 0
        self.owed: i64 = 0
        self.away: i64 = 0
        self.leaves_as: i64 = RunState.RUNNABLE
        self.slice_first: i64 = 0
        self.slice_set: i64 = 0
