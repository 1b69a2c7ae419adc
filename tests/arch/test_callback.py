"""How an event becomes an interrupt in an HVM guest: full truth tables of styles, sources, blocking and windows."""

from itertools import product

import pytest

from exitless.arch.outcome import Blocked, Source
from exitless.arch.xen import callback
from exitless.arch.xen.callback import Callback

STYLES = [Callback.NONE, Callback.GSI, Callback.PCI_INTX, Callback.VECTOR, Callback.UPCALL_VECTOR]
SOURCES = [Source.PIC, Source.LAPIC, Source.NMI, Source.MCE, Source.VECTOR]


def halves(value: int) -> tuple[int, int]:
    """Split a 64-bit parameter as the rule wants it."""
    return value >> 32, value & 0xFFFFFFFF


# ---- HVM_PARAM_CALLBACK_IRQ ----


@pytest.mark.parametrize("kind", range(256))
def test_the_type_in_bits_63_to_56_is_the_style(kind: int) -> None:
    expected = {0: Callback.GSI, 1: Callback.PCI_INTX, 2: Callback.VECTOR}.get(kind, Callback.NONE)
    assert callback.decode_callback_irq(*halves(kind << 56 | 0xF3)) == expected
    assert callback.decode_callback_irq(*halves(kind << 56 | 0x00FFFFFF000000F3)) == expected


def test_value_0_and_gsi_0_are_no_callback() -> None:
    assert callback.decode_callback_irq(0, 0) == Callback.NONE
    assert callback.decode_callback_irq(0, 0x100) == Callback.NONE
    assert callback.decode_callback_irq(0, 1) == Callback.GSI, "Linux' dummy value beside per-vCPU vectors"


def test_a_pci_callback_on_device_0_inta_is_a_callback() -> None:
    assert callback.decode_callback_irq(*halves(1 << 56)) == Callback.PCI_INTX


def test_payload_fields() -> None:
    assert callback.callback_number(0xFFFFFFF3) == 0xF3
    for device, intx in product(range(32), range(4)):
        low = 0xFFFF07FC | device << 11 | intx
        assert callback.callback_device(low) == device
        assert callback.callback_intx(low) == intx


@pytest.mark.parametrize("vector", range(256))
def test_upcall_vectors_start_at_16_and_go_before_the_domains_style(vector: int) -> None:
    assert callback.is_upcall_vector(vector) == (vector >= 16)
    for style in STYLES[:4]:
        expected = Callback.UPCALL_VECTOR if vector >= 16 else style
        assert callback.effective_style(style, vector) == expected
    assert not callback.is_upcall_vector(256)


# ---- asserting ----


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("vectors", [0, 1])
@pytest.mark.parametrize("vcpu", [0, 1, 31])
def test_assertion_table(style: int, vectors: int, vcpu: int) -> None:
    assert callback.assert_callback(1, style, vectors, vcpu) == callback.ASSERT_TASKLET
    if style == Callback.UPCALL_VECTOR:
        expected = callback.ASSERT_LAPIC
    elif style == Callback.VECTOR or vectors:
        expected = callback.ASSERT_KICK
    elif style in (Callback.GSI, Callback.PCI_INTX) and vcpu == 0:
        expected = callback.ASSERT_WIRE
    else:
        expected = callback.ASSERT_NOTHING
    assert callback.assert_callback(0, style, vectors, vcpu) == expected


@pytest.mark.parametrize("style", STYLES)
@pytest.mark.parametrize("pending", [0, 1])
def test_the_wire_follows_upcall_pending_of_vcpu_0(style: int, pending: int) -> None:
    wired = style in (Callback.GSI, Callback.PCI_INTX)
    assert callback.wire_level(style, pending) == (1 if wired and pending else 0)


# ---- what is pending ----


@pytest.mark.parametrize("style", STYLES)
def test_sources_are_asked_in_order(style: int) -> None:
    """NMI, machine check, vector callback, PIC, local APIC: the first that is pending, in all combinations."""
    for nmi, mce, upcall, pic, lapic in product((0, 1), (0, 1), (0, 1), (0, 1), (0, 16, 0x80, 255)):
        order = [
            (nmi, Source.NMI),
            (mce, Source.MCE),
            (upcall and style == Callback.VECTOR, Source.VECTOR),
            (pic, Source.PIC),
            (lapic, Source.LAPIC),
            (1, Source.NONE),
        ]
        expected = next(source for there, source in order if there)
        assert callback.pending_source(nmi, mce, style, upcall, pic, lapic) == expected


