"""Who runs where: physical CPUs, the simulator's side of virtual CPUs, and the numbers of phases and events."""

from typing import Final

from librt.vecs import vec
from mypy_extensions import i64

from exitless.arch.x86.lapic import LocalApic
from exitless.arch.xen.credit import DEFAULT_WEIGHT, Account
from exitless.arch.xen.credit2 import INITIAL_CREDIT
from exitless.arch.xen.dpci import DpciRecord
from exitless.arch.xen.eoi_stack import EoiStack, Rate
from exitless.arch.xen.fifo import ControlBlock, EventArray
from exitless.arch.xen.fifo_guest import Cursor
from exitless.arch.xen.pirq import AckType, PirqGuest
from exitless.arch.xen.two_level import SharedInfo
from exitless.arch.xen.vectors import HostIrq
from exitless.bits.words import zeros
from exitless.mech.delivery import Delivery
from exitless.mech.vcpu import VirtualCpu
from exitless.sim.chance import Stream

NO_WORDS: Final = EventArray(0)


class Mode:
    """What a pCPU does: nothing, guest code in VMX non-root operation, a PV guest, or Xen."""

    IDLE: Final = 0
    GUEST: Final = 1
    PV: Final = 2
    XEN: Final = 3


class Event:
    """Numbers of calendar entries; ``x`` and ``y`` as said."""

    STEP: Final = 1  # x pCPU, y generation: the phase of this pCPU is over
    OPERATION: Final = 2  # x pCPU, y generation: the operation of the guest on this pCPU is over
    MESSAGE: Final = 3  # x pCPU, y vector: an interrupt message reaches a local APIC
    MSI: Final = 4  # x source: a device's message reaches the remapping unit
    FRAME: Final = 5  # x NIC: the next frame has arrived
    THROTTLE: Final = 6  # x queue: the moderation interval of a NIC queue is over
    DISK: Final = 7  # x queue: the controller completes a request
    TIMER: Final = 8  # x pCPU: the local APIC timer of this pCPU fires
    MOVE: Final = 9  # x vCPU, y pCPU: the administrator moves a vCPU
    ARRIVAL: Final = 10  # x vCPU, y number: something from outside the model, for replay and for loads
    OFFLINE: Final = 11  # x pCPU: the administrator takes it offline


class Phase:
    """What a pCPU in Xen is in the middle of; when the phase is over its effect happens."""

    NONE: Final = 0
    EXITED: Final = 1
    HANDLER: Final = 2
    IRQ: Final = 3
    ASSIST: Final = 4
    SOFTIRQ: Final = 5
    ENTRY: Final = 6
    SWITCH: Final = 7
    PV_RETURN: Final = 8
    PROCESSING: Final = 9
    PV_CALL: Final = 10
    STOPPED: Final = 11
    DYING: Final = 12
    DRAINING: Final = 13


class Resume:
    """Where a pCPU goes on after the interrupts it found pending."""

    EXIT_PATH: Final = 0
    ASSIST_TAIL: Final = 1
    SOFTIRQ_LOOP: Final = 2
    PV_PATH: Final = 3
    IDLE_PATH: Final = 4
    DYING: Final = 5


class Softirq:
    """Xen's softirq numbers: the lowest is served first. Cites: Xen softirq.h"""

    TIMER: Final = 0
    SCHEDULE: Final = 3
    TASKLET: Final = 5
    VCPU_KICK: Final = 8
    HVM_DPCI: Final = 10


class Scheduler:
    """Which of Xen's schedulers chooses. Cites: Xen credit.c, Xen credit2.c"""

    CREDIT: Final = 1
    CREDIT2: Final = 2


