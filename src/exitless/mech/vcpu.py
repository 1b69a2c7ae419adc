"""One virtual CPU as far as interrupts go: its architectural state and what the hypervisor keeps beside it."""

from librt.vecs import vec
from mypy_extensions import i64

from exitless.arch.vmx.access import Operation
from exitless.arch.vmx.controls import Controls
from exitless.arch.vmx.injection import GuestState
from exitless.arch.vmx.posted import PostedDescriptor
from exitless.arch.vmx.virtual_apic import VirtualApic
from exitless.arch.xen.two_level import VcpuInfo
from exitless.bits.words import zeros


class VirtualCpu:
    """State of a vCPU that any delivery may read or change.

    ``callback_style`` is one of Callback, ``callback_vector`` its vector. ``eoi_map_dirty`` is set while the
    EOI-exit bitmap of the VMCS lags behind. ``timer_pending`` counts expiries of the emulated timer not yet
    given to the guest, ``timer_vector`` its vector (0: the guest uses no local APIC timer).
    ``has_posting`` is 1 with posted-interrupt processing, ``has_hooks`` with VT-d posting, whose descriptor follows the
    scheduler. ``running_on`` is the pCPU it runs on (in guest or in root mode), -1 while it does not run.
    ``x2apic`` is 1 for a guest that reaches its local APIC by MSRs.
    ``in_guest_mode`` is what KVM's senders read: set before PIR is looked at on the way in.
    Shapes: ``selector`` two 32-bit words, the guest's own copy of evtchn_pending_sel during an upcall.
    """

    def __init__(self, number: i64) -> None:
        self.number: i64 = number
        self.vapic: VirtualApic = VirtualApic()
        self.controls: Controls = Controls()
        self.state: GuestState = GuestState()
        self.pid: PostedDescriptor = PostedDescriptor()
        self.info: VcpuInfo = VcpuInfo()
        self.operation: Operation = Operation()
        self.selector: vec[i64] = zeros(2)
        self.callback_style: i64 = 0
        self.callback_vector: i64 = 0
        self.eoi_map_dirty: i64 = 0
        self.timer_pending: i64 = 0
        self.timer_vector: i64 = 0
        self.running_on: i64 = -1
        self.in_guest_mode: i64 = 0
        self.blocked: i64 = 0
        self.has_vid: i64 = 0
        self.has_posting: i64 = 0
        self.has_hooks: i64 = 0
        self.x2apic: i64 = 0
        self.forwarded: i64 = -1
