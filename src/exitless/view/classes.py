"""Which sign stands for an exit reason, and where a vector in service is cut because its vCPU does not run."""

from typing import Final

from exitless.record.block import Header
from exitless.study.spans import Phase, State, StateSpan, VectorSpan
from exitless.view.names import reason_name
from exitless.vocab.exits import VMX_NAMES, Exit

REASONS: Final = (Exit.EXTERNAL_INTERRUPT, Exit.INTERRUPT_WINDOW, Exit.VMCALL, Exit.HLT, Exit.EOI_INDUCED)
ACCESSES: Final = (Exit.APIC_ACCESS, Exit.APIC_WRITE, Exit.MSR_READ, Exit.MSR_WRITE, Exit.TPR_BELOW_THRESHOLD)
SVM_SIGNS: Final = {"interrupt": 0, "intr": 0, "vintr": 1, "vmmcall": 2, "hlt": 3, "msr": 5}


def reason_class(header: Header, reason: int) -> int:
    """Return which of the seven signs stands for an exit reason.

    The other vendor's numbers mean other things: where a record's name is not that of the number, the name decides.
    """
    name = reason_name(header, reason)
    if VMX_NAMES.get(reason) != name:
        return SVM_SIGNS.get(name.lower(), 6)
    if reason in REASONS:
        return REASONS.index(reason)
    return 5 if reason in ACCESSES else 6


def pieces(span: VectorSpan, states: list[StateSpan]) -> list[tuple[int, int, int]]:
    """Cut a span in service where its vCPU stopped running: ``(start, end, phase)``, with phase 3 for paused."""
    if span.phase != Phase.SERVICE or not states or span.end <= span.start:
        return [(span.start, span.end, span.phase)]
    out = []
    at = span.start
    for s in states:
        if s.end <= at or s.state == State.GUEST:
            continue
        if s.start >= span.end:
            break
        if s.start > at:
            out.append((at, s.start, int(Phase.SERVICE)))
        out.append((max(at, s.start), min(span.end, s.end), 3))
        at = min(span.end, s.end)
    if at < span.end:
        out.append((at, span.end, int(Phase.SERVICE)))
    return out
