"""The oracle in bulk: what each operation of a batch comes to is what the naive guest does with it, one by one."""

from random import Random

import pytest

from exitless.mech.batch import Batch
from exitless.mech.happenings import DO
from exitless.mech.oracle import Step
from tests.naive import both
from tests.naive.apicv import ACTIVE, VIRR, VTPR
from tests.naive.guest import Answer, Guest
from tests.naive.twin import Twins

STEPS = {
    "goes on": Step.GOES_ON, "exit": Step.EXIT, "fault": Step.FAULT, "halted": Step.HALTED, "failed": Step.FAILED,
    "invalid state": Step.EXIT, "real": Step.PHYSICAL,
}  # fmt: skip
NAMES = ["RD", "WR", "WR", "WR", "OR", "RDMSR", "WRMSR", "WRMSR", "WCR8", "RCR8", "STI", "STIHLT", "POST", "IPI", "CLI"]
NAMES += ["NOP", "MOVSS", "STIWCR8", "VMCALL", "HGIS"]
CONTROLS = {"TPRS", "SEC", "EXTINT", "ACK", "MSRB", "PI", "VID"}


class ByHand:
    """One operation after the other on the naive guest: what a batch says, said slowly."""

    def __init__(self, guest: Guest) -> None:
        self.guest, self.steps = guest, 0

    def took(self, answer: Answer) -> Answer:
        """Count a step and keep what it brought."""
        self.steps += 1
        if answer[0] == "exit":
            self.reason = answer[1]
        elif answer[0] == "interrupt":
            self.vector = answer[1]
        return answer

    def settle(self) -> None:
        """Boundaries without end."""
        while self.guest.inside and self.took(self.guest.next_event())[0] not in ("goes on", "halted"):
            pass

    def perform(self, name: str, offset: int, size: int, value: int) -> tuple[object, ...]:
        """One row: answer, reason, vector, what was read."""
        g = self.guest
        self.reason, self.vector = -1, -1
        if not g.inside:
            answer = self.took(g.enter())
            if not g.inside:
                return (*self.row(answer[0]), 0)
            self.settle()
        if name in ("POST", "IPI"):
            vector = value
            if name == "POST":
                g.descriptor.pir |= 1 << value if value else 0
                g.descriptor.on, vector = 1, g.anv
            g.apic.accept(vector & 255, False)
        elif name.startswith("STI") and g.activity == ACTIVE:
            g.sti()
            self.took(("goes on",))
            self.settle()
        if not g.inside:
            return (*self.row("exit"), 0)
        if g.activity != ACTIVE:
            self.settle()
            return (*self.row("halted"), 0)
        answer = self.took(self.instruction(name, offset, size, value))
        if name == "HGIS":
            g.rvi, g.svi = value & 255, value >> 8
        self.settle()
        return (*self.row(answer[0]), answer[1] if answer[0] == "goes on" and len(answer) == 2 else 0)

    def row(self, word: object) -> tuple[object, ...]:
        """The columns but for what was read."""
        return STEPS[str(word)], self.reason, self.vector

    def instruction(self, name: str, offset: int, size: int, value: int) -> Answer:
        """The instruction of an operation."""
        g = self.guest
        if name == "CLI":
            return g.execute(lambda: g.load_flag(False))
        if name in ("VMCALL", "HGIS"):
            return g.leave(18)
        if name == "MOVSS":
            g.mov_ss()
            return ("goes on",)
        doing = {
            "RD": lambda: g.read(offset, size), "WR": lambda: g.write(offset, size, value),
            "OR": lambda: g.set_bits(offset, size, value), "RDMSR": lambda: g.read_msr(offset),
            "WRMSR": lambda: g.write_msr(offset, value), "RCR8": g.read_cr8, "WCR8": lambda: g.write_cr8(value),
            "STIWCR8": lambda: g.write_cr8(value), "HLT": g.hlt, "STIHLT": g.hlt,
        }  # fmt: skip
        return doing.get(name, lambda: g.execute(lambda: None))()


def operation(r: Random) -> tuple[str, int, int, int]:
    """An operation by chance."""
    name = r.choice(NAMES)
    vector = r.choice([0x0F, 0x31, 0x41, 0x51, 0xC1, r.randrange(256)])
    if name in ("RDMSR", "WRMSR"):
        return name, r.choice([0x08, 0x0B, 0x3F, 0x02]), 4, r.choice([0, vector])
    offset = r.choice([0x080, 0x0B0, 0x300, 0x0A0, 0x200])
    value = 0x40000 | vector if offset == 0x300 and name == "WR" else vector
    return name, offset, r.choice([1, 4]), r.randrange(16) if name in ("WCR8", "STIWCR8") else value


@pytest.mark.parametrize("seed", range(24))
def test_a_batch_says_what_happens_one_by_one(seed: int) -> None:
    r, twins = Random(seed), Twins()
    twins.program(CONTROLS | ({"VX2"} if seed % 2 else {"VAA"}) | ({"REG"} if seed % 3 else set()))
    g = twins.guest
    g.interrupt_flag, g.anv, g.rvi = bool(seed % 2), 0xF2, 0x31
    g.put(VTPR, 16 * (seed % 8))
    g.set_array(VIRR, 1 << 0x31)
    g.eoi_exit_bitmap = r.getrandbits(256)
    if seed == 5:
        g.activity = 7
    if seed == 7:
        g.anv = 0x1F2
    twins.load()
    rows = [operation(r) for _ in range(300)]
    batch, hand = Batch(twins.oracle), ByHand(g)
    batch.extend(rows)
    steps = batch.run()
    expected = [hand.perform(*row) for row in rows]
    read = [high << 32 | low for low, high in zip(batch.low, batch.high, strict=True)]
    got = list(zip(batch.answer, batch.reason, batch.vector, read, strict=True))
    if seed == 5:
        expected = [(answer, 33, vector, read) for answer, _, vector, read in expected]
    for i, (one, other) in enumerate(zip(got, expected, strict=True)):
        assert one == other, f"operation {i}, {rows[i]}"
    assert steps == hand.steps
    assert both.brief(twins.oracle.vapic) == both.naive_brief(g)


def test_a_batch_can_be_run_again_and_goes_on_from_where_it_was() -> None:
    twins = Twins()
    twins.program(CONTROLS | {"VAA"})
    twins.guest.anv = 0xF2
    twins.load()
    batch = Batch(twins.oracle)
    batch.add("WR", 0x300, 4, 0x40051)
    batch.add("STI")
    batch.run()
    assert list(batch.vector) == [-1, 0x51]
    batch.run()
    assert list(batch.vector) == [-1, -1], "0x51 is in service still"
    assert twins.oracle.vapic.svi == 0x51


def test_an_operation_that_is_not_there_is_named() -> None:
    with pytest.raises(ValueError, match='there is no operation "RDD"; there are NOP, RD, '):
        Batch(Twins().oracle).add("RDD")
    assert len(DO) == 23
