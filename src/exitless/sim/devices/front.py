"""A paravirtual disk: a ring between a guest's driver and a backend in dom0, which owns the real queue."""

from mypy_extensions import i64


class Front:
    """One ring. Requests go round: ``requests`` put in by the guest, ``asked`` taken by the backend, then at the
    device; ``owed`` completed there, ``ready`` worked up by the backend, ``answers`` put in for the guest.

    ``queue`` is the real queue's number, ``source`` the guest's interrupt source, ``back_source`` the backend's.
    ``fresh`` requests have been put in since the backend was told, ``tells`` is 1 while the guest is to be told.
    """

    def __init__(self, number: i64, queue: i64, source: i64, back_source: i64) -> None:
        self.number: i64 = number
        self.queue: i64 = queue
        self.source: i64 = source
        self.back_source: i64 = back_source
        self.requests: i64 = 0
        self.asked: i64 = 0
        self.owed: i64 = 0
        self.ready: i64 = 0
        self.answers: i64 = 0
        self.fresh: i64 = 0
        self.tells: i64 = 0
        self.finished: i64 = 0


def guest_takes(front: Front) -> None:
    """The guest's handler takes the answers and puts a new request in for each."""
    front.fresh += front.answers
    front.requests += front.answers
    front.finished += front.answers
    front.answers = 0


def backend_takes(front: Front) -> None:
    """The backend's handler takes the requests."""
    front.asked += front.requests
    front.requests = 0


def backend_finishes(front: Front) -> None:
    """The backend has worked up one completion; with the last of a batch it puts the answers in."""
    front.owed -= 1
    front.ready += 1
    if front.owed == 0:
        front.answers += front.ready
        front.ready = 0
        front.tells = 1
