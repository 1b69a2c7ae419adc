"""What a run amounts to: numbers by source, by exit reason, by pCPU, ready to print or to write as JSON."""

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from exitless.record.block import Header
from exitless.study.tally import REASONS, Tally, Wait
from exitless.study.watch import Watch
from exitless.vocab.exits import VMX_NAMES

CALL_NAMES: dict[tuple[int, int], str] = {
    (24, 8): "VCPUOP_set_singleshot_timer",
    (29, 1): "SCHEDOP_block",
    (32, 4): "EVTCHNOP_send",
    (32, 9): "EVTCHNOP_unmask",
    (33, 12): "PHYSDEVOP_eoi",
    (63, 0): "of the guest's own",
}
OWNER_NAMES = ("idle", "hypervisor", "dom0", "guest")


@dataclass
class Latency:
    """Percentiles of a sample, in ns; nearest-rank; all 0 for an empty one."""

    count: int = 0
    mean: float = 0.0
    p50: float = 0.0
    p90: float = 0.0
    p99: float = 0.0
    p999: float = 0.0
    max: float = 0.0
    min: float = 0.0

    @classmethod
    def of(cls, sample_ps: list[int]) -> "Latency":
        """Make percentiles of a sample in ps."""
        if not sample_ps:
            return cls()
        s = sorted(sample_ps)
        n = len(s)

        def at(q: float) -> float:
            return s[min(n - 1, max(0, -(-int(q * 1000) * n // 1000) - 1))] / 1000

        return cls(n, sum(s) / n / 1000, at(0.5), at(0.9), at(0.99), at(0.999), s[-1] / 1000, s[0] / 1000)

    def as_json(self) -> dict[str, float]:
        """The fields of the contract, in ns."""
        return {k: round(getattr(self, k), 3) for k in ("mean", "p50", "p90", "p99", "p999", "max")}


@dataclass
class SourceResult:
    """One source's balance: asserted = delivered + coalesced + pending + lost."""

    name: str
    asserted: int
    delivered: int
    coalesced: int
    pending: int
    lost: int
    latency: Latency
    taken: Latency
    met: int
    first: int
    spurious: int
    ran: int
    exits_when_running: float
    by_state: dict[str, Latency] = field(default_factory=dict)


STATES = ("running", "runnable", "blocked", "offline")


def by_state(wait: Wait) -> dict[str, Latency]:
    """Part a source's latencies by the runstate of its vCPU at the assertion."""
    samples: dict[str, list[int]] = {name: [] for name in STATES[:3]}
    for latency, state in zip(wait.latency, wait.states, strict=True):
        samples.setdefault(STATES[int(state)], []).append(int(latency))
    return {name: Latency.of(sample) for name, sample in samples.items()}


@dataclass
class Extras:
    """What only some scenarios are about; all latencies are samples of lengths of time."""

    windows: Latency = field(default_factory=Latency)
    windows_holding: Latency = field(default_factory=Latency)
    holds: Latency = field(default_factory=Latency)
    forced: int = 0
    moves: int = 0
    routes: int = 0
    descriptors: int = 0
    strays: int = 0
    kept: Latency = field(default_factory=Latency)
    turns_blocked: int = 0
    turns_by_waker: Latency = field(default_factory=Latency)
    turns_by_waiter: Latency = field(default_factory=Latency)

    @classmethod
    def of(cls, watch: Watch) -> "Extras":
        """Read them off what watched."""
        w, h, t, u = watch.windows, watch.holds, watch.travels, watch.turns
        return cls(
            sample(w.armed), sample(w.held), sample(h.held), int(h.forced), int(t.moves), int(t.routes),
            int(t.descriptors), int(t.strays), sample(t.kept), int(u.blocked), sample(u.by_waker), sample(u.by_waiter),
        )  # fmt: skip

    def as_json(self) -> dict[str, Any]:
        """Turn into fields; a sample has its number beside its percentiles."""
        out: dict[str, Any] = {}
        for key, value in vars(self).items():
            out[key] = (
                {"count": value.count, "min": value.min, **value.as_json()} if isinstance(value, Latency) else value
            )
        return out


def sample(cells: Iterable[int]) -> Latency:
    """Make percentiles of a column of the compiled counters."""
    return Latency.of([int(x) for x in cells])


@dataclass
class Met:
    """How two physical vectors met in one local APIC, by their numbers; ``held`` is the rival's wait when second."""

    pcpu: int
    mine: int
    rival: int
    met: int
    mine_first: int
    rival_first: int
    held: Latency

    @property
    def decided(self) -> int:
        """Meetings whose order is known."""
        return self.mine_first + self.rival_first


@dataclass
class Summary:
    """One mechanism's result."""

    mechanism: str
    length_ps: int
    events: int
    rows: int
    sources: dict[str, SourceResult] = field(default_factory=dict)
    exits: dict[str, int] = field(default_factory=dict)
    by_source: dict[str, dict[str, int]] = field(default_factory=dict)
    exits_per_interrupt: float = 0.0
    hypercalls: dict[str, int] = field(default_factory=dict)
    injections: dict[int, int] = field(default_factory=dict)
    windows: dict[int, int] = field(default_factory=dict)
    delivered: dict[int, int] = field(default_factory=dict)
    eoi: dict[int, tuple[int, int]] = field(default_factory=dict)
    rvi_written: dict[int, int] = field(default_factory=dict)
    held_ps: dict[int, int] = field(default_factory=dict)
    cpu: dict[str, dict[str, float]] = field(default_factory=dict)
    wakeups: int = 0
    switches: int = 0
    moves: int = 0
    frames: int = 0
    drops: int = 0
    held_posts: int = 0
    longest_guest_ps: int = 0
    first_source: str = ""
    meeting: Met | None = None
    extras: Extras | None = None
    laws_checked: int = 0
    laws_broken: list[str] = field(default_factory=list)


def named(vector: Iterable[int]) -> dict[int, int]:
    """Return the non-zero entries of a table by index."""
    return {n: int(v) for n, v in enumerate(vector) if v}


def reason_names(counts: dict[int, int], names: dict[int, str]) -> dict[str, int]:
    """Name exit reasons, most frequent first."""
    return {names.get(k, f"REASON_{k}"): v for k, v in sorted(counts.items(), key=lambda kv: -kv[1])}


def summarize(tally: Tally, header: Header, outstanding: list[int], primary: int) -> Summary:
    """Turn a tally into a summary.

    ``outstanding`` has 1 for each source whose last assertion still waits in the machine; what is neither handled,
    merged nor waiting is lost. ``primary`` is the source for which exits per interrupt are given (-1 for none).
    """
    names = header.exits or dict(VMX_NAMES)
    out = Summary(header.mechanism, header.length_ps, 0, 0)
    for n, wait in enumerate(tally.waits):
        name = header.sources[n]
        pending = outstanding[n]
        lost = wait.asserted - wait.handled - wait.merged - pending
        out.sources[name] = SourceResult(
            name, wait.asserted, wait.handled, wait.merged, pending, lost,
            Latency.of([int(x) for x in wait.latency]), Latency.of([int(x) for x in wait.taken]),
            wait.met, wait.first, wait.spurious,
            wait.ran_handled, int(wait.ran_exits) / int(wait.ran_handled) if wait.ran_handled else 0.0,
            by_state(wait) if tally.watching else {},
        )  # fmt: skip
        mine = {r: int(tally.cause[n * REASONS + r]) for r in range(REASONS) if tally.cause[n * REASONS + r]}
        out.by_source[name] = reason_names(mine, names)
    rest = int(tally.nobody) * REASONS
    nobody = {r: int(tally.cause[rest + r]) for r in range(REASONS) if tally.cause[rest + r]}
    out.by_source["other"] = reason_names(nobody, names)
    out.exits = reason_names(named(tally.exits), names)
    if primary >= 0:
        out.first_source = header.sources[primary]
        handled = tally.waits[primary].handled
        if handled:
            out.exits_per_interrupt = sum(out.by_source[out.first_source].values()) / int(handled)
    for key, count in named(tally.call_ops).items():
        number, sub = divmod(key, 64)
        out.hypercalls[CALL_NAMES.get((number, sub), f"hypercall_{number}_{sub}")] = count
    out.injections, out.windows, out.delivered = named(tally.injected), named(tally.windows), named(tally.delivered)
    out.eoi = {v: (n, int(tally.eoi_exits[v])) for v, n in named(tally.eoi).items()}
    out.held_ps = named(tally.held_ps)
    out.rvi_written = named(tally.rvi_written)
    for p in range(header.pcpus):
        total = sum(int(tally.owner_ps[p * 4 + o]) for o in range(4)) or 1
        out.cpu[f"pcpu{p}"] = {OWNER_NAMES[o]: int(tally.owner_ps[p * 4 + o]) / total for o in (3, 1, 2, 0)}
    out.wakeups, out.switches, out.moves = int(tally.wakeups), int(tally.switches), int(tally.moves)
    out.frames, out.drops, out.held_posts = int(tally.frames), int(tally.drops), int(tally.held_posts)
    out.longest_guest_ps = int(tally.longest_guest_ps)
    if tally.watching:
        out.extras = Extras.of(tally.watch)
    m = tally.meeting
    if m.rival >= 0:
        held = Latency.of([int(x) for x in m.held])
        out.meeting = Met(
            int(m.pcpu), int(m.mine), int(m.rival), int(m.met), int(m.mine_first), int(m.rival_first), held
        )
    return out
