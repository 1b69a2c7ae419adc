"""The procedures, run through with nobody in between: what the simulator gets from them."""

from exitless.arch.vmx.virtual_apic import Reg
from exitless.bits.words import ON_PAGE, has_bit, set_bit
from exitless.mech.procedures.block import Block, Resume, Wakeup, xen_block, xen_resume, xen_wakeup
from exitless.mech.procedures.post import Post, xen_post
from exitless.mech.procedures.procedure import Step, Surroundings, Verb
from exitless.mech.procedures.process import Process, process_posted
from exitless.mech.vcpu import VirtualCpu

NOTIFY, WAKE = 0xF2, 0xF1


class Machine(Surroundings):
    """Writes down what procedures ask of it."""

    def __init__(self) -> None:
        super().__init__()
        self.notification_vector, self.wakeup_vector = NOTIFY, WAKE
        self.one = VirtualCpu(0)
        self.one.state.interrupt_flag = 1
        self.sent: list[tuple[int, int]] = []
        self.kicked: list[int] = []
        self.softirqs = 0
        self.lists: dict[int, list[int]] = {0: [], 1: []}

    def send(self, pcpu: int, vector: int) -> None:
        """A message leaves."""
        self.sent.append((pcpu, vector))

    def kick(self, pcpu: int) -> None:
        """A kick leaves."""
        self.kicked.append(pcpu)

    def raise_softirq(self, pcpu: int) -> None:
        """A softirq is pending."""
        self.softirqs += 1

    def take_softirq(self, pcpu: int) -> bool:
        """One softirq is served."""
        had = self.softirqs > 0
        self.softirqs -= had
        return had

    def enlist(self, vcpu: VirtualCpu, pcpu: int) -> None:
        """On the list."""
        self.lists[pcpu].append(vcpu.number)

    def delist(self, vcpu: VirtualCpu) -> bool:
        """Off the list."""
        for numbers in self.lists.values():
            if vcpu.number in numbers:
                numbers.remove(vcpu.number)
                return True
        return False

    def listed_with_notification(self, pcpu: int) -> int:
        """The first with ON set."""
        return next((n for n in self.lists[pcpu] if self.one.pid.on), -1)

    def vcpu(self, number: int) -> VirtualCpu:
        """There is one."""
        return self.one

    def unblock(self, vcpu: VirtualCpu) -> None:
        """Runnable."""
        vcpu.blocked = 0


def blocked() -> Machine:
    """A machine whose vCPU has blocked on pCPU 1 with nothing to deliver."""
    machine = Machine()
    machine.one.running_on = machine.one.pid.ndst = 1
    machine.one.pid.nv = NOTIFY
    Block(machine.one, 1, xen_block()).run(machine)
    return machine


def test_a_post_for_a_running_vcpu_sends_the_notification_vector_to_its_pcpu() -> None:
    machine = Machine()
    machine.one.running_on = 1
    Post(machine.one, 0x41, xen_post()).run(machine)
    assert (machine.sent, machine.one.pid.on) == ([(1, NOTIFY)], 1)


def test_a_vector_that_is_already_posted_notifies_nobody() -> None:
    """PIR[v] was set: whoever set it has notified or will."""
    machine = Machine()
    machine.one.running_on = 1
    machine.one.pid.pir[2] = 2
    Post(machine.one, 0x41, xen_post()).run(machine)
    assert (machine.sent, machine.kicked, machine.one.pid.on) == ([], [], 0)


def test_a_post_that_finds_on_or_sn_kicks_instead() -> None:
    for name in ("on", "sn"):
        machine = Machine()
        machine.one.running_on = 1
        setattr(machine.one.pid, name, 1)
        Post(machine.one, 0x41, xen_post()).run(machine)
        assert (machine.sent, machine.kicked) == ([], [1]), name


def test_a_post_for_a_sleeping_vcpu_unblocks_it_and_interrupts_nobody() -> None:
    machine = blocked()
    Post(machine.one, 0x41, xen_post()).run(machine)
    assert (machine.one.blocked, machine.sent, machine.kicked) == (0, [], [])


def test_a_vcpu_that_blocks_is_listed_has_the_wakeup_vector_and_runs_nowhere() -> None:
    machine = blocked()
    v = machine.one
    assert (v.blocked, v.running_on, v.pid.nv, v.pid.sn, machine.lists[1]) == (1, -1, WAKE, 0, [0])


def test_a_vcpu_with_something_posted_stays_awake() -> None:
    """The last question collects PIR; NV and the list are left for the entry to put right."""
    machine = Machine()
    v = machine.one
    v.running_on = 1
    v.pid.on, v.pid.pir[2] = 1, 2
    Block(v, 1, xen_block()).run(machine)
    assert (v.blocked, v.running_on, v.pid.nv, v.pid.on) == (0, 1, WAKE, 0)
    assert has_bit(v.vapic.page, Reg.VIRR, ON_PAGE, 0x41)


def test_a_request_of_no_higher_class_than_the_one_in_service_does_not_keep_awake() -> None:
    machine = Machine()
    v = machine.one
    v.running_on, v.vapic.svi = 1, 0x4F
    set_bit(v.vapic.page, Reg.VIRR, ON_PAGE, 0x41)
    Block(v, 1, xen_block()).run(machine)
    assert v.running_on == -1


def test_without_on_pir_is_not_looked_at() -> None:
    """A PIR bit whose ON is not set yet belongs to a post that is still under way."""
    machine = Machine()
    v = machine.one
    v.running_on, v.pid.pir[2] = 1, 2
    Block(v, 1, xen_block()).run(machine)
    assert (v.running_on, v.pid.pir[2]) == (-1, 2)


def test_the_wakeup_vector_wakes_those_with_on_and_leaves_on_set() -> None:
    machine = blocked()
    v = machine.one
    handler = Wakeup(v, 1, xen_wakeup())
    handler.run(machine)
    assert (v.blocked, machine.lists[1]) == (1, [0])
    v.pid.on = 1
    handler.run(machine)
    assert (v.blocked, v.pid.on, machine.lists[1]) == (0, 1, [])


def test_entering_puts_descriptor_list_and_rvi_right() -> None:
    machine = blocked()
    v = machine.one
    v.blocked, v.pid.on, v.pid.pir[2], v.pid.sn = 0, 1, 2, 1
    Resume(v, 0, xen_resume()).run(machine)
    assert (v.running_on, v.pid.ndst, v.pid.nv, v.pid.sn, v.pid.on) == (0, 0, NOTIFY, 0, 0)
    assert (v.vapic.rvi, v.vapic.recognized, machine.lists[1]) == (0x41, 1, [])


def test_a_softirq_sends_the_entry_back_to_look_again() -> None:
    machine = blocked()
    machine.softirqs = 1
    resume = Resume(machine.one, 0, xen_resume())
    resume.begin()
    verbs = []
    while True:
        verbs.append(resume.verb())
        if resume.step(machine) == Step.DONE:
            break
    assert verbs.count(Verb.SYNC_ON) == 2 and verbs.count(Verb.SWITCH_IN) == 1 and verbs[-1] == Verb.ENTER


def test_processing_moves_pir_and_raises_rvi() -> None:
    """RVI becomes the higher of itself and what was taken; ON is clear."""
    machine = Machine()
    v = machine.one
    v.vapic.rvi, v.pid.on, v.pid.pir[2] = 0x31, 1, 2
    Process(v, process_posted()).run(machine)
    assert (v.vapic.rvi, v.pid.on, v.pid.pir[2], v.vapic.recognized) == (0x41, 0, 0, 1)
