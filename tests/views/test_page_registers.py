"""The registers that the page shows: every bit is what rows prove, and unknown until they do."""

from typing import Any

import pytest

from exitless.record.block import Header, Record
from exitless.scenario import load, prepare
from exitless.study.registers import ALL, Change, Field, registers
from exitless.vocab.kinds import Kind, Owner


def replay(*rows: tuple[int, int, int, int], origin: str = "xen trace") -> list[Change]:
    """Return the changes of vCPU 0 after rows ``(time, kind, a, b)``; source 0 is a timer, 1 is delivered directly."""
    header = Header(origin=origin, vcpus=["d1v0"], owners=[Owner.GUEST], sources=["d1v0.timer", "nic"])
    header.source_vcpu, header.source_vector, header.source_host_vector = [0, 0], [0xEC, 0x90], [-1, 0x90]
    record = Record(header)
    for time, kind, a, b in rows:
        record.add(time, kind, 0, 0, a, b)
    return registers(record, 0, 10**9)[0].changes


def last(changes: list[Change], field: int) -> tuple[int, int]:
    """Return a field's last value and what of it is known."""
    found = [c for c in changes if c.field == field][-1]
    return found.value, found.known


def test_a_recording_begins_unknown_and_a_simulation_from_time_0_clear() -> None:
    rows = ((5, Kind.RVI_WRITE, 0x40, 0),)
    assert last(replay(*rows), Field.REQUEST) == (0, 0)
    assert last(replay((0, Kind.RVI_WRITE, 0x40, 0), origin="simulated"), Field.REQUEST) == (0, ALL)
    assert last(replay(*rows, origin="simulated"), Field.REQUEST) == (0, 0)


def test_processing_proves_what_is_above_rvi_clear_and_pir_empty() -> None:
    changes = replay((5, Kind.PID_POST, 0x80, 1), (9, Kind.PID_PROCESS, 0xF4, 0x90))
    assert last(changes, Field.PIR) == (0, ALL)
    value, known = last(changes, Field.REQUEST)
    assert value == 2**0x80 | 2**0x90
    assert known == ALL & ~(2**0x90 - 1) | 2**0x90 | 2**0x80
    assert last(changes, Field.ON)[0] == 0 and last(changes, Field.RVI)[0] == 0x90


def test_a_delivery_with_no_rvi_after_it_proves_every_request_clear() -> None:
    changes = replay((5, Kind.RVI_WRITE, 0, 0x80), (9, Kind.IRQ_DELIVER, 0x80, 0))
    assert last(changes, Field.REQUEST) == (0, ALL)
    assert last(changes, Field.SERVICE) == (2**0x80, ALL & ~(2**0x80 - 1))


def test_an_end_uncovers_the_one_below_only_where_all_between_is_known() -> None:
    nested = [
        (0, Kind.RVI_WRITE, 0, 0x31), (1, Kind.IRQ_REQUEST, 0x31, 0), (2, Kind.IRQ_DELIVER, 0x31, 0),
        (3, Kind.IRQ_REQUEST, 0x80, 0), (4, Kind.IRQ_DELIVER, 0x80, 0), (5, Kind.IRQ_EOI, 0x80, 0),
    ]  # fmt: skip
    assert last(replay(*nested, origin="simulated"), Field.SVI)[0] == 0x31
    assert last(replay(*nested), Field.SVI)[0] == 0x31
    assert last(replay(*nested, (6, Kind.IRQ_EOI, 0x31, 0)), Field.SVI)[0] == -1
    assert last(replay(*nested, (6, Kind.IRQ_EOI, 0x31, 0), origin="simulated"), Field.SVI)[0] == 0


def test_an_end_without_its_vector_is_unknown_unless_all_is_known() -> None:
    rows = ((0, Kind.RVI_WRITE, 0, 0x80), (1, Kind.IRQ_REQUEST, 0x80, 0), (2, Kind.IRQ_DELIVER, 0x80, 0),
            (3, Kind.IRQ_EOI, -1, 1))  # fmt: skip
    assert last(replay(*rows), Field.SERVICE) == (0, 0)
    assert last(replay(*rows, origin="simulated"), Field.SERVICE) == (0, ALL)


def test_a_vector_of_the_host_and_the_guest_comes_past_the_virtual_apic() -> None:
    rows = ((0, Kind.RVI_WRITE, 0, 0), (2, Kind.IRQ_DELIVER, 0x90, 0), (3, Kind.IRQ_EOI, 0x90, 0))
    changes = replay(*rows, origin="simulated")
    assert all(
        last(changes, field)[0] == 0 for field in (Field.PIR, Field.REQUEST, Field.SERVICE, Field.RVI, Field.SVI)
    )


def test_the_same_vector_is_in_the_emulated_apic_while_it_is_injected() -> None:
    """A vCPU that did not run gets its device's vector by injection, and its EOI exits."""
    rows = [(0, Kind.IRQ_REQUEST, 0x90, 0), (2, Kind.IRQ_INJECT, 0x90, 2), (3, Kind.IRQ_EOI, 0x90, 1)]
    assert last(replay(*rows[:1], rows[1], origin="simulated"), Field.SERVICE) == (2**0x90, ALL)
    for field in (Field.REQUEST, Field.SERVICE):
        assert last(replay(*rows, origin="simulated"), field) == (0, ALL)


def test_a_fired_timers_request_is_unknown_until_a_row_shows_it() -> None:
    """No row tells when its vector enters VIRR: after the deadline the bit may be 0 or 1."""
    fired = ((0, Kind.RVI_WRITE, 0, 0), (2, Kind.TIMER_FIRE, 0, 0))
    assert last(replay(*fired, origin="simulated"), Field.REQUEST) == (0, ALL & ~(2**0xEC))
    written = (*fired, (3, Kind.RVI_WRITE, 0, 0xEC))
    assert last(replay(*written, origin="simulated"), Field.REQUEST) == (2**0xEC, ALL)
    delivered = replay(*written, (4, Kind.IRQ_DELIVER, 0xEC, 0x80), origin="simulated")
    assert last(delivered, Field.REQUEST) == (2**0x80, ALL) and last(delivered, Field.RVI)[0] == 0x80


@pytest.mark.parametrize("mechanism", ["apicv", "posted", "vtd-posted"])
def test_rvi_is_what_the_simulator_wrote_at_every_entry(mechanism: str) -> None:
    """``vm.entry`` rows carry RVI as the machine had it; the replay does not read them."""
    scenario, name = load("mail", [])
    sinks: list[Any] = []
    built = prepare(scenario, name, mechanism, None, 5_000_000_000, sinks)
    record = Record(built.header)
    sinks.append(record)
    built.machine.run(5_000_000_000)
    built.machine.columns.flush()
    (vcpu,) = [n for n, owner in enumerate(built.header.owners) if owner == Owner.GUEST]
    changes = [c for c in registers(record, 0, 5_000_000_000)[vcpu].changes if c.field == Field.RVI]
    entries = [e for e in record if e.kind == Kind.VM_ENTRY and e.vcpu == vcpu]
    assert len(entries) > 50 and any(e.b for e in entries)
    for e in entries:
        before = [c.value for c in changes if c.time < e.time_ps][-1:]
        assert e.b in before + [c.value for c in changes if c.time == e.time_ps], e
