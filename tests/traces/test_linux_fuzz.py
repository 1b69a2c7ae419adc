"""Whatever the bytes or lines, a reader of Linux recordings ends, stays within bounds, and at most says TraceError."""

import tempfile
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from exitless.cli.read import facts_of
from exitless.errors import TraceError
from exitless.record.columns import unpacked as tuples
from exitless.study.trace_report import TraceReport
from exitless.traces.reader import open_reader
from exitless.traces.recording import record_of
from tests.traces.helpers import unpacked
from tests.traces.perf_writer import ROUND, W, lost, perf_data, sample, stream
from tests.traces.trace_dat_writer import Writer

FUZZ = settings(deadline=None, max_examples=60, suppress_health_check=list(HealthCheck))
EVENTS = (
    W.entry(0, 7), W.accept(3, 30, 0, 0xEC), W.exit(50, 7, 12), W.inject(4, 7, 0xEC), W.entry(9, 7),
    W.exit(5, 7, 1, intr=0x800000EC), W.eoi(1, 7, 0, 0xEC), W.entry(9, 7),
)  # fmt: skip
PAGES = [W.page(1000 * n, *EVENTS, lost=n - 3) for n in range(1, 6)]
PAYLOADS = [event[4:] for event in EVENTS]
RECORDS = b"".join(sample(10 * n, 7, n & 1, p) for n, p in enumerate(PAYLOADS * 4)) + lost(500, 0, 3) + ROUND
BIG = Writer(">", 4)
FILES = {
    "v6": W.v6([PAGES, PAGES], instance=[PAGES, []]),
    "v6 big-endian": BIG.v6([[BIG.page(1, BIG.entry(0, 7), BIG.exit(5, 7, 12), BIG.entry(9, 7))]]),
    "v7": W.v7([PAGES, PAGES], "zlib"),
    "trace-cmd": unpacked("kvm-linux-2cpu-part.dat")[:50_000],
    "perf file": perf_data(RECORDS),
    "perf stream": stream(RECORDS),
    "perf": unpacked("kvm-tiny-1cpu.perf.data")[:20_000],
}
LINES = unpacked("kvm-linux-2cpu-part.report.txt").decode().splitlines()[:300]
PIECES = ["9" * 30, "9" * 15, "-1", "\n", "f" * 16, "[reinjected]", " [999]", "."]
RAW = [
    " CPU 0/KVM-204   [000]    61.280281123: kvm_entry:             vcpu_id=0 rip=0x10000",
    " CPU 0/KVM-204   [000]    61.280429: kvm_exit:  exit_reason=56 isa=1 info1=0x380 intr_info=0x0 vcpu_id=0",
    " CPU 0/KVM-204   [000]    61.280430: kvm_inj_virq:          vector=236 soft=0 reinjected=1",
    " CPU 0/KVM-204   [000]    61.280431: kvm_halt_poll_ns:      grow=1 vcpu_id=0 new=10000 old=0",
    "CPU:0 [617 EVENTS DROPPED]",
]
KERNEL = [
    "# tracer: nop", "# entries-in-buffer/entries-written: 10/12   #P:2", "CPU:1 [LOST 5 EVENTS]",
    "     CPU 0/KVM-204     (   200) [001] d..2.    61.280281: kvm_entry: vcpu 0, rip 0x10000",
    "     CPU 0/KVM-204     (   200) [001] d..2.    61.280282: kvm_exit: vcpu 0 reason EXTERNAL_INTERRUPT rip 0x1",
    "          <idle>-0       [001] dNh2.    61.280283: irq_handler_entry: irq=24 name=virtio0",
    "          <idle>-0       [001] d.h2.    61.280284: irq_handler_exit: irq=24 ret=handled",
    "          <idle>-0       [001] d..2.    61.280285: sched_switch: prev_comm=swapper/1 prev_pid=0 prev_prio=120 "
    "prev_state=R ==> next_comm=CPU 0/KVM next_pid=204 next_prio=120",
]  # fmt: skip
SCRIPT = [
    "CPU 0/KVM   204 [000]    61.280281123: kvm:kvm_entry: vcpu 0, rip 0x10000",
    "vcpu0   200/204 [001]    61.280429:  kvm:kvm_exit: vcpu 0 reason npf rip 0x1 info1 0x2 info2 0x0 intr_info 0x0 ",
    "vcpu0   204 [001]    61.280430:  kvm:kvm_inj_virq: IRQ 0xec [reinjected]",
    "vcpu0   204 [001]    61.280431: PERF_RECORD_LOST lost 5",
    "vcpu0   204 [001]    61.280432:  kvm:kvm_apic_accept_irq: apicid 0 vec 236 (Fixed|edge)",
]  # fmt: skip


