"""An oracle and a naive guest side by side: the same controls, state and instructions; the same answers and state."""

from exitless.arch.vmx.controls import Check
from exitless.arch.vmx.entry import GuestCheck
from exitless.bits.words import set_bit
from exitless.mech.oracle import STEP_NAMES, Oracle, Step
from tests.naive import both
from tests.naive.apicv import Descriptor
from tests.naive.guest import Answer, Guest

CONTROLS = {
    "EXTINT": "ext_int_exiting", "NMIX": "nmi_exiting", "VNMI": "virtual_nmis", "PI": "process_posted_interrupts",
    "HLTX": "hlt_exiting", "MWAITX": "mwait_exiting", "CR8L": "cr8_load_exiting", "CR8S": "cr8_store_exiting",
    "TPRS": "use_tpr_shadow", "NMIWIN": "nmi_window_exiting", "MSRB": "msr_bitmaps", "SEC": "secondary",
    "TERT": "tertiary", "VAA": "virtualize_apic_accesses", "VX2": "virtualize_x2apic_mode",
    "REG": "apic_register_virtualization", "VID": "virtual_interrupt_delivery", "IPIV": "ipi_virtualization",
    "VTMR": "apic_timer_virtualization", "ACK": "ack_int_on_exit",
}  # fmt: skip
PENDING = {
    "threshold": "below_threshold", "smi": "smi", "init": "init", "sipi": "sipi", "trap": "trap_flag",
    "timer": "timer", "nmi": "nmi",
}  # fmt: skip
CHECKS = {
    "C1": Check.MSR_BITMAP_ADDRESS, "C2": Check.VIRTUAL_APIC_ADDRESS, "C3": Check.TPR_THRESHOLD_BITS,
    "C4": Check.TPR_THRESHOLD_VALUE, "C5": Check.APIC_ACCESS_ADDRESS, "C6": Check.NEEDS_TPR_SHADOW,
    "C7": Check.X2APIC_WITH_ACCESSES, "C8": Check.VID_NEEDS_EXTINT, "C9": Check.POSTING_NEEDS_VID,
    "C10": Check.POSTING_NEEDS_ACK, "C11": Check.NOTIFICATION_VECTOR, "C12": Check.DESCRIPTOR_ADDRESS,
    "C13": Check.NMI_CONTROLS, "C14": Check.PID_TABLE_ADDRESS, "C15": Check.APIC_TIMER, "event": Check.EVENT_FIELD,
}  # fmt: skip
GUEST_CHECKS = {
    "G1": GuestCheck.INTERRUPT_NEEDS_IF, "G2": GuestCheck.INTERRUPT_BLOCKED, "G3": GuestCheck.NMI_BLOCKED,
    "G4": GuestCheck.INTERRUPTIBILITY, "G5": GuestCheck.BLOCKED_AND_INACTIVE, "G6": GuestCheck.EVENT_IN_HLT,
    "G7": GuestCheck.EVENT_IN_SHUTDOWN, "G8": GuestCheck.EVENT_IN_WAIT_FOR_SIPI, "G9": GuestCheck.ACTIVITY,
}  # fmt: skip
ADDRESSES = {
    "MSRB": "msr_bitmap_address", "TPRS": "virtual_apic_address", "VAA": "apic_access_address",
    "PI": "descriptor_address",
}  # fmt: skip


