"""The fields of a VMCS that hold controls and interrupt state, as words, bit by bit. SDM vol. 3, 24.4 to 24.8.

A layout names an attribute with its bit. What is not named is neither read nor kept: a caller that has a whole VMCS
keeps those bits itself.
"""

from typing import Final

from librt.vecs import vec
from mypy_extensions import i64

from exitless.arch.vmx.controls import Controls
from exitless.arch.vmx.injection import GuestState
from exitless.arch.vmx.virtual_apic import VirtualApic
from exitless.bits.words import shl

Layout = list[tuple[str, int]]

PIN_LAYOUT: Final[Layout] = [
    ("ext_int_exiting", 0), ("nmi_exiting", 3), ("virtual_nmis", 5), ("process_posted_interrupts", 7),
]  # fmt: skip
PRIMARY_LAYOUT: Final[Layout] = [
    ("hlt_exiting", 7), ("mwait_exiting", 10), ("tertiary", 17), ("cr8_load_exiting", 19), ("cr8_store_exiting", 20),
    ("use_tpr_shadow", 21), ("nmi_window_exiting", 22), ("msr_bitmaps", 28), ("secondary", 31),
]  # fmt: skip
SECONDARY_LAYOUT: Final[Layout] = [
    ("virtualize_apic_accesses", 0), ("virtualize_x2apic_mode", 4), ("apic_register_virtualization", 8),
    ("virtual_interrupt_delivery", 9),
]  # fmt: skip
TERTIARY_LAYOUT: Final[Layout] = [("ipi_virtualization", 4), ("apic_timer_virtualization", 8)]
EXIT_LAYOUT: Final[Layout] = [("ack_int_on_exit", 15)]
WINDOW_EXITING: Final = 4
VALID: Final = 2147483648
NO_EVENT: Final = -1


class Field:
    """Encodings of the fields that decide interrupts; of a 64-bit field the whole one. Cites: SDM vmcs.encodings"""

    NOTIFICATION_VECTOR: Final = 2
    LAST_PID_INDEX: Final = 8
    VIRTUAL_TIMER_VECTOR: Final = 10
    GUEST_INTERRUPT_STATUS: Final = 2064
    MSR_BITMAP_ADDRESS: Final = 8196
    VIRTUAL_APIC_ADDRESS: Final = 8210
    APIC_ACCESS_ADDRESS: Final = 8212
    DESCRIPTOR_ADDRESS: Final = 8214
    EOI_EXIT_0: Final = 8220
    EOI_EXIT_1: Final = 8222
    EOI_EXIT_2: Final = 8224
    EOI_EXIT_3: Final = 8226
    TERTIARY: Final = 8244
    PID_TABLE_ADDRESS: Final = 8258
    DEADLINE_SHADOW: Final = 8270
    GUEST_DEADLINE: Final = 10288
    PIN: Final = 16384
    PRIMARY: Final = 16386
    EXIT: Final = 16396
    ENTRY_EVENT: Final = 16406
    TPR_THRESHOLD: Final = 16412
    SECONDARY: Final = 16414
    EXIT_REASON: Final = 17410
    EXIT_INTERRUPTION: Final = 17412
    IDT_VECTORING: Final = 17416
    INTERRUPTIBILITY: Final = 18468
    ACTIVITY: Final = 18470
    EXIT_QUALIFICATION: Final = 25600


def load_pin(controls: Controls, word: i64) -> None:
    """Take the pin-based controls out of their word. Changes: those controls. Cites: SDM vmx.controls"""
    controls.ext_int_exiting = word & 1
    controls.nmi_exiting = (word >> 3) & 1
    controls.virtual_nmis = (word >> 5) & 1
    controls.process_posted_interrupts = (word >> 7) & 1


def load_primary(controls: Controls, vapic: VirtualApic, word: i64) -> None:
    """Take the primary processor-based controls out of their word.

    Changes: those controls; interrupt-window exiting, which evaluation reads. Cites: SDM vmx.controls
    """
    vapic.window_exiting = (word >> 2) & 1
    controls.hlt_exiting = (word >> 7) & 1
    controls.mwait_exiting = (word >> 10) & 1
    controls.tertiary = (word >> 17) & 1
    controls.cr8_load_exiting = (word >> 19) & 1
    controls.cr8_store_exiting = (word >> 20) & 1
    controls.use_tpr_shadow = (word >> 21) & 1
    controls.nmi_window_exiting = (word >> 22) & 1
    controls.msr_bitmaps = (word >> 28) & 1
    controls.secondary = (word >> 31) & 1


