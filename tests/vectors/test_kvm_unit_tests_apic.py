"""What kvm-unit-tests' x86/apic.c expects of a local APIC, restated as steps and held against the rules."""

import json
from pathlib import Path
from typing import Any

import pytest

from exitless.arch.outcome import Access
from exitless.arch.x86.acceptance import Arrival, receive
from exitless.arch.x86.apic import Apic, Row
from exitless.arch.x86.destination import BusMessage, reaches
from exitless.arch.x86.icr import Sent
from exitless.arch.x86.lapic import acknowledge, deliverable, end_of_interrupt
from exitless.arch.x86.modes import write_base
from exitless.arch.x86.registers import Register, Touch, page_read, page_write, read_cr8, read_msr, write_cr8, write_msr
from exitless.arch.x86.timer import expire, read_deadline, write_deadline
from exitless.mech.oracle import Oracle, Step

DATA: dict[str, Any] = json.loads(Path(__file__).with_name("kvm_unit_tests_apic.json").read_text(encoding="utf-8"))
ROWS: list[dict[str, Any]] = DATA["rows"]
BITS = {"EN": 0x800, "EXTD": 0x400}


class Host:
    """Three processors on a bus; steps are the first one's, or that of ``id``."""

    def __init__(self, row: dict[str, Any]) -> None:
        self.me, self.now = row.get("id", 0), 0
        self.apics = [Apic(number, int(number == 0)) for number in range(3)]
        self.nmis = [0, 0, 0]
        for apic in self.apics:
            apic.core.svr = 0x1FF
            apic.has_x2apic = int(row.get("without") != "x2apic")
            for name, value in row.get("choices", {}).items():
                setattr(apic.choices, name, value)
            if "all" in row:
                assert write_base(apic, 0xFEE00000 | sum(BITS[bit] for bit in row["all"].split()), 0) == 0
        self.apic = self.apics[self.me]

    def access(self, row: str, value: int | None) -> tuple[str, int]:
        """Read or write a register in whatever mode there is. Returns: how it went, and what was read."""
        access, number = Register(), getattr(Row, row)
        access.bus = self.now
        access.low = value or 0
        if self.apic.x2apic:
            touch = read_msr if value is None else write_msr
            answer = touch(self.apic, 0x800 + number, access)
        else:
            answer = (page_read if value is None else page_write)(self.apic, 16 * number, 4, access)
        word = {Touch.ELSEWHERE: "elsewhere", Access.GENERAL_PROTECTION: "fault"}.get(answer, "ok")
        if access.sent == Sent.MESSAGE:
            self.deliver(access.message)
        return word, int(access.low)

    def deliver(self, message: BusMessage) -> None:
        """The bus hands a message to all whom it names."""
        for number, apic in enumerate(self.apics):
            if reaches(apic, message, number, self.me) and receive(apic, message) == Arrival.NMI:
                self.nmis[number] += 1

    def do(self, what: str, *words: Any) -> None:
        """One step, with what it must come to."""
        getattr(self, "do_" + what.replace(" ", "_"))(*words)

    def do_read(self, row: str, expected: str) -> None:
        went, value = self.access(row, None)
        if expected.startswith("& "):
            _, mask, _, low, _, high = expected.split()
            assert int(low, 16) <= value & int(mask, 16) <= int(high, 16)
        else:
            assert (went if went != "ok" else hex(value)) == expected, row

    def do_page(self, row: str, expected: str) -> None:
        answer = page_read(self.apic, 16 * getattr(Row, row), 4, Register())
        assert {Touch.ELSEWHERE: "elsewhere"}.get(answer, "ok") == expected

    def do_write(self, row: str, value: str, expected: str) -> None:
        assert self.access(row, int(value, 16))[0] == expected, (row, value)

    def do_base(self, words: str, expected: str) -> None:
        low, high = sum(BITS[word] for word in words.split() if word in BITS), 0
        low |= 0xFED40000 if "at" in words or "with" in words or "beyond" in words else 0xFEE00000
        low |= 1 if words.endswith("with bit 0") else 0
        high = 1 << self.apic.physical_bits - 32 if words.endswith("beyond the width") else 0
        answer = write_base(self.apic, low, high)
        assert ("fault" if answer == Access.GENERAL_PROTECTION else "ok") == expected, words

    def do_frame(self, expected: str) -> None:
        assert hex(self.apic.base) == expected

    def do_cr8(self, value: str, expected: str) -> None:
        answer = write_cr8(self.apic, int(value, 16), 0)
        assert ("fault" if answer == Access.GENERAL_PROTECTION else "ok") == expected

    def do_cr8_is(self, expected: str) -> None:
        assert hex(read_cr8(self.apic)) == expected

    def do_icr(self, low: str, target: str) -> None:
        if self.apic.x2apic:
            access = Register()
            access.low, access.high = int(low, 16), int(target, 16)
            assert write_msr(self.apic, 0x830, access) == 0
            if access.sent == Sent.MESSAGE:
                self.deliver(access.message)
            return
        self.access("ICR_HIGH", int(target, 16) << 24)
        self.access("ICR_LOW", int(low, 16))

    def do_took(self, number: int, vector: str, count: int) -> None:
        core, taken = self.apics[number].core, []
        while deliverable(core) >= 0:
            taken.append(hex(acknowledge(core)))
            end_of_interrupt(core)
        assert taken == [vector] * count

    def do_nmis(self, number: int, count: int) -> None:
        assert self.nmis[number] == count

    def do_wait(self, ticks: int) -> None:
        self.now += ticks
        expire(self.apic, self.now)

    def do_deadline(self, value: int) -> None:
        write_deadline(self.apic, value, 0, self.now)
        expire(self.apic, self.now)

    def do_deadline_is(self, expected: int) -> None:
        assert (read_deadline(self.apic, 0), read_deadline(self.apic, 1)) == (expected, 0)


