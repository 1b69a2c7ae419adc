"""A domain of one vCPU on a host that posts, with two devices: one whose MSI names a vector, and one whose MSI names a
PIRQ in place of a destination and so has vector 0. Does what each sends reach the guest?
"""

from typing import Final

from librt.vecs import vec
from mypy_extensions import i64

from exitless.arch.outcome import Raise, Source
from exitless.arch.vmx.injection import EventType, highest_requested, inject_at_entry
from exitless.arch.vmx.virtual_apic import Reg
from exitless.arch.vtd.irte import Irte
from exitless.arch.vtd.post import Posted
from exitless.arch.vtd.posting import notifies, post_request, posted_entry, remapped_entry
from exitless.arch.vtd.remap import Remapper, Translation, Verdict, translate
from exitless.arch.x86.message import DeliveryMode, encode_remappable
from exitless.arch.xen.callback import Callback, pending_source
from exitless.arch.xen.dpci import Dpci, DpciRecord, begin, end, raise_for
from exitless.arch.xen.passthrough import Binding, Host, bind, pirq_data, target_vcpu
from exitless.arch.xen.pirq import Emulated, is_routed_by_channel
from exitless.arch.xen.two_level import (
    SharedInfo,
    VcpuInfo,
    guest_clear_pending,
    guest_take_selector,
    guest_take_upcall,
    is_pending,
    mark_events_pending,
    next_port,
    raise_port,
    set_pending,
)
from exitless.bits.words import ON_PAGE, PACKED, has_bit, zeros
from exitless.check.acts import Act
from exitless.check.property import Law, Sometimes
from exitless.check.world import Packed, Rule, World
from exitless.check.worlds.posting import LOW, bit, hexadecimal, put_bit
from exitless.check.worlds.small import Small
from exitless.vocab.exits import Exit
from exitless.vocab.kinds import Kind

PORT: Final = 5
UPCALL: Final = 243
HOST_VECTOR: Final = 56
PID_ADDRESS: Final = 4096
# The devices' places in the remapping table, in the order in which they are bound.
BY_PIRQ: Final = 0
BY_VECTOR: Final = 1


class X:
    """Places of the numbers."""

    BINDS: Final = 0
    ENTRY: Final = 1
    FIRES: Final = 3
    HOST: Final = 4
    HANDLER: Final = 5
    OWED: Final = 6


