"""Posted interrupts: requests go to the descriptor, and a notification moves them into the guest without an exit."""

from mypy_extensions import i64

from exitless.arch.outcome import Kick
from exitless.arch.vmx.evaluate import evaluate_pending
from exitless.arch.vmx.injection import highest_requested, inject_at_entry, keep_trigger, load_at_entry
from exitless.arch.vmx.posted import claim_notification, clear_outstanding, raise_rvi, set_pir, take_pir
from exitless.mech.delivery import Delivery
from exitless.mech.injected import write_apic
from exitless.mech.vcpu import VirtualCpu


class Posted(Delivery):
    """Virtual-interrupt delivery fed through the posted-interrupt descriptor, as Xen does it."""

    def request(self, vcpu: VirtualCpu, vector: i64, level: i64) -> i64:
        """Keep the trigger mode, set the PIR bit, then claim the notification.

        A bit that was set ends the request; a stale EOI-exit bitmap or a notification that cannot be claimed
        (SN or ON) asks for a kick instead. Cites: Xen vlapic.c vlapic_set_irq,
        Xen vmx.c vmx_deliver_posted_intr
        """
        keep_trigger(vcpu.vapic, vector, level)
        if set_pir(vcpu.pid, vector):
            return Kick.NONE
        if vcpu.eoi_map_dirty != 0:
            vcpu.pid.on = 1
            return Kick.EXIT
        if not claim_notification(vcpu.pid):
            return Kick.EXIT
        return Kick.NOTIFY

    def pending(self, vcpu: VirtualCpu) -> i64:
        """Merge PIR into VIRR, but only if ON was set, then take the highest request.

        Cites: Xen vmx.c vmx_sync_pir_to_irr
        """
        if vcpu.pid.on != 0:
            clear_outstanding(vcpu.pid)
            take_pir(vcpu.pid, vcpu.vapic)
        return highest_requested(vcpu.vapic)

    def grant(self, vcpu: VirtualCpu, vector: i64) -> i64:
        """Write RVI; nothing is injected."""
        vcpu.vapic.rvi = vector
        return 0

    def enter(self, vcpu: VirtualCpu) -> i64:
        """The entry virtualizes PPR and evaluates, then injects what the field holds."""
        load_at_entry(vcpu.vapic)
        return inject_at_entry(vcpu.state)

    def arrive(self, vcpu: VirtualCpu, vector: i64) -> bool:
        """The notification vector is processed without an exit; the local APIC has had its EOI by then.

        Order: ON is cleared before PIR is read. Cites: SDM posted.processing
        """
        if vector != vcpu.controls.notification_vector:
            return False
        clear_outstanding(vcpu.pid)
        raise_rvi(vcpu.vapic, take_pir(vcpu.pid, vcpu.vapic))
        evaluate_pending(vcpu.vapic)
        return True

    def end(self, vcpu: VirtualCpu) -> i64:
        """A write of EOI, virtualized; it exits only for vectors in the EOI-exit bitmap."""
        return write_apic(vcpu, 176, 0)

    def write_register(self, vcpu: VirtualCpu, offset: i64, value: i64) -> i64:
        """A write of any other register."""
        return write_apic(vcpu, offset, value)
