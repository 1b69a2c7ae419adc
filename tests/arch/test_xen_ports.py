"""A domain's table of event channels: limits, allocation, and what may be bound, moved and sent, by Xen's table."""

from itertools import product

import pytest

from exitless.arch.xen.ports import (
    LIMIT_32,
    LIMIT_64,
    LIMIT_FIFO,
    VIRQS,
    Errno,
    EventChannels,
    Port,
    bind_interdomain,
    bind_ipi,
    bind_pirq,
    bind_unbound,
    bind_vcpu,
    bind_virq,
    can_send,
    free_port,
    is_usable,
    is_virq_per_vcpu,
    lowest_free,
    port_limit,
)

SMALL = 64
PER_VCPU = {0, 1, 7, 13}


def bound(kind: int, port: int = 5) -> EventChannels:
    """Return a table where ``port`` is of this kind, notifying vCPU 0."""
    ch = EventChannels(SMALL)
    errors = {
        Port.UNBOUND: lambda: bind_unbound(ch, port, 3),
        Port.INTERDOMAIN: lambda: bind_interdomain(ch, port, 3, 9),
        Port.PIRQ: lambda: bind_pirq(ch, port, 16, 0),
        Port.VIRQ: lambda: bind_virq(ch, port, 2, 0),
        Port.IPI: lambda: bind_ipi(ch, port, 0),
    }
    assert errors[kind]() == Errno.NONE
    assert ch.state[port] == kind
    return ch


KINDS = [Port.UNBOUND, Port.INTERDOMAIN, Port.PIRQ, Port.VIRQ, Port.IPI]


def test_states_and_errors_have_xens_numbers() -> None:
    """FREE 0 to IPI 6 in the order of sched.h; ENOENT 2, EEXIST 17, EINVAL 22, ENOSPC 28."""
    p = Port
    assert (p.FREE, p.RESERVED, p.UNBOUND, p.INTERDOMAIN, p.PIRQ, p.VIRQ, p.IPI) == (0, 1, 2, 3, 4, 5, 6)
    assert (Errno.NO_ENTRY, Errno.EXISTS, Errno.INVALID, Errno.NO_SPACE) == (2, 17, 22, 28)


def test_limits_are_the_square_of_the_guests_word_or_2_to_17() -> None:
    assert (port_limit(0, 0), port_limit(0, 1), port_limit(1, 0), port_limit(1, 1)) == (32**2, 64**2, 2**17, 2**17)
    assert (LIMIT_32, LIMIT_64, LIMIT_FIFO, VIRQS) == (1024, 4096, 131072, 24)


def test_port_0_is_reserved_and_every_other_is_free() -> None:
    ch = EventChannels(SMALL)
    assert [ch.state[n] for n in range(SMALL)] == [Port.RESERVED] + [Port.FREE] * (SMALL - 1)
    assert lowest_free(ch) == 1
    assert not is_usable(ch, 0)


def test_allocation_takes_the_lowest_free_port_until_none_is_left() -> None:
    """A freed port is the next one taken."""
    ch = EventChannels(SMALL)
    for expected in range(1, SMALL):
        assert lowest_free(ch) == expected
        assert bind_ipi(ch, expected, 0) == Errno.NONE
    assert lowest_free(ch) == -1
    free_port(ch, 40)
    free_port(ch, 17)
    assert lowest_free(ch) == 17


@pytest.mark.parametrize("kind", KINDS)
def test_a_port_is_bound_once_and_within_the_table(kind: int) -> None:
    """Port 0, a port past the table and one that is not free are invalid, and nothing changes."""
    for port in (0, -1, SMALL, 5):
        ch = bound(kind)
        before = [ch.state[n] for n in range(SMALL)]
        assert bind_unbound(ch, port, 1) == Errno.INVALID
        assert bind_interdomain(ch, port, 1, 1) == Errno.INVALID
        assert bind_pirq(ch, port, 17, 0) == Errno.INVALID
        assert bind_virq(ch, port, 3, 0) == Errno.INVALID
        assert bind_ipi(ch, port, 0) == Errno.INVALID
        assert [ch.state[n] for n in range(SMALL)] == before


def test_usable_means_no_consumer_inside_xen_and_more_than_reserved() -> None:
    for kind, consumer in product(KINDS, (0, 1, 2)):
        ch = bound(kind)
        ch.consumer[5] = consumer
        assert is_usable(ch, 5) == (consumer == 0)
    ch = EventChannels(SMALL)
    assert not any(is_usable(ch, port) for port in (-1, 0, 1, SMALL))


