"""VM entry: every check on controls, event field and guest state, with the reason that is answered, and their order."""

from itertools import product

import pytest

from exitless.arch.outcome import Entry
from exitless.arch.vmx.controls import CHECK_REASONS, Activity, Check, Controls, check_controls, is_address
from exitless.arch.vmx.entry import (
    GUEST_REASONS,
    GuestCheck,
    check_guest_state,
    control_check,
    is_event,
    is_loadable_msr,
    judge_entry,
)
from exitless.arch.vmx.injection import EventType, GuestState, inject_at_entry

FULL = {"use_tpr_shadow": 1, "virtual_interrupt_delivery": 1, "process_posted_interrupts": 1}


def programmed(**fields: int) -> Controls:
    """Return controls with these fields."""
    controls = Controls()
    for name, value in fields.items():
        assert hasattr(controls, name)
        setattr(controls, name, value)
    return controls


def guest(**fields: int) -> GuestState:
    """Return an active guest with IF=1 and these fields."""
    state = GuestState()
    state.interrupt_flag = 1
    for name, value in fields.items():
        assert hasattr(state, name)
        setattr(state, name, value)
    return state


# ---- controls ----


@pytest.mark.parametrize(
    ("check", "fields", "cure"),
    [
        (Check.MSR_BITMAP_ADDRESS, {"msr_bitmap_address": 0x800}, {"msr_bitmaps": 0}),
        (Check.VIRTUAL_APIC_ADDRESS, {**FULL, "virtual_apic_address": 0x20}, {"virtual_apic_address": 0x3000}),
        (Check.TPR_THRESHOLD_BITS, {"use_tpr_shadow": 1, "tpr_threshold": 0x10}, {"virtual_interrupt_delivery": 1}),
        (Check.TPR_THRESHOLD_VALUE, {"use_tpr_shadow": 1, "tpr_threshold": 5}, {"virtualize_apic_accesses": 1}),
        (Check.APIC_ACCESS_ADDRESS, {"virtualize_apic_accesses": 1, "apic_access_address": 1}, {"secondary": 0}),
        (Check.NEEDS_TPR_SHADOW, {"virtualize_x2apic_mode": 1}, {"use_tpr_shadow": 1}),
        (Check.NEEDS_TPR_SHADOW, {"apic_register_virtualization": 1}, {"secondary": 0}),
        (Check.NEEDS_TPR_SHADOW, {"virtual_interrupt_delivery": 1}, {"secondary": 0}),
        (Check.NEEDS_TPR_SHADOW, {"tertiary": 1, "ipi_virtualization": 1}, {"tertiary": 0}),
        (
            Check.X2APIC_WITH_ACCESSES,
            {"use_tpr_shadow": 1, "virtualize_x2apic_mode": 1, "virtualize_apic_accesses": 1},
            {"virtualize_apic_accesses": 0},
        ),
        (
            Check.VID_NEEDS_EXTINT,
            {"use_tpr_shadow": 1, "virtual_interrupt_delivery": 1, "ext_int_exiting": 0},
            {"ext_int_exiting": 1},
        ),
        (Check.POSTING_NEEDS_VID, {**FULL, "virtual_interrupt_delivery": 0}, {"process_posted_interrupts": 0}),
        (Check.POSTING_NEEDS_VID, {**FULL, "secondary": 0}, {"secondary": 1}),
        (Check.POSTING_NEEDS_ACK, {**FULL, "ack_int_on_exit": 0}, {"ack_int_on_exit": 1}),
        (Check.NOTIFICATION_VECTOR, {**FULL, "notification_vector": 0x1F2}, {"notification_vector": 0xF2}),
        (Check.DESCRIPTOR_ADDRESS, {**FULL, "descriptor_address": 0x20}, {"descriptor_address": 0x40}),
        (Check.NMI_CONTROLS, {"virtual_nmis": 1}, {"nmi_exiting": 1}),
        (Check.NMI_CONTROLS, {"nmi_window_exiting": 1, "nmi_exiting": 1}, {"virtual_nmis": 1}),
        (
            Check.PID_TABLE_ADDRESS,
            {"use_tpr_shadow": 1, "tertiary": 1, "ipi_virtualization": 1, "pid_table_address": 4},
            {"pid_table_address": 8},
        ),
        (
            Check.APIC_TIMER,
            {**FULL, "tertiary": 1, "apic_timer_virtualization": 1, "virtual_timer_vector": 15},
            {"virtual_timer_vector": 16},
        ),
    ],
)
def test_each_check_fails_alone_and_is_cured_by_one_field(
    check: int, fields: dict[str, int], cure: dict[str, int]
) -> None:
    controls = programmed(**fields)
    assert check_controls(controls, 0) == check
    assert check_controls(programmed(**{**fields, **cure}), 0) == Check.PASS
    assert judge_entry(controls, guest(), 0, False) == Entry.INVALID_CONTROLS


