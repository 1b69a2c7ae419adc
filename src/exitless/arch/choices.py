"""What the manuals leave open, or what is only remembered: one switch each, with its default.

A unit of state (a local APIC, an I/O APIC, a remapping unit, an AVIC) carries one :class:`Choices`, and its rules read
the switch where the question comes up. ``exitless list rules --unverified`` prints the table.
"""

from typing import Final

from mypy_extensions import i64


class Choices:
    """The switches, each an attribute with its default; the table below says what each decides.

    Cites: SDM apic.registers
    """

    def __init__(self) -> None:
        self.apic_accepts_while_disabled: i64 = 0
        self.apic_disable_keeps_state: i64 = 0
        self.apic_bsp_write_faults: i64 = 0
        self.apic_msr_list_refuses_to_fff: i64 = 0
        self.apic_reserved_read: i64 = 0
        self.apic_has_arbitration: i64 = 0
        self.apic_id_writable: i64 = 0
        self.apic_focus_writable: i64 = 0
        self.apic_lvt_status_faults: i64 = 0
        self.apic_icr_status_faults: i64 = 0
        self.apic_x2apic_lowest_faults: i64 = 0
        self.apic_illegal_vector_is_sent: i64 = 0
        self.apic_invalid_combination_is_sent: i64 = 0
        self.apic_init_deassert_resets: i64 = 0
        self.apic_narrow_reaches_x2apic: i64 = 1
        self.apic_cluster_15_is_broadcast: i64 = 0
        self.apic_lowest_tie_is_last: i64 = 0
        self.timer_any_mode_change_disarms: i64 = 1
        self.timer_masked_expiry_is_kept: i64 = 0
        self.timer_divide_change_restarts: i64 = 0
        self.msi_logical_without_hint: i64 = 0
        self.ioapic_masked_edge_is_held: i64 = 0
        self.ioapic_has_eoi_register: i64 = 1
        self.ioapic_remappable_carries_vector: i64 = 0
        self.ioapic_unmask_sends_asserted: i64 = 1
        self.vtd_fault_request_reserved: i64 = 32
        self.vtd_fault_index: i64 = 33
        self.vtd_fault_fetch: i64 = 35
        self.vtd_source_before_reserved: i64 = 0
        self.vtd_reserved_source_type_is_entry: i64 = 0
        self.vtd_narrow_destination_is_checked: i64 = 0
        self.vtd_posted_fault_obeys_fpd: i64 = 1
        self.svm_vintr_exit_code: i64 = 100
        self.avic_needs_nested_paging: i64 = 1
        self.avic_host_doorbell_is_kept: i64 = 0
        self.avic_vmrun_loads_vtpr: i64 = 0
        self.avic_eoi_trap_keeps_in_service: i64 = 1
        self.avic_absent_msr_faults: i64 = 0
        self.avic_vector_before_type: i64 = 0
        self.avic_reserved_cluster_exits: i64 = 1
        self.avic_logical_beyond_255: i64 = 0
        self.avic_reports_first_index: i64 = 1
        self.avic_log_overwrites: i64 = 0


class Choice:
    """One row: the switch, its default, what it decides, the mark of the facts, and where the question comes from.

    Marks: ``from memory`` (known, not re-read), ``open`` (the source leaves it to the implementation), ``derived``
    (follows from other rules), ``code reading`` (read in software, confirmed by no manual). Cites: SDM apic.registers
    """

    def __init__(self, name: str, default: int, decides: str, mark: str, cites: str) -> None:
        self.name = name
        self.default = default
        self.decides = decides
        self.mark = mark
        self.cites = cites


