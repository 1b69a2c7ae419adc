"""The 2-level event-channel ABI and the table of ports: order, early stops, and what a masked event loses."""

from itertools import combinations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from exitless.arch.outcome import Raise
from exitless.arch.xen import ports, two_level
from exitless.arch.xen.ports import Errno, EventChannels, Port
from exitless.arch.xen.two_level import SharedInfo, VcpuInfo
from exitless.bits.words import zeros

PORTS = 4096
# The first and last port of words, of selector words and of the whole table.
EDGES = [0, 1, 30, 31, 32, 33, 62, 63, 64, 65, 127, 128, 1023, 1024, 2047, 2048, 2049, 4031, 4032, 4094, 4095]


def number(words) -> int:
    """Read a bit array of the shared page as one integer."""
    return sum(words[i] << 32 * i for i in range(len(words)))


def state(pending: int = 0, masked: int = 0, selected: int = 0, port: int = 77) -> tuple[SharedInfo, VcpuInfo]:
    """Return shared structures in which ``port`` is as wanted and everything else is clear."""
    shared, info = SharedInfo(), VcpuInfo()
    shared.pending[port >> 5] = pending << (port & 31)
    shared.mask[port >> 5] = masked << (port & 31)
    info.selector[port >> 11] = selected << (port >> 6 & 31)
    return shared, info


# ---- every port: one bit each, and no other ----


def test_every_port_has_its_own_pending_bit() -> None:
    shared = SharedInfo()
    for port in range(PORTS):
        assert not two_level.set_pending(shared, port)
        assert number(shared.pending) == 1 << port
        assert two_level.is_pending(shared, port)
        assert two_level.set_pending(shared, port)
        two_level.guest_clear_pending(shared, port)
        assert number(shared.pending) == 0
    assert number(shared.mask) == 0


def test_every_port_has_its_own_mask_bit() -> None:
    shared = SharedInfo()
    for port in range(PORTS):
        two_level.guest_mask(shared, port)
        assert number(shared.mask) == 1 << port
        assert two_level.is_masked(shared, port)
        assert two_level.clear_mask(shared, port)
        assert number(shared.mask) == 0
        assert not two_level.clear_mask(shared, port)
    assert number(shared.pending) == 0


def test_one_selector_bit_stands_for_64_ports() -> None:
    for port in range(PORTS):
        info = VcpuInfo()
        assert not two_level.set_selector(info, port)
        assert number(info.selector) == 1 << port // 64
        assert two_level.set_selector(info, port ^ 63), "the other end of the same 64 ports is told already"


def test_a_cleared_port_leaves_all_others_set() -> None:
    everything = (1 << PORTS) - 1
    shared = SharedInfo()
    for port in range(PORTS):
        two_level.set_pending(shared, port)
        two_level.guest_mask(shared, port)
    assert number(shared.pending) == number(shared.mask) == everything
    for port in EDGES:
        two_level.guest_clear_pending(shared, port)
        assert number(shared.pending) == everything ^ 1 << port
        two_level.set_pending(shared, port)
        two_level.guest_unmask_local(shared, port)
        assert number(shared.mask) == everything ^ 1 << port
        two_level.guest_mask(shared, port)


# ---- raising: strict order, and each step may be the end ----

# pending, mask, selector before; the answer; pending and selector after.
RAISE_TABLE = [
    (0, 0, 0, Raise.DELIVERED, 1, 1),
    (0, 0, 1, Raise.SELECTOR_SET, 1, 1),
    (0, 1, 0, Raise.MASKED, 1, 0),
    (0, 1, 1, Raise.MASKED, 1, 1),
    (1, 0, 0, Raise.ALREADY_PENDING, 1, 0),
    (1, 0, 1, Raise.ALREADY_PENDING, 1, 1),
    (1, 1, 0, Raise.ALREADY_PENDING, 1, 0),
    (1, 1, 1, Raise.ALREADY_PENDING, 1, 1),
]


