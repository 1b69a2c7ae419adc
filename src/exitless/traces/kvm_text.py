"""How tracepoints look as text: one row a tracepoint, with its forms from the newest kernel's to the oldest's.

A form is what the kernel or a plugin of trace-cmd prints, with the fields in braces: ``{field:d}`` decimal, ``:x``
hexadecimal, ``:r`` an exit's name, ``:m`` a delivery mode, ``:s`` a thread's state, ``:A`` a message's destination,
``:w`` a word, ``:c`` any text, ``:?text`` 1 if that text follows, ``:Ktext`` the mask bit if it does. A field that
stands twice is put together from both. ``:a`` is a local APIC's register, ``:W`` and ``:U`` read or write, ``:L``
edge or level,
``:H`` wait or poll, ``:V`` valid or invalid. ``-`` is no field. Text after the form does not matter.

The raw form of ``trace-cmd report -R`` names every field as the binary format does and is read without a form; it
loses what the event's own text would not print, such as whether a pin is masked.
"""

import re
from collections.abc import Callable
from typing import Final, NamedTuple

from exitless.traces.kvm import APIC_REGISTERS, DELIVERY_MODES, FAILED_ENTRY, REASONS, TRACEPOINTS, Use

MODES: Final = {name: n << 8 for n, name in enumerate(DELIVERY_MODES)}
MASKED: Final = 0x10000
LEVEL: Final = 0x8000
DEAD: Final = 0x10
ASLEEP: Final = 0x01
ABSENT: Final = -1

APIC: Final = ("apicid {apicid:x} vec {vec:d} ({dm:m}|",)
EOI: Final = ("apicid {apicid:x} vector {vector:d}",)
WAKE: Final = ("comm={-:c} pid={pid:d} prio=", "{-:c}:{pid:d} [{-:d}]")

FORMS: Final[dict[str, tuple[str, ...]]] = {
    "kvm:kvm_exit": (
        "vcpu {vcpu_id:d} reason {exit_reason:r} rip 0x{-:x} info1 0x{info1:x} info2 0x{-:x} intr_info 0x{intr_info:x}",
        "reason {exit_reason:r} rip 0x{-:x} info {info1:x} {-:x}",
        "vcpu {vcpu_id:d} reason {exit_reason:r} rip 0x{-:x} info {info1:x} {-:x}",
    ),
    "kvm:kvm_entry": (
        "vcpu {vcpu_id:d}, rip 0x{-:x} intr_info 0x{intr_info:x} error_code",
        "vcpu {vcpu_id:d}",
    ),
    "kvm:kvm_inj_virq": (
        "IRQ 0x{vector:x}{reinjected:? [reinjected]}",
        "{soft:?Soft/INTn} 0x{vector:x}{reinjected:? [reinjected]}",
        "irq {vector:d}",
    ),
    "kvm:kvm_apic_accept_irq": APIC,
    "kvm:kvm_apicv_accept_irq": APIC,
    "kvm:kvm_eoi": EOI,
    "kvm:kvm_pv_eoi": EOI,
    "kvm:kvm_apic_ipi": ("dst {dest_id:x} vec {icr_low:d} ({icr_low:m}|",),
    "kvm:kvm_msi_set_irq": ("dst {address:A} vec {data:d} ({data:m}|",),
    "kvm:kvm_set_irq": ("gsi {gsi:d} level {level:d}",),
    "kvm:kvm_ioapic_set_irq": (
        "pin {pin:d} dst {-:x} vec {e:d} ({e:m}|{-:w}|{e:L}{e:K|masked}){coalesced:? (coalesced)}",
    ),
    "kvm:kvm_pic_set_irq": ("chip {chip:d} pin {pin:d} ({elcr:E}{imr:B|masked}){coalesced:? (coalesced)}",),
    "kvm:kvm_apic": ("apic_{rw:W} {reg:a} = 0x{val:x}",),
    "kvm:kvm_msr": ("msr_{write:W} {ecx:x} = 0x{data:x}",),
    "kvm:kvm_mmio": ("mmio {type:U} len {-:d} gpa 0x{gpa:x} val 0x{val:x}",),
    "kvm:kvm_vcpu_wakeup": ("{waited:H} time {ns:d} ns, polling {valid:V}", "{waited:H} time {ns:d} ns"),
    "kvm:kvm_hypercall": ("nr 0x{nr:x} a0 0x{a0:x}",),
    "kvm:kvm_halt_poll_ns": ("vcpu {vcpu_id:d}: halt_poll_ns {new:d} ({-:w} {old:d})", "vcpu {vcpu_id:d}:"),
    "sched:sched_switch": (
        "prev_comm={-:c} prev_pid={prev_pid:d} prev_prio={-:d} prev_state={prev_state:s} ==> next_comm={-:c} "
        "next_pid={next_pid:d}",
        "{-:c}:{prev_pid:d} [{-:d}] {prev_state:s} ==> {-:c}:{next_pid:d} [",
    ),
    "sched:sched_waking": WAKE,
    "sched:sched_wakeup": WAKE,
}

PATTERNS: Final = {
    "d": r"(-?\d{1,20})", "x": r"([0-9a-fA-F]{1,16})", "r": r"([A-Za-z0-9_ ()]{1,60}?)", "m": r"(\w{1,8})",
    "a": r"(\w{1,20})", "W": r"(read|write)", "U": r"(unsatisfied-read|read|write)",
    "L": r"(edge|level)", "E": r"(edge|level)", "H": r"(wait|poll)", "V": r"(valid|invalid)",
    "s": r"(\S{1,20})", "A": r"([0-9a-fA-F]{1,16})", "w": r"([\w-]{1,20}?)", "c": r"(.{0,64}?)",
}  # fmt: skip

