"""KVM's blocking and loading under AVIC against senders at any time: every order is tried, by playing it again."""

from collections.abc import Iterator

import pytest
from librt.vecs import vec
from mypy_extensions import i64

from exitless.arch.kvm.avic import has_request, set_running
from exitless.arch.svm.evaluate import Avic, deliver, doorbell, set_requested, vmrun
from exitless.arch.svm.iommu import Arrived, GuestIrte, GuestLog, request_guest, take, tell
from exitless.arch.svm.ipi import Ipi, find_targets, request_target, ring_target
from exitless.arch.svm.tables import Backing, PhysicalEntry, Tables
from exitless.mech.procedures.kvm_avic import KvmAvic, avic_block, avic_load, avic_preempt
from exitless.mech.procedures.procedure import Surroundings, Verb
from exitless.mech.vcpu import VirtualCpu

VECTOR, HOST = 0x61, 0x21


class Host(Surroundings):
    """vCPU 1 runs, leaves its core by ``away``, and is loaded again once it may run; vCPU 0 or a device sends to it.

    A step is ``cpu``, ``send`` (set IRR, then tell), or ``ring`` (a doorbell arrives).
    """

    def __init__(self, away: list[int], device: bool, hides: int) -> None:
        super().__init__()
        self.device = device
        self.tables = Tables(2)
        self.tables.pages.extend(Backing() for _ in range(3))
        for number, entry in enumerate(self.tables.physical):
            entry.valid, entry.backing = 1, number + 1
        self.sender = Avic(0, self.tables.pages[1])
        self.sender.backing.words[0xE0 >> 2] = 0xFFFFFFFF
        self.avic = Avic(1, self.tables.pages[2])
        self.irte, self.log = GuestIrte(), GuestLog(4)
        self.irte.vector, self.irte.tag, self.irte.guest_mode = VECTOR, 7, 1
        self.one = VirtualCpu(1)
        parts = (self.one, self.avic, self.tables.physical[1], self.irte, HOST)
        self.away = KvmAvic(*parts, vec[i64](away))
        self.load = KvmAvic(*parts, avic_load())
        self.away.hides = self.load.hides = hides
        self.load.run(self)
        self.away.begin()
        self.ipi = Ipi()
        self.ipi.vector = VECTOR
        find_targets(self.tables, self.sender, VECTOR, 1 << 24, self.ipi)
        self.sent = self.rings = 0
        self.exits = 0

    def unblock(self, vcpu: VirtualCpu) -> None:
        """Runnable."""
        vcpu.blocked = 0

    def choices(self) -> list[str]:
        """Return the steps that could be next."""
        sleeps = self.away.is_idle() and self.load.at == 0 and self.one.blocked != 0
        busy = not (self.away.is_idle() and self.load.is_idle()) and not sleeps
        return ["cpu"] * busy + ["send"] * (self.sent < 2) + ["ring"] * (self.rings > 0)

    def do(self, step: str) -> None:
        """Take one step."""
        if step == "cpu":
            if not self.away.is_idle():
                self.away.step(self)
                if self.away.is_idle():
                    self.load.begin()
            else:
                self.load.step(self)
        elif step == "ring":
            self.rings -= 1
            doorbell(self.avic)
        else:
            self.sent += 1
            if self.sent == 1:
                if self.device:
                    request_guest(self.irte, self.avic.backing)
                else:
                    request_target(self.tables, self.ipi, 0)
            else:
                self.tell()

    def tell(self) -> None:
        """The second half of sending."""
        if not self.device:
            if ring_target(self.tables, self.sender, self.ipi, 0):
                self.rings += 1
            else:
                self.exits += 1
                doorbell(
                    self.avic
                )  # software kicks a vCPU that does run (the hidden case), and wakes one that does not
                self.unblock(self.one)
            return
        answer = tell(self.irte, self.log)
        if answer == Arrived.DOORBELL:
            self.rings += 1
        elif answer == Arrived.LOGGED and take(self.log) == 7:
            self.unblock(self.one)

    def told(self) -> bool:
        """The guest runs and has recognized it."""
        return self.avic.in_guest != 0 and self.avic.recognized == VECTOR


def endings(away: list[int], device: bool, hides: int = 0) -> Iterator[Host]:
    """Play every order of the steps to its end."""
    stack: list[list[str]] = [[]]
    while stack:
        played = stack.pop()
        host = Host(away, device, hides)
        for step in played:
            host.do(step)
        choices = host.choices()
        if not choices:
            yield host
        stack.extend([*played, step] for step in choices)


@pytest.mark.parametrize("device", [False, True])
@pytest.mark.parametrize("program", [avic_block, avic_preempt])
@pytest.mark.parametrize("hides", [0, 1])
def test_no_order_loses_a_request(program, device: bool, hides: int) -> None:
    """P20: IRR before IsRunning there, IsRunning before IRR here; with erratum 1235 every IPI exits."""
    ends = list(endings(list(program()), device, hides))
    assert len(ends) > 10 and all(host.told() for host in ends)
    if hides and not device:
        assert all(host.exits == 1 for host in ends)


@pytest.mark.parametrize(
    ("left_out", "device"),
    [(Verb.TEST_REQUEST, False), (Verb.CLEAR_RUNNING, False), (Verb.DEVICE_LOGS, True), (Verb.DEVICE_STOPS, True)],
)
def test_each_step_of_blocking_is_needed(left_out: int, device: bool) -> None:
    """Leave a step out, and some order leaves the vCPU asleep with its request in IRR."""
    program = [verb for verb in avic_block() if verb != left_out]
    assert any(not host.told() for host in endings(program, device))


def test_looking_at_irr_before_giving_up_the_core_is_wrong() -> None:
    """P20, the other way round."""
    program = [verb for verb in avic_block() if verb != Verb.TEST_REQUEST]
    program.insert(program.index(Verb.CLEAR_RUNNING), Verb.TEST_REQUEST)
    assert any(not host.told() for host in endings(program, False))


def test_what_counts_as_a_request() -> None:
    """A request of a class that is not above the priority does not keep a vCPU awake."""
    avic = Avic(0, Backing())
    assert not has_request(avic)
    set_requested(avic.backing, VECTOR)
    assert has_request(avic)
    vmrun(avic)
    deliver(avic)
    set_requested(avic.backing, VECTOR + 1)
    assert not has_request(avic)
    set_requested(avic.backing, VECTOR + 0x10)
    assert has_request(avic)


def test_erratum_1235_hides_who_runs() -> None:
    """avic.c: the table's IsRunning stays 0 while the vCPU runs."""
    entry = PhysicalEntry()
    set_running(entry, 5, 1)
    assert (entry.running, entry.host_id) == (0, 5)
    set_running(entry, 5, 0)
    assert entry.running == 1
