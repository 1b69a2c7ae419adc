"""The mail's questions, answered from the runs just made, each with its numbers and a citation."""

import textwrap
from collections.abc import Iterator

from rich.console import Console
from rich.text import Text

from exitless.arch.outcome import Access
from exitless.arch.vmx.access import Operation, page_read, page_write, write_emulation
from exitless.arch.vmx.controls import Controls
from exitless.arch.vmx.virtual_apic import VirtualApic
from exitless.bits.words import ON_PAGE, PACKED, bits_of
from exitless.cli.output import ns
from exitless.mech.catalog import CATALOG, find
from exitless.scenario import Built, Scenario, prepare
from exitless.study.cites import reference
from exitless.study.summary import Summary
from exitless.vocab.exits import Exit

READABLE = [
    0x020, 0x030, 0x080, 0x0A0, 0x0D0, 0x0E0, 0x0F0, *range(0x100, 0x280, 0x10), 0x280, 0x2F0, 0x300, 0x310,
    *range(0x320, 0x380, 0x10), 0x380, 0x390, 0x3E0,
]  # fmt: skip
WRITABLE = [0x080, 0x0B0, 0x0D0, 0x0E0, 0x0F0, 0x280, 0x2F0, 0x300, 0x310, *range(0x320, 0x380, 0x10), 0x380, 0x3E0]


class Answer:
    """One question, what the runs say, and the sources."""

    def __init__(self, question: str, lines: list[str], cites: list[str]) -> None:
        self.question = question
        self.lines = lines
        self.cites = cites


def controls_for(registers: int, vid: int) -> Controls:
    """Return the controls of a guest in xAPIC mode with the APIC-access page."""
    c = Controls()
    c.use_tpr_shadow = 1
    c.virtualize_apic_accesses = 1
    c.apic_register_virtualization = registers
    c.virtual_interrupt_delivery = vid
    return c


def count_accesses(controls: Controls) -> tuple[int, int, int]:
    """Try every register's 4-byte read and write by rule. Returns.

    Reads and writes that stay, writes that exit trap-like.
    """
    reads = writes = traps = 0
    for offset in READABLE:
        reads += page_read(VirtualApic(), controls, Operation(), offset, 4) == Access.VIRTUALIZED
    for offset in WRITABLE:
        op = Operation()
        vapic = VirtualApic()
        if offset == 0x300:
            op.low = 0x00040040
        if page_write(vapic, controls, op, offset, 4) == Access.VIRTUALIZED:
            answer = write_emulation(vapic, controls, op)
            writes += answer == Exit.NONE
            traps += answer == Exit.APIC_WRITE
    return reads, writes, traps


def access_answer() -> Answer:
    """Do reads and writes exit?"""
    lines = []
    for label, registers, vid in (
        ("no virtualization but the TPR shadow", 0, 0),
        ("register virtualization", 1, 0),
        ("register virtualization and virtual-interrupt delivery", 1, 1),
    ):
        reads, writes, traps = count_accesses(controls_for(registers, vid))
        rest = len(WRITABLE) - writes - traps
        lines.append(
            f"With {label}: {reads} of {len(READABLE)} register reads stay in the guest, {len(READABLE) - reads} "
            f"exit; of {len(WRITABLE)} "
            f"writable registers {writes} stay, {traps} exit after the store (APIC write), {rest} before it (APIC "
            "access)."
        )
    return Answer(
        "Do reads and writes of the APIC exit?", ["Reads mostly do not, writes mostly do: counted by trying each "
                                                  "register against the rules.", *lines],
        ["SDM apicv.reads", "SDM apicv.writes", "SDM apicv.write-emulation"],
    )  # fmt: skip


def by_name(summaries: list[Summary]) -> dict[str, Summary]:
    """Index results by mechanism."""
    return {s.mechanism: s for s in summaries}


def vectors(counts: dict[int, int]) -> str:
    """Print counts by vector."""
    return ", ".join(f"0x{v:02x}: {n:,}" for v, n in sorted(counts.items(), key=lambda kv: -kv[1])) or "none"


