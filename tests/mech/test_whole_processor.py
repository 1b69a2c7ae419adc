"""A whole vCPU against a second one that shares nothing with it: controls and state set, entries with and without
injection, accesses of every kind, posting, delivery, EOI, IPIs, HLT, windows and everything above them, in any order.
"""

from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from exitless.arch.x86.lapic import accept
from tests.naive.apicv import ACTIVE, HLT, SHUTDOWN, VICR_HI, VIRR, VISR, VPPR, VTPR, WAIT_FOR_SIPI
from tests.naive.twin import CONTROLS, PENDING, Twins

vectors = st.sampled_from([0x10, 0x1F, 0x2F, 0x30, 0x31, 0x3F, 0x40, 0x80, 0xEF, 0xF0, 0xFF]) | st.integers(16, 255)
bytes_ = vectors | st.sampled_from([0, 1, 15])
sets = st.sets(bytes_, max_size=4).map(lambda some: sum(1 << v for v in some))
USUAL = [0x080, 0x080, 0x0B0, 0x0B0, 0x300, 0x300, 0x310, 0x0A0, 0x020, 0x0D0, 0x0E0, 0x0F0]
rows = st.sampled_from(USUAL) | st.integers(0, 63).map(lambda row: 16 * row)
offsets = rows | st.builds(lambda row, at: row + at, rows, st.integers(0, 15)) | st.integers(0, 4088)
sizes = st.sampled_from([1, 2, 4, 4, 4, 4, 8])
icrs = st.builds(
    lambda vector, rest: vector | rest, bytes_,
    st.sampled_from([0x40000, 0x40000, 0, 0, 0x44800, 0x4000, 0x41000, 0x1000, 0x800, 0x8000, 0xC0000, 0x100, 0x2000]),
)  # fmt: skip
words = st.integers(0, 0xFFFFFFFF) | bytes_ | icrs
msrs = st.sampled_from([0x08, 0x08, 0x0B, 0x0B, 0x3F, 0x3F, 0x30, 0x30, 0x0A, 0x39, 0x02, 0x20]) | st.integers(0, 255)
LIKELY = ({"TPRS", "SEC", "VAA", "VID"}, {"TPRS", "SEC", "VX2", "VID"}, {"TPRS", "SEC"}, {"TPRS"}, set())
MORE = ("REG", "PI", "PI", "TERT", "IPIV", "INTRWIN", "NEW READS", "DELAYED")
combinations = st.builds(
    lambda base, more, less: (base | more | {"EXTINT", "ACK", "MSRB"}) - less,
    st.sampled_from(LIKELY),
    st.sets(st.sampled_from([*CONTROLS, *MORE]), max_size=7),
    st.sets(st.sampled_from([*CONTROLS]), max_size=2),
)
events = st.one_of(
    st.none(), st.none(), st.tuples(st.just(0), bytes_, st.just(0)), st.just((2, 2, 0)), st.just((7, 0, 0)),
    st.sampled_from([(3, 13, 0x800), (3, 1, 0), (3, 18, 0), (4, 0x80, 0), (5, 1, 0), (6, 3, 0)]),
    st.tuples(st.integers(0, 7), bytes_, st.sampled_from([0, 0x800, 0x1000])),
)  # fmt: skip
inside = precondition(lambda m: m.guest.inside and m.guest.activity == ACTIVE and not m.due)
outside = precondition(lambda m: not m.guest.inside)
OURS, THEIRS, FAR = 0x10_0000_1000, 0x2000, 0x3FFF_FFFF_FFC0


