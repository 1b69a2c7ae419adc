"""The pending-EOI stack of a pCPU: interrupts whose local APIC still waits for a guest to end them. Xen's irq.c."""

from mypy_extensions import i64

from exitless.arch.xen.pirq import AckType


class EoiStack:
    """What one pCPU's local APIC holds in service for guests, the lowest vector first.

    Shapes: ``irqs``, ``vectors`` and ``ready`` run side by side; ``ready`` is 1 once all guests have ended the
    interrupt. Cites: Xen irq.c pending_eoi
    """

    def __init__(self) -> None:
        self.irqs: list[i64] = []
        self.vectors: list[i64] = []
        self.ready: list[i64] = []


def hold(stack: EoiStack, irq: i64, vector: i64, ack: i64) -> bool:
    """do_IRQ has taken ``vector``: one of type EOI stays in service and goes on top, above all that was there.

    Changes: the stack
    Returns: whether it is held; otherwise the local APIC is told at once. Cites: Xen irq.c pending_eoi
    """
    if ack != AckType.EOI:
        return False
    stack.irqs.append(irq)
    stack.vectors.append(vector)
    stack.ready.append(0)
    return True


def set_ready(stack: EoiStack, irq: i64) -> bool:
    """All guests have ended ``irq``, wherever in the stack it is. Returns: whether this pCPU holds it.

    Changes: ready. Cites: Xen irq.c set_eoi_ready
    """
    i: i64 = len(stack.irqs) - 1
    while i >= 0:
        if stack.irqs[i] == irq:
            stack.ready[i] = 1
            return True
        i -= 1
    return False


def flush_one(stack: EoiStack) -> i64:
    """Take the top off if it is ready: only the highest vector in service can be ended.

    Changes: the stack
    Returns: the vector for which the caller writes EOI to the local APIC, -1 when the top has to wait.
    Cites: Xen irq.c flush_ready_eoi
    """
    top: i64 = len(stack.irqs) - 1
    if top < 0 or stack.ready[top] == 0:
        return -1
    stack.irqs.pop()
    stack.ready.pop()
    return stack.vectors.pop()
