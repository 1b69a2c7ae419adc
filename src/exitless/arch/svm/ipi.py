"""IPIs that hardware sends for a guest, and where it gives up. APM vol. 2, 15.29.6.1 and 15.29.9.

The steps that others can come between are functions of their own: who is meant, an IRR bit, IsRunning. :func:`send`
strings them together.
"""

from typing import Final

from librt.vecs import vec
from mypy_extensions import i64

from exitless.arch.svm.evaluate import Avic, evaluate, set_requested
from exitless.arch.svm.tables import PhysicalEntry, Tables, logical_index
from exitless.arch.svm.vmcb import Incomplete, SvmExit
from exitless.arch.vmx.virtual_apic import Reg
from exitless.arch.x86.destination import BROADCAST, CLUSTER, FLAT, WIDE_BROADCAST, Shorthand
from exitless.bits.words import zeros

MOST: Final = 4096
LAST_LOGICAL: Final = 255


class Ipi:
    """One IPI under way.

    ``targets`` holds the guest APIC IDs meant, ``count`` of them; ``index`` the table index that an exit would report;
    ``doorbells`` the host APIC IDs to be rung, ``rung`` of them; ``idle`` how many targets had IsRunning clear.
    Cites: APM avic.ipi
    """

    def __init__(self) -> None:
        self.vector: i64 = 0
        self.targets: vec[i64] = zeros(MOST)
        self.count: i64 = 0
        self.index: i64 = 0
        self.doorbells: vec[i64] = zeros(MOST)
        self.rung: i64 = 0
        self.idle: i64 = 0


def check_icr(avic: Avic, low: i64) -> i64:
    """Look at what is to be sent: fixed, as an edge, a vector of 16 or more, a destination format that exists.

    Returns: Incomplete.NONE, INVALID_VECTOR or INVALID_TYPE. Cites: APM avic.ipi
    """
    if low & 255 < 16 and avic.vmcb.choices.avic_vector_before_type != 0:
        return Incomplete.INVALID_VECTOR
    if (low >> 8) & 7 != 0 or (low >> 15) & 1 != 0:
        return Incomplete.INVALID_TYPE
    if low & 255 < 16:
        return Incomplete.INVALID_VECTOR
    if low & 2048 != 0 and (low >> 18) & 3 == 0 and avic.vmcb.x2avic == 0:
        model: i64 = (avic.backing.words[Reg.DFR] >> 28) & 15
        if model != FLAT and model != CLUSTER:
            return Incomplete.INVALID_TYPE
    return Incomplete.NONE


def _add(tables: Tables, avic: Avic, out: Ipi, number: i64) -> i64:
    """Add one target. Returns: Incomplete.NONE, INVALID_TARGET or INVALID_BACKING, which ends the search."""
    out.index = number
    if number > avic.vmcb.max_index or number >= len(tables.physical) or tables.physical[number].valid == 0:
        return Incomplete.INVALID_TARGET
    if tables.physical[number].backing == 0 or tables.physical[number].backing >= len(tables.pages):
        return Incomplete.INVALID_BACKING
    out.targets[out.count] = number
    out.count += 1
    return Incomplete.NONE


def _all(tables: Tables, avic: Avic, excluding: i64, out: Ipi) -> i64:
    number: i64 = 0
    while number <= avic.vmcb.max_index and number < len(tables.physical):
        if tables.physical[number].valid != 0 and number != excluding:
            answer: i64 = _add(tables, avic, out, number)
            if answer != Incomplete.NONE:
                return answer
        number += 1
    return Incomplete.NONE


def _logical_xavic(tables: Tables, avic: Avic, destination: i64, out: Ipi) -> i64:
    flat: bool = (avic.backing.words[Reg.DFR] >> 28) & 15 == FLAT
    cluster: i64 = destination >> 4
    members: i64 = 8
    if not flat:
        members = 4
        if cluster == 15:
            out.index = 0
            if avic.vmcb.choices.avic_reserved_cluster_exits != 0:
                return Incomplete.INVALID_TARGET
            return Incomplete.NONE
    member: i64 = 0
    while member < members:
        if (destination >> member) & 1 != 0:
            index: i64 = logical_index(cluster, member, flat)
            if tables.logical[index].valid == 0:
                out.index = index
                return Incomplete.INVALID_TARGET
            answer: i64 = _add(tables, avic, out, tables.logical[index].guest_id)
            if answer != Incomplete.NONE:
                return answer
        member += 1
    return Incomplete.NONE


def _logical_x2avic(tables: Tables, avic: Avic, destination: i64, out: Ipi) -> i64:
    member: i64 = 0
    while member < 16:
        if (destination >> member) & 1 != 0:
            number: i64 = (destination >> 16) * 16 + member
            if number > LAST_LOGICAL and avic.vmcb.choices.avic_logical_beyond_255 == 0:
                out.index = number
                return Incomplete.INVALID_TARGET
            answer: i64 = _add(tables, avic, out, number)
            if answer != Incomplete.NONE:
                return answer
        member += 1
    return Incomplete.NONE


