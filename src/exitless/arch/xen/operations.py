"""EVTCHNOP: the hypercalls of event channels, with their errors and what each obliges Xen to do. Xen's event_channel.c.

A hypercall answers a port or 0, or an error as a negative number (:class:`~exitless.arch.xen.ports.Errno`). What must
still happen to pending bits, physical interrupts and other vCPUs is in the answer or the docstring: the caller does it.
"""

from typing import Final

from mypy_extensions import i64

from exitless.arch.xen.fifo import EventArray, is_busy
from exitless.arch.xen.ports import (
    VIRQS,
    Errno,
    EventChannels,
    Port,
    bind_interdomain,
    bind_ipi,
    bind_pirq,
    bind_unbound,
    bind_virq,
    can_send,
    free_port,
    is_usable,
    is_virq_per_vcpu,
)

VIRQ_ARGO: Final = 11


class Send:
    """Where an event that a guest sends goes. Cites: Xen event_channel.c evtchn_send"""

    NOWHERE: Final = 0
    PEER: Final = 1
    SELF: Final = 2


class Close:
    """What else closing a port ends. Cites: Xen event_channel.c evtchn_close"""

    NOTHING: Final = 0
    PEER: Final = 1
    PIRQ: Final = 2
    VIRQ: Final = 3


def find_port(ch: EventChannels, fifo: EventArray, uses_fifo: i64, most: i64) -> i64:
    """Ask for the port an allocation takes: the lowest free one up to ``most`` that no queue still holds.

    ``most`` is the toolstack's max_evtchn_port. Returns: the port, or minus NO_SPACE.
    Cites: Xen event_channel.c get_free_port
    """
    port: i64 = 1
    while port < ch.limit and port <= most:
        if ch.state[port] == Port.FREE and not (uses_fifo != 0 and is_busy(fifo, port)):
            return port
        port += 1
    return -Errno.NO_SPACE


def virq_handler_error(virq: i64, is_handler: i64) -> i64:
    """Ask whether a domain may bind a VIRQ: a global one only where it is the domain that handles it.

    Returns: Errno: BUSY since Xen eba922abdb; before, the bind succeeded and never fired.
    Cites: Xen event_channel.c evtchn_bind_virq
    """
    if virq >= 0 and not is_virq_per_vcpu(virq) and virq != VIRQ_ARGO and is_handler == 0:
        return Errno.BUSY
    return Errno.NONE


def alloc_unbound(ch: EventChannels, port: i64, remote_domain: i64, is_dying: i64) -> i64:
    """EVTCHNOP_alloc_unbound on the port that was found. Returns: the port; INVALID for a dying domain.

    Changes: the row. Cites: Xen event_channel.c evtchn_alloc_unbound
    """
    if is_dying != 0:
        return -Errno.INVALID
    return _answer(port, bind_unbound(ch, port, remote_domain))


def connect(
    local: EventChannels, local_domain: i64, port: i64, remote: EventChannels, remote_domain: i64, remote_port: i64
) -> i64:
    """EVTCHNOP_bind_interdomain: the peer's port must be unbound and kept for the caller; both become one channel.

    Changes: both rows
    Returns: the local port, which the caller must set pending at once, whatever is on the other side; or INVALID.
    Cites: Xen event_channel.c evtchn_bind_interdomain
    """
    if remote_port < 1 or remote_port >= remote.limit or remote.state[remote_port] != Port.UNBOUND:
        return -Errno.INVALID
    if remote.remote_domain[remote_port] != local_domain:
        return -Errno.INVALID
    error: i64 = bind_interdomain(local, port, remote_domain, remote_port)
    if error != Errno.NONE:
        return -error
    remote.state[remote_port] = Port.INTERDOMAIN
    remote.remote_domain[remote_port] = local_domain
    remote.remote[remote_port] = port
    return port


def open_virq(ch: EventChannels, port: i64, virq: i64, vcpu: i64, vcpus: i64, is_handler: i64) -> i64:
    """EVTCHNOP_bind_virq. ``port`` is where :func:`find_port` found room.

    Returns: the port, or minus INVALID, NO_ENTRY, BUSY or EXISTS. Changes: the row.
    Cites: Xen event_channel.c evtchn_bind_virq
    """
    if virq < 0 or virq >= VIRQS or (not is_virq_per_vcpu(virq) and vcpu != 0):
        return -Errno.INVALID
    if vcpu < 0 or vcpu >= vcpus:
        return -Errno.NO_ENTRY
    error: i64 = virq_handler_error(virq, is_handler)
    if error != Errno.NONE:
        return -error
    return _answer(port, bind_virq(ch, port, virq, vcpu))


def open_ipi(ch: EventChannels, port: i64, vcpu: i64, vcpus: i64) -> i64:
    """EVTCHNOP_bind_ipi. Returns: the port, or minus NO_ENTRY. Changes: the row.

    Cites: Xen event_channel.c evtchn_bind_ipi
    """
    if vcpu < 0 or vcpu >= vcpus:
        return -Errno.NO_ENTRY
    return _answer(port, bind_ipi(ch, port, vcpu))


