"""A scenario's ``[[load]]`` tables: a guest's work by rates, and the device that brings it."""

from typing import TYPE_CHECKING

from exitless.bits import units
from exitless.errors import ScenarioError
from exitless.mech.catalog import ROUTE_CHANNEL, ROUTE_DIRECT, ROUTE_POSTED
from exitless.scenario.files import near
from exitless.scenario.quantities import LONGEST_MEAN_PS, quantity, time_within, within
from exitless.scenario.schema import Load as LoadTable
from exitless.sim.state import Event, Source
from exitless.sim.workload import Load

if TYPE_CHECKING:
    from exitless.scenario.build import Maker

FIRST_STREAM = 1000
STREAMS = 5
HIGHEST_HZ = 1_000_000


def gap_of(text: str, low: int, where: str) -> int:
    """Turn a rate into the mean time between two, in ps; 0 for a rate of 0."""
    hz = within(quantity(units.parse_frequency_hz, text, where), low, HIGHEST_HZ, f"{where} in Hz")
    return units.PS_PER_S // hz if hz else 0


def make_load(table: LoadTable, vcpu: int, source: int, seed: int, number: int, where: str) -> Load:
    """Turn rates into mean lengths of work. Errors: ScenarioError."""
    load = Load(vcpu, source, seed, FIRST_STREAM + STREAMS * number)
    load.gap = gap_of(table.interrupts, 1, f"{where}.interrupts")
    load.apart = time_within(table.apart, 0, LONGEST_MEAN_PS, f"{where}.apart")
    load.mean = time_within(table.work, 1000, LONGEST_MEAN_PS, f"{where}.work")
    if load.apart > load.gap:
        raise ScenarioError(
            f"{where}.apart: {table.interrupts} cannot be {table.apart} apart; their mean distance is shorter"
        )
    if load.mean >= load.gap:
        raise ScenarioError(
            f"{where}.work: interrupts of {table.interrupts} that leave {table.work} each are more than one vCPU can do"
        )
    for key, text in (("calls", table.calls), ("exceptions", table.exceptions)):
        gap = gap_of(text, 0, f"{where}.{key}")
        between = within(gap * int(load.mean) // int(load.gap), 0, LONGEST_MEAN_PS, f"the work between {where}.{key}")
        if key == "calls":
            load.call_gap = between
        else:
            load.trap_gap = between
    off = within(table.off, 0, 90, f"{where}.off in per cent")
    section = time_within(table.section, 1000, LONGEST_MEAN_PS // 100, f"{where}.section")
    if off:
        load.off, load.on = section, section * (100 - off) // off
    load.start()
    return load


def route(maker: "Maker", table: LoadTable, source: Source, where: str) -> None:
    """Give the device's source a host vector and the mechanism's route to the guest."""
    _, vm = maker.domains[table.owner]
    vcpu = maker.machine.vcpus[source.vcpu]
    row = maker.mechanism
    vector = within(0x38 if row.placement == "guest-below" else table.vector, 16, 255, f"{where}.vector")
    if vector in (vcpu.cpu.timer_vector, vcpu.cpu.callback_vector) or vector in maker.vectors_of(vcpu):
        raise ScenarioError(f"{where}.vector: 0x{vector:02x} is taken in {maker.header.vcpus[vcpu.number]}")
    maker.add_irq(source, vector if row.route == ROUTE_DIRECT else table.host_vector, int(vcpu.pcpu), where)
    if row.route == ROUTE_CHANNEL:
        maker.bind(source, table.port, vm, vcpu, where)
        return
    source.vector = vector
    if row.route == ROUTE_POSTED:
        entry = maker.machine.remapper.table[source.index]
        entry.im, entry.vector, entry.dst = 1, vector, 0


def add_load(maker: "Maker", table: LoadTable, where: str) -> None:
    """Add a load to a machine that is being built. Errors: ScenarioError."""
    if table.owner not in maker.domains:
        raise ScenarioError(f'{where}.for: no vm "{table.owner}"{near(table.owner, list(maker.domains))}')
    domain, vm = maker.domains[table.owner]
    if domain.serves:
        raise ScenarioError(f'{where}.for: a load belongs to an hvm domain; "{vm.name}" is {vm.kind}')
    within(table.vcpu, 0, int(domain.vcpus) - 1, f"{where}.vcpu")
    m = maker.machine
    vcpu = m.vcpus[int(domain.first) + table.vcpu]
    source = maker.add_source(vcpu, table.name)
    number = len(m.loads)
    load = make_load(table, int(vcpu.number), int(source.number), maker.seed, number, where)
    m.loads.append(load)
    route(maker, table, source, where)
    maker.describe(source)
    m.calendar.push(load.next_arrival(), Event.ARRIVAL, vcpu.number, number)
