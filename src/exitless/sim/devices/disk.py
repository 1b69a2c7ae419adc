"""A SAS controller with one MSI-X vector a queue.

Requests are in flight, complete, and interrupt once for what is done.
"""

from mypy_extensions import i64

from exitless.sim.chance import Stream


class DiskQueue:
    """One completion queue. ``flying`` requests are at the device, ``done`` wait for the driver. ``front`` is the ring
    of the guest's that it serves, -1 for none.

    Units: ``service_ps`` is the mean time the device takes for a request (exponentially distributed).
    """

    def __init__(self, number: i64, source: i64, service_ps: i64, seed: i64, stream: i64) -> None:
        self.number: i64 = number
        self.source: i64 = source
        self.service_ps: i64 = service_ps
        self.chance: Stream = Stream(seed, stream)
        self.flying: i64 = 0
        self.done: i64 = 0
        self.front: i64 = -1


def submit(queue: DiskQueue) -> i64:
    """A request goes to the device. Returns: after how many ps it completes."""
    queue.flying += 1
    return queue.chance.exponential(queue.service_ps)


def complete(queue: DiskQueue) -> None:
    """The device has finished one request."""
    queue.flying -= 1
    queue.done += 1