def test_every_failure_has_a_reason_in_words() -> None:
    numbers = {value for name, value in vars(Check).items() if name.isupper()}
    assert set(CHECK_REASONS) == numbers
    assert set(GUEST_REASONS) == {value for name, value in vars(GuestCheck).items() if name.isupper()}


def test_thresholds_against_every_vtpr() -> None:
    """C4: bits 3:0 of the threshold may not be above bits 7:4 of VTPR, whose low nibble does not count."""
    for threshold, vtpr in product(range(16), range(256)):
        controls = programmed(use_tpr_shadow=1, tpr_threshold=threshold)
        expected = Check.TPR_THRESHOLD_VALUE if threshold > vtpr // 16 else Check.PASS
        assert check_controls(controls, vtpr) == expected
        controls.virtualize_apic_accesses = 1
        assert check_controls(controls, vtpr) == Check.PASS, "then the entry succeeds and exits"


def test_threshold_bits_31_to_4_count_without_virtual_interrupt_delivery_only() -> None:
    for bit in range(4, 32):
        controls = programmed(use_tpr_shadow=1, tpr_threshold=1 << bit, virtualize_apic_accesses=1)
        assert check_controls(controls, 0xFF) == Check.TPR_THRESHOLD_BITS
        controls.virtual_interrupt_delivery = 1
        assert check_controls(controls, 0) == Check.PASS


@pytest.mark.parametrize(
    ("field", "alignment", "check"),
    [
        ("virtual_apic_address", 4096, Check.VIRTUAL_APIC_ADDRESS),
        ("apic_access_address", 4096, Check.APIC_ACCESS_ADDRESS),
        ("msr_bitmap_address", 4096, Check.MSR_BITMAP_ADDRESS),
        ("descriptor_address", 64, Check.DESCRIPTOR_ADDRESS),
    ],
)
def test_every_bit_of_an_address(field: str, alignment: int, check: int) -> None:
    """C1, C2, C5, C12 and C16: aligned, within the physical width, within 32 bits where the processor says so."""
    for bit in range(62):
        controls = programmed(**FULL, virtualize_apic_accesses=1, physical_width=46)
        setattr(controls, field, 1 << bit)
        wrong = 1 << bit < alignment or bit >= 46
        assert check_controls(controls, 0) == (check if wrong else Check.PASS)
        controls.addresses_32_bit = 1
        assert check_controls(controls, 0) == (check if wrong or bit >= 32 else Check.PASS)
        assert is_address(controls, 0, alignment), "address 0 is legal"


def test_the_last_entry_of_the_pid_pointer_table_lies_within_the_physical_width() -> None:
    controls = programmed(use_tpr_shadow=1, tertiary=1, ipi_virtualization=1, physical_width=40)
    controls.pid_table_address = (1 << 40) - 64
    for last in range(16):
        controls.last_pid_index = last
        assert check_controls(controls, 0) == (Check.PASS if last < 8 else Check.PID_TABLE_ADDRESS)