class Twins:
    """Both, driven together. Every method does one thing to both and compares what they answer."""

    def __init__(self) -> None:
        self.oracle = Oracle()
        self.guest = Guest()
        self.others = [(self.oracle.pid, self.guest.descriptor)]

    def program(self, names: set[str]) -> None:
        """Write the controls; interrupt-window exiting and the switches among them."""
        self.guest.programmed = names
        for short, name in CONTROLS.items():
            setattr(self.oracle.controls, name, int(short in names))
        self.oracle.vapic.window_exiting = int("INTRWIN" in names)
        self.oracle.controls.choices.vmx_reads_with_vid = int("NEW READS" in names)
        self.oracle.controls.choices.vmx_blocking_delays_external = int("DELAYED" in names)

    def load(self) -> None:
        """Copy the naive guest's state, which a test has set, into the oracle."""
        o, g = self.oracle, self.guest
        c, s = o.controls, o.state
        for short, name in ADDRESSES.items():
            setattr(c, name, g.addresses[short])
        c.pid_table_address, c.last_pid_index = g.pid_table_address, g.last_pid_index
        c.virtual_timer_vector, c.notification_vector = g.timer_vector, g.anv
        c.tpr_threshold, c.physical_width, c.addresses_32_bit = g.tpr_threshold, g.physical_width, g.narrow_addresses
        for i in range(8):
            c.msr_read_exit[i] = g.read_exits >> 32 * i & 0xFFFFFFFF
            c.msr_write_exit[i] = g.write_exits >> 32 * i & 0xFFFFFFFF
            o.vapic.eoi_exit[i] = g.eoi_exit_bitmap >> 32 * i & 0xFFFFFFFF
        for i in range(1024):
            o.vapic.page[i] = g.get(4 * i)
        o.vapic.rvi, o.vapic.svi = g.rvi, g.svi
        s.interrupt_flag, s.sti_blocking, s.mov_ss_blocking = g.interrupt_flag, g.sti_block, g.mov_ss_block
        s.nmi_blocking, s.other_blocking, s.privilege = g.nmi_block, g.other_blocking, g.privilege
        s.activity = g.activity
        s.entry_type, s.entry_vector, s.entry_bits = g.event or (0, -1, 0)

    def add_target(self, identifier: int, address: int) -> None:
        """A descriptor that IPIs of the guest can reach; it belongs to another processor."""
        naive = Descriptor()
        naive.ndst, naive.nv = 100 + identifier, 0xF2
        pid = both.descriptor(naive)
        pid.ndst, pid.nv = naive.ndst, naive.nv
        self.others.append((pid, naive))
        self.oracle.pid_table.add(identifier, address, pid)
        self.guest.pid_table[identifier] = address | 1
        self.guest.memory[address] = naive

    # One thing at a time.

    def enter(self) -> Answer:
        """VM entry; where several checks fail, the oracle names one of them."""
        answer, expected = self.oracle.enter(), self.guest.enter()
        if expected[0] in ("failed", "invalid state"):
            names = CHECKS if expected[0] == "failed" else GUEST_CHECKS
            assert self.oracle.failed_check in {names[name] for name in expected[1]}
            if expected[0] == "failed":
                assert (answer, self.oracle.error) == (Step.FAILED, 7)
            else:
                out = self.oracle.out
                assert (answer, out.reason, out.entry_failed, out.qualification) == (Step.EXIT, 33, 1, 0)
            return expected
        return self.compare(answer, expected)

    def boundary(self) -> Answer:
        """One event."""
        return self.compare(self.oracle.boundary(), self.guest.next_event())

    def compare(self, answer: int, expected: Answer) -> Answer:
        """Hold one answer of the oracle against the naive one."""
        out, op = self.oracle.out, self.oracle.operation
        word = expected[0]
        got: Answer = ({"entry failed": "failed", "real local APIC": "real"}.get(name := STEP_NAMES[answer], name),)
        if answer == Step.EXIT:
            got += (out.reason, out.qualification)
            assert (out.vector if out.vector >= 0 else None) == self.guest.acknowledged
            assert out.activity == self.guest.saved_activity
            if "VID" in self.guest.control:
                assert out.status == self.guest.status
        elif answer == Step.INTERRUPT:
            got += (self.oracle.vector,)
        elif word == "goes on" and len(expected) == 2:
            got += (op.high << 32 | op.low,)
        assert got == expected
        return expected

    def same(self) -> None:
        """Every bit of state is the same in both."""
        o, g = self.oracle, self.guest
        s = o.state
        assert both.brief(o.vapic) == both.naive_brief(g)
        assert both.same_page(o.vapic, g)
        for pid, naive in self.others:
            assert (both.packed(pid.pir), pid.on, pid.sn) == (naive.pir, naive.on, naive.sn)
        state = (s.interrupt_flag, s.sti_blocking, s.mov_ss_blocking, s.nmi_blocking, s.activity, o.in_guest)
        assert state == (g.interrupt_flag, g.sti_block, g.mov_ss_block, g.nmi_block, g.activity, g.inside)
        assert {name for name, attribute in PENDING.items() if getattr(o.pending, attribute)} == g.pending
        assert both.packed(o.lapic.irr) == sum(1 << v for v in g.apic.requested)
        assert both.packed(o.lapic.isr) == sum(1 << v for v in g.apic.serving)
        assert o.lapic.tpr == g.apic.tpr
        last = g.notifications[-1] if g.notifications else None
        assert (None if o.sent < 0 else (o.sent >> 32, o.sent & 255)) == last

    def post(self, vector: int) -> None:
        """Set a bit of PIR and ON, as every poster does."""
        set_bit(self.oracle.pid.pir, 0, 1, vector)
        self.oracle.pid.on = 1
        self.guest.descriptor.pir |= 1 << vector
        self.guest.descriptor.on = 1
