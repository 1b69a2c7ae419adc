"""The table of a domain's event channels: what each port is, and which vCPU it notifies. Xen's event_channel.c."""

from typing import Final

from librt.vecs import vec
from mypy_extensions import i64

from exitless.bits.words import zeros

LIMIT_32: Final = 1024
LIMIT_64: Final = 4096
LIMIT_FIFO: Final = 131072
VIRQS: Final = 24


class Port:
    """The state of a port, with Xen's numbers. Cites: Xen sched.h evtchn"""

    FREE: Final = 0
    RESERVED: Final = 1
    UNBOUND: Final = 2
    INTERDOMAIN: Final = 3
    PIRQ: Final = 4
    VIRQ: Final = 5
    IPI: Final = 6


class Errno:
    """Error numbers that hypercalls on event channels answer, without their sign. Cites: Xen event_channel.c errors"""

    NONE: Final = 0
    NOT_PERMITTED: Final = 1
    NO_ENTRY: Final = 2
    TRY_AGAIN: Final = 11
    ACCESS: Final = 13
    BUSY: Final = 16
    EXISTS: Final = 17
    INVALID: Final = 22
    NO_SPACE: Final = 28
    NOT_IMPLEMENTED: Final = 38


class EventChannels:
    """The event channels of one domain, one row a port; port 0 is reserved and is never a channel.

    Shapes: columns of ``limit`` numbers. ``state`` is one of Port. ``notify_vcpu`` is an index inside the domain.
    ``pirq`` and ``virq`` are -1 where the port is not of that type. ``remote_domain`` and ``remote`` name the
    peer's port, -1 for none. ``consumer`` is 0 where the guest consumes the events, else a handler inside Xen.
    Cites: Xen sched.h evtchn
    """

    def __init__(self, limit: i64) -> None:
        self.limit: i64 = limit
        self.state: vec[i64] = zeros(limit)
        self.notify_vcpu: vec[i64] = zeros(limit)
        self.consumer: vec[i64] = zeros(limit)
        self.pirq: vec[i64] = zeros(limit)
        self.virq: vec[i64] = zeros(limit)
        self.remote_domain: vec[i64] = zeros(limit)
        self.remote: vec[i64] = zeros(limit)
        port: i64 = 0
        while port < limit:
            _forget(self, port)
            port += 1
        self.state[0] = Port.RESERVED


def _forget(ch: EventChannels, port: i64) -> None:
    ch.state[port] = Port.FREE
    ch.notify_vcpu[port] = 0
    ch.consumer[port] = 0
    ch.pirq[port] = -1
    ch.virq[port] = -1
    ch.remote_domain[port] = -1
    ch.remote[port] = -1


def port_limit(fifo: i64, wide: i64) -> i64:
    """Ask how many ports the domain's ABI has: 2-level has as many as a guest word's bits squared.

    Cites: Xen event_channel.c max_evtchns
    """
    if fifo != 0:
        return LIMIT_FIFO
    if wide != 0:
        return LIMIT_64
    return LIMIT_32


def is_usable(ch: EventChannels, port: i64) -> bool:
    """Tell whether pending and mask of ``port`` mean anything: no consumer inside Xen, and more than reserved.

    Cites: Xen event.h evtchn_usable
    """
    return 0 <= port < ch.limit and ch.consumer[port] == 0 and ch.state[port] > Port.RESERVED


def is_virq_per_vcpu(virq: i64) -> bool:
    """Tell whether each vCPU has its own of this VIRQ: timer, debug, and the two of profiling.

    Cites: Xen event_channel.c get_virq_type
    """
    return virq == 0 or virq == 1 or virq == 7 or virq == 13


def lowest_free(ch: EventChannels) -> i64:
    """Ask for the port that an allocation takes: the lowest free one. Returns: -1 when there is none.

    Cites: Xen event_channel.c get_free_port
    """
    port: i64 = 1
    while port < ch.limit:
        if ch.state[port] == Port.FREE:
            return port
        port += 1
    return -1


def _check_free(ch: EventChannels, port: i64) -> i64:
    if port < 1 or port >= ch.limit or ch.state[port] != Port.FREE:
        return Errno.INVALID
    return Errno.NONE


def _is_bound(ch: EventChannels, column: vec[i64], value: i64, vcpu: i64) -> bool:
    """Tell whether another port holds ``value``; with ``vcpu`` not -1, one that notifies that vCPU."""
    port: i64 = 1
    while port < ch.limit:
        if column[port] == value and (vcpu < 0 or ch.notify_vcpu[port] == vcpu):
            return True
        port += 1
    return False


