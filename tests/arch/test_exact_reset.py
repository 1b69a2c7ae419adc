"""What every unit of state is before any rule has touched it: field by field, exactly.

Local APIC: SDM vol. 3, 10.4.7.1 (power-up). The others: all zero is what software sees of memory it has cleared, and
the fields that are not zero say the ordinary set-up (remapping on, external-interrupt exiting on, AVIC on).
"""

from collections.abc import Sized

import pytest

from exitless.arch.choices import CHOICES, Choice, Choices
from exitless.arch.svm.evaluate import Avic
from exitless.arch.svm.iommu import GuestIrte, GuestLog
from exitless.arch.svm.ipi import MOST, Ipi
from exitless.arch.svm.tables import Backing, LogicalEntry, PhysicalEntry, Tables
from exitless.arch.svm.vmcb import Vmcb
from exitless.arch.vmx.access import Operation
from exitless.arch.vmx.boundary import Pending
from exitless.arch.vmx.choices import VMX_CHOICES, VmxChoices
from exitless.arch.vmx.controls import Controls
from exitless.arch.vmx.injection import GuestState
from exitless.arch.vmx.leaving import NO_VECTOR, ExitInformation
from exitless.arch.vmx.posted import PostedDescriptor
from exitless.arch.vmx.virtual_apic import VirtualApic
from exitless.arch.vtd.irte import Irte
from exitless.arch.vtd.remap import Remapper, Translation, Verdict
from exitless.arch.x86.apic import Apic, Timer
from exitless.arch.x86.destination import BusMessage
from exitless.arch.x86.ioapic import Entry, IoApic
from exitless.arch.x86.lapic import LocalApic
from exitless.arch.x86.lowest import Arbiter, Policy
from exitless.arch.x86.message import CompatMessage, Message
from exitless.arch.x86.registers import Register
from exitless.arch.xen.choice import GuestMode
from exitless.arch.xen.credit import Account, Priority
from exitless.arch.xen.dpci import DpciRecord
from exitless.arch.xen.eoi_stack import EoiStack, Rate
from exitless.arch.xen.fifo import ControlBlock, EventArray
from exitless.arch.xen.fifo_guest import Cursor
from exitless.arch.xen.passthrough import Host
from exitless.arch.xen.pirq import PirqGuest
from exitless.arch.xen.ports import EventChannels, Port
from exitless.arch.xen.two_level import SharedInfo, VcpuInfo
from exitless.arch.xen.vectors import HostIrq, VectorTable

