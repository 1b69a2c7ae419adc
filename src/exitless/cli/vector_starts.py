"""Where chance alone seldom leads: states that vectors of some rules start from, so that every branch is taken.

A start is laid over what chance has chosen; under a name that ends with ``!`` it replaces it.
"""

from typing import Any, Final

Start = dict[str, Any]

ABSENT: Final[Start] = {"avic": {"vmcb": {"x2avic": 1, "choices": {"avic_absent_msr_faults": 1}}}}
LEVEL: Final[Start] = {"words": {"72": 1 << 17, "104": 1 << 17}}
VIRTUAL: Final[Start] = {
    "use_tpr_shadow": 1,
    "secondary": 1,
    "msr_bitmaps": 1,
    "msr_read_exit": {},
    "msr_write_exit": {},
}
REGISTERS: Final[Start] = {
    **VIRTUAL,
    "virtualize_apic_accesses": 1,
    "apic_register_virtualization": 1,
    "virtual_interrupt_delivery": 1,
}
DELIVERY: Final[Start] = {**REGISTERS, "apic_register_virtualization": 0}
READS: Final[Start] = {**DELIVERY, "choices": {"vmx_reads_with_vid": 1}}
IPIV: Final[Start] = {**VIRTUAL, "tertiary": 1, "ipi_virtualization": 1, "virtualize_x2apic_mode": 1}
X2: Final[Start] = {**VIRTUAL, "virtualize_x2apic_mode": 1, "virtual_interrupt_delivery": 1}
POSTING: Final[Start] = {
    **REGISTERS,
    "process_posted_interrupts": 1,
    "notification_vector": 0xF2,
    "descriptor_address": 64,
}
TIMER: Final[Start] = {**REGISTERS, "tertiary": 1, "apic_timer_virtualization": 1}
AWAKE: Final[Start] = {"interrupt_flag": 1}
UNWRITTEN: Final[Start] = {"emulate": -1, "high": 0}

# Hosts that have more and more of what posting needs; interrupts at rest, moving, and with an old vector to be freed.
LACKING: Final[list[Start]] = [
    {"host!": dict.fromkeys(("option", "remapping", "units", "processor")[:many], 1)} for many in range(5)
] + [{"host!": {"option": 1, "remapping": 1, "units": 1, "processor": 1}, "is_hvm": 1, "is_msi": 1}]
_AT: Final[Start] = {"vector": 0x48, "pcpu": 0}
_OLD: Final[Start] = {**_AT, "old_vector": 0x58, "old_pcpu": 1}
MOVING: Final[list[Start]] = [
    {"table!": table, "irq!": {**irq, "wanted": wanted}, "mask": 2, "pcpu": pcpu, "vector": 0x48, "requested": asked}
    for table in ({}, {"online": 2}, {"shared": {str(i): 0xFFFFFFFF for i in range(8)}})
    for irq in ({}, _AT, {**_OLD, "moving": 1}, {**_OLD, "cleanups": 1})
    for wanted in (0, 2) for pcpu in (0, 1) for asked in (0, 1)
]  # fmt: skip


def controls(*kinds: Start, **others: Any) -> list[Start]:
    """Return starts with these controls in force, and none beside them."""
    return [{"controls!": kind, **others} for kind in kinds]


def entries(**bits: int) -> Start:
    """Return a remapping table of four entries that are present and alike."""
    irte = {"p": 1, **bits}
    return {"table!": {"length": 4, **{str(i): irte for i in range(4)}}, "enabled": 1}