def try_to_read(data: bytes) -> int:
    """Read bytes whatever they are; returns how many events there were."""
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "recording"
        path.write_bytes(data)
        try:
            report = TraceReport()
            with open_reader(str(path)) as reader:
                rows = []
                for columns in reader.blocks():
                    report.block(columns)
                    rows += tuples(columns)
                document = report.as_json(facts_of(reader))
            with open_reader(str(path)) as again:
                record_of(again)
        except TraceError as told:
            assert "\n" not in str(told) and "recording" in str(told)
            return 0
        assert reader.events == sum(reader.kinds.values()) and document["events"] == reader.events
        assert [row[0] for row in rows] == sorted(row[0] for row in rows), "rows are not in the order of time"
        assert len(rows) <= 4 * reader.events + 2 * reader.lost_intervals
        assert len(reader.problems) <= 21
        return reader.events


@pytest.mark.parametrize("name", FILES)
def test_what_is_changed_by_the_fuzz_can_be_read_unchanged(name: str) -> None:
    assert try_to_read(FILES[name]) > 0


@FUZZ
@given(st.sampled_from([b"\x17\x08\x44tracing6\0", b"\x17\x08\x44tracing7\0", b"PERFILE2"]), st.binary(max_size=400))
def test_random_bytes_behind_a_known_begin(begin: bytes, data: bytes) -> None:
    try_to_read(begin + data)


@FUZZ
@given(st.sampled_from(list(FILES)), st.data())
def test_files_with_bytes_changed_and_ends_cut(name: str, data: st.DataObject) -> None:
    changed = bytearray(FILES[name])
    for _ in range(data.draw(st.integers(0, 12))):
        changed[data.draw(st.integers(0, len(changed) - 1))] = data.draw(st.integers(0, 255))
    try_to_read(bytes(changed[: data.draw(st.integers(0, len(changed)))]))


@FUZZ
@given(st.sampled_from(list(FILES)), st.data(), st.sampled_from([1, 2, 4, 8]), st.integers(0, 2**64 - 1))
def test_files_with_one_number_replaced(name: str, data: st.DataObject, size: int, value: int) -> None:
    """A size, a count, an offset, a time: any of them may be anything."""
    changed = bytearray(FILES[name])
    at = data.draw(st.integers(0, len(changed) // size - 1)) * size
    changed[at : at + size] = (value & (2 ** (8 * size) - 1)).to_bytes(size, "little")
    try_to_read(bytes(changed))


@FUZZ
@given(st.lists(st.binary(min_size=4, max_size=200), max_size=8), st.integers(-1, 2**40), st.integers(0, 2**64 - 1))
def test_pages_of_random_events(events: list[bytes], many: int, ticks: int) -> None:
    page = W.page(ticks, *[event[: len(event) // 4 * 4] for event in events], lost=many)[:4096]
    try_to_read(W.v6([[PAGES[0], page, PAGES[4]], [page]]))


@FUZZ
@given(st.lists(st.tuples(st.integers(0, 100), st.binary(max_size=60)), max_size=8))
def test_random_records(records: list[tuple[int, bytes]]) -> None:
    body = b"".join(bytes([kind]) + bytes(5) + b"\x48\0" + data.ljust(64, b"\0") for kind, data in records)
    try_to_read(perf_data(RECORDS + body + RECORDS))
    try_to_read(stream(body + RECORDS))


@FUZZ
@given(st.lists(st.sampled_from(LINES), min_size=1, max_size=30), st.data())
def test_lines_of_trace_cmd_with_text_changed(lines: list[str], data: st.DataObject) -> None:
    try_to_read(mutilated(lines, data).encode("utf-8", "surrogatepass"))


@FUZZ
@given(st.lists(st.sampled_from(SCRIPT), min_size=1, max_size=30), st.data())
def test_lines_of_perf_script_with_text_changed(lines: list[str], data: st.DataObject) -> None:
    try_to_read(mutilated(lines, data).encode("utf-8", "surrogatepass"))


@FUZZ
@given(st.sampled_from([RAW, KERNEL]), st.data())
def test_lines_of_the_raw_report_and_of_the_kernel_with_text_changed(lines: list[str], data: st.DataObject) -> None:
    chosen = data.draw(st.lists(st.sampled_from(lines), min_size=1, max_size=30))
    try_to_read(mutilated(chosen, data).encode("utf-8", "surrogatepass"))


def mutilated(lines: list[str], data: st.DataObject) -> str:
    """Put pieces of text, and long numbers, anywhere into some lines."""
    text = "\n".join(lines)
    for _ in range(data.draw(st.integers(0, 6))):
        at = data.draw(st.integers(0, len(text)))
        piece = data.draw(st.one_of(st.text(max_size=5), st.sampled_from(PIECES)))
        text = text[:at] + piece + text[at + data.draw(st.integers(0, 5)) :]
    return text


def test_a_line_without_end_is_cut_and_passed_over() -> None:
    line = LINES[1].encode() + b"\n"
    assert try_to_read(line + b"x" * 3_000_000 + b"\n" + line) == 2