class Pcpu:
    """One physical CPU.

    ``current`` is the vCPU the scheduler chose (-1 idle), ``loaded`` the one whose state is in the registers,
    ``saving`` the one whose state is still being saved. ``softirqs`` is a bit mask by softirq number. ``tickled`` is 1
    from when it is asked to choose for somebody until it does; ``last_tickled`` where it looked for an idle pCPU last;
    ``heaviest`` is the greatest weight in its run queue; ``online`` 0 once it has gone offline. Times are in ps.
    Shapes: ``queue`` vCPU numbers waiting, best first; with credit2 the first pCPU of a run queue holds it for all.
        ``homed`` the numbers of the vCPUs that belong to this pCPU, whose timers are its own, in their order.
    """

    def __init__(self, number: i64) -> None:
        self.number: i64 = number
        self.lapic: LocalApic = LocalApic(number)
        self.mode: i64 = Mode.IDLE
        self.current: i64 = -1
        self.loaded: i64 = -1
        self.generation: i64 = 0
        self.phase: i64 = Phase.NONE
        self.argument: i64 = 0
        self.resume: i64 = Resume.IDLE_PATH
        self.in_irq: i64 = 0
        self.softirqs: i64 = 0
        self.scheduled_at: i64 = 0
        self.credit_from: i64 = 0
        self.slice_end: i64 = -1
        self.tick_at: i64 = -1
        self.timer_at: i64 = -1
        self.queue: list[i64] = []
        self.homed: list[i64] = []
        self.saving: i64 = -1
        self.tickled: i64 = 0
        self.last_tickled: i64 = number
        self.stole_at: i64 = -1
        self.heaviest: i64 = DEFAULT_WEIGHT
        self.online: i64 = 1
        self.blocked_list: list[i64] = []
        self.dpci: list[i64] = []
        self.tasklets: list[i64] = []
        self.eoi_stack: EoiStack = EoiStack()


class Role:
    """Whose handler a source runs: a device's or timer's, that of a paravirtual disk or its backend, or an IPI's."""

    DEVICE: Final = 0
    FRONT: Final = 1
    BACK: Final = 2
    IPI: Final = 3


class Source:
    """A device or timer that interrupts, and the count of what became of its assertions.

    ``serial`` numbers assertions; ``outstanding`` is the serial not yet handled, 0 for none. ``vector`` is the
    guest's vector (0 for a PV or event-channel source), ``port`` its event channel (-1 for none), ``irq`` Xen's
    irq number (-1 for a source that needs none), ``index`` its remapping-table entry. Of a PIRQ every ``forgets``-th
    EOI hypercall is forgotten by the guest (0: none). ``role`` is one of Role, ``front`` the ring it belongs to.
    """

    def __init__(self, number: i64, vcpu: i64) -> None:
        self.number: i64 = number
        self.vcpu: i64 = vcpu
        self.vector: i64 = 0
        self.port: i64 = -1
        self.irq: i64 = -1
        self.index: i64 = -1
        self.serial: i64 = 0
        self.outstanding: i64 = 0
        self.delivered: i64 = 0
        self.merged: i64 = 0
        self.forgets: i64 = 0
        self.role: i64 = Role.DEVICE
        self.front: i64 = -1


class Irq(HostIrq):
    """A device interrupt as Xen knows it: where it comes in, and what becomes of it.

    ``ack`` is one of AckType, ``bound`` the account of the one guest it is bound to, ``held_on`` the pCPU that put
    it on its pending-EOI stack last (-1 none), ``forced_at`` when Xen ends it if the guest has not (ps, -1 not armed).
    ``left`` is the vector that it had on a pCPU which goes offline, while that is looked for.
    ``taken`` counts do_IRQ for it, ``raised`` what became a request or an event, ``merged`` what met one on its way,
    ``dropped`` what came too often (``rate``). ``off`` is 1 while it is switched off for that, ``held`` 1 when its
    device has a message to send then.
    """

    def __init__(self, number: i64, source: i64) -> None:
        super().__init__(number)
        self.source: i64 = source
        self.dpci: DpciRecord = DpciRecord()
        self.ack: i64 = AckType.NONE
        self.bound: PirqGuest = PirqGuest(AckType.NONE, 1)
        self.held_on: i64 = -1
        self.left: i64 = 0
        self.forced_at: i64 = -1
        self.taken: i64 = 0
        self.raised: i64 = 0
        self.merged: i64 = 0
        self.dropped: i64 = 0
        self.rate: Rate = Rate()
        self.off: i64 = 0
        self.held: i64 = 0


