"""What is printed below the table of ``exitless replay``: of what the window tax is made, and what no record tells."""

from typing import TYPE_CHECKING, Any

from exitless.study.replayed import Comparison
from exitless.vocab.kinds import Kind

if TYPE_CHECKING:
    from exitless.cli.replay import Replay


def window_tax(tax: dict[str, Any]) -> list[str]:
    """Put armings and window exits of both sides side by side, by cause."""
    r, s = tax["recorded"], tax["simulated"]
    out = [
        f"Window tax: {r['armings_per_injection']:.2f} armings and {r['window_exits_per_injection']:.2f} window exits "
        f"for each injection recorded, {s['armings_per_injection']:.2f} and {s['window_exits_per_injection']:.2f} "
        "simulated."
    ]
    for cause in r["armings"]:
        out.append(f"  armed because {cause}: {r['armings'][cause]:,} recorded, {s['armings'][cause]:,} simulated")
    for what in r["window_exits"]:
        out.append(
            f"  window exits {what}: {r['window_exits'][what]:,} recorded, {s['window_exits'][what]:,} simulated"
        )
    return out


def unrecorded(comparison: Comparison) -> list[str]:
    """Name the kinds of records that the recording lacks and that a replay has to do without."""
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
    if comparison.absent(Kind.SCHED_WAKE):
        out.append("Wake-ups are not recorded (SCHED_CLASS, 0x28000).")
    return out


def explanation(replay: "Replay", comparison: Comparison) -> list[str]:
    """Say what the window tax is made of on both sides, and what the recording does not tell."""
    out = unrecorded(comparison) or window_tax(comparison.tax())
    if replay.arrivals.dark:
        out.append(
            f"Interrupts off: not recorded. At {replay.arrivals.dark:,} of the exits with a new interrupt the guest's "
            "instruction pointer lay nearest to one where an earlier exit had met them off; that is taken for off. "
            "With --interrupts-on nothing is learned from earlier exits."
        )
    if replay.alone:
        out.append(
            "No record of the scheduler: all that ran on one pCPU is taken for one vCPU of a guest (p0v0 on pCPU 0), "
            "which a halt ends when it is next entered; wake-ups and runstates cannot be compared."
        )
    first, switches = replay.restarts()
    if switches:
        out.append(
            "Restarts: Xen sets a slice timer at every switch, and where no other timer of the pCPU is earlier, a "
            "softirq sends the entry path round once more. "
            f"That is taken to be so at {first:,} of {switches:,} switches; "
            "Xen's own timers, and those stopped before they fired, are not recorded and make the true number smaller."
        )
    else:
        out.append("Restarts: the recording tells no time slices, so none by a slice timer is simulated.")
    return out
