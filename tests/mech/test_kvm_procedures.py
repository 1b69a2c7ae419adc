"""KVM's load, put, block and entry against posts that come at any time: every order is tried, by playing it again."""

from collections.abc import Iterator

import pytest
from librt.vecs import vec
from mypy_extensions import i64

from exitless.arch.kvm.posted_intr import clear_suppress, has_pending, load_control, rescan, set_on, set_wakeup
from exitless.arch.vmx.posted import PostedDescriptor, set_pir
from exitless.arch.vtd.post import Posted, post
from exitless.mech.procedures.kvm_block import (
    KvmLoad,
    KvmPut,
    KvmWakeup,
    kvm_block,
    kvm_load,
    kvm_preempt,
    kvm_wakeup,
)
from exitless.mech.procedures.kvm_post import KvmEnter, KvmPost, kvm_enter, kvm_post
from exitless.mech.procedures.offline import Offline, rescanning_desc_fixup, xen_desc_fixup, xen_preempt
from exitless.mech.procedures.procedure import Procedure, Surroundings, Verb
from exitless.mech.procedures.process import Process, process_posted
from exitless.mech.vcpu import VirtualCpu

NOTIFY, WAKE, VECTOR = 0xF2, 0xF1, 0x41


class Host(Surroundings):
    """Two pCPUs and a vCPU that leaves pCPU 0 by ``away`` and is loaded again on ``back``; pCPU 2 or a device posts.

    A step is ``cpu`` (the vCPU's own pCPU goes on), ``post`` (the sender does), or ``message`` (one that is on its way
    arrives). Interrupts are off inside put, load and entry, so that no message arrives there.
    """

    def __init__(self, away: list[int], load: list[int], back: int, software: bool) -> None:
        super().__init__()
        self.notification_vector, self.wakeup_vector = NOTIFY, WAKE
        self.one = VirtualCpu(0)
        self.one.state.interrupt_flag = 1
        self.one.pid.nv = NOTIFY
        self.one.running_on = 0
        self.lists: dict[int, list[int]] = {0: [], 1: []}
        self.messages: list[tuple[int, int]] = []
        self.back, self.software = back, software
        self.posted = False
        self.sender = KvmPost(self.one, VECTOR, 2, kvm_post())
        self.sender.begin()
        self.put = KvmPut(self.one, 0, vec[i64](away))
        self.load = KvmLoad(self.one, back, vec[i64](load))
        self.enter = KvmEnter(self.one, 0, kvm_enter())
        self.phase: Procedure | None = self.put
        self.put.begin()
        self.in_guest = False

    def send(self, pcpu: int, vector: int) -> None:
        """On its way."""
        self.messages.append((pcpu, vector))

    def take_softirq(self, pcpu: int) -> bool:
        """No requests here."""
        return False

    def enlist(self, vcpu: VirtualCpu, pcpu: int) -> None:
        """On the list."""
        self.lists[pcpu].append(vcpu.number)

    def delist(self, vcpu: VirtualCpu) -> bool:
        """Off every list."""
        was = any(vcpu.number in numbers for numbers in self.lists.values())
        self.lists = {pcpu: [n for n in numbers if n != vcpu.number] for pcpu, numbers in self.lists.items()}
        return was

    def listed_after(self, pcpu: int, after: int) -> int:
        """There is one vCPU, so nobody follows it."""
        return 0 if after < 0 and 0 in self.lists[pcpu] and self.one.pid.on else -1

    def vcpu(self, number: int) -> VirtualCpu:
        """There is one."""
        return self.one

    def unblock(self, vcpu: VirtualCpu) -> None:
        """Runnable."""
        vcpu.blocked = 0

    def sleeps(self) -> bool:
        """The vCPU is off its pCPU and may not be loaded."""
        return self.phase is self.load and self.load.at == 0 and self.one.blocked != 0

    def choices(self) -> list[str]:
        """Return the steps that could be next."""
        found = []
        if self.phase is not None and not self.sleeps():
            found.append("cpu")
        if not self.sender.is_idle() if self.software else not self.posted:
            found.append("post")
        closed = self.phase is not None and self.phase.at > (1 if self.phase is self.put else 0)
        if self.messages and not closed:
            found.append("message")
        return found

    def do(self, step: str) -> None:
        """Take one step."""
        if step == "cpu":
            assert self.phase is not None
            self.phase.step(self)
            if self.phase.is_idle():
                self.next_phase()
        elif step == "message":
            pcpu, vector = self.messages.pop(0)
            if vector == WAKE:
                KvmWakeup(self.one, pcpu, kvm_wakeup()).run(self)
            elif self.in_guest and pcpu == self.one.running_on:
                Process(self.one, process_posted()).run(self)
        elif self.software:
            self.sender.step(self)
        else:
            self.posted = True
            if post(self.one.pid, VECTOR, 0) & Posted.NOTIFY:
                self.send(self.one.pid.ndst, self.one.pid.nv)

    def next_phase(self) -> None:
        """The vCPU has been put, loaded, or entered."""
        if self.phase is self.put and self.one.running_on < 0:
            self.phase = self.load
            self.load.begin()
        elif self.phase is self.enter:
            self.in_guest, self.phase = True, None
        else:
            self.phase = self.enter
            self.enter.begin()

    def told(self) -> bool:
        """The guest runs, and the request is in RVI."""
        return self.in_guest and self.one.vapic.rvi == VECTOR and self.one.pid.on == 0


