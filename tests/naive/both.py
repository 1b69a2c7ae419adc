"""Puts the rules of the package and the naive processor side by side: same state in, same state and answer out."""

from collections.abc import Callable

from exitless.arch.outcome import Access
from exitless.arch.vmx.access import Operation
from exitless.arch.vmx.controls import Controls
from exitless.arch.vmx.posted import PostedDescriptor
from exitless.arch.vmx.virtual_apic import Reg, VirtualApic
from exitless.bits.words import set_bit
from exitless.vocab.exits import Exit
from tests.naive import apicv
from tests.naive.apicv import Descriptor, GeneralProtection, Processor, RealApic, VmExit

# What stands for "it was done, and no exit follows": reads and writes are virtualized, everything else is done.
DONE = "done"


def controls(processor: Processor) -> Controls:
    """Return the package's controls that say the same."""
    c = Controls()
    c.use_tpr_shadow = int("TPRS" in processor.control)
    c.virtualize_apic_accesses = int("VAA" in processor.control)
    c.virtualize_x2apic_mode = int("VX2" in processor.control)
    c.apic_register_virtualization = int("REG" in processor.control)
    c.virtual_interrupt_delivery = int("VID" in processor.control)
    c.cr8_load_exiting = int("CR8L" in processor.control)
    c.msr_bitmaps = int("MSRB" in processor.control)
    c.ext_int_exiting = int("EXTINT" in processor.control)
    c.tpr_threshold = processor.tpr_threshold
    return c


def virtual_apic(processor: Processor) -> VirtualApic:
    """Return a virtual APIC of the package in the same state."""
    vapic = VirtualApic()
    for offset, byte in processor.page.items():
        vapic.page[offset >> 2] = vapic.page[offset >> 2] | byte << 8 * (offset & 3)
    for vector in range(256):
        if processor.eoi_exit_bitmap >> vector & 1:
            set_bit(vapic.eoi_exit, 0, 1, vector)
    vapic.rvi, vapic.svi = processor.rvi, processor.svi
    vapic.recognized = int(processor.recognized)
    vapic.window_exiting = int("INTRWIN" in processor.control)
    return vapic


def descriptor(naive: Descriptor) -> PostedDescriptor:
    """Return a descriptor of the package in the same state."""
    pid = PostedDescriptor()
    for i in range(8):
        pid.pir[i] = naive.pir >> 32 * i & 0xFFFFFFFF
    pid.on, pid.sn = naive.on, naive.sn
    return pid


def packed(words) -> int:
    """Read packed words as one integer."""
    return sum(words[i] << 32 * i for i in range(len(words)))


def array(vapic: VirtualApic, first: int) -> int:
    """Read a 256-bit register of the page as one integer."""
    return sum(vapic.page[first + 4 * i] << 32 * i for i in range(8))


def brief(vapic: VirtualApic) -> tuple[int, ...]:
    """Return the state that interrupts live in."""
    page = vapic.page
    arrays = (array(vapic, Reg.VISR), array(vapic, Reg.VIRR))
    return (page[Reg.VTPR], page[Reg.VPPR], *arrays, vapic.rvi, vapic.svi, vapic.recognized)


def naive_brief(processor: Processor) -> tuple[int, ...]:
    """Return the same of the naive processor."""
    arrays = (processor.array(apicv.VISR), processor.array(apicv.VIRR))
    registers = (processor.get(apicv.VTPR), processor.get(apicv.VPPR))
    return (*registers, *arrays, processor.rvi, processor.svi, int(processor.recognized))


def same_page(vapic: VirtualApic, processor: Processor) -> bool:
    """Tell whether every byte of both pages is the same."""
    other = bytearray(4096)
    for offset, byte in processor.page.items():
        other[offset] = byte
    return b"".join(word.to_bytes(4, "little") for word in vapic.page) == bytes(other)


def outcome(done: Callable[[], object]) -> object:
    """Carry out a naive step; return what the package's rule would answer, or DONE."""
    try:
        done()
    except VmExit as exit:
        return exit.reason
    except RealApic:
        return Access.PHYSICAL
    except GeneralProtection:
        return Access.GENERAL_PROTECTION
    return DONE


def qualified(done: Callable[[], object]) -> tuple[object, int]:
    """Like outcome, with the exit's qualification, 0 without an exit."""
    try:
        done()
    except VmExit as exit:
        return exit.reason, exit.qualification
    return DONE, 0


def answered(answer: int) -> object:
    """Return a rule's answer as outcome tells it."""
    return DONE if answer in (Exit.NONE, Access.VIRTUALIZED) else answer


def operation(written: tuple[int, int] | None = None) -> Operation:
    """Return an operation of the package that has virtualized this write (offset, size) before."""
    op = Operation()
    if written:
        op.emulate, op.emulate_size = written
    return op
