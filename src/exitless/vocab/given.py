"""What a replay is given from outside: numbers of the things that happened to a guest, or that it did by itself."""

from typing import Final


class Given:
    """One number a thing; ``a`` and ``b`` as said.

    An ``EXIT`` is of the guest's own doing. ``LOCAL``, ``REMOTE`` and ``HERE`` are interrupts for the guest: from a
    timer of its own pCPU, from elsewhere, and from the hypervisor while it serves this vCPU.
    """

    EXIT: Final = 1  # a exit reason, b hypercall number, EOI for an end of interrupt, -1 for neither
    HOST: Final = 2  # a host vector that reaches the pCPU
    LOCAL: Final = 3  # a guest vector
    REMOTE: Final = 4  # a guest vector
    HERE: Final = 5  # a guest vector
    WAKE: Final = 6
    HOLD: Final = 7  # others have the pCPU from now on, though the vCPU may be woken
    AWAY: Final = 8  # a runstate: the vCPU loses its pCPU
    ONLINE: Final = 9  # it may run again after it was paused
    BACK: Final = 10  # a 1 when its time slice ends before any other timer of the pCPU
    EOI: Final = -2