def endings(away: list[int], load: list[int], back: int, software: bool) -> Iterator[tuple[Host, list[str]]]:
    """Play every order of the steps to its end."""
    stack: list[list[str]] = [[]]
    while stack:
        played = stack.pop()
        host = Host(away, load, back, software)
        for step in played:
            host.do(step)
        open_steps = host.choices()
        if not open_steps:
            yield host, played
        stack.extend([*played, step] for step in open_steps)


def without(program: list[int], verb: int) -> list[int]:
    """Return a program that leaves a step out."""
    return [v for v in program if v != verb]


def test_no_order_loses_a_post_while_a_vcpu_blocks() -> None:
    """P8 to P10: the list, NV, then ON once more; software and hardware posts, the same pCPU or another one."""
    for back in (0, 1):
        for software in (False, True):
            seen = list(endings(list(kvm_block()), list(kvm_load()), back, software))
            assert len(seen) > 5
            assert [played for host, played in seen if not host.told()] == []
            assert any(host.lists == {0: [], 1: []} for host, _ in seen)


def test_no_order_loses_a_post_while_a_vcpu_is_preempted() -> None:
    """P6: a post under SN sets PIR alone, and load looks at PIR."""
    for back in (0, 1):
        for software in (False, True):
            seen = list(endings(list(kvm_preempt()), list(kvm_load()), back, software))
            assert [played for host, played in seen if not host.told()] == []


@pytest.mark.parametrize(
    ("away", "load", "why"),
    [
        (without(list(kvm_block()), Verb.SELF_CHECK), list(kvm_load()), "P10: nobody looks at ON after NV"),
        (without(list(kvm_block()), Verb.ENLIST), list(kvm_load()), "P9: the handler finds no list entry"),
        (without(list(kvm_block()), Verb.ARM_WAKEUP), list(kvm_load()), "P8: NV is not the wake-up vector"),
        (list(kvm_preempt()), without(list(kvm_load()), Verb.RESCAN), "P6: SN cleared, ON not set again"),
    ],
)  # fmt: skip
def test_each_step_is_needed(away: list[int], load: list[int], why: str) -> None:
    """KVM c112b5f50232 and its kin: leave a step out, and some order loses the interrupt."""
    lost = [played for host, played in endings(away, load, 0, False) if not host.told()]
    assert lost, why


def test_an_ipi_goes_only_to_a_target_in_its_guest_elsewhere() -> None:
    """vmx/common.h: IN_GUEST_MODE and another pCPU: the notification vector; the own pCPU: nothing; else a wake-up."""
    for mode, runs_on, sent, woken in ((1, 0, [(0, NOTIFY)], False), (1, 2, [], False), (0, 0, [], True)):
        host = Host(list(kvm_block()), list(kvm_load()), 0, True)
        host.one.in_guest_mode, host.one.running_on, host.one.blocked = mode, runs_on, 1
        host.sender.run(host)
        assert (host.messages, host.one.blocked == 0) == (sent, woken)
        host.messages.clear()
        host.sender.run(host)
        assert host.messages == [], "the PIR bit was set already"
        other = KvmPost(host.one, VECTOR + 1, 2, kvm_post())
        other.run(host)
        assert host.messages == [], "ON was set already"


