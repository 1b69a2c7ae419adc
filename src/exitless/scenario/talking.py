"""The parts of a scenario by which vCPUs and domains talk to each other: ABI, callback, IPIs, paravirtual disks."""

from typing import TYPE_CHECKING

from exitless.arch.xen.callback import Callback
from exitless.arch.xen.fifo import ControlBlock, EventArray, expand_array, init_control, set_priority
from exitless.arch.xen.ports import Errno, bind_interdomain, bind_ipi
from exitless.bits import units
from exitless.errors import ScenarioError
from exitless.mech.catalog import ROUTE_CHANNEL, ROUTE_DIRECT, ROUTE_POSTED
from exitless.scenario.files import near
from exitless.scenario.quantities import LONGEST_MEAN_PS, time_within, within
from exitless.scenario.schema import Device, Vm
from exitless.sim.chance import Stream
from exitless.sim.devices.front import Front
from exitless.sim.state import Domain, Role, Source, Vcpu
from exitless.sim.talking import Talk

if TYPE_CHECKING:
    from exitless.scenario.build import Maker

IPI_PORT = 512
PORTS = 4096


def one_of(value: str, known: list[str], where: str) -> str:
    """Check a word. Errors: ScenarioError with a near match."""
    if value not in known:
        raise ScenarioError(f'{where}: expected one of these words, got "{value}"{near(value, known)}')
    return value


def choose_events(domain: Domain, vm: Vm, where: str) -> None:
    """Give a domain the event-channel ABI that it asks for; FIFO needs words and a control block for each vCPU."""
    one_of(vm.callback, ["auto", "vector", "upcall"], f"{where}.callback")
    one_of(vm.ipi_by, ["auto", "apic", "event"], f"{where}.ipi_by")
    if one_of(vm.events, ["2-level", "fifo"], f"{where}.events") == "2-level":
        return
    domain.fifo = 1
    domain.words = EventArray(PORTS)
    while expand_array(domain.words) == Errno.NONE:
        pass
    for _ in range(vm.vcpus):
        block = ControlBlock()
        init_control(block, 0)
        domain.blocks.append(block)


def give_callback(maker: "Maker", vcpu: Vcpu, vm: Vm, where: str) -> None:
    """Let an HVM vCPU be told of events, if it is not yet: by the global vector or by one of its local APIC's."""
    cpu = vcpu.cpu
    if cpu.callback_style != Callback.NONE:
        return
    style = maker.mechanism.callback if vm.callback == "auto" else vm.callback
    cpu.callback_vector = within(vm.callback_vector, 16, 255, f"{where}.callback_vector")
    cpu.callback_style = Callback.UPCALL_VECTOR if style == "upcall" else Callback.VECTOR
    if cpu.callback_vector in maker.vectors_of(vcpu):
        raise ScenarioError(f"{where}.callback_vector: 0x{int(cpu.callback_vector):02x} is taken")


def add_ipi(maker: "Maker", vcpu: Vcpu, vm: Vm, where: str) -> None:
    """Let a vCPU send interprocessor interrupts to the others of its guest, and get theirs."""
    within(vm.vcpus, 2, 32, f"{where}.vcpus with ipi")
    by_event = vm.ipi_by == "event" or (vm.ipi_by == "auto" and maker.mechanism.route == ROUTE_CHANNEL)
    source = maker.add_source(vcpu, f"{maker.header.vcpus[vcpu.number]}.ipi")
    source.role = Role.IPI
    if by_event:
        give_callback(maker, vcpu, vm, where)
        source.port = IPI_PORT + vcpu.index
        bind_ipi(maker.channels[vm.name], source.port, vcpu.index)
    else:
        vector = within(vm.ipi_vector, 16, 255, f"{where}.ipi_vector")
        if vector in maker.vectors_of(vcpu) or vector == vcpu.cpu.callback_vector:
            raise ScenarioError(f"{where}.ipi_vector: 0x{vector:02x} is taken")
        source.vector = vector
    vcpu.ipi_source = source.number
    vcpu.talk_by = Talk.EVENT if by_event else Talk.APIC
    vcpu.talk_ps = time_within(vm.ipi, units.PS_PER_US, LONGEST_MEAN_PS, f"{where}.ipi")
    vcpu.chance = Stream(maker.seed, 400 + int(vcpu.number))
    maker.describe(source)


