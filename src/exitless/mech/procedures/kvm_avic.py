"""KVM schedules a vCPU under AVIC in and out, and lets it block. Linux, arch/x86/kvm/svm/avic.c."""

from librt.vecs import vec
from mypy_extensions import i64

from exitless.arch.kvm.avic import clear_running, has_request, log_while_blocked, set_running, update_device
from exitless.arch.svm.evaluate import Avic, vmexit, vmrun
from exitless.arch.svm.iommu import GuestIrte
from exitless.arch.svm.tables import PhysicalEntry
from exitless.mech.procedures.procedure import Procedure, Surroundings, Verb
from exitless.mech.vcpu import VirtualCpu


def avic_block() -> vec[i64]:
    """The vCPU gives up its core, in the table and in the IOMMU's entry, and looks at IRR only then.

    Table, barrier and look are as read; where the device's two steps stand between them is from memory.
    Cites: KVM svm/avic.c avic_vcpu_blocking
    """
    return vec[i64](
        [
            Verb.LEAVE_GUEST, Verb.SET_BLOCKED, Verb.CLEAR_RUNNING, Verb.DEVICE_LOGS, Verb.DEVICE_STOPS,
            Verb.TEST_REQUEST, Verb.SWITCH_OUT,
        ]
    )  # fmt: skip


def avic_preempt() -> vec[i64]:
    """Scheduled out while it could run: no log, for VMRUN looks at IRR. Cites: KVM svm/avic.c avic_vcpu_put"""
    return vec[i64]([Verb.LEAVE_GUEST, Verb.CLEAR_RUNNING, Verb.DEVICE_STOPS, Verb.SWITCH_OUT])


def avic_load() -> vec[i64]:
    """Scheduled in: table and IOMMU's entry, then VMRUN, which looks at IRR. Cites: KVM svm/avic.c avic_vcpu_load"""
    return vec[i64]([Verb.SET_RUNNING, Verb.DEVICE_RUNS, Verb.RUN_GUEST])


class KvmAvic(Procedure):
    """One of the programs above, for the vCPU ``avic`` on the core with this host APIC ID, with one assigned device.

    ``hides`` is 1 with erratum 1235. Cites: KVM svm/avic.c avic_vcpu_load
    """

    def __init__(
        self, vcpu: VirtualCpu, avic: Avic, entry: PhysicalEntry, irte: GuestIrte, host_id: i64, program: vec[i64]
    ) -> None:
        super().__init__(vcpu, program)
        self.avic: Avic = avic
        self.entry: PhysicalEntry = entry
        self.irte: GuestIrte = irte
        self.host_id: i64 = host_id
        self.hides: i64 = 0

    def act(self, verb: i64, world: Surroundings) -> None:
        """Do one verb. A vCPU that has a request, or was woken, does not sleep."""
        v: VirtualCpu = self.target
        if verb == Verb.LEAVE_GUEST:
            vmexit(self.avic)
        elif verb == Verb.SET_BLOCKED:
            v.blocked = 1
        elif verb == Verb.CLEAR_RUNNING:
            clear_running(self.entry)
        elif verb == Verb.DEVICE_LOGS:
            log_while_blocked(self.irte, 1)
        elif verb == Verb.DEVICE_STOPS:
            update_device(self.irte, -1)
        elif verb == Verb.TEST_REQUEST:
            if has_request(self.avic):
                world.unblock(v)
        elif verb == Verb.SWITCH_OUT:
            v.running_on = -1
        elif verb == Verb.SET_RUNNING:
            v.running_on = self.host_id
            set_running(self.entry, self.host_id, self.hides)
        elif verb == Verb.DEVICE_RUNS:
            update_device(self.irte, self.host_id)
        elif verb == Verb.RUN_GUEST:
            vmrun(self.avic)
