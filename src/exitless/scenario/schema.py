"""What a scenario file may say: one record a table of the file, strict, with units in the file and none inside."""

from typing import Any

import msgspec


class Host(msgspec.Struct, forbid_unknown_fields=True):
    """``[host]``: physical CPUs, clock, cost table, and Xen's scheduler: ``credit2`` (its default) or ``credit``.

    Both have the ``ratelimit``; ``timeslice`` and ``tick`` are credit's. ``irq_ratelimit`` is how many interrupts of a
    device in 10 ms are too many, so that Xen switches it off for 10 ms; 0 for no limit.
    """

    pcpus: int = 4
    clock: str = "2.4 GHz"
    costs: str = "illustrative"
    scheduler: str = "credit2"
    timeslice: str = "30 ms"
    ratelimit: str = "1 ms"
    tick: str = "10 ms"
    irq_ratelimit: int = 10_000
    cost: dict[str, str] = {}


class Vm(msgspec.Struct, forbid_unknown_fields=True):
    """``[[vm]]``: a domain. ``kind`` is ``pv`` or ``pvh`` (dom0) or ``hvm``; ``pin`` one pCPU a vCPU, empty for none.

    ``timer`` says how an hvm guest takes its tick: ``apic``, ``event`` (VIRQ_TIMER), or ``auto``: as its NIC.
    ``busy`` is true for a guest whose application never lets it halt. ``events`` is the ABI of its event channels:
    ``2-level`` or ``fifo``; ``callback`` how an hvm guest is told of them: ``vector`` (the global one), ``upcall`` (by
    its own local APIC), or ``auto``: as its mechanism. ``ipi`` is the mean time between two interprocessor interrupts
    that each vCPU sends, empty for none; ``ipi_by`` is ``apic``, ``event``, or ``auto``: as its NIC. ``apic`` is
    ``xapic`` or ``x2apic``, the mode of the local APICs of a domain that runs by VM entry. ``weight`` and
    ``cap`` (per cent of one pCPU, for all its vCPUs together, 0 for none) are the scheduler's.
    """

    name: str
    kind: str = "hvm"
    vcpus: int = 1
    pin: list[int] = []
    weight: int = 256
    cap: int = 0
    tick: str = "4 ms"
    timer: str = "auto"
    busy: bool = False
    timer_vector: int = 0xEC
    callback_vector: int = 0xF3
    events: str = "2-level"
    callback: str = "auto"
    ipi: str = ""
    ipi_by: str = "auto"
    ipi_vector: int = 0xFB
    apic: str = "xapic"


class Device(msgspec.Struct, forbid_unknown_fields=True):
    """``[[device]]``: a NIC (``kind = "nic"``) or a disk controller (``kind = "sas"``) that belongs to a domain, or a
    paravirtual disk (``kind = "vbd"``) whose backend in dom0 owns queues of a disk controller.

    ``msi`` is ``plain`` for a NIC whose messages have no mask bit; of the EOIs that a guest owes by hypercall it
    forgets every ``forgets``-th. A vbd has one ring a port: ``ports`` are the guest's, ``back_ports`` those of
    ``backend``; ``on`` names the controller, ``disk_queues`` its queue for each ring, ``priorities`` are of the FIFO
    ABI. ``host_vectors`` left out are chosen by Xen's assign_irq_vector.
    """

    kind: str
    name: str
    owner: str = msgspec.field(name="for")
    rate: str = "10 Gbit/s"
    frame: str = "1518 B"
    load: int = 30
    train: int = 16
    moderation: str = "50 us"
    queues: int = 1
    descriptors: int = 512
    vectors: list[int] = []
    host_vectors: list[int] = []
    ports: list[int] = []
    pcpus: list[int] = []
    depth: int = 4
    service: str = "800 us"
    msi: str = "maskable"
    forgets: int = 0
    backend: str = "dom0"
    on: str = "sas"
    back_ports: list[int] = []
    disk_queues: list[int] = []
    priorities: list[int] = []


