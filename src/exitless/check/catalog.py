"""The worlds, and the ways to break each on purpose. A new world is one row here and one file in ``worlds``."""

from typing import Final

from exitless.check.world import World
from exitless.check.worlds.collecting import consume_order, post_order
from exitless.check.worlds.post_while_blocking import post_while_blocking

SOFTIRQ_NOTE: Final = (
    "Here the handler of the wake-up vector raises a softirq, as that of the notification vector does. Xen's, as its "
    "source reads, does not; wakeup-raises-no-softirq shows what follows. Read in the source, not observed."
)


class Mutation:
    """One wrong order by name. ``breaks`` is what it is known for."""

    def __init__(self, name: str, says: str, breaks: str) -> None:
        self.name: str = name
        self.says: str = says
        self.breaks: str = breaks


class Entry:
    """A world by name: what it asks, where the protocol comes from, what to know about it, its mutations."""

    def __init__(self, name: str, says: str, cites: str, note: str, mutations: list[Mutation]) -> None:
        self.name: str = name
        self.says: str = says
        self.cites: str = cites
        self.note: str = note
        self.mutations: list[Mutation] = mutations

    def mutation_names(self) -> list[str]:
        """Return the names of the mutations."""
        return [m.name for m in self.mutations]


def entries() -> list[Entry]:
    """Return every world, smallest first."""
    return [
        Entry(
            "post-order",
            "A remapping unit posts while a processor takes what was posted before: is every post taken?",
            "VT-d posted.operation",
            "",
            [Mutation("pir-after-on", "The unit sets ON and notifies, and sets the PIR bit after it.", "post")],
        ),
        Entry(
            "consume-order",
            "A processor takes posted vectors while another is posted: is that one taken too?",
            "SDM posted.processing",
            "",
            [Mutation("scan-before-clear", "The processor takes PIR first and clears ON after it.", "consume")],
        ),
        Entry(
            "post-while-blocking",
            "A vCPU blocks, as Xen does it, while a remapping unit and another pCPU post for it: does it always wake?",
            "Xen vmx.c vmx_vcpu_block",
            SOFTIRQ_NOTE,
            blocking_mutations(),
        ),
    ]  # fmt: skip


def blocking_mutations() -> list[Mutation]:
    """Return the ways to break post-while-blocking."""
    return [
        Mutation("check-before-nv", "The last question is asked before NV becomes the wake-up vector.", "sleep"),
        Mutation("list-after-nv", "The vCPU goes on the list last, after NV and after the question.", "sleep"),
        Mutation("no-self-check", "The vCPU sleeps without a last question.", "sleep"),
        Mutation("pir-after-on", "The posting pCPU claims ON first and sets the PIR bit after it.", "post"),
        Mutation("scan-before-clear", "Software and processor take PIR first and clear ON after it.", "consume"),
        Mutation(
            "notification-handler-does-nothing",
            "A notification that arrives in root mode is forgotten in place of raising a softirq.",
            "entry",
        ),
        Mutation(
            "wakeup-raises-no-softirq",
            "The wake-up handler only unblocks, as Xen's reads: a vCPU that is entering is not told.",
            "entry",
        ),
        Mutation(
            "softirq-only-if-found",
            "The wake-up handler raises a softirq only when it finds a vCPU on the list.",
            "entry",
        ),
        Mutation("wakeup-clears-on", "The wake-up handler clears ON, which belongs to whoever takes PIR.", "consume"),
        Mutation("suppress-while-blocked", "Switching out sets SN although the vCPU is blocked.", "sleep"),
        Mutation("sn-left-set", "As before, and switching in does not clear SN either.", "sleep"),
        Mutation("never-listed", "The vCPU does not go on the list.", "sleep"),
        Mutation("rvi-not-written", "Entering the guest does not write RVI from VIRR.", "entry"),
        Mutation("pir-wiped", "The processor reads PIR in one step and clears it in the next.", "consume"),
        Mutation("nv-not-restored", "Entering the guest leaves NV at the wake-up vector.", "entry"),
        Mutation("pir-kept", "The processor copies PIR into VIRR and does not clear it.", "consume"),
    ]


def make(name: str, mutation: str) -> World:
    """Return a fresh world, broken on purpose if a mutation is named; both names must be known."""
    if name == "post-order":
        return post_order(mutation)
    if name == "consume-order":
        return consume_order(mutation)
    return post_while_blocking(mutation)


def find(name: str) -> list[Entry]:
    """Return the world of this name in a list, empty when there is none."""
    return [entry for entry in entries() if entry.name == name]


def world_rows() -> list[tuple[str, str, str]]:
    """Return name, sentence and citation of every world, with its mutations in the sentence."""
    return [(e.name, e.says + " Mutations: " + ", ".join(e.mutation_names()) + ".", e.cites) for e in entries()]
