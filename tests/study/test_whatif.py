"""Predictions add up, keep their ends in order, and reach what was published."""

import random
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest

from exitless.errors import TraceError
from exitless.study.pasted import read_pasted
from exitless.study.whatif import Part, Prediction, spread
from exitless.study.whatif_cycles import seen_of_cycles
from exitless.study.whatif_rules import ALL, NONE
from exitless.study.whatif_seen import Cell, Seen
from exitless.study.whatif_tables import seen_of
from exitless.study.whatif_words import MECHANISMS, Class
from tests.house.tree import ROOT
from tools.whatif_score import pairs, predict, score, section

HEAD = "  VM-EXIT    Samples  Samples%     Time%    Min Time    Max Time         Avg time\n"


def kvm_stat(**rows: int) -> Seen:
    """Make a table of ``perf kvm stat``."""
    lines = [f"{name} {count} 1.00% 1.00% 0.50us 9.00us 2.00us ( +- 1.00% )" for name, count in rows.items()]
    return seen_of(read_pasted(HEAD + "\n".join(lines) + f"\n\nTotal Samples:{sum(rows.values())}, x\n", "table"))


def check(d: dict[str, Any], stated: bool = False) -> None:
    """Hold a document against what must hold of each."""
    for row in [*d["rows"], d["total"]]:
        assert 0 <= row["low"] <= row["after"] <= row["high"], row
        if "time_ns" in row:
            times = row["time_ns"]
            assert 0 <= times["low"] <= times["after"] <= times["high"], row
    exits = [row for row in d["rows"] if row["exit"]]
    if not stated:
        assert sum(row["before"] for row in exits) == d["total"]["before"]
        assert sum(row["after"] for row in exits) == d["total"]["after"]


@pytest.mark.parametrize("name", list(MECHANISMS))
def test_every_mechanism_on_and_off_gives_sums_and_ends_in_order(name: str) -> None:
    draw = random.Random(name)
    reasons = "EXTERNAL_INTERRUPT INTERRUPT_WINDOW MSR_WRITE APIC_ACCESS HLT VMCALL EPT_VIOLATION TPR_BELOW_THRESHOLD"
    for _ in range(30):
        seen = kvm_stat(
            **{reason: draw.randrange(1, 10**6) for reason in reasons.split() if draw.random() < 0.7}, CPUID=3
        )
        check(Prediction(seen, [name], []).as_json("x"))
        check(Prediction(seen, [], [name]).as_json("x"))


def test_ends_of_a_row_are_found_by_giving_what_is_open_to_the_best_and_the_worst() -> None:
    going, staying = Part("r", Class.EOI, Cell(40, 10, 70)), Part("r", Class.KEPT, Cell(60, 0, 90))
    going.keep, staying.keep = NONE, (1.0, 1.0, 1.0)
    low, high = spread([going, staying], 100, None)
    assert low == pytest.approx(30 * 0.94), "70 of 100 may go at most, and 30 stay"
    assert high == pytest.approx(90 * 1.06), "10 of 100 go at least, and 90 stay"
    assert staying.keep == ALL


def test_windows_go_halts_stay_and_level_triggered_eois_are_induced() -> None:
    seen = Seen("trace", "kvm", "vmx")
    for reason, cls, count in (
        ("INTERRUPT_WINDOW", Class.WINDOW, 5), ("HLT", Class.KEPT, 4), ("APIC_ACCESS", Class.EOI_LEVEL, 3),
        ("APIC_ACCESS", Class.EOI, 6), ("APIC_ACCESS", Class.IPI, 2), ("APIC_ACCESS", Class.ICR_HIGH, 2),
    ):  # fmt: skip
        for _ in range(count):
            seen.add(reason, cls)
    rows = {row["reason"]: row["after"] for row in Prediction(seen, ["apicv"], []).rows()}
    assert rows == {"INTERRUPT_WINDOW": 0, "HLT": 4, "APIC_ACCESS": 0, "EOI_INDUCED": 3, "APIC_WRITE": 2}
    rows = {row["reason"]: row["after"] for row in Prediction(seen, ["ipi-virtualization"], []).rows()}
    assert rows["APIC_WRITE"] == 0, "and a fixed IPI to one vCPU needs no exit"
    rows = {row["reason"]: row["after"] for row in Prediction(seen, ["x2apic"], []).rows()}
    assert rows["MSR_WRITE"] == 3 + 6 + 2, "one write of ICR in place of two"