def test_the_number_of_legal_settings_with_ipi_virtualization() -> None:
    """92 of nine bits: IPI virtualization needs the TPR shadow and nothing else."""
    names = ("use_tpr_shadow", "virtualize_apic_accesses", "virtualize_x2apic_mode", "apic_register_virtualization")
    names += ("virtual_interrupt_delivery", "ext_int_exiting", "process_posted_interrupts", "ack_int_on_exit")
    names += ("ipi_virtualization",)
    settings = [programmed(tertiary=1, **dict(zip(names, bits))) for bits in product((0, 1), repeat=9)]
    assert sum(check_controls(controls, 0) == Check.PASS for controls in settings) == 92


def test_tertiary_controls_that_are_not_activated_do_not_count() -> None:
    controls = programmed(ipi_virtualization=1, apic_timer_virtualization=1, pid_table_address=3)
    assert check_controls(controls, 0) == Check.PASS


@pytest.mark.parametrize("vector", range(256))
def test_timer_vectors(vector: int) -> None:
    controls = programmed(**FULL, tertiary=1, apic_timer_virtualization=1, virtual_timer_vector=vector)
    assert check_controls(controls, 0) == (Check.PASS if vector >= 16 else Check.APIC_TIMER)
    controls.virtual_timer_vector = vector + 256
    assert check_controls(controls, 0) == Check.APIC_TIMER


# ---- the event field ----


@pytest.mark.parametrize("vector", range(256))
def test_which_vectors_a_type_may_have(vector: int) -> None:
    legal = {
        EventType.EXTERNAL_INTERRUPT: True,
        EventType.RESERVED: False,
        EventType.NMI: vector == 2,
        EventType.HARDWARE_EXCEPTION: vector < 32,
        EventType.SOFTWARE_INTERRUPT: True,
        EventType.PRIVILEGED_SOFTWARE_EXCEPTION: True,
        EventType.SOFTWARE_EXCEPTION: True,
        EventType.OTHER: vector == 0,
    }
    for kind, expected in legal.items():
        pushes = kind == EventType.HARDWARE_EXCEPTION and vector in (8, 10, 11, 12, 13, 14, 17)
        for error in (0, 0x800):
            state = guest(entry_vector=vector, entry_type=kind, entry_bits=error)
            assert is_event(state, Controls()) == (expected and pushes == bool(error))


def test_reserved_bits_of_the_event_field() -> None:
    for bit in range(12, 31):
        state = guest(entry_vector=0x41, entry_bits=1 << bit)
        assert not is_event(state, Controls())
        assert control_check(Controls(), state, 0) == Check.EVENT_FIELD
        assert judge_entry(Controls(), state, 0, False) == Entry.INVALID_CONTROLS
    assert is_event(guest(entry_bits=1 << 12), Controls()), "bits count only with the valid bit"


# ---- guest state ----


def naive_guest_check(state: GuestState, virtual_nmis: int) -> bool:
    """G1 to G9 as one sentence each; True when all hold."""
    blocked = state.sti_blocking or state.mov_ss_blocking
    inject, kind, vector = state.entry_vector >= 0, state.entry_type, state.entry_vector
    exception = kind == 3
    holds = [
        not (inject and kind == 0 and not state.interrupt_flag),
        not (inject and kind == 0 and blocked),
        not (inject and kind == 2 and (state.mov_ss_blocking or (virtual_nmis and state.nmi_blocking))),
        not (state.sti_blocking and state.mov_ss_blocking),
        not (state.sti_blocking and not state.interrupt_flag),
        not (blocked and state.activity != 0),
        not (state.activity == 1 and inject and not (kind in (0, 2, 7) or (exception and vector in (1, 18)))),
        not (state.activity == 2 and inject and not (kind == 2 or (exception and vector == 18))),
        not (state.activity == 3 and inject),
        state.activity in (0, 1, 2, 3),
    ]
    return all(holds)