@pytest.mark.parametrize("port", EDGES)
@pytest.mark.parametrize("row", RAISE_TABLE)
def test_raise_follows_the_table(row: tuple[int, ...], port: int) -> None:
    pending, masked, selected, answer, pending_after, selected_after = row
    shared, info = state(pending, masked, selected, port)
    assert two_level.raise_port(shared, info, port) == answer
    assert number(shared.pending) == pending_after << port
    assert number(shared.mask) == masked << port, "raising never touches a mask"
    assert number(info.selector) == selected_after << port // 64
    assert info.upcall_pending == 0, "marking events pending is the caller's step"


def test_raise_of_every_port_is_delivered_once() -> None:
    for port in range(PORTS):
        shared, info = SharedInfo(), VcpuInfo()
        assert two_level.raise_port(shared, info, port) == Raise.DELIVERED
        assert two_level.raise_port(shared, info, port) == Raise.ALREADY_PENDING
        assert two_level.is_active(shared, port)


def test_already_pending_stops_completely() -> None:
    """Neither mask nor selector matters then: the selector stays clear although the port is unmasked."""
    shared, info = state(pending=1)
    assert two_level.raise_port(shared, info, 77) == Raise.ALREADY_PENDING
    assert number(info.selector) == 0
    assert info.upcall_pending == 0


def test_a_second_port_under_the_same_selector_bit_owes_no_upcall() -> None:
    shared, info = SharedInfo(), VcpuInfo()
    assert two_level.raise_port(shared, info, 64) == Raise.DELIVERED
    assert two_level.raise_port(shared, info, 127) == Raise.SELECTOR_SET
    assert two_level.raise_port(shared, info, 128) == Raise.DELIVERED


def test_marking_events_pending_tells_who_was_first() -> None:
    """A vCPU that is marked already gets no second kick."""
    info = VcpuInfo()
    assert not two_level.mark_events_pending(info)
    assert info.upcall_pending == 1
    assert two_level.mark_events_pending(info)
    two_level.guest_take_upcall(info)
    assert info.upcall_pending == 0
    assert not two_level.mark_events_pending(info)


def test_a_registered_vcpu_info_is_told_of_everything() -> None:
    """One upcall without a cause is certain: selector all ones, upcall_pending set."""
    info = VcpuInfo()
    two_level.register_vcpu_info(info)
    assert number(info.selector) == (1 << 64) - 1
    assert info.upcall_pending == 1
    assert two_level.next_port(SharedInfo(), info.selector, -1) == -1


# ---- unmasking ----


@pytest.mark.parametrize("port", EDGES)
@pytest.mark.parametrize("pending", [0, 1])
@pytest.mark.parametrize("masked", [0, 1])
@pytest.mark.parametrize("selected", [0, 1])
def test_the_unmask_hypercall_follows_the_table(port: int, pending: int, masked: int, selected: int) -> None:
    """It tells the vCPU only if the mask was set, pending is set and the selector bit was clear."""
    shared, info = state(pending, masked, selected, port)
    owed = (pending, masked, selected) == (1, 1, 0)
    assert two_level.hypercall_unmask(shared, info, port) == (Raise.DELIVERED if owed else two_level.NONE)
    assert number(shared.mask) == 0
    assert number(shared.pending) == pending << port
    assert number(info.selector) == (selected or (pending and masked)) << port // 64


def test_unmask_of_an_unmasked_pending_port_does_nothing() -> None:
    shared, info = state(pending=1, masked=0)
    assert two_level.hypercall_unmask(shared, info, 77) == two_level.NONE
    assert number(info.selector) == 0
    two_level.guest_mask(shared, 77)
    assert two_level.hypercall_unmask(shared, info, 77) == Raise.DELIVERED, "that is why a guest masks it again first"


