"""No law fires on a recording of a host that worked, whole or cut, nor on a record of a simulation."""

import lzma
from pathlib import Path
from random import Random

import pytest

from exitless.cli.main import main
from exitless.judge.judge import judge
from exitless.judge.laws import REQUESTED, UNMASKED
from exitless.record.store import read
from exitless.traces.reader import LOST, open_reader
from exitless.vocab.kinds import Kind
from shared import shared
from tests.judge.faults import Row
from tests.judge.recordings import part, recording

BINARY = (
    "kvm-kut-vmexit-ipi/trace.dat.xz", "kvm-linux-2cpu/trace.dat.xz", "kvm-tiny-1cpu-x2apic/trace.dat.xz",
    "kvm-tiny-2cpu-xapic/trace.dat.xz", "kvm-pvm/pvm_2vcpu.lost.v6.dat", "kvm-pvm/pvm_2vcpu.perf.data",
    "xen-hvm-nopv2-load/xentrace.bin.xz", "xen-pvh1/xentrace.bin.xz", "xen-pvh2/xentrace.bin.xz",
    "xen-vmx-hvm/xentrace.bin",
)  # fmt: skip
OTHERS = (
    "kvm-kut-vmexit-ipi/trace.txt.xz", "kvm-linux-2cpu/trace.txt.xz", "kvm-linux-2cpu/perf-script.txt.xz",
    "kvm-linux-2cpu/perf.data.guest.xz", "kvm-tiny-1cpu-x2apic/trace.txt.xz", "kvm-tiny-1cpu-x2apic/perf-script.txt.xz",
    "kvm-tiny-1cpu-x2apic/perf.data.guest.xz", "kvm-tiny-2cpu-xapic/trace.txt.xz",
    "kvm-tiny-2cpu-xapic/perf-script.txt.xz", "kvm-tiny-2cpu-xapic/perf.data.guest.xz",
    "kvm-pvm/pvm_1vcpu.tsc.trace.txt", "kvm-pvm/pvm_1vcpu.tsc.v6.dat", "kvm-pvm/pvm_2vcpu.mono.report.txt",
    "kvm-pvm/pvm_2vcpu.mono.v6.dat", "kvm-pvm/pvm_2vcpu.perf-script.txt", "kvm-pvm/pvm_2vcpu.tsc.trace.txt",
    "kvm-pvm/pvm_2vcpu.tsc.v6.dat", "host-irq/own_irq.mono.v6.dat", "host-irq/own_irq.mono.report.txt",
    "arm-v6/arm_sched.trappy_raw_trace.v6.dat",
)  # fmt: skip
ON_SEVERAL = (
    "kvm-tiny-1cpu-x2apic/trace.dat.xz", "kvm-tiny-2cpu-xapic/trace.dat.xz", "kvm-tiny-2cpu-xapic/trace.txt.xz",
    "kvm-tiny-2cpu-xapic/perf.data.guest.xz", "kvm-pvm/pvm_2vcpu.lost.v6.dat", "kvm-pvm/pvm_2vcpu.perf.data",
    "kvm-pvm/pvm_2vcpu.tsc.v6.dat", "kvm-pvm/pvm_2vcpu.perf-script.txt", "kvm-pvm/pvm_2vcpu.mono.report.txt",
    "host-irq/own_irq.mono.v6.dat", "arm-v6/arm_sched.trappy_raw_trace.v6.dat", "xen-vmx-hvm/xentrace.bin",
)  # fmt: skip
LONGEST = 8_000
CUTS = 8
SUBSETS = 6
TIMER = 0xEC


def explained(name: str, rows: list[Row], what: str) -> None:
    """Judge a part of a recording, and say which part it was when it is not explained."""
    _, threads, pcpus = recording(name)
    found = judge([rows], threads=threads, pcpus=pcpus).findings
    assert not found, f"{what}: {[(f.row, f.law.name, f.says) for f in found[:3]]}"


