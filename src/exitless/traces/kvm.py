"""Linux tracepoints: one row a tracepoint, with what it becomes and the fields that it must have for that.

What becomes of them is in :mod:`exitless.traces.kvm_rows`; all readers of Linux recordings share both.
"""

from typing import Final

from exitless.vocab.exits import VMX_NAMES
from exitless.vocab.svm_exits import SVM_NAMES


class Use:
    """What a reader does with a tracepoint: nothing is known of it, it is known but becomes no row, or one of these."""

    UNKNOWN: Final = -1
    NAME_ONLY: Final = 0
    LOST: Final = 1
    EXIT: Final = 2
    ENTRY: Final = 3
    INJECT: Final = 4
    ACCEPT: Final = 5
    POSTED: Final = 6
    EOI: Final = 7
    PV_EOI: Final = 8
    IPI: Final = 9
    MSI: Final = 10
    LINE: Final = 11
    IOAPIC: Final = 12
    PIC: Final = 13
    HYPERCALL: Final = 14
    SWITCH: Final = 15
    WAKING: Final = 16
    WAKEUP: Final = 17
    HOST_VECTOR: Final = 18
    HOST_IRQ: Final = 19
    SOFTIRQ: Final = 20
    TIMER: Final = 21
    HALT_POLL: Final = 22
    APIC: Final = 23
    MSR: Final = 24
    MMIO: Final = 25
    HALT_END: Final = 26
    HOST_VECTOR_DONE: Final = 27
    HOST_IRQ_DONE: Final = 28
    SOFTIRQ_DONE: Final = 29
    TIMER_DONE: Final = 30
    MARK: Final = 31


class Isa:
    """Whose exit codes ``kvm_exit`` holds."""

    VMX: Final = 1
    SVM: Final = 2


# Fields in the order in which a plan hands them out, after the thread. "a|b" is a field that was renamed, "a?" one that
# not all kernels have.
TRACEPOINTS: Final = {
    "kvm:kvm_exit": (Use.EXIT, "exit_reason isa? info1? intr_info? vcpu_id? guest_rip?"),
    "kvm:kvm_entry": (Use.ENTRY, "vcpu_id intr_info?"),
    "kvm:kvm_inj_virq": (Use.INJECT, "vector|irq soft? reinjected?"),
    "kvm:kvm_apic_accept_irq": (Use.ACCEPT, "apicid dm vec"),
    "kvm:kvm_apicv_accept_irq": (Use.POSTED, "apicid dm vec"),
    "kvm:kvm_eoi": (Use.EOI, "apicid vector"),
    "kvm:kvm_pv_eoi": (Use.PV_EOI, "apicid vector"),
    "kvm:kvm_apic_ipi": (Use.IPI, "icr_low dest_id"),
    "kvm:kvm_msi_set_irq": (Use.MSI, "address data"),
    "kvm:kvm_set_irq": (Use.LINE, "gsi level"),
    "kvm:kvm_ioapic_set_irq": (Use.IOAPIC, "e pin coalesced"),
    "kvm:kvm_pic_set_irq": (Use.PIC, "chip pin coalesced elcr? imr?"),
    "kvm:kvm_apic": (Use.APIC, "rw reg val"),
    "kvm:kvm_msr": (Use.MSR, "write ecx data"),
    "kvm:kvm_mmio": (Use.MMIO, "type gpa val"),
    "kvm:kvm_vcpu_wakeup": (Use.HALT_END, "ns waited valid?"),
    "kvm:kvm_hypercall": (Use.HYPERCALL, "nr a0"),
    "kvm:kvm_halt_poll_ns": (Use.HALT_POLL, "vcpu_id new? old?"),
    "sched:sched_switch": (Use.SWITCH, "prev_pid prev_state next_pid"),
    "sched:sched_waking": (Use.WAKING, "pid"),
    "sched:sched_wakeup": (Use.WAKEUP, "pid"),
    "irq:irq_handler_entry": (Use.HOST_IRQ, "irq"),
    "irq:irq_handler_exit": (Use.HOST_IRQ_DONE, ""),
    "irq:softirq_entry": (Use.SOFTIRQ, "vec"),
    "irq:softirq_exit": (Use.SOFTIRQ_DONE, "vec"),
    "timer:hrtimer_expire_entry": (Use.TIMER, ""),
    "timer:hrtimer_expire_exit": (Use.TIMER_DONE, ""),
}

