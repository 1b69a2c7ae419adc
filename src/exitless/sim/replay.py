"""Guests whose doings are given, on the host that is simulated: Xen below them is all of this machine's own making.

Each vCPU has a pCPU of its own, its lane; who else wants that pCPU is given too. One more pCPU stands for the rest of
the host, from where events are raised.
"""

from typing import Final

from mypy_extensions import i64

from exitless.arch.vmx.eoi import software_eoi
from exitless.arch.x86.host_vectors import HostVector
from exitless.arch.xen.callback import Callback
from exitless.mech.injected import Injected
from exitless.record.sinks import Sink
from exitless.sim.costs import Cost
from exitless.sim.guest import VCPU_OP, Frame, Op
from exitless.sim.lanes import Item, Lane
from exitless.sim.machine import Machine
from exitless.sim.state import Domain, Event, Mode, Pcpu, Phase, Scheduler, Softirq, Vcpu
from exitless.vocab.exits import Exit
from exitless.vocab.given import Given
from exitless.vocab.kinds import Kind, RunState

FAR: Final = 1_000_000_000_000_000_000

# What a replayed guest has beside the frames and operations of sim.guest: code that runs with interrupts off.
DARK_FRAME: Final = 9
OWN: Final = 20
LIGHT: Final = 21
KNOWN_DARK: Final = 2