@pytest.mark.parametrize("name", BINARY + OTHERS)
def test_a_healthy_recording_is_explained(name: str) -> None:
    """No event of a host that worked contradicts the rules."""
    rows = recording(name).rows
    assert rows
    explained(name, rows, "all of it")


@pytest.mark.parametrize("name", BINARY)
def test_a_recording_cut_anywhere_is_explained(name: str) -> None:
    """What came before the first event and comes after the last is not known, and explains what it may."""
    rows, chance = recording(name).rows, Random(7)
    for _ in range(CUTS):
        first = chance.randrange(len(rows))
        last = first + chance.choice((10, 100, 1_000, LONGEST))
        explained(name, part(rows, first, last), f"rows {first} to {last}")


@pytest.mark.parametrize("name", BINARY)
def test_a_recording_with_a_hole_is_explained(name: str) -> None:
    """Between the begin and end of a loss all may have happened."""
    rows, chance = recording(name).rows, Random(8)
    for _ in range(CUTS // 2):
        first = chance.randrange(len(rows) // 2)
        hole = min(first + chance.randrange(1, LONGEST // 2), len(rows) - 2)
        after = min(hole + chance.choice((1, 50, 500)), len(rows) - 1)
        lost = (rows[hole][0], LOST, rows[hole][2], -1, after - hole, rows[after][0])
        holed = [*part(rows, first, hole), lost, *rows[after : after + LONGEST // 2]]
        explained(name, holed, f"rows {first} to {hole} and from {after}")


@pytest.mark.parametrize("name", BINARY)
def test_a_recording_of_some_events_is_explained(name: str) -> None:
    """A law needs its events; where a kind is not recorded, the laws that need it are not asked."""
    rows, chance = recording(name).rows, Random(9)
    kinds = sorted({row[1] for row in rows} - {LOST})
    chosen = [set(kinds) - {kind} for kind in kinds]
    chosen += [{kind for kind in kinds if chance.random() < 0.6} for _ in range(SUBSETS)]
    for kept in chosen:
        first = chance.randrange(max(1, len(rows) - LONGEST))
        some = [row for row in part(rows, first, first + LONGEST) if row[1] in kept or row[1] == LOST]
        explained(name, some, f"without {sorted(set(kinds) - kept)} from row {first}")


@pytest.mark.parametrize("name", ON_SEVERAL)
def test_a_recording_without_one_cpu_is_explained(name: str) -> None:
    """When a pCPU has no events at all, what it did to others was not recorded either.

    Xen's scheduler names pCPUs, so there nobody needs to tell that the last one exists.
    """
    rows, threads, pcpus = recording(name)
    chance = Random(10)
    parts = [(0, LONGEST)]
    parts += [(chance.randrange(len(rows)), length) for length in (100, 200, 200, 500, 1_000, 1_500)]
    for first, length in parts:
        for absent in range(pcpus):
            kept = [row for row in part(rows, first, min(first + length, len(rows))) if row[2] != absent]
            for told in (pcpus,) if threads else (pcpus, 0):
                found = judge([kept], threads=threads, pcpus=told).findings
                assert not found, f"{length} from row {first} without pCPU {absent}, {told} told: {found[:2]}"


def test_a_law_that_is_not_asked_says_what_is_missing() -> None:
    """A law whose events are missing says so."""
    rows = recording("kvm-tiny-2cpu-xapic/trace.dat.xz").rows
    case = judge([[row for row in rows if row[1] != Kind.IRQ_REQUEST]])
    assert REQUESTED not in case.asked and UNMASKED in case.asked
    assert "irq.request" in case.why_not(REQUESTED)


@pytest.mark.parametrize("mechanism", ["emulated", "apicv", "posted", "pvhvm", "direct"])
def test_a_record_of_a_simulation_is_explained(mechanism: str, tmp_path: Path) -> None:
    """The simulator applies the same rules, so the judge finds nothing in what it records."""
    asked = ["run", "mail", "--mechanism", mechanism, "--length", "2 ms", "--out", str(tmp_path)]
    assert main(asked) == 0
    path = tmp_path / f"{mechanism}.xl"
    assert main(["judge", str(path)]) == 0
    case = judge([[tuple(event) for event in read(path)]], threads=False, own=True)
    assert case.events == len(read(path)) and len(case.asked) >= 5


def without_ends(rows: list[Row], vector: int) -> list[Row]:
    """Leave out the ends of a vector, and the guest's writes of EOI that made them: those in the same exit."""
    written = {(Kind.APIC_ACCESS, 0x10B0), (Kind.MSR_ACCESS, 0x80B + 2**32)}
    writes: dict[int, list[int]] = {}
    ends: dict[int, bool] = {}
    gone: set[int] = set()
    for n, (_, kind, _, vcpu, a, _) in enumerate(rows):
        if kind in (Kind.IRQ_EOI, Kind.EOI_SPARED) and a == vector:
            gone.add(n)
            ends[vcpu] = True
        elif (kind, a) in written:
            writes.setdefault(vcpu, []).append(n)
        elif kind in (Kind.VM_EXIT, Kind.VM_ENTRY):
            gone |= set(writes.pop(vcpu, [])) if ends.pop(vcpu, False) else set()
            writes.pop(vcpu, None)
    return [row for n, row in enumerate(rows) if n not in gone]


def test_a_vector_that_the_hypervisor_ends_itself_is_explained() -> None:
    """Hyper-V's AutoEOI: no end of such a vector is recorded, however often it comes; one missing end is not that."""
    tiny = recording("kvm-linux-2cpu/trace.dat.xz").rows[:LONGEST]
    kept = without_ends(tiny, TIMER)
    assert sum(row[1] == Kind.IRQ_INJECT and row[4] == TIMER for row in kept) > 10
    assert not [(f.row, f.says) for f in judge([kept]).findings]


@pytest.mark.parametrize(("rip", "found"), [(0x100, ["window.shadow"]), (0x101, [])])
def test_no_window_opens_between_sti_and_hlt(rip: int, found: list[str], tmp_path: Path) -> None:
    """A host interrupt came between STI and HLT: the entry could not inject, so HLT must run before a window opens."""
    lines = (
        "exit: reason EXIT_HLT rip 0x100 info 0 0", "inj_virq: IRQ 0x40", "entry: vcpu 0",
        "exit: reason EXIT_MSR rip 0x200 info 1 0", "eoi: apicid 0 vector 64", "entry: vcpu 0",
        "exit: reason EXIT_INTR rip 0x100 info 0 0", "entry: vcpu 0",
        f"exit: reason EXIT_VINTR rip 0x{rip:x} info 0 0", "inj_virq: IRQ 0x40", "entry: vcpu 0",
    )  # fmt: skip
    path = tmp_path / "sti.txt"
    path.write_text("".join(f" CPU 0/KVM-7 [000] 1.{n:06}: kvm_{line}\n" for n, line in enumerate(lines)))
    with open_reader(str(path)) as reader:
        case = judge(reader.rows())
    assert [f.law.name for f in case.findings] == found


@pytest.mark.parametrize("head", ["cpus=2", "# tracer: nop\n# entries-in-buffer/entries-written: 9/9   #P:2"])
def test_a_text_says_how_many_pcpus_there_were(head: str, tmp_path: Path) -> None:
    """The head of a trace-cmd report, and of the kernel's text, tells of a last pCPU that has no line."""
    lines = lzma.open(shared("data/traces/kvm-tiny-2cpu-xapic/trace.txt.xz"), "rt").read().splitlines()[1:]
    path = tmp_path / "half.txt"
    path.write_text("\n".join([head, *[line for line in lines if "[001]" not in line]]) + "\n")
    assert main(["judge", str(path)]) == 0
