"""From which values the vectors of rules choose: by the name of a parameter or attribute, or of both owner and name.

What is not named here is a flag, 0 or 1. Every value of a parameter's domain occurs in a vector of its rule.
"""

from collections.abc import Sequence
from typing import Final

BYTE: Final = tuple(range(256))
NIBBLE: Final = tuple(range(16))
BITS: Final = tuple(1 << n for n in range(32))
WORD: Final = (0, *BITS, 0xFF, 0x100, 0x1234, 0xFFFF, 0x7FFFFFFF, 0x89ABCDEF, 0xFFFFFFFF)
CLASSES: Final = tuple(sorted({v + low for v in range(0, 256, 16) for low in (0, 1, 15)}))
COUNTS: Final = (0, 1, 2, 3, 7, 8, 100, 4095, 4096, 0x7FFFFFFF, 0xFFFFFFFF)
TIMES: Final = (0, 1, 2, 3, 127, 128, 1000, 1001, 999999, 1 << 40)
IDS: Final = (0, 1, 2, 7, 15, 16, 254, 255, 256, 4095, 0x12345, 0xFFFFFFFF)
ADDRESSES: Final = (
    0,
    1,
    8,
    32,
    63,
    64,
    0x1000,
    0x1800,
    0xFEE00000,
    0xFFFFF000,
    1 << 32,
    1 << 45,
    (1 << 46) - 64,
    1 << 46,
)
ICRS: Final = (
    *(v | mode << 8 | logical << 11 | short << 18 for v in (0, 15, 16, 255) for mode in range(8)
      for logical in (0, 1) for short in range(4)),
    *(0x40041 | bit for bit in BITS), *(0x41 | bit for bit in BITS), 0x4041, 0xC041, 0x8500, 0xC500, 0x41 | 0x4000,
)  # fmt: skip
ROWS: Final = tuple(range(0, 0x400, 16))
BESIDE: Final = (0x81, 0x82, 0x83, 0x84, 0x7C, 0xB1, 0xB3, 0xB4, 0x301, 0x303, 0x304, 0x311, 0x313, 0x314, 0x205, 0xFFF)
OFFSETS: Final = (*ROWS, *BESIDE, 0x400, 0x500, 0x530, 0x540, 0xFF0)
REASONS: Final = (-1, 0, 1, 3, 7, 8, 12, 18, 28, 31, 32, 33, 37, 43, 44, 45, 48, 52, 56, 74)
LVTS: Final = (
    *(v | mode << 8 | mask << 16 for v in (0, 15, 16, 255) for mode in range(8) for mask in (0, 1)),
    *(0x41 | bit for bit in BITS), 0x20041, 0x40041, 0x60041, 0x30041, 0x8041, 0xA041, 0xC041,
)  # fmt: skip
MESSAGES: Final = (
    0xFEE00000, 0xFEE01000, 0xFEE01004, 0xFEE01008, 0xFEE0100C, 0xFEEFF00C, 0xFEE00FE0, 0xFEE00010, 0xFEE00018,
    0xFEE00038, 0xFEE00058, 0xFEE00070, 0xFEE00014, 0xFEE00078, 0xFEEFFFFC, 0xFEE00098, 0xFEDFF000, 0xFEF00000,
    0x1FEE00000, 0,
)  # fmt: skip
DATA: Final = (
    *(v | mode << 8 for v in (0, 15, 16, 255) for mode in range(8)),
    0x4041,
    0x8041,
    0xC041,
    1,
    2,
    3,
    0x10001,
)
PORTS: Final = (0, 1, 2, 3, 5, 15)
ANY_PORT: Final = (-1, 0, 1, 2, 3, 5, 15, 16, 63, 64, 100)
WIDE_PORTS: Final = (0, 1, 31, 32, 63, 64, 65, 1023, 2047, 2048, 4095)
VCPUS: Final = (0, 1, 2, 3)
DELIVERIES: Final = tuple(range(8))
LINKS: Final = (
    0,
    *(1 << n for n in range(28, 32)),
    0xC0000000,
    0xE0000000,
    0xA0000000,
    0xB0000003,
    0xF000000A,
    0x20000000 | 131071,
)

