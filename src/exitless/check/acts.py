"""Steps of the worlds of events, links, interrupts in flight and entries: their numbers, sentences and citations."""

from typing import Final


class Act:
    """One number a step, from 300 on, beyond those of Verb and Rule."""

    SET_PENDING: Final = 300
    READ_MASK: Final = 301
    SET_SELECTOR: Final = 302
    MARK: Final = 303
    BEGIN_MASKED: Final = 304
    CLEAR_MASK: Final = 305
    LOOK_PENDING: Final = 306
    MASK_AGAIN: Final = 307
    HYPER_CLEAR_MASK: Final = 308
    HYPER_LOOK: Final = 309
    TAKE_UPCALL: Final = 310
    TAKE_SELECTOR: Final = 311
    SCAN: Final = 312
    ACK: Final = 313
    HANDLE: Final = 314
    LOOK_UPCALL: Final = 315
    TOLD: Final = 316

    TAKE_READY: Final = 320
    PICK: Final = 321
    UNLINK: Final = 322
    READ_LINK: Final = 323
    LOOK_WORD: Final = 324
    SET_LINKED: Final = 325
    READ_TAIL: Final = 326
    TRY_LINK: Final = 327
    SET_BUSY: Final = 328
    GIVE_UP: Final = 329
    WRITE_HEAD: Final = 330
    SET_READY: Final = 331
    UNMASK: Final = 332

    ASSERT: Final = 340
    TAKE_IRQ: Final = 341
    SET_WORK: Final = 342
    QUEUE: Final = 343
    ARM: Final = 344
    CLAIM: Final = 345
    LEAVE_LIST: Final = 346
    TAKE_WORK: Final = 347
    END_RUN: Final = 348
    GUEST_TAKES: Final = 349
    GUEST_EOI: Final = 350
    TIMER_FIRES: Final = 351
    FORCE: Final = 352
    SET_EOI_READY: Final = 353

    RAISE: Final = 360
    REQUEST: Final = 361
    KICK_EXIT: Final = 362
    WINDOW_EXIT: Final = 363
    CUT_SHORT: Final = 364
    DELIVER: Final = 365
    CLEAR_UPCALL: Final = 366
    END: Final = 367
    RETURN: Final = 368
    PASS: Final = 369
    KICK_IN_ROOT: Final = 359

    PREEMPT: Final = 370
    MIGRATE: Final = 371

    SAVE: Final = 380
    RESTORE: Final = 381
    NMI_EXIT: Final = 382
    END_BY_CALL: Final = 383
    LINE_RISES: Final = 384
    WANT_BITMAP: Final = 385
    TELL: Final = 386
    RETARGET: Final = 387
    HANDLE_EOI: Final = 388
    LEAVE: Final = 389
    DETACH: Final = 390
    SET_IRR: Final = 391
    READ_RUNNING: Final = 392
    RING: Final = 393
    FINISH_IPI: Final = 394
    DOORBELL: Final = 395
    ASSERT_DIRECT: Final = 396
    HOST_TAKES: Final = 397
    TAKE_DIRECT: Final = 398
    END_DIRECT: Final = 399
    END_BY_EXIT: Final = 400
    BIND_POSTED: Final = 401
    BIND_STEERED: Final = 402
    SEND_REMAPPED: Final = 403
    QUEUE_DPCI: Final = 404
    RAISE_PIRQ: Final = 405


_SEND: Final = "Xen event_2l.c evtchn_2l_set_pending"
_UNMASK: Final = "Xen event_2l.c evtchn_2l_unmask"
_GUEST: Final = "Linux events_2l.c evtchn_2l_unmask"
_SCAN: Final = "Linux events_2l.c evtchn_2l_handle_events"
_UPCALL: Final = "Linux events_base.c __xen_evtchn_do_upcall"

