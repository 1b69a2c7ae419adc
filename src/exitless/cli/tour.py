"""The tour: the mail's questions as cards, each answered from the runs on the bench and tied to a moment of one."""

from collections.abc import Iterator
from copy import deepcopy
from typing import Any

from exitless.arch.x86.host_vectors import HostVector
from exitless.cli.answers import READABLE, WRITABLE, controls_for, count_accesses, move_probe
from exitless.cli.moments import (
    Card,
    Runs,
    around,
    at_us,
    card,
    counted,
    exit_of,
    inside_handler,
    later,
    moment,
    rival_exits,
    rival_way,
    typical,
)  # fmt: skip
from exitless.cli.output import ns
from exitless.cli.run import Result, primary_source, rival_of, run_one
from exitless.record.block import Record
from exitless.scenario import Scenario
from exitless.study.spans import rows
from exitless.vocab.exits import VMX_NAMES, Exit
from exitless.vocab.kinds import Kind

PROBE_PS = 10_000_000_000


def tour(scenario: Scenario, name: str, seed: int | None, by_name: dict[str, tuple[Result, Record]]) -> list[Card]:
    """Return the cards that these runs can answer."""
    built = next(iter(by_name.values()))[0].built
    runs = Runs(scenario, name, seed, by_name, primary_source(built), rival_of(built))
    if runs.source < 0:
        return []
    found = [access_card, state_card, eoi_card, unbounded_card, wins_card, move_card, table_card, mix_card]
    return [card for make in found for card in make(runs)]


def access_card(runs: Runs) -> Iterator[Card]:
    """Do reads and writes of the APIC exit?"""
    table = []
    for label, registers, vid in (("TPR shadow only", 0, 0), ("register virtualization", 1, 0), ("and delivery", 1, 1)):
        reads, writes, traps = count_accesses(controls_for(registers, vid))
        table.append(
            [label, f"{reads} of {len(READABLE)}", str(writes), str(traps), str(len(WRITABLE) - writes - traps)]
        )
    reads, writes, _ = count_accesses(controls_for(1, 1))
    says = [
        "Reads mostly do not, writes mostly do.",
        f"With register virtualization and virtual-interrupt delivery {reads} of {len(READABLE)} registers are read "
        f"without an exit, and {writes} of {len(WRITABLE)} written without one.",
    ]
    more: dict[str, Any] = {}
    for name in runs.has("apic-registers", "emulated"):
        count = {r: runs.summary(name).exits.get(VMX_NAMES[r], 0) for r in (Exit.APIC_WRITE, Exit.APIC_ACCESS)}
        found = exit_of(runs.record(name), Exit.APIC_WRITE, Exit.APIC_ACCESS)
        if found is not None:
            told = f"{VMX_NAMES[found.a]}, page offset 0x{found.b:03x}"
            says.append(f"This run under {name} has {counted(sum(count.values()), 'exit')} for an APIC register.")
            more["moment"] = moment(
                name, found.time_ps, told, "The guest wrote a register that this mechanism does not virtualize.",
                around(runs.journeys(name), found.time_ps),
            )  # fmt: skip
            more["did"] = [[VMX_NAMES[r], f"under {name}", f"{n:,}"] for r, n in count.items() if n]
            break
    yield card(
        "Do reads and writes of the APIC exit?", says,
        [("EOI", "its write stays in the guest with virtual-interrupt delivery, unless the EOI-exit bitmap names the "
                 "vector"),
         ("Direct", "the EOI of a vector that the guest took itself does not exit")],
        ["SDM apicv.reads", "SDM apicv.writes"],
        block={"kind": "table", "head": ["controls", "reads, no exit", "writes, no exit", "exit after", "exit before"],
               "rows": table,
               "says": "Each register tried against the rules. A write exits after it is stored, or before."}, **more,
    )  # fmt: skip