WEIGHTS: Final = (1, 2, 128, 256, 257, 512, 65535)
PRIORITIES: Final = (0, -1, -2, -64)
CREDITS: Final = (-601, -600, -301, -300, -299, -1, 0, 1, 299, 300, 301, 600)
RATE_PS: Final = 1_000_000_000
SPANS: Final = (0, 1, 99_999_999, 100_000_000, 250_000_001, 900_000_000, 949_999_999, 950_000_000, RATE_PS - 1, RATE_PS,
                RATE_PS + 1, 10_000_000_001)  # fmt: skip
CREDIT2: Final = (-10_000_000_001, -10_000_000_000, -1, 0, 1, 499_999_999, 500_000_000, 500_000_001, 1_000_000_000,
                  10_000_000_000, 20_000_000_000)  # fmt: skip
HOST_VECTORS: Final = (0, 0x20, 0x28, 0x30, 0x48, 0x58, 0x80, 0xE8, 0xEF)

NUMBERS: Final[dict[str, Sequence[int]]] = {
    "weight": WEIGHTS, "weights": WEIGHTS, "heaviest": WEIGHTS, "elapsed": SPANS, "rest": (0, 1, 127, 255),
    "ran": SPANS, "ratelimit": SPANS, "credit": CREDIT2, "leaf": (0, 1, 2, 3, 0x40, 0x43, 0x7F), "upcall": VCPUS,
    "features": (0, 0x100, 0x200, 0x300, 0x400, 0x500, 0x700), "init_control_error": (0, 22, 38),
    "irq": (0, 1, 2, 16), "since_ps": TIMES, "now_ps": TIMES, "armed_ps": TIMES, "limit": (1, 2, 8, 10),
    "msr": (0, 0x800, 0x808, 0x8FF, 0x1FFF, 0x2000, 0xBFFFFFFF, 0xC0000000, 0xC0001FFF, 0xC0002000, 0xFFFFFFFF),
    "vector": BYTE, "rvi": CLASSES, "svi": CLASSES, "nv": BYTE, "wakeup_vector": (0xF1, 0xF2), "vtpr": CLASSES,
    "upcall_vector": (0, 15, 16, 0xF3, 255), "lapic_vector": (-1, 0, 16, 0x51, 255), "notification_vector": (0xF2,
        0, 0x1F2),
    "virtual_timer_vector": (0xEF, 0, 15, 16, 0x1EF), "entry_vector": (-1, 0, 2, 3, 8, 13, 16, 18, 0x51, 255),
    "entry_type": DELIVERIES, "entry_bits": (0, 0x800, 0x1000, 0x40000000), "other_blocking": (0, 4, 16, 32, 1 << 31),
    "activity": (0, 1, 2, 3, 4), "privilege": (0, 3), "tpr_threshold": (0, 1, 5, 15, 16, 0x80000000), "tpr": CLASSES,
    "v_tpr": NIBBLE, "v_intr_prio": NIBBLE, "max_index": (0, 1, 2, 3, 254, 255, 256, 511), "physical_bits": (32, 36,
        46, 52),
    "physical_width": (32, 36, 46, 52), "alignment": (8, 64, 4096), "address": ADDRESSES,
        "descriptor_address": ADDRESSES,
    "msr_bitmap_address": ADDRESSES, "virtual_apic_address": ADDRESSES, "apic_access_address": ADDRESSES,
    "pid_table_address": ADDRESSES, "last_pid_index": (0, 1, 3, 255, 511), "target": (0, 1, 2, 3, 4, 255),
    "apic_id": IDS, "host_id": (0, 1, 7, 254, 255, 4095), "guest_id": VCPUS, "xapic_id": (0, 1, 7, 255),
        "pcpu": VCPUS,
    "ndst": IDS, "destination": (0, 1, 2, 3, 7, 8, 15, 16, 0x1F, 0xF1, 254, 255, 0x100, 0x10003, 0x1000000,
        0xFFFFFFFF),
    "offset": OFFSETS, "size": (1, 2, 4, 8), "kind": (0, 1, 2, 3, 10, 15), "index": tuple(range(64)),
        "row": tuple(range(64)),
    "number": VCPUS, "value": WORD, "low": WORD, "high": WORD, "word": WORD, "icr_low": ICRS, "icr_high": (0,
        1 << 24, 0xFF000000),
    "delivery": DELIVERIES, "dlm": DELIVERIES, "avail": NIBBLE, "dst": IDS, "pda_low": (0, 1, 0x2AAAAAA, 0x3FFFFFF),
    "pda_high": (0, 1, 0xFFFFFFFF), "sid": (0, 1, 0x100, 0x1234, 0x1235, 0x1236, 0x1334, 0xFFFF), "sq": (0, 1, 2, 3),
    "svt": (0, 1, 2, 3), "fault": (0, 32, 38), "answer": (-1, *NIBBLE), "vcpus": (0, 1, 2, 4), "half": (0, 1),
        "data": DATA,
    "subhandle": (0, 1, 2, 0xFFFF), "shorthand": VCPUS, "reason": REASONS, "qualification": (0, 1, 0x1081, 0xFFF),
    "emulate": (-1, 0x80, 0xB0, 0x300), "emulate_size": (0, 1, 2, 4), "icr": ICRS, "entry": tuple(range(7)),
        "pin": (0, 1),
    "esr": (0, 1 << 5, 1 << 6, 1 << 7), "esr_pending": (0, 1 << 5, 1 << 6, 1 << 7), "bit": (4, 5, 6, 7),
        "svr": (0xFF, 0x1FF, 0x1F3, 0x11FF),
    "lvt_error": LVTS, "lvt": LVTS, "dfr": (0xFFFFFFFF, 0x0FFFFFFF), "ldr": (0, 1 << 24, 0x21 << 24, 0xFF << 24),
    "base": (0xFEE00800, 0xFEE00900, 0xFEE00C00, 0xFEE00000), "version": (0x01060015, 0x00060015, 0x01050010),
    "divide": (*range(16), 0xFFFFFFFF), "initial": COUNTS, "count": COUNTS, "origin": (0, 1, 128), "bus": TIMES,
        "now": TIMES,
    "tsc": TIMES, "deadline_low": (0, 1, 1000, 0xFFFFFFFF), "deadline_high": (0, 1, 1 << 31), "select": (*range(20),
        0x3F, 0xFF),
    "start": VCPUS, "old": (0, 1, 2, 3), "new": (0, 1, 2, 3), "policy": tuple(range(6)), "last": (-1, *VCPUS),
        "sender": (-1, *VCPUS),
    "port": PORTS, "priority": (-1, *NIBBLE, 16), "tail": (1, 2, 3), "seen": LINKS, "pages": (0, 1, 128),
        "vcpu": VCPUS,
    "remote_domain": (0, 1, 3), "local_domain": (0, 1), "remote_port": ANY_PORT, "remote": PORTS, "most": (0, 1, 3,
        15, 100),
    "virq": tuple(range(-1, 26)), "pirq": (-1, 0, 1, 2, 15, 16), "pirqs": (0, 1, 16), "after": (-1, 0, 31, 32, 63,
        1023, 2047, 4095),
    "state": tuple(range(7)), "notify_vcpu": VCPUS, "consumer": (0, 0, 0, 2), "ready": (0, 1, 1 << 7, 0x8001,
        0xFFFF), "length": (1, 4),
    "style": tuple(range(6)), "source": tuple(range(6)), "blocked": tuple(range(5)), "next_source": tuple(range(6)),
    "tpr_class": NIBBLE, "deferred": (0, 1), "ack": (0, 1, 2), "in_flight": VCPUS, "guest": (0, 1, 2),
        "guests": (3,), "shared": (0, 1),
    "operation": tuple(range(40)), "emulated": (-3, -2, -1, 0, 1, 16), "event": (
        0, 0x80000051, 0x80000010, 0x80000202, 0x80000302, 0x80000303, 0x8000030D, 0x80000320, 0x80000403,
            0x80000151, 0x80000751,
        0x80000B51, 0x51), "tag": (0, 1, 0xFFFFFFFF), "root": (0, 1, 0x12345, (1 << 40) - 1), "head": VCPUS,
            "cluster": tuple(range(15)),
    "member": VCPUS, "backing": (0, 1, 2), "backing_page": (0, 1, 1 << 19, 1 << 35), "logical_table": (0, 1, 1 << 35),
    "physical_table": (0, 1, 1 << 35), "info1_low": WORD, "info1_high": WORD, "info2_low": (0, 3), "info2_high": (0,
        1),
    "sent": (-1, 0x41), "ended": (-1, 0x41), "svm_vintr_exit_code": (100, 0x64), "vtd_fault_request_reserved": (32,
        36),
    "vtd_fault_index": (33, 34), "vtd_fault_fetch": (35, 34), "eime": (0, 1), "every_15": (0, 1), "control": (0, 1),
    "x2apic_ldr": IDS, "recognized": (0, 1), "status": (0, 0x5151), "information": (-1, 0x51), "kept": (0, 1),
        "delivery_of": DELIVERIES,
    "policy_number": (0,), "taken": (0, 1, 2), "bus_kind": (0, 1),
}  # fmt: skip

