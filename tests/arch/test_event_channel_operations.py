"""EVTCHNOP by EVTCHNOP: what is answered, what changes, and the errors of Xen's table."""

import pytest

from exitless.arch.xen import fifo, operations, ports
from exitless.arch.xen.operations import Close, Send
from exitless.arch.xen.ports import Errno, EventChannels, Port

NO_QUEUES = fifo.EventArray(64)


def test_the_error_numbers_are_those_of_xens_headers() -> None:
    assert (Errno.NOT_PERMITTED, Errno.NO_ENTRY, Errno.ACCESS, Errno.BUSY, Errno.EXISTS) == (1, 2, 13, 16, 17)
    assert (Errno.INVALID, Errno.NO_SPACE, Errno.NOT_IMPLEMENTED) == (22, 28, 38)


def test_an_allocation_takes_the_lowest_free_port_up_to_the_toolstacks_limit() -> None:
    ch = EventChannels(64)
    for port in range(1, 6):
        assert operations.find_port(ch, NO_QUEUES, 0, 5) == port
        assert operations.open_ipi(ch, port, 0, 1) == port
    assert operations.find_port(ch, NO_QUEUES, 0, 5) == -Errno.NO_SPACE
    ports.free_port(ch, 3)
    assert operations.find_port(ch, NO_QUEUES, 0, 5) == 3
    assert operations.find_port(ch, NO_QUEUES, 0, 1000) == 3


def test_with_fifo_a_port_still_linked_is_not_given_out() -> None:
    """Xen 78e24c269b: reuse while LINKED lost events."""
    ch, array = EventChannels(64), fifo.EventArray(64)
    array.pages = 1
    fifo.set_flag(array, 1, fifo.LINKED)
    assert operations.find_port(ch, array, 1, 63) == 2
    assert operations.find_port(ch, array, 0, 63) == 1


def test_interdomain_binds_both_ends_and_closing_one_leaves_the_other_unbound() -> None:
    front, back = EventChannels(64), EventChannels(64)
    assert operations.alloc_unbound(back, 4, 7, 0) == 4
    assert operations.connect(front, 7, 9, back, 0, 4) == 9
    assert (front.state[9], front.remote_domain[9], front.remote[9], front.notify_vcpu[9]) == (3, 0, 4, 0)
    assert (back.state[4], back.remote_domain[4], back.remote[4]) == (3, 7, 9)
    assert operations.send(front, 9) == operations.send(back, 4) == Send.PEER
    assert operations.close(front, 9, 1) == Close.PEER
    assert operations.close_pair(front, 7, 9, back) == 4
    assert (front.state[9], front.remote[9]) == (Port.FREE, -1)
    assert (back.state[4], back.remote_domain[4], back.remote[4]) == (Port.UNBOUND, 7, -1)
    assert operations.send(back, 4) == Send.NOWHERE


@pytest.mark.parametrize("spoil", ["unreserved", "bound", "out of range", "zero", "local taken"])
def test_interdomain_refuses_what_is_not_kept_for_the_caller(spoil: str) -> None:
    front, back = EventChannels(64), EventChannels(64)
    operations.alloc_unbound(back, 4, 8 if spoil == "unreserved" else 7, 0)
    if spoil == "bound":
        back.state[4] = Port.INTERDOMAIN
    if spoil == "local taken":
        operations.open_ipi(front, 9, 0, 1)
    remote = {"out of range": 64, "zero": 0}.get(spoil, 4)
    before = back.state[4]
    assert operations.connect(front, 7, 9, back, 0, remote) == -Errno.INVALID
    assert back.state[4] == before and back.remote[4] == -1


def test_a_dying_domain_allocates_nothing() -> None:
    ch = EventChannels(64)
    assert operations.alloc_unbound(ch, 4, 7, 1) == -Errno.INVALID
    assert ch.state[4] == Port.FREE


PER_VCPU = (0, 1, 7, 13)