def rvi_answer(results: dict[str, Summary]) -> Answer:
    """What do RVI and SVI hold?"""
    lines = [
        "Two guest vectors of this vCPU, 8 bits each: RVI the highest requested in VIRR, SVI the one in service. They"
        " say nothing of the host, and they are no bitmap of what the guest may take."
    ]
    for name in ("apicv", "vtd-posted"):
        if name in results:
            s = results[name]
            lines.append(
                f"{name}: Xen wrote RVI before an entry ({vectors(s.rvi_written)}); the processor moved RVI to SVI at"
                f" delivery ({vectors(s.delivered)})."
            )
    return Answer(
        "What do RVI and SVI hold?", lines, ["SDM apicv.state", "SDM apicv.delivery", "Xen intr.c vmx_intr_assist"]
    )


def eoi_answer(results: dict[str, Summary]) -> Answer:
    """Which vectors exit at EOI, and who sets that bitmap?"""
    lines = [
        "The bitmap names vectors whose EOI must be seen by the hypervisor; the hypervisor sets it: Xen for "
        "level-triggered vectors when they are accepted, and for the vector injected while its emulated timer is due."
    ]
    for name in ("emulated", "apicv", "posted", "vtd-posted", "direct"):
        if name in results:
            parts = [f"0x{v:02x} {e:,} of {n:,}" for v, (n, e) in sorted(results[name].eoi.items())]
            lines.append(f"{name}: EOIs that exited: {', '.join(parts) or 'no EOI at all'}.")
    return Answer(
        "Which vectors exit at EOI, and who sets that bitmap?",
        lines,
        ["SDM apicv.eoi", "SDM apicv.eoi-exit-bitmap", "Xen vlapic.c vlapic_set_irq"],
    )


def unbounded_answer(results: dict[str, Summary], sas_vectors: dict[str, int], slow: dict[str, Summary]) -> Answer:
    """Can the guest run unbounded?"""
    lines = [
        "No, as long as external-interrupt exiting is 1: a host vector exits whatever the guest's vectors, its IF, "
        "TPR or RVI are."
    ]
    for title, group in (
        ("longest wait of a host vector in pCPU1's local APIC in these runs", results),
        ("the same when the guest's NIC handler takes 200 µs with IF=0 (20 ms of a run of its own)", slow),
    ):
        parts = []
        for name, s in group.items():
            vector = sas_vectors[name]
            parts.append(
                f"{name} SAS 0x{vector:02x} {ns(s.held_ps.get(vector, 0) / 1000)}, Xen's timer 0xfa "
                f"{ns(s.held_ps.get(0xFA, 0) / 1000)}"
            )
        lines.append(f"{title[0].upper()}{title[1:]}: {'; '.join(parts)}.")
    lines.append(
        "So with exiting on, what a vector waits for is Xen's own code; in direct delivery it is the guest: its IF=0 "
        "holds back everything, its vector in service holds back equal and lower classes until its EOI. "
        "That is the mail's fear, and choosing vectors (negotiated or shuffled) cures only the second half."
    )
    return Answer("Can the guest run unbounded?", lines, ["SDM vmx.event-priority", "ELI shadow-idt"])


def met_said(s: Summary) -> str:
    """Say how the two devices' physical vectors met in the local APIC."""
    m = s.meeting
    if m is None:
        return ""
    who = f"host vectors 0x{m.mine:02x} and 0x{m.rival:02x} met {m.met:,} times"
    if not m.met:
        return who
    held = f", where 0x{m.rival:02x} waited up to {ns(m.held.max)}" if m.held.count else ""
    return f"{who}: 0x{m.mine:02x} first in {m.mine_first:,}{held}, 0x{m.rival:02x} first in {m.rival_first:,}"


def who_wins_answer(results: dict[str, Summary], slow: dict[str, Summary]) -> Answer:
    """Who wins, the NIC's 0x80 or the SAS controller's 0x58, and why?"""
    lines = [
        "0x80 is a guest vector and 0x58 a host vector: they meet only where the guest takes physical vectors itself "
        "(direct). Elsewhere the NIC has a host vector of its own, and the local APIC compares that one."
    ]
    for name, s in results.items():
        row = find(name)
        lines.append(f"{name}: {met_said(s)}. {row.order if row is not None else ''}")
    for name, s in slow.items():
        lines.append(f"The same when the guest's NIC handler takes 200 µs (20 ms of a run), {name}: {met_said(s)}.")
    lines.append(
        "Which of guest and dom0 then runs is the scheduler's choice, not a matter of vectors: dom0's wake-up waits for"
        " the rate limit of the vCPU that runs."
    )
    return Answer(
        "Who wins, NIC 0x80 or SAS 0x58?",
        lines,
        ["SDM vmx.event-priority", "SDM apic.priority", "Xen irq.c do_IRQ", "Xen credit.c priorities"],
    )


