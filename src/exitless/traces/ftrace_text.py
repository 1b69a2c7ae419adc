"""Reads the kernel's file ``trace``, and what ``trace-cmd report`` and ``trace-cmd report -R`` print."""

import re
from typing import Final

from exitless.traces.kvm import SYSTEM_OF
from exitless.traces.opening import Source
from exitless.traces.text_reader import Line, Lost, TextReader, first_lines

# COMM-PID (TGID) [CPU] FLAGS TIME: EVENT: TEXT, where thread group and flags may be missing.
EVENT: Final = re.compile(
    r"\s*\S.{0,64}?-(\d{1,10})\s+(?:\(\s*(\d{1,10}|-+)\)\s+)?\[(\d{1,5})\]\s*(?:[^\s:]{1,10}\s+)?"
    r"(\d{1,20})(?:\.(\d{1,9}))?:\s+([A-Za-z_]\w{0,63}):\s*(.*)"
)
LOST: Final = re.compile(r"\s*CPU:\s*(\d{1,5}) \[(?:LOST )?(?:(\d{1,18}) )?EVENTS(?: DROPPED)?\]")
WRITTEN: Final = re.compile(r"# entries-in-buffer/entries-written: (\d{1,18})/(\d{1,18})")
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
        for text in head:
            if match := WRITTEN.match(text):
                self._overwritten(int(match[2]) - int(match[1]))

    def _overwritten(self, count: int) -> None:
        if count > 0:
            self.notes.append(f"the text says that {count} events were overwritten before they were read")

    @classmethod
    def recognises(cls, head: bytes) -> bool:
        lines = first_lines(head)
        return bool(lines) and (lines[0].startswith(KERNEL) or any(EVENT.match(text) for text in lines))

    def parse(self, text: str) -> Line | Lost | None:
        match = EVENT.match(text)
        if match is None:
            lost = LOST.match(text)
            return None if lost is None else Lost(int(lost[1]), int(lost[2] or 0))
        pid, tgid, cpu, whole, fraction, name, body = match.groups()
        group = int(tgid) if tgid and tgid.isdigit() else -1
        return Line(int(pid), group, int(cpu), whole, fraction or "", SYSTEM_OF.get(name, name), body)

    def is_record(self, text: str) -> bool:
        return super().is_record(text) and not text.startswith("cpus=")
