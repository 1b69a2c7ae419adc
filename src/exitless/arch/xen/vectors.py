"""Which physical vector on which pCPU an interrupt gets, and how it moves to another. Xen's irq.c.

The map of vectors is in :mod:`exitless.arch.x86.host_vectors`. The same number may belong to different interrupts on
different pCPUs: a vector is handed out for one pCPU.
"""

from typing import Final

from librt.vecs import vec
from mypy_extensions import i64

from exitless.arch.x86.host_vectors import HostVector
from exitless.arch.xen.ports import Errno
from exitless.bits.words import PACKED, has_bit, shl, zeros

VECTORS: Final = 256
STRIDE: Final = 8
FREE: Final = -1
LAST_LEGACY: Final = 0x2F


class VectorTable:
    """Which interrupt owns which vector of which pCPU, and where the search goes on.

    Shapes: ``owner`` 256 words a pCPU, an irq or FREE; ``shared`` 256 bits of vectors used in the IO-APICs or on all
    pCPUs; ``online`` one bit a pCPU. Cites: Xen irq.c assign_irq_vector
    """

    def __init__(self, pcpus: i64) -> None:
        self.pcpus: i64 = pcpus
        self.cursor: i64 = HostVector.FIRST_DYNAMIC
        self.offset: i64 = 0
        self.online: i64 = 0
        self.shared: vec[i64] = zeros(VECTORS // 32)
        self.owner: vec[i64] = zeros(VECTORS * pcpus)
        i: i64 = 0
        while i < VECTORS * pcpus:
            self.owner[i] = FREE
            i += 1
        i = 0
        while i < pcpus:
            self.online = self.online | shl(1, i)
            i += 1


class HostIrq:
    """Where one interrupt comes in, where it came in before, and where it is wanted.

    ``moving`` is 1 from the new vector's choice until the first interrupt on it; ``cleanups`` counts old pCPUs that
    have yet to free the old vector; ``wanted`` is a mask of pCPUs that somebody asked for, 0 for none.
    Cites: Xen irq.c assign_irq_vector, Xen irq.c irq_set_affinity
    """

    def __init__(self, number: i64) -> None:
        self.number: i64 = number
        self.vector: i64 = 0
        self.pcpu: i64 = -1
        self.old_vector: i64 = 0
        self.old_pcpu: i64 = -1
        self.moving: i64 = 0
        self.cleanups: i64 = 0
        self.wanted: i64 = 0


class Arrived:
    """What an interrupt's arrival means for its move. Cites: Xen irq.c irq_complete_move"""

    SETTLED: Final = 0
    STILL_OLD: Final = 1
    CLEAN_UP: Final = 2


class Cleaned:
    """What the handler of the clean-up vector did on one pCPU. Cites: Xen irq.c irq_move_cleanup_interrupt"""

    NOTHING: Final = 0
    FREED: Final = 1
    AGAIN: Final = 2


def owner_of(table: VectorTable, pcpu: i64, vector: i64) -> i64:
    """Ask whose a vector is on a pCPU. Returns: an irq, or FREE. Cites: Xen irq.c do_IRQ"""
    return table.owner[pcpu * VECTORS + vector]


def is_reserved(vector: i64) -> bool:
    """Tell whether a vector of the dynamic range is never handed out: 20H to 22H, 30H, 80H and 82H.

    30H is HPET broadcast, 80H the PV legacy system call, 82H the hypercall of 32-bit PV guests.
    Cites: Xen irq-vectors.h
    """
    if vector <= HostVector.MOVE_CLEANUP or vector > HostVector.LAST_DYNAMIC:
        return True
    return (
        vector == HostVector.HPET_BROADCAST or vector == HostVector.LEGACY_SYSCALL or vector == HostVector.PV_HYPERCALL
    )


def is_usable(table: VectorTable, pcpu: i64, vector: i64) -> bool:
    """Tell whether ``vector`` can be given to an interrupt on ``pcpu``; 20H to 2FH are the 8259's on pCPU 0.

    Cites: Xen irq.c assign_irq_vector
    """
    if is_reserved(vector) or has_bit(table.shared, 0, PACKED, vector):
        return False
    if pcpu == 0 and vector <= LAST_LEGACY:
        return False
    return owner_of(table, pcpu, vector) == FREE


def search(table: VectorTable, pcpu: i64) -> i64:
    """Look for a vector on one pCPU: in steps of 8 from the cursor, next offset at the end, until back at the cursor.

    So one pass puts at most two vectors into a priority class. Changes: the cursor, when one is found
    Returns: the vector, or FREE when this pCPU has none. Cites: Xen irq.c assign_irq_vector
    """
    vector: i64 = table.cursor
    offset: i64 = table.offset
    while True:
        vector += STRIDE
        if vector > HostVector.LAST_DYNAMIC:
            offset = (offset + 1) % STRIDE
            vector = HostVector.FIRST_DYNAMIC + offset
        if vector == table.cursor:
            return FREE
        if is_usable(table, pcpu, vector):
            table.cursor = vector
            table.offset = offset
            return vector


def assign_vector(table: VectorTable, irq: HostIrq, mask: i64) -> i64:
    """An interrupt is to come in on one of the pCPUs of ``mask``: the first of them that has room, and only that one.

    It keeps its vector when it is on one of them already; while a move is under way there is no other, unless the pCPU
    that it moves to is offline by now: then it goes back to its old place where that is allowed, or on to a third one.

    Changes: the table; the interrupt's vector and pCPU; with a vector before, a move begins
    Returns: 0, or minus NO_SPACE or TRY_AGAIN. Cites: Xen irq.c assign_irq_vector
    """
    allowed: i64 = mask & table.online
    if irq.vector != 0 and (allowed >> irq.pcpu) & 1 != 0:
        return 0
    if irq.moving != 0 or irq.cleanups != 0:
        if (table.online >> irq.pcpu) & 1 != 0:
            return -Errno.TRY_AGAIN
        if (allowed >> irq.old_pcpu) & 1 != 0:
            _go_back(table, irq)
            return 0
    pcpu: i64 = 0
    while pcpu < table.pcpus:
        if (allowed >> pcpu) & 1 != 0:
            vector: i64 = search(table, pcpu)
            if vector != FREE:
                _give(table, irq, pcpu, vector)
                return 0
        pcpu += 1
    return -Errno.NO_SPACE


def _give(table: VectorTable, irq: HostIrq, pcpu: i64, vector: i64) -> None:
    if irq.moving != 0 or irq.cleanups != 0:
        table.owner[irq.pcpu * VECTORS + irq.vector] = FREE
    elif irq.vector != 0:
        irq.old_vector = irq.vector
        irq.old_pcpu = irq.pcpu
        if (table.online >> irq.pcpu) & 1 != 0:
            irq.moving = 1
        else:
            _release(table, irq)
    table.owner[pcpu * VECTORS + vector] = irq.number
    irq.vector = vector
    irq.pcpu = pcpu


def _go_back(table: VectorTable, irq: HostIrq) -> None:
    table.owner[irq.pcpu * VECTORS + irq.vector] = FREE
    irq.vector = irq.old_vector
    irq.pcpu = irq.old_pcpu
    irq.old_vector = 0
    irq.old_pcpu = -1
    irq.moving = 0
    irq.cleanups = 0


def _release(table: VectorTable, irq: HostIrq) -> None:
    table.owner[irq.old_pcpu * VECTORS + irq.old_vector] = FREE
    irq.old_vector = 0
    irq.old_pcpu = -1


def want(irq: HostIrq, mask: i64) -> None:
    """Somebody asks for other pCPUs; nothing is reprogrammed before the interrupt's next occurrence.

    Changes: wanted. Cites: Xen irq.c irq_set_affinity
    """
    irq.wanted = mask


def acknowledge(table: VectorTable, irq: HostIrq) -> i64:
    """The interrupt has occurred, on its old pCPU still: what was asked for is done now, in the handler's ack.

    Changes: wanted; as :func:`assign_vector`
    Returns: 0 when nothing was asked or it is done, else the error of :func:`assign_vector`, and it is asked no more.
    Cites: Xen irq.c move_masked_irq
    """
    if irq.wanted == 0:
        return 0
    mask: i64 = irq.wanted
    irq.wanted = 0
    return assign_vector(table, irq, mask)


def arrive(irq: HostIrq, pcpu: i64, vector: i64) -> i64:
    """The interrupt has come in on ``pcpu`` with ``vector``: the first one at the new place ends the move.

    Changes: moving, cleanups
    Returns: Arrived; CLEAN_UP obliges the caller to send vector 22H to the old pCPU.
    Cites: Xen irq.c irq_complete_move
    """
    if irq.moving == 0:
        return Arrived.SETTLED
    if vector != irq.vector or pcpu != irq.pcpu:
        return Arrived.STILL_OLD
    irq.moving = 0
    irq.cleanups = 1
    return Arrived.CLEAN_UP


def clean_up(table: VectorTable, irq: HostIrq, pcpu: i64, requested: i64) -> i64:
    """The handler of vector 22H on an old pCPU; ``requested`` is 1 when the old vector waits in the pCPU's IRR.

    Changes: the table, cleanups
    Returns: Cleaned; AGAIN: the vector is still to be taken, the handler sends itself 22H once more.
    Cites: Xen irq.c irq_move_cleanup_interrupt
    """
    if irq.cleanups == 0 or pcpu != irq.old_pcpu:
        return Cleaned.NOTHING
    if requested != 0:
        return Cleaned.AGAIN
    irq.cleanups -= 1
    _release(table, irq)
    return Cleaned.FREED


def fix_up(table: VectorTable, irq: HostIrq, pcpu: i64, affinity: i64) -> i64:
    """``pcpu`` is going offline and no longer in the table's mask: an interrupt that comes in there gets another place.

    ``affinity`` is the mask of pCPUs asked for last; where none of them is online, any that is will do. A move away
    from ``pcpu`` is over with it.

    Changes: the table, the interrupt
    Returns: the vector that the interrupt had on ``pcpu``, 0 when none is left to look for: where the local APIC of
        ``pcpu`` has it in IRR, the caller sends the interrupt's vector to its new pCPU, else it would be lost.
    Cites: Xen irq.c fixup_irqs
    """
    left: i64 = 0
    if irq.cleanups != 0 and irq.old_pcpu == pcpu:
        irq.cleanups -= 1
        _release(table, irq)
    if irq.moving != 0 and irq.old_pcpu == pcpu:
        left = irq.old_vector
        irq.moving = 0
        _release(table, irq)
    if irq.vector == 0 or (table.online >> irq.pcpu) & 1 != 0:
        return left
    left = irq.vector
    if affinity & table.online == 0:
        affinity = table.online
    assign_vector(table, irq, affinity)
    return left


def clear_vector(table: VectorTable, irq: HostIrq) -> None:
    """The interrupt is given up: its vector is free, and so is the old one of a move under way.

    Changes: the table, the interrupt. Cites: Xen irq.c clear_irq_vector
    """
    if irq.vector != 0:
        table.owner[irq.pcpu * VECTORS + irq.vector] = FREE
    if irq.old_vector != 0:
        _release(table, irq)
    irq.vector = 0
    irq.pcpu = -1
    irq.moving = 0
    irq.cleanups = 0
