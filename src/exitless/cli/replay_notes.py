"""What is printed below the table of ``exitless replay``: of what the window tax is made, and what no record tells."""

from typing import TYPE_CHECKING, Any

from exitless.cli.output import ns
from exitless.study.replayed import Comparison
from exitless.vocab.kinds import Kind

if TYPE_CHECKING:
    from exitless.cli.replay import Replay


def window_tax(tax: dict[str, Any], most: dict[str, int]) -> list[str]:
    """Put armings and window exits of both sides side by side, by cause; ``most`` has those of a second simulation."""
    r, s = tax["recorded"], tax["simulated"]
    out = [
        f"Window tax: {r['armings_per_injection']:.2f} armings and {r['window_exits_per_injection']:.2f} window exits "
        f"for each injection recorded, {s['armings_per_injection']:.2f} and {s['window_exits_per_injection']:.2f} "
        "simulated."
    ]
    for cause, count in s["armings"].items():
        simulated = f"{count:,} to {most[cause]:,}" if most.get(cause, count) != count else f"{count:,}"
        out.append(f"  armed because {cause}: {r['armings'][cause]:,} recorded, {simulated} simulated")
    for what in r["window_exits"]:
        out.append(
            f"  window exits {what}: {r['window_exits'][what]:,} recorded, {s['window_exits'][what]:,} simulated"
        )
    return out


def unrecorded(comparison: Comparison, alone: bool) -> list[str]:
    """Name the kinds of records that the recording lacks; ``alone``: it has none of the scheduler's."""
    out = []
    if comparison.absent(Kind.IRQ_INJECT):
        out.append(
            "Injections are not recorded (INJ_VIRQ, 0x82004): what arrived is seen only where it had to wait, so "
            "injections, windows and exits by interrupts are not predictable from this file."
        )
    if comparison.absent(Kind.IRQ_WINDOW):
        out.append(
            "Window armings are not recorded (INTR_WINDOW, 0x82020). What a window exit injects counts as there since "
            "the exit before; so window exits are predicted, and armings simulated are too few where a guest exits "
            "several times with interrupts off."
        )
    if comparison.absent(Kind.SCHED_WAKE) and not alone:
        out.append("Wake-ups are not recorded (SCHED_CLASS, 0x28000).")
    if comparison.absent(Kind.RUNSTATE):
        out.append(
            "Runstates are not recorded (0x21000): when a vCPU loses its pCPU, blocks and wakes is unknown, so armings "
            "and wake-ups are not predictable from this file."
        )
    if comparison.missed:
        out.append(
            f"{comparison.missed:,} changes of runstate are missing between those recorded; each vCPU is taken to be "
            "in the runstate in which it is next seen."
        )
    return out


def explanation(replay: "Replay", comparison: Comparison) -> list[str]:
    """Say what the window tax is made of on both sides, and what the recording does not tell."""
    out = unrecorded(comparison, replay.alone is not None)
    if replay.stands_still():
        out.append(
            f"Time stamps went backwards {int(replay.reader.shared.backwards):,} times, so that most of this recording "
            "is one moment: nothing in it is predictable."
        )
    if not comparison.absent(Kind.IRQ_WINDOW) and not comparison.untold():
        most = comparison.restarted.by_cause if comparison.restarted and comparison.restarts_matter() else {}
        out += window_tax(comparison.tax(), most)
    if replay.arrivals.dark:
        out.append(
            f"Interrupts off: not recorded. At {replay.arrivals.dark:,} of the exits with a new interrupt the guest's "
            "instruction pointer lay nearest to one where an earlier exit had met them off; that is taken for off. "
            "With --interrupts-on nothing is learned from earlier exits."
        )
    armings = sum(comparison.new_armings.values())
    if comparison.new_exits or armings:
        out.append(
            "Code not seen, or met for the first time and with interrupts not as in the code nearest to it, makes "
            f"{comparison.new_exits:+,} first armings that nothing foretold, {armings:+,} with those asked again; rows "
            "of which that is more than a tenth are not predictable from this file."
        )
    if replay.alone is not None:
        out.append(
            "No record of the scheduler: all that ran on one pCPU is taken for one vCPU of a guest (p0v0 on pCPU 0), "
            f"which was away {replay.alone.away:,} times, where an entry came more than "
            f"{ns(replay.alone.stay // 1000)} after its exit or with no interrupt after a halt; wake-ups and runstates "
            "cannot be compared."
        )
        idle, unarmed = replay.alone.idle_entries, replay.alone.unarmed_entries
        if idle or unarmed:
            out.append(
                f"More than one vCPU ran on a pCPU: {idle:,} entries after a halt bring no interrupt, and {unarmed:,} "
                "arm no window though an interrupt waits. What waited for one may be simulated for another; where that "
                "is more than a tenth of the window exits, these are not predictable from this file."
            )
    first, switches = replay.restarts()
    if switches:
        out.append(
            "Restarts: Xen sets a slice timer at every switch, and where no other timer of the pCPU is earlier, a "
            "softirq sends the entry path round once more. "
            f"That is taken to be so at {first:,} of {switches:,} switches; "
            "Xen's own timers, and those stopped before they fired, are not recorded and make the true number smaller."
        )
    elif comparison.restarts_matter():
        out.append(
            "Restarts: the recording tells no time slices, so it is unknown after which switches a slice timer sends "
            "the entry path round once more. Armings are not predictable from this file: simulated are the numbers "
            "with no such restart and with one at each switch."
        )
    else:
        out.append("Restarts: the recording tells no time slices, so none by a slice timer is simulated.")
    return out
