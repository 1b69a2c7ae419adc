"""What editions of the manual, or processors, answer differently about VMX: one switch each, with its default.

The controls of a virtual processor carry one :class:`VmxChoices`, and the rules read the switch where the question
comes up. IPI virtualization, the tertiary controls and their checks are known from notes on later editions only.
"""

from typing import Final

from mypy_extensions import i64

from exitless.arch.choices import Choice


class VmxChoices:
    """The switches, each an attribute with its default; the table below says what each decides.

    Cites: SDM vmx.controls
    """

    def __init__(self) -> None:
        self.vmx_reads_with_vid: i64 = 0
        self.vmx_blocking_delays_external: i64 = 0
        self.vmx_sti_blocks_nmi: i64 = 0
        self.vmx_iret_ends_nmi_blocking: i64 = 1
        self.vmx_cr8_fault_first: i64 = 0
        self.vmx_error_code_is_checked: i64 = 1
        self.vmx_tertiary_stand_alone: i64 = 0
        self.vmx_ipiv_needs_tpr_shadow: i64 = 1
        self.vmx_ipiv_needs_vid: i64 = 0
        self.vmx_ipiv_table_is_checked: i64 = 1
        self.vmx_timer_is_checked: i64 = 1
        self.vmx_ipiv_writes_icr_low: i64 = 1
        self.vmx_ipiv_writes_icr_high: i64 = 0
        self.vmx_ipiv_reads_icr: i64 = 0
        self.vmx_ipiv_reserved_exits: i64 = 0
        self.vmx_ipiv_ignores_status: i64 = 0
        self.vmx_ipiv_ignores_mode: i64 = 0


VMX_CHOICES: Final[list[Choice]] = [
    Choice(
        "vmx_reads_with_vid", 0,
        "1: reads of 0B0H and 300H are virtualized by virtual-interrupt delivery alone, as later editions have it; "
        "0: they exit, as in the 2016 edition.",
        "open", "SDM apicv.reads",
    ),
    Choice(
        "vmx_blocking_delays_external", 0,
        "1: blocking by STI or MOV SS delays even an external interrupt that exits; 0: it does not.",
        "open", "SDM vmx.event-priority",
    ),
    Choice(
        "vmx_sti_blocks_nmi", 0,
        "1: blocking by STI holds back the NMI window and NMIs, and refuses the injection of one; 0: only blocking by "
        "MOV SS does.",
        "open", "SDM vmx.entry-guest-state",
    ),
    Choice(
        "vmx_iret_ends_nmi_blocking", 1,
        "1: IRET ends blocking by NMI, unless NMIs exit and are not virtual; 0: it never does.",
        "from memory", "SDM exec.iret",
    ),
    Choice(
        "vmx_cr8_fault_first", 0,
        "1: MOV to CR8 with a bit of 63:4 set faults even where it would exit; 0: the exit goes first, as the "
        "recorded vectors have it.",
        "from memory", "SDM apicv.cr8",
    ),
    Choice(
        "vmx_error_code_is_checked", 1,
        "1: an injected event must deliver an error code exactly if its exception pushes one; 0: VM entry takes both.",
        "from memory", "SDM vmx.entry-event-field",
    ),
    Choice(
        "vmx_tertiary_stand_alone", 0,
        "1: tertiary controls count whether they are activated or not; 0: they count as 0 until they are.",
        "from memory", "SDM vmx.controls",
    ),
    Choice(
        "vmx_ipiv_needs_tpr_shadow", 1,
        "1: IPI virtualization without the TPR shadow fails the entry; 0: it stands alone.",
        "from memory", "SDM vmx.entry-checks",
    ),
    Choice(
        "vmx_ipiv_needs_vid", 0,
        "1: IPI virtualization without virtual-interrupt delivery fails the entry; 0: it needs none.",
        "from memory", "SDM vmx.entry-checks",
    ),
    Choice(
        "vmx_ipiv_table_is_checked", 1,
        "1: a PID-pointer table that is not 8-byte aligned, or ends beyond the physical-address width, fails the "
        "entry; 0: nothing is checked.",
        "from memory", "SDM vmx.entry-checks",
    ),
    Choice(
        "vmx_timer_is_checked", 1,
        "1: APIC-timer virtualization needs external-interrupt exiting, virtual-interrupt delivery, the TPR shadow "
        "and a vector from 16 to 255; 0: nothing is checked.",
        "from memory", "SDM vmx.entry-checks",
    ),
    Choice(
        "vmx_ipiv_writes_icr_low", 1,
        "1: IPI virtualization alone virtualizes the write to 300H; 0: without register virtualization and "
        "virtual-interrupt delivery it exits.",
        "from memory", "SDM apicv.writes",
    ),
    Choice(
        "vmx_ipiv_writes_icr_high", 0,
        "1: IPI virtualization alone virtualizes the write to 310H; 0: it needs register virtualization.",
        "from memory", "SDM apicv.writes",
    ),
    Choice(
        "vmx_ipiv_reads_icr", 0,
        "1: IPI virtualization alone virtualizes reads of 300H and 310H; 0: they exit.",
        "from memory", "SDM apicv.reads",
    ),
    Choice(
        "vmx_ipiv_reserved_exits", 0,
        "1: WRMSR 830H with one of bits 31:20, 17:16 and 13 set is stored and exits; 0: it raises #GP.",
        "from memory", "SDM apicv.x2apic-msrs",
    ),
    Choice(
        "vmx_ipiv_ignores_status", 0,
        "1: bit 12 (delivery status) of an ICR value is ignored by IPI virtualization; 0: it makes an exit.",
        "from memory", "SDM apicv.ipi-virtualization",
    ),
    Choice(
        "vmx_ipiv_ignores_mode", 0,
        "1: bit 11 (destination mode) of an ICR value is ignored by IPI virtualization; 0: it makes an exit.",
        "from memory", "SDM apicv.ipi-virtualization",
    ),
]  # fmt: skip
