"""Writes docs/judge.md from the laws (``make pages``), and measures docs/judge-rates.md (``make judge-rates``)."""

import sys
from random import Random
from typing import Any

from exitless.judge.judge import judge
from exitless.judge.laws import LAWS
from exitless.study.cites import reference
from exitless.vocab.table import BY_KIND
from tests.house.tree import ROOT

PLACES = 10
LONG = 6_000
CUTS = 40
RECORDINGS = (
    "kvm-linux-2cpu/trace.dat.xz", "kvm-tiny-1cpu-x2apic/trace.dat.xz", "kvm-tiny-2cpu-xapic/trace.dat.xz",
    "kvm-kut-vmexit-ipi/trace.dat.xz", "xen-hvm-nopv2-load/xentrace.bin.xz", "xen-pvh2/xentrace.bin.xz",
    "xen-vmx-hvm/xentrace.bin",
)  # fmt: skip

TEXT = """# The judge

`exitless judge TRACE...` replays what a recording shows through the rules of `arch` and reports the first event of
each vCPU that no legal execution explains, with the state before it and the last events of that vCPU. Exit status: 0
explained, 1 something is not, 2 unusable input. It takes every recording that `exitless read` takes, packed or not,
and the records that `exitless run --out` writes.

## How it judges

No trace shows a local APIC. So each vCPU has two of them that bracket the one there was: one holds what *surely* is
requested and in service, the other what *may* be. Both are changed by the same rules, those of `arch/x86/lapic.py`.
An event is a finding only when it contradicts everything between the two. After it, what it contradicts is unknown
again and the replay goes on; `--all` tells the later findings too.

* **Begin and end.** At the first event anything may be requested and in service. A vCPU that sleeps in HLT pins it
  down, and so does each injection: nothing of its class or above was in service.
* **Lost events.** From the begin to the end of a loss, nothing is judged and all is unknown afterwards.
* **Only some events recorded.** A law needs kinds of events (below). It is not asked when one of them is not in the
  recording, and the report says which and why.
* **Events recorded in part.** Requests and wake-ups come from other CPUs and threads. A pCPU without any event was
  not recorded when all others have events of the host, when the scheduler names it, or when vCPUs share pCPUs or change
  them. Then, and when more than one in ten is missing where a law asks for it, these count as not recorded.
* **8259s, EOIs saved in memory, AutoEOI.** An 8259's interrupt is never accepted by a local APIC; a saved EOI has no
  exit; Hyper-V's AutoEOI has no EOI at all. Where `kvm_pic_set_irq` or `kvm_pv_eoi` were not recorded, or a vector is
  never ended, what would be findings is decided at the end: a vector that comes at least three times and never went
  through a local APIC is an 8259's; one that is in the way at least three times and never ended is AutoEOI's; ends
  without an exit are saved ones when they are at least a fifth of all.
* **APICv, AVIC.** The processor delivers without an event, so laws of delivery are not asked. What is left: no more
  ends of a vector than requests, exits and entries, the scheduler's laws.
* **Records of simulations.** The guest's EOI stands before the exit that it causes, and deliveries are shown.

## Phases

A finding names the phase of the interrupt's life that went wrong: *inject*, *deliver* (entry and exit), *EOI*,
*window*, *wake-up*, *schedule*. Mostly it is the law's own. An injection over an interrupt in service, or a window
that opens for what is held back by one, is a missing EOI (phase EOI), unless the EOI comes later: then the injection
was wrong. When somebody wrote marks into the recording (`trace_marker`), the phase also says before which mark it
happened.

## Limits

* Xen's tracer records no requests. So a vector that is injected may have been requested: another one than the right
  one is a finding only where one in service holds it back, where a window was armed for a higher one, or when it lies
  below 16 and Xen asked before (`LAPIC_PIC_INTR`) and took none of an 8259. A guest without 8259s (PVH) and Xen's
  callback have no such record: Xen looks for a callback first.
* Xen's tracer records no vector with an EOI. An injection left out shows when the EOI after it finds nothing in
  service, not when an interrupt from before the recording may be in service still (it may until the vCPU sleeps in
  HLT), and never for a callback, which has no EOI. A window that opens for a callback and injects none is legal: the
  guest may have cleared its pending bit. An EOI left out shows where the access to the register is told.
* A hole that no mark tells is taken for what it looks like: what is missing in it is reported. A pCPU without any
  event is noticed when the file's header tells how many there are, or the scheduler names it; else only in at least
  1,000 rows in which all other pCPUs have events of the host, or when vCPUs change or share pCPUs. In a shorter
  recording, and when the last pCPU is the one that nothing names, a few of its requests and wake-ups may be reported
  as missing.
* A request that merges with another leaves the same trace as none, and KVM's tracepoint no longer tells that it merged:
  an accept doubled, or moved to the other side of an entry, is legal. A window may open late for what was injected
  meanwhile.
* A lost wake-up is judged 30 ms after the request, and so not in the last 30 ms of a recording.
* An interrupt taken between STI and the HLT after it (an emulator that loses the STI shadow) is found by `kvm_exit`'s
  rip where the window opens at the HLT itself; the sleep that follows is not told from that of a guest that waits.
* On VMX, KVM may enter again on its fast path without an event after WRMSR, HLT and the preemption timer; an entry
  left out there is not missed.

How many faults of which kind are found, and that recordings cut anywhere are explained, is measured:
[judge-rates.md](judge-rates.md).

## The laws
"""


