"""What the steps of a world are in the words of the record: a counterexample is drawn like any other history."""

from mypy_extensions import i64

from exitless.arch.vmx.injection import highest_requested
from exitless.check.world import Rule
from exitless.check.worlds.posting import EVENT_CHECK, NOTIFICATION
from exitless.mech.procedures.procedure import Verb
from exitless.mech.vcpu import VirtualCpu
from exitless.vocab.exits import Exit
from exitless.vocab.kinds import Kind, Owner, RunState


def told(rule: i64, vcpu: VirtualCpu, detail: i64, b: i64) -> list[tuple[int, int, int, int, int]]:
    """Return what the last move was in the record's words."""
    a: int = int(detail)
    rvi: int = int(vcpu.vapic.rvi)
    if rule == Rule.HARDWARE_POST:
        return [(Kind.PID_POST, -1, 0, a, int(b))]
    if rule == Verb.SET_PIR:
        return [(Kind.IRQ_REQUEST, 1, 0, a, int(b))]
    if rule == Verb.CLAIM_ON:
        return [(Kind.PID_POST, 1, 0, a, int(b))]
    if rule == Verb.NOTIFY:
        return [(Kind.IPI_SEND, 1, -1, a, 0)]
    if rule == Verb.UNBLOCK or rule == Verb.WAKE:
        return [(Kind.SCHED_WAKE, 1 if rule == Verb.UNBLOCK else 0, 0, 0, 0)]
    if rule == Rule.HALT:
        return [(Kind.GUEST_HLT, 0, 0, 0, 0), (Kind.VM_EXIT, 0, 0, Exit.HLT, 0), owner(Owner.XEN)]
    if rule == Verb.SWITCH_OUT and vcpu.running_on < 0:
        return [
            (Kind.SCHED_BLOCK, 0, 0, 0, 0),
            (Kind.RUNSTATE, 0, 0, RunState.RUNNING, RunState.BLOCKED),
            (Kind.SCHED_SWITCH, 0, 1, 0, 1),
            (Kind.VM_ENTRY, 0, 1, -1, 0),
            owner(Owner.GUEST),
        ]
    if rule == Verb.SWITCH_IN:
        return [
            (Kind.VM_EXIT, 0, 1, Exit.EXTERNAL_INTERRUPT, EVENT_CHECK),
            owner(Owner.XEN),
            (Kind.SCHED_SWITCH, 0, 0, 1, 0),
            (Kind.RUNSTATE, 0, 0, RunState.RUNNABLE, RunState.RUNNING),
        ]
    if rule == Verb.SYNC_PIR:
        return [(Kind.PIR_SYNC, 0, 0, 1, int(highest_requested(vcpu.vapic)))]
    if rule == Verb.WRITE_RVI:
        return [(Kind.RVI_WRITE, 0, 0, rvi, rvi)]
    if rule == Verb.ENTER:
        return [(Kind.VM_ENTRY, 0, 0, -1, rvi), owner(Owner.GUEST)]
    return arrivals(rule, a, rvi)


def arrivals(rule: i64, a: int, rvi: int) -> list[tuple[int, int, int, int, int]]:
    """Return the rows of arrivals and of what the guest does."""
    if rule == Rule.DELIVER:
        return [(Kind.IRQ_DELIVER, 0, 0, a, rvi)]
    if rule == Rule.END:
        return [(Kind.IRQ_EOI, 0, 0, a, 0)]
    if rule == Verb.RAISE_RVI:
        return [(Kind.PID_PROCESS, 0, 0, NOTIFICATION, rvi)]
    if rule == Rule.NOTIFY_ELSEWHERE:
        return [(Kind.PID_PROCESS, 0, 1, NOTIFICATION, 0)]
    if rule == Rule.NOTIFY_IN_ROOT:
        return [(Kind.HOST_IRQ, 0, -1, NOTIFICATION, -1)]
    if rule == Rule.WAKEUP or rule == Rule.KICK_ELSEWHERE:
        return [(Kind.HOST_IRQ, 0, -1, a, -1)]
    if rule == Rule.WAKEUP_IN_GUEST or rule == Rule.KICK_IN_GUEST:
        return [
            (Kind.VM_EXIT, 0, 0, Exit.EXTERNAL_INTERRUPT, a), owner(Owner.XEN), (Kind.HOST_IRQ, 0, -1, a, -1),
        ]  # fmt: skip
    return []


def owner(number: int) -> tuple[int, int, int, int, int]:
    """Return the row that says whose code pCPU 0 runs now."""
    return (Kind.CPU_OWNER, 0, -1, number, 0)
