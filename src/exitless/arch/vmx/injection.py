"""What a guest can be given at VM entry: the interruption-information field, and an emulated local APIC's part in it.

SDM vol. 3, 24.8.3, 26.3.1.4 and 26.5; Xen's and KVM's emulated local APIC.
"""

from typing import Final

from mypy_extensions import i64

from exitless.arch.vmx.controls import Activity
from exitless.arch.vmx.evaluate import evaluate_pending
from exitless.arch.vmx.priority import ppr_virtualization
from exitless.arch.vmx.virtual_apic import Reg, VirtualApic
from exitless.bits.words import ON_PAGE, clear_bit, has_bit, highest_bit, set_bit, test_and_set


class GuestState:
    """The guest state that decides whether an interrupt may be taken.

    ``entry_vector`` is the vector of the event that the next VM entry injects, -1 for none, ``entry_type`` its type (0
    an external interrupt), ``entry_bits`` bits 30:11 of the field. Blocking by STI, by MOV SS and by NMI are 0 or 1;
    ``other_blocking`` holds the other bits of the interruptibility field, ``privilege`` the DPL of SS.
    Cites: SDM vmcs.guest-state
    """

    def __init__(self) -> None:
        self.interrupt_flag: i64 = 0
        self.sti_blocking: i64 = 0
        self.mov_ss_blocking: i64 = 0
        self.nmi_blocking: i64 = 0
        self.other_blocking: i64 = 0
        self.privilege: i64 = 0
        self.activity: i64 = Activity.ACTIVE
        self.entry_vector: i64 = -1
        self.entry_type: i64 = 0
        self.entry_bits: i64 = 0


class EventType:
    """Types of events, bits 10:8 of the interruption-information fields. Cites: SDM vmx.event-injection"""

    EXTERNAL_INTERRUPT: Final = 0
    RESERVED: Final = 1
    NMI: Final = 2
    HARDWARE_EXCEPTION: Final = 3
    SOFTWARE_INTERRUPT: Final = 4
    PRIVILEGED_SOFTWARE_EXCEPTION: Final = 5
    SOFTWARE_EXCEPTION: Final = 6
    OTHER: Final = 7


def go_through_idt(state: GuestState) -> None:
    """An event is delivered through an interrupt gate of the guest's IDT.

    Changes: activity becomes active, blocking by STI and MOV SS ends, IF becomes 0
    Cites: SDM vmx.event-injection
    """
    state.activity = Activity.ACTIVE
    state.sti_blocking = 0
    state.mov_ss_blocking = 0
    state.interrupt_flag = 0


def may_take_interrupt(state: GuestState) -> bool:
    """Tell whether IF is 1 and neither STI nor MOV SS blocks. Cites: SDM vmcs.guest-state"""
    return state.interrupt_flag != 0 and state.sti_blocking == 0 and state.mov_ss_blocking == 0


def load_at_entry(vapic: VirtualApic) -> None:
    """VM entry with virtual-interrupt delivery virtualizes the PPR and evaluates, before any event is injected.

    Changes: VPPR, recognition
    Cites: SDM vmx.entry-vid
    """
    ppr_virtualization(vapic)
    evaluate_pending(vapic)


def inject_trap(state: GuestState) -> bool:
    """VM entry takes an event of type 7, vector 0, from its field: a monitor trap is pending, and nothing is delivered.

    The activity state and blocking stay what the VMCS says.

    Changes: the field's valid bit
    Returns: whether the field held one.
    Cites: SDM vmx.event-trap
    """
    if state.entry_vector < 0 or state.entry_type != EventType.OTHER:
        return False
    state.entry_vector = -1
    return True


def inject_at_entry(state: GuestState) -> i64:
    """VM entry delivers the event in its interruption-information field through the guest's IDT, unconditionally.

    No priority is compared and no register of the virtual APIC changes. The handler starts with IF=0, which is what an
    interrupt gate does. An NMI blocks further ones.

    Changes: the field's valid bit, activity, interruptibility, IF
    Returns: the vector, or -1 when the field was not valid.
    Cites: SDM vmx.event-injection
    """
    vector: i64 = state.entry_vector
    if vector >= 0:
        state.entry_vector = -1
        if state.entry_type == EventType.NMI:
            state.nmi_blocking = 1
        go_through_idt(state)
    return vector


def keep_trigger(vapic: VirtualApic, vector: i64, level: i64) -> None:
    """Software accepts ``vector`` for a guest: the trigger mode goes into TMR, on every acceptance.

    Changes: VTMR
    Cites: Xen vlapic.c vlapic_set_irq
    """
    if level != 0:
        set_bit(vapic.page, Reg.VTMR, ON_PAGE, vector)
    else:
        clear_bit(vapic.page, Reg.VTMR, ON_PAGE, vector)


def request_interrupt(vapic: VirtualApic, vector: i64, level: i64) -> bool:
    """Software sets ``vector`` in the guest's IRR; the trigger mode is kept in TMR on every acceptance.

    Changes: VIRR, VTMR
    Returns: whether the vector was already requested (the two become one).
    Cites: Xen vlapic.c vlapic_set_irq
    """
    keep_trigger(vapic, vector, level)
    return test_and_set(vapic.page, Reg.VIRR, ON_PAGE, vector)


def is_level(vapic: VirtualApic, vector: i64) -> bool:
    """Tell whether ``vector`` was last accepted as level triggered. Cites: Xen vlapic.c vlapic_set_irq"""
    return has_bit(vapic.page, Reg.VTMR, ON_PAGE, vector)


def highest_requested(vapic: VirtualApic) -> i64:
    """Return the highest vector in VIRR, 0 when there is none. Cites: Xen vlapic.c vlapic_find_highest_irr"""
    return highest_bit(vapic.page, Reg.VIRR, ON_PAGE)


def pending_without_vid(vapic: VirtualApic) -> i64:
    """An emulated local APIC names the vector that could go next: its class must be above the one in service.

    TPR is judged separately (a blocked vector makes the TPR threshold). Returns: the vector, or 0.
    Cites: Xen vlapic.c vlapic_has_pending_irq
    """
    vector: i64 = highest_bit(vapic.page, Reg.VIRR, ON_PAGE)
    if vector >> 4 <= highest_bit(vapic.page, Reg.VISR, ON_PAGE) >> 4:
        return 0
    return vector


def acknowledge_emulated(vapic: VirtualApic, vector: i64) -> None:
    """An emulated local APIC moves ``vector`` from IRR to ISR at the moment of injection.

    Changes: VIRR, VISR, VPPR
    Cites: Xen vlapic.c vlapic_ack_pending_irq
    """
    clear_bit(vapic.page, Reg.VIRR, ON_PAGE, vector)
    set_bit(vapic.page, Reg.VISR, ON_PAGE, vector)
    vapic.svi = highest_bit(vapic.page, Reg.VISR, ON_PAGE)
    ppr_virtualization(vapic)
