"""Posting by the remapping unit: one atomic update of the whole descriptor. VT-d, 5.2.3."""

from typing import Final

from mypy_extensions import i64

from exitless.arch.vmx.posted import PostedDescriptor
from exitless.bits.words import PACKED, test_and_set


class Posted:
    """Bits of what :func:`post` answers. Cites: VT-d posted.operation"""

    NOTIFY: Final = 1
    ALREADY: Final = 2
    SUPPRESSED: Final = 4
    OUTSTANDING: Final = 8


def post(pid: PostedDescriptor, vector: i64, urgent: i64) -> i64:
    """The remapping unit posts ``vector``: PIR is set, and ON too unless SN holds a non-urgent one back.

    Changes: PIR, ON
    Returns: a sum of Posted bits; with NOTIFY the caller sends NV to NDST, as both were read here.
    Atomic: one locked read-modify-write of the descriptor.
    Cites: VT-d posted.operation
    """
    answer: i64 = 0
    if test_and_set(pid.pir, 0, PACKED, vector):
        answer = Posted.ALREADY
    if pid.on != 0:
        return answer | Posted.OUTSTANDING
    if pid.sn != 0 and urgent == 0:
        return answer | Posted.SUPPRESSED
    pid.on = 1
    return answer | Posted.NOTIFY