class Domain:
    """A domain: what its vCPUs share. ``is_pv`` is 1 for a PV domain, ``serves`` for one that owns disk controllers and
    has backends: dom0, PV or PVH. ``first`` is its first vCPU's number.

    With ``fifo`` 1 its event channels are those of ``words`` and ``blocks`` (one a vCPU), otherwise of ``shared``.
    ``weight`` is each of its vCPUs', ``cap`` per cent of one pCPU for all together (0 none), ``budget`` what credit2
    has left of it in this period, in ps.
    """

    def __init__(self, number: i64, is_pv: i64) -> None:
        self.number: i64 = number
        self.is_pv: i64 = is_pv
        self.serves: i64 = is_pv
        self.first: i64 = 0
        self.vcpus: i64 = 0
        self.shared: SharedInfo = SharedInfo()
        self.event_path: i64 = 0
        self.weight: i64 = DEFAULT_WEIGHT
        self.cap: i64 = 0
        self.budget: i64 = 0
        self.fifo: i64 = 0
        self.words: EventArray = NO_WORDS
        self.blocks: list[ControlBlock] = []


class Vcpu:
    """A virtual CPU as the simulator sees it: its interrupt state, its place in the scheduler, its program.

    Scheduler: ``pinned`` the one pCPU it may run on (-1 any), ``move_to`` where it is on its way to, ``move_pins`` 1 if
    it stays there for good. ``switching`` is 1 while its state is being saved, ``delayed`` if it is to be queued after
    that. Credit: ``account`` is its priority and credits. Credit2: ``credit`` and ``budget`` in ps, ``rest`` what the
    last burn left over, ``promised`` the pCPU that was told of it.
    Program: ``frames`` stacks of kind, program counter and argument (depth at most 8), ``operation`` the number of
    the operation under way and ``left`` what is left of it in ps. ``unread`` frames wait for the application;
    ``busy`` is 1 for an application that never sleeps. ``last_port`` is the port the upcall handled last, ``cursor``
    what it remembers of FIFO queues. ``talk_ps`` is the mean time between two interprocessor interrupts that it sends
    (0: none), ``talk_by`` one of Talk, ``talk_to`` the source that the one under way is for, ``ipi_source`` the
    source of those that it gets; ``send_to`` is the source for which its next EVTCHNOP_send is, ``serves`` the
    ring that a backend's operation is for. ``sources`` are the numbers of those that interrupt it,
    ``fronts`` those of the rings that its backends serve.
    Shapes: ``eoi_map`` the eight words of the EOI-exit bitmap recorded last.
    """

    def __init__(self, number: i64, domain: Domain, index: i64, delivery: Delivery) -> None:
        self.number: i64 = number
        self.domain: Domain = domain
        self.index: i64 = index
        self.delivery: Delivery = delivery
        self.cpu: VirtualCpu = VirtualCpu(number)
        self.runstate: i64 = 2
        self.pcpu: i64 = 0
        self.pinned: i64 = -1
        self.ran_on: i64 = -1
        self.account: Account = Account()
        self.credit: i64 = INITIAL_CREDIT
        self.rest: i64 = 0
        self.budget: i64 = 0
        self.promised: i64 = -1
        self.parked: i64 = 0
        self.queued: i64 = 0
        self.switching: i64 = 0
        self.delayed: i64 = 0
        self.list_of: i64 = -1
        self.move_to: i64 = -1
        self.move_pins: i64 = 0
        self.timer_at: i64 = -1
        self.period: i64 = 0
        self.timer_source: i64 = -1
        self.depth: i64 = 0
        self.kind: vec[i64] = zeros(8)
        self.pc: vec[i64] = zeros(8)
        self.arg: vec[i64] = zeros(8)
        self.saved: vec[i64] = zeros(8)
        self.saved_left: vec[i64] = zeros(8)
        self.run_from: i64 = 0
        self.operation: i64 = 0
        self.left: i64 = -1
        self.exit_reason: i64 = -1
        self.exit_argument: i64 = 0
        self.call: i64 = -1
        self.call_op: i64 = 0
        self.call_arg: i64 = 0
        self.backlog: i64 = 0
        self.unread: i64 = 0
        self.busy: i64 = 0
        self.polling: i64 = 0
        self.working: i64 = -1
        self.last_port: i64 = -1
        self.cursor: Cursor = Cursor()
        self.talk_ps: i64 = 0
        self.talk_by: i64 = 0
        self.talk_to: i64 = -1
        self.talk_stage: i64 = 0
        self.ipi_source: i64 = -1
        self.send_to: i64 = -1
        self.serves: i64 = -1
        self.sources: list[i64] = []
        self.fronts: list[i64] = []
        self.eoi_map: vec[i64] = zeros(8)
        self.chance: Stream = Stream(0, 400 + number)
