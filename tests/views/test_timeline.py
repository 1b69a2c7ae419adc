"""The terminal's timeline: never wider than asked, no colour that means anything alone, every lane's signs."""

import pytest

from exitless.record.block import Header, Record
from exitless.view.classes import reason_class
from exitless.view.names import others_name, owner_name
from exitless.view.scene import Scene, scene
from exitless.view.timeline import tick_ps, timeline
from exitless.vocab.exits import VMX_NAMES, Exit
from exitless.vocab.kinds import Owner
from tests.views.sample import posted, pvhvm, recording

SAMPLES = {"posted": posted, "pvhvm": pvhvm, "recording": recording}


def lines(s: Scene, width: int = 80, ascii_only: bool = False) -> list[str]:
    """Draw, as plain text."""
    return [line.plain for line in timeline(s, width, ascii_only)]


def row(found: list[str], label: str) -> str:
    """Return the cells of a lane."""
    return next(line[12:] for line in found if line.startswith(label))


@pytest.mark.parametrize("name", list(SAMPLES))
@pytest.mark.parametrize("ascii_only", [False, True])
@pytest.mark.parametrize("width", [20, 40, 59, 60, 80, 120, 200, 300])
def test_no_line_is_wider_than_asked(name: str, ascii_only: bool, width: int) -> None:
    wide = [line for line in lines(scene(SAMPLES[name]()), width, ascii_only) if len(line) > width]
    assert not wide, wide


@pytest.mark.parametrize("name", list(SAMPLES))
@pytest.mark.parametrize("width", [40, 80])
def test_the_ascii_form_is_ascii(name: str, width: int) -> None:
    assert all(line.isascii() for line in lines(scene(SAMPLES[name]()), width, True))


def test_below_60_columns_the_steps_stand_alone() -> None:
    narrow, wide = lines(scene(posted()), 59), lines(scene(posted()), 60)
    assert not any(line.startswith("pCPU1") for line in narrow) and any(line.startswith("pCPU1") for line in wide)
    assert any("in service" in line for line in narrow)


def test_a_vector_is_posted_then_in_service_then_paused_while_its_vcpu_is_out() -> None:
    cells = row(lines(scene(posted(), 1_000_000, 6_000_000, "nic")), "0x80")
    order = [sign for sign in dict.fromkeys(cells) if sign in "┄─━╌"]
    assert order[-2:] == ["━", "╌"] and set("┄━╌") <= set(cells)


def test_an_exit_stands_above_the_hypervisors_part_of_the_bar() -> None:
    found = lines(scene(posted(), 2_000_000, 6_000_000, "nic"))
    at = row(found, "exits pCPU1").index("▼")
    assert row(found, "pCPU1")[at] == "▓" and row(found, "pCPU1")[at - 1] == "█"


def test_numbers_on_lanes_are_the_numbers_of_the_list() -> None:
    s = scene(posted(), source="nic", around=2)
    found = lines(s, 120)
    assert row(found, "nic").strip().startswith("1")
    found = found[: next(n for n, line in enumerate(found) if line.startswith("Registers"))]
    listed = [line.split()[0] for line in found if line.strip() and line.split()[0].isdigit()]
    assert listed == [str(n) for n in range(1, len(s.cards()) + 1)]


def test_a_handler_shows_its_time_and_what_was_charged_with_its_origin() -> None:
    found = "\n".join(lines(scene(posted(), source="nic", around=2), 100))
    assert "nic interrupt #1562: assertion to handler 800.000 ns" in found
    assert "200 ns guess" in found


def test_the_legend_names_what_is_used_and_nothing_else() -> None:
    found = "\n".join(lines(scene(pvhvm(), 1_000_000, 4_200_000)))
    assert "▲ VMCALL" in found and "▼ EXTERNAL_INTERRUPT" in found
    assert "HLT" not in found and "EOI_INDUCED" not in found


def test_every_exit_reason_has_a_sign() -> None:
    header = Header()
    assert {reason_class(header, reason) for reason in VMX_NAMES} == set(range(7))
    assert reason_class(header, Exit.MSR_WRITE) == reason_class(header, Exit.APIC_ACCESS)


def test_svm_exits_have_the_signs_of_their_names() -> None:
    """SVM's 0x60 is an interrupt and its 0x07 a write of CR7: numbers that mean other things to VMX."""
    header = Header(
        exits={0x60: "interrupt", 0x64: "vintr", 0x78: "hlt", 0x81: "vmmcall", 0x7C: "msr", 0x07: "read_cr7"}
    )
    assert [reason_class(header, code) for code in header.exits] == [0, 1, 3, 2, 5, 6]


def test_an_empty_window_says_so() -> None:
    record = Record(posted().header)
    record.add(0, 48, 0, -1, 0, 0)
    assert "No interrupt in this window." in lines(scene(record))


@pytest.mark.parametrize(("length", "count", "step"), [(10, 10, 1), (11, 10, 2), (1000, 10, 100), (4001, 10, 500)])
def test_ticks_are_1_2_or_5_times_a_power_of_ten(length: int, count: int, step: int) -> None:
    assert tick_ps(length, count) == step


def test_registers_are_told_after_each_step_that_changes_them() -> None:
    found = lines(scene(posted(), source="nic", around=2), 80)
    table = found[next(n for n, line in enumerate(found) if line.startswith("Registers of d1v0")) + 1 :]
    assert table[0].split() == ["after", "PIR", "ON", "VIRR", "RVI", "in", "service"]
    assert table[1].split() == ["{}", "{}", "31", "31", "{}"]
    assert [line.split()[1:] for line in table[2:5]] == [
        ["+80", "+1", "31", "31", "{}"],
        ["-80", "-1", "31", "+80", "31>80", "{}"],
        ["{}", "{}", "31", "-80", "80>31", "+80"],
    ]


def test_the_charge_of_a_step_is_never_cut_short() -> None:
    for width in range(60, 100):
        found = lines(scene(pvhvm(), source="nic", around=2), width)
        charged = [line for line in found if line.split() and line.split()[0].isdigit() and " ns g" in line]
        assert charged and all(line.endswith("guess") for line in charged), width


def test_only_xen_has_a_dom0() -> None:
    """Who else runs on a KVM host's CPUs is not dom0."""
    assert others_name(recording().header) == "host's tasks" and others_name(posted().header) == "dom0"
    assert owner_name(recording().header, Owner.DOM0) == "host's tasks"
