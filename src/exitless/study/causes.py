"""Which interrupt made which exits: a vector's sender is followed from its message to the exit of its EOI.

An exit is caused by a host interrupt, by a guest's interrupt (the kick that makes room for it, its window, its EOI), by
a window asked for once more, or by the guest's own instruction. It takes rows in the order of time and knows no tracer.
"""

from typing import Final

from mypy_extensions import i64

from exitless.record.row_sink import RowSink
from exitless.study.times import Counts, Slots
from exitless.vocab.kinds import Kind

# Exits by what they are, in VMX's and SVM's numbers, no two of which collide.
EXTERNAL_VMX: Final = 1
EXTERNAL_SVM: Final = 0x60
WINDOW_VMX: Final = 7
WINDOW_SVM: Final = 0x64
LOST: Final = 0
# Typed, so that a choice between it and a number makes no object.
NONE: Final[i64] = -1
NMI: Final = 2
# Linux's vector by which it interrupts a pCPU that runs a guest, for the guest's sake.
RESCHEDULE: Final = 0xFD
FLAGS: Final = 256
# Codes of exits that are counted in an array: for the guest's own instructions all, for other causes VMX's and some.
MOST_CODES: Final = 1056
FEW_CODES: Final = 160
# Numbers that a cause may have beside its kind.
NUMBERS: Final = 16_777_216


class Cause:
    """What made an exit. Numbers: a vCPU's place for IPI, a pin for IOAPIC and PIC, an irq for HOST_IRQ, else -1."""

    GUEST: Final = 0
    HOST_VECTOR: Final = 1
    HOST_IRQ: Final = 2
    HOST: Final = 3
    LOCAL: Final = 4
    IPI: Final = 5
    MSI: Final = 6
    IOAPIC: Final = 7
    PIC: Final = 8
    VECTOR: Final = 9
    AGAIN: Final = 10


class Caused:
    """What one cause led to: interrupts that were accepted, exits by code, time from exit to entry. Units: ps."""

    def __init__(self, cause: i64, number: i64, vector: i64) -> None:
        self.cause: i64 = cause
        self.number: i64 = number
        self.vector: i64 = vector
        self.interrupts: i64 = 0
        self.exits: i64 = 0
        self.kicks: i64 = 0
        self.spent: i64 = 0
        self.codes: Counts = Counts(MOST_CODES if cause == Cause.GUEST else FEW_CODES)


class Follows:
    """One vCPU. -1 is none; ``origin`` has, by vector, cause and number of who sent it last."""

    def __init__(self) -> None:
        self.code: i64 = NONE
        self.exited: i64 = NONE
        self.pcpu: i64 = NONE
        self.is_in_guest: bool = False
        self.host_vector: i64 = NONE
        self.host_irq: i64 = NONE
        self.kick: i64 = NONE
        self.injected: i64 = NONE
        self.ended: i64 = NONE
        self.armed: i64 = NONE
        self.is_again: bool = False
        self.was_armed: i64 = NONE
        self.was_again: bool = False
        self.serving: list[int] = []
        self.origin: dict[int, int] = {}


