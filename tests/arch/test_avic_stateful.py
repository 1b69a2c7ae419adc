"""AVIC against a second one that shares nothing with it: IPIs of every form, doorbells, delivery, EOI and the IOMMU, in
any order, on four vCPUs whose tables are good and bad.
"""

from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, rule

from exitless.arch.svm import access
from exitless.arch.svm.evaluate import (
    Avic,
    Next,
    arbitrate,
    deliver,
    doorbell,
    set_requested,
    vmexit,
    vmrun,
    write_tpr,
)  # fmt: skip
from exitless.arch.svm.iommu import Arrived, GuestIrte, GuestLog, request_guest, tell
from exitless.arch.svm.ipi import Ipi
from exitless.arch.svm.tables import Backing, Tables
from exitless.arch.svm.vmcb import SvmExit
from exitless.arch.vmx.virtual_apic import Reg
from exitless.bits.words import ON_PAGE, set_bit
from tests.naive.avic import Incomplete, Machine

COUNT = 4
vectors = st.sampled_from([0x10, 0x1F, 0x30, 0x31, 0x41, 0x80, 0xEF, 0xF0, 0xFF]) | st.integers(16, 255)
vcpus = st.integers(0, COUNT - 1)
icrs = st.builds(
    lambda vector, rest: vector | rest, vectors | st.sampled_from([0, 15]),
    st.sampled_from([0, 0, 0x4000, 0x40000, 0x80000, 0xC0000, 0x800, 0x800, 0x4800, 0x400, 0x8000, 0x100, 0x40800]),
)  # fmt: skip
narrow = st.sampled_from([0, 1, 2, 3, 4, 0x0F, 0x11, 0x12, 0x21, 0x80, 0xF1, 0xFE, 0xFF])
wide = st.sampled_from([0, 1, 2, 3, 4, 0xF, 0x10001, 255, 256, 0xFFFFFFFF])


def held(words: object, base: int) -> set[int]:
    """Read a 256-bit register of a page as a set."""
    return {32 * i + bit for i in range(8) for bit in range(32) if words[base + 4 * i] >> bit & 1}  # type: ignore[index]


