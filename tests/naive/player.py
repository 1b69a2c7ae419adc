"""Plays conformance vectors on the naive guest: the guest that logs, and the host that reacts.

Takes a record of the first format as it stands in a file, and returns the events that a recording would hold.
"""

from typing import Any

from tests.naive.apicv import ACTIVE, HLT, VIRR, VTPR, WAIT_FOR_SIPI
from tests.naive.guest import Answer, Guest

SHORT = {
    "ext_int_exiting": "EXTINT", "process_posted_interrupts": "PI", "interrupt_window_exiting": "INTRWIN",
    "hlt_exiting": "HLTX", "cr8_load_exiting": "CR8L", "cr8_store_exiting": "CR8S", "use_tpr_shadow": "TPRS",
    "msr_bitmaps": "MSRB", "secondary": "SEC", "virtualize_apic_accesses": "VAA", "virtualize_x2apic_mode": "VX2",
    "apic_register_virtualization": "REG", "virtual_interrupt_delivery": "VID", "ack_int_on_exit": "ACK",
}  # fmt: skip
SKIPPED = (44, 31, 32, 28, 12, 18)
COMPARED = 0x3F0


class Ended(Exception):  # noqa: N818
    """The vector ends here."""


class Player:
    """One record."""

    def __init__(self, record: dict[str, Any]) -> None:
        self.record, self.events, self.step = record, [], -1
        init = record["init"]
        g = self.guest = Guest()
        g.programmed = {SHORT[name] for name in init["controls"] if name in SHORT} | {"DELAYED"}
        g.tpr_threshold, g.anv = init.get("tpr_threshold", 0), init.get("pi_nv", 0)
        g.rvi, g.svi = init.get("rvi", 0), init.get("svi", 0)
        g.activity = init.get("activity", 0)
        blocking = init.get("interruptibility", 0)
        g.sti_block, g.mov_ss_block = bool(blocking & 1), bool(blocking & 2)
        g.nmi_block, g.other_blocking = bool(blocking & 8), blocking & ~11
        g.interrupt_flag = bool(init.get("rflags", 0) & 0x200)
        inject = init.get("inject", 0)
        g.event = (inject >> 8 & 7, inject & 255, inject & 0x7FFFF800) if inject >> 31 else None
        g.eoi_exit_bitmap = sum(1 << v for v in set(init.get("eoi_exit", [])))
        g.descriptor.pir = sum(1 << v for v in set(init.get("pir", [])))
        g.descriptor.on = init.get("pid_on", 0)
        g.read_exits = int(init.get("msr_read_intercept", "0"), 16)
        g.write_exits = int(init.get("msr_write_intercept", "0"), 16)
        for offset, word in init.get("vapic", {}).items():
            g.put(int(offset, 16), int(word, 16))
        if init.get("pre_ipi"):
            g.apic.accept(init["pre_ipi"], False)
        self.mode = init.get("isr_mode", 0)
        self.before = self.memory()

    # The log.

    def memory(self) -> tuple[dict[int, int], dict[int, int]]:
        """What changes are told of: words of the page, quadwords of the descriptor."""
        page = {offset: self.guest.get(offset) for offset in range(0, COMPARED, 4)}
        pid = self.guest.descriptor
        quads = {i: pid.pir >> 64 * i & 0xFFFFFFFFFFFFFFFF for i in range(4)}
        return page, {**quads, 4: pid.on}

    def log(self, **event: Any) -> None:
        """An event with what has changed since the one before."""
        now = self.memory()
        for name, old, new in (("d", self.before[0], now[0]), ("pid", self.before[1], now[1])):
            if changed := {f"{key:x}": hex(value) for key, value in new.items() if old[key] != value}:
                event[name] = changed
        self.before = now
        self.events.append({"step": self.step, **event})

    def log_exit(self, reason: int, qualification: int = 0) -> None:
        """An exit."""
        g = self.guest
        event = {"ev": "exit", "reason": reason, "qual": hex(qualification), "rvi": g.rvi, "svi": g.svi}
        if g.acknowledged is not None:
            event["intr_info"] = hex(1 << 31 | g.acknowledged)
        self.log(**event, **{"if": int(g.interrupt_flag)})

    # The host.

    def enter(self) -> None:
        """VMLAUNCH or VMRESUME."""
        flag = self.guest.interrupt_flag
        answer = self.guest.enter()
        if answer[0] == "failed":
            self.log(ev="vmfail", error=7)
            raise Ended
        if answer[0] == "invalid state":
            self.guest.acknowledged = None
            self.log_exit(0x80000021)
            raise Ended
        if answer[0] == "interrupt":
            self.handle(answer, flag)

    def react(self, answer: Answer) -> None:
        """What the host does with an exit, and then resumes."""
        _, reason, qualification = answer
        g = self.guest
        self.log_exit(int(str(reason)), int(str(qualification)))
        if reason in SKIPPED:
            g.complete()
        elif reason == 43:
            g.tpr_threshold = g.get(VTPR) >> 4 & 15
        elif reason == 7:
            g.programmed = g.programmed - {"INTRWIN"}
        elif reason == 1 and g.acknowledged is not None:
            g.apic.end()
        elif reason == 1:
            while g.apic.deliverable() is not None:
                g.apic.acknowledge()
                g.apic.end()
        if g.activity == HLT:
            g.activity = ACTIVE
        self.enter()

    def settle(self) -> None:
        """Events until the next instruction can execute; a guest that stays halted is woken by the host's timer."""
        while True:
            flag = self.guest.interrupt_flag
            answer = self.guest.next_event()
            if answer[0] == "goes on":
                return
            if answer[0] == "interrupt":
                self.handle(answer, flag)
            elif answer[0] == "exit":
                self.react(answer)
            elif answer[0] == "halted":
                activity = self.guest.activity
                if activity == WAIT_FOR_SIPI:
                    raise Ended
                exit = self.guest.leave(52)
                if activity != HLT:
                    self.log_exit(52)
                    raise Ended
                self.react(exit)

    # The guest.

    def did(self, answer: Answer) -> bool:
        """An instruction, and the events after it. Returns: whether it completed."""
        if answer[0] == "exit":
            self.react(answer)
        elif answer[0] in ("fault", "real"):
            flag = self.guest.interrupt_flag
            self.guest.load_flag(False)
            self.settle()
            self.log(ev="exc", vec=13, **{"if": int(flag)})
            self.guest.load_flag(flag)
        self.settle()
        return answer[0] == "goes on"

    def plain(self, nothing: None) -> None:
        """An instruction that can neither exit nor fault."""
        self.settle()

    def handle(self, answer: Answer, flag: bool) -> None:
        """A handler, from its first instruction to IRET."""
        g, vector = self.guest, answer[1]
        self.settle()
        self.log(ev="int", vec=vector, **{"if": int(flag)})
        if self.mode >= 3:
            self.plain(g.sti())
            self.plain(g.complete())
            self.plain(g.complete())
            self.plain(g.load_flag(False))
        if self.mode:
            self.did(g.write(0x0B0, 4, 0) if self.mode in (1, 3) else g.write_msr(0x0B, 0))
            self.log(ev="isr_eoi_done", vec=vector)
        g.load_flag(flag)

    def perform(self, op: dict[str, Any]) -> None:
        """One operation, and the line that it is done."""
        g, name, value = self.guest, op["op"], op.get("val", 0)
        offset, size = op.get("off", 0), op.get("size", 0)
        read: Any = ...
        if name.startswith("STI"):
            self.plain(g.sti())
        if name in ("RD", "RDMSR", "RCR8"):
            answer = {"RD": lambda: g.read(offset, size), "RDMSR": lambda: g.read_msr(offset), "RCR8": g.read_cr8}[
                name
            ]()
            completed = self.did(answer)
            read = hex(int(str(answer[1]))) if completed else None
        elif name == "WR":
            self.did(g.write(offset, size, value))
        elif name == "OR":
            self.did(g.set_bits(offset, size, value))
        elif name == "WRMSR":
            self.did(g.write_msr(offset, value))
        elif name in ("WCR8", "STIWCR8"):
            self.did(g.write_cr8(value))
        elif name in ("HLT", "STIHLT"):
            self.did(g.hlt())
        elif name == "CLI":
            self.plain(g.load_flag(False))
        elif name == "MOVSS":
            self.plain(g.mov_ss())
            self.plain(g.complete())
        elif name in ("POST", "IPI"):
            self.post(op)
        elif name in ("NOP", "STI"):
            self.plain(g.complete())
        else:
            self.host(op)
        done: dict[str, Any] = {} if read is ... else {"val": read}
        self.log(ev="step", op=name, **done, **{"if": int(self.guest.interrupt_flag)})

    def post(self, op: dict[str, Any]) -> None:
        """Bits of PIR, ON, and a self-IPI of the real local APIC that arrives in the NOPs behind it."""
        g, vector = self.guest, op.get("val", 0)
        if op["op"] == "POST":
            g.descriptor.pir |= sum(1 << v for v in {vector, op.get("val2", 0)} if v)
            if op.get("flags", 0) & 1:
                g.descriptor.on = 1
            vector = g.anv & 255 if op.get("flags", 0) & 2 else None
        if vector is not None:
            g.apic.accept(vector, False)
        self.plain(g.complete())

    def host(self, op: dict[str, Any]) -> None:
        """VMCALL, and what the host changes before it resumes."""
        g, name, value = self.guest, op["op"], op.get("val", 0)
        g.leave(18)
        self.log_exit(18)
        g.complete()
        if name == "HGIS":
            g.rvi, g.svi = value & 255, value >> 8 & 255
        elif name == "HTHR":
            g.tpr_threshold = value
        elif name == "HINTWIN":
            g.programmed = g.programmed | {"INTRWIN"}
        elif name == "HINJECT":
            g.event = (0, value, 0)
        elif name == "HSETIRR":
            g.set_array(VIRR, g.array(VIRR) | 1 << value)
            g.rvi = max(g.rvi, value)
        elif name == "HEOI":
            shift = 64 * op.get("off", 0)
            g.eoi_exit_bitmap = g.eoi_exit_bitmap & ~(0xFFFFFFFFFFFFFFFF << shift) | value << shift
        self.enter()
        self.settle()

    def run(self) -> list[dict[str, Any]]:
        """Play it all."""
        try:
            self.enter()
            self.settle()
            self.plain(self.guest.complete())
            for self.step, op in enumerate(self.record["ops"]):  # noqa: B020
                self.perform(op)
            self.step = len(self.record["ops"])
            self.guest.leave(18)
            self.log_exit(18)
        except Ended:
            pass
        return self.events
