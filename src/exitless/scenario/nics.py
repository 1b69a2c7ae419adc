"""NICs that are passed through to guests: their queues, and the guest vector, host vector and route of each."""

from collections.abc import Container, Iterable
from typing import TYPE_CHECKING

from exitless.bits import units
from exitless.errors import ScenarioError
from exitless.mech.catalog import ROUTE_CHANNEL, ROUTE_DIRECT, ROUTE_POSTED
from exitless.scenario.quantities import LONGEST_MEAN_PS, LONGEST_PS, quantity, time_within, within
from exitless.scenario.schema import Device, Vm
from exitless.scenario.talking import choose_msi
from exitless.sim.devices.nic import Nic, NicQueue, mean_gap_ps, wire_time_ps
from exitless.sim.state import Domain, Event, Source, Vcpu

if TYPE_CHECKING:
    from exitless.scenario.build import Maker

FIRST_STREAM = 100
MOST_NICS = 60
MOST_QUEUES = 60
FIRST_VECTOR = 0x80
FIRST_PORT = 64


def make_nic(device: Device, number: int, seed: int, where: str) -> Nic:
    """Turn a table into a controller and its wire. Errors: ScenarioError."""
    nic = Nic(number, seed, FIRST_STREAM + number)
    size = quantity(units.parse_size_bytes, device.frame, f"{where}.frame")
    frame = within(size, 64, 9216, f"{where}.frame in bytes")
    rate = quantity(units.parse_rate_bps, device.rate, f"{where}.rate")
    nic.wire_ps = wire_time_ps(frame, within(rate, 10**6, 10**12, f"{where}.rate in bit/s"))
    nic.train = within(device.train, 1, 10**6, f"{where}.train")
    load = within(device.load, 1, 100, f"{where}.load in per cent")
    if int(nic.wire_ps) * int(nic.train) > LONGEST_MEAN_PS:
        raise ScenarioError(f"{where}.train: {nic.train} frames would take more than a second on this wire")
    nic.gap_ps = mean_gap_ps(nic.wire_ps, nic.train, load * 10)
    if nic.gap_ps > LONGEST_MEAN_PS:
        raise ScenarioError(f"{where}.load: trains of {nic.train} frames would come more than a second apart")
    nic.throttle_ps = time_within(device.moderation, 0, LONGEST_PS, f"{where}.moderation")
    nic.descriptors = within(device.descriptors, 8, 8192, f"{where}.descriptors")
    return nic


def add_nic(maker: "Maker", device: Device, domain: Domain, vm: Vm, where: str) -> None:
    """Add a NIC: queues to vCPUs in turn, each with a source, a route and a remapping entry. Errors: ScenarioError."""
    m = maker.machine
    queues = within(device.queues, 1, 30, f"{where}.queues")
    within(len(m.nics) + 1, 1, MOST_NICS, f"{where}: NICs of a scenario")
    within(len(m.nic_queues) + queues, 1, MOST_QUEUES, f"{where}.queues of all NICs together")
    nic = make_nic(device, len(m.nics), maker.seed, where)
    m.nics.append(nic)
    for q in range(queues):
        vcpu = m.vcpus[domain.first + q % domain.vcpus]
        source = maker.add_source(vcpu, device.name if queues == 1 else f"{device.name}.{q}")
        m.queue_of_source[source.number] = len(m.nic_queues)
        queue = NicQueue(len(m.nic_queues), nic.number, source.number)
        nic.queues.append(queue)
        m.nic_queues.append(queue)
        route_queue(maker, device, vm, vcpu, source, q, where)
        maker.describe(source)
    m.calendar.push(nic.gap_ps // 2 + nic.wire_ps, Event.FRAME, nic.number, 0)


def not_taken(candidates: Iterable[int], taken: Container[int]) -> int:
    """Return the first candidate that is not taken, 0 when all are."""
    return next((n for n in candidates if n not in taken), 0)


def route_queue(maker: "Maker", device: Device, vm: Vm, vcpu: Vcpu, source: Source, q: int, where: str) -> None:
    """Choose guest vector, host vector and route of one NIC queue; what the table does not say is the next one free,
    and Xen's choice of a host vector."""
    row = maker.mechanism
    m = maker.machine
    in_guest = {int(vcpu.cpu.timer_vector), int(vcpu.cpu.callback_vector), *maker.vectors_of(vcpu)}
    if row.placement == "guest-below":
        vector = not_taken(range(0x38 + q, 0x80), in_guest)
    elif q < len(device.vectors):
        vector = device.vectors[q]
    else:
        vector = not_taken(range(FIRST_VECTOR + q, 0x100), in_guest)
    within(vector, 16, 255, f"{where}.vectors")
    host = device.host_vectors[q] if q < len(device.host_vectors) else 0
    if row.route == ROUTE_DIRECT:
        host = vector
    bound = {int(s.port) for s in m.sources if m.vcpus[s.vcpu].domain is vcpu.domain}
    port = device.ports[q] if q < len(device.ports) else not_taken(range(FIRST_PORT + q, 4096), bound)
    within(port, 1, 4095, f"{where}.ports")
    if vector in in_guest:
        raise ScenarioError(f"{where}.vectors: 0x{vector:02x} is taken in {maker.header.vcpus[vcpu.number]}")
    maker.add_irq(source, host, vcpu.pcpu, where)
    choose_msi(maker, source, device, where)
    if row.route == ROUTE_CHANNEL:
        maker.bind(source, port, vm, vcpu, where)
        return
    source.vector = vector
    if row.route == ROUTE_POSTED:
        entry = m.remapper.table[source.index]
        entry.im, entry.vector, entry.dst = 1, vector, 0
