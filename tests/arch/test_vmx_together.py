"""The delivery core against the naive processor, over any sequence of guest, sender and hypervisor."""

from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from exitless.arch.outcome import Boundary
from exitless.arch.vmx.access import page_write, write_emulation
from exitless.arch.vmx.boundary import arbitrate
from exitless.arch.vmx.cr8 import write_cr8
from exitless.arch.vmx.eoi import set_eoi_exit
from exitless.arch.vmx.evaluate import deliver_virtual_interrupt, evaluate_pending
from exitless.arch.vmx.injection import GuestState, load_at_entry
from exitless.arch.vmx.msrs import write_msr
from exitless.arch.vmx.posted import (
    PostedDescriptor,
    claim_notification,
    clear_outstanding,
    raise_rvi,
    set_pir,
    take_pir,
)
from exitless.arch.vmx.virtual_apic import VirtualApic
from exitless.vocab.exits import Exit
from tests.naive import apicv, both
from tests.naive.apicv import Descriptor, Processor

vectors = st.integers(0, 255)
# Few classes, so that ties and overtakings happen.
close = st.sampled_from([0x10, 0x1F, 0x30, 0x31, 0x3F, 0x40, 0x41, 0x80, 0x8F, 0xEF, 0xF0, 0xFF]) | vectors