def test_a_vector_callback_goes_before_every_vector() -> None:
    for vector in range(16, 256):
        assert callback.pending_source(0, 0, Callback.VECTOR, 1, 0, vector) == Source.VECTOR


def test_an_upcall_vector_is_the_local_apics() -> None:
    for vector in range(16, 256):
        assert callback.pending_source(0, 0, Callback.UPCALL_VECTOR, 1, 0, vector) == Source.LAPIC
    assert callback.pending_source(0, 0, Callback.UPCALL_VECTOR, 1, 0, 0) == Source.NONE


# ---- what blocks ----


@pytest.mark.parametrize("source", SOURCES)
def test_blocking_table(source: int) -> None:
    """IF stops all but NMI; a shadow stops all; NMI blocking stops NMI; TPR stops the local APIC's vectors."""
    for flag, shadow, nmi_blocking, tpr, vector in product((0, 1), (0, 1), (0, 1), range(16), (0x20, 0x2F, 0x80, 0xFF)):
        if flag == 0 and source != Source.NMI:
            expected = Blocked.FLAG
        elif shadow:
            expected = Blocked.SHADOW
        elif source == Source.NMI and nmi_blocking:
            expected = Blocked.NMI
        elif source == Source.LAPIC and not vector // 16 > tpr:
            expected = Blocked.TPR
        else:
            expected = Blocked.NONE
        assert callback.interrupt_blocked(source, flag, shadow, nmi_blocking, tpr, vector) == expected


def test_tpr_compares_classes_for_every_vector() -> None:
    for vector, tpr in product(range(16, 256), range(16)):
        blocked = callback.interrupt_blocked(Source.LAPIC, 1, 0, 0, tpr, vector) == Blocked.TPR
        assert blocked == (tpr >= vector // 16)


def test_tpr_never_blocks_a_vector_callback() -> None:
    for vector, tpr in product(range(16, 256), range(16)):
        assert callback.interrupt_blocked(Source.VECTOR, 1, 0, 0, tpr, vector) == Blocked.NONE


# ---- vmx_intr_assist, steps 5 and 8 ----

PROCEED, WINDOW, OUT = callback.ASSIST_PROCEED, callback.ASSIST_WINDOW, callback.ASSIST_OUT
THRESHOLD = callback.ASSIST_THRESHOLD

# With virtual-interrupt delivery. Source: answer when blocked; when not blocked and the injection field is valid.
# A source that may be blocked without an answer of its own (None) goes on to the question of the field.
WITH_VID = {
    Source.PIC: (WINDOW, WINDOW),
    Source.LAPIC: (None, OUT),
    Source.NMI: (WINDOW, WINDOW),
    Source.MCE: (None, WINDOW),
    Source.VECTOR: (WINDOW, OUT),
}


@pytest.mark.parametrize("source", SOURCES)
def test_assist_with_virtual_interrupt_delivery(source: int) -> None:
    when_blocked, when_valid = WITH_VID[source]
    for blocked, valid in product(range(5), (0, 1)):
        if blocked and when_blocked is not None:
            expected = when_blocked
        else:
            expected = when_valid if valid else PROCEED
        assert callback.assist_blocked(1, source, blocked, valid) == expected


@pytest.mark.parametrize("source", SOURCES)
def test_assist_without_virtual_interrupt_delivery(source: int) -> None:
    for blocked, valid in product(range(5), (0, 1)):
        if blocked == Blocked.TPR:
            expected = THRESHOLD
        elif blocked or valid:
            expected = WINDOW
        else:
            expected = PROCEED
        assert callback.assist_blocked(0, source, blocked, valid) == expected


@pytest.mark.parametrize("source", [Source.NONE, *SOURCES])
def test_window_after_injection(source: int) -> None:
    assert callback.window_after_injection(0, source) == (source != Source.NONE)
    assert callback.window_after_injection(1, source) == (source in (Source.PIC, Source.VECTOR))


def test_source_numbers_are_those_of_traces() -> None:
    numbers = [Source.NONE, Source.PIC, Source.LAPIC, Source.NMI, Source.MCE, Source.VECTOR]
    assert numbers == [0, 1, 2, 3, 4, 5]