def open_pirq(ch: EventChannels, port: i64, pirq: i64, pirqs: i64, is_pv: i64, has_access: i64) -> i64:
    """EVTCHNOP_bind_pirq: a PV guest needs access to the interrupt and binds it here; an HVM guest only notes its port.

    A PIRQ that belongs to a physical interrupt is unmasked by the caller (Xen 84d6add559), for HVM guests as well.

    Changes: the row
    Returns: the port, or minus INVALID, NOT_PERMITTED or EXISTS.
    Cites: Xen event_channel.c evtchn_bind_pirq
    """
    if pirq < 0 or pirq >= pirqs:
        return -Errno.INVALID
    if is_pv != 0 and has_access == 0:
        return -Errno.NOT_PERMITTED
    return _answer(port, bind_pirq(ch, port, pirq, 0))


def _answer(port: i64, error: i64) -> i64:
    return port if error == Errno.NONE else -error


def close(ch: EventChannels, port: i64, guest: i64) -> i64:
    """Look at a port that is to be closed; ``guest`` 1 when the guest asks, who may not close what Xen consumes.

    Returns: Close, or minus INVALID for a free or reserved port or one with a consumer inside Xen.
    Cites: Xen event_channel.c evtchn_close
    """
    if port < 1 or port >= ch.limit or ch.state[port] == Port.FREE or ch.state[port] == Port.RESERVED:
        return -Errno.INVALID
    if guest != 0 and ch.consumer[port] != 0:
        return -Errno.INVALID
    state: i64 = ch.state[port]
    if state == Port.INTERDOMAIN:
        return Close.PEER
    if state == Port.PIRQ:
        return Close.PIRQ
    if state == Port.VIRQ:
        return Close.VIRQ
    return Close.NOTHING


def close_pair(local: EventChannels, local_domain: i64, port: i64, remote: EventChannels) -> i64:
    """One end of an interdomain channel closes: the other becomes unbound, kept for the domain that closed.

    Changes: both rows
    Returns: the peer's port. The caller clears the closed port's pending bit; its mask bit stays as it is.
    Cites: Xen event_channel.c evtchn_close
    """
    peer: i64 = local.remote[port]
    remote.state[peer] = Port.UNBOUND
    remote.remote_domain[peer] = local_domain
    remote.remote[peer] = -1
    free_port(local, port)
    return peer


def send(ch: EventChannels, port: i64) -> i64:
    """EVTCHNOP_send: an interdomain port raises its peer (or calls the peer's consumer inside Xen), an IPI itself.

    Returns: Send; NOWHERE for an unbound port, where the event is lost without an error; or minus INVALID.
    Cites: Xen event_channel.c evtchn_send
    """
    error: i64 = can_send(ch, port)
    if error != Errno.NONE:
        return -error
    if ch.state[port] == Port.INTERDOMAIN:
        return Send.PEER
    if ch.state[port] == Port.IPI:
        return Send.SELF
    return Send.NOWHERE


def status(ch: EventChannels, port: i64) -> i64:
    """EVTCHNOP_status. Returns: 0 closed, 1 unbound, 2 interdomain, 3 PIRQ, 4 VIRQ, 5 IPI; or minus INVALID.

    Cites: Xen event_channel.c evtchn_status
    """
    if port < 0 or port >= ch.limit:
        return -Errno.INVALID
    state: i64 = ch.state[port]
    if state == Port.FREE or state == Port.RESERVED:
        return 0
    return state - 1


def unmask_error(ch: EventChannels, port: i64) -> i64:
    """EVTCHNOP_unmask: only the number of the port is checked, so that unmasking a free port is no error.

    Returns: 0 or minus INVALID. Cites: Xen event_channel.c evtchn_unmask
    """
    if port < 0 or port >= ch.limit:
        return -Errno.INVALID
    return Errno.NONE


def set_priority_error(ch: EventChannels, port: i64, priority: i64, uses_fifo: i64) -> i64:
    """EVTCHNOP_set_priority: what it refuses. Which of two refusals wins no source settles: this order is ours.

    Returns: 0, or minus INVALID (no such port, or a priority over 15), ACCESS (no channel of the guest's), or
        NOT_IMPLEMENTED (2-level).
    Cites: Xen event_channel.c evtchn_set_priority
    """
    if port < 0 or port >= ch.limit:
        return -Errno.INVALID
    if not is_usable(ch, port):
        return -Errno.ACCESS
    if uses_fifo == 0:
        return -Errno.NOT_IMPLEMENTED
    if priority < 0 or priority > 15:
        return -Errno.INVALID
    return Errno.NONE


def reset_error(is_self: i64, is_paused: i64, is_resetting: i64) -> i64:
    """EVTCHNOP_reset: a domain resets itself, or one that is paused; not while a reset is under way.

    Returns: 0, or minus INVALID or BUSY. Afterwards every port of the guest is closed and the ABI is 2-level again.
    Cites: Xen event_channel.c evtchn_reset
    """
    if is_self == 0 and is_paused == 0:
        return -Errno.INVALID
    if is_resetting != 0:
        return -Errno.BUSY
    return Errno.NONE
