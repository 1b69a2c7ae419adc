"""Pasted tables are read as they stand, and refused when they are none."""

import textwrap
from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from exitless.errors import TraceError
from exitless.study.pasted import read_pasted
from tests.shared import shared
from tests.traces.helpers import perf_stat

KVM = """Analyze events for all VMs, all VCPUs:

             VM-EXIT    Samples  Samples%     Time%    Min Time    Max Time         Avg time

  EXTERNAL_INTERRUPT     471831    59.89%    68.58%      0.64us     65.42us      2.34us ( +-   0.11% )
           MSR_WRITE     238932    30.33%    23.07%      0.48us     41.05us      1.56us ( +-   0.14% )

Total Samples:787803, Total events handled time:1611193.84us.
"""


def test_perf_kvm_stat_has_counts_means_and_its_total() -> None:
    t = read_pasted(KVM, "mail")
    assert t.counts == {"EXTERNAL_INTERRUPT": 471831, "MSR_WRITE": 238932}
    assert t.mean_ns == {"EXTERNAL_INTERRUPT": pytest.approx(2340), "MSR_WRITE": pytest.approx(1560)}
    assert t.total == 787803


def test_perf_stat_takes_its_total_from_kvm_exit() -> None:
    t = read_pasted("  47,357 kvm:kvm_entry  [99.98%]\n  49,849 kvm:kvm_exit\n", "mail")
    assert (t.format, t.total) == ("perf stat", 49849)
    assert t.counts["kvm_entry"] == 47357


@pytest.mark.parametrize("text", ["VMEXIT 307527\nINTR_WINDOW 82733\n", " 307,527 VMEXIT\n 82,733 INTR_WINDOW\n"])
def test_xentrace_summary_is_read_in_both_orders(text: str) -> None:
    t = read_pasted(text, "mail")
    assert t.counts == {"VMEXIT": 307527, "INTR_WINDOW": 82733}
    assert t.total == 307527


@pytest.mark.parametrize("text", ["", "hello\n", "HLT 12\n"])
def test_other_text_is_refused_with_what_was_expected(text: str) -> None:
    with pytest.raises(TraceError, match="mail: expected a report of perf kvm stat"):
        read_pasted(text, "mail")


def test_a_second_row_of_one_name_is_refused_at_its_line() -> None:
    with pytest.raises(TraceError, match=r"mail:2: VMEXIT has a row already"):
        read_pasted("VMEXIT 1\nVMEXIT 2\n", "mail")


ARM64 = """    VM-EXIT    Samples  Samples%     Time%    Min Time    Max Time         Avg time

   DABT_LOW     661867    98.91%    40.45%      2.19us   3364.65us      6.24us ( +-   0.34% )
        IRQ       4598     0.69%    57.44%      2.89us   3397.59us   1276.27us ( +-   1.61% )

Total Samples:666465, Total events handled time:10216387.86us.
"""


def test_arm64_keeps_its_names_and_says_whose_they_are() -> None:
    t = read_pasted(ARM64, "mail")
    assert (t.vendor, t.total, t.unlisted, t.problems) == ("arm64", 666465, 0, [])
    assert t.exits["IRQ"].max_ns == pytest.approx(3397590) and t.exits["IRQ"].code == -1


def test_the_first_heading_of_perf_has_no_least_and_most_time() -> None:
    t = read_pasted(
        "VM-EXIT    Samples  Samples%     Time%         Avg time\n"
        "PENDING_INTERRUPT 10 100.00% 100.00% 2.00us ( +- 1.00% )\nTotal Samples:10, Total events handled time:20us",
        "mail",
    )
    row = t.exits["INTERRUPT_WINDOW"]
    assert (row.count, row.code, row.mean_ns, row.min_ns, row.max_ns, row.written) == (
        10, 7, 2000, None, None, "PENDING_INTERRUPT",
    )  # fmt: skip


