"""Offers a record that Exitless wrote as a reader offers a recording, for what works on rows as they come."""

from collections import Counter
from collections.abc import Iterator
from typing import Final

from exitless.record.store import read
from exitless.traces.opening import Source
from exitless.traces.reader import Reader, Row, Vcpu

ROWS: Final = 65_536


class RecordReader(Reader):
    """A record (.xl). ``simulated`` tells a simulation's from one that was made of a recording. Errors: TraceError."""

    what = "a record of Exitless (.xl)"

    def __init__(self, source: Source) -> None:
        super().__init__(source)
        self.record = read(source.name)
        header = self.record.header
        self.simulated = header.origin == "simulated"
        self.format = (
            f"record of {header.scenario or header.title} under {header.mechanism}" if self.simulated else header.origin
        )
        self.xen = self.simulated or "xentrace" in header.origin
        self.vcpus = [Vcpu(name, -1, -1) for name in header.vcpus]
        self.pcpus = header.pcpus
        self.events = len(self.record)
        self.duration_ps = header.length_ps
        self.size = self.events

    def rows(self) -> Iterator[list[Row]]:
        for first in range(0, self.events, ROWS):
            end = min(first + ROWS, self.events)
            self.passed(end - first)
            yield list(self.record.rows(first, end))

    def unread(self) -> Counter[str]:
        return Counter()

    def exit_name(self, code: int) -> str:
        return self.record.header.exits.get(code, f"0x{code:x}")

    def vcpu_name(self, place: int) -> str:
        names = self.record.header.vcpus
        return names[place] if 0 <= place < len(names) else "unknown"