# Where the name alone does not say it: the function's or shape's name before it.
OWNED: Final[dict[str, Sequence[int]]] = {
    "queue_place.word": PRIORITIES, "queue_place.priority": PRIORITIES, "woken_priority.priority": PRIORITIES,
    "ticked_priority.priority": PRIORITIES, "Account.priority": PRIORITIES, "tickle.new": PRIORITIES,
    "tickle.current": PRIORITIES, "choose.current": PRIORITIES, "choose.best": PRIORITIES,
    "fair_share.total": (0, 1, 300, 1200), "Account.credit": CREDITS, "account.share": CREDITS,
    "account.cap": (0, 1, 100, 300), "account.most": (50, 300), "tickle.idlers": (0, 1, 2),
    "tickle.best_score": (-1, 0, 1), "quota.total": (0, 1, 1_000_000_000, 4_000_000_001), "grabbed.pool": CREDIT2,
    "grabbed.part": SPANS, "replenished.left": CREDIT2, "replenished.total": SPANS,
    "may_steal.since_last": SPANS, "lowered.cost": SPANS, "skips.current": CREDIT2, "slice_length.waiter": CREDIT2,
    "slice_length.budget": (-1, 0, 1, *SPANS), "slice_length.least": (500_000_000, 900_000_000),
    "tickle_score.new": CREDIT2, "tickle_score.current": CREDIT2, "may_preempt.score": (-1, 0, 1),
    "count_matching.word": (0, 1), "nth_matching.word": (0, 1), "single_vcpu.word": (0, 1),
    "hashed_vcpu.word": (0, 1), "target_vcpu.word": (0, 1), "nth_matching.n": (0, 1, 2, 3, 4),
    "binding_lacks.target": (-1, 0, 3), "bind.target": (-1, 0, 3),
    "pirq_address.pirq": (0, 1, 15, 255, 256, 0x1234), "pirq_address_high.pirq": (0, 1, 15, 255, 256, 0x1234),
    "pirq_of_message.address_high": (0, 255, 256, 0x1200, 0xFFFFFFFF), "has.bit": (0, 1, 6, 8, 10),
    "VectorTable.pcpus": (2,), "VectorTable.cursor": HOST_VECTORS[1:], "VectorTable.offset": DELIVERIES,
    "VectorTable.online": VCPUS, "HostIrq.vector": HOST_VECTORS, "HostIrq.old_vector": HOST_VECTORS,
    "HostIrq.pcpu": (0, 1), "HostIrq.old_pcpu": (0, 1), "HostIrq.wanted": (0, 1, 2, 3, 4),
    "HostIrq.cleanups": (0, 1), "assign_vector.mask": (0, 1, 2, 3, 4, 7), "want.mask": (0, 1, 2, 3, 4, 7),
    "owner_of.pcpu": (0, 1), "is_usable.pcpu": (0, 1), "search.pcpu": (0, 1),
    "fix_up.pcpu": (0, 1), "fix_up.affinity": (0, 1, 2, 3, 4, 7), "arrive.pcpu": (0, 1),
    "EoiStack.depth": (0, 1, 2, 3), "EoiStack.irq": (0, 1, 2, 16), "EoiStack.vector": BYTE, "Rate.count": (0, 1, 7,
        10, 11),
    "Avic.recognized": (0, 0x51, 0xF1), "find_descriptor.target": (0, 1, 2, 3), "find_descriptor.word": (0, 1, 3,
        0x41, 0x1001, 0x40000001), "is_interrupt.address": MESSAGES,
    "is_remappable.address": MESSAGES, "remapping_index.address": MESSAGES, "reserved_request_bits.address": MESSAGES,
    "decode_compatible.address": MESSAGES, "translate.address": MESSAGES, "Message.address": MESSAGES,
        "Message.data": DATA,
    "remappable_address.index": (0, 1, 0x7FFF, 0x8000, 0xFFFF), "encode_remappable.index": (0, 1, 0x7FFF, 0x8000,
        0xFFFF),
    "is_loadable_msr.index": (0x10, 0x7FF, 0x800, 0x808, 0x8FF, 0x900, 0xBFF, 0xC00, 0xC0000080, 0xC0000100,
        0xC0000101),
    "read_msr.index": tuple(range(64)), "is_virtual_self_ipi.icr_low": ICRS, "send.low": ICRS, "check_icr.low": ICRS,
    "decode_icr.low": ICRS, "write_icr_low.value": ICRS, "write_icr_msr.low": ICRS, "find_targets.low": ICRS,
        "incomplete.low": ICRS,
    "incomplete.reason": tuple(range(6)), "software_sends.reason": tuple(range(6)), "incomplete.index": (0, 3, 4095,
        4096),
    "write_lvt.value": LVTS, "write_timer_lvt.value": LVTS, "write_entry_low.value": LVTS, "Operation.low": (*ICRS,
        0, 0, 0x51),
    "Operation.high": (0, 0, 0, 1), "Register.low": (*ICRS, *WORD), "Register.high": (0, 0, 0, 1, 0xFFFFFFFF),
        "Register.bus": (0, 1000),
    "write_cr8.value": NIBBLE, "set_pin.entry": (4, 5), "Entry.low": LVTS, "Entry.high": (0, 1 << 24, 3 << 24,
        0xFF << 24, 0x12340000),
    "msr_door.number": (0x7FF, 0x800, 0x808, 0x80B, 0x83F, 0x8FF, 0x900, 0xBFF, 0xC00),
        "read_msr.number": (*range(0x800, 0x840), 0x850, 0xBFF),
    "write_msr.number": (*range(0x800, 0x840), 0x850, 0xBFF), "may_stand_in_msr_list.number": (0x7FF, 0x800, 0x808,
        0x8FF, 0x900, 0xFFF, 0x1000),
    "write_base.low": (0, 0x100, 0x400, 0x800, 0x900, 0xC00, 0xFEE00000, 0xFEE00800, 0xFEE00900, 0xFEE00C00,
        0xFEE00D00, 0xFEE00801),
    "write_base.high": (0, 1, 1 << 13, 1 << 14, 0xFFFFFFFF), "pir_bits.low": (0, 64, 128, 192),
        "read_deadline.high": (0, 1),
    "write_deadline.low": (0, 1, 1000, 1001, 0xFFFFFFFF), "write_deadline.high": (0, 1, 1 << 31),
        "set_pin.level": (0, 1),
    "logical_index.member": tuple(range(8)), "has_word.port": (-1, 0, 1, 2, 63, 64, 1023, 1024),
        "init_control.offset": (
        -8, 0, 4, 8, 1024, 4016, 4024, 4032), "fifo_bit.bit": (28, 29, 30, 31), "set_flag.bit": (28, 29, 30, 31),
            "clear_flag.bit": (28, 29, 30, 31),
    "is_set.bit": (28, 29, 30, 31), "compare_exchange.old": LINKS, "compare_exchange.new": LINKS,
        "give_up.answer": VCPUS, "set_link.tail": (1, 2, 3),
    "record_error.bit": (4, 5, 6, 7), "update_device.host_id": (-1, 0, 7, 4095), "set_running.host_id": (0, 7, 255,
        4095), "set_ready.priority": NIBBLE, "is_asserted.level": (0, 1),
    "is_legal_transition.old": VCPUS, "decode_callback_irq.low": WORD, "decode_callback_irq.high": tuple(b << 24
        for b in range(8)),
    "Ipi.vector": (16, 0x51, 255), "Ipi.targets": (0, 1, 2, 3), "Ipi.count": (0, 1, 2), "Ipi.rung": (0, 1),
        "Ipi.idle": (0, 1),
    "GuestLog.tags": (0, 1, 7), "Remapper.table": (3,), "GuestLog.tail": VCPUS, "needs_exit.number": (0, 7, 8, 9),
        "write.low": (*ICRS, 0, 0xFF),
    "posted_entry.low": (0, 64, 0xFFFFFFC0), "posted_entry.high": (0, 1, 0xFFFFFFFF), "close_pair.port": (1, 2, 3),
    "write_row.row": tuple(range(64)), "Timer.divide": (0, 1, 2, 3, 8, 9, 10, 11), "unpack_logical.word": WORD,
        "unpack_int_ctl.value": WORD,
    "EventArray.limit": (64,), "EventChannels.limit": (16,), "EventArray.priority": NIBBLE,
        "PirqGuest.guests": (3,), "PirqGuest.ack": VCPUS,
    "EventArray.words": LINKS, "EventArray.last_vcpu": (0, 1), "EventArray.last_priority": (0, 7),
        "EventArray.saved": (0, 1),
    "Cursor.head": (0, 1, 2, 3), "ControlBlock.head": (0, 1, 2, 3), "ControlBlock.tail": (0, 1, 2, 3),
        "EventChannels.remote": (1, 2, 3),
    "IoApic.entries": (4,), "GuestIrte.vector": BYTE, "GuestIrte.delivery": DELIVERIES, "PhysicalEntry.backing": (0,
        1, 2, 3),
    "LogicalEntry.guest_id": VCPUS, "Arbiter.taken": (0, 1, 2), "PirqGuest.marked": (0, 1),
        "PirqGuest.in_flight": VCPUS, "ack_type.msi": (0, 1),
    "EventChannels.virq": (-1, 0, 1, 2, 7), "EventChannels.pirq": (-1, 0, 1, 15),
        "EventChannels.remote_domain": (-1, 0, 1),
    "Apic.pins": (0, 1), "Apic.lvt": LVTS, "Apic.physical_bits": (36, 46), "PostedDescriptor.nv": (0xF2, 0xF1),
        "Irte.vector": BYTE,
    "DpciRecord.masked": (0, 1), "VcpuInfo.selector": WORD, "SharedInfo.pending": WORD, "SharedInfo.mask": WORD,
}  # fmt: skip