def test_the_newest_heading_of_perf_has_units_of_its_own() -> None:
    t = read_pasted(
        "Event name   Samples  Sample%  Time (ns)  Time%  Max Time (ns)  Min Time (ns)  Mean Time (ns)\n"
        "HLT          4        80.00%   4000       40.00% 2000           500            1000\n"
        "MSR_WRITE    1        20.00%   6000       60.00% 6000           6000           6000\n",
        "mail",
    )
    assert (t.exits["HLT"].time_ns, t.exits["HLT"].min_ns, t.exits["HLT"].max_ns) == (4000, 500, 2000)
    assert t.total == 5 and any("Total Samples is missing" in problem for problem in t.problems)


def test_rows_of_unknown_exits_take_the_number_that_perf_says_before_them() -> None:
    head = KVM.splitlines()[2]
    t = read_pasted(
        f"{head}\nunknown kvm exit code:131072 on VMX\nUNKNOWN 3 75.00% 50.00% 1us 2us 1us ( +- 1% )\n"
        "unknown kvm exit code:75 on VMX\nUNKNOWN 1 25.00% 50.00% 1us 2us 1us ( +- 1% )\nTotal Samples:4, Total events "
        "handled time:4us.\n",
        "mail",
    )
    assert t.counts == {"0x20000": 3, "NOTIFY": 1}


def test_a_table_whose_rows_do_not_make_its_total_is_partial() -> None:
    t = read_pasted(KVM, "mail")
    assert t.unlisted == 787803 - 471831 - 238932
    assert any("77,040 are in no row" in problem for problem in t.problems)


@pytest.mark.parametrize(
    "change",
    [
        lambda text: "".join(f"> > {line}\r\n" for line in text.splitlines()),
        lambda text: text.replace("  ", "\u00a0\u00a0"),
        lambda text: text.replace("    ", "\t"),
        lambda text: text.replace("471831", "471,831").replace("238932", "238\u202f932"),
        lambda text: text.replace("us", "\u00b5s"),
        lambda text: text.replace("2.34us", "2340ns").replace("1.56us", "0.00156ms"),
        lambda text: "\ufeff" + text.replace("2.34us", "2.34 us"),
    ],
)
def test_what_mail_programs_do_to_a_table_changes_nothing(change: Callable[[str], str]) -> None:
    plain, changed = read_pasted(KVM, "mail"), read_pasted(change(KVM), "mail")
    assert changed.counts == plain.counts and changed.total == plain.total
    assert changed.mean_ns == {name: pytest.approx(mean) for name, mean in plain.mean_ns.items()}


def wrapped(text: str, width: int) -> str:
    """Wrap lines as a mail program does."""
    return "\n".join(
        piece for line in text.splitlines() for piece in textwrap.wrap(line, width, break_long_words=False) or [""]
    )


@pytest.mark.parametrize("width", [52, 60, 66, 72, 76, 80])
def test_rows_cut_in_two_are_put_together_when_asked_for_and_counted(width: int) -> None:
    cut = wrapped(KVM, width)
    with_repair = read_pasted(cut, "mail", True)
    assert with_repair.counts == {"EXTERNAL_INTERRUPT": 471831, "MSR_WRITE": 238932}
    assert with_repair.mean_ns["EXTERNAL_INTERRUPT"] == pytest.approx(2340)
    assert with_repair.repaired >= 2
    try:
        without = read_pasted(cut, "mail")
    except TraceError:
        return
    assert "EXTERNAL_INTERRUPT" not in without.mean_ns and without.repaired == 0
    assert any("--repair" in problem or "no row" in problem for problem in without.problems)


def test_a_whole_table_is_left_alone_by_a_repair() -> None:
    t = read_pasted(KVM, "mail", True)
    assert t.repaired == 0 and t.counts == read_pasted(KVM, "mail").counts


def test_perf_stat_adds_intervals_up_and_names_what_was_not_counted() -> None:
    t = read_pasted(
        " 1.000 10 kvm:kvm_exit\n 1.000 <not counted> kvm:kvm_pio\n 2.000 5 kvm:kvm_exit\n 2.0 seconds time elapsed\n",
        "mail",
    )
    assert (t.total, t.exits, t.duration_ns) == (15, {}, 2e9)
    assert any("kvm_pio not counted" in note for note in t.notes)