def judge_page() -> str:
    """Return docs/judge.md without its first line."""
    head = "| law | phase | says | needs | one clock | not with APICv | see |\n"
    head += "| --- | --- | --- | --- | --- | --- | --- |\n"
    rows = []
    for law in LAWS:
        needs = ", ".join(f"`{BY_KIND[kind].name}`" for kind in law.needs)
        marks = ("yes" if law.ordered else "") + " | " + ("yes" if law.delivery else "")
        rows.append(f"| `{law.name}` | {law.phase} | {law.says} | {needs} | {marks} | {reference(law.cites)} |")
    return TEXT + "\n" + head + "\n".join(rows) + "\n"


def rates(kind: str, recordings: list[Any], chance: Random, reasons: dict[str, int]) -> tuple[int, int, int, int]:
    """Put a fault into recordings at random places: how many could be put, were found, explained, had the right phase.

    ``reasons`` counts the explanations.
    """
    from tests.judge.putting import outcomes

    all_of = [outcome for one in recordings for outcome in outcomes(kind, one, PLACES, chance)]
    for outcome in all_of:
        if outcome.explained:
            line = f"{kind}: {outcome.explained}"
            reasons[line] = reasons.get(line, 0) + 1
    found = sum(outcome.found for outcome in all_of)
    explained = sum(bool(outcome.explained) for outcome in all_of)
    return len(all_of), found, explained, sum(outcome.right for outcome in all_of)


def healthy(recordings: list[Any], chance: Random) -> int:
    """Judge random parts of healthy recordings; returns how many are not explained."""
    from tests.judge.recordings import part

    wrong = 0
    for rows, threads, pcpus in recordings:
        for _ in range(CUTS):
            first = chance.randrange(len(rows))
            cut = part(rows, first, first + chance.choice((100, 1_000, LONG)))
            wrong += bool(judge([cut], threads=threads, pcpus=pcpus).findings)
    return wrong


def rates_page() -> str:
    """Return docs/judge-rates.md."""
    from tests.judge.faults import FAULTS
    from tests.judge.recordings import recording

    chance = Random(2026)
    all_of = {name: recording(name) for name in RECORDINGS}
    kvm = [r for r in all_of.values() if r.threads]
    xen = [r for r in all_of.values() if not r.threads]
    wrong = healthy([*kvm, *xen], chance)
    lines = [
        "<!-- written by `make judge-rates`; needs the reference recordings -->",
        "",
        "# How many faults the judge finds",
        "",
        f"Each fault is put into parts of {LONG:,} rows of healthy recordings, {PLACES} random places a recording,",
        "and the part is judged alone; it may be found at the fault or later. *Phase* counts findings whose phase is",
        "one that the fault stands for. *Legal* counts what is not found and has a legal explanation, which the rows",
        "tell (below; `tests/judge/putting.py` finds it and does not ask the judge; the limits in [judge.md](judge.md)",
        "say why each is legal). What is neither would stand in the last column. A dash: Xen's tracer has no such",
        "event, or the recordings have no such place.",
        "",
        f"Recordings: {', '.join(f'`{name}`' for name in RECORDINGS)}.",
        f"Before any fault, {CUTS * len(all_of)} random parts of them were judged: {wrong} not explained.",
        "",
        "| fault | KVM: found | legal | phase right | Xen: found | legal | phase right | neither |",
        "| --- | ---: | ---: | ---: | ---: | ---: | ---: | ---: |",
    ]
    sums = [0] * 8
    reasons: dict[str, int] = {}
    for kind in FAULTS:
        counts = [number for recordings in (kvm, xen) for number in rates(kind, recordings, chance, reasons)]
        sums = [a + b for a, b in zip(sums, counts, strict=True)]
        lines.append(f"| {kind} | {' | '.join(cells(counts))} |")
        print(lines[-1], flush=True)
    lines += [f"| **all** | {' | '.join(cells(sums))} |", "", "## Why what is not found is legal", ""]
    lines += [f"* {line}: {times}." for line, times in sorted(reasons.items())]
    return "\n".join(lines) + "\n"


def cells(counts: list[int]) -> list[str]:
    """Write the numbers of one kind of fault, KVM's and Xen's: put, found, explained, and with the right phase."""
    out, neither = [], 0
    for placed, found, explained, right in (counts[:4], counts[4:]):
        out += [of(found, placed), f"{explained}" if placed else "–", of(right, found)]
        neither += placed - found - explained
    return [*out, f"{neither}"]


def of(part: int, whole: int) -> str:
    """Print a share."""
    return f"{part} of {whole}" if whole else "–"


def main() -> int:
    """Measure and write the rates."""
    (ROOT / "docs" / "judge-rates.md").write_text(rates_page(), encoding="utf-8")
    print("docs/judge-rates.md")
    return 0


if __name__ == "__main__":
    sys.exit(main())
