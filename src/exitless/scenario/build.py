"""Make a machine from a scenario and a mechanism: the only place that knows both."""

from exitless.arch.vtd.irte import Irte
from exitless.arch.x86.host_vectors import HostVector
from exitless.arch.xen.callback import Callback
from exitless.arch.xen.ports import Errno, EventChannels, bind_pirq, bind_virq
from exitless.arch.xen.vectors import FREE, VECTORS, assign_vector, is_reserved, owner_of
from exitless.arch.xen.vlapic_msrs import vlapic_msr_changed
from exitless.bits import units
from exitless.bits.words import PACKED, clear_bit, set_bit, shl
from exitless.errors import ScenarioError
from exitless.mech.catalog import ROUTE_CHANNEL, ROUTE_DIRECT, ROUTE_POSTED, Mechanism, find, make_delivery
from exitless.record.block import Header
from exitless.record.sinks import Sink
from exitless.scenario.costs import COST_NAMES, Preset
from exitless.scenario.disks import add_sas
from exitless.scenario.files import near
from exitless.scenario.nics import add_nic
from exitless.scenario.quantities import (
    LONGEST_PS,
    SEED_LIMIT,
    SHORTEST_PS,
    quantity,
    time_within,
    within,
)
from exitless.scenario.rated import add_load
from exitless.scenario.schema import Device, Scenario, Vm
from exitless.scenario.talking import add_ipi, add_vbd, choose_events, give_callback, one_of
from exitless.sim.machine import Machine
from exitless.sim.state import Domain, Irq, Scheduler, Softirq, Source, Vcpu
from exitless.vocab.exits import VMX_NAMES
from exitless.vocab.kinds import Owner, RunState

VIRQ_TIMER_PORT = 3
# One bit a pCPU in masks of one word.
MOST_PCPUS = 62
SCHEDULERS = {"credit2": Scheduler.CREDIT2, "credit": Scheduler.CREDIT}
KINDS = ["pv", "pvh", "hvm"]


class Built:
    """A machine ready to run, with what is needed to name what it does."""

    def __init__(
        self, machine: Machine, header: Header, preset: Preset, scenario: Scenario, mechanism: Mechanism
    ) -> None:
        self.machine = machine
        self.header = header
        self.preset = preset
        self.scenario = scenario
        self.mechanism = mechanism


def build(scenario: Scenario, name: str, mechanism_name: str, seed: int, length_ps: int, sinks: list[Sink]) -> Built:
    """Build the machine. Errors: ScenarioError for whatever cannot be, with its place."""
    mechanism = find(mechanism_name)
    assert mechanism is not None
    host = scenario.host
    clock = quantity(units.parse_frequency_hz, host.clock, "host.clock")
    within(clock, 10**8, 10**11, "host.clock in Hz")
    pcpus = within(host.pcpus, 1, MOST_PCPUS, "host.pcpus")
    within(seed, 0, SEED_LIMIT - 1, "the seed")
    preset = Preset(host.costs, clock, host.cost)
    machine = Machine(pcpus, sinks)
    for n, ps in enumerate(preset.ps):
        machine.costs[n] = ps
    machine.scheduler = SCHEDULERS[one_of(host.scheduler, list(SCHEDULERS), "host.scheduler")]
    machine.timeslice = time_within(host.timeslice, SHORTEST_PS, LONGEST_PS, "host.timeslice")
    machine.ratelimit = time_within(host.ratelimit, 0, LONGEST_PS, "host.ratelimit")
    machine.tick = time_within(host.tick, SHORTEST_PS, LONGEST_PS, "host.tick")
    machine.drops_limited = int(scenario.switches.drops_limited)
    machine.irq_ratelimit = within(host.irq_ratelimit, 0, 10**9, "host.irq_ratelimit in 10 ms")
    machine.posted_vector = HostVector.POSTED_NOTIFICATION
    machine.wakeup_vector = HostVector.POSTED_WAKEUP
    machine.rescan_pir = int(scenario.switches.rescan_pir)
    machine.idle_polls = int(scenario.switches.idle_polls)
    machine.assist_while_blocked = int(scenario.switches.assist_while_blocked)
    header = Header(
        title=scenario.title, scenario=name, mechanism=mechanism.name, seed=seed, length_ps=length_ps, pcpus=pcpus,
        costs=COST_NAMES, cost_origins=[f"{o}: {s}" for o, s in zip(preset.origins, preset.sources, strict=True)],
        exits=dict(VMX_NAMES), clock_hz=clock,
    )  # fmt: skip
    maker = Maker(machine, header, mechanism, seed)
    if not scenario.vm:
        raise ScenarioError("vm: a scenario needs at least one [[vm]]")
    for n, vm in enumerate(scenario.vm):
        maker.add_vm(vm, n)
    named = {v for device in scenario.device for v in device.host_vectors} | {
        load.host_vector for load in scenario.load
    }
    maker.keep(named)
    for n, device in enumerate(scenario.device):
        maker.add_device(device, f"device[{n}]")
    for n, load in enumerate(scenario.load):
        add_load(maker, load, f"load[{n}]")
    for n, move in enumerate(scenario.move):
        maker.add_move(move.vm, move.vcpu, move.to, move.at, f"move[{n}]")
    for n, offline in enumerate(scenario.offline):
        maker.add_offline(offline.pcpu, offline.at, f"offline[{n}]")
    maker.finish()
    return Built(machine, header, preset, scenario, mechanism)


