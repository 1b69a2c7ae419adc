"""Steps of the worlds of events, links, interrupts in flight and entries: their numbers, sentences and citations."""

from typing import Final


class Act:
    """One number a step, from 100 on, beyond those of Verb and Rule."""

    SET_PENDING: Final = 100
    READ_MASK: Final = 101
    SET_SELECTOR: Final = 102
    MARK: Final = 103
    BEGIN_MASKED: Final = 104
    CLEAR_MASK: Final = 105
    LOOK_PENDING: Final = 106
    MASK_AGAIN: Final = 107
    HYPER_CLEAR_MASK: Final = 108
    HYPER_LOOK: Final = 109
    TAKE_UPCALL: Final = 110
    TAKE_SELECTOR: Final = 111
    SCAN: Final = 112
    ACK: Final = 113
    HANDLE: Final = 114
    LOOK_UPCALL: Final = 115
    TOLD: Final = 116

    TAKE_READY: Final = 120
    PICK: Final = 121
    UNLINK: Final = 122
    READ_LINK: Final = 123
    LOOK_WORD: Final = 124
    SET_LINKED: Final = 125
    READ_TAIL: Final = 126
    TRY_LINK: Final = 127
    SET_BUSY: Final = 128
    GIVE_UP: Final = 129
    WRITE_HEAD: Final = 130
    SET_READY: Final = 131
    UNMASK: Final = 132

    ASSERT: Final = 140
    TAKE_IRQ: Final = 141
    SET_WORK: Final = 142
    QUEUE: Final = 143
    ARM: Final = 144
    CLAIM: Final = 145
    LEAVE_LIST: Final = 146
    TAKE_WORK: Final = 147
    END_RUN: Final = 148
    GUEST_TAKES: Final = 149
    GUEST_EOI: Final = 150
    TIMER_FIRES: Final = 151
    FORCE: Final = 152
    SET_EOI_READY: Final = 153

    RAISE: Final = 160
    REQUEST: Final = 161
    KICK_EXIT: Final = 162
    WINDOW_EXIT: Final = 163
    CUT_SHORT: Final = 164
    DELIVER: Final = 165
    CLEAR_UPCALL: Final = 166
    END: Final = 167
    RETURN: Final = 168
    PASS: Final = 169
    KICK_IN_ROOT: Final = 159

    PREEMPT: Final = 170
    MIGRATE: Final = 171


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
    Act.MIGRATE: ("moves the waiting vCPU to another pCPU", "Xen core.c sched_unit_migrate_finish"),
}