def requests() -> list[Start]:
    """Return remappable requests to entries of each kind."""
    kinds: list[Start] = [
        {}, {"im": 1, "urg": 1}, {"svt": 1, "sid": 0x1234}, {"svt": 1, "sq": 1, "sid": 0x1230}, {"svt": 1, "sq": 2,
            "sid": 0x1232},
        {"svt": 1, "sq": 3, "sid": 0x1235}, {"svt": 2, "sid": 0x1113}, {"svt": 3}, {"reserved": 1},
            {"unreadable": 1}, {"p": 0},
        {"fpd": 1, "p": 0}, {"dst": 0x10300}, {"dlm": 1, "rh": 1, "dm": 1}, {"tm": 1},
    ]  # fmt: skip
    found: list[Start] = []
    for kind in kinds:
        for eime in (0, 1):
            unit = {**entries(**kind), "eime": eime}
            found.append({"remapper": unit, "address": 0xFEE00030, "data": 0, "sid": 0x1234})
    forced = {"choices": {"vtd_source_before_reserved": 1, "vtd_reserved_source_type_is_entry": 1}}
    narrow = {"choices": {"vtd_narrow_destination_is_checked": 1}, "eime": 0}
    found.append({"remapper": {**entries(svt=3), **forced}, "address": 0xFEE00010})
    found.append({"remapper": {**entries(svt=1, sid=7, reserved=1), **forced}, "address": 0xFEE00010, "sid": 9})
    found.append({"remapper": {**entries(dst=0x10300), **narrow}, "address": 0xFEE00010})
    return found


def words(state: int, *more: int) -> Start:
    """Return an array whose page is there, with the same word for the first ports."""
    return {"pages": 1, "words": {str(port): state | (more[0] if more else 0) for port in range(16)}}


UNMAPPED: Final[list[Start]] = [{}] * 4
MAPPED: Final[list[Start]] = [{"mapped": 1, "tail": {}, "head": {}}] * 4
QUEUED: Final[list[Start]] = [{"mapped": 1, "tail": {str(p): 9 for p in range(16)}, "ready": 0}] * 4
LINT0: Final[Start] = {"core": {"enabled": 1, "svr": 0x1FF}, "x2apic": 0, "pins": {"0": 1}}
PERIODIC: Final[Start] = {"lvt": {"1": 0x20041}, "timer": {"initial": 100, "count": 50, "origin": 0, "divide": 11}}
DEADLINE: Final[Start] = {"lvt": {"1": 0x40041}, "has_deadline": 1, "timer": {"deadline_low": 1000, "deadline_high": 0}}
X2APIC: Final[Start] = {"core": {"enabled": 1}, "x2apic": 1, "base": 0xFEE00C00}
XAPIC: Final[Start] = {"core": {"enabled": 1}, "x2apic": 0, "base": 0xFEE00800}
BUSY_PORTS: Final[Start] = {"state": {str(port): 2 for port in range(1, 16)}}
KINDS: Final[list[Start]] = [
    {"ch": {"state": {str(port): state for port in range(1, 16)}, "consumer": {}}} for state in range(7)
]
FOUR: Final = [{"core": {"enabled": 1, "svr": 0x1FF, "tpr": 16 * (3 - n)}, "xapic_id": n} for n in range(4)]
TO_ALL: Final[Start] = {"message": {"shorthand": 2, "delivery": 1}, "apics": FOUR, "out": [0, 0, 0, 0]}

STACKS: Final[list[Start]] = [
    {"stack!": {"depth": depth, "vector": {"0": 0x31, "1": top, "2": 0x61}, "irq": {"0": 1, "1": 2, "2": 16},
                "ready": {str(i): ready for i in range(3)}}, "irq": irq, "vector": 0x71}
    for depth in (0, 1, 2, 3) for ready in (0, 1) for top in (0x51, 0x31) for irq in (1, 16)
]  # fmt: skip

