"""A 10 GbE network controller with MSI-X queues, moderated like Intel's 82599.

Line arithmetic is exact: a frame occupies its length (with FCS, at least 64 bytes) plus 8 bytes of preamble and
12 of gap. A queue that asserts masks itself until the driver has polled its ring empty, and asserts again no
sooner than its throttle interval after the last time. Cites: IXGBE eitr, IXGBE eiam
"""

from mypy_extensions import i64

from exitless.sim.chance import Stream


class NicQueue:
    """One receive queue of controller ``nic`` and its MSI-X vector. ``number`` counts the queues of all controllers;
    ``ring`` frames wait; ``cause`` is 1 while an assertion is owed.
    """

    def __init__(self, number: i64, nic: i64, source: i64) -> None:
        self.number: i64 = number
        self.nic: i64 = nic
        self.source: i64 = source
        self.ring: i64 = 0
        self.masked: i64 = 0
        self.cause: i64 = 0
        self.quiet_until: i64 = 0
        self.waiting: i64 = 0


class Nic:
    """One controller and what arrives on its wire.

    Units: ``wire_ps`` a frame's time on the wire, ``gap_ps`` the mean pause between trains, ``train`` the mean number
    of frames that come back to back, ``throttle_ps`` the moderation interval, ``descriptors`` a ring's length.
    """

    def __init__(self, number: i64, seed: i64, stream: i64) -> None:
        self.number: i64 = number
        self.chance: Stream = Stream(seed, stream)
        self.wire_ps: i64 = 0
        self.gap_ps: i64 = 0
        self.train: i64 = 1
        self.left: i64 = 0
        self.throttle_ps: i64 = 0
        self.descriptors: i64 = 512
        self.queues: list[NicQueue] = []
        self.frames: i64 = 0
        self.dropped: i64 = 0


def wire_time_ps(frame_bytes: i64, rate_bps: i64) -> i64:
    """Return the exact time of a frame on the wire. Errors: none; a rate that is no divisor rounds down to whole ps."""
    length: i64 = frame_bytes
    if length < 64:
        length = 64
    return (length + 20) * 8 * 1_000_000_000_000 // rate_bps


def mean_gap_ps(wire_ps: i64, train: i64, load_permille: i64) -> i64:
    """Return the mean pause after a train that makes the line ``load_permille`` thousandths busy."""
    return wire_ps * train * (1000 - load_permille) // load_permille


def next_frame_ps(nic: Nic) -> i64:
    """Draw the time from one frame's arrival to the next one's."""
    if nic.left > 0:
        nic.left -= 1
        return nic.wire_ps
    if nic.train > 1:
        nic.left = nic.chance.below(2 * nic.train - 1)
    if nic.gap_ps == 0:
        return nic.wire_ps
    return nic.wire_ps + nic.chance.exponential(nic.gap_ps)


def arrive(nic: Nic) -> i64:
    """A frame has arrived: it goes to a queue by hash. Returns: the queue's number, or -1 when its ring is full."""
    nic.frames += 1
    q: i64 = 0
    if len(nic.queues) > 1:
        q = nic.chance.below(len(nic.queues))
    queue: NicQueue = nic.queues[q]
    if queue.ring >= nic.descriptors:
        nic.dropped += 1
        return -1
    queue.ring += 1
    queue.cause = 1
    return q