MASKED = 0x10000
NONE_GIVEN: dict[str, object] = {}
# The unit and how it is made; the fields that are 0; the others with their value.
UNITS: list[tuple[type, tuple[object, ...], str, dict[str, object]]] = [
    (Timer, (), "initial divide count origin deadline_low deadline_high kept", NONE_GIVEN),
    (
        LocalApic, (0x123,), "tpr esr esr_pending",
        {"apic_id": 0x123, "irr": [0] * 8, "isr": [0] * 8, "tmr": [0] * 8, "svr": 0x1FF, "esr_armed": 1,
         "lvt_error": MASKED, "enabled": 1},
    ),
    (
        Apic, (0x123, 1), "x2apic ldr icr_low icr_high",
        {"base": 0xFEE00000, "bootstrap": 1, "physical_bits": 46, "version": 0x01060015, "has_x2apic": 1,
         "has_deadline": 1, "has_cmci": 1, "sends_lowest": 1, "xapic_id": 0x23, "dfr": 0xFFFFFFFF,
         "lvt": [MASKED] * 6, "pins": [0, 0]},
    ),
    (BusMessage, (), "vector delivery logical destination wide trigger shorthand", {"level": 1}),
    (CompatMessage, (), "destination rh dm vector delivery trigger", NONE_GIVEN),
    (Message, (0xFEE00010, 0x4031), "", {"address": 0xFEE00010, "data": 0x4031}),
    (Register, (), "low high bus broadcast", {"sent": -1, "ended": -1}),
    (Entry, (), "high pin held", {"low": MASKED}),
    (IoApic, (9, 3), "select", {"apic_id": 9}),
    (Arbiter, (Policy.COUNTER, 3), "", {"policy": Policy.COUNTER, "last": -1, "taken": [0] * 3}),
    (
        Irte, (),
        "p fpd dm rh tm dlm avail im urg vector dst pda_low pda_high sid sq svt reserved unreadable",
        NONE_GIVEN,
    ),
    (Remapper, (), "cfis", {"enabled": 1, "eime": 1, "table": []}),
    (
        Translation, (), "fault recorded vector destination dm rh delivery trigger urgent",
        {"kind": Verdict.FAULT, "index": -1},
    ),
    (VirtualApic, (), "rvi svi recognized window_exiting", {"page": [0] * 1024, "eoi_exit": [0] * 8}),
    (PostedDescriptor, (), "on sn nv ndst", {"pir": [0] * 8}),
    (
        Controls, (),
        "nmi_exiting virtual_nmis nmi_window_exiting process_posted_interrupts cr8_load_exiting cr8_store_exiting "
        "use_tpr_shadow virtualize_apic_accesses virtualize_x2apic_mode apic_register_virtualization "
        "virtual_interrupt_delivery tertiary ipi_virtualization apic_timer_virtualization notification_vector "
        "descriptor_address msr_bitmap_address virtual_apic_address apic_access_address pid_table_address "
        "last_pid_index virtual_timer_vector addresses_32_bit mwait_exiting "
        "tpr_threshold",
        {"ext_int_exiting": 1, "hlt_exiting": 1, "msr_bitmaps": 1, "secondary": 1, "ack_int_on_exit": 1,
         "physical_width": 46, "msr_read_exit": [0] * 8, "msr_write_exit": [0] * 8},
    ),
    (
        GuestState, (),
        "interrupt_flag sti_blocking mov_ss_blocking nmi_blocking other_blocking privilege activity entry_type "
        "entry_bits",
        {"entry_vector": -1},
    ),
    (
        ExitInformation, (), "entry_failed qualification status activity interruptibility interrupt_flag",
        {"reason": -1, "vector": NO_VECTOR, "vectoring": NO_VECTOR},
    ),
    (Operation, (), "low high emulate_size qualification", {"emulate": -1}),
    (Pending, (), "below_threshold smi init sipi trap_flag timer nmi", NONE_GIVEN),
    (
        Vmcb, (),
        "v_tpr v_irq v_nmi v_nmi_mask v_intr_prio v_ign_tpr vgif_enable v_nmi_enable x2avic shadow "
        "has_x2avic_extension info1_low info1_high info2_low info2_high",
        {"vgif": 1, "v_intr_masking": 1, "avic": 1, "nested_paging": 1, "backing_page": 1, "logical_table": 1,
         "physical_table": 1, "max_index": 254, "physical_bits": 48},
    ),
    (
        Avic, (5, Backing()), "in_guest recognized kept",
        {"guest_id": 5, "interrupt_flag": 1, "host_interrupt_flag": 1, "gif": 1},
    ),
    (Backing, (), "", {"words": [0] * 1024}),
    (PhysicalEntry, (), "valid running backing host_id logged", NONE_GIVEN),
    (LogicalEntry, (), "valid guest_id", NONE_GIVEN),
    (
        GuestIrte, (),
        "remap_enable suppress_faults guest_mode log_interrupt is_running delivery request_eoi logical destination tag "
        "vector root",
        NONE_GIVEN,
    ),
    (GuestLog, (4,), "head tail overflowed", {"tags": [0] * 4}),
    (Ipi, (), "vector count index rung idle", {"targets": [0] * MOST, "doorbells": [0] * MOST}),
    (GuestMode, (), "x2apic nopv no_vector pvh", {"apic": 1}),
    (Account, (), "credit parked", {"priority": Priority.UNDER, "active": 1}),
    (DpciRecord, (), "masked sched run", NONE_GIVEN),
    (EoiStack, (), "depth", NONE_GIVEN),
    (Rate, (), "since_ps count", NONE_GIVEN),
    (
        EventArray, (7,), "pages",
        {"limit": 7, "words": [0] * 7, "priority": [7] * 7, "last_vcpu": [0] * 7, "last_priority": [0] * 7,
         "saved": [0] * 7},
    ),
    (ControlBlock, (), "mapped ready", {"head": [0] * 16, "tail": [0] * 16}),
    (Cursor, (), "ready", {"head": [0] * 16}),
    (Host, (), "option remapping units processor", NONE_GIVEN),
    (PirqGuest, (2, 3), "in_flight", {"ack": 2, "guests": 3, "marked": [0] * 3}),
    (EventChannels, (3,), "", {"limit": 3, "state": [Port.RESERVED, Port.FREE, Port.FREE]}),
    (SharedInfo, (), "", {"pending": [0] * 128, "mask": [0] * 128}),
    (VcpuInfo, (), "upcall_pending upcall_mask", {"selector": [0, 0]}),
    (
        VectorTable, (3,), "offset",
        {"pcpus": 3, "online": 0b111, "shared": [0] * 8, "owner": [-1] * 768},
    ),
    (HostIrq, (4,), "vector old_vector moving cleanups wanted", {"number": 4, "pcpu": -1, "old_pcpu": -1}),
]  # fmt: skip


def plain(value: object) -> object:
    """Return an array as a list, anything else as it is."""
    return list(value) if isinstance(value, Sized) else value  # type: ignore[call-overload]


@pytest.mark.parametrize(("unit", "args", "zero", "others"), UNITS, ids=[row[0].__name__ for row in UNITS])
def test_a_fresh_unit_is_exactly_this(
    unit: type, args: tuple[object, ...], zero: str, others: dict[str, object]
) -> None:
    fresh = unit(*args)
    wanted = dict.fromkeys(zero.split(), 0) | others
    assert {name: plain(getattr(fresh, name)) for name in wanted} == wanted


def test_the_tables_hold_what_was_asked_for() -> None:
    """An AVIC's tables: one physical entry an ID, and 60 logical ones, 15 clusters of 4, of which flat mode uses 8."""
    for ids in (0, 1, 255):
        tables = Tables(ids)
        assert (len(tables.physical), len(tables.logical), len(tables.pages)) == (ids, 60, 0)
    assert [len(IoApic(0, pins).entries) for pins in (0, 1, 24)] == [0, 1, 24]


def test_the_defaults_are_those_of_the_table() -> None:
    """What is printed as the default of a switch is what a unit starts with."""
    for unit, rows in ((Choices(), CHOICES), (VmxChoices(), VMX_CHOICES)):
        assert {row.name: getattr(unit, row.name) for row in rows} == {row.name: row.default for row in rows}
    row = Choice("a", 1, "b", "c", "d")
    assert (row.name, row.default, row.decides, row.mark, row.cites) == ("a", 1, "b", "c", "d")