def test_service_times_have_numbers_for_reasons() -> None:
    t = read_pasted(
        "# reason: count sum(us) min(us) avg(us) max(us)\n1: 16668 23165 0 1 77\n12: 182 29145513 58 160140 500054\n",
        "mail",
    )
    assert t.counts == {"EXTERNAL_INTERRUPT": 16668, "HLT": 182} and t.total == 16850
    assert t.exits["HLT"].time_ns == 29145513000 and t.mean_ns["HLT"] == pytest.approx(160140e3, rel=1e-4)


def test_debugfs_counts_some_reasons_and_leaves_the_rest_unlisted() -> None:
    t = read_pasted("vcpu0/pid:7\nexits:100\nhalt_exits:30\nirq_exits:20\nirq_injections:9\nhypercalls:0\n", "mail")
    assert (t.total, t.unlisted) == (100, 50)
    assert {name: row.count for name, row in t.exits.items()} == {"EXTERNAL_INTERRUPT": 20, "HLT": 30}
    assert t.counts["irq_injections"] == 9


def test_kvm_stat_names_the_reasons_of_its_exits() -> None:
    t = read_pasted(" kvm_exit   50 100.0 5\n   kvm_exit(HLT)   30  60.0 3\n kvm_exit(MSR_WRITE)  20 40.0 2\n", "mail")
    assert (t.total, {n: r.count for n, r in t.exits.items()}) == (50, {"HLT": 30, "MSR_WRITE": 20})


def test_the_commit_s_summary_of_records_stands_for_exits() -> None:
    rows = {
        "VMEXIT": 307527, "VMENTRY": 307528, "VMMCALL": 140998, "INTR_WINDOW": 82733, "HLT": 34638, "INTR": 28374,
        "TRAP": 24337, "CPUID": 260, "NPF": 10, "INJ_VIRQ": 64067, "vlapic_accept_pic_intr": 370610,
        "cpu_change": 342, "wrap_buffer": 127,
    }  # fmt: skip
    for text in (
        "\n".join(f"{name} {count}" for name, count in rows.items()),
        "\n".join(f"| {name} | {count:,} | {count // 2:,} |".replace(",", " ") for name, count in rows.items()),
        "\n".join(f"    {count:8d}  {name}" for name, count in rows.items()),
    ):
        t = read_pasted(text, "mail")
        assert t.records == rows and t.counts == rows and t.total == 307527
        assert {n: r.count for n, r in t.exits.items()} == {
            "VMCALL": 140998, "INTERRUPT_WINDOW": 82733, "HLT": 34638, "EXTERNAL_INTERRUPT": 28374,
            "EXCEPTION_NMI": 24337, "CPUID": 260, "EPT_VIOLATION": 10,
        }  # fmt: skip


@pytest.mark.parametrize(
    "folder", ["kvm-kut-vmexit-ipi", "kvm-linux-2cpu", "kvm-tiny-1cpu-x2apic", "kvm-tiny-2cpu-xapic"]
)
def test_reports_of_perf_agree_with_a_plain_reading(folder: str) -> None:
    text = shared(f"data/traces/{folder}/perf-kvm-stat.txt").read_text()
    expected, total = perf_stat(text)
    t = read_pasted(text, folder)
    assert t.counts == {name: row[0] for name, row in expected.items()} and t.problems == []
    for name, (_, least, most, mean) in expected.items():
        row = t.exits[name]
        assert (row.min_ns, row.max_ns, row.mean_ns) == tuple(pytest.approx(us * 1000) for us in (least, most, mean))
    assert t.time_ns == pytest.approx(total * 1000) and t.vendor == "svm"


def test_xenalyze_adds_the_vcpus_up() -> None:
    t = read_pasted(shared("data/traces/xen-pvh2/xenalyze-summary.txt").read_text(), "pvh2")
    assert (t.counts["hypercall"], t.counts["msr"], t.vectors) == (912 + 912, 590 + 568, {0xF3: 591 + 568})
    assert t.exits["vintr"].time_ns == pytest.approx((236 * 42585 + 220 * 43277) / 2.6)