class Whole(RuleBasedStateMachine):
    """A processor, twice. ``due`` says that the boundary after an instruction has not been asked yet."""

    def __init__(self) -> None:
        super().__init__()
        self.both = Twins()
        self.guest, self.oracle = self.both.guest, self.both.oracle
        self.due = False
        for identifier, address in ((1, THEIRS), (3, FAR), (255, THEIRS + 64)):
            self.both.add_target(identifier, address)
        self.guest.pid_table[0] = OURS | 1
        self.guest.memory[OURS] = self.guest.descriptor
        self.oracle.pid_table.add(0, OURS, self.oracle.pid)

    # The host.

    def choose(self, names: set[str], flag: bool, tpr: int, rvi: int, anv: int) -> None:
        """Controls, and the state that decides most."""
        self.both.program(names)
        self.guest.control = names
        self.guest.interrupt_flag, self.guest.rvi, self.guest.anv = flag, rvi, anv
        self.guest.put(VTPR, tpr)

    @initialize(names=combinations, flag=st.booleans(), tpr=bytes_, rvi=bytes_, anv=vectors, irr=sets, isr=sets)
    def start(self, names: set[str], flag: bool, tpr: int, rvi: int, anv: int, irr: int, isr: int) -> None:
        self.choose(names, flag, tpr, rvi, anv)
        self.guest.set_array(VIRR, irr)
        self.guest.set_array(VISR, isr)
        self.guest.last_pid_index = 3
        self.guest.descriptor.nv = self.oracle.pid.nv = anv
        self.both.load()

    @outside
    @rule(names=combinations, flag=st.booleans(), tpr=bytes_, rvi=bytes_, anv=vectors)
    def another_configuration(self, names: set[str], flag: bool, tpr: int, rvi: int, anv: int) -> None:
        self.choose(names, flag, tpr, rvi, anv)
        self.both.load()

    @outside
    @rule(irr=sets, isr=sets, svi=bytes_, eoi=sets, threshold=st.integers(0, 15) | st.just(16), last=bytes_)
    def priorities(self, irr: int, isr: int, svi: int, eoi: int, threshold: int, last: int) -> None:
        g = self.guest
        g.set_array(VIRR, irr)
        g.set_array(VISR, isr)
        g.svi, g.eoi_exit_bitmap, g.tpr_threshold, g.last_pid_index = svi, eoi, threshold, last
        self.both.load()

    @outside
    @rule(reads=sets, writes=sets, high=words, stale=bytes_)
    def intercepts_and_stale_registers(self, reads: int, writes: int, high: int, stale: int) -> None:
        g = self.guest
        g.read_exits, g.write_exits = reads, writes
        g.put(VICR_HI, high)
        g.put(VPPR, stale)
        self.both.load()

    @outside
    @rule(event=events, activity=st.sampled_from([ACTIVE, ACTIVE, HLT, HLT, SHUTDOWN, WAIT_FOR_SIPI, 5]))
    def event_and_activity(self, event: tuple[int, int, int] | None, activity: int) -> None:
        self.guest.event, self.guest.activity = event, activity
        self.both.load()

    @outside
    @rule(sti=st.booleans(), mov_ss=st.booleans(), nmi=st.booleans(), other=st.sampled_from([0, 0, 16, 32]))
    def interruptibility(self, sti: bool, mov_ss: bool, nmi: bool, other: int) -> None:
        g = self.guest
        g.sti_block, g.mov_ss_block, g.nmi_block, g.other_blocking = sti, mov_ss, nmi, other
        self.both.load()

    @outside
    @rule(privilege=st.sampled_from([0, 0, 0, 3]), narrow=st.booleans(), width=st.sampled_from([36, 46]))
    def the_processor_itself(self, privilege: int, narrow: bool, width: int) -> None:
        self.guest.privilege, self.guest.narrow_addresses, self.guest.physical_width = privilege, narrow, width
        self.both.load()

    @outside
    @rule(
        which=st.sampled_from(["MSRB", "TPRS", "VAA", "PI"]), table=st.sampled_from([0, 8, 4, FAR]),
        address=st.sampled_from([0, 0x1000, 0x40, 0x20, 0x800, 1 << 32, 1 << 46]),
        timer=st.sampled_from([0, 15, 16, 255, 256]), anv=st.sampled_from([0xF2, 0x1F2]),
    )  # fmt: skip
    def fields(self, which: str, table: int, address: int, timer: int, anv: int) -> None:
        g = self.guest
        g.addresses = {**dict.fromkeys(g.addresses, 0), which: address}
        g.pid_table_address, g.timer_vector, g.anv = table, timer, anv
        self.both.load()

    @outside
    @rule()
    def entry(self) -> None:
        self.due = self.both.enter()[0] not in ("failed", "invalid state")

    # Other agents.

    @rule(vector=vectors)
    def post(self, vector: int) -> None:
        self.both.post(vector)

    @rule(vector=bytes_, notify=st.booleans())
    def interrupt_of_the_real_local_apic(self, vector: int, notify: bool) -> None:
        vector = self.guest.anv & 255 if notify else vector
        accept(self.oracle.lapic, vector, 0)
        self.guest.apic.accept(vector, False)

    @rule(what=st.sampled_from(sorted(set(PENDING) - {"threshold"})))
    def something_above_interrupts(self, what: str) -> None:
        setattr(self.oracle.pending, PENDING[what], 1)
        self.guest.pending.add(what)

    @rule(suppress=st.booleans(), which=st.integers(0, 3), on=st.booleans())
    def suppression(self, suppress: bool, which: int, on: bool) -> None:
        pid, naive = self.both.others[which]
        pid.sn, pid.on = int(suppress), int(on)
        naive.sn, naive.on = int(suppress), int(on)

    # The guest.

    @precondition(lambda m: m.guest.inside)
    @rule()
    def boundary(self) -> None:
        self.due = self.both.boundary()[0] in ("interrupt", "posted", "SMM")

    def did(self, answer: int, expected: tuple[object, ...]) -> None:
        """An instruction: the boundary after it is due."""
        self.both.compare(answer, expected)
        self.due = True

    @inside
    @rule(offset=offsets, size=sizes)
    def read(self, offset: int, size: int) -> None:
        self.did(self.oracle.read(offset, size), self.guest.read(offset, size))

    @inside
    @rule(offset=offsets, size=sizes, value=words, high=words)
    def write(self, offset: int, size: int, value: int, high: int) -> None:
        whole = value | (high << 32 if size == 8 else 0)
        self.did(self.oracle.write(offset, size, value, high), self.guest.write(offset, size, whole))

    @inside
    @rule(offset=offsets, value=words)
    def read_modify_write(self, offset: int, value: int) -> None:
        self.did(self.oracle.set_bits(offset, 4, value), self.guest.set_bits(offset, 4, value))

    @inside
    @rule(index=msrs)
    def rdmsr(self, index: int) -> None:
        self.did(self.oracle.rdmsr(index), self.guest.read_msr(index))

    @inside
    @rule(index=msrs, value=words, high=st.sampled_from([0, 0, 0, 1, 3, 255, 256]))
    def wrmsr(self, index: int, value: int, high: int) -> None:
        self.did(self.oracle.wrmsr(index, value, high), self.guest.write_msr(index, high << 32 | value))

    @inside
    @rule(vector=vectors, msr=st.booleans())
    def self_ipi(self, vector: int, msr: bool) -> None:
        if msr:
            self.did(self.oracle.wrmsr(0x3F, vector), self.guest.write_msr(0x3F, vector))
        else:
            icr = 0x40000 | vector
            self.did(self.oracle.write(0x300, 4, icr), self.guest.write(0x300, 4, icr))

    @inside
    @rule(msr=st.booleans())
    def end_of_interrupt(self, msr: bool) -> None:
        if msr:
            self.did(self.oracle.wrmsr(0x0B, 0), self.guest.write_msr(0x0B, 0))
        else:
            self.did(self.oracle.write(0x0B0, 4, 0), self.guest.write(0x0B0, 4, 0))

    @inside
    @rule(vector=bytes_, identifier=st.sampled_from([0, 1, 2, 3, 4, 255]))
    def ipi_by_page_or_msr(self, vector: int, identifier: int) -> None:
        self.did(self.oracle.write(0x310, 4, identifier << 24), self.guest.write(0x310, 4, identifier << 24))
        if self.guest.inside:
            self.did(self.oracle.write(0x300, 4, vector), self.guest.write(0x300, 4, vector))
        if self.guest.inside:
            self.did(self.oracle.wrmsr(0x30, vector, identifier), self.guest.write_msr(0x30, identifier << 32 | vector))

    @inside
    @rule()
    def read_cr8(self) -> None:
        self.did(self.oracle.read_cr8(), self.guest.read_cr8())

    @inside
    @rule(value=st.integers(0, 16) | words)
    def write_cr8(self, value: int) -> None:
        self.did(self.oracle.write_cr8(value), self.guest.write_cr8(value))

    @inside
    @rule(what=st.sampled_from(["sti", "mov_ss", "cli", "popf", "nop"]))
    def flags(self, what: str) -> None:
        o, g = self.oracle, self.guest
        if what == "sti":
            o.sti(), g.sti()
        elif what == "mov_ss":
            o.mov_ss(), g.mov_ss()
        elif what == "nop":
            o.nop(), g.complete()
        else:
            o.load_flag(what == "popf"), g.load_flag(what == "popf")
        self.due = True

    @inside
    @rule()
    def hlt(self) -> None:
        self.did(self.oracle.hlt(), self.guest.hlt())

    @inside
    @rule()
    def mwait(self) -> None:
        self.did(self.oracle.mwait(), self.guest.mwait())

    @inside
    @rule(flag=st.booleans())
    def iret(self, flag: bool) -> None:
        self.oracle.iret(flag), self.guest.iret(flag)
        self.due = True

    @inside
    @rule(offset=offsets, kind=st.sampled_from([2, 3, 10, 15]))
    def access_that_is_never_virtualized(self, offset: int, kind: int) -> None:
        answer = self.oracle.reach(offset, kind)
        if "VAA" in self.guest.control:
            self.did(answer, self.guest.leave(44, kind << 12 | offset))

    @inside
    @rule()
    def vmcall(self) -> None:
        self.did(self.oracle.vmcall(), self.guest.leave(18))

    @invariant()
    def everything_is_the_same(self) -> None:
        self.both.same()


TestWhole = Whole.TestCase
TestWhole.settings = settings(
    max_examples=100, stateful_step_count=50, deadline=None, phases=[Phase.explicit, Phase.reuse, Phase.generate]
)