class Causes(RowSink):
    """All causes of one recording. ``messages`` counts what was sent through a guest's interrupt controllers."""

    def __init__(self) -> None:
        self.found: dict[int, Caused] = {}
        self.cpus: dict[int, Follows] = {}
        self.vcpus: Slots = Slots()
        self.places: list[Follows] = []
        self.on: Slots = Slots()
        self.guest: Caused | None = None
        self.messages: i64 = 0
        self.accepts: i64 = 0
        self.posts: i64 = 0
        self.sent_kind: dict[int, int] = {}
        self.sent_vector: Slots = Slots()
        self.sent_number: dict[int, int] = {}
        self.last_accept: Slots = Slots()

    def one(self, time: i64, kind: i64, pcpu: i64, vcpu: i64, a: i64, b: i64) -> None:
        """Follow one row."""
        if kind == Kind.VM_EXIT:
            self.exit(time, self.cpu(pcpu, vcpu), pcpu, vcpu, a, b)
        elif kind == Kind.VM_ENTRY:
            self.entry(time, self.cpu(pcpu, vcpu), pcpu, vcpu)
        elif kind == Kind.HOST_IRQ:
            self.host(pcpu, a, b)
        elif kind == Kind.IRQ_REQUEST:
            self.request(pcpu, vcpu, a)
        elif kind == Kind.IRQ_INJECT:
            self.inject(self.cpu(pcpu, vcpu), a)
        elif kind == Kind.IRQ_WINDOW:
            cpu: Follows = self.cpu(pcpu, vcpu)
            cpu.is_again = cpu.injected == a
            cpu.armed = a
        elif kind == Kind.IRQ_EOI:
            self.end(self.cpu(pcpu, vcpu), a)
        elif kind == Kind.EOI_SPARED:
            self.cpu(pcpu, vcpu).ended = NONE
        elif kind == Kind.GUEST_IPI:
            self.send(pcpu, Cause.IPI, a, vcpu)
        elif kind == Kind.GUEST_MSI:
            self.send(pcpu, Cause.MSI, a, NONE)
        elif kind == Kind.IOAPIC_SET:
            self.from_ioapic(pcpu, a, b & 255)
        elif kind == Kind.PID_POST:
            self.posts += 1
        elif kind == LOST and a >= 0:
            self.lost(pcpu)

    def cpu(self, pcpu: i64, vcpu: i64) -> Follows:
        """Find a vCPU, or who stands in for it on a pCPU."""
        place: i64 = self.vcpus.get(vcpu) if vcpu >= 0 else NONE
        if place >= 0:
            return self.places[place]
        key: int = vcpu if vcpu >= 0 else -2 - pcpu
        found = self.cpus.get(key)
        if found is None:
            found = self.cpus[key] = Follows()
            if vcpu >= 0:
                self.vcpus.put(vcpu, i64(len(self.places)))
                self.places.append(found)
        return found

    def of(self, cause: i64, number: i64, vector: i64) -> Caused:
        """Find what a cause led to."""
        key: int = (cause * NUMBERS + number + 1) * 512 + vector + 1
        found = self.found.get(key)
        if found is None:
            found = self.found[key] = Caused(cause, number, vector)
        return found

    def send(self, pcpu: i64, cause: i64, vector: i64, number: i64) -> None:
        """A message is on its way; what is accepted next on this pCPU with this vector is it."""
        self.messages += 1
        self.sent_kind[pcpu] = cause
        self.sent_vector.put(pcpu, vector)
        self.sent_number[pcpu] = number

    def from_ioapic(self, pcpu: i64, vector: i64, pin: i64) -> None:
        """Its tracer writes a pin's message after the acceptance it causes."""
        self.messages += 1
        last: i64 = self.last_accept.get(pcpu)
        if last >= 0 and last % FLAGS == vector:
            cpu: Follows = self.cpu(pcpu, last // FLAGS)
            old: i64 = cpu.origin.get(vector, NONE)
            if old >= 0 and old // NUMBERS == Cause.LOCAL:
                self.of(Cause.LOCAL, NONE, vector).interrupts -= 1
                self.of(Cause.IOAPIC, pin, vector).interrupts += 1
                cpu.origin[vector] = Cause.IOAPIC * NUMBERS + pin + 1
        self.last_accept.drop(pcpu)

    def request(self, pcpu: i64, vcpu: i64, vector: i64) -> None:
        """A vector is accepted: by whom it was sent is known now, or it came from its own local APIC."""
        self.accepts += 1
        cpu: Follows = self.cpu(pcpu, vcpu)
        cause: i64 = Cause.LOCAL
        number: i64 = NONE
        if self.sent_vector.get(pcpu) == vector and pcpu in self.sent_kind:
            cause = self.sent_kind[pcpu]
            number = self.sent_number[pcpu]
        cpu.origin[vector] = cause * NUMBERS + number + 1
        self.of(cause, number, vector).interrupts += 1
        if vcpu >= 0:
            self.last_accept.put(pcpu, vcpu * FLAGS + vector)
        if cpu.is_in_guest and cpu.pcpu != pcpu:
            cpu.kick = vector

    def host(self, pcpu: i64, vector: i64, irq: i64) -> None:
        """A host interrupt comes upon whoever runs there; the first since the entry made it exit."""
        key: i64 = self.on.get(pcpu)
        if key == -1:
            return
        cpu: Follows = self.cpu(-2 - key, key)
        if cpu.host_vector < 0 and cpu.host_irq < 0:
            cpu.host_vector = vector
            cpu.host_irq = irq

    def exit(self, time: i64, cpu: Follows, pcpu: i64, vcpu: i64, code: i64, argument: i64) -> None:
        """A guest exits."""
        if cpu.exited >= 0:
            self.settle(cpu, NONE)
        self.on.put(pcpu, vcpu if vcpu >= 0 else -2 - pcpu)
        cpu.is_in_guest = False
        cpu.pcpu = pcpu
        cpu.code = code
        cpu.exited = time
        cpu.injected = cpu.ended = NONE
        cpu.was_armed = cpu.armed
        cpu.was_again = cpu.is_again
        if code == EXTERNAL_VMX and 0 <= argument < 256:
            cpu.host_vector = argument
        if code == WINDOW_VMX or code == WINDOW_SVM:
            cpu.armed = NONE
            cpu.is_again = False
        self.sent_vector.drop(pcpu)

    def entry(self, time: i64, cpu: Follows, pcpu: i64, vcpu: i64) -> None:
        """A guest is entered: what its exit was for is known by now."""
        if cpu.exited >= 0:
            self.settle(cpu, time - cpu.exited)
        self.on.put(pcpu, vcpu if vcpu >= 0 else -2 - pcpu)
        cpu.is_in_guest = True
        cpu.pcpu = pcpu
        cpu.exited = cpu.host_vector = cpu.host_irq = cpu.kick = NONE
        self.sent_vector.drop(pcpu)

    def inject(self, cpu: Follows, vector: i64) -> None:
        """A vector is injected; of several in one exit the first is what the exit was for."""
        if cpu.injected < 0:
            cpu.injected = vector
        if vector in cpu.serving:
            cpu.serving.remove(vector)
        cpu.serving.append(vector)

    def end(self, cpu: Follows, vector: i64) -> None:
        """A vector ends; where the tracer does not say which, the highest in service."""
        if vector == -1 and len(cpu.serving) > 0:
            vector = max(cpu.serving)
        if vector >= 0:
            cpu.ended = vector
            if vector in cpu.serving:
                cpu.serving.remove(vector)

    def settle(self, cpu: Follows, spent: i64) -> None:
        """Say what the exit that ends here was for; ``spent`` is -1 where its entry was not seen."""
        found: Caused = self.cause_of(cpu)
        found.exits += 1
        if spent > 0:
            found.spent += spent
        found.codes.add(cpu.code)

    def cause_of(self, cpu: Follows) -> Caused:
        """Judge by what happened in the exit."""
        code: i64 = cpu.code
        if code == EXTERNAL_VMX or code == EXTERNAL_SVM:
            if cpu.kick >= 0 and (cpu.host_vector == RESCHEDULE or (cpu.host_vector < 0 and cpu.host_irq < 0)):
                kicked: Caused = self.sender(cpu, cpu.kick)
                kicked.kicks += 1
                return kicked
            if cpu.host_vector >= 0:
                return self.of(Cause.HOST_VECTOR, NONE, cpu.host_vector)
            if cpu.host_irq >= 0:
                return self.of(Cause.HOST_IRQ, cpu.host_irq, NONE)
            return self.of(Cause.HOST, NONE, NONE)
        if code == WINDOW_VMX or code == WINDOW_SVM:
            if cpu.injected >= 0:
                return self.sender(cpu, cpu.injected)
            return self.of(Cause.AGAIN, NONE, cpu.was_armed if cpu.was_again else NONE)
        if cpu.ended >= 0:
            return self.sender(cpu, cpu.ended)
        if self.guest is None:
            self.guest = self.of(Cause.GUEST, NONE, NONE)
        return self.guest

    def sender(self, cpu: Follows, vector: i64) -> Caused:
        """Find who sent a vector to a vCPU last."""
        origin: i64 = cpu.origin.get(vector, NONE)
        if origin < 0:
            return self.of(Cause.VECTOR, NONE, vector)
        return self.of(origin // NUMBERS, origin % NUMBERS - 1, vector)

    def lost(self, pcpu: i64) -> None:
        """Forget what was under way."""
        for cpu in self.cpus.values():
            cpu.exited = cpu.host_vector = cpu.host_irq = cpu.kick = cpu.injected = cpu.ended = cpu.armed = NONE
            cpu.is_in_guest = cpu.is_again = False
            cpu.serving = []
        self.on.drop(pcpu)
        self.sent_vector.drop(pcpu)
        self.last_accept.drop(pcpu)

    def finish(self) -> None:
        """The recording ends: exits without an entry count too."""
        for cpu in self.cpus.values():
            if cpu.exited >= 0:
                self.settle(cpu, NONE)
                cpu.exited = NONE