TABLES = [KVM, ARM64, "VMEXIT 307527\nHLT 82,733\n", "exits:3\nhalt_exits:1\nirq_exits:1\n", "7 kvm:kvm_exit\n"]


@settings(deadline=None, max_examples=200)
@given(
    st.sampled_from(TABLES), st.lists(st.tuples(st.integers(0, 700), st.text(max_size=6)), max_size=6), st.booleans()
)
def test_whatever_happens_to_a_table_it_is_read_or_refused(
    text: str, changes: list[tuple[int, str]], repair: bool
) -> None:
    for at, piece in changes:
        text = text[:at] + piece + text[at + len(piece) :]
    try:
        t = read_pasted(text, "mail", repair)
    except TraceError as problem:
        assert str(problem).startswith("mail:") and "\n" not in str(problem)
        return
    assert t.counts and t.unlisted >= 0
    assert all(row.count >= 0 for row in t.exits.values())


LISTS = {
    "a name and a count": "EXTERNAL_INTERRUPT 471831\nMSR_WRITE 238932\n",
    "count first": " 471,831 EXTERNAL_INTERRUPT\n 238,932 MSR_WRITE\n",
    "columns in another order": "EXTERNAL_INTERRUPT 68.58% 471831 2.34us\nMSR_WRITE 23.07% 238932 1.56us\n",
    "Markdown": "| exit | count |\n| --- | ---: |\n| EXTERNAL_INTERRUPT | 471 831 |\n| MSR_WRITE | 238 932 |\n",
    "older and shorter names": "EXT_INT 471831\nWRMSR 238932\n",
    "words": "External interrupts: 471831\nMSR write: 238932\n",
    "names cut short": "EXTERNAL_INT 471831\nMSR_WRITE 238932\n",
    "perf's rows without their heading": (
        "EXTERNAL_INTERRUPT  471831  66.39%  68.58%  0.64us  65.42us  2.34us ( +-   0.11% )\n"
        "         MSR_WRITE  238932  33.61%  23.07%  0.48us  41.05us  1.56us ( +-   0.14% )\n"
    ),
    "kvmexit": (
        "PID      TID      KVM_EXIT_REASON                     COUNT\n"
        "7 8 EXIT_REASON_EXTERNAL_INTERRUPT 471830\n7 8 MSR_WRITE 238932\n7 9 EXTERNAL_INTERRUPT 1\n"
    ),
}  # fmt: skip


@pytest.mark.parametrize("what", list(LISTS))
def test_lists_of_exits_are_read_however_they_are_written(what: str) -> None:
    t = read_pasted(LISTS[what], "mail")
    assert t.counts == {"EXTERNAL_INTERRUPT": 471831, "MSR_WRITE": 238932} and t.total == 710763
    assert t.vendor == "vmx"


def test_a_list_may_have_a_total_and_shares_of_it() -> None:
    t = read_pasted("HLT 60 %\nMSR_WRITE 30.5 %\ntotal 2000\n", "mail")
    assert t.counts == {"HLT": 1200, "MSR_WRITE": 610} and (t.total, t.unlisted) == (2000, 190)
    with pytest.raises(TraceError, match="mail:1: HLT has a share and no count"):
        read_pasted("HLT 60 %\nMSR_WRITE 30.5 %\n", "mail")


def test_counts_in_thousands_and_millions_are_said_to_be_rounded() -> None:
    t = read_pasted("HLT 1.5M\nMSR_WRITE 30k\n", "mail")
    assert t.counts == {"HLT": 1_500_000, "MSR_WRITE": 30_000} and any("rounded" in note for note in t.notes)
    assert read_pasted("VMEXIT 307.5k\nHLT 34.6k\n", "mail").total == 307_500


