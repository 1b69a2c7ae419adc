"""A host's and a guest's recording of one run: aligned by what the files say or by containment, with an error bound."""

import json
import struct
from pathlib import Path
from random import Random
from typing import Any

import pytest

from exitless.cli.main import main
from exitless.cli.read_pair import origin_ps
from exitless.study.pair import Guest, Host, contained, handlers, search
from exitless.study.trace_totals import Row
from exitless.traces.kvm_reader import LinuxReader
from exitless.traces.reader import open_reader
from exitless.vocab.kinds import Kind
from tests.shared import shared
from tests.traces.trace_dat_writer import Writer, event_format

ROUNDS = 80
W = Writer()
TIMER = (("irq_vectors", (event_format("local_timer_entry", 20, ("int vector", 8, 4, 1)),)),)
Times = list[tuple[int, int, int, int]]


def run_of(seed: int = 3) -> Times:
    """Make a run in ns: acceptance, entry, handler and exit of each round, at irregular times."""
    chance, now, out = Random(seed), 1_000_000_000, []
    for _ in range(ROUNDS):
        accept = now + chance.randrange(1000, 90_000)
        enter = accept + 2000
        handler = enter + chance.randrange(900, 2000)
        now = handler + chance.randrange(800, 30_000)
        out.append((accept, enter, handler, now))
    return out


def line(task: str, ns: int, said: str) -> str:
    """Write an event as text."""
    return f" {task} [000] {ns // 10**9}.{ns % 10**9:09}: {said}\n"


def host_text(times: Times) -> str:
    """Write the host's recording; it also injects the vector."""
    out = "cpus=1\n"
    for accept, enter, _, leave in times:
        out += line("CPU 0/KVM-7", accept, "kvm_apic_accept_irq: apicid 0 vec 236 (Fixed|edge)")
        out += line("CPU 0/KVM-7", accept + 500, "kvm_inj_virq: IRQ 0xec")
        out += line("CPU 0/KVM-7", enter, "kvm_entry: vcpu 0, rip 0x1")
        out += line("CPU 0/KVM-7", leave, "kvm_exit: reason HLT rip 0x1 info 0 0")
    return out


def guest_text(times: Times, shift: int = 0, said: str = "local_timer_entry: vector=236") -> str:
    """Write the guest's recording, by a clock that is ``shift`` ns behind."""
    return "cpus=1\n" + "".join(line("init-1", handler - shift, said) for _, _, handler, _ in times)


def put_together(
    folder: Path, capsys: pytest.CaptureFixture[str], host: str | bytes, guest: str | bytes
) -> dict[str, Any]:
    """Read both; returns what they say together."""
    for name, data in (("host", host), ("guest", guest)):
        (folder / name).write_bytes(data.encode() if isinstance(data, str) else data)
    status = main(["read", str(folder / "host"), str(folder / "guest"), "--json", "-"])
    out, err = capsys.readouterr()
    assert (status, err) == (0, "")
    d = json.loads(out)
    assert len(d["traces"]) == 2
    found: dict[str, Any] = d["pairs"][0]
    return found


def slack(times: Times) -> dict[str, float]:
    """Return how far all handlers could be moved: to the nearest entry and exit."""
    return {"earlier": min(h - e for _, e, h, _ in times), "later": min(x - h for _, _, h, x in times)}