class Guest(RuleBasedStateMachine):
    """Four vCPUs, twice."""

    @initialize(wide=st.booleans())
    def start(self, wide: bool) -> None:
        self.tables, self.naive = Tables(COUNT), Machine(COUNT)
        self.naive.wide = wide
        self.avics = []
        # Page 0 stands for a pointer that is not legal.
        for _ in range(COUNT + 1):
            self.tables.pages.append(Backing())
        for n in range(COUNT):
            avic = Avic(n, self.tables.pages[n + 1])
            avic.vmcb.x2avic = int(wide)
            avic.backing.words[Reg.DFR] = 0xFFFFFFFF
            entry = self.tables.physical[n]
            entry.valid, entry.host_id, entry.backing = 1, 100 + n, n + 1
            self.avics.append(avic)
        self.out = Ipi()
        self.log = GuestLog(64)

    # Software: tables, scheduling.

    @rule(n=vcpus, valid=st.booleans(), page=st.booleans())
    def write_physical_entry(self, n: int, valid: bool, page: bool) -> None:
        self.tables.physical[n].valid, self.tables.physical[n].backing = int(valid), n + 1 if page else 0
        self.naive.physical[n] |= {"valid": valid, "page": n if page else None}

    @rule(index=st.integers(0, 59), n=st.integers(0, COUNT), valid=st.booleans())
    def write_logical_entry(self, index: int, n: int, valid: bool) -> None:
        self.tables.logical[index].valid, self.tables.logical[index].guest_id = int(valid), n
        self.naive.logical.pop(index, None)
        if valid:
            self.naive.logical[index] = n

    @rule(n=vcpus, model=st.sampled_from([15, 15, 0, 0, 7]))
    def write_dfr(self, n: int, model: int) -> None:
        self.avics[n].backing.words[Reg.DFR] = model << 28 | 0xFFFFFFF
        self.naive.vcpus[n].dfr = model

    @rule(n=vcpus)
    def schedule(self, n: int) -> None:
        """IsRunning, then VMRUN."""
        if not self.naive.vcpus[n].in_guest:
            self.tables.physical[n].running = 1
            self.naive.physical[n]["running"] = True
            assert vmrun(self.avics[n]) == SvmExit.NONE
            self.naive.vmrun(self.naive.vcpus[n])

    @rule(n=vcpus, sleeps=st.booleans())
    def leave(self, n: int, sleeps: bool) -> None:
        if self.naive.vcpus[n].in_guest:
            vmexit(self.avics[n])
            self.naive.vmexit(self.naive.vcpus[n])
        if sleeps:
            self.tables.physical[n].running = 0
            self.naive.physical[n]["running"] = False

    @rule(n=vcpus, flag=st.booleans())
    def interrupt_flag(self, n: int, flag: bool) -> None:
        self.avics[n].interrupt_flag, self.naive.vcpus[n].interrupt_flag = int(flag), flag

    # The guest.

    def guest(self, n: int) -> bool:
        """Whether a vCPU can execute."""
        return self.naive.vcpus[n].in_guest

    @rule(n=vcpus, low=icrs, narrow=narrow, wide=wide)
    def send(self, n: int, low: int, narrow: int, wide: int) -> None:
        """An ICR, through the page or the MSR; doorbells arrive at once."""
        avic, v = self.avics[n], self.naive.vcpus[n]
        if not v.in_guest:
            return
        high = wide if self.naive.wide else narrow
        if not self.naive.wide:
            assert access.write(self.tables, avic, 0x310, high << 24, 0, False, self.out) == SvmExit.NONE
        answer = access.write(self.tables, avic, 0x300, low, high, False, self.out)
        rung = [int(self.out.doorbells[i]) for i in range(self.out.rung)]
        try:
            expected = self.naive.send(v, low, high)
            assert answer == SvmExit.NONE
        except Incomplete as exit:
            assert answer == SvmExit.INCOMPLETE_IPI
            told = (avic.vmcb.info2_high, avic.vmcb.info2_low, avic.vmcb.info1_low)
            assert told == (exit.reason, exit.index, low)
            expected = self.naive.rung if exit.reason == 1 else []
        assert rung == expected
        for host in rung:
            doorbell(self.avics[host - 100])
            self.naive.doorbell(self.naive.vcpus[host - 100])

    @rule(n=vcpus, value=st.integers(0, 255))
    def task_priority(self, n: int, value: int) -> None:
        if self.guest(n):
            write_tpr(self.avics[n], value)
            self.naive.write_tpr(self.naive.vcpus[n], value)

    @rule(n=vcpus)
    def end_of_interrupt(self, n: int) -> None:
        if self.guest(n):
            answer = access.write(self.tables, self.avics[n], 0x0B0, 0, 0, False, self.out)
            level = self.naive.eoi(self.naive.vcpus[n])
            assert answer == (SvmExit.NONE if level is None else SvmExit.NOACCEL)
            assert level is None or self.avics[n].vmcb.info2_low == level

    @rule(n=vcpus, offset=st.sampled_from([16 * i for i in range(64) if i not in (0x08, 0x0B, 0x30, 0x3F)]))
    def any_other_register(self, n: int, offset: int) -> None:
        if self.guest(n) and offset < 0x3F0 and offset != 0xE0 and not (self.naive.wide and offset in (0xE0, 0x310)):
            before = list(self.avics[n].backing.words)
            answer = access.write(self.tables, self.avics[n], offset, before[offset // 4], 0, False, self.out)
            word = self.naive.write(self.naive.vcpus[n], offset)
            assert answer == (SvmExit.NONE if word == "allowed" else SvmExit.NOACCEL), hex(offset)
            assert list(self.avics[n].backing.words) == before

    @rule(n=vcpus, physical=st.booleans())
    def boundary(self, n: int, physical: bool) -> None:
        """A physical interrupt goes first; a virtual one is taken with IF=1."""
        avic, v = self.avics[n], self.naive.vcpus[n]
        if v.in_guest:
            happens = Next.PHYSICAL_EXIT if physical else Next.VIRTUAL if v.seen and v.interrupt_flag else Next.NOTHING
            assert arbitrate(avic, physical, True) == happens
            if happens == Next.VIRTUAL:
                assert deliver(avic) == self.naive.take(v)

    # Devices.

    @rule(n=vcpus, vector=vectors, logs=st.booleans())
    def device(self, n: int, vector: int, logs: bool) -> None:
        irte, v = GuestIrte(), self.naive.vcpus[n]
        irte.vector, irte.is_running, irte.log_interrupt, irte.tag = vector, int(v.in_guest), int(logs), n
        request_guest(irte, self.avics[n].backing)
        told = {Arrived.DOORBELL: "doorbell", Arrived.LOGGED: "logged", Arrived.SILENT: "silent"}
        if self.log.tail - self.log.head > 50:
            self.log = GuestLog(64)
        word = told[tell(irte, self.log)]
        assert word == self.naive.device(v, vector, v.in_guest, logs)
        if word == "doorbell":
            doorbell(self.avics[n])
            self.naive.doorbell(v)

    @rule(n=vcpus, vector=vectors)
    def a_level_of_the_emulated_io_apic(self, n: int, vector: int) -> None:
        """Software sets IRR and TMR; without a doorbell a running guest does not notice."""
        set_requested(self.avics[n].backing, vector)
        set_bit(self.avics[n].backing.words, Reg.VTMR, ON_PAGE, vector)
        self.naive.vcpus[n].requested.add(vector)
        self.naive.vcpus[n].level.add(vector)

    @invariant()
    def everything_is_the_same(self) -> None:
        for avic, v in zip(getattr(self, "avics", []), self.naive.vcpus if hasattr(self, "naive") else [], strict=True):
            words = avic.backing.words
            assert (held(words, Reg.VIRR), held(words, Reg.VISR)) == (v.requested, v.serving)
            assert (words[Reg.VTPR], avic.recognized, avic.in_guest) == (v.tpr, v.seen, int(v.in_guest))
            if v.in_guest:
                assert (words[Reg.VPPR], avic.vmcb.v_tpr) == (v.ppr, v.v_tpr)


TestGuest = Guest.TestCase
TestGuest.settings = settings(
    max_examples=60, stateful_step_count=50, deadline=None, phases=[Phase.explicit, Phase.reuse, Phase.generate]
)
