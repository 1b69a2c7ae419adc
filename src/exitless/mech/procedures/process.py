"""Taking what was posted: by the processor without an exit, or by software on the way into the guest."""

from librt.vecs import vec
from mypy_extensions import i64

from exitless.arch.vmx.evaluate import evaluate_pending
from exitless.arch.vmx.posted import PIR_WORDS, clear_outstanding, raise_rvi, take_pir
from exitless.arch.vmx.virtual_apic import Reg
from exitless.bits.words import PACKED, highest_bit
from exitless.mech.procedures.procedure import Procedure, Surroundings, Verb
from exitless.mech.vcpu import VirtualCpu


def process_posted() -> vec[i64]:
    """The manual's order: ON is cleared before PIR is read. Cites: SDM posted.processing"""
    return vec[i64]([Verb.CLEAR_ON, Verb.TAKE_PIR, Verb.RAISE_RVI])


def take(vcpu: VirtualCpu, verb: i64) -> i64:
    """Move PIR into VIRR; COPY_PIR, the wrong way, leaves PIR as it is. Returns: the highest vector taken."""
    if verb == Verb.COPY_PIR:
        i: i64 = 0
        while i < PIR_WORDS:
            vcpu.vapic.page[Reg.VIRR + 4 * i] = vcpu.vapic.page[Reg.VIRR + 4 * i] | vcpu.pid.pir[i]
            i += 1
        return highest_bit(vcpu.pid.pir, 0, PACKED)
    return take_pir(vcpu.pid, vcpu.vapic)


class Process(Procedure):
    """Posted-interrupt processing: the notification vector has arrived in VMX non-root operation.

    The processor is not interrupted between the steps; other processors and the remapping unit see memory between them.
    ``top`` is the highest vector taken.
    Cites: SDM posted.processing
    """

    def __init__(self, vcpu: VirtualCpu, program: vec[i64]) -> None:
        super().__init__(vcpu, program)
        self.top: i64 = 0

    def begin(self) -> None:
        """Start at the first verb, with nothing taken."""
        self.at = 0
        self.top = 0

    def act(self, verb: i64, world: Surroundings) -> None:
        """Do one verb."""
        v: VirtualCpu = self.target
        if verb == Verb.CLEAR_ON:
            clear_outstanding(v.pid)
        elif verb == Verb.RAISE_RVI:
            raise_rvi(v.vapic, self.top)
            evaluate_pending(v.vapic)
        elif verb == Verb.WIPE_PIR:
            i: i64 = 0
            while i < PIR_WORDS:
                v.pid.pir[i] = 0
                i += 1
        else:
            self.top = take(v, verb)