# Rules on event channels that look whether there is such a port, and rules on the two-level bitmaps.
CHECK_PORT: Final = (
    "is_usable", "has_word", "is_set", "status", "unmask_error", "set_priority_error", "close", "set_priority",
        "can_send",
    "send", "bind_unbound", "bind_interdomain", "bind_virq", "bind_pirq", "bind_ipi", "bind_vcpu", "take_saved",
        "is_busy",
    "hypercall_unmask",
)  # fmt: skip
TWO_LEVEL: Final = (
    "set_pending", "is_pending", "is_masked", "is_active", "set_selector", "clear_mask", "guest_unmask_local",
)  # fmt: skip

# Words that are a 256-bit register, packed.
REGISTERS: Final = ("pir", "irr", "isr", "held", "tmr", "eoi_exit", "msr_read_exit", "msr_write_exit")
PAGES: Final = ("VirtualApic.page", "Backing.words")
# Attributes that a rule follows without looking whether they lead anywhere, so that every object has them.
ALWAYS: Final = ("Tables.pages", "EventChannels.remote", "Ipi.targets", "HostIrq.pcpu", "HostIrq.old_pcpu")


def domain(owner: str, name: str) -> Sequence[int]:
    """Return the values that a number is chosen from."""
    if name == "port" and owner in CHECK_PORT:
        return ANY_PORT
    if name == "port" and owner in TWO_LEVEL:
        return WIDE_PORTS
    return OWNED.get(f"{owner}.{name}", NUMBERS.get(name, (0, 1)))