def state_card(runs: Runs) -> Iterator[Card]:
    """What do RVI and SVI hold?"""
    names = runs.has("apicv", "posted", "vtd-posted")
    if not names:
        return
    name = names[0]
    s = runs.summary(name)
    vector = runs.guest_vector(name)
    did = [[f"0x{v:02x}", f"delivered by the processor, {name}", f"{n:,}"] for v, n in sorted(s.delivered.items())]
    did += [[f"0x{v:02x}", "written to RVI by Xen before an entry", f"{n:,}"] for v, n in sorted(s.rvi_written.items())]
    more: dict[str, Any] = {}
    found = next((e for e in later(runs.record(name), Kind.RVI_WRITE) if e.b == vector), None)
    if found is not None:
        way = around(runs.journeys(name), found.time_ps)
        said = "VIRR keeps every request; RVI names only the highest."
        more["moment"] = moment(name, found.time_ps, f"RVI becomes 0x{vector:02x}", said, way)
    yield card(
        "What do RVI and SVI hold?",
        ["Two guest vectors of this vCPU, 8 bits each: RVI the highest requested, SVI the one in service.",
         "They say nothing of the host, and they are no bitmap of what a guest may take.",
         f"In this run they moved {counted(sum(s.delivered.values()), 'time')} from RVI to SVI under {name}."],
        [("The bitmap", "is VIRR and VISR on the virtual-APIC page, 256 bits each"),
         ("The host's", "ISR and IRR stay in the local APIC of the pCPU")],
        ["SDM apicv.state", "SDM apicv.delivery"], did=did, **more,
    )  # fmt: skip


def eoi_card(runs: Runs) -> Iterator[Card]:
    """Which vectors exit at EOI?"""
    names = runs.has("emulated", "apicv", "posted", "vtd-posted", "direct")
    if not names:
        return
    lines = []
    for name in names:
        for vector, (count, exits) in sorted(runs.summary(name).eoi.items()):
            lines.append([name, f"0x{vector:02x}", f"{count:,}", f"{exits:,}"])
    more: dict[str, Any] = {}
    for name in [n for n in names if n != "emulated"] + runs.has("emulated"):
        found = exit_of(runs.record(name), Exit.EOI_INDUCED) or next(
            (e for e in later(runs.record(name), Kind.IRQ_EOI) if e.a == runs.guest_vector(name)), None
        )
        if found is not None:
            kept = found.kind == Kind.IRQ_EOI and not found.b
            title = f"EOI of 0x{found.b if found.kind == Kind.VM_EXIT else found.a:02x}"
            said = "No exit: its bit in the bitmap is 0." if kept else "It exits: somebody must see this end."
            way = around(runs.journeys(name), found.time_ps)
            more["moment"] = moment(name, found.time_ps, title, said, way)
            break
    all_exits = {n: sum(e for _, e in runs.summary(n).eoi.values()) for n in names}
    told = ", ".join(f"{n} {count:,}" for n, count in all_exits.items())
    yield card(
        "Which vectors exit at EOI, and who sets that bitmap?",
        ["Those whose bit the hypervisor has set in the EOI-exit bitmap.",
         "Xen sets it for level-triggered vectors, and for a vector it injects while its emulated timer is due.",
         f"EOIs that exited in this run: {told}."],
        [("Emulated", "without virtual-interrupt delivery every EOI exits; there is no bitmap to ask"),
         ("Direct", "the EOI of a vector that the guest took itself goes to the physical APIC unseen; one that had to "
                    "be injected exits")],
        ["SDM apicv.eoi", "SDM apicv.eoi-exit-bitmap", "Xen vlapic.c vlapic_set_irq"],
        block={"kind": "table", "head": ["mechanism", "vector", "EOIs", "exits"], "rows": lines[:12],
               "says": "counted in this run"}, **more,
    )  # fmt: skip


