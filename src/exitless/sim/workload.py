"""Guests whose work is given by rates: a device that interrupts, what each interrupt leaves to do, and the exits in it.

The guest works off what its interrupts left behind and halts when nothing is left. Its own hypercalls and the
exceptions that exit are spread over that work, and so are sections with interrupts off. Nothing here depends on how
interrupts are delivered, and each kind draws from a stream of its own, so every mechanism gets the same work.
"""

from typing import Final

from mypy_extensions import i64

from exitless.record.sinks import Sink
from exitless.sim.chance import Stream
from exitless.sim.costs import Cost
from exitless.sim.execution import Execution
from exitless.sim.state import Event, Pcpu, Vcpu
from exitless.vocab.exits import Exit

# Operations of guest programs beside those of sim.guest: WORKING is the only one from here on.
WORKING: Final = 30
# A hypercall of which only the number a second is known; no hypercall has this number.
OWN_CALL: Final = 63
# The exception that a guest meets when it first uses the FPU after a switch.
DEVICE_NOT_AVAILABLE: Final = 7
FIRST_HOST_VECTOR: Final = 32


class Load:
    """What one vCPU does at given rates.

    ``gap`` is the mean time between interrupts of source ``source``, ``apart`` the least; ``mean`` the work that one
    leaves. ``call_gap``, ``trap_gap`` are the mean amounts of work between hypercalls and between exceptions, ``off``
    and ``on`` the mean lengths of sections with interrupts off and on; 0 for none of these.
    ``todo`` is the work left, ``piece`` what is under way; ``to_call``, ``to_trap``, ``to_turn`` the work until then.

    Units: ps
    """

    def __init__(self, vcpu: i64, source: i64, seed: i64, stream: i64) -> None:
        self.vcpu: i64 = vcpu
        self.source: i64 = source
        self.arrivals: Stream = Stream(seed, stream)
        self.amounts: Stream = Stream(seed, stream + 1)
        self.calls: Stream = Stream(seed, stream + 2)
        self.traps: Stream = Stream(seed, stream + 3)
        self.turns: Stream = Stream(seed, stream + 4)
        self.gap: i64 = 0
        self.apart: i64 = 0
        self.mean: i64 = 0
        self.call_gap: i64 = 0
        self.trap_gap: i64 = 0
        self.off: i64 = 0
        self.on: i64 = 0
        self.dark: i64 = 0
        self.todo: i64 = 0
        self.piece: i64 = 0
        self.to_call: i64 = 0
        self.to_trap: i64 = 0
        self.to_turn: i64 = 0

    def start(self) -> None:
        """Draw where the first hypercall, exception and section with interrupts off lie."""
        if self.call_gap > 0:
            self.to_call = self.calls.exponential(self.call_gap)
        if self.trap_gap > 0:
            self.to_trap = self.traps.exponential(self.trap_gap)
        if self.off > 0:
            self.to_turn = self.turns.exponential(self.on)

    def next_arrival(self) -> i64:
        """Draw the time to the device's next interrupt."""
        if self.gap <= self.apart:
            return self.apart
        return self.apart + self.arrivals.exponential(self.gap - self.apart)

    def next_piece(self) -> i64:
        """Return how long the guest works until something happens."""
        piece: i64 = self.todo
        if self.call_gap > 0 and self.to_call < piece:
            piece = self.to_call
        if self.trap_gap > 0 and self.to_trap < piece:
            piece = self.to_trap
        if self.off > 0 and self.to_turn < piece:
            piece = self.to_turn
        self.piece = piece
        return piece

    def turn(self) -> None:
        """A section with interrupts off begins or ends."""
        if self.dark != 0:
            self.dark = 0
            self.to_turn = self.turns.exponential(self.on)
        else:
            self.dark = 1
            self.to_turn = self.turns.exponential(self.off)


class Workload(Execution):
    """Guest programs that follow a :class:`Load` where their vCPU has one."""

    def __init__(self, pcpus: i64, sinks: list[Sink]) -> None:
        super().__init__(pcpus, sinks)
        self.loads: list[Load] = []

    def device_arrives(self, load: Load, number: i64) -> None:
        """The device of a load interrupts, and the next time is drawn."""
        self.assert_msi(self.sources[load.source])
        self.calendar.push(self.now + load.next_arrival(), Event.ARRIVAL, load.vcpu, number)

    def body_done(self, vcpu: Vcpu, number: i64) -> None:
        """The handler of a load's device has run: it leaves work behind."""
        for load in self.loads:
            if load.source == number:
                load.todo += load.amounts.exponential(load.mean)
                return
        super().body_done(vcpu, number)

    def load_of(self, vcpu: Vcpu) -> i64:
        """Return which load of a vCPU has work left, -1 for none."""
        number: i64 = 0
        for load in self.loads:
            if load.vcpu == vcpu.number and load.todo > 0:
                return number
            number += 1
        return -1

    def plan_base(self, vcpu: Vcpu) -> None:
        """Nothing is being handled: work if there is work, with interrupts off where the section has them off."""
        number: i64 = self.load_of(vcpu)
        if number < 0:
            super().plan_base(vcpu)
            return
        load: Load = self.loads[number]
        vcpu.working = number
        vcpu.cpu.state.interrupt_flag = 1 - load.dark
        self.set_operation(vcpu, WORKING, load.next_piece())

    def operation_over(self, pcpu: Pcpu, vcpu: Vcpu) -> None:
        """A piece of work is done, and may end in an exit; whatever else is over is left to the floors below."""
        if vcpu.operation != WORKING:
            super().operation_over(pcpu, vcpu)
            return
        vcpu.left = -1
        answer: i64 = self.piece_over(vcpu, self.loads[vcpu.working])
        if answer != Exit.NONE:
            self.vm_exit(pcpu, vcpu, answer, vcpu.exit_argument)
        else:
            self.guest_boundary(pcpu, vcpu, True)

    def piece_over(self, vcpu: Vcpu, load: Load) -> i64:
        """Account for a piece of work. Returns: the exit it ends in, or Exit.NONE."""
        load.todo -= load.piece
        load.to_call -= load.piece
        load.to_trap -= load.piece
        load.to_turn -= load.piece
        vcpu.exit_argument = 0
        answer: i64 = Exit.NONE
        if load.call_gap > 0 and load.to_call <= 0:
            load.to_call = load.calls.exponential(load.call_gap)
            vcpu.call = OWN_CALL
            vcpu.call_op = 0
            vcpu.call_arg = Cost.EVRAISE
            answer = Exit.VMCALL
        elif load.trap_gap > 0 and load.to_trap <= 0:
            load.to_trap = load.traps.exponential(load.trap_gap)
            vcpu.exit_argument = DEVICE_NOT_AVAILABLE
            answer = Exit.EXCEPTION_NMI
        elif load.off > 0 and load.to_turn <= 0:
            load.turn()
        if load.dark == 0 or load.todo <= 0:
            vcpu.cpu.state.interrupt_flag = 1
        return answer

    def exit_cost(self, pcpu: Pcpu, vcpu: Vcpu) -> None:
        """Charge for an exit's handler; an exception's is as long as that of an interrupt window: a few VMCS writes."""
        if vcpu.exit_reason == Exit.EXCEPTION_NMI:
            self.charge(pcpu, Cost.WINDOW)
        else:
            super().exit_cost(pcpu, vcpu)