STARTS: Final[dict[str, list[Start]]] = {
    "kvm.avic.update_device": [{"host_id": -1}],
    "svm.access.read_treatment": [ABSENT], "svm.access.read": [ABSENT],
    "svm.access.write_treatment": [ABSENT, {"avic": {"backing": LEVEL}, "offset": 0xB0}, {"extended": True,
        "offset": 0x500}],
    "svm.access.write": [
        ABSENT, {"avic": {"vmcb": {"x2avic": 1}}, "offset": 0x300}, {"avic": {"vmcb": {"x2avic": 0}},
            "offset": 0x300},
        {"avic": {"vmcb": {"x2avic": 1}}, "offset": 0x3F0}, {"avic": {"backing": LEVEL}, "offset": 0xB0},
    ],
    "svm.access.write_eoi": [
        {"avic": {"backing!": LEVEL, "vmcb": {"choices": {"avic_eoi_trap_keeps_in_service": keeps}}}}
            for keeps in (0, 1)
    ],
    "svm.evaluate.vmrun": [{"avic": {"vmcb!": {"choices": {"avic_vmrun_loads_vtpr": loads}}}} for loads in (0, 1)],
    "svm.injection.virtual_interrupt": [
        {"vmcb!": {"avic": 0, "v_irq": 1, "v_intr_prio": prio, "v_tpr": 5, "v_ign_tpr": ign}, "interrupt_flag": 1,
            "gif": 1}
        for prio in (4, 5, 6) for ign in (0, 1)
    ],
    "svm.iommu.append": [{"log!": {"head": 1, "choices": {"avic_log_overwrites": over}}} for over in (0, 1)],
    "svm.iommu.tell": [
        {"irte!": {"log_interrupt": 1, "tag": 7}, "log!": {"head": 1, "choices": {"avic_log_overwrites": over}}}
            for over in (0, 1)
    ],
    "svm.ipi.check_icr": [
        {"avic": {"vmcb": {"x2avic": 0}, "backing": {"words": {"56": dfr}}}, "low": 0x841} for dfr in (0x50000000,
            0, 0xF0000000)
    ],
    "svm.ipi.find_targets": [
        {"avic!": {"vmcb": {"choices": {"avic_reserved_cluster_exits": exits}}, "backing": {"words": {"56": dfr}}},
            "low": 0x841,
         "high": destination << 24, "tables": {"logical": {str(i): {"valid": 1, "guest_id": i & 3}
             for i in range(60)}}}
        for exits in (0, 1) for dfr in (0, 0xF0000000) for destination in (0xF1, 0x13, 0x0F, 0xFF)
    ] + [
        {"avic!": {"vmcb": {"x2avic": 1}}, "low": low, "high": high} for low in (0x41, 0x841) for high in (3,
            0xFFFFFFFF, 0x10001, 0x100001)
    ],
    "vmx.access.page_read": [
        *controls(REGISTERS, DELIVERY, READS, op=UNWRITTEN, size=4),
        *controls(READS, {**IPIV, "choices": {"vmx_ipiv_reads_icr": 1}}, op=UNWRITTEN, size=4, offset=0x300),
        *({"controls!": REGISTERS, "op": UNWRITTEN, "size": 4, "offset": row * 16} for row in range(64)),
    ],
    "vmx.access.page_write": [
        *controls(REGISTERS, DELIVERY, READS, {**IPIV, "virtualize_apic_accesses": 1}, op=UNWRITTEN, size=4),
        *controls(IPIV, {**IPIV, "choices": {"vmx_ipiv_writes_icr_high": 1}}, op=UNWRITTEN, size=4, offset=0x310),
        *controls(IPIV, op=UNWRITTEN, size=4, offset=0x300),
    ],
    "vmx.access.write_emulation": [
        {"controls!": kind, "op": {"emulate": offset, "low": 0x40041}, "vapic": {"page": {"192": icr}}}
        for kind in (REGISTERS, DELIVERY, VIRTUAL, IPIV) for offset in (-1, 0x80, 0xB0, 0x300, 0x310, 0x313,
            0x301) for icr in (0x40041, 0x4000F, 0x41)
    ],
    "vmx.boundary.arbitrate_above": [
        {"pending!": {"nmi": 1}, "state!": {"nmi_blocking": blocked}, "controls!": {"nmi_exiting": exits,
            "virtual_nmis": virtual,
         "nmi_window_exiting": window}} for blocked in (0, 1) for exits in (0, 1) for virtual in (0, 1)
             for window in (0, 1)
    ] + [{"pending!": {name: 1}, "state!": {}} for name in ("below_threshold", "smi", "init", "trap_flag", "timer",
        "nmi")],
    "vmx.boundary.arbitrate": [
        {"vapic": {"recognized": recognized, "window_exiting": 0}, "state!": AWAKE,
            "controls": {"ext_int_exiting": exits}}
        for recognized in (0, 1) for exits in (0, 1)
    ] + [
        {"state!": {"sti_blocking": 1}, "controls!": {"choices": {"vmx_blocking_delays_external": 1}},
         "physical_pending": True}
    ],
    "vmx.controls.check_controls": [
        *controls(POSTING, TIMER, {**IPIV, "last_pid_index": 3}, {**IPIV, "pid_table_address": 4}, {**TIMER,
            "virtual_timer_vector": 0xEF},
                  {**POSTING, "ack_int_on_exit": 0}, {**POSTING, "notification_vector": 0x1F2}, {**POSTING,
                      "descriptor_address": 32},
                  {**POSTING, "virtual_interrupt_delivery": 0}, {**REGISTERS, "ext_int_exiting": 0},
                  {**REGISTERS, "virtualize_x2apic_mode": 1}, {**IPIV, "choices": {"vmx_ipiv_needs_vid": 1}},
                  {**IPIV, "use_tpr_shadow": 0, "virtualize_x2apic_mode": 0}),
    ],
    "vmx.entry.check_guest_state": [
        {"state!": {"activity": activity, "entry_vector": vector, "entry_type": kind, "interrupt_flag": 1,
            **blocking}}
        for activity in range(4) for vector, kind in ((2, 2), (1, 3), (18, 3), (0x51, 0), (0x51, 4))
        for blocking in ({}, {"mov_ss_blocking": 1}, {"nmi_blocking": 1})
    ] + [{"state!": {"activity": 1, "privilege": 3}}, {"state!": {"entry_vector": 0x51}},
         {"state!": {"entry_vector": 2, "entry_type": 2, "sti_blocking": 1, "interrupt_flag": 1},
          "controls!": {"choices": {"vmx_sti_blocks_nmi": 1}}}],
    "vmx.entry.is_event": [{"state!": {"entry_vector": v, "entry_type": k}} for k in range(8) for v in (-1, 0, 2,
        13, 31, 32, 256)],
    "vmx.eoi.set_eoi_exit": [{"vapic": {"eoi_exit": {str(i): 0xFFFFFFFF for i in range(8)}}}, {}],
    "vmx.msrs.write_msr": [
        {"controls!": kind, "index": index, "op!": {"low": low, "high": high}}
        for kind in (X2, {**X2, "virtual_interrupt_delivery": 0}, IPIV) for index in (8, 11, 48, 63)
        for low, high in ((0, 0), (0x0F, 0), (0x51, 0), (0x151, 0), (0x51, 1), (0x40051, 1), (0x100051, 0))
    ] + [{"controls!": {**X2, "msr_bitmaps": 0}}, {"controls!": {**VIRTUAL}}],
    "vmx.msrs.read_msr": controls(X2, {**X2, "apic_register_virtualization": 1}),
    "vmx.cr8.write_cr8": controls(X2, REGISTERS, {**VIRTUAL, "tpr_threshold": 5}),
    "vmx.cr8.move_to_cr8": [{"controls!": kind, "op!": {"low": low}} for kind in (X2, {**VIRTUAL,
        "tpr_threshold": 5}) for low in range(18)],
    "vtd.post.post": [{"pid": {"pir": {str(i): 0xFFFFFFFF for i in range(8)}}}, {}],
    "vtd.remap.translate": requests(),
    "vtd.remap.entry_fault": [
        {"remapper!": {"choices": choices, "eime": eime}, "irte!": {"p": 1, **irte}, "sid": 9}
        for choices in ({}, {"vtd_source_before_reserved": 1, "vtd_reserved_source_type_is_entry": 1,
            "vtd_narrow_destination_is_checked": 1})
        for eime in (0, 1) for irte in ({"svt": 1, "sid": 7}, {"svt": 1, "sid": 7, "reserved": 1}, {"reserved": 1},
            {"svt": 3}, {"dst": 0x10001}, {})
    ],
    "vtd.remap.has_reserved": [
        {"remapper!": {"choices": {"vtd_reserved_source_type_is_entry": own,
            "vtd_narrow_destination_is_checked": own}, "eime": eime},
         "irte!": irte} for own in (0, 1) for eime in (0, 1) for irte in ({"svt": 3}, {"dst": 0x10001},
             {"dst": 0xFF00}, {})
    ],
    "x86.acceptance.receive": [
        {"apic": {"core": {"enabled": 1, "choices!": {}}}, "message!": {"delivery": 5, "trigger": 1,
            "level": level}} for level in (0, 1)
    ],
    "x86.destination.matches_xapic_logical": [{"ldr": 0x21000000, "dfr": dfr} for dfr in (0x0FFFFFFF, 0xFFFFFFFF,
        0x5FFFFFFF)],
    "x86.icr.write_icr_msr": [
        {"apic": {"core": {"choices": {"apic_icr_status_faults": 1, "apic_x2apic_lowest_faults": 1}}}, "low": low}
        for low in (0x1041, 0x141, 0x41)
    ],
    "x86.ioapic.set_pin": [
        {"ioapic": {"entries": {str(i): {"low": low, "pin": 0} for i in range(4)}}, "level": 1}
        for low in (0x41, 0x1041, 0x8041, 0xC041, 0xD041, 0x10041, 0x18041, 0x2041)
    ],
    "x86.ioapic.next_to_send": [{"ioapic": {"entries": {"2": {"low": 0x1041}}}}, {"ioapic!": {}}],
    "x86.ioapic.message": [
        {"ioapic": {"entries": {str(i): {"low": low, "high": high} for i in range(4)}}}
        for low in (0x41, 0x141, 0x841, 0x941, 0x8041) for high in (0x03000000, 0x00050000, 0xFFFF0000)
    ],
    "x86.ioapic.accepted": [{"ioapic": {"entries": {str(i): {"low": low} for i in range(4)}}} for low in (0x1041,
        0x9041)],
    "x86.ioapic.end_of_interrupt": [
        {"ioapic": {"entries": {str(i): {"low": low, "pin": pin} for i in range(4)}}, "vector": 0x41}
        for low in (0xC041, 0x1C041, 0x8041, 0x4041, 0xE041) for pin in (0, 1)
    ],
    "x86.ioapic.read_window": [{"ioapic": {"select": select}} for select in range(20)],
    "x86.ioapic.write_window": [{"ioapic": {"select": select}} for select in range(20)],
    "x86.ioapic.write_page": [{"offset": 0x40}, {"offset": 0}, {"offset": 0x10}],
    "x86.lowest.lowest": [{**TO_ALL, "arbiter": {"policy": policy}} for policy in range(6)],
    "x86.lowest.recipients": [{**TO_ALL, "arbiter": {"policy": policy}} for policy in range(6)],
    "x86.lvt.write_lvt": [
        {"apic": LINT0, "entry": 5, "value": 0x8041}, {"apic": LINT0, "entry": 2, "value": 0x8041},
        {"apic": LINT0, "entry": 4, "value": 0x8041}, {"apic": LINT0, "entry": 4, "value": 0xA041},
        {"apic": {"x2apic": 1, "core": {"choices": {"apic_lvt_status_faults": 1}}}, "value": 0x1041},
    ],
    "x86.lvt.local_event": [
        {"apic": {**LINT0, "lvt": {"4": low}}, "entry": 4} for low in (0x8041, 0xC041, 0x800F, 0x41, 0x441)
    ] + [{"apic": {**LINT0, "lvt": {"3": 0x41}}, "entry": 3}],
    "x86.lvt.end_level": [{"apic": {**LINT0, "lvt": {"4": low}, "pins": {"0": pin}}, "vector": 0x41} for pin in (0,
        1) for low in (0xC041, 0x4041)],
    "x86.modes.write_base": [
        *({"apic": {**mode, "has_x2apic": 1}} for mode in (XAPIC, X2APIC, {"core": {"enabled": 0}, "x2apic": 0})),
        {"apic": {"has_x2apic": 0}, "low": 0xFEE00C00},
            {"apic": {"core": {"choices": {"apic_bsp_write_faults": 1}}}, "low": 0xFEE00900},
        {"apic": {**X2APIC, "has_x2apic": 1}, "low": 0xFEE00800, "high": 0}, {"apic": XAPIC, "low": 0, "high": 0},
        {"apic": {**XAPIC, "has_x2apic": 1, "core": {"choices!": {}}}, "low": 0xFEE00C00, "high": 0},
    ],
    "x86.registers.page_write": [
        {"apic": {**XAPIC, "core": {"enabled": 1, "choices!": {"apic_id_writable": 1}}}, "offset": row * 16,
            "size": 4} for row in range(64)
    ],
    "x86.registers.page_read": [{"apic": XAPIC, "offset": row * 16, "size": 4} for row in range(64)],
    "x86.registers.write_msr": [
        {"apic": X2APIC, "number": 0x800 + row, "access": {"high": 0, "low": low}}
        for row in range(64) for low in (0, 0x41, 0xB, 0x10041, 0x100041)
    ],
    "x86.registers.read_msr": [{"apic": X2APIC, "number": 0x800 + row} for row in range(64)],
    "x86.registers.write_cr8": [{"low": low, "high": 0} for low in range(18)],
    "x86.timer.current_count": [{"apic": PERIODIC, "bus": bus} for bus in (0, 10, 51, 149, 1000)],
    "x86.timer.read_deadline": [{"apic": DEADLINE}],
    "x86.timer.write_deadline": [{"apic": {**DEADLINE, "has_deadline": 1}, "tsc": tsc, "low": 1000, "high": 0}
        for tsc in (0, 999, 1000)],
    "x86.timer.expire": [
        {"apic": {**kind, "core": {"enabled": 1, "choices": {"timer_masked_expiry_is_kept": 1}}}, "now": now}
        for kind in (PERIODIC, DEADLINE, {**PERIODIC, "lvt": {"1": 0x10041}}) for now in (0, 49, 50, 1000)
    ],
    "x86.timer.collapse_missed": [{"apic": PERIODIC, "bus": bus} for bus in (49, 50, 150, 151, 1000)],
    "x86.timer.write_timer_lvt": [{"apic": {**PERIODIC, "x2apic": 0, "timer": {"kept": 1}}, "value": 0x41},
        {"apic": DEADLINE}],
    "xen.fifo.set_link": [{"array": words(1 << 29), "tail": 2}, {"array": words(0), "tail": 2}],
    "xen.fifo.raise_port": [
        {"array!": words(word), "blocks": blocks, "port": 2}
        for word in (0, 1 << 31, 1 << 30, 3 << 30, 1 << 29, 5 << 29) for blocks in (MAPPED, QUEUED, UNMAPPED)
    ] + [{"array!": {**words(0), "words": {"9": 1 << 29}}, "blocks": QUEUED, "port": 2}]
    + [{"array!": words(0), "blocks": [{"mapped": 1, "ready": 0xFFFF, "tail": {}}] * 4, "port": 2}],
    "xen.fifo.hypercall_unmask": [{"array!": words(3 << 30), "blocks": MAPPED, "port": 2}],
    "xen.fifo_guest.guest_unmask": [{"array!": words(word)} for word in (3 << 30, 1 << 30, 5 << 28, 1 << 28,
        1 << 31)],
    "xen.fifo_guest.guest_consume": [
        {"array!": words(word), "block": {"head": {str(p): 2 for p in range(16)}}, "cursor": {"ready": 1 << 7,
            "head": {}}}
        for word in (1 << 31, 0xA0000003, 3 << 30)
    ],
    "xen.operations.connect": [
        {"local!": {}, "port": port, "remote!": {"state": {"3": 2}, "remote_domain": {"3": 0}}, "remote_port": 3,
            "local_domain": domain}
        for port in (1, 0) for domain in (0, 1)
    ],
    "xen.operations.close": KINDS, "xen.operations.send": KINDS, "xen.operations.status": KINDS,
        "xen.ports.bind_vcpu": [
        *KINDS, {"ch": {"state": {"1": 5}, "virq": {"1": 0}, "consumer": {}}, "port": 1}],
    "xen.operations.set_priority_error": [{**kind, "uses_fifo": fifo, "port": 3} for kind in KINDS for fifo in (0,
        1)],
    "xen.ports.lowest_free": [{"ch": BUSY_PORTS}, {}], "xen.operations.find_port": [{"ch": BUSY_PORTS, "most": 100},
        {}],
    "xen.ports.can_send": KINDS,
    **{f"xen.eoi_stack.{name}": STACKS for name in (
        "push", "mark_ready", "pop_ready", "end_internal", "is_increasing", "is_in_service", "held_class")},
    "svm.vmcb.check_vmrun": [
        {"vmcb!": {"x2avic": x2avic, "physical_bits": 36, name: 1 << 35}} for x2avic in (0, 1)
        for name in ("backing_page", "physical_table", "logical_table")
    ] + [{"vmcb!": {"max_index": 512}}],
    "vmx.eoi.eoi_virtualization": [{"vapic": {"svi": 0x51, "eoi_exit": {"2": bits}}} for bits in (1 << 17, 0)],
    "x86.registers.write_eoi": [
        {"apic": {"core!": {"svr": svr, "isr": {"2": 1 << 17}, "tmr": {"2": tmr}}}} for svr in (0x1FF, 0x11FF)
        for tmr in (0, 1 << 17)
    ],
    "x86.timer.write_initial": [{"apic": DEADLINE}, {"apic": PERIODIC}],
    "x86.timer.write_divide": [
        {"apic": {**PERIODIC, "core": {"choices": {"timer_divide_change_restarts": again}}}, "bus": 10}
            for again in (0, 1)
    ],
    "xen.credit2.skips": [
        {"credit": 500_000_000, "current": current, "allowed": 1, "promised": 0, "remote": remote, "has_budget": budget}
        for current in (-1, 0, 1) for remote in (0, 1) for budget in (0, 1)
    ],
    "xen.choice.linux_msi": [
        {"leaf": leaf, "features": 0x500, "upcall": 1, "mode!": {"apic": apic, "x2apic": x2apic}}
        for leaf in (0, 1, 2, 3) for apic in (0, 1) for x2apic in (0, 1)
    ],
    "xen.passthrough.single_vcpu": [{"matching": [bit]} for bit in (0, 1)],
    "xen.passthrough.target_vcpu": [{"posts": 1, "delivery": 1}],
    "xen.passthrough.host_lacks": LACKING, "xen.passthrough.binding_lacks": LACKING, "xen.passthrough.bind": LACKING,
    "xen.passthrough.pirq_of_message": [{"address": address, "address_high": high, "data": 0}
                                        for address in (0xFEE00000, 0xFEE12000) for high in (0, 255, 256)],
    "xen.vectors.assign_vector": MOVING, "xen.vectors.acknowledge": MOVING, "xen.vectors.arrive": MOVING,
    "xen.vectors.clean_up": MOVING, "xen.vectors.clear_vector": MOVING,
    "xen.vectors.search": [{"table!": {"shared": {str(i): 0xFFFFFFFF for i in range(8)}}}],
    "xen.eoi_stack.exceeds_rate": [{"rate!": {"since_ps": 1, "count": count}, "now_ps": 2, "limit": limit}
                                   for count in (0, 9, 10, 11) for limit in (0, 10)],
    "xen.pirq.forced_eoi": [{"bound!": {"ack": ack, "in_flight": 1, "marked": {"0": 1}}} for ack in (0, 1, 2)],
    "xen.pirq.guest_eoi": [
        {"bound!": {"ack": ack, "in_flight": 1, "marked": {"0": 1}}, "guest": 0} for ack in (0, 1, 2)
    ],
    "xen.fifo.take_saved": [{"array!": {"pages": 1, "saved": {"2": 1}}, "port": port} for port in (2, 3)],
    "xen.two_level.raise_port": [
        {"shared!": {"pending": {"0": pending}, "mask": {"0": mask}}, "info!": {"selector": {"0": chosen}}}
        for chosen in (0, 1)
        for pending in (0, 0xFFFFFFFF) for mask in (0,
            0xFFFFFFFF)
    ],
    "xen.two_level.hypercall_unmask": [
        {"shared": {"pending": {"0": 0xFFFFFFFF}, "mask": {"0": 0xFFFFFFFF}}, "info": {"selector": {"0": chosen},
            "upcall_pending": 0}, "port": port}
        for chosen in (0, 1) for port in (1, 31)
    ],
    "xen.two_level.next_port": [{"selector": [0, 1 << 31], "shared!": {}}, {"selector": [1, 1]}, {"selector": [0,
        0]}],
}  # fmt: skip


def laid_over(chosen: Any, start: Any) -> Any:
    """Lay a start over what chance has chosen."""
    if not isinstance(start, dict) or not isinstance(chosen, dict):
        return start
    found = dict(chosen)
    for name, value in start.items():
        if name.endswith("!"):
            found[name[:-1]] = plain(value)
        else:
            found[name] = laid_over(chosen.get(name, {}), value)
    return found


def plain(value: Any) -> Any:
    """Return a start by itself, without the marks."""
    return {k.rstrip("!"): plain(v) for k, v in value.items()} if isinstance(value, dict) else value