def test_guest_state_against_the_sentences() -> None:
    events = [(-1, 0), (0x41, 0), (2, 2), (1, 3), (13, 3), (18, 3), (0x80, 4), (1, 5), (3, 6), (0, 7)]
    bits = list(product((0, 1), repeat=5))
    for (flag, sti, mov_ss, nmi, vnmi), activity, (vector, kind) in product(bits, range(6), events):
        state = guest(interrupt_flag=flag, sti_blocking=sti, mov_ss_blocking=mov_ss, nmi_blocking=nmi)
        state.activity, state.entry_vector, state.entry_type = activity, vector, kind
        controls = programmed(virtual_nmis=vnmi, nmi_exiting=vnmi)
        passed = check_guest_state(state, controls) == GuestCheck.PASS
        assert passed == naive_guest_check(state, vnmi)


@pytest.mark.parametrize(
    ("check", "fields"),
    [
        (GuestCheck.INTERRUPT_NEEDS_IF, {"interrupt_flag": 0, "entry_vector": 0x41}),
        (GuestCheck.INTERRUPT_BLOCKED, {"sti_blocking": 1, "entry_vector": 0x41}),
        (GuestCheck.INTERRUPT_BLOCKED, {"mov_ss_blocking": 1, "entry_vector": 0x41}),
        (GuestCheck.NMI_BLOCKED, {"mov_ss_blocking": 1, "entry_vector": 2, "entry_type": 2}),
        (GuestCheck.INTERRUPTIBILITY, {"sti_blocking": 1, "mov_ss_blocking": 1}),
        (GuestCheck.INTERRUPTIBILITY, {"sti_blocking": 1, "interrupt_flag": 0}),
        (GuestCheck.INTERRUPTIBILITY, {"other_blocking": 32}),
        (GuestCheck.BLOCKED_AND_INACTIVE, {"sti_blocking": 1, "activity": Activity.HLT}),
        (GuestCheck.EVENT_IN_HLT, {"activity": Activity.HLT, "privilege": 3}),
        (GuestCheck.EVENT_IN_HLT, {"activity": Activity.HLT, "entry_vector": 13, "entry_type": 3, "entry_bits": 0x800}),
        (GuestCheck.EVENT_IN_SHUTDOWN, {"activity": Activity.SHUTDOWN, "entry_vector": 0x41}),
        (GuestCheck.EVENT_IN_WAIT_FOR_SIPI, {"activity": Activity.WAIT_FOR_SIPI, "entry_vector": 2, "entry_type": 2}),
        (GuestCheck.ACTIVITY, {"activity": Activity.MWAIT}),
    ],
)
def test_the_reason_of_each_guest_check(check: int, fields: dict[str, int]) -> None:
    state = guest(**fields)
    assert check_guest_state(state, Controls()) == check
    assert judge_entry(Controls(), state, 0, False) == Entry.INVALID_GUEST_STATE


def test_results_exclude_each_other_in_the_manuals_order() -> None:
    """Blocking by MOV SS in the host, then the controls, then the guest's state."""
    wrong, bad = programmed(virtual_interrupt_delivery=1), guest(activity=9)
    assert judge_entry(wrong, bad, 0, True) == Entry.MOV_SS_BLOCKING
    assert judge_entry(wrong, bad, 0, False) == Entry.INVALID_CONTROLS
    assert judge_entry(Controls(), bad, 0, False) == Entry.INVALID_GUEST_STATE
    assert judge_entry(Controls(), guest(), 0, False) == Entry.ENTERED


@pytest.mark.parametrize("index", [0x7FF, 0x800, 0x808, 0x8FF, 0x900, 0xC0000080, 0x1B])
def test_msr_load_lists_hold_no_register_of_the_x2apic(index: int) -> None:
    assert is_loadable_msr(index) == (not 0x800 <= index <= 0x8FF)


def test_an_injected_nmi_blocks_further_ones_and_an_interrupt_does_not() -> None:
    for kind, vector in ((EventType.NMI, 2), (EventType.EXTERNAL_INTERRUPT, 0x41)):
        state = guest(entry_type=kind, entry_vector=vector, activity=Activity.HLT)
        assert inject_at_entry(state) == vector
        assert state.nmi_blocking == (kind == EventType.NMI)
        assert (state.activity, state.interrupt_flag, state.entry_vector) == (Activity.ACTIVE, 0, -1)