def test_a_table_is_less_sure_than_a_recording_of_the_same_exits() -> None:
    table = Prediction(kvm_stat(MSR_WRITE=1000, INTERRUPT_WINDOW=100, HLT=200), ["apicv"], []).as_json("x")["total"]
    seen = Seen("trace", "kvm", "vmx")
    for reason, cls, count in (
        ("MSR_WRITE", Class.EOI, 400), ("MSR_WRITE", Class.DEADLINE, 600), ("INTERRUPT_WINDOW", Class.WINDOW, 100),
        ("HLT", Class.KEPT, 200),
    ):  # fmt: skip
        for _ in range(count):
            seen.add(reason, cls)
    trace = Prediction(seen, ["apicv"], []).as_json("x")["total"]
    assert table["low"] <= trace["after"] <= table["high"]
    assert table["high"] - table["low"] > 3 * (trace["high"] - trace["low"])


def test_a_row_is_a_guess_where_nothing_tells_which_of_its_exits_go() -> None:
    """A row of MSR writes may hold EOIs, which go under APICv, and timers, which stay; a halt is nothing else."""
    rows = {row["reason"]: row["sure"] for row in Prediction(kvm_stat(MSR_WRITE=900, HLT=50), ["apicv"], []).rows()}
    assert rows["MSR_WRITE"] == "guess" and rows["HLT"] == "certain"
    seen = Seen("trace", "kvm", "vmx")
    for cls in (Class.EOI, Class.DEADLINE):
        seen.add("MSR_WRITE", cls)
    assert [row["sure"] for row in Prediction(seen, ["apicv"], []).rows()] == ["certain"], "told exit by exit"


def test_more_host_interrupts_than_writes_of_msrs_are_taken_for_kicks() -> None:
    storm = Prediction(kvm_stat(EXTERNAL_INTERRUPT=20_000, MSR_WRITE=10_000), ["apicv"], []).as_json("x")
    quiet = Prediction(kvm_stat(EXTERNAL_INTERRUPT=20_000, MSR_WRITE=10_000, HLT=9000), ["apicv"], []).as_json("x")
    assert storm["total"]["after"] < 12_000 < quiet["total"]["after"]


def test_what_only_the_other_hypervisor_has_changes_nothing_and_is_said() -> None:
    d = Prediction(kvm_stat(HLT=10, MSR_WRITE=10), ["upcall-vector"], []).as_json("x")
    assert d["total"]["after"] == 20 and any("upcall-vector is Xen's" in note for note in d["notes"])


def test_what_is_at_work_already_is_not_switched_on_again() -> None:
    d = Prediction(kvm_stat(APIC_WRITE=100, EXTERNAL_INTERRUPT=50), ["apicv"], []).as_json("x")
    assert d["total"]["before"] == d["total"]["after"] == 150
    assert any("apicv is at work already" in note for note in d["notes"])
    back = Prediction(kvm_stat(APIC_WRITE=100, EXTERNAL_INTERRUPT=50), [], ["apicv"]).as_json("x")
    assert back["total"]["after"] > 250, "IPIs by two writes, their kicks and their EOIs"


def test_posting_is_said_to_be_able_to_lose_where_most_exits_stay() -> None:
    d = Prediction(kvm_stat(IO_INSTRUCTION=1000, HLT=10), ["apicv"], []).as_json("x")
    assert any("posting can be slower" in note for note in d["notes"])
    d = Prediction(kvm_stat(INTERRUPT_WINDOW=1000, HLT=10), ["apicv"], []).as_json("x")
    assert not any("posting can be slower" in note for note in d["notes"])


def test_an_exit_costs_what_the_same_text_says_of_one_that_does_nothing() -> None:
    d = Prediction(seen_of_cycles("vmcall 1000\nipi 6000\n"), ["ipi-virtualization"], []).as_json("x")
    rows = {row["reason"]: row["after"] for row in d["rows"]}
    assert rows == {"vmcall": 1000, "ipi": 5000}
    d = Prediction(seen_of_cycles("x2apic enabled\nvmcall 1000\nipi 6000\n"), ["ipi-virtualization"], []).as_json("x")
    assert {row["reason"]: row["after"] for row in d["rows"]}["ipi"] == 5200, "the fast path had saved 200 already"


def test_the_fast_path_saves_time_and_no_exits() -> None:
    seen = Seen("trace", "kvm", "vmx")
    for _ in range(100):
        seen.add("MSR_WRITE", Class.IPI, 1000.0)
    total = Prediction(seen, ["icr-fastpath"], []).as_json("x")["total"]
    assert total["after"] == 100 and total["time_ns"]["after"] == round(100 * 1000 * 0.40 / 0.73)