# Step: what happens, in one clause; the citation.
ACTS: Final[dict[int, tuple[str, str]]] = {
    Act.SET_PENDING: ("sets the pending bit, and stops if it was set", _SEND),
    Act.READ_MASK: ("reads the mask bit, and stops if it is set", _SEND),
    Act.SET_SELECTOR: ("sets the selector bit, and stops if it was set", _SEND),
    Act.MARK: ("sets upcall_pending, and kicks the vCPU if it was clear", "Xen domain.c vcpu_mark_events_pending"),
    Act.BEGIN_MASKED: ("masks the port", "Linux events_2l.c evtchn_2l_mask"),
    Act.CLEAR_MASK: ("clears the mask bit", _GUEST),
    Act.LOOK_PENDING: ("looks at the pending bit", _GUEST),
    Act.MASK_AGAIN: ("masks the port again and calls Xen", _GUEST),
    Act.HYPER_CLEAR_MASK: ("clears the mask bit for the guest, and stops if it was clear", _UNMASK),
    Act.HYPER_LOOK: ("looks at the pending bit for the guest", _UNMASK),
    Act.TAKE_UPCALL: ("clears upcall_pending", _UPCALL),
    Act.TAKE_SELECTOR: ("takes the selector", _SCAN),
    Act.SCAN: ("looks for a port that is pending and not masked", _SCAN),
    Act.ACK: ("clears the pending bit", "Linux events_2l.c evtchn_2l_clear_pending"),
    Act.HANDLE: ("runs the port's handler", _SCAN),
    Act.LOOK_UPCALL: ("looks at upcall_pending before it returns", _UPCALL),
    Act.TOLD: ("exits and takes the upcall, if upcall_pending is set", "Xen intr.c vmx_intr_assist"),
    Act.TAKE_READY: ("takes READY", "Linux events_fifo.c handle"),
    Act.PICK: ("picks the head of the queue", "Linux events_fifo.c consume"),
    Act.UNLINK: ("clears LINKED and LINK of the head", "Linux events_fifo.c clear_linked"),
    Act.READ_LINK: ("reads LINK of the head", "Linux events_fifo.c clear_linked"),
    Act.LOOK_WORD: ("looks at PENDING and MASKED of the head", "Linux events_fifo.c consume"),
    Act.SET_LINKED: ("sets LINKED, and stops if it was set", "Xen event_fifo.c raise"),
    Act.READ_TAIL: ("reads the word of the tail", "Xen event_fifo.c link"),
    Act.TRY_LINK: ("tries to write LINK of the tail", "Xen event_fifo.c link"),
    Act.SET_BUSY: ("sets BUSY of the tail", "Xen event_fifo.c link"),
    Act.GIVE_UP: ("clears BUSY of the tail", "Xen event_fifo.c link"),
    Act.WRITE_HEAD: ("writes the head of the queue", "Xen event_fifo.c raise"),
    Act.SET_READY: ("sets READY for the new head", "Xen event_fifo.c raise"),
    Act.UNMASK: ("clears MASKED, or calls Xen if the port is pending", "Linux events_fifo.c unmask"),
    Act.ASSERT: ("sends its message to a pCPU", "Xen irq.c do_IRQ"),
    Act.TAKE_IRQ: ("takes the vector: stack, mark in flight, timer stopped", "Xen irq.c do_IRQ"),
    Act.SET_WORK: ("notes that there is work in the record", "Xen dpci.c raise_softirq_for"),
    Act.QUEUE: ("sets SCHED, and puts the record on its list if that was clear", "Xen dpci.c raise_softirq_for"),
    Act.ARM: ("arms the timer of 1 ms", "Xen irq.c do_IRQ"),
    Act.CLAIM: ("takes the record from its list and sets RUN", "Xen dpci.c dpci_softirq"),
    Act.LEAVE_LIST: ("clears SCHED", "Xen dpci.c dpci_softirq"),
    Act.TAKE_WORK: ("takes the work and gives the vector to the guest", "Xen dpci.c hvm_dirq_assist"),
    Act.END_RUN: ("clears RUN", "Xen dpci.c dpci_softirq"),
    Act.GUEST_TAKES: ("takes the interrupt", "Xen vmsi.c vmsi_deliver"),
    Act.GUEST_EOI: ("ends the interrupt", "Xen irq.c desc_guest_eoi"),
    Act.TIMER_FIRES: ("fires, and waits for the lock", "Xen irq.c irq_guest_eoi_timer_fn"),
    Act.FORCE: ("ends what is in flight, unless it was armed again", "Xen irq.c irq_guest_eoi_timer_fn"),
    Act.SET_EOI_READY: ("marks the entry ready and flushes, if nothing is in flight", "Xen irq.c set_eoi_ready"),
    Act.RAISE: ("raises an event: upcall_pending, and a kick if it was clear", "Xen domain.c vcpu_mark_events_pending"),
    Act.REQUEST: ("requests a vector of the local APIC, and kicks", "Xen vlapic.c vlapic_set_irq"),
    Act.KICK_EXIT: ("arrives in the guest, which exits", "Xen domain.c vcpu_kick"),
    Act.KICK_IN_ROOT: ("arrives in root mode", "Xen domain.c vcpu_kick"),
    Act.PASS: ("asks what is pending, and enters the guest", "Xen intr.c vmx_intr_assist"),
    Act.WINDOW_EXIT: ("exits for the interrupt window", "SDM vmx.event-priority"),
    Act.CUT_SHORT: (
        "exits amid an exception's delivery, which the entry repeats",
        "SDM vmx.event-injection",
    ),
    Act.DELIVER: ("delivers the virtual interrupt in RVI", "SDM apicv.delivery"),
    Act.CLEAR_UPCALL: ("clears upcall_pending and handles the events", _UPCALL),
    Act.END: ("ends the interrupt in service", "SDM apicv.eoi"),
    Act.RETURN: ("returns from its handler: IF = 1", "SDM vmcs.guest-state"),
    Act.PREEMPT: ("is preempted: the scheduler chooses another vCPU", "Xen credit.c csched_schedule"),
    Act.SAVE: ("exits, and its state is written down, PIR merged first", "Xen vmx.c vmx_sync_pir_to_irr"),
    Act.RESTORE: ("exits, and gets the saved state; PIR is cleared", "KVM vmx/vmx.c vmx_apicv_pre_state_restore"),
    Act.NMI_EXIT: ("arrives in the guest, which exits", "SDM vmx.event-priority"),
    Act.END_BY_CALL: ("ends the interrupt by an exit, software retires it", "Xen vlapic.c vlapic_EOI_set"),
    Act.LINE_RISES: ("raises its line", "KVM ioapic.c kvm_ioapic_set_irq"),
    Act.WANT_BITMAP: ("sends its message: remote IRR, and the bitmap's bit is wanted", "KVM ioapic.c ioapic_service"),
    Act.TELL: ("kicks if the bitmap has changed, else notifies", "Xen vmx.c vmx_deliver_posted_intr"),
    Act.RETARGET: (
        "sends the line to another vCPU; the bitmap is to be made anew",
        "KVM ioapic.c ioapic_write_indirect",
    ),
    Act.HANDLE_EOI: ("handles exit 45: the I/O APIC's side of the EOI", "KVM ioapic.c kvm_ioapic_update_eoi"),
    Act.LEAVE: ("exits", "SDM vmx.exit-information"),
    Act.DETACH: ("takes the last device away, and the hooks with it", "Xen vmx.c vmx_pi_switch_from"),
    Act.SET_IRR: ("sets the IRR bit on the target's backing page", "APM avic.ipi"),
    Act.READ_RUNNING: ("reads IsRunning", "APM avic.ipi"),
    Act.RING: ("rings the core", "APM avic.doorbell"),
    Act.FINISH_IPI: ("exits with ID 1; software wakes the target", "KVM svm/avic.c avic_incomplete_ipi_interception"),
    Act.DOORBELL: ("arrives: a core in its guest looks at IRR", "APM avic.doorbell"),
    Act.ASSERT_DIRECT: ("sends a vector to the pCPU's local APIC", "SDM apic.acceptance"),
    Act.HOST_TAKES: ("takes the vector, ends it, and keeps it for the guest", "ELI shadow-idt"),
    Act.TAKE_DIRECT: ("takes the physical vector through the shadow IDT", "ELI shadow-idt"),
    Act.END_DIRECT: ("ends it at the real local APIC", "SDM apic.eoi"),
    Act.END_BY_EXIT: ("ends an injected vector, which exits", "ELI shadow-idt"),
    Act.BIND_POSTED: ("binds a device: its entry is posted", "Xen dpci.c pt_irq_create_bind"),
    Act.BIND_STEERED: ("binds a device: its entry stays remapped", "Xen dpci.c pt_irq_create_bind"),
    Act.SEND_REMAPPED: ("sends its message, which is remapped to the pCPU", "VT-d remap.algorithm"),
    Act.QUEUE_DPCI: ("arrives; do_IRQ queues the record for the softirq", "Xen dpci.c raise_softirq_for"),
    Act.RAISE_PIRQ: ("takes the record's work and raises the PIRQ's port", "Xen dpci.c hvm_dirq_assist"),
    Act.MIGRATE: ("moves the waiting vCPU to another pCPU", "Xen core.c sched_unit_migrate_finish"),
}
