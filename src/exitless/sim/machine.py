"""The machine: it takes the earliest event, lets it happen, and goes on; on request it asks the laws after each."""

from mypy_extensions import i64

from exitless.arch.x86.host_vectors import HostVector
from exitless.arch.x86.lapic import acknowledge, deliverable
from exitless.errors import Impossible
from exitless.record.sinks import Sink
from exitless.sim.costs import Cost
from exitless.sim.devices.nic import NicQueue
from exitless.sim.state import Event, Mode, Pcpu, Phase, Resume, Softirq, Vcpu
from exitless.sim.watching import Watching


class Machine(Watching):
    """A host that runs."""

    def __init__(self, pcpus: i64, sinks: list[Sink]) -> None:
        super().__init__(pcpus, sinks)
        self.events: i64 = 0

    def run(self, until: i64) -> i64:
        """Let everything happen up to and including ``until`` ps. Returns: how many events that were."""
        before: i64 = self.events
        at: i64 = self.calendar.next_time()
        while at >= 0 and at <= until:
            self.step()
            if self.watch_laws != 0 and not self.laws_hold():
                return self.events - before
            at = self.calendar.next_time()
        return self.events - before

    def step(self) -> bool:
        """Let the earliest event happen. Returns: False when there is none."""
        calendar = self.calendar
        if not calendar.pop():
            return False
        self.now = calendar.now
        self.spent = 0
        self.events += 1
        self.just_entered = -1
        event: i64 = calendar.event
        x: i64 = calendar.x
        if event == Event.STEP:
            pcpu: Pcpu = self.pcpus[x]
            if calendar.y == pcpu.generation:
                self.phase_over(pcpu)
        elif event == Event.OPERATION:
            runner: Pcpu = self.pcpus[x]
            if calendar.y == runner.generation:
                self.operation_over(runner, self.vcpus[runner.current])
        elif event == Event.MESSAGE:
            self.message(self.pcpus[x], calendar.y)
        elif event == Event.FRAME:
            self.frame_arrives(self.nics[x])
        elif event == Event.MSI:
            self.route_message(x)
        elif event == Event.THROTTLE:
            queue: NicQueue = self.nic_queues[x]
            queue.waiting = 0
            self.try_assert(self.nics[queue.nic], queue)
        elif event == Event.DISK:
            self.disk_completes(self.disks[x])
        elif event == Event.TIMER:
            self.timer_fires(self.pcpus[x])
        elif event == Event.MOVE:
            self.move(self.vcpus[x], calendar.y)
        elif event == Event.OFFLINE:
            self.stop_for(x)
        elif event == Event.ARRIVAL:
            self.arrival(self.vcpus[x], calendar.y)
        else:
            raise Impossible("a calendar entry has no meaning")
        return True

    # Messages and timers.

    def message(self, pcpu: Pcpu, vector: i64) -> None:
        """An interrupt message arrives; vector 0 stands for a store that a polling idle loop sees."""
        if vector != 0:
            self.accept_message(pcpu, vector)
        self.poke(pcpu)

    def timer_fires(self, pcpu: Pcpu) -> None:
        """The local APIC timer of a pCPU has reached its deadline."""
        if pcpu.timer_at == self.now:
            pcpu.timer_at = -1
            self.accept_message(pcpu, HostVector.TIMER)
            self.poke(pcpu)

    def poke(self, pcpu: Pcpu) -> None:
        """Something may have become pending for a pCPU: it is taken now if the pCPU takes interrupts now."""
        mode: i64 = pcpu.mode
        if mode == Mode.GUEST:
            if pcpu.phase != Phase.PROCESSING:
                self.guest_boundary(pcpu, self.vcpus[pcpu.current], False)
        elif mode == Mode.PV:
            if deliverable(pcpu.lapic) >= 0:
                self.pause(pcpu, self.vcpus[pcpu.current])
                self.enter_root(pcpu)
                self.charge(pcpu, Cost.PV_TRAP)
                self.start_irq(pcpu, acknowledge(pcpu.lapic), Resume.PV_PATH)
        elif mode == Mode.IDLE:
            if deliverable(pcpu.lapic) >= 0:
                self.enter_root(pcpu)
                self.tick_resumes(pcpu)
                self.start_irq(pcpu, acknowledge(pcpu.lapic), Resume.IDLE_PATH)
            elif pcpu.softirqs != 0:
                self.enter_root(pcpu)
                self.tick_resumes(pcpu)
                self.start_softirq(pcpu)
        elif pcpu.phase == Phase.DYING and deliverable(pcpu.lapic) >= 0:
            self.start_irq(pcpu, acknowledge(pcpu.lapic), Resume.DYING)

    def move(self, vcpu: Vcpu, pcpu: i64) -> None:
        """The administrator moves a vCPU; to a pCPU that is offline nobody can be moved."""
        if vcpu.pcpu == pcpu or self.pcpus[pcpu].online == 0:
            return
        vcpu.move_to = pcpu
        vcpu.move_pins = 1
        where: i64 = vcpu.cpu.running_on
        if where >= 0:
            self.raise_softirq(self.pcpus[where], Softirq.SCHEDULE)
            self.send(where, HostVector.EVENT_CHECK, self.costs[Cost.IPI_FLIGHT])
        elif vcpu.queued != 0:
            self.dequeue(vcpu)
            self.finish_move(self.pcpus[pcpu], vcpu)
            self.resume(self.pcpus[pcpu], vcpu)
            self.send(pcpu, HostVector.EVENT_CHECK, self.costs[Cost.IPI_FLIGHT])

    def arrival(self, vcpu: Vcpu, port: i64) -> None:
        """Something for a vCPU comes from outside the model: an interrupt of the load with that number."""
        self.device_arrives(self.loads[port], port)
