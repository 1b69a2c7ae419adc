"""The delivery core in any order of posts, notifications, entries, deliveries, EOIs and TPR writes, against a second
hypervisor over a second processor that share nothing with the package; and each procedure against its verbs.
"""

import pytest
from hypothesis import settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, precondition, rule

from exitless.arch.laws import posted_is_outstanding, rvi_covers, svi_is_highest
from exitless.arch.outcome import Boundary, Kick
from exitless.arch.vmx.boundary import arbitrate
from exitless.arch.vmx.evaluate import deliver_virtual_interrupt
from exitless.arch.vmx.virtual_apic import Reg
from exitless.arch.vtd.post import Posted, post
from exitless.bits.words import set_bit
from exitless.mech.catalog import make_delivery
from exitless.mech.procedures.assist import Assist, intr_assist, set_irq
from exitless.mech.procedures.procedure import Surroundings
from exitless.mech.procedures.process import Process, process_posted
from exitless.mech.vcpu import VirtualCpu
from exitless.vocab.exits import Exit
from tests.mech.test_deliveries import NOTIFICATION, vcpu
from tests.naive import both
from tests.naive.apicv import Descriptor, Processor, highest
from tests.naive.hosted import HostedVcpu

vectors = st.one_of(st.integers(16, 255), st.sampled_from([0x30, 0x31, 0x3F, 0x40, 0xF0]))
OWED = {Kick.NONE: "nothing", Kick.NOTIFY: "notify", Kick.EXIT: "kick"}


class Core(RuleBasedStateMachine):
    """Two vCPUs, the package's and the naive one, do the same; whatever they answer and hold must be the same."""

    def __init__(self) -> None:
        super().__init__()
        self.delivery = make_delivery("posted")
        self.cpu: VirtualCpu = vcpu("posted")
        self.out = Assist()
        self.naive = HostedVcpu()
        self.wanted: set[int] = set()

    @rule(vector=vectors, level=st.booleans())
    def software_posts(self, vector: int, level: bool) -> None:
        answer = set_irq(self.cpu, self.delivery, vector, int(level))
        assert OWED[answer] == self.naive.set_irq(vector, level)
        self.wanted.add(vector)

    @rule(vector=vectors, urgent=st.booleans())
    def device_posts(self, vector: int, urgent: bool) -> None:
        answer = post(self.cpu.pid, vector, int(urgent))
        assert (answer & Posted.NOTIFY != 0) == self.naive.device_post(vector, urgent)
        self.wanted.add(vector)

    @rule(value=st.integers(0, 1))
    def scheduler_suppresses(self, value: int) -> None:
        """SN changes; who clears it looks at PIR, as posting's law demands."""
        self.cpu.pid.sn = self.naive.descriptor.sn = value
        if value == 0 and self.naive.descriptor.pir:
            self.cpu.pid.on = self.naive.descriptor.on = 1

    @precondition(lambda self: not self.naive.inside)
    @rule()
    def entry(self) -> None:
        intr_assist(self.cpu, self.delivery, self.out)
        assert self.delivery.enter(self.cpu) == -1
        self.naive.enter()
        assert rvi_covers(self.cpu.vapic)

    @precondition(lambda self: self.naive.inside)
    @rule()
    def notification_arrives(self) -> None:
        assert self.delivery.arrive(self.cpu, NOTIFICATION)
        self.naive.notification()

    @precondition(lambda self: self.naive.inside)
    @rule()
    def boundary(self) -> None:
        answer = arbitrate(self.cpu.vapic, self.cpu.state, self.cpu.controls, False)
        vector = self.naive.take()
        assert (answer == Boundary.VIRTUAL_INTERRUPT) == (vector >= 0)
        if vector >= 0:
            assert deliver_virtual_interrupt(self.cpu.vapic) == vector
            assert vector in self.wanted, "nothing is delivered that nobody posted"
            if not self.naive.descriptor.pir >> vector & 1:  # it may wait once in VIRR and once more in PIR
                self.wanted.discard(vector)

    @precondition(lambda self: self.naive.inside and self.naive.in_service())
    @rule()
    def guest_ends(self) -> None:
        answer = self.delivery.end(self.cpu)
        exited = self.naive.end()
        assert (answer == Exit.EOI_INDUCED) == (exited >= 0)
        if exited >= 0:
            assert self.cpu.operation.qualification == exited
            self.cpu.vapic.recognized = 0

    @precondition(lambda self: self.naive.inside)
    @rule(value=st.integers(0, 255))
    def guest_writes_tpr(self, value: int) -> None:
        assert self.delivery.write_register(self.cpu, 0x80, value) == Exit.NONE
        self.naive.task_priority(value)

    @precondition(lambda self: self.naive.inside)
    @rule(flag=st.booleans())
    def guest_switches_interrupts(self, flag: bool) -> None:
        self.cpu.state.interrupt_flag = int(flag)
        self.naive.processor.interrupt_flag = flag

    @precondition(lambda self: self.naive.inside)
    @rule()
    def exit(self) -> None:
        self.cpu.vapic.recognized = 0
        self.naive.leave()

    @invariant()
    def same_state(self) -> None:
        processor, descriptor = self.naive.processor, self.naive.descriptor
        assert both.brief(self.cpu.vapic) == both.naive_brief(processor)
        pid = self.cpu.pid
        assert (both.packed(pid.pir), pid.on, pid.sn) == (descriptor.pir, descriptor.on, descriptor.sn)
        assert both.packed(self.cpu.vapic.eoi_exit) == processor.eoi_exit_bitmap
        assert both.array(self.cpu.vapic, Reg.VTMR) == processor.array(0x180)
        assert self.cpu.eoi_map_dirty == int(self.naive.stale_bitmap)

    @invariant()
    def laws(self) -> None:
        assert svi_is_highest(self.cpu.vapic)
        assert posted_is_outstanding(self.cpu.pid)

    @invariant()
    def nothing_is_forgotten(self) -> None:
        """Each vector asked for and not yet delivered is in PIR or VIRR, and nothing else is."""
        waiting = both.packed(self.cpu.pid.pir) | both.array(self.cpu.vapic, Reg.VIRR)
        assert waiting == sum(1 << vector for vector in self.wanted)

    def teardown(self) -> None:
        """Left alone with interrupts on, TPR 0 and its notifications, the guest gets all that was posted."""
        self.scheduler_suppresses(0)
        if self.naive.inside:
            self.exit()
        self.naive.processor.interrupt_flag, self.cpu.state.interrupt_flag = True, 1
        for _ in range(2 * len(self.wanted) + 600):
            if not self.naive.inside:
                self.entry()
                self.guest_writes_tpr(0)
            self.boundary()
            if self.naive.in_service():
                self.guest_ends()
            elif not self.wanted:
                break
        assert not self.wanted
        self.same_state()


