"""What kvm-unit-tests' x86/ioapic.c expects of an I/O APIC and four local APICs, restated as steps, on the rules."""

import json
from pathlib import Path
from typing import Any

import pytest

from exitless.arch.choices import Choices
from exitless.arch.outcome import Accept
from exitless.arch.x86 import ioapic
from exitless.arch.x86.acceptance import receive
from exitless.arch.x86.apic import Apic
from exitless.arch.x86.destination import BusMessage, reaches
from exitless.arch.x86.lapic import acknowledge, broadcasts_eoi, deliverable, end_of_interrupt
from exitless.arch.x86.message import decode_compatible
from exitless.arch.x86.msi import to_bus
from exitless.bits.words import PACKED, has_bit

DATA: dict[str, Any] = json.loads(Path(__file__).with_name("kvm_unit_tests_ioapic.json").read_text(encoding="utf-8"))
ROWS: list[dict[str, Any]] = DATA["rows"]


class Board:
    """Four processors in xAPIC mode, flat logical IDs, and one I/O APIC; whatever can be sent is sent at once."""

    def __init__(self, row: dict[str, Any]) -> None:
        self.unit = ioapic.IoApic(0, 24)
        for name, value in row.get("choices", {}).items():
            setattr(self.unit.choices, name, value)
        self.apics = [Apic(number, int(number == 0)) for number in range(4)]
        for number, apic in enumerate(self.apics):
            apic.core.svr, apic.ldr = 0x1FF, 1 << 24 + number
        self.handler, self.flag, self.running = row["handler"], True, 0
        self.ran: list[list[str]] = [[], [], [], []]

    def settle(self) -> None:
        """Messages arrive, and with IF=1 every processor takes what it is given, one handler after the other."""
        while (pin := ioapic.next_to_send(self.unit, 0)) >= 0:
            message, bus = ioapic.message(self.unit, pin), BusMessage()
            to_bus(decode_compatible(message.address, message.data), Choices(), bus)
            named = [apic for number, apic in enumerate(self.apics) if reaches(apic, bus, number, -1)]
            answers = [receive(apic, bus) for apic in named]
            assert answers and set(answers) <= {Accept.ACCEPTED, Accept.MERGED}
            ioapic.accepted(self.unit, pin)
        for number, apic in enumerate(self.apics):
            while self.flag and deliverable(apic.core) >= 0:
                self.ran[number].append(hex(acknowledge(apic.core)))
                self.flag, self.running = False, number
                for step in self.handler:
                    self.handle(*step)
                self.flag = True
                self.settle()

    def handle(self, what: str, *words: Any) -> None:
        """One step of the handler; some belong to its first or its second run only."""
        count = len(self.ran[self.running])
        if what in ("first", "second"):
            if count != (1 if what == "first" else 2):
                return
            what, words = words[0], words[1:]
        self.do(what, *words)

    def do(self, what: str, *words: Any) -> None:
        """One step."""
        getattr(self, "do_" + what)(*words)
        self.settle()

    def do_redirect(self, pin: int, vector: str, trigger: str, target: int = 0, mode: str = "physical") -> None:
        ioapic.write_entry_high(self.unit, pin, target << 24)
        low = int(vector, 16) | (0x8000 if trigger == "level" else 0) | (0x800 if mode == "logical" else 0)
        ioapic.write_entry_low(self.unit, pin, low)

    def do_target(self, pin: int, target: int) -> None:
        ioapic.write_entry_high(self.unit, pin, target << 24)

    def do_mask(self, pin: int, masked: int) -> None:
        low = self.unit.entries[pin].low & ~0x10000
        ioapic.write_entry_low(self.unit, pin, low | masked << 16)

    def do_line(self, pin: int, level: int) -> None:
        ioapic.set_pin(self.unit, pin, level)

    def do_cli(self) -> None:
        self.flag = False

    def do_sti(self) -> None:
        self.flag = True

    def do_eoi(self) -> None:
        core = self.apics[self.running].core
        vector = end_of_interrupt(core)
        if broadcasts_eoi(core, vector):
            ioapic.end_of_interrupt(self.unit, vector)

    def do_ran(self, number: int, vectors: list[str]) -> None:
        assert self.ran[number] == vectors

    def do_tmr(self, vector: str, expected: int) -> None:
        assert has_bit(self.apics[self.running].core.tmr, 0, PACKED, int(vector, 16)) == bool(expected)

    def do_remote(self, pin: int, expected: int) -> None:
        assert self.unit.entries[pin].low >> 14 & 1 == expected

    def do_version(self, expected: str) -> None:
        self.unit.select = 1
        assert hex(ioapic.read_window(self.unit)) == expected

    def do_id(self, value: str) -> None:
        """Every bit of the ID can be written and read back, and no other."""
        self.unit.select = 0
        ioapic.write_window(self.unit, 0xFFFFFFFF)
        assert hex(ioapic.read_window(self.unit)) == value

    def do_arbitration(self, expected: str) -> None:
        self.unit.select = 2
        assert hex(ioapic.read_window(self.unit)) == expected
        ioapic.write_window(self.unit, 0)
        assert hex(ioapic.read_window(self.unit)) == expected, "it is read-only"


@pytest.mark.parametrize("row", ROWS, ids=[f"{row['test']}-{n}" for n, row in enumerate(ROWS)])
def test_what_kvm_unit_tests_expects_of_an_io_apic(row: dict[str, Any]) -> None:
    """Every row of the data, step by step."""
    board = Board(row)
    for step in row["steps"]:
        board.do(*step)


def test_every_test_of_the_file_has_rows() -> None:
    """All that main() calls."""
    assert len({row["test"] for row in ROWS}) == 19
    assert all(row["test"].startswith(("test_ioapic_", "ioapic_")) for row in ROWS)