class ReplayMachine(Machine):
    """A host that runs given guests. ``arrivals`` counts the interrupts it was given for them."""

    def __init__(self, vcpus: i64, sinks: list[Sink]) -> None:
        super().__init__(vcpus + 1, sinks)
        self.scheduler = Scheduler.CREDIT
        self.outside: i64 = vcpus
        self.lanes: list[Lane] = []
        self.items: list[Item] = []
        self.arrivals: i64 = 0

    def add(self, domain: Domain, index: i64, callback_vector: i64, state: i64) -> None:
        """Add a vCPU that is in ``state`` when the replay begins; callback vector 0 for a guest that has none."""
        number: i64 = len(self.vcpus)
        vcpu: Vcpu = Vcpu(number, domain, index, Injected())
        cpu = vcpu.cpu
        if callback_vector > 0:
            cpu.callback_style = Callback.VECTOR
            cpu.callback_vector = callback_vector
        cpu.state.interrupt_flag = 1
        self.home(vcpu, number)
        vcpu.pinned = number
        vcpu.ran_on = number
        vcpu.runstate = state
        lane: Lane = Lane()
        self.vcpus.append(vcpu)
        self.lanes.append(lane)
        pcpu: Pcpu = self.pcpus[number]
        pcpu.loaded = number
        if state == RunState.RUNNING:
            pcpu.current = number
            pcpu.mode = Mode.XEN
            cpu.running_on = number
            self.begin(pcpu, Phase.ENTRY, 0)
        elif state == RunState.BLOCKED:
            cpu.blocked = 1
        else:
            lane.away = 1
            if state == RunState.RUNNABLE:
                self.enqueue(vcpu)

    def give(self, vcpu: i64, time: i64, what: i64, a: i64, b: i64, dark: i64, again: i64) -> None:
        """Hand over one thing; in the order of time, and before the machine runs."""
        item: Item = Item(time, what, a, b, dark, again)
        if what == Given.EXIT:
            self.lanes[vcpu].own.append(item)
        else:
            n: i64 = len(self.items)
            self.items.append(item)
            if what == Given.HOST or what == Given.LOCAL or dark != 0:
                self.lanes[vcpu].hits.append(item)
            self.calendar.push(time, Event.ARRIVAL, vcpu, n)

    # What is given happens.

    def arrival(self, vcpu: Vcpu, port: i64) -> None:
        """The thing of that number happens to a vCPU."""
        item: Item = self.items[port]
        what: i64 = item.what
        number: i64 = vcpu.number
        pcpu: Pcpu = self.pcpus[number]
        lane: Lane = self.lanes[number]
        if item.dark != 0:
            self.darken(pcpu, vcpu)
        if what == Given.HOST:
            self.accept_message(pcpu, item.a)
            self.poke(pcpu)
        elif what == Given.LOCAL:
            lane.due.append(item.a)
            vcpu.timer_at = self.now
            self.accept_message(pcpu, HostVector.TIMER)
            self.poke(pcpu)
        elif what == Given.REMOTE:
            self.interrupt(self.pcpus[self.outside], vcpu, item.a)
        elif what == Given.HERE:
            self.interrupt(pcpu, vcpu, item.a)
        elif what == Given.WAKE:
            self.unblock(self.pcpus[self.outside], vcpu)
        elif what == Given.HOLD:
            lane.away = 1
        elif what == Given.AWAY:
            lane.away = 1
            lane.leaves_as = item.a
            if item.a == RunState.BLOCKED:
                vcpu.cpu.blocked = 1
            if vcpu.cpu.running_on >= 0:
                self.raise_softirq(pcpu, Softirq.SCHEDULE)
        elif what == Given.ONLINE:
            self.online(vcpu, number)
        else:
            lane.away = 0
            lane.leaves_as = RunState.RUNNABLE
            lane.slice_first = item.a
            self.online(vcpu, number)
            if vcpu.queued != 0:
                self.raise_softirq(pcpu, Softirq.SCHEDULE)
                self.poke(pcpu)

    def online(self, vcpu: Vcpu, pcpu: i64) -> None:
        """A vCPU that was paused may run again."""
        if vcpu.runstate == RunState.OFFLINE:
            self.row(Kind.SCHED_WAKE, pcpu, vcpu.number, 0, 0)
            self.set_runstate(vcpu, RunState.RUNNABLE, pcpu)
            self.enqueue(vcpu)

    def interrupt(self, here: Pcpu, vcpu: Vcpu, vector: i64) -> None:
        """An interrupt for the guest: an event where the vector is its callback's, else one for its local APIC."""
        self.arrivals += 1
        if vcpu.cpu.callback_style == Callback.VECTOR and vector == vcpu.cpu.callback_vector:
            self.charge(here, Cost.EVRAISE)
            self.mark_events(here, vcpu.domain, vcpu)
        else:
            self.request(here, vcpu, vector, 0)

    def guest_timer(self, pcpu: Pcpu, vcpu: Vcpu) -> None:
        """A timer of the guest's has expired: a VIRQ is raised with interrupts off, an APIC timer's vector is not."""
        lane: Lane = self.lanes[vcpu.number]
        due: list[i64] = lane.due
        lane.due = []
        for vector in due:
            if vector == vcpu.cpu.callback_vector:
                pcpu.in_irq = 1
            self.interrupt(pcpu, vcpu, vector)
            pcpu.in_irq = 0

    def program_timer(self, pcpu: Pcpu) -> None:
        """Every timer interrupt of a lane is given, so none is made."""

    def timer_is_set(self, here: Pcpu, pcpu: Pcpu, deadline: i64) -> None:
        """Nor is a softirq raised by a timer that is not known to be the earliest."""

    # The guest.

    def darken(self, pcpu: Pcpu, vcpu: Vcpu) -> None:
        """The guest is found in code that runs with interrupts off."""
        if pcpu.mode != Mode.GUEST or vcpu.depth != 0:
            return
        self.pause(pcpu, vcpu)
        self.push_frame(vcpu, DARK_FRAME, 0)
        vcpu.cpu.state.interrupt_flag = 0
        self.go_on(pcpu, vcpu)

    def plan(self, pcpu: Pcpu, vcpu: Vcpu) -> None:
        """A handler takes its upcall and returns, or waits for the EOI that is given; else the next exit is awaited."""
        if vcpu.depth == 0:
            self.set_operation(vcpu, OWN, self.until_own(vcpu))
            return
        d: i64 = vcpu.depth - 1
        kind: i64 = vcpu.kind[d]
        if kind == DARK_FRAME and self.stays_dark(vcpu, self.lanes[vcpu.number]):
            self.set_operation(vcpu, OWN, self.until_own(vcpu))
        elif kind == DARK_FRAME:
            self.set_operation(vcpu, LIGHT, 2 * self.costs[Cost.IPI_FLIGHT])
        elif kind == Frame.UPCALL:
            if vcpu.pc[d] == 0:
                self.set_operation(vcpu, Op.UPCALL, self.costs[Cost.G_IRQ_ENTRY] + self.costs[Cost.GUESTLOOP])
            elif vcpu.cpu.info.upcall_pending != 0:
                self.set_operation(vcpu, Op.UPCALL, self.costs[Cost.GUESTLOOP])
            else:
                self.set_operation(vcpu, Op.IRET, self.costs[Cost.G_IRET])
        elif vcpu.pc[d] == 0 and self.awaits_end(vcpu, self.lanes[vcpu.number]):
            self.set_operation(vcpu, OWN, self.until_own(vcpu))
        elif self.stays_dark(vcpu, self.lanes[vcpu.number]):
            self.set_operation(vcpu, OWN, self.until_own(vcpu))
        else:
            self.set_operation(vcpu, Op.IRET, self.costs[Cost.G_IRQ_ENTRY] + self.costs[Cost.G_IRET])

    def stays_dark(self, vcpu: Vcpu, lane: Lane) -> bool:
        """Tell whether interrupts stay off until the guest's next exit: one of code known to run so, not a handler's.

        That is an exit of its own or a host interrupt, whichever is first. The EOI belongs to a handler, and so may the
        hypercalls of a guest whose handlers write no EOI.
        """
        while lane.hit < len(lane.hits) and lane.hits[lane.hit].time <= self.now:
            lane.hit += 1
        if lane.hit < len(lane.hits) and lane.hits[lane.hit].time < self.now + self.until_own(vcpu):
            return lane.hits[lane.hit].dark == KNOWN_DARK
        if lane.at >= len(lane.own):
            return False
        item: Item = lane.own[lane.at]
        if item.dark != KNOWN_DARK or item.b == Given.EOI:
            return False
        return item.a != Exit.VMCALL or vcpu.cpu.callback_style != Callback.VECTOR

    def awaits_end(self, vcpu: Vcpu, lane: Lane) -> bool:
        """Tell whether a handler goes on until an EOI that is still to come.

        One given too early ends it now. Where none comes before the guest halts, its EOI made no exit.
        """
        if lane.ended == 0 and self.ends_later(lane):
            return True
        if lane.ended > 0:
            lane.ended -= 1
        else:
            lane.owed += 1
        software_eoi(vcpu.cpu.vapic)
        vcpu.pc[vcpu.depth - 1] = 1
        return False

    def ends_later(self, lane: Lane) -> bool:
        """Tell whether the guest writes an EOI before it halts; each of its exits is looked at once."""
        if lane.looked < lane.at:
            lane.looked = lane.at
        count: i64 = len(lane.own)
        while lane.looked < count:
            item: Item = lane.own[lane.looked]
            if item.b == Given.EOI:
                return True
            if item.a == Exit.HLT:
                return False
            lane.looked += 1
        return False

    def until_own(self, vcpu: Vcpu) -> i64:
        """How long the guest runs until its next exit of its own doing."""
        lane: Lane = self.lanes[vcpu.number]
        if lane.at >= len(lane.own):
            return FAR
        left: i64 = lane.own[lane.at].time - self.now
        if left < 0:
            return 0
        return left

    def go_on(self, pcpu: Pcpu, vcpu: Vcpu) -> None:
        """What is awaited happens at its given time, however long interrupts took in between."""
        if vcpu.left >= 0 and vcpu.operation == OWN:
            vcpu.left = self.until_own(vcpu)
            d: i64 = vcpu.depth - 1
            if d >= 0 and vcpu.kind[d] == DARK_FRAME and not self.stays_dark(vcpu, self.lanes[vcpu.number]):
                vcpu.left = -1
        super().go_on(pcpu, vcpu)

    def operation_over(self, pcpu: Pcpu, vcpu: Vcpu) -> None:
        """The guest's operation is over: an exit, interrupts on again, or what a handler does."""
        operation: i64 = vcpu.operation
        if operation == LIGHT:
            self.pop_frame(vcpu)
            vcpu.cpu.state.interrupt_flag = 1
            self.guest_boundary(pcpu, vcpu, True)
        elif operation == OWN:
            vcpu.left = -1
            self.own_exit(pcpu, vcpu)
        else:
            super().operation_over(pcpu, vcpu)

    def own_exit(self, pcpu: Pcpu, vcpu: Vcpu) -> None:
        """The guest exits by its own doing."""
        lane: Lane = self.lanes[vcpu.number]
        item: Item = lane.own[lane.at]
        lane.at += 1
        if item.dark != 0 and vcpu.depth == 0:
            self.push_frame(vcpu, DARK_FRAME, 0)
            vcpu.cpu.state.interrupt_flag = 0
        if item.b == Given.EOI and vcpu.depth > 0:
            vcpu.pc[vcpu.depth - 1] = 1
        vcpu.call = item.b
        vcpu.call_op = -1
        self.vm_exit(pcpu, vcpu, item.a, 0)

    def exit_cost(self, pcpu: Pcpu, vcpu: Vcpu) -> None:
        """Charge for an exit's handler; one whose work has no entry in the cost table counts as an emulated access."""
        reason: i64 = vcpu.exit_reason
        if reason == Exit.INTERRUPT_WINDOW or reason == Exit.HLT:
            super().exit_cost(pcpu, vcpu)
        elif reason == Exit.VMCALL:
            self.charge(pcpu, Cost.HYPERCALL)
            if vcpu.call == VCPU_OP:
                self.charge(pcpu, Cost.SETTIMER)
        elif vcpu.call == Given.EOI:
            self.charge(pcpu, Cost.EOI_EXIT)
        else:
            self.charge(pcpu, Cost.APIC_EMULATION)

    def exit_handler(self, pcpu: Pcpu, vcpu: Vcpu, reason: i64) -> None:
        """The handler of an exit has run: what it did for the guest is in what follows, except for the EOI."""
        if reason == Exit.INTERRUPT_WINDOW or reason == Exit.HLT:
            super().exit_handler(pcpu, vcpu, reason)
        elif reason == Exit.VMCALL:
            lane: Lane = self.lanes[vcpu.number]
            if lane.own[lane.at - 1].again != 0:
                self.raise_softirq(pcpu, Softirq.TIMER)
        elif vcpu.call == Given.EOI:
            self.end_of_handler_given(vcpu, self.lanes[vcpu.number])

    def end_of_handler_given(self, vcpu: Vcpu, lane: Lane) -> None:
        """The guest has written EOI: for what is in service, for a handler that ended already, or too early."""
        if vcpu.cpu.vapic.svi != 0:
            software_eoi(vcpu.cpu.vapic)
        elif lane.owed > 0:
            lane.owed -= 1
        else:
            lane.ended += 1

    # The scheduler.

    def choose(self, pcpu: Pcpu) -> i64:
        """A lane runs its vCPU whenever that can run and no other has the pCPU."""
        if pcpu.number >= len(self.vcpus) or self.lanes[pcpu.number].away != 0:
            return -1
        vcpu: Vcpu = self.vcpus[pcpu.number]
        if vcpu.cpu.blocked != 0 or vcpu.runstate == RunState.BLOCKED or vcpu.runstate == RunState.OFFLINE:
            return -1
        return vcpu.number

    def leave(self, pcpu: Pcpu) -> None:
        """The vCPU stops running; one that was paused is offline."""
        if pcpu.current >= 0 and self.lanes[pcpu.number].leaves_as == RunState.OFFLINE:
            vcpu: Vcpu = self.vcpus[pcpu.current]
            if vcpu.cpu.blocked == 0:
                vcpu.cpu.running_on = -1
                self.set_runstate(vcpu, RunState.OFFLINE, pcpu.number)
                return
        super().leave(pcpu)

    def reschedule(self, pcpu: Pcpu) -> bool:
        """Choose and switch. The scheduler sets its slice timer before it switches."""
        before: i64 = pcpu.current
        switched: bool = super().reschedule(pcpu)
        if pcpu.current >= 0 and pcpu.current != before:
            self.lanes[pcpu.number].slice_set = self.lanes[pcpu.number].slice_first
        return switched

    def start_assist(self, pcpu: Pcpu) -> None:
        """The way back into the guest. A timer that becomes the earliest of its pCPU raises TIMER_SOFTIRQ, and a
        context switch ends in the entry path: so the first pass there is followed by another.

        Cites: Xen timer.c activate_timer
        """
        super().start_assist(pcpu)
        lane: Lane = self.lanes[pcpu.number]
        if lane.slice_set != 0:
            lane.slice_set = 0
            self.raise_softirq(pcpu, Softirq.TIMER)
