"""Writes small trace.dat files of versions 6 and 7, page by page, for tests."""

import struct
import zlib
from collections.abc import Sequence

MAGIC = b"\x17\x08\x44tracing"
PAGE = 4096
EXTEND = 30
STAMP = 31
PADDING = 29
COMMON = (
    ("unsigned short common_type", 0, 2, 0),
    ("unsigned char common_flags", 2, 1, 0),
    ("unsigned char common_preempt_count", 3, 1, 0),
    ("int common_pid", 4, 4, 1),
)


def field_line(declaration: str, offset: int, size: int, signed: int) -> str:
    """Write one field as the kernel does."""
    return f"\tfield:{declaration};\toffset:{offset};\tsize:{size};\tsigned:{signed};\n"


def event_format(name: str, number: int, *fields: tuple[str, int, int, int]) -> str:
    """Write an event's description: fields are declaration, offset, size, signed."""
    common, own = ("".join(field_line(*f) for f in group) for group in (COMMON, fields))
    return f'name: {name}\nID: {number}\nformat:\n{common}\n{own}\nprint fmt: "%u", REC->vcpu_id\n'


EXIT = event_format(
    "kvm_exit", 10, ("unsigned int exit_reason", 8, 4, 0), ("unsigned long guest_rip", 16, 8, 0), ("u32 isa", 24, 4, 0),
    ("u64 info1", 32, 8, 0), ("u64 info2", 40, 8, 0), ("u32 intr_info", 48, 4, 0), ("u32 error_code", 52, 4, 0),
    ("unsigned int vcpu_id", 56, 4, 0),
)  # fmt: skip
ENTRY = event_format("kvm_entry", 11, ("unsigned int vcpu_id", 8, 4, 0), ("unsigned long rip", 16, 8, 0))
INJECT = event_format(
    "kvm_inj_virq", 12, ("unsigned int vector", 8, 4, 0), ("bool soft", 12, 1, 0), ("bool reinjected", 13, 1, 0)
)
ACCEPT = event_format(
    "kvm_apic_accept_irq", 13, ("__u32 apicid", 8, 4, 0), ("__u16 dm", 12, 2, 0), ("__u16 tm", 14, 2, 0),
    ("__u8 vec", 16, 1, 0),
)  # fmt: skip
EOI = event_format("kvm_eoi", 14, ("__u32 apicid", 8, 4, 0), ("int vector", 12, 4, 1))
OTHER = event_format("kvm_fpu", 15, ("u32 load", 8, 4, 0))
SYSTEMS = (("kvm", (EXIT, ENTRY, INJECT, ACCEPT, EOI, OTHER)),)


