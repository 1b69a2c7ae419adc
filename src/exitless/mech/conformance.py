"""The guest and the host around the oracle that conformance vectors are recorded with.

A vector is a state, a list of operations that a small guest performs, and what was seen. The guest logs every
operation, interrupt and exception; the host logs every exit and reacts in a fixed way. docs/vectors.md has the format.
"""

from typing import Final

from librt.vecs import vec
from mypy_extensions import i64

from exitless.arch.vmx.controls import Activity
from exitless.arch.vmx.interruptibility import complete_instruction
from exitless.arch.vmx.virtual_apic import Reg
from exitless.arch.x86.lapic import accept, acknowledge, deliverable, end_of_interrupt
from exitless.bits.words import zeros
from exitless.mech.happenings import Action, Do, Happening, Seen
from exitless.mech.instructions import begins_with_sti, execute, host_writes, post
from exitless.mech.oracle import Oracle, Step
from exitless.vocab.exits import Exit

# Bytes 000H to 3EFH of the page are compared.
COMPARED_WORDS: Final = 252


class Play:
    """One vector being played: set ``oracle``, ``actions``, ``handler_mode``, then :meth:`run`, then read ``log``.

    ``handler_mode``: what an interrupt handler does after it has logged: 0 nothing, 1 EOI by a store to 0B0H, 2 EOI by
    WRMSR 80BH, 3 and 4 the same after ``sti; nop; nop; cli``.
    """

    def __init__(self) -> None:
        self.oracle: Oracle = Oracle()
        self.actions: list[Action] = []
        self.log: list[Happening] = []
        self.handler_mode: i64 = 0
        self.step: i64 = -1
        self.ended: i64 = 0
        self._page: vec[i64] = zeros(COMPARED_WORDS)
        self._pir: vec[i64] = zeros(8)
        self._on: i64 = 0

    def pend(self, vector: i64) -> None:
        """Make a real self-IPI pending before the entry; 0 for none."""
        if vector != 0:
            accept(self.oracle.lapic, vector, 0)

    def run(self) -> None:
        """Enter, perform every action, and end with the closing VMCALL."""
        self._remember()
        self._enter()
        self._settle()
        if self.ended == 0:
            self._instruction(self.oracle.nop())
        self.step = 0
        for action in self.actions:
            if self.ended != 0:
                return
            self._perform(action)
            self.step += 1
        if self.ended == 0:
            self.oracle.vmcall()
            self._log_exit()

    # ---- the log ----

    def _remember(self) -> None:
        i: i64 = 0
        page: vec[i64] = self.oracle.vapic.page
        while i < COMPARED_WORDS:
            self._page[i] = page[i]
            i += 1
        i = 0
        while i < 8:
            self._pir[i] = self.oracle.pid.pir[i]
            i += 1
        self._on = self.oracle.pid.on

    def _write(self, kind: i64, number: i64) -> Happening:
        """Log an event with what changed since the last."""
        row: Happening = Happening(kind, self.step, number)
        row.flag = self.oracle.state.interrupt_flag
        page: vec[i64] = self.oracle.vapic.page
        i: i64 = 0
        while i < COMPARED_WORDS:
            if page[i] != self._page[i]:
                self._page[i] = page[i]
                row.words.append(int(i))
                row.words.append(int(page[i]))
            i += 1
        self._write_descriptor(row)
        self.log.append(row)
        return row

    def _write_descriptor(self, row: Happening) -> None:
        pir: vec[i64] = self.oracle.pid.pir
        i: i64 = 0
        while i < 8:
            if pir[i] != self._pir[i] or pir[i + 1] != self._pir[i + 1]:
                self._pir[i] = pir[i]
                self._pir[i + 1] = pir[i + 1]
                row.quads.extend([int(i >> 1), int(pir[i]), int(pir[i + 1])])
            i += 2
        if self.oracle.pid.on != self._on:
            self._on = self.oracle.pid.on
            row.quads.extend([4, int(self._on), 0])

    def _log_exit(self) -> None:
        out = self.oracle.out
        number: i64 = out.reason
        if out.entry_failed != 0:
            number += 2147483648
        row: Happening = self._write(Seen.EXIT, number)
        row.qualification = out.qualification
        row.status = self.oracle.vapic.rvi + self.oracle.vapic.svi * 256
        row.information = out.vector
        row.activity = out.activity
        row.interruptibility = out.interruptibility
        row.check = self.oracle.failed_check

    # ---- the host ----

    def _enter(self) -> None:
        """VMLAUNCH or VMRESUME, and whatever happens before the guest's next instruction."""
        flag: i64 = self.oracle.state.interrupt_flag
        answer: i64 = self.oracle.enter()
        if answer == Step.FAILED:
            self._write(Seen.FAILED, self.oracle.error).check = self.oracle.failed_check
            self.ended = 1
        elif answer == Step.EXIT:
            self._log_exit()
            self.ended = 1
        elif answer == Step.INTERRUPT:
            self._handle(self.oracle.vector, flag)

    def _react(self) -> None:
        """The host has an exit: logs it, does what is fixed for its reason, and resumes."""
        self._log_exit()
        oracle: Oracle = self.oracle
        reason: i64 = oracle.out.reason
        if reason == Exit.EXTERNAL_INTERRUPT:
            self._take_in_host()
        elif reason == Exit.TPR_BELOW_THRESHOLD:
            oracle.controls.tpr_threshold = (oracle.vapic.page[Reg.VTPR] >> 4) & 15
        elif reason == Exit.INTERRUPT_WINDOW:
            oracle.vapic.window_exiting = 0
        elif reason != Exit.EOI_INDUCED and reason != Exit.APIC_WRITE and reason != Exit.PREEMPTION_TIMER:
            complete_instruction(oracle.state)
        if oracle.out.activity == Activity.HLT:
            oracle.state.activity = Activity.ACTIVE
        self._enter()

    def _take_in_host(self) -> None:
        """EOI for what was acknowledged on exit; without that, the host takes every interrupt that is due."""
        if self.oracle.out.vector >= 0:
            end_of_interrupt(self.oracle.lapic)
            return
        while deliverable(self.oracle.lapic) >= 0:
            acknowledge(self.oracle.lapic)
            end_of_interrupt(self.oracle.lapic)

    # ---- the guest ----

    def _settle(self) -> None:
        """Boundaries until the guest's next instruction may execute."""
        while self.ended == 0:
            flag: i64 = self.oracle.state.interrupt_flag
            answer: i64 = self.oracle.boundary()
            if answer == Step.GOES_ON:
                return
            if answer == Step.INTERRUPT:
                self._handle(self.oracle.vector, flag)
            elif answer == Step.HALTED:
                self._stay_halted()
            elif answer == Step.EXIT:
                self._react()

    def _stay_halted(self) -> None:
        """Nothing wakes the guest: the preemption timer exits, and the host wakes it from HLT and from nothing else."""
        activity: i64 = self.oracle.state.activity
        if activity == Activity.HLT:
            self.oracle.leave(Exit.PREEMPTION_TIMER)
            self._react()
            return
        if activity != Activity.WAIT_FOR_SIPI:
            self.oracle.leave(Exit.PREEMPTION_TIMER)
            self._log_exit()
        self.ended = 1

    def _instruction(self, answer: i64) -> bool:
        """An instruction came to ``answer``: the host or an exception handler acts, and the boundary follows.

        Returns: whether the instruction completed in the guest.
        """
        if self.ended != 0:
            return False
        completed: bool = answer == Step.GOES_ON
        if answer == Step.EXIT:
            self._react()
        elif answer == Step.FAULT or answer == Step.PHYSICAL:
            self._handle_fault()
        self._settle()
        return completed

    def _handle(self, vector: i64, flag: i64) -> None:
        """A handler runs for ``vector``, from the IDT to IRET; IF was ``flag`` before."""
        oracle: Oracle = self.oracle
        self._settle()
        if self.ended != 0:
            return
        self._write(Seen.INTERRUPT, vector).flag = flag
        mode: i64 = self.handler_mode
        if mode >= 3:
            self._instruction(oracle.sti())
            if self.ended == 0:
                self._instruction(oracle.nop())
            if self.ended == 0:
                self._instruction(oracle.nop())
            if self.ended == 0:
                self._instruction(oracle.load_flag(0))
        if mode != 0 and self.ended == 0:
            self._instruction(oracle.write(176, 4, 0) if mode & 1 != 0 else oracle.wrmsr(11, 0))
            if self.ended == 0:
                self._write(Seen.EOI_DONE, vector)
        if self.ended == 0:
            oracle.load_flag(flag)

    def _handle_fault(self) -> None:
        """General protection: the handler logs it, skips the instruction and returns."""
        oracle: Oracle = self.oracle
        flag: i64 = oracle.state.interrupt_flag
        oracle.load_flag(0)
        self._settle()
        if self.ended == 0:
            self._write(Seen.EXCEPTION, 13).flag = flag
            oracle.load_flag(flag)

    def _perform(self, action: Action) -> None:
        """One operation, and the line in the log that it is done."""
        completed: bool = False
        low: i64 = 0
        high: i64 = 0
        do: i64 = action.do
        if begins_with_sti(action):
            self._instruction(self.oracle.sti())
        if do >= Do.VMCALL:
            self._host_call(action)
        elif do == Do.POST or do == Do.IPI:
            self._post(action)
        elif self.ended == 0:
            answer: i64 = execute(self.oracle, action)
            low = self.oracle.operation.low
            high = self.oracle.operation.high
            completed = self._instruction(answer)
            if do == Do.MOVSS and self.ended == 0:
                self._instruction(self.oracle.nop())
        if self.ended != 0:
            return
        row: Happening = self._write(Seen.STEP, do)
        if completed and (do == Do.RD or do == Do.RDMSR or do == Do.RCR8):
            row.read = 1
            row.low = low
            row.high = high

    def _post(self, action: Action) -> None:
        """Set PIR bits and ON in memory, and send a real self-IPI, which arrives within the NOPs behind it."""
        post(self.oracle, action)
        self._instruction(self.oracle.nop())

    def _host_call(self, action: Action) -> None:
        """VMCALL: the host logs it and changes what the operation says before it resumes."""
        oracle: Oracle = self.oracle
        if self.ended != 0:
            return
        oracle.vmcall()
        self._log_exit()
        complete_instruction(oracle.state)
        host_writes(oracle, action)
        self._enter()
        self._settle()