def table_answer(built: dict[str, Built]) -> Answer:
    """Is there a table from guest vectors to host vectors?"""
    lines = ["Yes, two, and none of them in the processor."]
    if "apicv" in built:
        m = built["apicv"].machine
        irq = m.irqs[0]
        source = m.sources[irq.source]
        lines.append(
            f"In software: Xen's irq {int(irq.number)} (host vector 0x{int(irq.vector):02x} on pCPU{int(irq.pcpu)}) "
            f"is bound to guest vector 0x{int(source.vector):02x} of {built['apicv'].header.vcpus[int(source.vcpu)]}."
        )
    if "vtd-posted" in built:
        b = built["vtd-posted"]
        for n, entry in enumerate(b.machine.remapper.table):
            if entry.im:
                source = b.machine.sources[b.machine.irqs[0].source]
                pid = b.machine.vcpus[int(source.vcpu)].cpu.pid
                lines.append(
                    f"In hardware: interrupt-remapping entry {n} of this run: IM=1, virtual vector "
                    f"0x{int(entry.vector):02x}, descriptor of "
                    f"{b.header.vcpus[int(source.vcpu)]}; the descriptor's NV=0x{int(pid.nv):02x} (the "
                    f"{'wake-up' if pid.nv == b.machine.wakeup_vector else 'notification'} vector, as the run ended) "
                    f"and NDST={int(pid.ndst)} are the host's side."
                )
    return Answer(
        "Is there a table from guest to host vectors?", lines, ["VT-d posted.operation", "Xen dpci.c hvm_dirq_assist"]
    )


def mix_answer(results: dict[str, Summary], mixed: Summary | None) -> Answer:
    """Can event channels and a virtual APIC be mixed, and which device should use which?"""
    lines = []
    if "pvhvm" in results and "apicv" in results:
        a, b = results["pvhvm"], results["apicv"]
        lines.append(
            f"The NIC cost {a.exits_per_interrupt:.2f} exits an interrupt on an event channel (with "
            f"{sum(a.windows.values()):,} windows armed and "
            f"{a.hypercalls.get('PHYSDEVOP_eoi', 0):,} EOI hypercalls) and {b.exits_per_interrupt:.2f} through the "
            "virtual APIC"
            + (
                f", {results['vtd-posted'].exits_per_interrupt:.2f} when posted by the remapping unit."
                if "vtd-posted" in results
                else "."
            )
        )
    if mixed is not None:
        lines.append(
            f"Mixed in one guest (NIC by apicv, tick by VIRQ and callback 0xf3): {sum(mixed.injections.values()):,} "
            "upcalls injected, "
            f"{sum(mixed.windows.values()):,} windows armed, NIC still {mixed.exits_per_interrupt:.2f} exits an "
            "interrupt. At entry the callback goes first, always; while its window is armed no virtual interrupt is "
            "delivered."
        )
    lines.append(
        "So yes: a passed-through device belongs on the (virtual) APIC where the hardware has it; PV backends, which "
        "have no vector of their own, belong on event channels."
    )
    return Answer(
        "Can both be mixed, and which device should use which?",
        lines,
        ["Xen hvm/irq.c hvm_vcpu_has_pending_irq", "Xen intr.c vmx_intr_assist", "SDM apicv.evaluation"],
    )


def state_of(built: Built, number: int) -> dict[str, str]:
    """Describe what belongs to a vCPU and its device's interrupt, by architectural name."""
    m = built.machine
    v = m.vcpus[number]
    cpu = v.cpu
    out = {
        "RVI": f"0x{int(cpu.vapic.rvi):02x}", "SVI": f"0x{int(cpu.vapic.svi):02x}",
        "VIRR": str(bits_of(cpu.vapic.page, 128, ON_PAGE, 8)), "VISR": str(bits_of(cpu.vapic.page, 64, ON_PAGE, 8)),
        "EOI-exit bitmap": str(bits_of(cpu.vapic.eoi_exit, 0, PACKED, 8)),
        "notification vector in the VMCS": f"0x{int(cpu.controls.notification_vector):02x}",
        "PID.NDST": str(int(cpu.pid.ndst)), "PID.SN": str(int(cpu.pid.sn)),
        "VMCS current on pCPU": str(int(v.ran_on)),
    }  # fmt: skip
    for irq in m.irqs:
        if m.sources[irq.source].vcpu == number:
            entry = m.remapper.table[m.sources[irq.source].index]
            name = built.header.sources[int(irq.source)]
            remapped = f"0x{int(entry.vector):02x} on pCPU{int(entry.dst)}"
            out[f"{name}: remapping entry"] = "posted" if entry.im else remapped
    return out


