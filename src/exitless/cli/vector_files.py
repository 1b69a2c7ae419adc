"""Reads conformance vectors: one JSON object a line, packed or not, into plays of :mod:`exitless.mech.conformance`."""

from collections.abc import Iterator
from typing import Any, Final

import msgspec
from msgspec import UNSET, Struct, UnsetType

from exitless.arch.vmx.vmcs import load_event, load_interruptibility
from exitless.cli.main import near
from exitless.errors import ScenarioError, TraceError
from exitless.mech.conformance import Play
from exitless.mech.happenings import DO, Action
from exitless.traces.opening import Source, open_source

PORTION: Final = 1 << 20
EVENT: Final = {"step": 0, "exit": 1, "int": 2, "isr_eoi_done": 3, "exc": 4, "vmfail": 5}
NAMES: Final = {number: name for name, number in EVENT.items()}
LOW: Final = 0xFFFFFFFF
ROW_OPS: Final = ("RD", "WR", "OR")
MSR_OPS: Final = ("RDMSR", "WRMSR")
VECTOR_OPS: Final = ("POST", "IPI", "HINJECT", "HSETIRR")

# Names of a vector's controls that are attributes of the oracle's controls under the same name.
CONTROLS: Final = (
    "ext_int_exiting", "process_posted_interrupts", "hlt_exiting", "cr8_load_exiting", "cr8_store_exiting",
    "use_tpr_shadow", "msr_bitmaps", "secondary", "virtualize_apic_accesses", "virtualize_x2apic_mode",
    "apic_register_virtualization", "virtual_interrupt_delivery", "ack_int_on_exit",
)  # fmt: skip
OTHER_CONTROLS: Final = ("preemption_timer", "interrupt_window_exiting")


class Op(Struct):
    """One operation of the guest."""

    op: str
    off: int = 0
    size: int = 0
    val: int = 0
    val2: int = 0
    flags: int = 0


class Init(Struct):
    """The state before VMLAUNCH."""

    controls: list[str]
    tpr_threshold: int = 0
    rvi: int = 0
    svi: int = 0
    pi_nv: int = 0
    activity: int = 0
    interruptibility: int = 0
    rflags: int = 0
    inject: int = 0
    isr_mode: int = 0
    pre_ipi: int = 0
    eoi_exit: list[int] = []
    msr_read_intercept: str = "0x0"
    msr_write_intercept: str = "0x0"
    pir: list[int] = []
    pid_on: int = 0
    vapic: dict[str, str] = {}


class Event(Struct, rename={"flag": "if"}):
    """One event of a trace."""

    ev: str
    step: int
    op: str = ""
    reason: int = -1
    name: str = ""
    qual: str = "0x0"
    rvi: int = 0
    svi: int = 0
    flag: int = 0
    vec: int = -1
    error: int = 0
    intr_info: str = ""
    val: str | UnsetType | None = UNSET
    d: dict[str, str] = {}
    pid: dict[str, str] = {}


class Record(Struct):
    """One vector. A trace in ``events_fixed`` stands above the one in ``events``."""

    id: int | str
    cat: str
    init: Init
    ops: list[Op]
    events: list[Event]
    tags: list[str] = []
    xcheck: str = "agree"
    events_fixed: list[Event] | None = None
    xcheck_fixed: str = ""

    def trace(self) -> list[Event]:
        """Return the trace to follow."""
        return self.events if self.events_fixed is None else self.events_fixed

    def standing(self) -> str:
        """Return how sure the trace is: ``agree`` must pass, ``unchecked`` and ``differ`` may be explained."""
        return self.xcheck if self.events_fixed is None else self.xcheck_fixed


class RuleRecord(Struct):
    """One vector of the second format: a call of one rule, its answer and what it changed."""

    id: int | str
    call: str
    arguments: dict[str, Any]
    answer: Any = None
    after: dict[str, Any] = {}
    xcheck: str = "unchecked"

    @property
    def cat(self) -> str:
        """Return the category: the manual's folder, or the module where there is none."""
        return self.call.split(".")[0]

    def standing(self) -> str:
        """Return how sure the vector is."""
        return self.xcheck


class Kind(Struct):
    """What tells the two formats apart."""

    call: str | UnsetType = UNSET


DECODER: Final = msgspec.json.Decoder(Record)
RULE_DECODER: Final = msgspec.json.Decoder(RuleRecord)
KIND_DECODER: Final = msgspec.json.Decoder(Kind)


class Place:
    """A record with the file and line it stands in."""

    def __init__(self, file: str, line: int, record: Record | RuleRecord) -> None:
        self.file = file
        self.line = line
        self.record = record


def _lines(source: Source) -> Iterator[tuple[int, bytes]]:
    """Hand out the lines that hold something, numbered from 1. Errors: TraceError when the packing is damaged."""
    offset, number, rest = 0, 0, b""
    while portion := source.read_at(offset, PORTION):
        offset += len(portion)
        lines = (rest + portion).split(b"\n")
        rest = lines.pop()
        for line in lines:
            number += 1
            if not line.isspace() and line:
                yield number, line
    if source.problem:
        raise TraceError(source.problem)
    if rest.strip():
        yield number + 1, rest


def read(path: str) -> Iterator[Place]:
    """Read every vector of a file. Errors: TraceError with file and line for what is no vector."""
    with open_source(path) as source:
        for number, line in _lines(source):
            try:
                kind = KIND_DECODER.decode(line)
                record = DECODER.decode(line) if kind.call is UNSET else RULE_DECODER.decode(line)
            except (msgspec.DecodeError, UnicodeDecodeError, RecursionError) as problem:
                said = " ".join(str(problem).split())
                raise TraceError(f"{source.name}:{number}: is no conformance vector: {said}") from None
            yield Place(source.name, number, record)