class Maker:
    """Adds the parts of a scenario to a machine, one by one."""

    def __init__(self, machine: Machine, header: Header, mechanism: Mechanism, seed: int) -> None:
        self.machine = machine
        self.header = header
        self.mechanism = mechanism
        self.seed = seed
        self.kept: list[int] = []
        self.going: set[int] = set()
        self.domains: dict[str, tuple[Domain, Vm]] = {}
        self.channels: dict[str, EventChannels] = {}

    def add_vm(self, vm: Vm, number: int) -> None:
        """Add a domain with its vCPUs."""
        where = f"vm[{number}]"
        if vm.kind not in KINDS:
            raise ScenarioError(f'{where}.kind: no such kind "{vm.kind}"{near(vm.kind, KINDS)}')
        if vm.kind == "pvh" and self.mechanism.route == ROUTE_DIRECT:
            raise ScenarioError(f"{where}.kind: {self.mechanism.name} is for one guest beside a pv dom0, not a pvh one")
        if not vm.name:
            raise ScenarioError(f"{where}.name: expected a name, got an empty one")
        if vm.name in self.domains:
            raise ScenarioError(f'{where}.name: "{vm.name}" is there already')
        within(vm.vcpus, 1, 32, f"{where}.vcpus")
        if vm.pin and len(vm.pin) != vm.vcpus:
            raise ScenarioError(f"{where}.pin: expected one pCPU for each of {vm.vcpus} vCPUs, got {len(vm.pin)}")
        m = self.machine
        domain = Domain(number, int(vm.kind == "pv"))
        domain.serves = int(vm.kind != "hvm")
        domain.first, domain.vcpus = len(m.vcpus), vm.vcpus
        domain.weight = within(vm.weight, 1, 65535, f"{where}.weight")
        domain.cap = within(vm.cap, 0, 100 * vm.vcpus, f"{where}.cap in per cent of one pCPU")
        m.domains.append(domain)
        self.domains[vm.name] = (domain, vm)
        self.channels[vm.name] = EventChannels(4096)
        choose_events(domain, vm, where)
        for index in range(vm.vcpus):
            vcpu = Vcpu(
                len(m.vcpus), domain, index, make_delivery("injected" if domain.is_pv else self.mechanism.delivery)
            )
            vcpu.pcpu = within(vm.pin[index], 0, len(m.pcpus) - 1, f"{where}.pin") if vm.pin else index % len(m.pcpus)
            vcpu.pinned = vcpu.pcpu if vm.pin else -1
            vcpu.cpu.blocked = 0
            vcpu.runstate = RunState.RUNNABLE
            vcpu.cpu.state.interrupt_flag = 1
            m.vcpus.append(vcpu)
            m.home(vcpu, vcpu.pcpu)
            if domain.fifo:
                self.header.fifo.append(int(vcpu.number))
            self.header.vcpus.append(f"d{number}v{index}")
            self.header.owners.append(Owner.DOM0 if domain.serves else Owner.GUEST)
            if domain.is_pv:
                vcpu.cpu.callback_style = Callback.VECTOR
                continue
            self.control(vcpu, vm, where)
            if vm.kind == "pvh":
                give_callback(self, vcpu, vm, where)
            else:
                self.equip(vcpu, vm, where)

    def control(self, vcpu: Vcpu, vm: Vm, where: str) -> None:
        """Give a vCPU that runs by VM entry its controls, as the mechanism wants them."""
        cpu = vcpu.cpu
        c = cpu.controls
        row = self.mechanism
        c.use_tpr_shadow = 1
        c.virtualize_apic_accesses = int(row.route != ROUTE_DIRECT)
        c.apic_register_virtualization = row.registers
        if row.delivery in ("virtual", "posted"):
            c.virtual_interrupt_delivery = 1
            cpu.has_vid = 1
        if row.delivery == "posted":
            c.process_posted_interrupts = 1
            c.notification_vector = HostVector.POSTED_NOTIFICATION
            cpu.pid.nv = HostVector.POSTED_NOTIFICATION
            cpu.pid.ndst = vcpu.pcpu
            cpu.has_posting = 1
            cpu.has_hooks = int(row.route == ROUTE_POSTED)
        if row.route == ROUTE_DIRECT:
            c.ext_int_exiting = 0
        elif one_of(vm.apic, ["xapic", "x2apic"], f"{where}.apic") == "x2apic":
            cpu.x2apic = 1
            vlapic_msr_changed(c, 1)

    def equip(self, vcpu: Vcpu, vm: Vm, where: str) -> None:
        """Give an HVM vCPU its timer and what it talks by."""
        cpu = vcpu.cpu
        row = self.mechanism
        vcpu.busy = int(vm.busy)
        source = self.add_source(vcpu, f"{self.header.vcpus[vcpu.number]}.timer")
        vcpu.timer_source = source.number
        vcpu.period = time_within(vm.tick, SHORTEST_PS, LONGEST_PS, f"{where}.tick")
        if vm.timer not in ("auto", "apic", "event"):
            raise ScenarioError(f'{where}.timer: no such timer "{vm.timer}"{near(vm.timer, ["auto", "apic", "event"])}')
        callback = within(vm.callback_vector, 16, 255, f"{where}.callback_vector")
        timer = within(vm.timer_vector, 16, 255, f"{where}.timer_vector")
        if timer == callback:
            raise ScenarioError(f"{where}.timer_vector: 0x{timer:02x} is also the callback_vector")
        if row.route == ROUTE_CHANNEL or vm.timer == "event":
            give_callback(self, vcpu, vm, where)
        if vm.timer == "event" or (vm.timer == "auto" and row.route == ROUTE_CHANNEL):
            source.port = VIRQ_TIMER_PORT + vcpu.index
            bind_virq(self.channels[vm.name], source.port, 0, vcpu.index)
        else:
            source.vector = timer
            cpu.timer_vector = source.vector
        self.describe(source)
        vcpu.timer_at = vcpu.period * (vcpu.number + 1) // (vcpu.number + 2)
        if vm.ipi:
            add_ipi(self, vcpu, vm, where)

    def add_source(self, vcpu: Vcpu, name: str) -> Source:
        """Add an interrupt source for a vCPU; every source has a name of its own."""
        m = self.machine
        if name in self.header.sources:
            raise ScenarioError(f'there are two interrupt sources called "{name}"')
        source = Source(len(m.sources), vcpu.number)
        m.sources.append(source)
        vcpu.sources.append(source.number)
        m.queue_of_source.append(-1)
        m.disk_of_source.append(-1)
        self.header.sources.append(name)
        self.header.source_vcpu.append(vcpu.number)
        self.header.source_vector.append(-1)
        self.header.source_host_vector.append(-1)
        self.header.source_port.append(-1)
        return source

    def describe(self, source: Source) -> None:
        """Tell the header which vectors and port a source has ended up with."""
        n = source.number
        vcpu = self.machine.vcpus[source.vcpu]
        if source.port >= 0:
            self.header.source_port[n] = source.port
        if source.port < 0 or not vcpu.domain.is_pv:
            self.header.source_vector[n] = vcpu.cpu.callback_vector if source.port >= 0 else source.vector
        if source.irq >= 0:
            irq = self.machine.irqs[source.irq]
            self.header.source_host_vector[n] = -1 if self.is_posted(source) else irq.vector

    def is_posted(self, source: Source) -> bool:
        """Tell whether a source's remapping entry is in posted format."""
        return source.index >= 0 and self.machine.remapper.table[source.index].im != 0

    def keep(self, vectors: set[int]) -> None:
        """Keep host vectors that the scenario names from being chosen for devices that come before, until the start."""
        self.kept = [v for v in vectors if 0 < v < VECTORS]
        for vector in self.kept:
            set_bit(self.machine.vectors.shared, 0, PACKED, vector)

    def add_irq(self, source: Source, vector: int, pcpu: int, where: str) -> None:
        """Give a device source a host vector on a pCPU and a remapping-table entry.

        ``vector`` 0 leaves the choice to Xen's assign_irq_vector. Errors: ScenarioError
        """
        m = self.machine
        within(pcpu, 0, len(m.pcpus) - 1, f"{where}.pcpus")
        irq = Irq(len(m.irqs), source.number)
        if vector:
            within(vector, 0x20, 0xEF, f"{where}.host_vectors")
            if is_reserved(vector) and self.mechanism.route != ROUTE_DIRECT:
                raise ScenarioError(f"{where}.host_vectors: 0x{vector:02x} is Xen's own, which no device gets")
            if owner_of(m.vectors, pcpu, vector) != FREE:
                raise ScenarioError(f"{where}.host_vectors: 0x{vector:02x} is taken on pCPU{pcpu}")
            m.place(irq, pcpu, vector)
        elif assign_vector(m.vectors, irq, shl(1, pcpu)) != 0:
            raise ScenarioError(f"{where}.host_vectors: pCPU{pcpu} has no vector left for another device")
        m.irqs.append(irq)
        source.irq = irq.number
        entry = Irte()
        entry.p, entry.vector, entry.dst = 1, irq.vector, pcpu
        source.index = len(m.remapper.table)
        m.remapper.table.append(entry)

    def owner(self, device: Device, where: str) -> tuple[Domain, Vm]:
        """Find the domain a device belongs to."""
        if device.owner not in self.domains:
            raise ScenarioError(f'{where}.for: no vm "{device.owner}"{near(device.owner, list(self.domains))}')
        return self.domains[device.owner]

    def add_device(self, device: Device, where: str) -> None:
        """Add a NIC or a disk controller."""
        domain, vm = self.owner(device, where)
        if device.kind == "nic":
            if domain.serves:
                raise ScenarioError(f'{where}.for: a NIC is passed through to an hvm domain; "{vm.name}" is {vm.kind}')
            add_nic(self, device, domain, vm, where)
        elif device.kind == "sas":
            if not domain.serves:
                raise ScenarioError(f'{where}.for: the SAS controller belongs to a pv or pvh dom0; "{vm.name}" is hvm')
            add_sas(self, device, domain, vm, where)
        elif device.kind == "vbd":
            add_vbd(self, device, domain, vm, where)
        else:
            kinds = ["nic", "sas", "vbd"]
            raise ScenarioError(f'{where}.kind: no such kind "{device.kind}"{near(device.kind, kinds)}')

    def vectors_of(self, vcpu: Vcpu) -> list[int]:
        """Return the guest vectors that sources of a vCPU have."""
        return [int(s.vector) for s in self.machine.sources if s.vcpu == vcpu.number and s.vector]

    def bind(self, source: Source, port: int, vm: Vm, vcpu: Vcpu, where: str) -> None:
        """Bind a device's interrupt to an event channel that must be free."""
        source.port = within(port, 1, 4095, f"{where}.ports")
        if bind_pirq(self.channels[vm.name], port, source.irq, vcpu.index) != Errno.NONE:
            raise ScenarioError(f'{where}.ports: port {port} of "{vm.name}" is taken')

    def add_move(self, vm_name: str, index: int, to: int, at: str, where: str) -> None:
        """Plan a move of a vCPU."""
        if vm_name not in self.domains:
            raise ScenarioError(f'{where}.vm: no vm "{vm_name}"{near(vm_name, list(self.domains))}')
        domain, _ = self.domains[vm_name]
        within(index, 0, domain.vcpus - 1, f"{where}.vcpu")
        within(to, 0, len(self.machine.pcpus) - 1, f"{where}.to")
        vcpu = self.machine.vcpus[domain.first + index]
        self.machine.schedule_move(vcpu, to, time_within(at, 0, LONGEST_PS, f"{where}.at"))

    def add_offline(self, pcpu: int, at: str, where: str) -> None:
        """Plan that a pCPU goes offline."""
        m = self.machine
        if self.mechanism.route == ROUTE_DIRECT:
            raise ScenarioError(
                f"{where}: {self.mechanism.name} ties vectors to the guest's own numbers; no pCPU can go"
            )
        if pcpu == 0:
            raise ScenarioError(f"{where}.pcpu: pCPU0 cannot go offline; Xen refuses")
        within(pcpu, 1, len(m.pcpus) - 1, f"{where}.pcpu")
        if pcpu in self.going:
            raise ScenarioError(f"{where}.pcpu: pCPU{pcpu} goes offline already")
        self.going.add(pcpu)
        m.schedule_offline(pcpu, time_within(at, 0, LONGEST_PS, f"{where}.at"))

    def finish(self) -> None:
        """Start the host: every vCPU is runnable and waits; every pCPU is asked to schedule."""
        m = self.machine
        for vector in self.kept:
            clear_bit(m.vectors.shared, 0, PACKED, vector)
        m.start_scheduler()
        for pcpu in m.pcpus:
            m.raise_softirq(pcpu, Softirq.TIMER)
            m.raise_softirq(pcpu, Softirq.SCHEDULE)
            m.send(pcpu.number, 0, 0)