class Core(RuleBasedStateMachine):
    """A vCPU under virtual-interrupt delivery, twice, with its posted-interrupt descriptor."""

    @initialize(others=st.sets(st.sampled_from(["REG", "VAA"])))
    def start(self, others: set[str]) -> None:
        self.naive = Processor("VID", "VX2", "MSRB", "EXTINT", *others)
        self.naive.interrupt_flag = True
        self.naive_pid = Descriptor()
        self.vapic = VirtualApic()
        self.controls = both.controls(self.naive)
        self.pid = PostedDescriptor()
        self.guest = GuestState()
        self.guest.interrupt_flag = 1
        self.in_guest = False
        self.consistent = True

    def exits(self, answer: int, outcome: object) -> None:
        assert both.answered(answer) == outcome
        if answer != Exit.NONE:
            self.in_guest = False

    # The hypervisor.

    @precondition(lambda self: not self.in_guest)
    @rule()
    def enter(self) -> None:
        load_at_entry(self.vapic)
        self.naive.vm_entry(self.naive.rvi, self.naive.svi)
        self.in_guest = True

    @precondition(lambda self: self.in_guest)
    @rule()
    def leave(self) -> None:
        self.in_guest = False

    @precondition(lambda self: not self.in_guest)
    @rule(vector=close)
    def request_in_software(self, vector: int) -> None:
        """Sets a VIRR bit and raises RVI, as software must."""
        self.naive.set_array(apicv.VIRR, self.naive.array(apicv.VIRR) | 1 << vector)
        self.naive.rvi = max(self.naive.rvi, vector)
        word = 128 + vector // 32 * 4
        self.vapic.page[word] = self.vapic.page[word] | 1 << vector % 32
        raise_rvi(self.vapic, vector)

    @precondition(lambda self: not self.in_guest)
    @rule(rvi=close, svi=close)
    def set_status_wrongly(self, rvi: int, svi: int) -> None:
        """Nothing checks RVI and SVI against the page."""
        self.vapic.rvi, self.vapic.svi = rvi, svi
        self.naive.rvi, self.naive.svi = rvi, svi
        self.consistent = False

    @precondition(lambda self: not self.in_guest)
    @rule()
    def arm_or_clear_the_window(self) -> None:
        self.naive.control ^= {"INTRWIN"}
        self.vapic.window_exiting = 1 - self.vapic.window_exiting

    @precondition(lambda self: not self.in_guest)
    @rule(vector=close, exits=st.booleans())
    def choose_eoi_exit(self, vector: int, exits: bool) -> None:
        changed = (self.naive.eoi_exit_bitmap >> vector & 1) != exits
        self.naive.eoi_exit_bitmap = self.naive.eoi_exit_bitmap & ~(1 << vector) | exits << vector
        assert set_eoi_exit(self.vapic, vector, exits) == changed

    # Senders.

    @rule(vector=close)
    def post(self, vector: int) -> None:
        notify = not set_pir(self.pid, vector) and claim_notification(self.pid)
        assert notify == apicv.software_post(self.naive_pid, vector)

    @rule(sn=st.integers(0, 1))
    def suppress(self, sn: int) -> None:
        self.pid.sn = self.naive_pid.sn = sn

    @precondition(lambda self: self.in_guest)
    @rule()
    def notification(self) -> None:
        clear_outstanding(self.pid)
        raise_rvi(self.vapic, take_pir(self.pid, self.vapic))
        evaluate_pending(self.vapic)
        self.naive.posted_interrupt_arrival(self.naive_pid)

    # The guest.

    @precondition(lambda self: self.in_guest)
    @rule(physical=st.booleans())
    def boundary(self, physical: bool) -> None:
        answer = arbitrate(self.vapic, self.guest, self.controls, physical)
        name = self.naive.boundary(physical)
        assert (answer == Boundary.VIRTUAL_INTERRUPT) == (name == "virtual interrupt")
        assert (answer == Boundary.WINDOW_EXIT) == (name == "window exit")
        assert (answer == Boundary.EXTERNAL_INTERRUPT) == (name == "external interrupt")
        if answer == Boundary.VIRTUAL_INTERRUPT:
            before = self.vapic.page[40]
            vector = deliver_virtual_interrupt(self.vapic)
            assert vector == self.naive.deliver_virtual()
            assert vector // 16 > before // 16, "what is delivered outranks what it interrupts"
        elif answer != Boundary.NOTHING:
            self.in_guest = False

    @precondition(lambda self: self.in_guest)
    @rule(flag=st.integers(0, 1))
    def change_the_interrupt_flag(self, flag: int) -> None:
        """It evaluates nothing."""
        self.guest.interrupt_flag = flag
        self.naive.interrupt_flag = flag == 1

    @precondition(lambda self: self.in_guest)
    @rule(value=st.integers(0, 15))
    def move_to_cr8(self, value: int) -> None:
        self.exits(write_cr8(self.vapic, self.controls, value), both.outcome(lambda: self.naive.mov_to_cr8(value)))

    @precondition(lambda self: self.in_guest)
    @rule(index=st.sampled_from([0x08, 0x0B, 0x3F]), value=close)
    def write_an_msr(self, index: int, value: int) -> None:
        op = both.operation()
        op.low = 0 if index == 0x0B else value
        answer = write_msr(self.vapic, self.controls, op, index)
        self.exits(answer, both.outcome(lambda: self.naive.wrmsr(0x800 + index, op.low)))

    @precondition(lambda self: self.in_guest)
    @rule(offset=st.sampled_from([0x080, 0x0B0, 0x300, 0x310]), value=close, self_ipi=st.booleans())
    def write_the_page(self, offset: int, value: int, self_ipi: bool) -> None:
        op, step = both.operation(), apicv.Operation()
        op.low = value | (0x40000 if self_ipi else 0)
        answer = page_write(self.vapic, self.controls, op, offset, 4)
        outcome = both.outcome(lambda: self.naive.page_write(offset, 4, step, op.low))
        self.exits(answer, outcome)
        if outcome == both.DONE:
            answer = write_emulation(self.vapic, self.controls, op)
            self.exits(answer, both.outcome(lambda: self.naive.write_emulation(offset)))

    @invariant()
    def both_are_in_the_same_state(self) -> None:
        if not hasattr(self, "naive"):
            return
        assert both.brief(self.vapic) == both.naive_brief(self.naive)
        assert (both.packed(self.pid.pir), self.pid.on) == (self.naive_pid.pir, self.naive_pid.on)
        assert both.packed(self.vapic.eoi_exit) == self.naive.eoi_exit_bitmap

    @invariant()
    def status_stays_true_when_software_keeps_it_true(self) -> None:
        """RVI is the highest requested and SVI the highest in service, as long as nobody set them wrongly."""
        if hasattr(self, "naive") and self.consistent:
            assert self.vapic.rvi == apicv.highest(self.naive.array(apicv.VIRR))
            assert self.vapic.svi == apicv.highest(self.naive.array(apicv.VISR))

    def teardown(self) -> None:
        if hasattr(self, "naive"):
            assert both.same_page(self.vapic, self.naive)


TestCore = Core.TestCase
TestCore.settings = settings(max_examples=150, stateful_step_count=40, deadline=None)