class _Reader:
    """Puts one record's words and numbers into a play; complains with the place of the record."""

    def __init__(self, place: Place) -> None:
        assert isinstance(place.record, Record)
        self.place = place
        self.record = place.record

    def fail(self, what: str) -> Any:
        """Raise the complaint."""
        raise ScenarioError(f"{self.place.file}:{self.place.line}: vector {self.record.id}: {what}")

    def number(self, name: str, value: int, most: int) -> int:
        """Return a number that lies from 0 to ``most``."""
        if not 0 <= value <= most:
            self.fail(f"{name} is {value}; expected 0 to {most}")
        return value

    def hexadecimal(self, name: str, text: str, most: int) -> int:
        """Return a number written in hexadecimal."""
        try:
            value = int(text, 16)
        except ValueError:
            self.fail(f'{name} is "{text}"; expected a hexadecimal number')
        return self.number(name, value, most)

    def action(self, index: int, op: Op) -> Action:
        """Make one action."""
        where = f"ops[{index}]"
        do = DO.get(op.op, -1)
        if do < 0:
            hint = near(op.op, list(DO)) or f"; there are {', '.join(DO)}"
            self.fail(f'{where}: there is no operation "{op.op}"{hint}')
        self.number(f"{where}.off", op.off, 255 if op.op in MSR_OPS else 3 if op.op == "HEOI" else 4095)
        if op.size not in (1, 2, 4, 8) and (op.size != 0 or op.op in ROW_OPS):
            self.fail(f"{where}.size is {op.size}; expected 1, 2, 4 or 8")
        self.number(f"{where}.flags", op.flags, 255)
        value = self.number(f"{where}.val", op.val, 255 if op.op in VECTOR_OPS else (1 << 64) - 1)
        self.number(f"{where}.val2", op.val2, 255)
        return Action(do, op.off, op.size, value & LOW, value >> 32, op.val2, op.flags)

    def events(self, events: list[Event]) -> None:
        """Check that every event is of a kind there is."""
        for i, event in enumerate(events):
            if event.ev not in EVENT:
                hint = near(event.ev, list(EVENT)) or f"; there are {', '.join(EVENT)}"
                self.fail(f'events[{i}]: there is no event "{event.ev}"{hint}')

    def fields(self, play: Play, init: Init) -> None:
        """Fill the fields that are numbers."""
        oracle, number = play.oracle, self.number
        oracle.controls.tpr_threshold = number("init.tpr_threshold", init.tpr_threshold, LOW)
        oracle.controls.notification_vector = number("init.pi_nv", init.pi_nv, 65535)
        oracle.vapic.rvi = number("init.rvi", init.rvi, 255)
        oracle.vapic.svi = number("init.svi", init.svi, 255)
        state = oracle.state
        state.activity = number("init.activity", init.activity, LOW)
        blocking = number("init.interruptibility", init.interruptibility, LOW)
        load_interruptibility(state, blocking)
        state.interrupt_flag = number("init.rflags", init.rflags, LOW) >> 9 & 1
        load_event(state, number("init.inject", init.inject, LOW))
        play.handler_mode = number("init.isr_mode", init.isr_mode, 4)

    def play(self) -> Play:
        """Make the play of the record."""
        self.events(self.record.trace())
        init = self.record.init
        play = Play()
        oracle = play.oracle
        for name in CONTROLS:
            setattr(oracle.controls, name, 1 if name in init.controls else 0)
        for name in init.controls:
            if name not in CONTROLS and name not in OTHER_CONTROLS:
                known = [*CONTROLS, *OTHER_CONTROLS]
                hint = near(name, known) or f"; there are {', '.join(known)}"
                self.fail(f'init.controls: there is no control "{name}"{hint}')
        oracle.controls.choices.vmx_blocking_delays_external = 1
        oracle.vapic.window_exiting = 1 if "interrupt_window_exiting" in init.controls else 0
        self.fields(play, init)
        reads = self.hexadecimal("init.msr_read_intercept", init.msr_read_intercept, (1 << 256) - 1)
        writes = self.hexadecimal("init.msr_write_intercept", init.msr_write_intercept, (1 << 256) - 1)
        eoi = sum({1 << self.number("init.eoi_exit", vector, 255) for vector in init.eoi_exit})
        pir = sum({1 << self.number("init.pir", vector, 255) for vector in init.pir})
        for i in range(8):
            oracle.controls.msr_read_exit[i] = reads >> 32 * i & LOW
            oracle.controls.msr_write_exit[i] = writes >> 32 * i & LOW
            oracle.vapic.eoi_exit[i] = eoi >> 32 * i & LOW
            oracle.pid.pir[i] = pir >> 32 * i & LOW
        oracle.pid.on = self.number("init.pid_on", init.pid_on, 1)
        for offset, word in init.vapic.items():
            at = self.hexadecimal("init.vapic", offset, 4092)
            if at % 4:
                self.fail(f'init.vapic has the offset "{offset}"; expected a multiple of 4')
            oracle.vapic.page[at // 4] = self.hexadecimal(f"init.vapic.{offset}", word, LOW)
        play.actions = [self.action(i, op) for i, op in enumerate(self.record.ops)]
        play.pend(self.number("init.pre_ipi", init.pre_ipi, 255))
        return play


def make(place: Place) -> Play:
    """Make the play of a vector. Errors: ScenarioError with file, line and vector for what cannot be."""
    return _Reader(place).play()
