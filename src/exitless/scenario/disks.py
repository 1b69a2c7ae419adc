"""A disk controller of dom0: a PV dom0 takes its interrupts on event channels, a PVH one by its own local APIC."""

from typing import TYPE_CHECKING

from exitless.errors import ScenarioError
from exitless.mech.catalog import ROUTE_POSTED
from exitless.scenario.quantities import LONGEST_MEAN_PS, SHORTEST_PS, time_within, within
from exitless.scenario.schema import Device, Vm
from exitless.sim.devices.disk import DiskQueue
from exitless.sim.state import Domain, Event, Source

if TYPE_CHECKING:
    from exitless.scenario.build import Maker

FIRST_VECTOR = 0x51


def add_sas(maker: "Maker", device: Device, domain: Domain, vm: Vm, where: str) -> None:
    """Add a SAS controller: one queue, port or guest vector, host vector and pCPU each. Errors: ScenarioError."""
    m = maker.machine
    count = len(device.pcpus)
    names = "ports" if domain.is_pv else "vectors"
    mine = device.ports if domain.is_pv else device.vectors or [FIRST_VECTOR + n for n in range(count)]
    hosts = device.host_vectors or [0] * count
    if not count or {len(mine), len(hosts)} != {count}:
        raise ScenarioError(
            f"{where}: {names}, host_vectors and pcpus must be of one length, got {len(mine)}, {len(hosts)}, {count}"
        )
    service = time_within(device.service, SHORTEST_PS, LONGEST_MEAN_PS, f"{where}.service")
    depth = within(device.depth, 1, 1024, f"{where}.depth")
    for n in range(count):
        index = next(
            (i for i in range(domain.vcpus) if m.vcpus[domain.first + i].pcpu == device.pcpus[n]), n % domain.vcpus
        )
        vcpu = m.vcpus[domain.first + index]
        source = maker.add_source(vcpu, f"{device.name}.{n}")
        vector = 0x98 + 0x10 * n if maker.mechanism.placement == "host-above" else hosts[n]
        maker.add_irq(source, vector, device.pcpus[n], where)
        if domain.is_pv:
            maker.bind(source, mine[n], vm, vcpu, where)
        else:
            give_vector(maker, source, mine[n], where)
        queue = DiskQueue(len(m.disks), source.number, service, maker.seed, 200 + len(m.disks))
        m.disk_of_source[source.number] = len(m.disks)
        m.disks.append(queue)
        maker.describe(source)
        for _ in range(depth):
            m.calendar.push(queue.chance.exponential(service), Event.DISK, queue.number, 0)
            queue.flying += 1


def give_vector(maker: "Maker", source: Source, vector: int, where: str) -> None:
    """A PVH domain has no PIRQs: its MSI names a vector of its own local APIC, posted where the mechanism posts."""
    within(vector, 16, 255, f"{where}.vectors")
    vcpu = maker.machine.vcpus[source.vcpu]
    if vector == vcpu.cpu.callback_vector or vector in maker.vectors_of(vcpu):
        raise ScenarioError(f"{where}.vectors: 0x{vector:02x} is taken in {maker.header.vcpus[vcpu.number]}")
    source.vector = vector
    if maker.mechanism.route == ROUTE_POSTED:
        entry = maker.machine.remapper.table[source.index]
        entry.im, entry.vector, entry.dst = 1, vector, 0
