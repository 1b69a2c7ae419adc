"""What the hypervisor on pCPU 0 does for a procedure of a posting world: kicks, its softirq, its list of sleepers."""

from mypy_extensions import i64

from exitless.check.worlds.posting import Posting
from exitless.mech.vcpu import VirtualCpu


class Hosting(Posting):
    """A posting world whose vCPU has one pCPU to run on, with one kick softirq and one list of blocked vCPUs."""

    def kick(self, pcpu: i64) -> None:
        """Raise the kick softirq on pCPU 0; from pCPU 1 that takes an event check, unless the bit was set."""
        if self.softirq == 0:
            self.softirq = 1
            self.kicks += 1

    def raise_softirq(self, pcpu: i64) -> None:
        """Raise the kick softirq from pCPU 0 itself."""
        self.softirq = 1

    def take_softirq(self, pcpu: i64) -> bool:
        """Clear pCPU 0's kick softirq."""
        was: bool = self.softirq != 0
        self.softirq = 0
        return was

    def enlist(self, vcpu: VirtualCpu, pcpu: i64) -> None:
        """Put the vCPU on a list."""
        self.listed = pcpu

    def delist(self, vcpu: VirtualCpu) -> bool:
        """Take the vCPU off its list."""
        was: bool = self.listed >= 0
        self.listed = -1
        return was

    def listed_with_notification(self, pcpu: i64) -> i64:
        """Look through the list of ``pcpu``."""
        if self.listed == pcpu and self.target.pid.on != 0:
            return 0
        return -1

    def unblock(self, vcpu: VirtualCpu) -> None:
        """Clear the blocked flag."""
        vcpu.blocked = 0