def test_edge_loss_rule() -> None:
    """An event raised while masked sets pending only; a plain unmask finds it, and nothing else ever tells of it."""
    shared, info = state(masked=1)
    assert two_level.raise_port(shared, info, 77) == Raise.MASKED
    assert two_level.raise_port(shared, info, 77) == Raise.ALREADY_PENDING
    assert two_level.guest_unmask_local(shared, 77)
    assert two_level.raise_port(shared, info, 77) == Raise.ALREADY_PENDING
    assert number(info.selector) == 0, "the guest that ignores the answer of its unmask has lost the event"
    two_level.guest_mask(shared, 77)
    assert two_level.hypercall_unmask(shared, info, 77) == Raise.DELIVERED
    assert two_level.next_port(shared, info.selector, -1) == 77


def test_a_local_unmask_without_pending_needs_no_hypercall() -> None:
    shared, _ = state(masked=1)
    assert not two_level.guest_unmask_local(shared, 77)
    assert number(shared.mask) == 0


class Xen:
    """Raising one port, as the atomic steps that a guest may come between. ``order`` says which comes when."""

    def __init__(self, shared: SharedInfo, info: VcpuInfo, order: str) -> None:
        self.shared, self.info, self.order, self.over, self.masked = shared, info, order, False, False

    def step(self, number: int) -> None:
        if self.over:
            return
        what = self.order[number]
        if what == "p":
            self.over = two_level.set_pending(self.shared, 77)
        elif what == "m":
            self.masked = two_level.is_masked(self.shared, 77)
        elif not self.masked and not two_level.set_selector(self.info, 77):
            two_level.mark_events_pending(self.info)


def found_after(order: str, guest_first: tuple[int, ...]) -> bool:
    """Interleave a raise with a guest's unmask; tell whether the event can still reach the guest."""
    shared, info = state(masked=1)
    xen = Xen(shared, info, order)
    raises = 0
    unmasks = 0
    for turn in range(6):
        if turn in guest_first:
            if unmasks == 0:
                again = two_level.guest_unmask_local(shared, 77)
            elif unmasks == 1 and again:
                two_level.guest_mask(shared, 77)
            elif unmasks == 2 and again and two_level.hypercall_unmask(shared, info, 77) == Raise.DELIVERED:
                two_level.mark_events_pending(info)
            unmasks += 1
        else:
            xen.step(raises)
            raises += 1
    return info.upcall_pending == 1 and two_level.next_port(shared, info.selector, -1) == 77


def test_no_interleaving_of_raise_and_unmask_loses_the_event() -> None:
    """Pending before mask before selector, against clear mask before pending: all 20 interleavings end well."""
    assert all(found_after("pms", turns) for turns in combinations(range(6), 3))


def test_the_order_of_the_raise_is_what_saves_the_event() -> None:
    """With the mask looked at before pending is set, some interleaving leaves a pending port that nobody is told of."""
    assert not all(found_after("mps", turns) for turns in combinations(range(6), 3))


# ---- the guest's scan ----


def test_taking_the_selector_zeroes_it_and_keeps_what_was_there() -> None:
    info, taken = VcpuInfo(), zeros(2)
    taken[0] = 12345
    info.selector[0] = 0x80000001
    info.selector[1] = 0xFFFF0000
    two_level.guest_take_selector(info, taken)
    assert (taken[0], taken[1]) == (0x80000001, 0xFFFF0000)
    assert number(info.selector) == 0


def naive_next(pending: int, mask: int, selector: int, after: int) -> int:
    """Search port by port, round robin."""
    for distance in range(1, PORTS + 1):
        port = (after + distance) % PORTS
        if pending >> port & 1 and not mask >> port & 1 and selector >> port // 64 & 1:
            return port
    return -1


def test_the_scan_finds_every_port_from_everywhere() -> None:
    for port in range(PORTS):
        shared, info = SharedInfo(), VcpuInfo()
        two_level.raise_port(shared, info, port)
        for after in (-1, port - 1, port, port ^ 1, 0, 4095):
            assert two_level.next_port(shared, info.selector, after) == port
        two_level.guest_mask(shared, port)
        assert two_level.next_port(shared, info.selector, -1) == -1