def test_what_no_interrupt_can_explain_sends_ipis() -> None:
    """Each EOI and deadline needs an interrupt, and that another exit: beyond two of each other exit, all are IPIs."""
    table = (
        "             VM-EXIT    Samples  Samples%     Time%    Min Time    Max Time         Avg time\n\n"
        "           MSR_WRITE       9000    90.00%    77.52%      0.38us     18.54us      0.73us ( +-   0.02% )\n\n"
        "Total Samples:10000, Total events handled time:8000.00us.\n"
    )
    d = Prediction(seen_of(read_pasted(table, "t")), ["ipi-virtualization"], []).as_json("x")
    row = next(row for row in d["rows"] if row["reason"] == "MSR_WRITE")
    assert (row["before"], row["after"]) == (9000, 500), "IPIs go, and so do 500 EOIs; 500 deadlines stay"
    assert row["low"] == 0 and 1000 <= row["high"] <= 3000


PAIRS = {pair["name"]: pair for pair in pairs()}


@pytest.mark.parametrize("name", list(PAIRS))
def test_published_pairs_are_scored_as_the_page_says(name: str, tmp_path: Path) -> None:
    pair = PAIRS[name]
    document = predict(pair, tmp_path)
    check(document, stated=True)
    page = (ROOT / "docs" / "whatif-score.md").read_text(encoding="utf-8")
    assert "\n".join(section(pair, document, score(pair, document))) in page, "make whatif-score writes the page anew"


MET = ["V1", "V2", "V3, xAPIC", "V3, x2APIC", "V6b, new kernel", "V6b, old kernel", "fast path, mitigations off"]


@pytest.mark.parametrize("name", MET)
def test_these_published_pairs_meet_the_aim(name: str, tmp_path: Path) -> None:
    pair = PAIRS[name]
    scored = score(pair, predict(pair, tmp_path))
    assert scored["met"], scored


def test_the_total_of_every_pair_lies_between_least_and_most(tmp_path: Path) -> None:
    for pair in PAIRS.values():
        total = score(pair, predict(pair, tmp_path))["total"]
        assert total["low"] <= total["published"] <= total["high"], pair["name"]


OUTSIDE = {
    ("V1", "NPF"): "ten exits before, twenty after",
    ("V8", "kvm_pio"): "the guest did less in the second run",
    ("timer", "(rows not listed)"): "the runs were not equally long or loaded",
}


def test_every_published_row_lies_between_its_ends_but_those_listed_with_their_reason(tmp_path: Path) -> None:
    outside = {
        (name, row["name"])
        for name, pair in PAIRS.items()
        for row in score(pair, predict(pair, tmp_path))["rows"]
        if not row["inside"]
    }
    assert outside == set(OUTSIDE)


def after(seen: Seen, *enable: str) -> dict[str, int]:
    """Predict, and return what is left of each reason."""
    return {row["reason"]: row["after"] for row in Prediction(seen, list(enable), []).rows()}


def test_a_guest_that_saves_time_may_exit_more_and_one_that_loses_it_less() -> None:
    faster = Prediction(kvm_stat(HLT=1000), ["apicv"], []).as_json("x")["total"]
    slower = Prediction(kvm_stat(HLT=1000), [], ["apicv"]).as_json("x")["total"]
    assert (faster["low"], faster["high"]) == (940, 1250)
    assert (slower["low"], slower["high"]) == (750, 1060)


def test_a_table_leaves_open_whether_ipis_go_to_several() -> None:
    """Writes of MSRs do not say how many send to a further vCPU, so PV IPIs may take none of them or all."""
    total = Prediction(kvm_stat(MSR_WRITE=1000), ["pv-ipi"], []).as_json("x")["total"]
    assert total["low"] == 0 and total["high"] == 1250


def test_pv_eoi_changes_nothing_where_the_processor_delivers() -> None:
    for rows in ({"MSR_WRITE": 900, "EOI_INDUCED": 5}, {"msr": 900, "avic_incomplete_ipi": 5}):
        d = Prediction(kvm_stat(**rows), ["pv-eoi"], []).as_json("x")
        assert d["total"]["after"] == 905 and any("PV EOI's mark" in note for note in d["notes"])


def test_avic_is_seen_at_work_by_its_exits() -> None:
    d = Prediction(kvm_stat(avic_incomplete_ipi=100, avic_unaccelerated_access=20, hlt=5), ["avic"], []).as_json("x")
    assert d["total"]["after"] == 125 and any("avic is at work already" in note for note in d["notes"])


def test_with_apicv_at_work_x2apic_turns_trapped_writes_into_writes_of_msrs() -> None:
    assert after(kvm_stat(APIC_WRITE=100, HLT=7), "x2apic") == {"APIC_WRITE": 0, "MSR_WRITE": 100, "HLT": 7}