def test_rows_say_what_they_were_bound_to() -> None:
    ch = bound(Port.UNBOUND)
    assert (ch.remote_domain[5], ch.remote[5], ch.pirq[5], ch.virq[5], ch.notify_vcpu[5]) == (3, -1, -1, -1, 0)
    ch = bound(Port.INTERDOMAIN)
    assert (ch.remote_domain[5], ch.remote[5], ch.notify_vcpu[5]) == (3, 9, 0)
    assert bound(Port.PIRQ).pirq[5] == 16
    assert bound(Port.VIRQ).virq[5] == 2


def test_virqs_per_vcpu_are_timer_debug_xenoprof_and_xenpmu() -> None:
    assert {virq for virq in range(VIRQS) if is_virq_per_vcpu(virq)} == PER_VCPU


def test_a_global_virq_is_bound_on_vcpu_0_and_once() -> None:
    """EINVAL on another vCPU or out of range, EEXIST the second time."""
    for virq in sorted(set(range(VIRQS)) - PER_VCPU):
        ch = EventChannels(SMALL)
        assert bind_virq(ch, 5, virq, 1) == Errno.INVALID
        assert bind_virq(ch, 5, virq, 0) == Errno.NONE
        assert bind_virq(ch, 6, virq, 0) == Errno.EXISTS
    for virq in (-1, VIRQS, 1000):
        assert bind_virq(EventChannels(SMALL), 5, virq, 0) == Errno.INVALID


@pytest.mark.parametrize("virq", sorted(PER_VCPU))
def test_a_virq_per_vcpu_is_bound_once_on_each(virq: int) -> None:
    ch = EventChannels(SMALL)
    for vcpu in range(4):
        assert bind_virq(ch, 10 + vcpu, virq, vcpu) == Errno.NONE
        assert ch.notify_vcpu[10 + vcpu] == vcpu
        assert bind_virq(ch, 20 + vcpu, virq, vcpu) == Errno.EXISTS


def test_a_pirq_is_bound_once() -> None:
    ch = bound(Port.PIRQ)
    assert bind_pirq(ch, 6, 16, 0) == Errno.EXISTS
    assert bind_pirq(ch, 6, -1, 0) == Errno.INVALID
    assert bind_pirq(ch, 6, 17, 2) == Errno.NONE
    assert (ch.pirq[6], ch.notify_vcpu[6]) == (17, 2)


MOVABLE = {Port.UNBOUND: True, Port.INTERDOMAIN: True, Port.PIRQ: True, Port.VIRQ: True, Port.IPI: False}


@pytest.mark.parametrize("kind", MOVABLE)
def test_which_channels_may_be_moved_to_another_vcpu(kind: int) -> None:
    """Not an IPI, not a VIRQ of one vCPU; a global VIRQ may, later."""
    ch = bound(kind)
    assert bind_vcpu(ch, 5, 3) == (Errno.NONE if MOVABLE[kind] else Errno.INVALID)
    assert ch.notify_vcpu[5] == (3 if MOVABLE[kind] else 0)


def test_a_virq_of_one_vcpu_and_what_is_no_channel_cannot_be_moved() -> None:
    for virq in sorted(PER_VCPU):
        ch = EventChannels(SMALL)
        bind_virq(ch, 5, virq, 2)
        assert bind_vcpu(ch, 5, 0) == Errno.INVALID
        assert ch.notify_vcpu[5] == 2
    ch = bound(Port.INTERDOMAIN)
    ch.consumer[5] = 1
    for port in (0, 1, 5, -1, SMALL):
        assert bind_vcpu(ch, port, 1) == Errno.INVALID


SENDABLE = {Port.UNBOUND: True, Port.INTERDOMAIN: True, Port.PIRQ: False, Port.VIRQ: False, Port.IPI: True}


@pytest.mark.parametrize("kind", SENDABLE)
def test_which_channels_a_guest_may_send_on(kind: int) -> None:
    """Interdomain and IPI; an unbound one is dropped with success; PIRQ, VIRQ and consumed ones are EINVAL."""
    ch = bound(kind)
    assert can_send(ch, 5) == (Errno.NONE if SENDABLE[kind] else Errno.INVALID)
    ch.consumer[5] = 1
    assert can_send(ch, 5) == Errno.INVALID
    for port in (0, 1, -1, SMALL):
        assert can_send(ch, port) == Errno.INVALID


@pytest.mark.parametrize("kind", KINDS)
def test_freeing_empties_the_row_so_that_it_can_be_bound_anew(kind: int) -> None:
    ch = bound(kind)
    ch.notify_vcpu[5], ch.consumer[5] = 3, 1
    free_port(ch, 5)
    row = (ch.state, ch.notify_vcpu, ch.consumer, ch.pirq, ch.virq, ch.remote_domain, ch.remote)
    assert [column[5] for column in row] == [Port.FREE, 0, 0, -1, -1, -1, -1]
    assert bind_pirq(ch, 5, 16, 1) == Errno.NONE
