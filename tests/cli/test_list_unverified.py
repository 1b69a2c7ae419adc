"""``exitless list rules --unverified``: what no source settles, with the answer that is taken."""

import json
from pathlib import Path

import pytest

from exitless.arch.choices import CHOICES
from exitless.arch.vmx.choices import VMX_CHOICES
from exitless.cli.main import main


def test_every_choice_is_listed_with_default_mark_and_source(tmp_path: Path) -> None:
    target = tmp_path / "unverified.json"
    assert main(["list", "rules", "--unverified", "--json", str(target)]) == 0
    rows = {row["name"]: row for row in json.loads(target.read_text())["rules"]}
    for choice in [*CHOICES, *VMX_CHOICES]:
        says = rows[choice.name]["says"]
        assert f"Default {choice.default}; {choice.mark}." in says and choice.decides in says
        assert rows[choice.name]["cites"] == choice.cites
    assert {"switches.rescan_pir", "mech.direct", "vmx.priority"} <= set(rows)


def test_the_table_on_the_terminal_fits_its_width(
    capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("COLUMNS", "100")
    assert main(["list", "rules", "--unverified"]) == 0
    told = capsys.readouterr().out
    assert max(len(line) for line in told.splitlines()) <= 100
    assert "timer_masked_expiry" in told and "from memory" in told


def test_new_rules_are_listed_with_their_citations(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["list", "rules", "--json", "-"]) == 0
    rows = {row["name"]: row["cites"] for row in json.loads(capsys.readouterr().out)["rules"]}
    assert rows["x86.timer.next_deadline"] == "SDM apic.timer"
    assert rows["svm.ipi.send"] == "APM avic.ipi"