class Load(msgspec.Struct, forbid_unknown_fields=True):
    """``[[load]]``: a guest's work by rates. A device interrupts at random, ``interrupts`` times a second and at least
    ``apart``; each interrupt leaves ``work`` (a mean) to do. ``calls`` and ``exceptions`` are what the guest makes of
    its own accord while it works, a second of the run; ``off`` per cent of the work has interrupts off, in sections of
    ``section`` on average. ``host_vector`` 0 is Xen's choice.
    """

    name: str
    owner: str = msgspec.field(name="for")
    vcpu: int = 0
    interrupts: str = "10 kHz"
    apart: str = "10 us"
    work: str = "20 us"
    calls: str = "0 Hz"
    exceptions: str = "0 Hz"
    off: int = 0
    section: str = "5 us"
    vector: int = 0x80
    host_vector: int = 0
    port: int = 64


class Move(msgspec.Struct, forbid_unknown_fields=True):
    """``[[move]]``: the administrator moves a vCPU to a pCPU at a time."""

    vm: str
    at: str
    to: int
    vcpu: int = 0


class Offline(msgspec.Struct, forbid_unknown_fields=True):
    """``[[offline]]``: the administrator takes a pCPU offline at a time; pCPU 0 always stays."""

    pcpu: int
    at: str


class Run(msgspec.Struct, forbid_unknown_fields=True):
    """``[run]``: length, seed, the mechanisms to compare."""

    length: str = "100 ms"
    seed: int = 1
    mechanisms: list[str] = []


class Switches(msgspec.Struct, forbid_unknown_fields=True):
    """``[switches]``: what no source settles, by name. ``rescan_pir`` false leaves PIR alone at schedule-in, as Xen's
    source reads (candidate problem C1, confirmed by nobody); ``idle_polls`` false makes idle pCPUs need an interrupt;
    ``assist_while_blocked`` true lets a vCPU that has just blocked pass vmx_intr_assist once more, as Xen's
    source reads,
    which loses wake-ups with VT-d posting. ``drops_limited`` false tells the guest also of the interrupt by which its
    device came too often.
    """

    rescan_pir: bool = True
    idle_polls: bool = True
    assist_while_blocked: bool = False
    drops_limited: bool = True


class Bound(msgspec.Struct, forbid_unknown_fields=True):
    """A range a result must lie in."""

    min: float | None = None
    max: float | None = None


class Expect(msgspec.Struct, forbid_unknown_fields=True):
    """``[expect]``: what makes the scenario a test. Both counts are by mechanism; the second is of
    interrupts that found the guest running.

    ``measures`` bounds any number of the JSON of ``run``, by mechanism: ``"sources/nic/latency_ns/p99"``, or a ratio of
    two, ``"exits/by_reason/VMCALL per sources/*.ipi/asserted"``, where ``*`` adds up what matches."""

    laws: str = "all"
    lost: int = 0
    exits_per_interrupt: dict[str, Bound] = {}
    exits_when_running: dict[str, Bound] = {}
    measures: dict[str, dict[str, Bound]] = {}


class Scenario(msgspec.Struct, forbid_unknown_fields=True):
    """A whole file. ``watch`` asks for the tables that otherwise only moves, crowds and talking vCPUs bring."""

    title: str
    host: Host = msgspec.field(default_factory=Host)
    vm: list[Vm] = []
    device: list[Device] = []
    load: list[Load] = []
    move: list[Move] = []
    offline: list[Offline] = []
    run: Run = msgspec.field(default_factory=Run)
    switches: Switches = msgspec.field(default_factory=Switches)
    expect: Expect = msgspec.field(default_factory=Expect)
    note: str = ""
    watch: bool = False


TABLES: dict[str, Any] = {
    "": Scenario, "host": Host, "vm": Vm, "device": Device, "load": Load, "move": Move, "offline": Offline, "run": Run,
    "switches": Switches, "expect": Expect,
}  # fmt: skip