TestCore = Core.TestCase
TestCore.settings = settings(max_examples=60, stateful_step_count=40, deadline=None)


# ---- procedures as strings of verbs ----


@pytest.mark.parametrize("window", [False, True])
def test_processing_is_its_verbs_for_every_vector(window: bool) -> None:
    """The procedure that the checker takes apart does together what a notification does at once."""
    for vector in range(256):
        naive, descriptor = Processor("VID", *(["INTRWIN"] if window else [])), Descriptor()
        descriptor.pir, descriptor.on = 1 << vector, 1
        cpu = vcpu("posted")
        cpu.vapic, cpu.pid = both.virtual_apic(naive), both.descriptor(descriptor)
        procedure = Process(cpu, process_posted())
        count = 0
        procedure.begin()
        while not procedure.is_idle():
            procedure.step(Surroundings())  # it reaches nothing beside its own vCPU
            count += 1
        naive.posted_interrupt_arrival(descriptor)
        assert count == 3, "ON, then PIR, then RVI: three steps others can come between"
        assert procedure.top == vector
        assert both.brief(cpu.vapic) == both.naive_brief(naive)
        assert (both.packed(cpu.pid.pir), cpu.pid.on) == (0, 0)


def test_all_vectors_at_once_are_delivered_from_the_highest_down() -> None:
    """Class by class while each is ended: 255 first, 16 last, one of a class in service at a time."""
    cpu, delivery, out = vcpu("posted"), make_delivery("posted"), Assist()
    for vector in range(16, 256):
        set_bit(cpu.pid.pir, 0, 1, vector)
    cpu.pid.on = 1
    intr_assist(cpu, delivery, out)
    delivery.enter(cpu)
    got = []
    while arbitrate(cpu.vapic, cpu.state, cpu.controls, False) == Boundary.VIRTUAL_INTERRUPT:
        got.append(int(deliver_virtual_interrupt(cpu.vapic)))
        assert highest(both.array(cpu.vapic, Reg.VISR)) == got[-1]
        delivery.end(cpu)
    assert got == list(range(255, 15, -1))
