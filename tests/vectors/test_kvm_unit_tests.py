"""The expectations of kvm-unit-tests' APIC-virtualization tests, restated as data and held against the rules."""

import json
from itertools import product
from pathlib import Path
from typing import Any

import pytest

from exitless.arch.outcome import Access
from exitless.arch.vmx.controls import Activity
from exitless.arch.vmx.msrs import read_msr, write_msr
from exitless.arch.vmx.virtual_apic import Reg
from exitless.arch.x86 import registers
from exitless.arch.x86.apic import Apic
from exitless.arch.x86.ioapic import IoApic, accepted, end_of_interrupt, set_pin, write_entry_low
from exitless.arch.x86.lapic import accept, broadcasts_eoi, deliverable, write_tpr
from exitless.arch.x86.modes import write_base
from exitless.bits.words import ON_PAGE, clear_bit, has_bit, set_bit
from exitless.mech.oracle import Oracle, Step
from exitless.vocab.exits import Exit

DATA: dict[str, Any] = json.loads(Path(__file__).with_name("kvm_unit_tests.json").read_text(encoding="utf-8"))
KINDS = ("pages", "msrs", "entries", "thresholds", "deliveries", "eois", "windows", "halts", "passed_through")
ROWS = [(kind, row) for kind in KINDS for row in DATA[kind]]
NAME = {offset: name for name, offsets in DATA["registers"].items() for offset in offsets}
CONTROLS = {
    "accesses": "virtualize_apic_accesses", "shadow": "use_tpr_shadow", "registers": "apic_register_virtualization",
    "x2apic": "virtualize_x2apic_mode", "delivery": "virtual_interrupt_delivery", "secondary": "secondary",
    "extint": "ext_int_exiting", "posted": "process_posted_interrupts", "ack": "ack_int_on_exit",
}  # fmt: skip
MAGIC = 0x01020381
NOTIFICATION = 255


def oracle(words: str, flag: int = 0) -> Oracle:
    """Return an oracle with these controls; secondary, extint and ack are on unless a minus stands before them."""
    made = Oracle()
    made.controls.hlt_exiting = 0
    for word in words.split():
        name = CONTROLS[word.lstrip("-")]
        setattr(made.controls, name, 0 if word.startswith("-") else 1)
    made.state.interrupt_flag = flag
    return made


def rows() -> list[int]:
    """Return every 16-byte slot that the tests try."""
    return list(range(0, 0x400, 16))


def check_pages(row: dict[str, Any]) -> None:
    """Read and write every register of the APIC-access page."""
    if row.get("entry") == "refused":
        assert oracle(row["controls"]).enter() == Step.FAILED
        return
    for offset in rows():
        read, write = row.get(NAME.get(f"{offset:03x}", "others"), row["others"])
        assert did_read(oracle(row["controls"]), offset) == read, hex(offset)
        assert did_write(oracle(row["controls"]), offset) == write, hex(offset)


