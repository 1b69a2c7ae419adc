"""The whole local APIC against a slow one, over any sequence of messages, register accesses, time and modes."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from exitless.arch.outcome import Accept, Access
from exitless.arch.x86.acceptance import Arrival
from exitless.arch.x86.apic import Apic
from exitless.arch.x86.icr import Sent
from exitless.arch.x86.lapic import accept, acknowledge, deliverable
from exitless.arch.x86.lvt import Lvt, local_event, set_pin
from exitless.arch.x86.modes import write_base
from exitless.arch.x86.registers import Register, page_read, page_write, read_msr, write_cr8, write_eoi, write_msr
from exitless.arch.x86.timer import NOTHING_DUE, expire, next_deadline, write_deadline
from tests.naive.lapic import GeneralProtection, NaiveApic

ROWS = [0x02, 0x03, 0x08, 0x09, 0x0A, 0x0B, 0x0C, 0x0D, 0x0E, 0x0F, *range(0x10, 0x28), 0x28, 0x2F]
ROWS += [*range(0x30, 0x3A), 0x3E]
NAMES = {
    Lvt.CMCI: "cmci", Lvt.THERMAL: "thermal", Lvt.PERFMON: "perfmon", Lvt.LINT0: "lint0", Lvt.LINT1: "lint1",
}  # fmt: skip
ANSWERS = {
    Accept.DROPPED: "dropped", Accept.ACCEPTED: "accepted", Accept.MERGED: "merged", Accept.ILLEGAL: "illegal",
    Arrival.NMI: "nmi", Arrival.SMI: "smi", Arrival.INIT: "init", Arrival.EXTINT: "extint",
    Arrival.IGNORED: "ignored", Arrival.MASKED: "masked",
}  # fmt: skip
vectors = st.sampled_from([0x00, 0x0F, 0x10, 0x1F, 0x30, 0x31, 0x3F, 0x80, 0xEF, 0xF0, 0xFF]) | st.integers(0, 255)
words = st.integers(0, 0xFFFFFFFF)
icrs = st.builds(
    lambda vector, mode, logical, short, other: vector | mode << 8 | logical << 11 | short << 18 | other,
    vectors, st.integers(0, 7), st.integers(0, 1), st.integers(0, 3), st.sampled_from([0, 0x4000, 0x1000, 0xC000]),
)  # fmt: skip
entries = st.builds(
    lambda vector, mode, rest: vector | mode << 8 | rest,
    vectors, st.sampled_from([0, 0, 2, 4, 5, 7]),
    st.sampled_from([0, 0, 0x8000, 0x8000, 0xA000, 0xC000, 0x10000, 0x1000, 0x2000, 0x20000]),
)  # fmt: skip


class Whole(RuleBasedStateMachine):
    """A local APIC, twice."""

    @initialize(number=st.sampled_from([0, 5, 0x13, 0x1F7, 0x12345]))
    def start(self, number: int) -> None:
        self.apic, self.naive = Apic(number, 0), NaiveApic(number)
        self.access = Register()
        self.sent: list[tuple[int, int, int, int, int]] = []
        self.now = 0

    def collect(self) -> None:
        """Note what the package has put on its way."""
        if self.access.sent == Sent.MESSAGE:
            m = self.access.message
            self.sent.append((m.vector, m.delivery, m.logical, m.destination, m.shorthand))

    def put(self, row: int, value: int) -> None:
        """Write one register in whatever mode there is."""
        self.access.low, self.access.high, self.access.bus = value & 0xFFFFFFFF, value >> 32, self.now
        if self.naive.enabled and not self.naive.extended:
            self.access.high = 0
            assert page_write(self.apic, row * 16, 4, self.access) == 0
            self.naive.write(row, value & 0xFFFFFFFF)
        else:
            answer = write_msr(self.apic, 0x800 + row, self.access)
            try:
                self.naive.write_msr(row, value)
                assert answer == 0
            except GeneralProtection:
                assert answer == Access.GENERAL_PROTECTION
        self.collect()

    @rule(vector=vectors, level=st.booleans())
    def message(self, vector: int, level: bool) -> None:
        assert ANSWERS[accept(self.apic.core, vector, int(level))] == self.naive.accept(vector, level)

    @rule()
    def interrupt_acknowledged(self) -> None:
        assert acknowledge(self.apic.core) == self.naive.acknowledge()

    @rule()
    def end(self) -> None:
        write_eoi(self.apic, self.access)
        vector, told = self.naive.end()
        assert (self.access.ended, self.access.broadcast) == (-1 if vector is None else vector, int(told))

    @rule(value=st.integers(0, 255))
    def task_priority(self, value: int) -> None:
        self.put(0x08, value)

    @rule(value=st.integers(0, 17))
    def cr8(self, value: int) -> None:
        if write_cr8(self.apic, value, 0) == 0:
            self.naive.tpr = value * 16
        else:
            assert value > 15

    @rule(low=icrs, high=st.sampled_from([0, 1, 0xFF000000, 0xFFFFFFFF]) | words)
    def command(self, low: int, high: int) -> None:
        self.put(0x31, high)
        self.put(0x30, high << 32 | low)

    @rule(vector=vectors)
    def self_ipi(self, vector: int) -> None:
        if self.naive.extended and self.naive.enabled:
            self.put(0x3F, vector)

    @rule(row=st.sampled_from([0x2F, 0x32, 0x33, 0x34, 0x35, 0x36, 0x37]), value=entries)
    def local_vector(self, row: int, value: int) -> None:
        self.put(row, value)

    @rule(mode=st.integers(0, 3), vector=vectors, masked=st.booleans())
    def timer_mode(self, mode: int, vector: int, masked: bool) -> None:
        self.put(0x32, mode << 17 | masked << 16 | vector)

    @rule(value=st.sampled_from([0x1FF, 0x1FF, 0x1FF, 0x11FF, 0xFF, 0x120]))
    def spurious(self, value: int) -> None:
        self.put(0x0F, value)

    @rule()
    def status(self) -> None:
        self.put(0x28, 0)

    @rule(row=st.sampled_from([*ROWS, 0x3F]), value=words | st.integers(0, 0xFF))
    def any_register(self, row: int, value: int) -> None:
        if row not in (0x38, 0x3F) or value < 100:  # the slow timer takes every tick
            if row != 0x3F or self.naive.extended:
                self.put(row, value)

    @rule(entry=st.sampled_from(sorted(NAMES)))
    def local_source(self, entry: int) -> None:
        assert ANSWERS[local_event(self.apic, entry)] == self.naive.fire(NAMES[entry])

    @rule(entry=st.sampled_from([Lvt.LINT0, Lvt.LINT1]), level=st.integers(0, 1))
    def pin(self, entry: int, level: int) -> None:
        assert ANSWERS[set_pin(self.apic, entry, level)] == self.naive.pin(NAMES[entry], level)

    @rule(value=entries)
    def level_pin(self, value: int) -> None:
        """LINT0 is the only one that can be a level."""
        self.put(0x35, value & 0xFF | 0x8000 | value & 0x2000)

    @rule(value=st.integers(0, 40), divide=st.sampled_from([0, 1, 2, 3, 8, 9, 10, 11]))
    def count(self, value: int, divide: int) -> None:
        self.put(0x3E, divide)
        self.put(0x38, value)

    @rule(ticks=st.integers(0, 200))
    def time_passes(self, ticks: int) -> None:
        """The slow timer counts; the package's is asked only where it says that it is due."""
        for _ in range(ticks):
            self.now += 1
            self.naive.tick()
            self.naive.tsc(self.now)
            if 0 <= next_deadline(self.apic) <= self.now:
                assert expire(self.apic, self.now) != NOTHING_DUE
            assert expire(self.apic, self.now) == NOTHING_DUE

    @rule(ahead=st.integers(-5, 60))
    def deadline(self, ahead: int) -> None:
        value = max(0, self.now + ahead)
        if self.naive.mode() == 2:
            self.naive.deadline = value
            self.naive.tsc(self.now)
        write_deadline(self.apic, value & 0xFFFFFFFF, value >> 32, self.now)

    @rule(bits=st.sampled_from([0x000, 0x400, 0x800, 0x800, 0xC00, 0xC00]), low=st.sampled_from([0, 0, 0, 0x200, 1]))
    def base(self, bits: int, low: int) -> None:
        value = 0xFEE00000 | bits | low
        try:
            self.naive.write_base(value)
            assert write_base(self.apic, value, 0) == 0
        except GeneralProtection:
            assert write_base(self.apic, value, 0) == Access.GENERAL_PROTECTION

    @invariant()
    def same_registers(self) -> None:
        if not hasattr(self, "apic"):
            return
        self.access.bus = self.now
        for row in ROWS:
            if self.naive.enabled and not self.naive.extended:
                assert page_read(self.apic, row * 16, 4, self.access) == 0
            elif read_msr(self.apic, 0x800 + row, self.access) == Access.GENERAL_PROTECTION:
                assert not self.naive.enabled or row in (0x09, 0x0B, 0x0C, 0x0E, 0x31)
                continue
            assert self.access.low == self.naive.read(row), hex(row)
            assert self.access.high == (self.naive.high if row == 0x30 and self.naive.extended else 0)

    @invariant()
    def same_delivery(self) -> None:
        if hasattr(self, "apic"):
            vector = self.naive.deliverable()
            assert deliverable(self.apic.core) == (-1 if vector is None else vector)
            assert self.sent == self.naive.sent


TestWhole = Whole.TestCase
TestWhole.settings = settings(max_examples=120, stateful_step_count=40, deadline=None)