PLACE: Final = re.compile(r"\{([\w-]+):([^}]+)\}")
RAW: Final = re.compile(r"(\w+)=(-?(?:0x[0-9a-fA-F]{1,16}|\d{1,20}|[0-9a-f]{1,16}))(?![\w.])")

# An 8259's register with one bit a pin, of which the text tells only the pin's own.
EVERY_PIN: Final = 0xFF

# Fields that trace-cmd report -R prints in hexadecimal, with no sign of it, as the event's own text has them.
HEXADECIMAL: Final = ("apicid", "dest_id")


def reason(text: str) -> int:
    """Turn an exit's name into its number; a name nobody knows may be a number itself."""
    name = text.partition(" FAILED_VMENTRY")[0]
    flags = FAILED_ENTRY if text != name else 0
    if name in REASONS:
        return REASONS[name][0] | flags
    number = name.removeprefix("UNKNOWN (").rstrip(")")
    try:
        return int(number, 0) | flags
    except ValueError:
        return ABSENT


def isa(text: str) -> int:
    """Say whose exit a name is, 0 when that cannot be told from it."""
    return REASONS.get(text.partition(" FAILED_VMENTRY")[0], (0, 0))[1]


def state(text: str) -> int:
    """Turn the state of a thread that stops running into the bits that say whether it sleeps or is dead."""
    if text.isdigit():
        return int(text)
    return 0 if text.startswith("R") else DEAD if text[:1] in ("X", "Z") else ASLEEP


def register(text: str) -> int:
    """Turn the name of a local APIC's register into its offset; one without a name is printed as a number."""
    try:
        return APIC_REGISTERS[text] if text in APIC_REGISTERS else int(text, 16)
    except ValueError:
        return 0


def target(text: str) -> int:
    """Turn a message's destination into its address."""
    number = int(text, 16)
    return (number & 0xFF) << 12 | (number & 0xFFFFFF00) << 32


CONVERSIONS: Final[dict[str, Callable[[str], int]]] = {
    "d": int,
    "x": lambda text: int(text, 16),
    "r": reason,
    "m": lambda text: MODES.get(text, 0),
    "s": state,
    "A": target,
    "a": register,
    "W": lambda text: 1 if text == "write" else 0,
    "U": lambda text: ("unsatisfied-read", "read", "write").index(text),
    "H": lambda text: 1 if text == "wait" else 0,
    "V": lambda text: 1 if text == "valid" else 0,
    "L": lambda text: LEVEL if text == "level" else 0,
    "E": lambda text: EVERY_PIN if text == "level" else 0,
    "B": lambda text: EVERY_PIN if text else 0,
    "?": lambda text: 1 if text else 0,
    "K": lambda text: MASKED if text else 0,
}


class Form(NamedTuple):
    """A compiled form: its pattern, and which group becomes which field how."""

    pattern: re.Pattern[str]
    takes: list[tuple[int, int, Callable[[str], int]]]


class TextPlan:
    """What becomes of a line of one tracepoint. ``count`` counts lines, ``unread`` those that no form fits."""

    def __init__(self, kind: str, use: int) -> None:
        self.kind = kind
        self.use = use
        self.count = 0
        self.unread = 0
        words = TRACEPOINTS[kind][1].split() if use > 0 else []
        self.fields = [tuple(word.rstrip("?").split("|")) for word in words]
        self.needed = [not word.endswith("?") for word in words]
        names = {name: n for n, alternatives in enumerate(self.fields) for name in alternatives}
        self.forms = [compile_form(text, names) for text in FORMS.get(kind, ())] if use > Use.NAME_ONLY else []

    def values(self, tid: int, body: str) -> tuple[int, ...] | None:
        """Take the fields out of a line's text; None when it has another form."""
        if not self.fields:
            return (tid,)
        for form in self.forms:
            match = form.pattern.match(body)
            if match is not None:
                out = [ABSENT] * len(self.fields)
                for group, place, convert in form.takes:
                    value = convert(match[group] or "")
                    out[place] = value if out[place] == ABSENT else out[place] | value
                return (tid, *out)
        return self._raw(tid, body)

    def _raw(self, tid: int, body: str) -> tuple[int, ...] | None:
        """Take fields that are written as name=number."""
        found = dict(RAW.findall(body))
        out = [tid]
        for names, needed in zip(self.fields, self.needed, strict=True):
            name = next((name for name in names if name in found), "")
            if not name and needed:
                return None
            try:
                base = 16 if name in HEXADECIMAL or "0x" in found.get(name, "") else 10
                out.append(int(found[name], base) if name else ABSENT)
            except ValueError:
                return None
        return tuple(out)


def compile_form(text: str, names: dict[str, int]) -> Form:
    """Make the pattern of a form. An exit's name gives two fields: its number, and whose it is."""
    pattern, at, group = "", 0, 0
    takes: list[tuple[int, int, Callable[[str], int]]] = []
    for place in PLACE.finditer(text):
        pattern += re.escape(text[at : place.start()])
        at, group = place.end(), group + 1
        name, how = place[1], place[2]
        pattern += PATTERNS[how] if how in PATTERNS else f"({re.escape(how[1:])})?"
        if name in names:
            takes.append((group, names[name], CONVERSIONS[how[0]]))
        if how == "r":
            takes.append((group, names["isa"], isa))
    return Form(re.compile(pattern + re.escape(text[at:])), takes)