class PostingPirq(Small):
    """``entry`` is how Xen has bound each device, ``host vector`` 1 while a message is in the pCPU's local APIC,
    ``upcall`` 1 while its handler is to run, ``owed`` 1 from a message of the PIRQ's device until the handler: no agent
    reads it. Devices are masked until they are bound.

    The world asks what Xen's source does not: without a vector of the guest's nothing is posted. ``posts-vector-0``
    takes the question away.
    """

    def __init__(self, mutation: str) -> None:
        super().__init__(
            "posting-a-pirq", mutation, LOW,
            ["to bind", "PIRQ's entry", "vector's entry", "to send", "host vector", "upcall", "owed"],
            vec[i64]([2, 2, 2, 2, 1, 1, 1]),
        )  # fmt: skip
        self.agents = ["hypervisor", "toolstack", "PIRQ's device", "VT-d", "notification", "host vector", "the guest"]
        self.laws = [Law.DELIVERED_TWICE, Law.STATUS_LAGS, Law.INTERRUPT_LOST, Law.DELAYED, Law.ENDLESS]
        self.wanted = Sometimes.PROCESSED_IN_GUEST | Sometimes.DELIVERED | Sometimes.UPCALL | Sometimes.MERGED
        self.host: Host = Host()
        self.host.option = self.host.remapping = self.host.units = self.host.processor = 1
        self.remapper: Remapper = Remapper()
        self.remapper.table = [Irte(), Irte()]
        self.translation: Translation = Translation()
        self.record: DpciRecord = DpciRecord()
        self.shared: SharedInfo = SharedInfo()
        self.info: VcpuInfo = VcpuInfo()
        self.emulated: i64 = Emulated.PASSED_THROUGH

    def reset(self) -> None:
        """The guest runs, no device is bound."""
        self.load(0)
        self.posts_left = 2
        self.x[X.BINDS] = 2
        self.x[X.FIRES] = 2

    def key(self) -> i64:
        """Return the whole state as one number."""
        super().key()
        p: Packed = self.packed
        p.put(bit(has_bit(self.target.pid.pir, 0, PACKED, 0)), 1)
        p.put(bit(has_bit(self.target.vapic.page, Reg.VIRR, ON_PAGE, 0)), 1)
        p.put(self.record.masked, 1)
        p.put(self.record.sched, 1)
        p.put(bit(is_pending(self.shared, PORT)), 1)
        p.put(self.info.selector[0], 1)
        p.put(self.info.upcall_pending, 1)
        return p.word

    def load(self, key: i64) -> None:
        """Become the state with this number."""
        super().load(key)
        p: Packed = self.packed
        put_bit(self.target, 0, 0, p.get(1))
        put_bit(self.target, Reg.VIRR, 0, p.get(1))
        self.record.masked = p.get(1)
        self.record.sched = p.get(1)
        guest_clear_pending(self.shared, PORT)
        if p.get(1) != 0:
            set_pending(self.shared, PORT)
        self.info.selector[0] = p.get(1)
        self.info.upcall_pending = p.get(1)
        self.write_entry(BY_PIRQ)
        self.write_entry(BY_VECTOR)

    def vector_of(self, device: i64) -> i64:
        """Return the vector that a device's message has for the guest."""
        return pirq_data() & 255 if device == BY_PIRQ else LOW

    def write_entry(self, device: i64) -> None:
        """Xen writes the remapping entry as the device is bound."""
        present: Irte = Irte()
        present.p = 1
        if self.x[X.ENTRY + device] == Binding.POSTED:
            self.remapper.table[device] = posted_entry(present, self.vector_of(device), PID_ADDRESS, 0, 0)
        else:
            self.remapper.table[device] = remapped_entry(present, HOST_VECTOR, 0, DeliveryMode.FIXED, 0, 0)

    def move(self, agent: i64) -> i64:
        """Let an agent take its next step."""
        self.happened = 0
        if agent == 0:
            return self.root_step()
        if agent == 1:
            return self.bind_next()
        if agent == 2:
            return self.fire_pirq()
        if agent == 3:
            return self.fire_vector()
        if agent == 4:
            return self.notification_arrives()
        if agent == 5:
            return self.host_vector_arrives()
        return self.guest_pirq_step()

    def bind_next(self) -> i64:
        """The toolstack binds the next device, and Xen decides whether it is posted."""
        if self.x[X.BINDS] == 0:
            return Rule.NONE
        device: i64 = BY_PIRQ if self.x[X.BINDS] == 2 else BY_VECTOR
        self.x[X.BINDS] -= 1
        self.a = self.vector_of(device)
        delivery: i64 = (pirq_data() >> 8) & 7 if device == BY_PIRQ else DeliveryMode.FIXED
        how: i64 = bind(self.host, 1, target_vcpu(zeros(1), self.a, delivery, 1))
        if self.a == 0 and how == Binding.POSTED and self.mutation != "posts-vector-0":
            how = Binding.STEERED
        self.x[X.ENTRY + device] = how
        self.write_entry(device)
        return Act.BIND_POSTED if how == Binding.POSTED else Act.BIND_STEERED

    def fire_pirq(self) -> i64:
        """The device behind the PIRQ sends its message."""
        if self.x[X.FIRES] == 0 or self.x[X.BINDS] == 2:
            return Rule.NONE
        self.x[X.FIRES] -= 1
        if self.x[X.OWED] != 0:
            self.happened = Sometimes.MERGED
        self.x[X.OWED] = 1
        return self.send_request(BY_PIRQ)

    def fire_vector(self) -> i64:
        """The other device sends its message."""
        if self.posts_left == 0 or self.x[X.BINDS] > 0:
            return Rule.NONE
        self.posts_left -= 1
        self.request_accepted(LOW)
        return self.send_request(BY_VECTOR)

    def send_request(self, device: i64) -> i64:
        """A request is posted, or goes on to the pCPU's local APIC, as its entry says."""
        message = encode_remappable(device, 0)
        out: Translation = self.translation
        if translate(self.remapper, message.address, message.data, 0, out) != Verdict.POSTED:
            self.x[X.HOST] = 1
            self.a = out.vector
            return Act.SEND_REMAPPED
        answer: i64 = post_request(self.remapper, self.remapper.table[device], self.target.pid, 1, False, out)
        if notifies(answer):
            self.send(self.target.pid.ndst, self.target.pid.nv)
        if answer & Posted.ALREADY != 0:
            self.happened = self.happened | Sometimes.MERGED
        self.a = out.vector
        self.b = answer
        return Rule.HARDWARE_POST

    def host_vector_arrives(self) -> i64:
        """do_IRQ takes the vector, after an exit if the guest runs, and queues the record."""
        if self.x[X.HOST] == 0:
            return Rule.NONE
        self.x[X.HOST] = 0
        self.a = HOST_VECTOR
        self.b = 1 - self.root
        if self.root == 0:
            self.leave()
        raise_for(self.record)
        return Act.QUEUE_DPCI

    def root_step(self) -> i64:
        """The softirq has its record's work done; then Xen asks what is pending, and enters."""
        if self.root == 0:
            return Rule.NONE
        if self.record.sched != 0:
            work: i64 = begin(self.record)
            if work == Dpci.ASSIST and is_routed_by_channel(self.emulated):
                self.b = raise_port(self.shared, self.info, PORT)
                if self.b == Raise.DELIVERED:
                    mark_events_pending(self.info)
            end(self.record)
            return Act.RAISE_PIRQ
        self.sync()
        v = self.target
        pending: i64 = highest_requested(v.vapic)
        source: i64 = pending_source(0, 0, Callback.VECTOR, self.info.upcall_pending, 0, pending)
        if source == Source.VECTOR and self.x[X.HANDLER] == 0:
            v.state.entry_vector = UPCALL
            v.state.entry_type = EventType.EXTERNAL_INTERRUPT
        self.enter()
        if inject_at_entry(v.state) == UPCALL:
            self.x[X.HANDLER] = 1
            self.happened = self.happened | Sometimes.UPCALL
        v.state.interrupt_flag = 1
        return Act.PASS

    def guest_pirq_step(self) -> i64:
        """The guest, IF = 0 in the upcall: that first, then what is recognized, then the end of a handler."""
        if self.root != 0 or self.x[X.HANDLER] == 0:
            return self.guest_step()
        self.x[X.HANDLER] = 0
        guest_take_upcall(self.info)
        taken = zeros(2)
        guest_take_selector(self.info, taken)
        port: i64 = next_port(self.shared, taken, -1)
        if port == PORT:
            guest_clear_pending(self.shared, PORT)
            self.x[X.OWED] = 0
        return Act.CLEAR_UPCALL

    def left_undone(self) -> i64:
        """What either device has sent must have reached the guest."""
        if self.x[X.OWED] != 0:
            return Law.INTERRUPT_LOST
        return super().left_undone()

    def is_free(self, agent: i64) -> bool:
        """Nobody need bind or send anything."""
        return 1 <= agent <= 3

    def fields(self) -> list[tuple[str, str]]:
        """Return the state to be read."""
        words: list[tuple[str, str]] = [("port", "pending" if is_pending(self.shared, PORT) else "not pending")]
        devices: list[str] = ["PIRQ's entry", "vector's entry"]
        place: i64 = 0
        while place < 2:
            irte: Irte = self.remapper.table[place]
            form: str = "posted" if irte.im != 0 else "remapped"
            words.append((devices[place], form + ", vector " + hexadecimal(irte.vector)))
            place += 1
        told: list[tuple[str, str]] = [field for field in super().fields() if field[0] not in devices]
        return told + words + [("upcall_pending", str(int(self.info.upcall_pending)))]

    def rows(self, rule: i64) -> list[tuple[int, int, int, int, int]]:
        """Return what the last move was in the record's words."""
        if rule == Act.QUEUE_DPCI:
            taken: tuple[int, int, int, int, int] = (Kind.HOST_IRQ, 0, -1, HOST_VECTOR, -1)
            if self.b == 0:
                return [taken]
            return [(Kind.VM_EXIT, 0, 0, Exit.EXTERNAL_INTERRUPT, HOST_VECTOR), taken]
        if rule == Act.RAISE_PIRQ:
            return [(Kind.PORT_RAISE, 0, 0, PORT, int(self.b))]
        if rule == Act.PASS:
            return [(Kind.VM_ENTRY, 0, 0, -1, int(self.target.vapic.rvi))]
        if rule == Act.CLEAR_UPCALL:
            return [(Kind.UPCALL_ENTER, 0, 0, 0, 0)]
        return super().rows(rule)


def posting_a_pirq(mutation: str) -> World:
    """Return the world of a PIRQ on a host that posts."""
    return PostingPirq(mutation)