class Writer:
    """Writes events, pages and files in one byte order and word size."""

    def __init__(self, order: str = "<", long_size: int = 8, page_size: int = PAGE) -> None:
        self.order = order
        self.long_size = long_size
        self.page_size = page_size
        self.data_at = 8 + long_size

    def pack(self, layout: str, *numbers: int) -> bytes:
        """Pack numbers."""
        return struct.pack(self.order + layout, *numbers)

    def word(self, kind: int, delta: int) -> bytes:
        """Write an event's first word: in big-endian files the type has the upper bits."""
        return self.pack("I", kind | delta << 5 if self.order == "<" else kind << 27 | delta)

    def event(self, delta: int, payload: bytes, long: bool = False) -> bytes:
        """Write an event with its payload; a long one has its length in a word of its own."""
        payload += bytes(-len(payload) % 4)
        if long or len(payload) > 112:
            return self.word(0, delta) + self.pack("I", len(payload) + 4) + payload
        return self.word(len(payload) // 4, delta) + payload

    def extend(self, delta: int) -> bytes:
        """Let more time pass than an event's word can hold."""
        return self.word(EXTEND, delta & (2**27 - 1)) + self.pack("I", delta >> 27)

    def stamp(self, ticks: int) -> bytes:
        """Write an absolute time."""
        return self.word(STAMP, ticks & (2**27 - 1)) + self.pack("I", ticks >> 27 & (2**32 - 1))

    def discarded(self, delta: int, size: int) -> bytes:
        """Write an event that was taken back."""
        return self.word(PADDING, delta) + self.pack("I", size) + bytes(size - 4)

    def exit(self, delta: int, tid: int, code: int, isa: int = 1, intr: int = 0, vcpu: int = 0, info: int = 0) -> bytes:
        """Write ``kvm_exit``."""
        return self.event(delta, self.pack("HBBiIxxxxQIxxxxQQIII", 10, 0, 0, tid, code, 0, isa, info, 0, intr, 0, vcpu))

    def entry(self, delta: int, tid: int, vcpu: int = 0) -> bytes:
        """Write ``kvm_entry``."""
        return self.event(delta, self.pack("HBBiIxxxxQ", 11, 0, 0, tid, vcpu, 0))

    def inject(self, delta: int, tid: int, vector: int, again: int = 0) -> bytes:
        """Write ``kvm_inj_virq``."""
        return self.event(delta, self.pack("HBBiIBBxx", 12, 0, 0, tid, vector, 0, again))

    def accept(self, delta: int, tid: int, vcpu: int, vector: int, mode: int = 0) -> bytes:
        """Write ``kvm_apic_accept_irq``."""
        return self.event(delta, self.pack("HBBiIHHBxxx", 13, 0, 0, tid, vcpu, mode << 8, 0, vector))

    def eoi(self, delta: int, tid: int, vcpu: int, vector: int) -> bytes:
        """Write ``kvm_eoi``."""
        return self.event(delta, self.pack("HBBiIi", 14, 0, 0, tid, vcpu, vector))

    def page(self, ticks: int, *events: bytes, lost: int = -1, size: int = -1) -> bytes:
        """Write a page. ``lost``: -1 nothing, 0 an unknown number, else that many events; ``size`` may lie."""
        body = b"".join(events)
        commit = (len(body) if size < 0 else size) | (2**31 if lost >= 0 else 0) | (2**30 if lost > 0 else 0)
        word = "Q" if self.long_size == 8 else "I"
        head = self.pack("Q" + word, ticks, commit)
        tail = self.pack(word, lost) if lost > 0 else b""
        return (head + body + tail).ljust(self.page_size, b"\0")

    def header(self) -> bytes:
        """Write ``header_page`` and ``header_event``."""
        text = (
            field_line(" u64 timestamp", 0, 8, 0) + field_line(" local_t commit", 8, self.long_size, 1)
            + field_line(" char data", self.data_at, self.page_size - self.data_at, 0)
        ).encode()  # fmt: skip
        return b"header_page\0" + self.pack("Q", len(text)) + text + b"header_event\0" + self.pack("Q", 2) + b"#\n"

    def formats(self, systems: Sequence[tuple[str, Sequence[str]]]) -> bytes:
        """Write systems with their events' descriptions."""
        out = self.pack("I", len(systems))
        for system, events in systems:
            out += system.encode() + b"\0" + self.pack("I", len(events)) + b"".join(self.sized(e) for e in events)
        return out

    def sized(self, text: str) -> bytes:
        """Write a text behind its length."""
        return self.pack("Q", len(text.encode())) + text.encode()

    def start(self, version: int) -> bytes:
        """Write what every file begins with."""
        return MAGIC + b"%d\0" % version + bytes([self.order == ">", self.long_size]) + self.pack("I", self.page_size)

    def option(self, number: int, data: bytes) -> bytes:
        """Write an option."""
        return self.pack("HI", number, len(data)) + data

    def v6(
        self, cpus: Sequence[Sequence[bytes]], options: Sequence[tuple[int, bytes]] = ((4, b"local [mono]\0"),),
        systems: Sequence[tuple[str, Sequence[str]]] = SYSTEMS, instance: Sequence[Sequence[bytes]] = (),
        ftrace: Sequence[str] = (),
    ) -> bytes:  # fmt: skip
        """Write version 6 with each pCPU's pages, and those of an instance called ``inner``."""
        out = self.start(6) + self.header() + self.pack("I", len(ftrace)) + b"".join(self.sized(e) for e in ftrace)
        out += self.formats(systems)
        out += self.pack("IIQI", 0, 0, 0, len(cpus))
        table = 16 * len(cpus)
        written = b"".join(self.option(*option) for option in options)
        inner = self.option(3, bytes(8) + b"inner\0") if instance else b""
        places_at = len(out) + 10 + len(written) + len(inner) + 2 + 10
        inner_at = places_at + table
        if instance:
            inner = self.option(3, self.pack("Q", inner_at) + b"inner\0")
        out += b"options  \0" + written + inner + self.pack("H", 0) + b"flyrecord\0"
        data_at = -(-(inner_at + (10 + table if instance else 0)) // self.page_size) * self.page_size
        places, pages = b"", b""
        inner_places = b"flyrecord\0"
        for n, mine in enumerate((*cpus, *instance)):
            where = self.pack("QQ", data_at + len(pages), sum(len(page) for page in mine))
            if n < len(cpus):
                places += where
            else:
                inner_places += where
            pages += b"".join(mine)
        out += places + (inner_places if instance else b"")
        return out.ljust(data_at, b"\0") + pages

    def v7(
        self, cpus: Sequence[Sequence[bytes]], packing: str = "none", options: Sequence[tuple[int, bytes]] = (),
        systems: Sequence[tuple[str, Sequence[str]]] = SYSTEMS, clock: str = "mono", name: str = "",
    ) -> bytes:  # fmt: skip
        """Write version 7, its sections packed or not; two sections of options, as trace-cmd does."""
        out = self.start(7) + packing.encode() + b"\0" + b"1\0"
        pointer = len(out)
        out += bytes(8)
        found = list(options)
        for number, data in ((16, self.header()), (17, self.pack("I", 0)), (18, self.formats(systems))):
            found.append((number, self.pack("Q", len(out))))
            out += self.section(number, data, packing)
        first = len(out)
        body = b"".join(self.option(*option) for option in found)
        second = first + 16 + len(body) + 14
        body += self.option(0, self.pack("Q", second))
        out += self.pack("HHIQ", 0, 0, 0, len(body)) + body
        described = 8 + len(name) + 1 + len(clock) + 1 + 8 + 20 * len(cpus)
        buffer_at = second + 16 + 6 + described + 14
        data_at = -(-(buffer_at + 16) // self.page_size) * self.page_size
        places, pages = b"", b""
        for cpu, mine in enumerate(cpus):
            data, size = self.chunks(mine, packing)
            places += self.pack("IQQ", cpu, data_at + len(pages), size)
            pages += data
        described_data = (
            self.pack("Q", buffer_at) + name.encode() + b"\0" + clock.encode() + b"\0"
            + self.pack("II", self.page_size, len(cpus)) + places
        )  # fmt: skip
        body = self.option(3, described_data) + self.option(0, bytes(8))
        out += self.pack("HHIQ", 0, 0, 0, len(body)) + body
        out += self.pack("HHIQ", 3, packing != "none", 0, data_at - buffer_at - 16 + len(pages))
        out = out[:pointer] + self.pack("Q", first) + out[pointer + 8 :]
        return out.ljust(data_at, b"\0") + pages

    def section(self, number: int, data: bytes, packing: str) -> bytes:
        """Write a section."""
        if packing == "none":
            return self.pack("HHIQ", number, 0, 0, len(data)) + data
        packed = squeeze(data, packing)
        return self.pack("HHIQ", number, 1, 0, len(packed) + 8) + self.pack("II", len(packed), len(data)) + packed

    def chunks(self, pages: Sequence[bytes], packing: str) -> tuple[bytes, int]:
        """Write a pCPU's pages, packed two at a time; the size does not count the word before them."""
        if packing == "none":
            data = b"".join(pages)
            return data, len(data)
        out = b""
        for n in range(0, len(pages), 2):
            data = b"".join(pages[n : n + 2])
            packed = squeeze(data, packing)
            out += self.pack("II", len(packed), len(data)) + packed
        return self.pack("I", -(-len(pages) // 2)) + out, len(out)


def squeeze(data: bytes, packing: str) -> bytes:
    """Pack some bytes."""
    if packing == "zlib":
        return zlib.compress(data)
    import zstandard

    return bytes(zstandard.ZstdCompressor().compress(data))