def choose_msi(maker: "Maker", source: Source, device: Device, where: str) -> None:
    """A device without mask bits has interrupts of type EOI; posted and direct ones never pass do_IRQ."""
    source.forgets = within(device.forgets, 0, 10**6, f"{where}.forgets")
    plain = one_of(device.msi, ["maskable", "plain"], f"{where}.msi") == "plain"
    if plain and maker.mechanism.route not in (ROUTE_POSTED, ROUTE_DIRECT):
        maker.machine.make_unmaskable(maker.machine.irqs[source.irq])


def ring_numbers(device: Device, where: str) -> list[tuple[int, int, int, int]]:
    """Return port, backend's port, queue and priority of each ring. Errors: ScenarioError."""
    count = len(device.ports)
    queues = device.disk_queues or list(range(count))
    priorities = device.priorities or [7] * count
    if not count or {len(device.back_ports), len(queues), len(priorities)} != {count}:
        raise ScenarioError(
            f"{where}: ports, back_ports, disk_queues and priorities must be of one length, got "
            f"{count}, {len(device.back_ports)}, {len(queues)}, {len(priorities)}"
        )
    return list(zip(device.ports, device.back_ports, queues, priorities, strict=True))


def add_vbd(maker: "Maker", device: Device, domain: Domain, vm: Vm, where: str) -> None:
    """Add a paravirtual disk: for each ring a source in the guest and one in dom0, tied to a queue of a controller."""
    m = maker.machine
    if domain.serves:
        raise ScenarioError(f'{where}.for: a vbd is for an hvm domain; "{vm.name}" is {vm.kind}')
    if device.backend not in maker.domains or not maker.domains[device.backend][0].serves:
        known = [name for name, (d, _) in maker.domains.items() if d.serves]
        raise ScenarioError(f'{where}.backend: no pv or pvh domain "{device.backend}"{near(device.backend, known)}')
    back_domain, back_vm = maker.domains[device.backend]
    for n, (port, back_port, queue, priority) in enumerate(ring_numbers(device, where)):
        real = f"{device.on}.{queue}"
        if real not in maker.header.sources or m.disk_of_source[maker.header.sources.index(real)] < 0:
            raise ScenarioError(f'{where}.on: no queue "{real}" of a disk controller that stands before this device')
        disk = m.disks[m.disk_of_source[maker.header.sources.index(real)]]
        back_vcpu = m.vcpus[m.sources[disk.source].vcpu]
        if disk.front >= 0 or back_vcpu.domain is not back_domain:
            raise ScenarioError(f'{where}.disk_queues: "{real}" serves another ring, or another domain')
        vcpu = m.vcpus[domain.first + n % domain.vcpus]
        give_callback(maker, vcpu, vm, where)
        front = Front(len(m.fronts), disk.number, len(m.sources), len(m.sources) + 1)
        m.fronts.append(front)
        disk.front = front.number
        back_vcpu.fronts.append(front.number)
        ends = ((vcpu, vm, port, back_port, Role.FRONT), (back_vcpu, back_vm, back_port, port, Role.BACK))
        for end, owner, mine, other, role in ends:
            source = maker.add_source(end, f"{device.name}.{n}" + (".back" if role == Role.BACK else ""))
            source.role, source.front = role, front.number
            key = "ports" if role == Role.FRONT else "back_ports"
            source.port = within(mine, 1, PORTS - 1, f"{where}.{key}")
            peer = (back_domain if role == Role.FRONT else domain).number
            if bind_interdomain(maker.channels[owner.name], source.port, peer, other) != Errno.NONE:
                raise ScenarioError(f'{where}.{key}: port {mine} of "{owner.name}" is taken')
            maker.describe(source)
        if domain.fifo:
            set_priority(domain.words, port, within(priority, 0, 15, f"{where}.priorities"))