def test_a_request_sends_the_entry_back() -> None:
    """x86.c: mode, sync, requests; with a request the mode is taken back and PIR looked at again."""

    class Asking(Host):
        asked = 1

        def take_softirq(self, pcpu: int) -> bool:
            """Once."""
            self.asked -= 1
            return self.asked == 0

    host = Asking(list(kvm_block()), list(kvm_load()), 0, False)
    host.enter.begin()
    modes = []
    while not host.enter.is_idle():
        host.enter.step(host)
        modes.append(int(host.one.in_guest_mode))
    assert modes == [1, 1, 1, 0, 1, 1, 1, 1, 1]


def test_the_operations_on_the_descriptor() -> None:
    """posted_intr.c: pending is ON, or PIR while SN is set; a rescan sets ON for what is in PIR."""
    for on, sn, vector in ((0, 0, -1), (0, 0, 5), (0, 1, -1), (0, 1, 5), (1, 0, 5), (1, 1, -1)):
        pid = PostedDescriptor()
        pid.on, pid.sn = on, sn
        if vector >= 0:
            set_pir(pid, vector)
        assert has_pending(pid) == bool(on or (sn and vector >= 0))
        assert rescan(pid) == (vector >= 0)
        assert pid.on == int(on or vector >= 0)
    pid = PostedDescriptor()
    pid.sn = 1
    assert [set_on(pid), set_on(pid), pid.sn] == [False, True, 1]
    clear_suppress(pid)
    assert pid.sn == 0
    set_wakeup(pid, WAKE)
    assert (pid.nv, pid.on) == (WAKE, 1)
    pid.sn = 1
    load_control(pid, 7, NOTIFY)
    assert (pid.ndst, pid.sn, pid.nv, pid.on) == (7, 0, NOTIFY, 1)


def test_xen_preempts_with_sn() -> None:
    """vmx.c: switch_from sets SN when the vCPU does not block."""
    host = Host(list(kvm_block()), list(kvm_load()), 0, False)
    Offline(host.one, 1, xen_preempt()).run(host)
    assert (host.one.pid.sn, host.one.running_on) == (1, -1)


@pytest.mark.parametrize("on", [0, 1])
def test_xen_moves_or_wakes_what_was_blocked_on_a_pcpu_that_goes(on: int) -> None:
    """vmx.c: with ON set the vCPU is woken, otherwise NDST and list move; SN is clear again."""
    host = Host(list(kvm_block()), list(kvm_load()), 0, False)
    host.one.blocked, host.one.pid.on = 1, on
    host.enlist(host.one, 0)
    Offline(host.one, 1, xen_desc_fixup()).run(host)
    assert (host.one.blocked, host.lists) == (1 - on, {0: [], 1: [] if on else [0]})
    assert (host.one.pid.sn, host.one.pid.ndst) == (0, 1 - on)


def test_with_a_second_look_a_post_inside_the_move_wakes_the_vcpu() -> None:
    """The step that Xen lacks: after SN is clear PIR is looked at, and what is in it gets ON."""
    host = Host(list(kvm_block()), list(kvm_load()), 0, False)
    host.one.blocked = 1
    host.enlist(host.one, 0)
    move = Offline(host.one, 1, rescanning_desc_fixup())
    move.begin()
    while not move.is_idle():
        if move.verb() == Verb.MOVE_LIST:
            host.do("post")
        move.step(host)
    assert (host.one.blocked, host.one.pid.on, host.lists) == (0, 1, {0: [], 1: []})


def test_a_post_inside_xens_move_is_seen_by_nobody_as_the_source_reads() -> None:
    """A candidate problem, by code reading: SN, the question about ON, then a post, then SN clear: PIR without ON."""
    host = Host(list(kvm_block()), list(kvm_load()), 0, False)
    host.one.blocked = 1
    host.enlist(host.one, 0)
    move = Offline(host.one, 1, xen_desc_fixup())
    move.begin()
    while not move.is_idle():
        if move.verb() == Verb.MOVE_LIST:
            host.do("post")
        move.step(host)
    assert (host.one.blocked, host.one.pid.on, host.messages) == (1, 0, [])
    assert has_pending(host.one.pid) is False
    assert rescan(host.one.pid)