# Interrupts of the host's own CPUs; each has a tracepoint NAME_entry, with its vector, and NAME_exit.
HOST_VECTORS: Final = (
    "local_timer reschedule call_function call_function_single irq_work x86_platform_ipi error_apic spurious_apic "
    "thermal_apic threshold_apic deferred_error_apic"
).split()
TRACEPOINTS.update({f"irq_vectors:{name}_entry": (Use.HOST_VECTOR, "vector") for name in HOST_VECTORS})
TRACEPOINTS.update({f"irq_vectors:{name}_exit": (Use.HOST_VECTOR_DONE, "vector") for name in HOST_VECTORS})

# Known tracepoints that become no row, by system.
NAMES: Final = {
    "kvm": (
        "vcpu_match_mmio kvm_ack_irq kvm_age_hva kvm_apicv_inhibit_changed kvm_apicv_update_request "
        "kvm_async_pf_completed kvm_async_pf_not_present kvm_async_pf_ready kvm_async_pf_repeated_fault "
        "kvm_avic_doorbell kvm_avic_ga_log kvm_avic_incomplete_ipi kvm_avic_kick_vcpu_slowpath "
        "kvm_avic_unaccelerated_access kvm_cpuid kvm_cr kvm_dirty_ring_exit kvm_dirty_ring_push kvm_dirty_ring_reset "
        "kvm_emulate_insn kvm_enter_smm kvm_fast_mmio kvm_fpu kvm_hv_flush_tlb kvm_hv_flush_tlb_ex kvm_hv_hypercall "
        "kvm_hv_hypercall_done kvm_hv_notify_acked_sint kvm_hv_send_ipi kvm_hv_send_ipi_ex kvm_hv_stimer_callback "
        "kvm_hv_stimer_cleanup kvm_hv_stimer_expiration kvm_hv_stimer_set_config kvm_hv_stimer_set_count "
        "kvm_hv_stimer_start_one_shot kvm_hv_stimer_start_periodic kvm_hv_syndbg_get_msr kvm_hv_syndbg_set_msr "
        "kvm_hv_synic_send_eoi kvm_hv_synic_set_irq kvm_hv_synic_set_msr kvm_hv_timer_state kvm_inj_exception "
        "kvm_invlpga kvm_ioapic_delayed_eoi_inj kvm_nested_intercepts kvm_nested_intr_vmexit "
        "kvm_nested_vmenter kvm_nested_vmenter_failed kvm_nested_vmexit kvm_nested_vmexit_inject kvm_nested_vmrun "
        "kvm_page_fault kvm_pi_irte_update kvm_pio kvm_ple_window kvm_ple_window_update kvm_pml_full kvm_pv_tlb_flush "
        "kvm_pvclock_update "
        "kvm_rmp_fault kvm_set_spte_hva kvm_skinit kvm_smm_transition kvm_test_age_hva kvm_track_tsc "
        "kvm_try_async_get_page kvm_unmap_hva_range kvm_update_master_clock kvm_userspace_exit "
        "kvm_vmgexit_enter kvm_vmgexit_exit kvm_vmgexit_msr_protocol_enter kvm_vmgexit_msr_protocol_exit "
        "kvm_wait_lapic_expire kvm_write_tsc_offset kvm_xen_hypercall"
    ),
    "irq_vectors": (
        "vector_activate vector_alloc vector_alloc_managed "
        "vector_clear vector_config vector_deactivate vector_free_moved vector_reserve vector_reserve_managed "
        "vector_setup vector_teardown vector_update"
    ),
    "irq": "softirq_raise tasklet_entry tasklet_exit",
    "ipi": "ipi_raise ipi_entry ipi_exit ipi_send_cpu ipi_send_cpumask",
    "timer": (
        "hrtimer_cancel hrtimer_init hrtimer_setup hrtimer_start timer_cancel timer_expire_entry "
        "timer_expire_exit timer_init timer_start tick_stop itimer_expire itimer_state"
    ),
    "sched": (
        "sched_migrate_task sched_wakeup_new sched_process_exit sched_process_fork sched_process_exec "
        "sched_process_free sched_process_wait sched_stat_runtime sched_stat_wait sched_stat_sleep sched_stat_blocked "
        "sched_stat_iowait sched_wait_task sched_pi_setprio sched_move_numa sched_swap_numa sched_stick_numa "
        "sched_wake_idle_without_ipi"
    ),
    "ftrace": (
        "print bprint bputs function funcgraph_entry funcgraph_exit kernel_stack user_stack context_switch wakeup"
    ),
}  # fmt: skip

KNOWN: Final = {f"{system}:{name}" for system, names in NAMES.items() for name in names.split()}

# What somebody wrote to the file trace_marker.
MARKER: Final = "ftrace:print"

