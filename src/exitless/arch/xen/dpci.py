"""The record that carries a passed-through device's interrupt from do_IRQ to the HVM_DPCI softirq. Xen's dpci code."""

from typing import Final

from mypy_extensions import i64


class Dpci:
    """What the softirq has to do with a record it took from its list. Cites: Xen dpci.c dpci_softirq"""

    NOTHING: Final = 0
    ASSIST: Final = 1
    RETRY: Final = 2


class DpciRecord:
    """One guest-bound interrupt: ``masked`` says that there is work, ``sched`` that it is on a list, ``run`` that a
    softirq has it in hand; each 0 or 1.

    Cites: Xen dpci.c raise_softirq_for
    """

    def __init__(self) -> None:
        self.masked: i64 = 0
        self.sched: i64 = 0
        self.run: i64 = 0


def raise_for(record: DpciRecord) -> bool:
    """The interrupt has arrived: there is work, and the record goes on a list unless it is on one.

    Changes: masked, sched
    Returns: True when the caller must append it to this pCPU's list and raise HVM_DPCI; False when it was merged.
    Atomic: no. ``masked`` is set first, then one locked test-and-set of SCHED.
    Cites: Xen dpci.c raise_softirq_for
    """
    record.masked = 1
    queued: bool = record.sched == 0
    record.sched = 1
    return queued


def start_run(record: DpciRecord) -> bool:
    """The softirq claims the record. Returns: whether another pCPU has it in hand; then it goes back on the list.

    Changes: run. Atomic: one locked operation. Cites: Xen dpci.c dpci_softirq
    """
    busy: bool = record.run != 0
    record.run = 1
    return busy


def leave_list(record: DpciRecord) -> bool:
    """The softirq clears SCHED; from now on an interrupt queues the record anew. Returns: whether it was set.

    Changes: sched. Atomic: one locked operation. Cites: Xen dpci.c dpci_softirq
    """
    was: bool = record.sched != 0
    record.sched = 0
    return was


def take_work(record: DpciRecord) -> bool:
    """hvm_dirq_assist, under the domain's event lock: tell whether there is work, and take it.

    Changes: masked. Cites: Xen dpci.c hvm_dirq_assist
    """
    was: bool = record.masked != 0
    record.masked = 0
    return was


def begin(record: DpciRecord) -> i64:
    """The softirq has taken the record from its list.

    Changes: run, sched, masked
    Returns: Dpci.ASSIST: deliver to the guest, then :func:`end`. Dpci.NOTHING: only :func:`end`. Dpci.RETRY:
        another pCPU has it: put it back on the list and raise the softirq again, without :func:`end`.
    Atomic: no. It is the composition of :func:`start_run`, :func:`leave_list` and :func:`take_work`.
    Cites: Xen dpci.c dpci_softirq
    """
    if start_run(record):
        return Dpci.RETRY
    if leave_list(record) and take_work(record):
        return Dpci.ASSIST
    return Dpci.NOTHING


def end(record: DpciRecord) -> None:
    """The softirq is done with the record. Changes: run. Cites: Xen dpci.c dpci_softirq"""
    record.run = 0


def follows_vcpu(has_iommu: i64, has_record: i64) -> bool:
    """A vCPU has moved; tell whether its domain's passed-through MSIs are sent after it: only through dpci records.

    A PVH hardware domain has none. Cites: Xen hvm.c hvm_migrate_pirqs
    """
    return has_iommu != 0 and has_record != 0