@pytest.mark.parametrize("virq", range(-1, 26))
def test_virqs(virq: int) -> None:
    """Per vCPU: timer, debug, xenoprof, xenpmu. Others on vCPU 0 only; global ones in their handler's domain only."""
    ch = EventChannels(64)
    if not 0 <= virq < 24:
        assert operations.open_virq(ch, 1, virq, 0, 4, 1) == -Errno.INVALID
        return
    each = virq in PER_VCPU
    assert operations.open_virq(ch, 1, virq, 4, 4, 1) == (-Errno.NO_ENTRY if each else -Errno.INVALID)
    assert operations.open_virq(ch, 1, virq, 2, 4, 1) == (1 if each else -Errno.INVALID)
    foreign = operations.open_virq(ch, 2, virq, 0, 4, 0)
    assert foreign == (2 if each or virq == 11 else -Errno.BUSY)
    again = operations.open_virq(ch, 3, virq, 0, 4, 1)
    assert again == (-Errno.EXISTS if foreign == 2 else 3)


def test_ipis_and_pirqs() -> None:
    ch = EventChannels(64)
    assert operations.open_ipi(ch, 1, 4, 4) == operations.open_ipi(ch, 1, -1, 4) == -Errno.NO_ENTRY
    assert operations.open_ipi(ch, 1, 3, 4) == 1
    assert operations.send(ch, 1) == Send.SELF
    assert operations.open_pirq(ch, 2, 40, 40, 0, 1) == operations.open_pirq(ch, 2, -1, 40, 0, 1) == -Errno.INVALID
    assert operations.open_pirq(ch, 2, 39, 40, 1, 0) == -Errno.NOT_PERMITTED
    assert operations.open_pirq(ch, 2, 39, 40, 0, 0) == 2
    assert operations.open_pirq(ch, 3, 39, 40, 0, 0) == -Errno.EXISTS
    assert ch.notify_vcpu[2] == 0


STATES = {
    Port.FREE: (-22, 0, -22), Port.RESERVED: (-22, 0, -22), Port.UNBOUND: (Close.NOTHING, 1, Send.NOWHERE),
    Port.INTERDOMAIN: (Close.PEER, 2, Send.PEER), Port.PIRQ: (Close.PIRQ, 3, -22), Port.VIRQ: (Close.VIRQ, 4, -22),
    Port.IPI: (Close.NOTHING, 5, Send.SELF),
}  # fmt: skip


@pytest.mark.parametrize("state", STATES)
def test_close_status_and_send_by_state(state: int) -> None:
    ch = EventChannels(64)
    ch.state[5] = state
    close, status, send = STATES[state]
    assert operations.close(ch, 5, 1) == close
    assert operations.status(ch, 5) == status
    assert operations.send(ch, 5) == send
    ch.consumer[5] = 1
    assert operations.close(ch, 5, 1) == operations.send(ch, 5) == -Errno.INVALID
    assert operations.close(ch, 5, 0) == close


@pytest.mark.parametrize("port", [-1, 64, 1000])
def test_ports_out_of_range(port: int) -> None:
    ch = EventChannels(64)
    assert operations.close(ch, port, 0) == operations.status(ch, port) == -Errno.INVALID
    assert operations.unmask_error(ch, port) == operations.set_priority_error(ch, port, 7, 1) == -Errno.INVALID


def test_unmask_asks_for_nothing_but_the_number() -> None:
    ch = EventChannels(64)
    assert [operations.unmask_error(ch, port) for port in (0, 1, 63)] == [0, 0, 0]
    assert operations.close(ch, 0, 0) == -Errno.INVALID


def test_set_priority_and_reset() -> None:
    ch = EventChannels(64)
    assert operations.set_priority_error(ch, 5, 7, 1) == -Errno.ACCESS
    operations.open_ipi(ch, 5, 0, 1)
    assert operations.set_priority_error(ch, 5, 7, 0) == -Errno.NOT_IMPLEMENTED
    assert [operations.set_priority_error(ch, 5, p, 1) for p in (-1, 0, 15, 16)] == [-22, 0, 0, -22]
    assert [operations.reset_error(*who) for who in ((1, 0, 0), (0, 1, 0), (0, 0, 0), (1, 0, 1))] == [0, 0, -22, -16]