# The kernel's text names no system; these are how it calls what a trace marker wrote.
SYSTEM_OF: Final = {kind.partition(":")[2]: kind for kind in (*KNOWN, *TRACEPOINTS)}
SYSTEM_OF["tracing_mark_write"] = MARKER


def known(kind: str) -> bool:
    """Tell whether a tracepoint, as ``kvm:kvm_exit``, has a row here."""
    return kind in KNOWN or kind in TRACEPOINTS or kind.startswith("kvmmmu:")


DELIVERY_MODES: Final = ("Fixed", "LowPrio", "SMI", "Res3", "NMI", "INIT", "SIPI", "ExtINT")
NMI: Final = 4

FAILED_ENTRY: Final = 0x80000000
ISA_NAMES: Final = {Isa.VMX: VMX_NAMES, Isa.SVM: SVM_NAMES}

# How the kernel prints the registers of a local APIC, by their offset.
APIC_REGISTERS: Final = {
    "APIC_ID": 0x20, "APIC_LVR": 0x30, "APIC_TASKPRI": 0x80, "APIC_ARBPRI": 0x90, "APIC_PROCPRI": 0xA0,
    "APIC_EOI": 0xB0, "APIC_RRR": 0xC0, "APIC_LDR": 0xD0, "APIC_DFR": 0xE0, "APIC_SPIV": 0xF0, "APIC_ISR": 0x100,
    "APIC_TMR": 0x180, "APIC_IRR": 0x200, "APIC_ESR": 0x280, "APIC_ICR": 0x300, "APIC_ICR2": 0x310,
    "APIC_LVTT": 0x320, "APIC_LVTTHMR": 0x330, "APIC_LVTPC": 0x340, "APIC_LVT0": 0x350, "APIC_LVT1": 0x360,
    "APIC_LVTERR": 0x370, "APIC_TMICT": 0x380, "APIC_TMCCT": 0x390, "APIC_TDCR": 0x3E0, "APIC_SELF_IPI": 0x3F0,
    "APIC_EFEAT": 0x400, "APIC_ECTRL": 0x410,
}  # fmt: skip

HYPERCALLS: Final = {
    1: "VAPIC_POLL_IRQ", 2: "MMU_OP", 3: "FEATURES", 4: "PPC_MAP_MAGIC_PAGE", 5: "KICK_CPU", 9: "CLOCK_PAIRING",
    10: "SEND_IPI", 11: "SCHED_YIELD", 12: "MAP_GPA_RANGE",
}  # fmt: skip

# Names that trace-cmd's plugin gives and the kernel does not, as numbers.
PLUGIN_VMX: Final = {"PENDING_INTERRUPT": 7, "IOIO": 30, "EPT_MISCONFIGURATION": 49, "EOI_EXIT": 45}
PLUGIN_SVM: Final = {
    "IDTR_READ": 0x66, "GDTR_READ": 0x67, "LDTR_READ": 0x68, "TR_READ": 0x69, "IDTR_WRITE": 0x6A, "GDTR_WRITE": 0x6B,
    "LDTR_WRITE": 0x6C, "TR_WRITE": 0x6D, "INTR": 0x60, "IOIO": 0x7B, "VMMCALL": 0x81, "MWAIT_COND": 0x8C,
    "ERR": 0xFFFFFFFF,
}  # fmt: skip


def exit_name(isa: int, code: int) -> str:
    """Name an exit as Linux does: VMX's reason with its failed-entry flag, SVM's code."""
    if isa == Isa.VMX:
        name = VMX_NAMES.get(code & 0xFFFF, f"0x{code & 0xFFFF:x}")
        return f"{name} FAILED_VMENTRY" if code & FAILED_ENTRY else name
    return ISA_NAMES.get(isa, {}).get(code, f"0x{code:x}")


def _reasons() -> dict[str, tuple[int, int]]:
    """Put all names of exits together, each with its number and whose it is."""
    found = {name: (code, Isa.SVM) for code, name in SVM_NAMES.items()}
    for code, name in SVM_NAMES.items():
        word, _, excp = name.partition(" ")
        found["EXIT_" + (f"EXCP_{word}" if excp else word.upper())] = code, Isa.SVM
    found.update({f"EXIT_{name}": (code, Isa.SVM) for name, code in PLUGIN_SVM.items()})
    found.update({name: (code, Isa.VMX) for name, code in PLUGIN_VMX.items()})
    found.update({name: (code, Isa.VMX) for code, name in VMX_NAMES.items()})
    return found


REASONS: Final = _reasons()
