"""How Xen tells a vCPU: kicks, posts, events of either ABI, callbacks; and what guests send to each other.

What is decided is decided by rules; this file strings them together in Xen's order and charges for them.
"""

from typing import Final

from mypy_extensions import i64

from exitless.arch.outcome import Kick, Raise
from exitless.arch.xen import fifo
from exitless.arch.xen.callback import ASSERT_KICK, ASSERT_LAPIC, ASSERT_TASKLET, assert_callback
from exitless.arch.xen.two_level import mark_events_pending, raise_port
from exitless.mech.procedures.assist import set_irq
from exitless.record.sinks import Sink
from exitless.sim.costs import Cost
from exitless.sim.scheduling import Scheduling
from exitless.sim.state import Domain, Pcpu, Softirq, Source, Vcpu
from exitless.vocab.kinds import Kind

EVENT_CHANNEL_OP: Final = 32
EVTCHNOP_SEND: Final = 4


class Signals(Scheduling):
    """What reaches a vCPU from Xen and from other vCPUs."""

    def __init__(self, pcpus: i64, sinks: list[Sink]) -> None:
        super().__init__(pcpus, sinks)

    # Kicks and posts.

    def kick(self, here: Pcpu, vcpu: Vcpu) -> None:
        """vcpu_kick: unblock; if it was running, force it through VM entry. Cites: Xen domain.c vcpu_kick"""
        self.charge(here, Cost.KICK)
        where: i64 = vcpu.cpu.running_on
        self.unblock(here, vcpu)
        if where >= 0 and (here.in_irq != 0 or here.current != vcpu.number):
            self.raise_softirq_on(here, self.pcpus[where], Softirq.VCPU_KICK)

    def request(self, here: Pcpu, vcpu: Vcpu, vector: i64, level: i64) -> None:
        """vlapic_set_irq for a vCPU, and whatever notification its delivery owes."""
        self.charge(here, Cost.VLAPIC)
        had_on: i64 = vcpu.cpu.pid.on
        answer: i64 = set_irq(vcpu.cpu, vcpu.delivery, vector, level)
        if vcpu.cpu.has_posting != 0:
            what: i64 = 0
            if answer == Kick.NOTIFY:
                what = 1
            elif answer == Kick.NONE:
                what = 2
            if had_on != 0:
                what += 8
            if vcpu.cpu.pid.sn != 0:
                what += 4
                self.suppressed_posts += 1
            self.row(Kind.PID_POST, here.number, vcpu.number, vector, what)
        else:
            merged: i64 = 0
            if answer == Kick.NONE:
                merged = 1
            self.row(Kind.IRQ_REQUEST, here.number, vcpu.number, vector, merged)
        if answer == Kick.EXIT:
            self.kick(here, vcpu)
        elif answer == Kick.NOTIFY:
            self.notify(here, vcpu)

    def notify(self, here: Pcpu, vcpu: Vcpu) -> None:
        """A posted interrupt is claimed: unblock, then notify where the vCPU runs.

        Cites: Xen vmx.c vmx_deliver_posted_intr
        """
        where: i64 = vcpu.cpu.running_on
        self.unblock(here, vcpu)
        if where < 0 or (here.in_irq == 0 and here.current == vcpu.number):
            return
        if where == here.number:
            if here.softirqs == 0:
                self.raise_softirq(here, Softirq.VCPU_KICK)
        else:
            self.send_ipi(here, where, self.posted_vector)

    # Event channels.

    def raise_event(self, here: Pcpu, domain: Domain, port: i64, vcpu: Vcpu) -> None:
        """Raise a port of ``domain`` whose notify vCPU is ``vcpu``, and tell the vCPU if it must be told."""
        self.charge(here, Cost.EVRAISE)
        answer: i64 = 0
        if domain.fifo != 0:
            answer = fifo.raise_port(domain.words, domain.blocks, port, vcpu.index)
            if answer == fifo.Queued.APPENDED or answer == fifo.Queued.READY_SET or answer == fifo.Queued.DELIVERED:
                self.charge(here, Cost.FIFO_LINK)
        else:
            answer = raise_port(domain.shared, vcpu.cpu.info, port)
        self.row(Kind.PORT_RAISE, here.number, vcpu.number, port, answer)
        if answer != Raise.DELIVERED:
            return
        self.mark_events(here, domain, vcpu)

    def mark_events(self, here: Pcpu, domain: Domain, vcpu: Vcpu) -> None:
        """Mark events pending; assert the callback of an HVM guest, kick a PV one.

        Cites: Xen domain.c vcpu_mark_events_pending
        """
        already: i64 = 0
        if mark_events_pending(vcpu.cpu.info):
            already = 1
        self.row(Kind.UPCALL_MARK, here.number, vcpu.number, already, 0)
        if already != 0:
            return
        if domain.is_pv != 0:
            self.kick(here, vcpu)
        else:
            self.assert_callback(here, vcpu)

    def assert_callback(self, here: Pcpu, vcpu: Vcpu) -> None:
        """hvm_assert_evtchn_irq: from interrupt context it is left to a tasklet. A global vector needs but a kick.

        Cites: Xen hvm/irq.c hvm_assert_evtchn_irq
        """
        way: i64 = assert_callback(here.in_irq, vcpu.cpu.callback_style, 1, vcpu.index)
        if way == ASSERT_TASKLET:
            here.tasklets.append(vcpu.number)
            self.raise_softirq(here, Softirq.TASKLET)
            return
        if way == ASSERT_LAPIC:
            self.charge(here, Cost.CALLBACK)
            self.request(here, vcpu, vcpu.cpu.callback_vector, 0)
        elif way == ASSERT_KICK:
            self.kick(here, vcpu)

    # What guests send.

    def send_event(self, here: Pcpu, number: i64) -> None:
        """EVTCHNOP_send by the vCPU on ``here``: the other end's port is raised for the vCPU that it notifies.

        Cites: Xen event_channel.c evtchn_send
        """
        source: Source = self.sources[number]
        target: Vcpu = self.vcpus[source.vcpu]
        self.raise_event(here, target.domain, source.port, target)

    def send_by_icr(self, here: Pcpu, number: i64) -> None:
        """A guest's ICR write has reached Xen: a fixed edge interrupt for the local APIC of another of its vCPUs.

        Cites: Xen vlapic.c vlapic_set_irq
        """
        source: Source = self.sources[number]
        self.request(here, self.vcpus[source.vcpu], source.vector, 0)