def bind_unbound(ch: EventChannels, port: i64, remote_domain: i64) -> i64:
    """A free port is kept for ``remote_domain`` to bind to; until then a send on it is dropped.

    Returns: Errno. Changes: the row. Cites: Xen event_channel.c evtchn_alloc_unbound
    """
    error: i64 = _check_free(ch, port)
    if error == Errno.NONE:
        ch.state[port] = Port.UNBOUND
        ch.remote_domain[port] = remote_domain
    return error


def bind_interdomain(ch: EventChannels, port: i64, remote_domain: i64, remote: i64) -> i64:
    """A free port becomes one end of a channel to port ``remote`` of ``remote_domain``; it notifies vCPU 0.

    The end that asked is also set pending at once, which is the caller's to do: a first event without a cause is legal.

    Returns: Errno. Changes: the row. Cites: Xen event_channel.c evtchn_bind_interdomain
    """
    error: i64 = _check_free(ch, port)
    if error == Errno.NONE:
        ch.state[port] = Port.INTERDOMAIN
        ch.remote_domain[port] = remote_domain
        ch.remote[port] = remote
    return error


def bind_virq(ch: EventChannels, port: i64, virq: i64, vcpu: i64) -> i64:
    """A free port is bound to a VIRQ; one that is not per vCPU can be bound on vCPU 0 only.

    Returns: Errno: INVALID or EXISTS. Changes: the row. Cites: Xen event_channel.c evtchn_bind_virq
    """
    if virq < 0 or virq >= VIRQS:
        return Errno.INVALID
    each: bool = is_virq_per_vcpu(virq)
    if not each and vcpu != 0:
        return Errno.INVALID
    owner: i64 = -1
    if each:
        owner = vcpu
    if _is_bound(ch, ch.virq, virq, owner):
        return Errno.EXISTS
    error: i64 = _check_free(ch, port)
    if error == Errno.NONE:
        ch.state[port] = Port.VIRQ
        ch.virq[port] = virq
        ch.notify_vcpu[port] = vcpu
    return error


def bind_pirq(ch: EventChannels, port: i64, pirq: i64, vcpu: i64) -> i64:
    """A free port is bound to a PIRQ. Xen binds it to vCPU 0; another ``vcpu`` stands for the re-binding that follows.

    Returns: Errno: INVALID or EXISTS. Changes: the row. Cites: Xen event_channel.c evtchn_bind_pirq
    """
    if pirq < 0:
        return Errno.INVALID
    if _is_bound(ch, ch.pirq, pirq, -1):
        return Errno.EXISTS
    error: i64 = _check_free(ch, port)
    if error == Errno.NONE:
        ch.state[port] = Port.PIRQ
        ch.pirq[port] = pirq
        ch.notify_vcpu[port] = vcpu
    return error


def bind_ipi(ch: EventChannels, port: i64, vcpu: i64) -> i64:
    """A free port becomes an IPI to ``vcpu``, for good.

    Returns: Errno. Changes: the row. Cites: Xen event_channel.c evtchn_bind_ipi
    """
    error: i64 = _check_free(ch, port)
    if error == Errno.NONE:
        ch.state[port] = Port.IPI
        ch.notify_vcpu[port] = vcpu
    return error


def bind_vcpu(ch: EventChannels, port: i64, vcpu: i64) -> i64:
    """The guest wants ``port`` to notify ``vcpu``; an event already pending stays with the vCPU it was raised for.

    For a PIRQ the caller also asks for a new physical affinity. Whether the vCPU exists (NO_ENTRY) is the caller's
    to know.

    Returns: Errno: INVALID for an IPI, a VIRQ of one vCPU, or a port that is no channel of the guest.
    Changes: the notified vCPU
    Cites: Xen event_channel.c evtchn_bind_vcpu
    """
    if not is_usable(ch, port) or ch.state[port] == Port.IPI:
        return Errno.INVALID
    if ch.state[port] == Port.VIRQ and is_virq_per_vcpu(ch.virq[port]):
        return Errno.INVALID
    ch.notify_vcpu[port] = vcpu
    return Errno.NONE


def can_send(ch: EventChannels, port: i64) -> i64:
    """The guest sends on ``port``: only interdomain, IPI and unbound ports may; an unbound one drops the event.

    Returns: Errno. Cites: Xen event_channel.c evtchn_send
    """
    if not is_usable(ch, port) or ch.state[port] == Port.PIRQ or ch.state[port] == Port.VIRQ:
        return Errno.INVALID
    return Errno.NONE


def free_port(ch: EventChannels, port: i64) -> None:
    """A channel is freed: its row is emptied. Its pending bit is cleared too (the caller's), its mask bit never.

    Changes: the row. Cites: Xen event_channel.c free_evtchn
    """
    _forget(ch, port)
