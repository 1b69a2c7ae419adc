"""The PID-pointer table of IPI virtualization, with the descriptors that its entries point to."""

from librt.vecs import vec
from mypy_extensions import i64

from exitless.arch.vmx.controls import Controls
from exitless.arch.vmx.ipi import NOT_FOUND, find_descriptor
from exitless.arch.vmx.posted import PostedDescriptor
from exitless.bits.words import zeros
from exitless.mech.plain_page import longer


class PidTable:
    """A table in memory; what lies beyond ``words`` is 0.

    Shapes: ``words`` two 32-bit words an entry; ``descriptors`` lie at ``addresses``, in the same order.
    """

    def __init__(self) -> None:
        self.words: vec[i64] = zeros(0)
        self.addresses: list[int] = []
        self.descriptors: list[PostedDescriptor] = []

    def add(self, target: i64, address: i64, pid: PostedDescriptor) -> None:
        """Make ``pid``, at ``address``, the valid entry of the virtual APIC identifier ``target``."""
        if len(self.words) < 2 * target + 2:
            self.words = longer(self.words, 2 * target + 2)
        self.words[2 * target] = (address & 4294967295) | 1
        self.words[2 * target + 1] = address >> 32
        self.addresses.append(int(address))
        self.descriptors.append(pid)

    def find(self, controls: Controls, vector: i64, target: i64) -> i64:
        """Return the place in ``descriptors`` of whom an IPI goes to, or NOT_FOUND; unwritten memory holds zeros."""
        if 2 * target + 1 >= len(self.words):
            return NOT_FOUND
        address: i64 = find_descriptor(controls, self.words, vector, target)
        if address == NOT_FOUND:
            return NOT_FOUND
        if int(address) not in self.addresses:
            self.addresses.append(int(address))
            self.descriptors.append(PostedDescriptor())
        return self.addresses.index(int(address))