def find_targets(tables: Tables, avic: Avic, low: i64, high: i64, out: Ipi) -> i64:
    """Find whom an IPI means, through the tables. Broadcasts ignore entries that are not valid; a named target that is
    not valid ends the search.

    Changes: ``out``. Returns: Incomplete.NONE, INVALID_TARGET or INVALID_BACKING. Cites: APM avic.ipi, APM avic.tables
    """
    out.count = 0
    out.index = 0
    shorthand: i64 = (low >> 18) & 3
    if shorthand == Shorthand.ALL:
        return _all(tables, avic, -1, out)
    if shorthand == Shorthand.OTHERS:
        return _all(tables, avic, avic.guest_id, out)
    logical: bool = low & 2048 != 0
    if avic.vmcb.x2avic != 0:
        if high == WIDE_BROADCAST:
            return _all(tables, avic, -1, out)
        if logical:
            return _logical_x2avic(tables, avic, high, out)
        return _add(tables, avic, out, high)
    destination: i64 = (high >> 24) & 255
    if destination == BROADCAST:
        return _all(tables, avic, -1, out)
    if logical:
        return _logical_xavic(tables, avic, destination, out)
    return _add(tables, avic, out, destination)


def request_target(tables: Tables, out: Ipi, number: i64) -> bool:
    """The sender sets the IRR bit of one target.

    Changes: IRR of that target. Returns: whether it was set already.
    Atomic: one locked operation; the target's IsRunning is read afterwards. Cites: APM avic.ipi
    """
    entry: PhysicalEntry = tables.physical[out.targets[number]]
    return set_requested(tables.pages[entry.backing], out.vector)


def ring_target(tables: Tables, avic: Avic, out: Ipi, number: i64) -> bool:
    """The sender reads a target's IsRunning, and rings its core if it is 1.

    Changes: ``out.doorbells``, or ``out.idle`` and the index that the exit will report
    Returns: whether a doorbell is to be sent. Cites: APM avic.ipi
    """
    target: i64 = out.targets[number]
    entry: PhysicalEntry = tables.physical[target]
    if entry.running != 0:
        out.doorbells[out.rung] = entry.host_id
        out.rung += 1
        return True
    if out.idle == 0 or avic.vmcb.choices.avic_reports_first_index == 0:
        out.index = target
    out.idle += 1
    return False


def incomplete(avic: Avic, reason: i64, low: i64, high: i64, index: i64) -> i64:
    """Hardware could not do all of an IPI: the exit's information is written.

    Changes: EXITINFO1 (the ICR), EXITINFO2 (reason in 63:32, table index in 11:0)
    Returns: SvmExit.INCOMPLETE_IPI, which is trap-like. Cites: APM avic.exits
    """
    avic.vmcb.info1_low = low
    avic.vmcb.info1_high = high
    avic.vmcb.info2_low = index & 4095
    avic.vmcb.info2_high = reason
    return SvmExit.INCOMPLETE_IPI


def send(tables: Tables, avic: Avic, low: i64, high: i64, out: Ipi) -> i64:
    """The guest has written the ICR, whose halves are on the backing page already.

    A self IPI stays in the own page and evaluates at once. Otherwise each target's IRR bit is set, then its IsRunning
    read; only when all are done is an exit taken for those that did not run.

    Changes: IRR of the targets; EXITINFO; ``out.doorbells`` for the caller to ring
    Returns: SvmExit.NONE or INCOMPLETE_IPI.
    Atomic: no; :func:`request_target` and :func:`ring_target` are the steps.
    Cites: APM avic.ipi
    """
    out.vector = low & 255
    out.rung = 0
    out.idle = 0
    reason: i64 = check_icr(avic, low)
    if reason != Incomplete.NONE:
        return incomplete(avic, reason, low, high, 0)
    if (low >> 18) & 3 == Shorthand.SELF:
        set_requested(avic.backing, out.vector)
        evaluate(avic)
        return SvmExit.NONE
    reason = find_targets(tables, avic, low, high, out)
    if reason != Incomplete.NONE:
        return incomplete(avic, reason, low, high, out.index)
    i: i64 = 0
    while i < out.count:
        request_target(tables, out, i)
        ring_target(tables, avic, out, i)
        i += 1
    if out.idle != 0:
        return incomplete(avic, Incomplete.NOT_RUNNING, low, high, out.index)
    return SvmExit.NONE


def software_sends(reason: i64) -> bool:
    """Tell whether software must do the whole IPI after an incomplete one: it does when hardware did nothing. After
    NOT_RUNNING the IRR bits are set, and it only wakes; a vector below 16 or a bad page is the guest's own error.

    Cites: APM avic.exits, KVM svm/avic.c avic_incomplete_ipi_interception
    """
    return reason == Incomplete.INVALID_TYPE or reason == Incomplete.INVALID_TARGET
