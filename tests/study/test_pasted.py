"""Pasted tables are read as they stand, and refused when they are none."""

import pytest

from exitless.errors import TraceError
from exitless.study.pasted import read_pasted

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