def move_probe(scenario: Scenario, name: str, mechanism: str) -> tuple[dict[str, tuple[str, str]], int]:
    """Move the guest's vCPU under load and watch. Returns: what changed from before to settled, and how many of its
    device's interrupts the old pCPU still took."""
    built = prepare(scenario, name, mechanism, None, 20_000_000_000, [])
    m = built.machine
    number = next(n for n, v in enumerate(m.vcpus) if not v.domain.serves)
    vcpu = m.vcpus[number]
    old = int(vcpu.pcpu)
    new = (old + 1) % len(m.pcpus)
    m.schedule_move(vcpu, new, 10_000_000_000)
    m.run(9_999_999_999)
    before = state_of(built, number)
    late = 0
    device = [i for i in m.irqs if m.sources[i.source].vcpu == number]
    while m.calendar.next_time() >= 0 and int(m.now) < 15_000_000_000:
        pending = device[0].wanted if device else 0
        m.step()
        if device and pending and not device[0].wanted:
            late += 1
    after = state_of(built, number)
    moving = {"RVI", "SVI", "VIRR", "VISR"}
    changed = {k: (before[k], after[k]) for k in before if before[k] != after[k] and k not in moving}
    return changed, late


def move_answer(scenario: Scenario, name: str, mechanisms: list[str]) -> Answer:
    """What must be rewritten when the vCPU moves to another pCPU?"""
    lines = ["Measured by moving the guest from pCPU1 to pCPU2 at 10 ms of a run of its own:"]
    for mechanism in mechanisms:
        changed, late = move_probe(scenario, name, mechanism)
        parts = [f"{k} {a} -> {b}" for k, (a, b) in changed.items()]
        tail = f"; {late} device interrupt was still taken on the old pCPU and carried the move out" if late else ""
        lines.append(f"{mechanism}: {'; '.join(parts)}{tail}.")
    lines.append(
        "Not rewritten: RVI, SVI, VIRR, VISR and the EOI-exit bitmap travel with the VMCS and the virtual-APIC page; "
        "a posted remapping entry names the descriptor, not a pCPU."
    )
    return Answer(
        "What must be rewritten when the vCPU moves to another pCPU?",
        lines,
        ["Xen vmx.c vmx_pi_switch_to", "Xen irq.c irq_set_affinity", "Xen core.c sched_unit_migrate_finish"],
    )


def answers(
    scenario: Scenario,
    name: str,
    summaries: list[Summary],
    built: dict[str, Built],
    rival: str,
    mixed: Summary | None,
    slow: dict[str, Summary],
) -> Iterator[Answer]:
    """Answer every question of the mail that the runs allow.

    ``rival`` is the SAS source on the NIC's pCPU; ``mixed`` a run with NIC by APIC and tick by event channel;
    ``slow`` runs
    whose guest keeps interrupts off for long.
    """
    results = by_name(summaries)
    yield access_answer()
    yield rvi_answer(results)
    yield eoi_answer(results)
    if rival:
        number = built[summaries[0].mechanism].header.sources.index(rival)
        yield unbounded_answer(results, {n: b.header.source_host_vector[number] for n, b in built.items()}, slow)
    wanted: list[str] = [n for n in ("emulated", "apicv", "vtd-posted") if n in results] or [summaries[0].mechanism]
    yield move_answer(scenario, name, wanted)
    if rival:
        yield who_wins_answer(results, slow)
    yield table_answer(built)
    yield mix_answer(results, mixed)


def print_answers(out: Console, found: list[Answer]) -> None:
    """Print answers, wrapped to the width of the terminal."""
    out.print()
    out.print("[bold]The mail's questions, answered from these runs[/]")
    width = min(out.width, 120)
    for n, answer in enumerate(found, 1):
        out.print()
        out.print(Text(f"{n}. {answer.question}", style="bold"))
        for line in answer.lines:
            out.print(Text(textwrap.fill(line, width, initial_indent="   ", subsequent_indent="   ")))
        for key in answer.cites:
            out.print(
                Text(
                    textwrap.fill(reference(key), width, initial_indent="   [", subsequent_indent="    ") + "]",
                    style="dim",
                )
            )


__all__ = ["CATALOG", "Answer", "answers", "print_answers"]
