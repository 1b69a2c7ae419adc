"""Reads the kernel's file ``trace``, and what ``trace-cmd report`` and ``trace-cmd report -R`` print."""

import re
from typing import Final

from exitless.traces.kvm import SYSTEM_OF
from exitless.traces.opening import Source
from exitless.traces.text_line import FtraceLine, Line
from exitless.traces.text_reader import Lost, TextReader, first_lines

LOST: Final = re.compile(r"\s*CPU:\s*(\d{1,5}) \[(?:LOST )?(?:(\d{1,18}) )?EVENTS(?: DROPPED)?\]")
CPUS: Final = re.compile(r"cpus=(\d{1,5})\s*$")
MOST_CPUS: Final = 8192
WRITTEN: Final = re.compile(r"# entries-in-buffer/entries-written: (\d{1,18})/(\d{1,18})(?:\s+#P:(\d{1,5})\s*$)?")
KERNEL: Final = "# tracer:"


class FtraceText(TextReader):
    """Lines of ``COMM-PID [CPU] TIME: EVENT: TEXT``; an event's system is not told and taken from what is known."""

    format = "ftrace text"
    what = "text of ftrace or trace-cmd report"

    def __init__(self, source: Source, clock_hz: int = 0) -> None:
        super().__init__(source, clock_hz)
        head = first_lines(source.head)
        if head and head[0].startswith("cpus="):
            self.format = "trace-cmd report"
        if head and (told := CPUS.match(head[0])):
            self.pcpus = min(int(told[1]), MOST_CPUS)
        for text in head:
            if match := WRITTEN.match(text):
                self._overwritten(int(match[2]) - int(match[1]))
                self.pcpus = min(int(match[3] or 0), MOST_CPUS)

    def _overwritten(self, count: int) -> None:
        if count > 0:
            self.notes.append(f"the text says that {count} events were overwritten before they were read")

    @classmethod
    def line(cls) -> Line:
        return FtraceLine()

    @classmethod
    def recognises(cls, head: bytes) -> bool:
        lines = first_lines(head)
        return bool(lines) and (lines[0].startswith(KERNEL) or super().recognises(head))

    def kind(self, name: str) -> str:
        return SYSTEM_OF.get(name, name)

    def lost(self, text: str) -> Lost | None:
        match = LOST.match(text)
        return None if match is None else Lost(int(match[1]), int(match[2] or 0))

    def is_record(self, text: str) -> bool:
        return super().is_record(text) and not text.startswith("cpus=")