def test_the_scan_does_not_look_into_words_that_are_not_selected() -> None:
    shared, selector = SharedInfo(), zeros(2)
    two_level.set_pending(shared, 64)
    selector[0] = 0b101
    assert two_level.next_port(shared, selector, -1) == -1
    selector[0] = 0b010
    assert two_level.next_port(shared, selector, -1) == 64


def test_the_scan_goes_round_robin_after_the_last_port() -> None:
    """A low port that is refilled all the time does not starve a high one."""
    shared, info = SharedInfo(), VcpuInfo()
    for port in (3, 70, 4095):
        two_level.raise_port(shared, info, port)
    order = [-1]
    for _ in range(6):
        order.append(two_level.next_port(shared, info.selector, order[-1]))
    assert order[1:] == [3, 70, 4095, 3, 70, 4095]


port_sets = st.sets(st.one_of(st.sampled_from(EDGES), st.integers(0, PORTS - 1)), max_size=12)


@given(pending=port_sets, masked=port_sets, selector=st.integers(0, 2**64 - 1), after=st.integers(-1, PORTS - 1))
def test_the_scan_agrees_with_a_search_port_by_port(
    pending: set[int], masked: set[int], selector: int, after: int
) -> None:
    shared, words = SharedInfo(), zeros(2)
    for port in pending:
        two_level.set_pending(shared, port)
    for port in masked:
        two_level.guest_mask(shared, port)
    words[0], words[1] = selector & 0xFFFFFFFF, selector >> 32
    expected = naive_next(sum(1 << p for p in pending), sum(1 << p for p in masked), selector, after)
    assert two_level.next_port(shared, words, after) == expected


# ---- the table of ports ----


def test_states_have_xens_numbers() -> None:
    assert [Port.FREE, Port.RESERVED, Port.UNBOUND, Port.INTERDOMAIN, Port.PIRQ, Port.VIRQ, Port.IPI] == list(range(7))


def test_the_abi_limits_the_ports() -> None:
    """2-level: bits of a guest word squared. FIFO: 2 to the 17."""
    assert ports.port_limit(0, 0) == 32 * 32
    assert ports.port_limit(0, 1) == 64 * 64 == PORTS
    assert ports.port_limit(1, 0) == ports.port_limit(1, 1) == 2**17


def bound(limit: int = 64) -> EventChannels:
    """Return a table with one port of every type: port n has state n from 2 on."""
    ch = EventChannels(limit)
    assert ports.bind_unbound(ch, 2, 5) == 0
    assert ports.bind_interdomain(ch, 3, 5, 9) == 0
    assert ports.bind_pirq(ch, 4, 55, 0) == 0
    assert ports.bind_virq(ch, 5, 0, 1) == 0
    assert ports.bind_ipi(ch, 6, 1) == 0
    return ch


def test_each_binding_makes_its_own_state() -> None:
    ch = bound()
    assert [ch.state[port] for port in range(8)] == [1, 0, 2, 3, 4, 5, 6, 0]
    assert [ch.notify_vcpu[port] for port in range(8)] == [0, 0, 0, 0, 0, 1, 1, 0]
    assert (ch.pirq[4], ch.virq[5], ch.remote_domain[3], ch.remote[3]) == (55, 0, 5, 9)
    assert all(ch.pirq[port] == -1 for port in range(64) if port != 4)
    assert all(ch.virq[port] == -1 for port in range(64) if port != 5)


def test_usable_means_more_than_reserved_and_not_consumed_by_xen() -> None:
    ch = bound()
    assert [ports.is_usable(ch, port) for port in range(8)] == [False, False, True, True, True, True, True, False]
    ch.consumer[3] = 1
    assert not ports.is_usable(ch, 3)
    assert not ports.is_usable(ch, -1)
    assert not ports.is_usable(ch, 64)


def test_port_0_and_ports_beyond_the_limit_cannot_be_bound() -> None:
    ch = EventChannels(64)
    for port in (0, -1, 64):
        assert ports.bind_ipi(ch, port, 0) == Errno.INVALID
        assert ports.bind_unbound(ch, port, 0) == Errno.INVALID
    assert ports.bind_ipi(ch, 63, 0) == 0
    assert ports.bind_ipi(ch, 63, 0) == Errno.INVALID, "it is taken"


