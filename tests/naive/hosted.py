"""A slow hypervisor over the naive processor: how Xen feeds a guest through posted interrupts, sentence by sentence.

It shares nothing with the package. A vCPU is outside its guest (``inside`` False) or in it.
"""

from tests.naive.apicv import VIRR, VISR, VTMR, VTPR, Descriptor, Processor, VmExit, highest


class HostedVcpu:
    """A vCPU with posted interrupts under a hypervisor that merges PIR at entries and on notifications."""

    def __init__(self) -> None:
        self.processor = Processor("VID", "REG", "VAA", "EXTINT")
        self.processor.interrupt_flag = True
        self.descriptor = Descriptor()
        self.stale_bitmap = False
        self.inside = False

    def set_irq(self, vector: int, level: bool) -> str:
        """vlapic_set_irq, then vmx_deliver_posted_intr. Returns: what is owed: nothing, notify or kick."""
        bit = 1 << vector
        trigger = self.processor.array(VTMR) & ~bit | (bit if level else 0)
        self.processor.set_array(VTMR, trigger)
        wanted = self.processor.eoi_exit_bitmap & ~bit | (bit if level else 0)
        if wanted != self.processor.eoi_exit_bitmap:
            self.processor.eoi_exit_bitmap = wanted
            self.stale_bitmap = True
        if self.descriptor.pir & bit:
            return "nothing"
        self.descriptor.pir |= bit
        if self.stale_bitmap:
            self.descriptor.on = 1
            return "kick"
        if self.descriptor.on or self.descriptor.sn:
            return "kick"
        self.descriptor.on = 1
        return "notify"

    def device_post(self, vector: int, urgent: bool) -> bool:
        """The remapping unit's atomic update. Returns: whether it sends a notification."""
        self.descriptor.pir |= 1 << vector
        sends = self.descriptor.on == 0 and (urgent or self.descriptor.sn == 0)
        if sends:
            self.descriptor.on = 1
        return sends

    def sync(self) -> None:
        """vmx_sync_pir_to_irr: without ON nobody looks at PIR."""
        if self.descriptor.on:
            self.descriptor.on = 0
            taken, self.descriptor.pir = self.descriptor.pir, 0
            self.processor.set_array(VIRR, self.processor.array(VIRR) | taken)

    def enter(self) -> None:
        """Merge, write RVI if anything is requested, enter."""
        self.sync()
        top = highest(self.processor.array(VIRR))
        rvi = top if top else self.processor.rvi
        if top:
            self.stale_bitmap = False
        self.processor.vm_entry(rvi, self.processor.svi)
        self.inside = True

    def leave(self) -> None:
        """A VM exit: recognition is forgotten."""
        self.processor.recognized = False
        self.inside = False

    def notification(self) -> None:
        """The notification vector arrives in the guest."""
        self.processor.posted_interrupt_arrival(self.descriptor)

    def take(self) -> int:
        """At an instruction boundary: the vector delivered, or -1."""
        return self.processor.deliver_virtual() if self.processor.deliverable() else -1

    def end(self) -> int:
        """The guest's EOI. Returns: the exit's vector, or -1."""
        try:
            self.processor.put(0xB0, 0)
            self.processor.eoi_virtualization()
        except VmExit as exit:
            self.leave()
            return exit.qualification
        return -1

    def task_priority(self, value: int) -> None:
        """The guest writes its TPR."""
        self.processor.put(VTPR, value)
        self.processor.tpr_virtualization()

    def in_service(self) -> int:
        """VISR as one number."""
        return self.processor.array(VISR)
