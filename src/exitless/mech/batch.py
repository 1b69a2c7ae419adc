"""The oracle in bulk: a list of operations in, columns of answers out, for those who ask by the million."""

from collections.abc import Sequence

from librt.vecs import vec
from mypy_extensions import i64

from exitless.arch.vmx.controls import Activity
from exitless.bits.words import zeros
from exitless.mech.happenings import DO, Action, Do
from exitless.mech.instructions import begins_with_sti, execute, host_writes, post
from exitless.mech.oracle import Oracle, Step


def _reads(do: i64) -> bool:
    return do == Do.RD or do == Do.RDMSR or do == Do.RCR8


class Batch:
    """Operations by name, and what each came to.

    Before an operation VM entry happens where the guest is not running, and after it come boundaries, until the guest
    goes on, has halted or has left. A guest that has halted stays so until an event wakes it; until then its
    operations answer HALTED. The operations of a host (VMCALL and those that begin with H) are VMCALL and the write.
    The oracle may be looked at, and changed, between two calls of :meth:`run`.

    Shapes: one number an operation. ``answer`` the Step of its instruction, or of the entry that failed before it;
    ``reason`` of the exit in it, before or behind it, -1 for none; ``vector`` the last that went through the IDT, -1
    for none; ``low`` and ``high`` the halves of what was read, 0 where nothing was.
    """

    def __init__(self, oracle: Oracle) -> None:
        self.oracle: Oracle = oracle
        self.actions: list[Action] = []
        self.answer: vec[i64] = zeros(0)
        self.reason: vec[i64] = zeros(0)
        self.vector: vec[i64] = zeros(0)
        self.low: vec[i64] = zeros(0)
        self.high: vec[i64] = zeros(0)
        self._steps: i64 = 0
        self._reason: i64 = -1
        self._vector: i64 = -1

    def add(self, name: str, offset: int = 0, size: int = 4, value: int = 0) -> None:
        """Append an operation by its name in DO; ``offset`` on the page, or the MSR minus 800H.

        POST sets the bit of PIR and ON, and sends the notification. Errors: ValueError for a name there is not.
        """
        if name not in DO:
            raise ValueError(f'there is no operation "{name}"; there are {", ".join(DO)}')
        self.actions.append(Action(DO[name], offset, size, value & 0xFFFFFFFF, value >> 32, 0, 3))

    def extend(self, rows: Sequence[tuple[str, int, int, int]]) -> None:
        """Append many: name, offset, size and value each."""
        for name, offset, size, value in rows:
            self.add(name, offset, size, value)

    def run(self) -> i64:
        """Perform every operation, in order. Returns: how many entries, instructions and boundaries that were."""
        count: i64 = len(self.actions)
        if len(self.answer) != count:
            self.answer = zeros(count)
            self.reason = zeros(count)
            self.vector = zeros(count)
            self.low = zeros(count)
            self.high = zeros(count)
        self._steps = 0
        i: i64 = 0
        while i < count:
            self._reason = -1
            self._vector = -1
            self.answer[i] = self._perform(self.actions[i])
            self.reason[i] = self._reason
            self.vector[i] = self._vector
            read: bool = self.answer[i] == Step.GOES_ON and _reads(self.actions[i].do)
            self.low[i] = self.oracle.operation.low if read else 0
            self.high[i] = self.oracle.operation.high if read else 0
            i += 1
        return self._steps

    def _took(self, answer: i64) -> i64:
        """Count a step, and keep an exit's reason or the vector delivered. Returns: the answer."""
        self._steps += 1
        if answer == Step.EXIT:
            self._reason = self.oracle.out.reason
        elif answer == Step.INTERRUPT:
            self._vector = self.oracle.vector
        return answer

    def _settle(self) -> None:
        """Boundaries, until none brings an event."""
        answer: i64 = Step.INTERRUPT
        while self.oracle.in_guest != 0 and answer != Step.GOES_ON and answer != Step.HALTED:
            answer = self._took(self.oracle.boundary())

    def _perform(self, action: Action) -> i64:
        oracle: Oracle = self.oracle
        answer: i64 = Step.GOES_ON
        if oracle.in_guest == 0:
            answer = self._took(oracle.enter())
            if oracle.in_guest == 0:
                return answer
            self._settle()
        if action.do == Do.POST or action.do == Do.IPI:
            post(oracle, action)
        elif begins_with_sti(action) and oracle.state.activity == Activity.ACTIVE:
            self._took(oracle.sti())
            self._settle()
        if oracle.in_guest == 0:
            return Step.EXIT
        if oracle.state.activity != Activity.ACTIVE:
            self._settle()
            return Step.HALTED
        answer = self._took(execute(oracle, action))
        if action.do > Do.VMCALL:
            host_writes(oracle, action)
        self._settle()
        return answer
