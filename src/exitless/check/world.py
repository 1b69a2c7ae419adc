"""A small closed system: agents that take one atomic step at a time, and a state that packs into one number."""

from typing import Final

from mypy_extensions import i64, mypyc_attr

from exitless.bits.words import shl
from exitless.mech.procedures.procedure import Surroundings


class Rule:
    """Steps that are no verb of a procedure, numbered after :class:`~exitless.mech.procedures.procedure.Verb`."""

    NONE: Final = 0
    HARDWARE_POST: Final = 50
    DELIVER: Final = 51
    END: Final = 52
    HALT: Final = 53
    NOTIFY_IN_GUEST: Final = 60
    NOTIFY_IN_ROOT: Final = 61
    NOTIFY_ELSEWHERE: Final = 62
    WAKEUP: Final = 63
    WAKEUP_IN_GUEST: Final = 64
    KICK_IN_GUEST: Final = 65
    KICK_ELSEWHERE: Final = 66
    SWITCH_AWAY: Final = 67


class Packed:
    """A number being filled or emptied field by field, lowest bits first; 62 bits at most."""

    def __init__(self) -> None:
        self.word: i64 = 0
        self.at: i64 = 0

    def start(self, word: i64) -> None:
        """Begin with this number, at its lowest bit."""
        self.word = word
        self.at = 0

    def put(self, value: i64, bits: i64) -> None:
        """Append a field."""
        self.word = self.word | shl(value, self.at)
        self.at += bits

    def get(self, bits: i64) -> i64:
        """Take the next field."""
        value: i64 = (self.word >> self.at) & (shl(1, bits) - 1)
        self.at += bits
        return value


@mypyc_attr(allow_interpreted_subclasses=True)
class World(Surroundings):
    """One mutable working state; the explorer loads a packed state, lets one agent move, and packs what came out.

    ``name`` and ``mutation`` say what it is. ``agents`` names the agents, whose number is their place. ``laws`` holds
    the laws that are asked, ``wanted`` the Sometimes bits that must all happen, ``happened`` those of the last move.
    ``a`` and ``b`` are the last move's details for the record.
    """

    def __init__(self, name: str, mutation: str) -> None:
        super().__init__()
        self.name: str = name
        self.mutation: str = mutation
        self.agents: list[str] = []
        self.laws: list[int] = []
        self.wanted: i64 = 0
        self.happened: i64 = 0
        self.a: i64 = 0
        self.b: i64 = 0

    def reset(self) -> None:
        """Put everything into the initial state."""
        raise NotImplementedError

    def key(self) -> i64:
        """Return the whole state as one number."""
        raise NotImplementedError

    def load(self, key: i64) -> None:
        """Become the state with this number."""
        raise NotImplementedError

    def move(self, agent: i64) -> i64:
        """Let an agent take its next step. Returns: the Verb or Rule, or Rule.NONE when it can do nothing now.

        Atomic: what changes in one move is seen by the others all at once.
        """
        raise NotImplementedError

    def broken(self) -> i64:
        """Return the law that this state breaks, or Law.NONE."""
        raise NotImplementedError

    def left_undone(self) -> i64:
        """Return the law that this state breaks when nothing under way leads further, or Law.NONE."""
        raise NotImplementedError

    def is_free(self, agent: i64) -> bool:
        """Tell whether the agent may as well never take its next step, because it would begin something new."""
        raise NotImplementedError

    def fields(self) -> list[tuple[str, str]]:
        """Return the state as names and values to be read."""
        raise NotImplementedError

    def rows(self, rule: i64) -> list[tuple[int, int, int, int, int]]:
        """Return what the last move was in the record's words: kind, pCPU, vCPU, a, b."""
        raise NotImplementedError