def test_allocation_takes_the_lowest_free_port() -> None:
    ch = bound(8)
    assert ports.lowest_free(ch) == 1
    ports.bind_ipi(ch, 1, 0)
    assert ports.lowest_free(ch) == 7
    ports.bind_ipi(ch, 7, 0)
    assert ports.lowest_free(ch) == -1
    ports.free_port(ch, 4)
    assert ports.lowest_free(ch) == 4


PER_VCPU = {0, 1, 7, 13}


@pytest.mark.parametrize("virq", range(24))
def test_only_a_virq_of_each_vcpu_can_be_bound_off_vcpu_0(virq: int) -> None:
    """Timer 0, debug 1, profiling 7 and 13; every other number, known or not, belongs on vCPU 0 at first."""
    ch = EventChannels(64)
    expected = 0 if virq in PER_VCPU else Errno.INVALID
    assert ports.bind_virq(ch, 10, virq, 2) == expected
    ch = EventChannels(64)
    assert ports.bind_virq(ch, 10, virq, 0) == 0
    assert ports.bind_vcpu(ch, 10, 2) == (Errno.INVALID if virq in PER_VCPU else 0)
    assert ch.notify_vcpu[10] == (0 if virq in PER_VCPU else 2)


def test_a_virq_is_bound_once_a_vcpu_and_a_global_one_once() -> None:
    ch = EventChannels(64)
    assert ports.bind_virq(ch, 1, 0, 0) == 0
    assert ports.bind_virq(ch, 2, 0, 1) == 0
    assert ports.bind_virq(ch, 3, 0, 1) == Errno.EXISTS
    assert ports.bind_virq(ch, 3, 2, 0) == 0
    ports.bind_vcpu(ch, 3, 1)
    assert ports.bind_virq(ch, 4, 2, 0) == Errno.EXISTS, "though it notifies another vCPU by now"
    assert ports.bind_virq(ch, 4, 24, 0) == Errno.INVALID
    assert ports.bind_virq(ch, 4, -1, 0) == Errno.INVALID


def test_a_pirq_is_bound_once() -> None:
    ch = EventChannels(64)
    assert ports.bind_pirq(ch, 1, 16, 0) == 0
    assert ports.bind_pirq(ch, 2, 16, 0) == Errno.EXISTS
    assert ports.bind_pirq(ch, 2, -1, 0) == Errno.INVALID
    assert ch.state[2] == Port.FREE


def test_rebinding_is_for_unbound_interdomain_and_pirq_ports() -> None:
    """Not for IPIs, VIRQs of one vCPU, free, reserved or Xen's own ports."""
    ch = bound()
    answers = [ports.bind_vcpu(ch, port, 3) for port in range(8)]
    assert answers == [22, 22, 0, 0, 0, 22, 22, 22]
    assert [ch.notify_vcpu[port] for port in range(8)] == [0, 0, 3, 3, 3, 1, 1, 0]
    ch.consumer[3] = 1
    assert ports.bind_vcpu(ch, 3, 0) == Errno.INVALID


def test_a_guest_may_send_on_interdomain_ipi_and_unbound_ports_only() -> None:
    ch = bound()
    assert [ports.can_send(ch, port) for port in range(8)] == [22, 22, 0, 0, 22, 22, 0, 22]
    ch.consumer[3] = 1
    assert ports.can_send(ch, 3) == Errno.INVALID


def test_freeing_resets_the_row() -> None:
    ch = bound()
    ch.consumer[6] = 1
    for port in range(2, 7):
        ports.free_port(ch, port)
        assert (ch.state[port], ch.notify_vcpu[port], ch.consumer[port]) == (Port.FREE, 0, 0)
        assert (ch.pirq[port], ch.virq[port], ch.remote_domain[port], ch.remote[port]) == (-1, -1, -1, -1)
