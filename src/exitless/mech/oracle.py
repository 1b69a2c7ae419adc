"""The oracle: one logical processor that says what the manual's rules do with an access, an event or a VM entry.

It strings the rules of :mod:`exitless.arch.vmx` together in the processor's order and adds none of its own. A caller
sets controls and state, enters, lets the guest do one instruction at a time, and asks for a boundary after each.
"""

from mypy_extensions import i64

from exitless.arch.outcome import Access, Boundary, Entry
from exitless.arch.vmx.access import Operation, page_exit, page_read, page_write, write_emulation
from exitless.arch.vmx.boundary import Pending, arbitrate, arbitrate_above
from exitless.arch.vmx.controls import Activity, Controls, exits_below_threshold, has_vid, secondary
from exitless.arch.vmx.cr8 import move_to_cr8, read_cr8
from exitless.arch.vmx.entry import check_guest_state, control_check, judge_entry
from exitless.arch.vmx.evaluate import deliver_virtual_interrupt, evaluate_pending
from exitless.arch.vmx.injection import GuestState, go_through_idt, inject_at_entry, inject_trap, load_at_entry
from exitless.arch.vmx.interruptibility import (
    complete_instruction,
    execute_hlt,
    execute_iret,
    execute_mov_ss,
    execute_mwait,
    execute_sti,
    faults_by_privilege,
    leave_mwait,
    load_interrupt_flag,
)
from exitless.arch.vmx.ipi import NOT_FOUND, notification
from exitless.arch.vmx.leaving import ExitInformation, fail_entry, save_at_exit
from exitless.arch.vmx.msrs import read_msr, write_msr
from exitless.arch.vmx.posted import (
    PostedDescriptor,
    claim_notification,
    clear_outstanding,
    raise_rvi,
    set_pir,
    take_pir,
)
from exitless.arch.vmx.virtual_apic import Reg, VirtualApic
from exitless.arch.x86.lapic import (
    LocalApic,
    accept,
    acknowledge,
    deliverable,
    end_of_interrupt,
    processor_priority,
    write_tpr,
)
from exitless.mech.pid_table import PidTable
from exitless.mech.plain_page import PlainPage
from exitless.mech.steps import STEP_NAMES as STEP_NAMES
from exitless.mech.steps import Step as Step
from exitless.vocab.exits import Exit