CHOICES: Final[list[Choice]] = [
    Choice(
        "apic_accepts_while_disabled", 0,
        "1: a local APIC with SVR[8]=0 still takes fixed messages into IRR; 0: it drops them.",
        "from memory", "SDM apic.reset",
    ),
    Choice(
        "apic_disable_keeps_state", 0,
        "1: clearing the enable bit of IA32_APIC_BASE in xAPIC mode leaves the registers for the next enabling; "
        "0: they are reset, as the manual says of x2APIC mode.",
        "from memory", "SDM apic.modes",
    ),
    Choice(
        "apic_bsp_write_faults", 0,
        "1: writing IA32_APIC_BASE with another BSP bit raises #GP; 0: the bit is read-only and what is written "
        "to it is ignored.",
        "derived", "SDM apic.modes",
    ),
    Choice(
        "apic_msr_list_refuses_to_fff", 0,
        "1: a VMX MSR list may hold none of 800H to FFFH, as 10.12.4 says; 0: none of 800H to 8FFH, as 26.4 says.",
        "open", "SDM vmx.msr-lists",
    ),
    Choice(
        "apic_reserved_read", 0,
        "What an xAPIC read of a reserved slot returns.",
        "from memory", "SDM apic.errors",
    ),
    Choice(
        "apic_has_arbitration", 0,
        "1: the arbitration-priority register can be read, as before the Pentium 4; 0: it reads 0 without an "
        "error.",
        "from memory", "SDM apic.registers",
    ),
    Choice(
        "apic_id_writable", 0,
        "1: software may write the 8-bit ID in xAPIC mode, as before Nehalem; 0: the write is ignored.",
        "open", "SDM apic.registers",
    ),
    Choice(
        "apic_focus_writable", 0,
        "1: SVR[9], focus checking, can be written; 0: it is reserved, as on the Pentium 4 and later.",
        "open", "SDM apic.spurious",
    ),
    Choice(
        "apic_lvt_status_faults", 0,
        "1: WRMSR of an LVT with bit 12 or 14 (read-only) set raises #GP; 0: these bits are ignored.",
        "from memory", "SDM apic.x2apic",
    ),
    Choice(
        "apic_icr_status_faults", 0,
        "1: WRMSR 830H with bit 12 set raises #GP, as AMD has it; 0: the bit is ignored, as Intel has it.",
        "code reading", "KVM lapic.c kvm_x2apic_icr_write",
    ),
    Choice(
        "apic_x2apic_lowest_faults", 0,
        "1: WRMSR 830H with lowest-priority delivery raises #GP, because the figure calls it reserved; 0: it is "
        "sent.",
        "open", "SDM apic.icr",
    ),
    Choice(
        "apic_illegal_vector_is_sent", 0,
        "1: an IPI with a vector below 16 also reaches its destinations, which record bit 6; 0: only the sender "
        "records bit 5 (a self IPI records both in any case).",
        "open", "SDM apic.errors",
    ),
    Choice(
        "apic_invalid_combination_is_sent", 0,
        "1: an ICR combination that Table 10-3 does not allow is sent as it stands; 0: nothing is sent.",
        "open", "SDM apic.icr",
    ),
    Choice(
        "apic_init_deassert_resets", 0,
        "1: an INIT with level 0 and trigger level is an INIT like any other; 0: it is the old de-assert, which "
        "resets nobody.",
        "derived", "SDM apic.icr",
    ),
    Choice(
        "apic_narrow_reaches_x2apic", 1,
        "1: a message with an 8-bit physical destination reaches an APIC in x2APIC mode whose ID it is; 0: it "
        "reaches none. A logical one reaches none in either case.",
        "derived", "SDM apic.destination",
    ),
    Choice(
        "apic_cluster_15_is_broadcast", 0,
        "1: in the cluster model every destination FxH is a broadcast; 0: only FFH is.",
        "derived", "SDM apic.destination",
    ),
    Choice(
        "apic_lowest_tie_is_last", 0,
        "Which of several equally low processors takes a lowest-priority message when priority decides: 0 the "
        "first, 1 the last.",
        "open", "SDM apic.lowest",
    ),
    Choice(
        "timer_any_mode_change_disarms", 1,
        "1: every change of the timer mode disarms the timer, as the manual says; 0: only one into or out of TSC-"
        "deadline mode, as KVM does.",
        "code reading", "SDM apic.timer",
    ),
    Choice(
        "timer_masked_expiry_is_kept", 0,
        "1: an expiry under a masked LVT is delivered at the unmasking; 0: it is lost.",
        "from memory", "SDM apic.timer",
    ),
    Choice(
        "timer_divide_change_restarts", 0,
        "1: a new divider starts the count again from the initial count; 0: what is left goes on at the new rate.",
        "derived", "SDM apic.timer",
    ),
    Choice(
        "msi_logical_without_hint", 0,
        "1: the destination mode of a compatibility-format message counts with RH=0 too; 0: the destination is "
        "then a physical ID.",
        "from memory", "SDM apic.msi",
    ),
    Choice(
        "ioapic_masked_edge_is_held", 0,
        "1: an edge on a masked pin is sent at the unmasking; 0: it is lost.",
        "from memory", "KVM ioapic.c ioapic_service",
    ),
    Choice(
        "ioapic_has_eoi_register", 1,
        "1: version 20H with an EOI register at 40H; 0: version 11H without one.",
        "from memory", "KVM ioapic.c registers",
    ),
    Choice(
        "ioapic_remappable_carries_vector", 0,
        "1: the message of a remappable redirection entry carries vector and trigger in its data, which the "
        "remapping unit then finds reserved; 0: its data is 0.",
        "derived", "VT-d remap.ioapic",
    ),
    Choice(
        "ioapic_unmask_sends_asserted", 1,
        "1: unmasking a level pin whose line is asserted sends; 0: only the next assertion does.",
        "code reading", "KVM ioapic.c ioapic_write_indirect",
    ),
    Choice(
        "vtd_fault_request_reserved", 32,
        "The fault reason of a reserved bit in a request.",
        "from memory", "VT-d remap.faults",
    ),
    Choice(
        "vtd_fault_index", 33,
        "The fault reason of an index beyond the table.",
        "from memory", "VT-d remap.faults",
    ),
    Choice(
        "vtd_fault_fetch", 35,
        "The fault reason of an entry that cannot be read.",
        "from memory", "VT-d remap.faults",
    ),
    Choice(
        "vtd_source_before_reserved", 0,
        "1: the requester is checked before the entry's reserved bits; 0: after them.",
        "open", "VT-d remap.faults",
    ),
    Choice(
        "vtd_reserved_source_type_is_entry", 0,
        "1: SVT=11B is a reserved bit of the entry, reason 24H; 0: it is a requester that fails, reason 26H.",
        "open", "VT-d irte.remapped",
    ),
    Choice(
        "vtd_narrow_destination_is_checked", 0,
        "1: without EIME, bits of DST outside 47:40 are reserved bits of the entry; 0: they are ignored.",
        "derived", "VT-d irte.remapped",
    ),
    Choice(
        "vtd_posted_fault_obeys_fpd", 1,
        "1: FPD also suppresses the record of a descriptor that cannot be read or has reserved bits set; 0: it "
        "does not.",
        "derived", "VT-d remap.faults",
    ),
    Choice(
        "svm_vintr_exit_code", 100,
        "The exit code of the VINTR intercept, 64H.",
        "from memory", "APM svm.exit-codes",
    ),
    Choice(
        "avic_needs_nested_paging", 1,
        "1: VMRUN with AVIC and without nested paging is VMEXIT_INVALID; 0: it is not checked.",
        "derived", "APM avic.vmrun",
    ),
    Choice(
        "avic_host_doorbell_is_kept", 0,
        "1: a doorbell that reaches a core in host mode is kept until the next VMRUN; 0: it is lost, and VMRUN's own "
        "evaluation makes good for it.",
        "open", "APM avic.doorbell",
    ),
    Choice(
        "avic_vmrun_loads_vtpr", 0,
        "1: VMRUN writes V_TPR of the VMCB into the backing page; 0: V_TPR is taken from the backing page.",
        "open", "APM avic.vmcb",
    ),
    Choice(
        "avic_eoi_trap_keeps_in_service", 1,
        "1: an EOI that traps leaves ISR to software; 0: the vector has already been retired.",
        "code reading", "APM avic.registers",
    ),
    Choice(
        "avic_absent_msr_faults", 0,
        "1: an x2APIC register that is not there raises #GP; 0: its access is a fault-like exit 402H.",
        "derived", "APM avic.registers",
    ),
    Choice(
        "avic_vector_before_type", 0,
        "1: a vector below 16 is told even where the type is invalid too, as in an NMI; 0: the type comes first.",
        "derived", "APM avic.ipi",
    ),
    Choice(
        "avic_reserved_cluster_exits", 1,
        "1: a logical destination in the reserved cluster 15 is an invalid target; 0: it names nobody.",
        "derived", "APM avic.tables",
    ),
    Choice(
        "avic_logical_beyond_255", 0,
        "1: a logical destination of x2AVIC may name guest IDs above 255; 0: such a one is an invalid target.",
        "open", "APM avic.ipi",
    ),
    Choice(
        "avic_reports_first_index", 1,
        "1: an exit because a target does not run reports the table index of the first such target; 0: that of the "
        "last.",
        "open", "APM avic.exits",
    ),
    Choice(
        "avic_log_overwrites", 0,
        "1: a full guest APIC log overwrites its oldest entry; 0: it drops the new one and says so.",
        "from memory", "APM avic.iommu",
    ),
]  # fmt: skip
