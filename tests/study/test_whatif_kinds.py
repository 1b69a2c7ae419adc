"""Every mechanism, on and off, on every kind of pasted table: a prediction with a rule and ends, or one sentence."""

import pytest

from exitless.errors import TraceError
from exitless.study.pasted import read_pasted
from exitless.study.whatif import Prediction
from exitless.study.whatif_rules import RULES
from exitless.study.whatif_tables import STATED_REST, seen_of
from exitless.study.whatif_words import MECHANISMS
from tests.study.test_whatif import HEAD, check

VMX = {"EXTERNAL_INTERRUPT": 4000, "MSR_WRITE": 3000, "HLT": 900, "INTERRUPT_WINDOW": 700, "EPT_VIOLATION": 300}
SVM = {"interrupt": 4000, "msr": 3000, "hlt": 900, "vintr": 700, "npf": 300}
POINTS = {"kvm_exit": 9000, "kvm_entry": 8900, "kvm_eoi": 3000, "kvm_inj_virq": 2900, "kvm_msr": 3300, "kvm_apic": 3100}
XEN = {"VMEXIT": 9000, "VMMCALL": 4000, "INTR_WINDOW": 2000, "HLT": 1500, "INTR": 1200, "INJ_VIRQ": 1900, "NPF": 10}


def rows(counts: dict[str, int], end: str = "  10.00%  10.00%  0.50us  9.00us  2.00us ( +- 1.00% )") -> str:
    """Write a table's rows, name first."""
    return "".join(f"  {name}   {count}{end}\n" for name, count in counts.items())


def kvm_stat(counts: dict[str, int], more: int = 0) -> str:
    """Write a report of perf kvm stat, with a total that is higher than its rows by ``more``."""
    total = sum(counts.values()) + more
    return f"{HEAD}\n{rows(counts)}\nTotal Samples:{total}, Total events handled time:9000.00us.\n"


KINDS = {
    "perf kvm stat, Intel": kvm_stat(VMX),
    "perf kvm stat, AMD": kvm_stat(SVM),
    "perf kvm stat with rows left out": kvm_stat(VMX, 5000),
    "perf kvm stat of APICv": kvm_stat({"EXTERNAL_INTERRUPT": 700, "APIC_WRITE": 2500, "EOI_INDUCED": 10, "HLT": 90}),
    "perf kvm stat of AVIC": kvm_stat({"interrupt": 700, "avic_incomplete_ipi": 250, "avic_unaccelerated_access": 9}),
    "perf kvm stat of the APIC's page": kvm_stat({"APIC_ACCESS": 5000, "PENDING_INTERRUPT": 400, "HLT": 90}),
    "one row": kvm_stat({"MSR_WRITE": 5000}, 6000),
    "halts alone": kvm_stat({"HLT": 5000}),
    "a list, Intel": rows(VMX, ""),
    "a list, AMD, in thousands": rows(SVM, "k"),
    "shares of a total": "HLT 60 %\nMSR_WRITE 30 %\nINTERRUPT_WINDOW 10 %\ntotal 2000\n",
    "perf stat": "".join(f"  {count:,}  kvm:{name}\n" for name, count in POINTS.items()),
    "counts of tracepoints": rows(POINTS, ""),
    "kvm_stat": " kvm_exit   9000 100.0 5\n" + "".join(f"   kvm_exit({n})  {c}  60.0 3\n" for n, c in VMX.items()),
    "debugfs": "exits 9000\nirq_exits 4000\nirq_window_exits 700\nhalt_exits 900\nirq_injections 3000\n",
    "kvmexit": "PID TID KVM_EXIT_REASON COUNT\n" + "".join(f"7 8 {name} {count}\n" for name, count in VMX.items()),
    "service times": "reason: count sum(us) min(us) avg(us) max(us)\n1: 4000 9 0 1 7\n7: 700 9 0 1 7\n32: 9 9 0 1 7\n",
    "xentrace": rows(XEN, ""),
    "xentrace without VMEXIT": rows({name: count for name, count in XEN.items() if name != "VMEXIT"}, ""),
}  # fmt: skip
REFUSED = {
    "a total alone": "Total Samples:787803, Total events handled time:1611193.84us.\n",
    "shares alone": "HLT 60 %\nMSR_WRITE 30 %\n",
    "exits alone": "  49,849 kvm:kvm_exit\n  47,357 kvm:kvm_entry\n",
    "arm64": kvm_stat({"DABT_LOW": 661867, "IRQ": 4598, "WFx": 1475}),
}


@pytest.mark.parametrize("kind", list(KINDS))
def test_every_mechanism_predicts_of_every_kind_of_table(kind: str) -> None:
    """What changes names a rule and what told it; what no rule touches stays."""
    for name in MECHANISMS:
        for enable, disable in (([name], []), ([], [name])):
            d = Prediction(seen_of(read_pasted(KINDS[kind], "table")), enable, disable).as_json("table")
            check(d, stated=True)
            assert d["total"]["before"] > 0, d["notes"]
            for row in d["rows"]:
                assert row["evidence"] and row["rule"], row
                assert row["cites"] or row["before"] == row["after"] or not row["exit"], row
                assert row["reason"] != STATED_REST or row["before"] == row["after"]
    assert {rule.mechanism for rule in RULES} == set(MECHANISMS)


@pytest.mark.parametrize("kind", list(REFUSED))
def test_what_does_not_tell_why_exits_happened_is_refused_in_one_sentence(kind: str) -> None:
    with pytest.raises(TraceError) as problem:
        seen_of(read_pasted(REFUSED[kind], "table"))
    assert "expected" in str(problem.value) and "\n" not in str(problem.value)