def unbounded_card(runs: Runs) -> Iterator[Card]:
    """Can the guest run unbounded?"""
    if not runs.rival:
        return
    lines = []
    for name in runs.by_name:
        held = runs.summary(name).held_ps
        sas, timer = held.get(runs.rival_vector(name), 0), held.get(0xFA, 0)
        lines.append([name, f"0x{runs.rival_vector(name):02x}", ns(sas / 1000), ns(timer / 1000)])
    more: dict[str, Any] = {}
    name = (runs.has("vtd-posted", "apicv") or list(runs.by_name))[0]
    vector = runs.rival_vector(name)
    longest = ns(runs.summary(name).longest_guest_ps / 1000)
    for candidate in [name, *runs.has("apicv", "posted", "emulated")]:
        way, time = inside_handler(runs, candidate)
        if way is not None:
            more["moment"] = moment(
                candidate, time, f"0x{vector:02x} does not wait",
                "The guest's vector is in service, and the host's interrupt exits all the same.", way,
            )  # fmt: skip
            break
    else:
        at = rival_exits(runs, name)
        if at:
            said = "It ends guest mode at once, whatever the guest has masked."
            more["moment"] = moment(name, at[0], f"0x{vector:02x} exits", said, rival_way(runs, name, at[0]))
    yield card(
        "Can the guest run unbounded?",
        ["No: while external-interrupt exiting is 1, every host vector exits, whatever the guest has masked.",
         f"Under {name} this guest ran {longest} at most before something ended it.",
         "What a vector waits for below is Xen's own code; in direct delivery it is the guest."],
        [("Direct", "yes, for a while: IF = 0 holds everything back, and a vector in service holds back its class and "
                    "all below until the EOI"),
         ("Cured half", "negotiated or shuffled vectors help against the vector in service, never against IF = 0")],
        ["SDM vmx.event-priority", "ELI shadow-idt"],
        block={"kind": "table", "head": ["mechanism", "SAS", "waited at most", "Xen's timer"], "rows": lines,
               "says": "longest wait in the local APIC of the NIC's pCPU"}, **more,
    )  # fmt: skip


def wins_card(runs: Runs) -> Iterator[Card]:
    """Who wins?"""
    names = runs.has("vtd-posted", "posted", "apicv", "pvhvm", "emulated")
    if not runs.rival or not names:
        return
    more: dict[str, Any] = {}
    shown, way, time = names[0], None, -1
    for shown in names:
        way, time = inside_handler(runs, shown)
        if way is not None:
            break
    else:
        shown = names[0]
    guest, host = runs.guest_vector(shown), runs.rival_vector(shown)
    h = runs.record(shown).header
    device = h.sources[runs.source]
    wire = h.source_host_vector[runs.source]
    did = []
    if way is not None:
        back = next((e.time_ps for e in rows(runs.record(shown), time, way.end + 1)
                     if e.kind == Kind.VM_ENTRY and e.vcpu == way.vcpu and e.time_ps > time), -1)  # fmt: skip
        entered = way.steps[way.handled].time
        did = [
            [at_us(entered), f"the handler of 0x{guest:02x} begins", ""],
            [at_us(time), f"0x{host:02x} exits inside it, after", ns((time - entered) / 1000)],
        ]
        if back >= 0:
            did.append([at_us(back), "the handler goes on; it was paused for", ns((back - time) / 1000)])
        said = f"0x{guest:02x} is in service in the virtual APIC; only a physical vector holds back a physical one."
        more["moment"] = moment(shown, time, f"0x{host:02x} does not wait", said, way)
    elif at := rival_exits(runs, shown):
        said = f"No guest vector was in its way. In this run no handler of 0x{guest:02x} was under way at such a time."
        more["moment"] = moment(shown, at[0], f"0x{host:02x} exits at once", said, rival_way(runs, shown, at[0]))
        did = [[at_us(at[0]), f"0x{host:02x} ends guest mode; in the whole run it does so", f"{len(at):,} times"]]
    for name in runs.by_name:
        m = runs.summary(name).meeting
        if m is not None and m.met:
            did.append([name, f"0x{m.mine:02x} and 0x{m.rival:02x} met {m.met:,} times; 0x{m.rival:02x} first in",
                        f"{m.rival_first:,}"])  # fmt: skip
    yield card(
        f"Who wins, {device} 0x{guest:02x} or {runs.rival.split('.')[0]} 0x{host:02x}?",
        ["They never meet.", f"0x{guest:02x} is a guest vector, 0x{host:02x} a host vector, and the processor compares "
         "each with its own kind only.", "Which of guest and dom0 runs next is the scheduler's choice."],
        [("Yes, direct", f"there 0x{guest:02x} is a physical vector: in service it holds back classes up to "
                         f"{guest >> 4:X} until the guest's EOI"),
         ("For a while", "a passed-through MSI that cannot be masked keeps its host vector in service until the "
                         "guest's EOI or Xen's timer")],
        ["SDM vmx.event-priority", "SDM apic.priority", "Xen credit.c priorities"],
        block={"kind": "worlds", "host": [[wire, f"{device}, remapped", 1], [host, runs.rival, 1],
                                          [HostVector.POSTED_NOTIFICATION if wire < 0 else -1, "notification", 0]],
               "guest": [[guest, device], *[[v, "timer"] for v in vectors_beside(runs, shown)]]},
        did=did, **more,
    )  # fmt: skip


