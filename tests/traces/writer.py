"""Writes small xentrace recordings, word by word, for tests."""

import struct

CPU_CHANGE = 0x2001F003
IDLE = 0x7FFF


def record(event: int, *words: int, tsc: int | None = None) -> bytes:
    """Make one record: header, time stamp if any, extra words."""
    head = event | len(words) << 28 | (0 if tsc is None else 1 << 31)
    stamp = () if tsc is None else (tsc & 0xFFFFFFFF, tsc >> 32)
    return struct.pack(f"<{1 + len(stamp) + len(words)}I", head, *stamp, *words)


def window(cpu: int, *records: bytes) -> bytes:
    """Make one window: the record that names the pCPU, and its records."""
    body = b"".join(records)
    return struct.pack("<3I", CPU_CHANGE, cpu, len(body)) + body


def runstate(tsc: int, domain: int, vcpu: int, old: int, new: int) -> bytes:
    """A vCPU goes from one runstate (0 running, 1 runnable, 2 blocked, 3 offline) to another."""
    return record(0x21001 + (old << 8) + (new << 4), vcpu | domain << 16, tsc=tsc)


def leave(tsc: int, code: int) -> bytes:
    """A guest exits."""
    return record(0x81102, code, 0x1000, 0, tsc=tsc)


def enter(tsc: int) -> bytes:
    """A guest is entered."""
    return record(0x81001, tsc=tsc)


def inject(vector: int) -> bytes:
    """A vector is injected."""
    return record(0x82004, vector, 0)


def lost(tsc: int, count: int, domain: int, vcpu: int, first: int) -> bytes:
    """Records have been lost since ``first``."""
    return record(0x1F001, count, domain | vcpu << 16, first & 0xFFFFFFFF, first >> 32, tsc=tsc)