def test_records_of_xen_s_need_no_row_of_all_exits() -> None:
    t = read_pasted("VMMCALL 140998\nINTR_WINDOW 82733\nHLT 34638\n", "mail")
    assert t.format == "xentrace summary" and t.total is None and t.exits["VMCALL"].count == 140998


def test_amd_s_list_keeps_amd_s_names() -> None:
    t = read_pasted("msr 524213\nhlt 262080\nvintr 262080\n", "mail")
    assert t.vendor == "svm" and t.total == 1_048_373 and t.counts["vintr"] == 262_080


@pytest.mark.parametrize("text", ["kvm_exit: 49849\nkvm_eoi: 22421\n", " kvm_exit 49849 1000\n kvm_eoi  22421 100\n"])
def test_tracepoints_with_their_counts_are_counters(text: str) -> None:
    t = read_pasted(text, "mail")
    assert t.format == "counts of tracepoints" and t.records == {"kvm_exit": 49849, "kvm_eoi": 22421}
    assert t.total == 49849


def test_the_first_of_two_tables_is_read_also_where_its_last_line_is_missing() -> None:
    head, row = KVM.splitlines()[2], KVM.splitlines()[4]
    t = read_pasted(f"Before\n{head}\n{row}\n\nAfter\n{head}\n{row.replace('471831', '6622')}\n", "mail")
    assert t.counts == {"EXTERNAL_INTERRUPT": 471831} and any("1 more tables" in note for note in t.notes)


def one(whom: str, count: int) -> str:
    """Make a table of one row for somebody."""
    head = KVM.splitlines()[2]
    return (
        f"Analyze events for {whom}:\n\n{head}\n HLT {count} 100.00% 100.00% 1us 2us 1us ( +- 1% )\n"
        f"\nTotal Samples:{count}, Total events handled time:{count}us.\n\n"
    )


def test_tables_of_single_vcpus_or_machines_add_up_and_those_of_all_do_not() -> None:
    t = read_pasted(one("all VMs, VCPU 0", 10) + one("all VMs, VCPU 1", 5), "mail")
    assert (t.counts, t.total, t.problems) == ({"HLT": 15}, 15, [])
    assert any("tables of 2 add up" in note for note in t.notes)
    assert read_pasted(one("pid(s) 7, all VCPUs", 10) + one("pid(s) 8, all VCPUs", 5), "mail").total == 15
    assert read_pasted(one("all VMs, all VCPUs", 10) + one("all VMs, VCPU 1", 5), "mail").total == 10
    assert read_pasted(one("all VMs, VCPU 0", 10) + one("all VMs, VCPU 0", 5), "mail").total == 10


def test_rows_of_one_reason_with_other_flags_add_up_while_their_shares_do() -> None:
    head = KVM.splitlines()[2]
    rows = "HLT 90 90.00% 50% 1us 2us 1us ( +- 1% )\nHLT 10 10.00% 50% 1us 2us 1us ( +- 1% )\n"
    assert read_pasted(f"{head}\n{rows}Total Samples:100, Total events handled time:2us", "m").counts == {"HLT": 100}
    with pytest.raises(TraceError, match="HLT has a row already"):
        read_pasted(f"{head}\n{rows.replace('10.00%', '95.00%')}", "m")


def test_a_total_alone_is_told_from_no_table() -> None:
    with pytest.raises(TraceError, match="the line Total Samples stands alone"):
        read_pasted("Total Samples:787803, Total events handled time:1611193.84us.\n", "mail")


def test_cycles_of_unit_tests_are_no_list_of_exits() -> None:
    with pytest.raises(TraceError):
        read_pasted("cpuid 1313\nvmcall 1195\nipi 6059\n", "mail")


def test_a_row_cut_before_its_shares_is_put_together_too() -> None:
    cut = KVM.replace("471831    ", "471831\n").replace("238932    ", "238932\n")
    t = read_pasted(cut, "mail", True)
    assert t.counts == {"EXTERNAL_INTERRUPT": 471831, "MSR_WRITE": 238932} and t.repaired == 2
    with pytest.raises(TraceError, match="with --repair, cut in two"):
        read_pasted(cut, "mail")
