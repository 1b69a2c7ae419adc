"""Reads what ``perf script`` prints of tracepoints."""

import re
from typing import Final

from exitless.traces.text_reader import Line, Lost, TextReader, first_lines

# COMM PID/TID [CPU] TIME: PERIOD SYSTEM:EVENT: TEXT, where process and period may be missing.
EVENT: Final = re.compile(
    r"\s*\S.{0,64}?\s+(?:(\d{1,10})/)?(\d{1,10})\s+\[(\d{1,5})\]\s+(?:\S{1,10}\s+)?(\d{1,11})\.(\d{1,9}):\s+"
    r"(?:\d{1,20}\s+)?([\w-]{1,64}(?::[\w-]{1,64}){0,2}):+(?:\s+(.*)|$)"
)
LOST: Final = re.compile(r"\s*\S.{0,64}?\[(\d{1,5})\]\s+\d{1,11}\.\d{1,9}:\s+PERF_RECORD_LOST\w* lost (\d{1,18})")
CHAIN: Final = re.compile(r"\s+[0-9a-f]{1,16} ")


class PerfScript(TextReader):
    """Lines of ``COMM PID [CPU] TIME: SYSTEM:EVENT: TEXT``."""

    format = "perf script"
    what = "text of perf script"

    @classmethod
    def recognises(cls, head: bytes) -> bool:
        return any(EVENT.match(text) for text in first_lines(head))

    def parse(self, text: str) -> Line | Lost | None:
        match = EVENT.match(text)
        if match is None:
            lost = LOST.match(text)
            return None if lost is None else Lost(int(lost[1]), int(lost[2]))
        pid, tid, cpu, whole, fraction, kind, body = match.groups()
        return Line(int(tid), int(pid) if pid else -1, int(cpu), whole, fraction, kind, body or "")

    def is_record(self, text: str) -> bool:
        """Lines of a call chain belong to the event before them."""
        return super().is_record(text) and CHAIN.match(text) is None