def test_one_clock_needs_no_shift_and_the_error_is_what_containment_allows(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    times = run_of()
    p = put_together(tmp_path, capsys, host_text(times), guest_text(times))
    assert (p["aligned"], p["shift_ns"], p["contained"], p["events"], p["vm"]) == (True, 0, ROUNDS, ROUNDS, "vm1")
    assert p["aligned_by"].startswith("the same clock") and p["error_ns"] == slack(times)
    waits = sorted(h - a for a, _, h, _ in times)
    handled = p["handlers"]["0xec"]
    assert handled["accepted"] == {"count": ROUNDS, "p50": waits[ROUNDS // 2 - 1], "p99": waits[-1], "max": waits[-1]}
    assert handled["injected"]["max"] == waits[-1] - 500 and not p["handlers_unmatched"] and not p["untold"]


@pytest.mark.parametrize("shift", [-700_000_000, 3_123_456])
def test_another_clock_is_found_by_containment(shift: int, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Irregular windows allow one shift only; it lies in the middle of what they allow, with that as its error."""
    times = run_of()
    p = put_together(tmp_path, capsys, host_text(times), guest_text(times, shift))
    bound = slack(times)
    assert p["aligned"] and p["aligned_by"] == "containment" and p["contained"] == ROUNDS
    assert -bound["earlier"] <= p["shift_ns"] - shift <= bound["later"]
    error = p["error_ns"]
    assert error["earlier"] + error["later"] == pytest.approx(bound["earlier"] + bound["later"], abs=0.01)
    assert abs(error["earlier"] - error["later"]) < 2


def test_a_guest_s_file_says_how_its_clock_is_shifted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """TIME_SHIFT brings a guest's ticks onto the host's clock; a tick off and containment would show it."""
    times = run_of()[:40]
    pages, behind = [], 5000
    for _, _, handler, _ in times:
        pages.append(W.page(handler - behind, W.event(0, struct.pack("<HBBii", 20, 0, 0, 1, 236))))
    shift = struct.pack("<QII", 9, 0, 1) + struct.pack("<IQQQ", 1, 0, behind, 1)
    host_pages = [
        W.page(a, W.accept(0, 7, 0, 236), W.inject(500, 7, 236), W.entry(e - a - 500, 7), W.exit(x - e, 7, 12))
        for a, e, _, x in times
    ]
    p = put_together(
        tmp_path, capsys, W.v7([host_pages]), W.v7([pages], options=((12, shift),), systems=TIMER)
    )  # fmt: skip
    assert p["aligned_by"] == "the guest file's TIME_SHIFT" and p["contained"] == p["events"] == 40
    assert p["shift_ns"] == 0 and p["error_ns"] == slack(times) and p["handlers"]["0xec"]["accepted"]["count"] == 40


def test_a_device_s_handler_takes_the_injection_before_it(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """irq_handler_entry names an irq and no vector; which vector that is comes from the injection."""
    times = run_of()
    p = put_together(tmp_path, capsys, host_text(times), guest_text(times, 0, "irq_handler_entry: irq=24 name=virtio0"))
    assert p["handlers"]["0xec"]["irqs"] == {"24": ROUNDS}


def test_what_does_not_fit_is_not_aligned_and_says_what_is_missing(
    tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Events evenly spread over a day lie in nobody's windows."""
    times = run_of()
    alien = "cpus=1\n" + "".join(line("init-1", n * 10**9, "local_timer_entry: vector=236") for n in range(1, 500))
    p = put_together(tmp_path, capsys, host_text(times), alien)
    assert not p["aligned"] and p["error_ns"] is None and not p["handlers"] and "could not be aligned" in p["untold"][0]
    main(["read", str(tmp_path / "host"), str(tmp_path / "guest")])
    assert "not aligned: at best" in capsys.readouterr()[0]
    softirqs = guest_text(times, 0, "softirq_entry: vec=1 [action=TIMER]")
    silent = put_together(tmp_path, capsys, host_text(times), softirqs)
    assert silent["aligned"] and "no irq_handler_entry" in silent["untold"][0]
    deaf = "".join(t for t in host_text(times).splitlines(True) if "accept" not in t and "inj" not in t)
    assert "no kvm_apic_accept_irq" in put_together(tmp_path, capsys, deaf, guest_text(times))["untold"][0]


def test_two_hosts_or_a_guest_first_are_no_pair(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    times = run_of()
    (tmp_path / "a").write_text(guest_text(times))
    (tmp_path / "b").write_text(host_text(times))
    assert main(["read", str(tmp_path / "a"), str(tmp_path / "b"), "--json", "-"]) == 0
    assert "pairs" not in json.loads(capsys.readouterr()[0])


def test_the_printed_pair_names_shift_and_error(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    times = run_of()
    (tmp_path / "host").write_text(host_text(times))
    (tmp_path / "guest").write_text(guest_text(times))
    assert main(["read", str(tmp_path / "host"), str(tmp_path / "guest")]) == 0
    text = " ".join(capsys.readouterr()[0].split())
    assert "aligned by the same clock" in text and "80 of 80 guest events" in text and "guest's handler" in text


def rows_between(entries: int) -> list[Row]:
    """Make a host's rows: a window of 10 ns every 100 ns."""
    return [
        (1000 * (100 * n + at), kind, 0, 0, -1, -1)
        for n in range(entries) for at, kind in ((0, Kind.VM_ENTRY), (10, Kind.VM_EXIT))
    ]  # fmt: skip


def test_an_event_outside_its_window_is_counted_as_such() -> None:
    host, guest = Host(), Guest()
    host.rows(rows_between(30), 0)
    guest.rows([(1000 * (100 * n + 4), Kind.SOFTIRQ, 0, -1, 1, 0) for n in range(29)], 0)
    guest.rows([(95_000, Kind.SOFTIRQ, 0, -1, 1, 0)], 0)
    found = contained(host, guest, {0: 0}, 0, "test")
    assert (found.contained, found.events, found.earlier, found.later) == (29, 30, 4000, 6000)
    assert search(host, guest, {1: 0}) is None, "no CPU of the guest is a vCPU of the host"


@pytest.mark.parametrize(("name", "count"), [("pvm_1vcpu", 413), ("pvm_2vcpu", 795)])
def test_a_real_guest_s_handlers_follow_their_acceptances(name: str, count: int) -> None:
    """kvm-pvm: the guest read the host's TSC in each handler; each of them follows one acceptance of its vector."""
    log = shared(f"data/traces/kvm-pvm/{name}.tsc.guestlog.csv").read_text().splitlines()[1:]
    host, guest = Host(), Guest()
    with open_reader(str(shared(f"data/traces/kvm-pvm/{name}.tsc.v6.dat"))) as reader:
        assert isinstance(reader, LinuxReader)
        for rows in reader.rows():
            host.rows(rows, origin_ps(reader))
        clock = reader.mapper.clock
        places = {v.number: place for place, v in enumerate(reader.vcpus)}
    for vcpu, _, tsc, vector in (row.split(",") for row in log):
        guest.handlers.append((int(tsc) * clock.times // clock.over, int(vcpu), int(vector, 16), -1))
    found = handlers(host, guest, places, 0)
    assert len(log) == len(host.accepted) == count and not found.unmatched
    assert sum(h.accepted.count() for h in found.by_vector.values()) == count
    assert all(h.accepted.at(0) > 0 for h in found.by_vector.values())
