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
from typing import Final

from exitless.traces.kvm import APIC_REGISTERS, DELIVERY_MODES, FAILED_ENTRY, HOST_VECTORS, REASONS, TRACEPOINTS, Use
from exitless.traces.text_form import (
    ANY,
    CHOICE,
    DARK,
    DASHED,
    DECIMAL,
    HEXADECIMAL,
    NAME,
    PERHAPS,
    TEXT,
    WORD,
    Form,
    Step,
    TextPlan,
)

MODES: Final = {name: n << 8 for n, name in enumerate(DELIVERY_MODES)}
MASKED: Final = 0x10000
LEVEL: Final = 0x8000
DEAD: Final = 0x10
ASLEEP: Final = 0x01

APIC: Final = ("apicid {apicid:x} vec {vec:d} ({dm:m}|",)
EOI: Final = ("apicid {apicid:x} vector {vector:d}",)
WAKE: Final = ("comm={-:c} pid={pid:d} prio=", "{-:c}:{pid:d} [{-:d}]")

FORMS: Final[dict[str, tuple[str, ...]]] = {
    "kvm:kvm_exit": (
        "vcpu {vcpu_id:d} reason {exit_reason:r} rip 0x{guest_rip:x} info1 0x{info1:x} info2 0x{-:x} intr_info "
        "0x{intr_info:x}",
        "reason {exit_reason:r} rip 0x{guest_rip:x} info {info1:x} {-:x}",
        "vcpu {vcpu_id:d} reason {exit_reason:r} rip 0x{guest_rip:x} info {info1:x} {-:x}",
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
    "irq:irq_handler_entry": ("irq={irq:d}",),
    "irq:softirq_entry": ("vec={vec:d}",),
    "irq:softirq_exit": ("vec={vec:d}",),
}
FORMS.update({f"irq_vectors:{name}_entry": ("vector={vector:d}",) for name in HOST_VECTORS})
FORMS.update({f"irq_vectors:{name}_exit": ("vector={vector:d}",) for name in HOST_VECTORS})

PLACE: Final = re.compile(r"\{([\w-]+):([^}]+)\}")

# An 8259's register with one bit a pin, of which the text tells only the pin's own.
EVERY_PIN: Final = 0xFF


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
        return -1


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


# What each letter takes: the kind of step, how many characters at least and at most, the words to choose from.
STEPS: Final[dict[str, tuple[int, int, int, tuple[str, ...]]]] = {
    "d": (DECIMAL, 1, 20, ()), "x": (HEXADECIMAL, 1, 16, ()), "r": (NAME, 1, 60, ()), "m": (WORD, 1, 8, ()),
    "a": (WORD, 1, 20, ()), "W": (CHOICE, 0, 0, ("read", "write")),
    "U": (CHOICE, 0, 0, ("unsatisfied-read", "read", "write")), "L": (CHOICE, 0, 0, ("edge", "level")),
    "E": (CHOICE, 0, 0, ("edge", "level")),
    "H": (CHOICE, 0, 0, ("wait", "poll")), "V": (CHOICE, 0, 0, ("valid", "invalid")), "s": (DARK, 1, 20, ()),
    "A": (HEXADECIMAL, 1, 16, ()), "w": (DASHED, 1, 20, ()), "c": (ANY, 0, 256, ()),
}  # fmt: skip


def text_plan(kind: str, use: int) -> TextPlan:
    """Make what becomes of lines of one tracepoint."""
    words = TRACEPOINTS[kind][1].split() if use > 0 else []
    fields = [tuple(word.rstrip("?").split("|")) for word in words]
    needed = [not word.endswith("?") for word in words]
    names = {name: n for n, alternatives in enumerate(fields) for name in alternatives}
    forms = [compile_form(text, names) for text in FORMS.get(kind, ())] if use > Use.NAME_ONLY else []
    return TextPlan(kind, use, fields, needed, forms)


def step_of(how: str) -> Step:
    """Make the step of one field."""
    if how[0] in "?KB":
        step = Step(PERHAPS, how[1:].encode(), 0, 0)
        step.values = [CONVERSIONS[how[0]]("there")]
        return step
    kind, least, most, words = STEPS[how]
    step = Step(kind, b"", least, most)
    step.words = [word.encode() for word in words]
    step.convert = CONVERSIONS.get(how, int)
    step.values = [step.convert(word) for word in words]
    if how == "A":
        step.values = [0]
    return step


def compile_form(text: str, names: dict[str, int]) -> Form:
    """Make the steps of a form. An exit's name gives two fields: its number, and whose it is."""
    steps, at = [], 0
    for place in PLACE.finditer(text):
        if place.start() > at:
            steps.append(Step(TEXT, text[at : place.start()].encode(), 0, 0))
        at = place.end()
        name, how = place[1], place[2]
        step = step_of(how)
        if name in names:
            step.place = 1 + names[name]
        if how == "r":
            step.other, step.convert_other = 1 + names["isa"], isa
        steps.append(step)
    if at < len(text):
        steps.append(Step(TEXT, text[at:].encode(), 0, 0))
    return Form(steps)