def test_a_posted_timer_needs_posting_and_so_brings_it() -> None:
    """KVM posts a timer only where APICv is active (kvm_can_post_timer_interrupt), which ends windows and EOIs too."""
    d = Prediction(kvm_stat(INTERRUPT_WINDOW=100, HLT=10), ["timer-posting"], []).as_json("x")
    assert d["brought"] == ["apicv", "posted"]
    assert d["total"]["after"] == 10 and any("only where HLT or MWAIT does not exit" in note for note in d["notes"])
    assert Prediction(kvm_stat(vintr=100, hlt=10), ["timer-posting"], []).as_json("x")["brought"] == ["avic"]


def test_where_the_preemption_timer_expires_host_timers_are_the_host_s() -> None:
    """KVM arms the preemption timer in place of its own, so of the host's interrupts none is the guest's timer."""
    plain = Prediction(kvm_stat(EXTERNAL_INTERRUPT=1000, EOI_INDUCED=1), ["timer-posting"], []).rows()
    with_it = Prediction(
        kvm_stat(EXTERNAL_INTERRUPT=1000, EOI_INDUCED=1, PREEMPTION_TIMER=300), ["timer-posting"], []
    ).rows()
    of = [{row["reason"]: row["after"] for row in rows} for rows in (plain, with_it)]
    assert of[0]["EXTERNAL_INTERRUPT"] < 600 and of[1]["EXTERNAL_INTERRUPT"] == 1000
    assert of[1]["PREEMPTION_TIMER"] == 0


def test_each_expiry_of_the_preemption_timer_was_armed_by_a_write() -> None:
    seen = kvm_stat(MSR_WRITE=1000, PREEMPTION_TIMER=900)
    assert seen.cells["MSR_WRITE", Class.DEADLINE].low == 900
    assert sum(seen.cells["MSR_WRITE", cls].count for _, cls in seen.cells if _ == "MSR_WRITE") == pytest.approx(1000)
    row = next(r for r in Prediction(seen, ["apicv"], []).rows() if r["reason"] == "MSR_WRITE")
    assert row["low"] >= 900 * 0.94 - 1


POINTS = {"kvm_entry": 980, "kvm_exit": 1000}


def counted(**counts: int) -> Seen:
    """Make counters of perf stat."""
    return seen_of(read_pasted("".join(f" {n} kvm:{name}\n" for name, n in {**POINTS, **counts}.items()), "table"))


def test_counters_that_do_not_say_what_exits_are_for_are_refused_in_one_sentence() -> None:
    for extra in ({}, {"kvm_pio": 7}, {"kvm_msr": 500}):
        with pytest.raises(TraceError, match="expected kvm_eoi, kvm_inj_virq or kvm_apic beside kvm_exit"):
            counted(**extra)


def test_ends_of_interrupt_are_taken_from_the_best_counter_that_there_is() -> None:
    assert counted(kvm_eoi=300, kvm_apic=700).sum_of((Class.EOI,)) > 0
    exits = {name: s.cells["kvm_exit", Class.EOI].count for name, s in {
        "eoi": counted(kvm_eoi=300, kvm_apic=700, kvm_inj_virq=310),
        "injections": counted(kvm_apic=700, kvm_inj_virq=200),
        "accesses": counted(kvm_apic=700), "saved": counted(kvm_eoi=300, kvm_pv_eoi=250, kvm_msr=90),
        "virtual": counted(kvm_eoi=300, kvm_apicv_accept_irq=300),
    }.items()}  # fmt: skip
    assert exits == {"eoi": 300, "injections": 200, "accesses": 700, "saved": 50, "virtual": 0}


def test_accesses_are_the_total_where_exits_are_not_counted() -> None:
    seen = seen_of(read_pasted(" 300 kvm:kvm_apic\n 290 kvm:kvm_eoi\n", "table"))
    d = Prediction(seen, ["pv-eoi"], []).as_json("x")
    assert d["total"]["before"] == 300 and any("neither kvm_exit nor kvm_entry" in note for note in d["notes"])


def test_a_prediction_does_not_lean_on_the_second_half_of_its_pair() -> None:
    """Scaling the first half scales the prediction: no absolute number is in the rules."""
    afters = []
    for scale in (1, 2, 4):
        rows = {"EXTERNAL_INTERRUPT": 40_000 * scale, "MSR_WRITE": 20_000 * scale, "CPUID": 8_000 * scale}
        afters.append(Prediction(kvm_stat(**rows), ["apicv"], []).as_json("x")["total"]["after"])
    assert all(abs(b - 2 * a) <= 2 for a, b in pairwise(afters))