def did_read(o: Oracle, offset: int) -> str:
    """Return what a read of four bytes came to."""
    assert o.enter() == Step.GOES_ON
    o.vapic.page[offset // 4] = MAGIC
    o.ram.store(offset, 4, MAGIC ^ 0xFF)
    if o.read(offset, 4) == Step.EXIT:
        assert (o.out.reason, o.out.qualification & 0xFFF) == (Exit.APIC_ACCESS, offset)
        return "access exit"
    return "page" if o.operation.low == MAGIC else "memory" if o.operation.low == MAGIC ^ 0xFF else "lost"


def did_write(o: Oracle, offset: int) -> str:
    """Return what a write of four bytes came to."""
    assert o.enter() == Step.GOES_ON
    answer, word = o.write(offset, 4, MAGIC), 0
    word = o.vapic.page[offset // 4]
    if answer == Step.EXIT:
        assert o.out.qualification & 0xFFF == offset
        if o.out.reason == Exit.APIC_ACCESS:
            assert word == 0
            return "access exit"
        assert (o.out.reason, word) == (Exit.APIC_WRITE, MAGIC)
        return "write exit"
    if o.ram.load(offset, 4) == MAGIC:
        return "memory"
    return {MAGIC: "page", MAGIC & 0xFF: "page, low byte", MAGIC & 0xFF000000: "page, high byte"}[word]


def check_msrs(row: dict[str, Any]) -> None:
    """Read and write every MSR: the page, the real local APIC, or a fault."""
    for offset in rows():
        name = NAME.get(f"{offset:03x}", "others")
        on_page = row["reads"] == "page" or row["reads"] == name
        there = row.get("real") != "xapic"
        real = "real" if there and name in DATA["real"]["read"] else "fault"
        assert msr_read(row, offset) == ("page" if on_page else real), hex(offset)
        real = "real" if there and name in DATA["real"]["written"] else "fault"
        expected = "page" if name in row["processed"] else real
        if expected == "page" and name == "self ipi":
            expected = "write exit"
        assert msr_write(row, offset, name) == expected, hex(offset)


def real_apic(row: dict[str, Any]) -> Apic:
    """Return the real local APIC, in x2APIC mode unless the row says otherwise."""
    apic = Apic(0, 0)
    if row.get("real") != "xapic":
        assert write_base(apic, 0xFEE00C00, 0) == 0
    return apic


def msr_read(row: dict[str, Any], offset: int) -> str:
    """Return where RDMSR reads."""
    o, op = oracle(row["controls"]), Oracle().operation
    o.vapic.page[offset // 4] = MAGIC
    answer = read_msr(o.vapic, o.controls, op, offset >> 4)
    if answer == Access.VIRTUALIZED:
        return "page" if op.low == MAGIC else "lost"
    assert answer == Access.PHYSICAL
    touched = registers.read_msr(real_apic(row), 0x800 + (offset >> 4), registers.Register())
    return "fault" if touched == Access.GENERAL_PROTECTION else "real"


def msr_write(row: dict[str, Any], offset: int, name: str) -> str:
    """Return where WRMSR of a harmless value goes."""
    o, op, apic = oracle(row["controls"]), Oracle().operation, real_apic(row)
    harmless = {"tpr": MAGIC & 0xFF, "icr low": 0x400F1}
    op.low = harmless.get(name, 0)
    if name in ("svr", "lvt", "divide", "cmci"):
        op.low = registers.read_row(apic, offset >> 4, 0)
    answer = write_msr(o.vapic, o.controls, op, offset >> 4)
    if answer == Access.PHYSICAL:
        access = registers.Register()
        access.low = op.low
        answer = registers.write_msr(apic, 0x800 + (offset >> 4), access)
        return "fault" if answer == Access.GENERAL_PROTECTION else "real"
    if answer == Exit.APIC_WRITE:
        assert op.qualification == offset
        return "write exit"
    assert answer == Exit.NONE and o.vapic.page[offset // 4] == op.low
    return "page"


def check_entries(row: dict[str, Any]) -> None:
    """Enter with controls and fields that do and do not stand together."""
    if "field" in row:
        for verdict, texts in ((Step.GOES_ON, row["accepted"]), (Step.FAILED, row["refused"])):
            for text in texts:
                o = oracle(row["controls"])
                setattr(o.controls, row["field"], int(text, 16))
                assert o.enter() == verdict, text
        return
    names = row["combine"]
    for chosen in product((0, 1), repeat=len(names)):
        words = [name for name, wanted in zip(names, chosen, strict=True) if wanted]
        accepted = {
            "any": True, "none of them": not any(chosen), "all of them": all(chosen),
            "not all of them": not all(chosen),
        }[row["accepted_when"]]  # fmt: skip
        o = oracle(" ".join([row["with"], *words]))
        assert o.enter() == (Step.GOES_ON if accepted else Step.FAILED), words
        assert accepted or o.error == 7


def check_thresholds(row: dict[str, Any]) -> None:
    """Every threshold of one class, every bit above, against VTPR one below, equal and one above."""
    for threshold in [*range(16), *(1 << bit for bit in range(4, 32)), 0xFFFFFFFF, 0x7FFFFFFF]:
        for vtpr in {0xFF, threshold - 1 << 4 & 0xFF, threshold << 4 & 0xFF, threshold + 1 << 4 & 0xFF}:
            fits = row["bits"] == "ignored" or threshold < 16
            reached = row["value"] == "ignored" or threshold & 15 <= vtpr >> 4
            o = oracle(row["controls"])
            o.controls.tpr_threshold, o.vapic.page[Reg.VTPR] = threshold, vtpr
            assert o.enter() == (Step.GOES_ON if fits and reached else Step.FAILED), (threshold, vtpr)


def handled(o: Oracle, by_msr: bool = True) -> tuple[int, int]:
    """Let the guest run until nothing more happens. Returns: how many handlers ran, how many EOI exits there were."""
    handlers = exits = 0
    while (answer := o.boundary()) in (Step.INTERRUPT, Step.POSTED):
        if answer == Step.POSTED:
            continue
        handlers += 1
        ended = o.wrmsr(0x0B, 0) if by_msr else o.write(0xB0, 4, 0)
        if ended == Step.EXIT:
            assert (o.out.reason, o.out.qualification) == (Exit.EOI_INDUCED, o.vector)
            exits += 1
            assert o.enter() == Step.GOES_ON
        o.load_flag(1)
    assert answer in (Step.GOES_ON, Step.HALTED)
    return handlers, exits


def check_deliveries(row: dict[str, Any]) -> None:
    """Every vector against every class of TPR, with both ends of its low nibble."""
    first, last = row["vectors"]
    tprs = [0] if row["by"] == "self ipi" else [16 * c + low for c in range(16) for low in (0, 15)]
    for vector, tpr in product(range(first, last + 1), tprs):
        above = vector >> 4 > tpr >> 4
        if above or "otherwise" in row:
            check_delivery(row["by"], vector, tpr, row["class_above_tpr" if above else "otherwise"])


def check_delivery(by: str, vector: int, tpr: int, expected: dict[str, Any]) -> None:
    """One vector against one TPR."""
    o = oracle("shadow x2apic delivery" + (" posted" if by.startswith("post") else ""), flag=1)
    o.controls.notification_vector = NOTIFICATION
    o.vapic.page[Reg.VTPR] = 255 if by == "cr8" else tpr
    o.vapic.rvi = vector if by in ("entry", "cr8") else 0
    assert o.enter() == Step.GOES_ON
    if by == "self ipi":
        assert o.wrmsr(0x3F, vector) == Step.GOES_ON
    elif by == "cr8":
        assert o.boundary() == Step.GOES_ON
        assert o.write_cr8(tpr >> 4) == Step.GOES_ON
    elif by.startswith("post"):
        if by == "post, halted":
            o.load_flag(0)
            o.sti()
            assert (o.hlt(), o.boundary()) == (Step.GOES_ON, Step.HALTED)
        set_bit(o.pid.pir, 0, 1, vector)
        o.pid.on = 1
        accept(o.lapic, NOTIFICATION, 0)
    assert handled(o) == (expected["handlers"], 0)
    if "requested" in expected:
        assert has_bit(o.vapic.page, Reg.VIRR, ON_PAGE, vector)
        clear_bit(o.vapic.page, Reg.VIRR, ON_PAGE, vector)
    o.vmcall()
    rvi = vector if expected["rvi"] == "vector" else expected["rvi"]
    assert (o.out.status, o.state.activity) == (rvi, Activity.ACTIVE)


def check_eois(row: dict[str, Any]) -> None:
    """A vector and a lower one that waits; both handlers run, and each EOI exits where the bitmap says so."""
    first, last = row["vectors"]
    low, high = row.get("lower", (0, 0))
    for vector in range(first, last + 1):
        for lower in sorted({low, low + 16, vector - 17, vector - 16, vector - 1, vector >> 4 << 4} if low else {0}):
            if low and not low <= lower <= min(high, vector - 1):
                continue
            o = oracle("shadow x2apic delivery", flag=1)
            for i in range(8):
                o.vapic.eoi_exit[i] = 0xFFFFFFFF if row["bitmap"] == "all" else 0
            if row.get("by") == "software interrupt":
                assert o.enter() == Step.GOES_ON
                assert o.wrmsr(0x0B, 0) == Step.GOES_ON, "its EOI finds nothing in service"
                continue
            set_bit(o.vapic.page, Reg.VIRR, ON_PAGE, lower)
            o.vapic.rvi = vector
            assert o.enter() == Step.GOES_ON
            assert handled(o) == (row["handlers"], row["exits"])
            assert not any(o.vapic.page[Reg.VIRR + 4 * i] for i in range(8))


def check_windows(row: dict[str, Any]) -> None:
    """The window exit comes after exactly so many instructions."""
    o = oracle("", flag=row["flag"])
    o.vapic.window_exiting = 1
    o.state.mov_ss_blocking = int(row.get("blocking") == "mov ss")
    o.state.sti_blocking = int(row.get("blocking") == "sti")
    o.state.activity = Activity.HLT if row.get("activity") == "halted" else Activity.ACTIVE
    if "inject" in row:
        o.state.entry_vector, o.state.entry_type = 1, 3
    assert o.enter() == (Step.INTERRUPT if "inject" in row else Step.GOES_ON)
    if "inject" in row:
        assert o.vector == 1
        o.load_flag(1)
    done = 0
    while (answer := o.boundary()) == Step.GOES_ON:
        name = row.get("program", ["nop"] * 9)[done]
        assert (o.sti() if name == "sti" else o.nop()) == Step.GOES_ON
        done += 1
    assert (answer, o.out.reason, done) == (Step.EXIT, Exit.INTERRUPT_WINDOW, row["instructions"])


def check_halts(row: dict[str, Any]) -> None:
    """What comes first, before any instruction of the guest."""
    o = oracle(row["controls"], flag=row["flag"])
    halted = row.get("activity", "halted") == "halted"
    o.state.activity = Activity.HLT if halted else Activity.ACTIVE
    o.vapic.rvi = row.get("rvi", 0)
    if "real" in row:
        accept(o.lapic, row["real"], 0)
    assert o.enter() == Step.GOES_ON
    if row["first"] == "handler":
        assert (o.boundary(), o.vector) == (Step.INTERRUPT, row["vector"])
        assert o.wrmsr(0x0B, 0) == Step.GOES_ON and o.boundary() == Step.GOES_ON
        return
    assert (o.boundary(), o.out.reason, o.out.vector) == (Step.EXIT, Exit.EXTERNAL_INTERRUPT, row["real"])
    assert o.out.activity == (Activity.HLT if halted else Activity.ACTIVE)


def check_passed_through(row: dict[str, Any]) -> None:
    """Without external-interrupt exiting the guest has the real local APIC for itself."""
    o, vector = oracle("-extint", flag=row.get("flag", 1)), row["vector"]
    o.controls.msr_bitmaps = 1
    if row.get("trigger") != "level":
        write_tpr(o.lapic, row["tpr_before"])
        accept(o.lapic, vector, 0)
        assert (o.enter(), o.boundary()) == (Step.GOES_ON, Step.GOES_ON)
        assert (o.wrmsr(0x08, row["guest_writes_tpr"]), o.boundary()) == (Step.GOES_ON, Step.GOES_ON)
        assert o.lapic.tpr == row["tpr_after"]
        assert (deliverable(o.lapic) == vector) == row["still_pending"]
        return
    ioapic = IoApic(0, 1)
    write_entry_low(ioapic, 0, 0x8000 | vector)
    assert (o.enter(), o.boundary()) == (Step.GOES_ON, Step.GOES_ON)
    set_pin(ioapic, 0, 1)
    accept(o.lapic, vector, 1)
    accepted(ioapic, 0)
    assert (o.boundary(), o.vector) == (Step.INTERRUPT, vector)
    assert ioapic.entries[0].low >> 14 & 1 == row["remote_irr_in_handler"]
    set_pin(ioapic, 0, 0)
    assert broadcasts_eoi(o.lapic, vector)
    assert o.wrmsr(0x0B, 0) == Step.GOES_ON
    end_of_interrupt(ioapic, vector)
    assert ioapic.entries[0].low >> 14 & 1 == row["remote_irr_after_eoi"]


CHECKS = {
    "pages": check_pages, "msrs": check_msrs, "entries": check_entries, "thresholds": check_thresholds,
    "deliveries": check_deliveries, "eois": check_eois, "windows": check_windows, "halts": check_halts,
    "passed_through": check_passed_through,
}  # fmt: skip


@pytest.mark.parametrize(("kind", "row"), ROWS, ids=[f"{row['test']}-{n}" for n, (_, row) in enumerate(ROWS)])
def test_what_kvm_unit_tests_expects(kind: str, row: dict[str, Any]) -> None:
    """Every row of the data, on the rules."""
    CHECKS[kind](row)


def test_every_test_that_the_digest_names_has_rows() -> None:
    """The APIC-virtualization tests of x86/vmx_tests.c, by name."""
    named = {row["test"] for _, row in ROWS}
    assert named == {
        "apic_reg_virt_test", "virt_x2apic_mode_test", "test_apic_virt_addr", "test_apic_access_addr",
        "test_apic_virtual_ctls", "test_virtual_intr_ctls", "test_posted_intr", "test_tpr_threshold",
        "vmx_basic_vid_test", "vmx_posted_interrupts_test", "vmx_eoi_virt_test", "vmx_eoi_bitmap_ioapic_scan_test",
        "vmx_intr_window_test", "vmx_hlt_with_rvi_test", "vmx_pending_event_test", "vmx_pending_event_hlt_test",
        "vmx_apic_passthrough_test", "vmx_apic_passthrough_thread_test", "vmx_apic_passthrough_tpr_threshold_test",
    }  # fmt: skip
