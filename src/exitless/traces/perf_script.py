"""Reads what ``perf script`` prints of tracepoints."""

import re
from typing import Final

from exitless.traces.text_line import Line, PerfLine
from exitless.traces.text_reader import Lost, TextReader

LOST: Final = re.compile(r"\s*\S.{0,64}?\[(\d{1,5})\]\s+\d{1,11}\.\d{1,9}:\s+PERF_RECORD_LOST\w* lost (\d{1,18})")
RECORD: Final = re.compile(r"\s*\S.{0,64}?\s\d{1,11}\.\d{1,9}:\s+PERF_RECORD_")
CHAIN: Final = re.compile(r"\s+[0-9a-f]{1,16} ")


class PerfScript(TextReader):
    """Lines of ``COMM PID [CPU] TIME: SYSTEM:EVENT: TEXT``."""

    format = "perf script"
    what = "text of perf script"

    @classmethod
    def line(cls) -> Line:
        return PerfLine()

    def lost(self, text: str) -> Lost | None:
        match = LOST.match(text)
        return None if match is None else Lost(int(match[1]), int(match[2]))

    def is_record(self, text: str) -> bool:
        """Lines of a call chain belong to the event before them; what is no sample is no event."""
        return super().is_record(text) and CHAIN.match(text) is None and RECORD.match(text) is None