def load_secondary(controls: Controls, word: i64) -> None:
    """Take the secondary controls out of their word. Changes: those controls. Cites: SDM vmx.controls"""
    controls.virtualize_apic_accesses = word & 1
    controls.virtualize_x2apic_mode = (word >> 4) & 1
    controls.apic_register_virtualization = (word >> 8) & 1
    controls.virtual_interrupt_delivery = (word >> 9) & 1


def load_tertiary(controls: Controls, word: i64) -> None:
    """Take the tertiary controls out of their word. Changes: those controls. Cites: SDM vmx.controls"""
    controls.ipi_virtualization = (word >> 4) & 1
    controls.apic_timer_virtualization = (word >> 8) & 1


def load_exit(controls: Controls, word: i64) -> None:
    """Take the VM-exit controls out of their word. Changes: acknowledge-on-exit. Cites: SDM vmx.controls"""
    controls.ack_int_on_exit = (word >> 15) & 1


def load_status(vapic: VirtualApic, word: i64) -> None:
    """Take RVI and SVI out of the guest interrupt status. Changes: RVI, SVI. Cites: SDM vmcs.guest-state"""
    vapic.rvi = word & 255
    vapic.svi = (word >> 8) & 255


def load_interruptibility(state: GuestState, word: i64) -> None:
    """Take the interruptibility state apart: 0 STI, 1 MOV SS, 3 NMI; the others are kept together.

    Changes: blocking. Cites: SDM vmcs.guest-state
    """
    state.sti_blocking = word & 1
    state.mov_ss_blocking = (word >> 1) & 1
    state.nmi_blocking = (word >> 3) & 1
    state.other_blocking = word & ~11


def load_event(state: GuestState, word: i64) -> None:
    """Take the VM-entry interruption-information field apart: vector 7:0, type 10:8, bits 30:11, valid 31.

    Changes: the event to be injected; none without the valid bit. Cites: SDM vmx.entry-event-field
    """
    state.entry_vector = NO_EVENT
    state.entry_type = 0
    state.entry_bits = 0
    if word & VALID != 0:
        state.entry_vector = word & 255
        state.entry_type = (word >> 8) & 7
        state.entry_bits = word & 2147481600


def load_eoi_exit(vapic: VirtualApic, number: i64, low: i64, high: i64) -> None:
    """Take quadword ``number``, 0 to 3, of the EOI-exit bitmap: bit b is vector 64 * ``number`` + b.

    Changes: the bitmap. Cites: SDM apicv.state
    """
    vapic.eoi_exit[2 * number] = low
    vapic.eoi_exit[2 * number + 1] = high


def msr_bitmap_bit(msr: i64, writes: bool) -> i64:
    """Return which bit of the 4-KiB MSR-bitmap page decides an access to ``msr``, -1 for one that always exits.

    Reads of 0 to 1FFFH at byte 0, of C0000000H to C0001FFFH at 400H; the writes of both 800H behind.

    Cites: SDM vmcs.msr-bitmaps
    """
    base: i64 = 16384 if writes else 0
    if msr < 8192:
        return base + msr
    if 3221225472 <= msr < 3221233664:
        return base + 8192 + (msr - 3221225472)
    return -1


def load_msr_bitmap(controls: Controls, page: vec[i64]) -> None:
    """Take what concerns MSRs 800H to 8FFH out of the MSR-bitmap page.

    Changes: the read and write intercepts. Shapes: ``page`` 1,024 doublewords. Cites: SDM vmcs.msr-bitmaps
    """
    i: i64 = 0
    while i < 8:
        controls.msr_read_exit[i] = page[64 + i]
        controls.msr_write_exit[i] = page[576 + i]
        i += 1


def interruptibility(state: GuestState) -> i64:
    """Return the interruptibility state as a word. Cites: SDM vmcs.guest-state"""
    return state.sti_blocking + shl(state.mov_ss_blocking, 1) + shl(state.nmi_blocking, 3) + state.other_blocking