def vectors_beside(runs: Runs, name: str) -> list[int]:
    """Return the other guest vectors of the device's vCPU."""
    h = runs.record(name).header
    mine = h.source_vcpu[runs.source]
    return [v for n, v in enumerate(h.source_vector) if n != runs.source and h.source_vcpu[n] == mine and v >= 0][:2]


def move_card(runs: Runs) -> Iterator[Card]:
    """What must be rewritten when a vCPU moves?"""
    if len(runs.record(next(iter(runs.by_name))).header.sources) == 0 or runs.scenario.host.pcpus < 2:
        return
    lines, counts = [], []
    for name in runs.has("emulated", "apicv", "vtd-posted"):
        changed, late = move_probe(runs.scenario, runs.name, name)
        counts.append(f"{name} {len(changed)}")
        lines += [[name, what, before, after] for what, (before, after) in changed.items()]
        if late:
            lines.append([name, "taken on the old pCPU", "", counted(late, "interrupt")])
    if not lines:
        return
    more: dict[str, Any] = {}
    name = (runs.has("vtd-posted", "apicv") or list(runs.by_name))[0]
    way, time = typical(runs, name, Kind.MSI_ROUTE, Kind.PID_POST)
    if way is not None:
        said = "A posted entry names the descriptor; only NDST in it names a pCPU." if name == "vtd-posted" else (
            "The remapping entry names the pCPU.")  # fmt: skip
        more["moment"] = moment(name, time, "What names a pCPU here", said, way)
    yield card(
        "What must be rewritten when the vCPU moves to another pCPU?",
        ["What names a pCPU: the descriptor's NDST, or the remapping entry with its vector, and the current VMCS.",
         "RVI, SVI, VIRR, VISR and the EOI-exit bitmap travel with the vCPU untouched.",
         f"Fields that changed when the guest was moved at 10 ms of a run of its own: {', '.join(counts)}."],
        [("Posted", "the entry itself stays: it names the descriptor, not a pCPU"),
         ("Remapped", "the device's next interrupt is still taken on the old pCPU and carries the move out")],
        ["Xen vmx.c vmx_pi_switch_to", "Xen irq.c irq_set_affinity"],
        block={"kind": "table", "head": ["mechanism", "field", "before", "after"], "rows": lines[:12],
               "says": "read before and after the move"}, **more,
    )  # fmt: skip