class Oracle:
    """One logical processor in VMX operation with its current VMCS, and the real local APIC below it.

    ``vapic``, ``controls``, ``state``, ``pid`` and ``pending`` may be set freely before :meth:`enter`; ``operation``
    holds what an instruction read; ``vector`` what went through the IDT last, ``failed_check`` why an entry failed (a
    Check, or a GuestCheck where ``out.entry_failed`` is 1). ``pid_table`` says where IPIs of the guest go; ``sent`` is
    the ICR value of the last that left this processor for another, -1 for none. ``ram`` is the page that is accessed
    where APIC accesses are not virtualized.
    """

    def __init__(self) -> None:
        self.vapic: VirtualApic = VirtualApic()
        self.controls: Controls = Controls()
        self.state: GuestState = GuestState()
        self.pid: PostedDescriptor = PostedDescriptor()
        self.pending: Pending = Pending()
        self.lapic: LocalApic = LocalApic(0)
        self.operation: Operation = Operation()
        self.out: ExitInformation = ExitInformation()
        self.ram: PlainPage = PlainPage()
        self.pid_table: PidTable = PidTable()
        self.vector: i64 = -1
        self.error: i64 = 0
        self.failed_check: i64 = 0
        self.sent: i64 = -1
        self.in_guest: i64 = 0

    # ---- entering and leaving ----

    def enter(self) -> i64:
        """VMLAUNCH or VMRESUME: checks, loading, injection.

        Returns: Step.GOES_ON; INTERRUPT when the entry injected; FAILED; or EXIT with ``out.entry_failed`` 1.
        """
        vtpr: i64 = self.vapic.page[Reg.VTPR] & 255
        verdict: i64 = judge_entry(self.controls, self.state, vtpr, False)
        self.failed_check = 0
        if verdict == Entry.INVALID_CONTROLS:
            self.error = verdict
            self.failed_check = control_check(self.controls, self.state, vtpr)
            return Step.FAILED
        if verdict == Entry.INVALID_GUEST_STATE:
            self.failed_check = check_guest_state(self.state, self.controls)
            fail_entry(self.out)
            return Step.EXIT
        self.in_guest = 1
        self.vapic.recognized = 0
        if has_vid(self.controls):
            load_at_entry(self.vapic)
        self.pending.below_threshold = 1 if exits_below_threshold(self.controls, vtpr) else 0
        if inject_trap(self.state):
            self.pending.trap_flag = 1
        self.vector = inject_at_entry(self.state)
        return Step.INTERRUPT if self.vector >= 0 else Step.GOES_ON

    def leave(self, reason: i64) -> i64:
        """A VM exit happens with the operation's qualification. Returns: Step.EXIT."""
        save_at_exit(self.out, self.vapic, self.controls, self.state, reason, self.operation.qualification)
        self.pending.below_threshold = 0
        self.in_guest = 0
        return Step.EXIT

    def fail_delivery(self, reason: i64, qualification: i64) -> i64:
        """Delivering ``vector`` through the guest's IDT exits; what it changed so far stays. Returns: Step.EXIT."""
        self.operation.qualification = qualification
        self.leave(reason)
        self.out.vectoring = self.vector
        return Step.EXIT

    # ---- between instructions ----

    def boundary(self) -> i64:
        """One event at an instruction boundary, or in a halt; ask again until the answer is not an event.

        Returns: Step.GOES_ON, EXIT, INTERRUPT, POSTED, HALTED or SMM.
        """
        event: i64 = arbitrate_above(self.pending, self.state, self.controls)
        if event != Boundary.NOTHING:
            return self._above(event)
        event = arbitrate(self.vapic, self.state, self.controls, deliverable(self.lapic) >= 0)
        if event == Boundary.NOTHING:
            return Step.GOES_ON if self.state.activity == Activity.ACTIVE else Step.HALTED
        if event == Boundary.WINDOW_EXIT:
            return self.leave(Exit.INTERRUPT_WINDOW)
        if event == Boundary.EXTERNAL_INTERRUPT:
            return self._external()
        if event == Boundary.VIRTUAL_INTERRUPT:
            self.vector = deliver_virtual_interrupt(self.vapic)
        else:
            self.vector = acknowledge(self.lapic)
        go_through_idt(self.state)
        return Step.INTERRUPT

    def _above(self, event: i64) -> i64:
        if event == Boundary.TPR_THRESHOLD_EXIT:
            return self.leave(Exit.TPR_BELOW_THRESHOLD)
        if event == Boundary.SMI:
            self.pending.smi = 0
            return Step.SMM
        if event == Boundary.INIT_EXIT:
            self.pending.init = 0
            return self.leave(Exit.INIT_SIGNAL)
        if event == Boundary.SIPI_EXIT:
            self.pending.sipi = 0
            return self.leave(Exit.SIPI_SIGNAL)
        if event == Boundary.TRAP_FLAG_EXIT:
            self.pending.trap_flag = 0
            return self.leave(Exit.MONITOR_TRAP_FLAG)
        if event == Boundary.TIMER_EXIT:
            self.pending.timer = 0
            return self.leave(Exit.PREEMPTION_TIMER)
        if event == Boundary.NMI_WINDOW_EXIT:
            return self.leave(Exit.NMI_WINDOW)
        self.pending.nmi = 0
        if event == Boundary.NMI_EXIT:
            return self.leave(Exit.EXCEPTION_NMI)
        self.vector = 2
        self.state.nmi_blocking = 1
        go_through_idt(self.state)
        return Step.INTERRUPT

    def _external(self) -> i64:
        """An external interrupt with external-interrupt exiting: a notification is processed, any other exits."""
        vector: i64 = -1
        if self.controls.ack_int_on_exit != 0:
            vector = acknowledge(self.lapic)
            if self.controls.process_posted_interrupts != 0 and vector == self.controls.notification_vector:
                clear_outstanding(self.pid)
                end_of_interrupt(self.lapic)
                raise_rvi(self.vapic, take_pir(self.pid, self.vapic))
                evaluate_pending(self.vapic)
                leave_mwait(self.state)
                return Step.POSTED
        self.leave(Exit.EXTERNAL_INTERRUPT)
        self.out.vector = vector
        return Step.EXIT

    # ---- accesses ----

    def read(self, offset: i64, size: i64) -> i64:
        """The guest loads ``size`` bytes at ``offset`` of the APIC-access page into ``operation.low`` and ``high``."""
        op: Operation = self.operation
        op.emulate = -1
        op.high = 0
        if not secondary(self.controls, self.controls.virtualize_apic_accesses):
            op.low = self.ram.load(offset, size if size < 4 else 4)
            if size == 8:
                op.high = self.ram.load(offset + 4, 4)
            return self._done()
        answer: i64 = page_read(self.vapic, self.controls, op, offset, size)
        return self._done() if answer == Access.VIRTUALIZED else self.leave(answer)

    def write(self, offset: i64, size: i64, low: i64, high: i64 = 0) -> i64:
        """The guest stores ``size`` bytes at ``offset`` of the APIC-access page."""
        op: Operation = self.operation
        op.emulate = -1
        return self._store(offset, size, low, high)

    def _store(self, offset: i64, size: i64, low: i64, high: i64) -> i64:
        op: Operation = self.operation
        if not secondary(self.controls, self.controls.virtualize_apic_accesses):
            self.ram.store(offset, size if size < 4 else 4, low)
            if size == 8:
                self.ram.store(offset + 4, 4, high)
            return self._done()
        op.low = low
        answer: i64 = page_write(self.vapic, self.controls, op, offset, size)
        if answer != Access.VIRTUALIZED:
            return self.leave(answer)
        return self._after(write_emulation(self.vapic, self.controls, op))

    def set_bits(self, offset: i64, size: i64, bits: i64) -> i64:
        """The guest executes OR to memory, one operation that reads the page and then writes it."""
        answer: i64 = self.read(offset, size)
        if answer != Step.GOES_ON:
            return answer
        return self._store(offset, size, self.operation.low | bits, self.operation.high)

    def reach(self, offset: i64, kind: i64) -> i64:
        """The page is fetched from, or reached in one of the other ways of AccessType that are never virtualized."""
        if not secondary(self.controls, self.controls.virtualize_apic_accesses):
            return Step.GOES_ON
        return self.leave(page_exit(self.operation, offset, kind))

    def rdmsr(self, index: i64) -> i64:
        """The guest executes RDMSR of 800H + ``index``."""
        if faults_by_privilege(self.state):
            return Step.FAULT
        op: Operation = self.operation
        answer: i64 = read_msr(self.vapic, self.controls, op, index)
        if answer == Access.PHYSICAL:
            op.high = 0
            if index == 8:
                op.low = self.lapic.tpr
            elif index == 10:
                op.low = processor_priority(self.lapic)
            else:
                return Step.PHYSICAL
        elif answer != Access.VIRTUALIZED:
            return self.leave(answer)
        return self._done()

    def wrmsr(self, index: i64, low: i64, high: i64 = 0) -> i64:
        """The guest executes WRMSR of 800H + ``index`` with ``high``:``low``."""
        if faults_by_privilege(self.state):
            return Step.FAULT
        op: Operation = self.operation
        op.low = low
        op.high = high
        answer: i64 = write_msr(self.vapic, self.controls, op, index)
        if answer == Access.PHYSICAL:
            return self._real_write(index, low, high)
        if answer == Access.GENERAL_PROTECTION:
            return Step.FAULT
        if answer == Exit.MSR_WRITE:
            return self.leave(answer)
        return self._after(answer)

    def _real_write(self, index: i64, low: i64, high: i64) -> i64:
        """The registers of the real local APIC that decide interrupts here: TPR, EOI, self-IPI."""
        if index == 8 or index == 63:
            if high != 0 or low > 255:
                return Step.FAULT
            if index == 8:
                write_tpr(self.lapic, low)
            else:
                accept(self.lapic, low, 0)
            return self._done()
        if index == 11:
            if high != 0 or low != 0:
                return Step.FAULT
            end_of_interrupt(self.lapic)
            return self._done()
        return Step.PHYSICAL

    def read_cr8(self) -> i64:
        """The guest moves from CR8, into ``operation.low``."""
        if faults_by_privilege(self.state):
            return Step.FAULT
        op: Operation = self.operation
        op.high = 0
        answer: i64 = read_cr8(self.vapic, self.controls, op)
        if answer == Access.PHYSICAL:
            op.low = self.lapic.tpr >> 4
        elif answer != Access.VIRTUALIZED:
            return self.leave(answer)
        return self._done()

    def write_cr8(self, low: i64, high: i64 = 0) -> i64:
        """The guest moves ``high``:``low`` to CR8."""
        if faults_by_privilege(self.state):
            return Step.FAULT
        op: Operation = self.operation
        op.low = low
        op.high = high
        answer: i64 = move_to_cr8(self.vapic, self.controls, op)
        if answer == Access.GENERAL_PROTECTION:
            return Step.FAULT
        if answer == Exit.CR_ACCESS:
            return self.leave(answer)
        if answer == Access.PHYSICAL:
            write_tpr(self.lapic, low * 16)
            return self._done()
        return self._after(answer)

    def _done(self) -> i64:
        complete_instruction(self.state)
        return Step.GOES_ON

    def _after(self, answer: i64) -> i64:
        """The instruction has completed, and what its write caused is due: a trap-like exit, an IPI, or nothing."""
        complete_instruction(self.state)
        if answer == Exit.NONE:
            return Step.GOES_ON
        if answer == Access.VIRTUAL_IPI:
            return self._send(self.operation.low, self.operation.high)
        return self.leave(answer)

    def _send(self, vector: i64, target: i64) -> i64:
        """IPI virtualization: the descriptor, its PIR bit, the claim, and the notification."""
        found: i64 = self.pid_table.find(self.controls, vector, target)
        if found == NOT_FOUND:
            self.operation.qualification = 768
            return self.leave(Exit.APIC_WRITE)
        pid: PostedDescriptor = self.pid_table.descriptors[found]
        set_pir(pid, vector)
        if claim_notification(pid):
            if pid.ndst == self.lapic.apic_id:
                accept(self.lapic, pid.nv, 0)
            else:
                self.sent = notification(pid, True)
        return Step.GOES_ON

    # ---- other instructions ----

    def nop(self) -> i64:
        """The guest executes an instruction that concerns no interrupt."""
        return self._done()

    def sti(self) -> i64:
        """The guest executes STI."""
        execute_sti(self.state)
        return Step.GOES_ON

    def mov_ss(self) -> i64:
        """The guest executes MOV SS."""
        execute_mov_ss(self.state)
        return Step.GOES_ON

    def load_flag(self, flag: i64) -> i64:
        """The guest executes CLI or POPF, after which IF is ``flag``."""
        load_interrupt_flag(self.state, flag)
        return Step.GOES_ON

    def iret(self, flag: i64) -> i64:
        """The guest executes IRET, after which IF is ``flag``; where NMIs are its own, they are no longer blocked."""
        execute_iret(self.state, self.controls, flag)
        return Step.GOES_ON

    def hlt(self) -> i64:
        """The guest executes HLT; the next boundary tells whether it wakes."""
        if faults_by_privilege(self.state):
            return Step.FAULT
        answer: i64 = execute_hlt(self.state, self.controls)
        return Step.GOES_ON if answer == Exit.NONE else self.leave(answer)

    def mwait(self) -> i64:
        """The guest executes MWAIT; the next boundary tells whether it wakes."""
        if faults_by_privilege(self.state):
            return Step.FAULT
        answer: i64 = execute_mwait(self.state, self.controls)
        return Step.GOES_ON if answer == Exit.NONE else self.leave(answer)

    def vmcall(self) -> i64:
        """The guest executes VMCALL."""
        return self.leave(Exit.VMCALL)