@pytest.mark.parametrize("row", ROWS, ids=[f"{row['test']}-{n}" for n, row in enumerate(ROWS)])
def test_what_kvm_unit_tests_expects_of_a_local_apic(row: dict[str, Any]) -> None:
    """Every row of the data, step by step."""
    host = Host(row)
    for step in row["steps"]:
        host.do(*step)


def test_every_test_of_the_file_has_rows() -> None:
    """All of main() but the hypercall of KVM and what happens to NMIs in the core, which the tests below have."""
    assert {row["test"] for row in ROWS} == {
        "test_lapic_existence", "test_apic_id", "test_apic_disable", "test_enable_x2apic", "test_apicbase",
        "test_self_ipi", "test_physical_broadcast", "test_multiple_nmi", "test_apic_timer_one_shot",
        "test_apic_change_mode", "test_tsc_deadline_timer",
    }  # fmt: skip


def nmis_taken(sends: list[int]) -> int:
    """Let a guest take NMIs; ``sends`` says how many more arrive in its first handler, its second, and so on."""
    o = Oracle()
    assert o.enter() == Step.GOES_ON
    o.pending.nmi, taken = 1, 0
    while o.boundary() == Step.INTERRUPT:
        assert o.vector == 2
        more = sends[taken] if taken < len(sends) else 0
        taken += 1
        for _ in range(more):
            o.pending.nmi = 1
            assert o.boundary() == Step.GOES_ON, "NMIs are blocked in the handler"
        o.iret(0)
    return taken


def test_pending_nmi() -> None:
    """test_pending_nmi, test_multiple_nmi: NMIs that arrive in the handler of one become one more, however many."""
    assert nmis_taken([10]) == nmis_taken([1]) == 2
    assert nmis_taken([]) == 1


def test_sti_nmi() -> None:
    """test_sti_nmi: no NMI is taken between STI and the end of the instruction behind it; by choice, see the switch."""
    for chosen in (0, 1):
        o = Oracle()
        o.controls.choices.vmx_sti_blocks_nmi = chosen
        o.enter()
        o.sti()
        o.pending.nmi = 1
        assert o.boundary() == (Step.GOES_ON if chosen else Step.INTERRUPT)
        if chosen:
            o.nop()
            assert o.boundary() == Step.INTERRUPT