def table_card(runs: Runs) -> Iterator[Card]:
    """Is there a table from guest vectors to host vectors?"""
    did: list[list[str]] = []
    more: dict[str, Any] = {}
    for name in runs.has("apicv", "vtd-posted"):
        built = runs.by_name[name][0].built
        m, source = built.machine, built.machine.sources[runs.source]
        irq = m.irqs[source.irq]
        entry = m.remapper.table[source.index]
        vcpu = built.header.vcpus[int(source.vcpu)]
        if entry.im:
            pid = m.vcpus[int(source.vcpu)].cpu.pid
            told = f"{name}: posts 0x{int(entry.vector):02x} to the descriptor of {vcpu}"
            did.append([f"IRTE {int(source.index)}", told, f"NV 0x{int(pid.nv):02x}"])
        else:
            told = f"{name}: host 0x{int(irq.vector):02x} on pCPU{int(irq.pcpu)}, bound to {vcpu}"
            did.append([f"irq {int(irq.number)}", told, f"0x{int(source.vector):02x}"])
        way, time = typical(runs, name, Kind.MSI_ROUTE, Kind.PID_POST)
        if way is not None:
            said = "The remapping unit looks its entry up; the processor knows nothing of it."
            more["moment"] = moment(name, time, "The table is used here", said, way)
    if not did:
        return
    yield card(
        "Is there a table from guest to host vectors?",
        ["Yes, two, and neither is in the processor.",
         "In software, Xen binds its irq, and with it a host vector on one pCPU, to a guest vector.",
         "In hardware, a posted remapping entry names the guest's vector and its descriptor, whose NV and NDST are the "
         "host's side."],
        [("Remapped", "an entry in remapped format holds a host vector only: the guest's is Xen's knowledge"),
         ("In the VMCS", "there are RVI and SVI, guest vectors both, and one notification vector")],
        ["VT-d posted.operation", "Xen dpci.c hvm_dirq_assist"], did=did, **more,
    )  # fmt: skip


def mix_card(runs: Runs) -> Iterator[Card]:
    """Can event channels and a virtual APIC be mixed?"""
    names = runs.has("pvhvm", "apicv", "vtd-posted")
    if len(names) < 2:
        return
    rate = {n: runs.summary(n).exits_per_interrupt for n in names}
    bars = [[n, runs.each(n)] for n in names]
    guest = next((n for n, vm in enumerate(runs.scenario.vm) if vm.kind == "hvm"), 0)
    other = deepcopy(runs.scenario)
    other.vm[guest].timer = "event"
    mixed = run_one(other, runs.name, "apicv", runs.seed, PROBE_PS, False, False, lambda share: None)[0].summary
    did = [["apicv, mixed", "NIC by the virtual APIC, tick by an event channel: exits an interrupt",
            f"{mixed.exits_per_interrupt:.2f}"],
           ["apicv, mixed", "upcalls injected at entry", f"{sum(mixed.injections.values()):,}"]]  # fmt: skip
    more: dict[str, Any] = {}
    shown = names[0]
    found = next((e for e in later(runs.record(shown), Kind.IRQ_INJECT, Kind.IRQ_WINDOW)), None)
    if found is not None:
        way = around(runs.journeys(shown), found.time_ps)
        said = "An event has no vector of its own: the upcall is injected at entry."
        more["moment"] = moment(shown, found.time_ps, "The callback goes first", said, way)
    yield card(
        "Can both be mixed, and which device should use which?",
        ["Yes: a passed-through device belongs on the virtual APIC, a PV backend on event channels.",
         "Exits for one NIC interrupt in this run: " + ", ".join(f"{n} {r:.2f}" for n, r in rate.items()) + ".",
         "At entry the callback goes first, always."],
        [("While waiting", "an armed interrupt window holds virtual interrupts back until the callback is in")],
        ["Xen intr.c vmx_intr_assist", "SDM apicv.evaluation"],
        block={"kind": "bars", "rows": bars, "says": "exits for one NIC interrupt, on its own path"}, did=did, **more,
    )  # fmt: skip
