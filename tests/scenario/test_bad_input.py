"""Whatever is wrong with a scenario or a command line: one sentence with its place, status 2, nothing else."""

from pathlib import Path

import pytest

from exitless.cli.main import main

SHORT = ("--length", "10 us", "--mechanism", "apicv", "--json", "-")


def refused(capsys: pytest.CaptureFixture[str], *words: str) -> str:
    """Call a command that must be refused. Returns: the sentence."""
    status = main(list(words))
    out, err = capsys.readouterr()
    assert status == 2, (words, err)
    assert out == ""
    assert err.startswith("exitless") and err.endswith("\n") and err.count("\n") == 1, err
    assert "Traceback" not in err
    return err


# What is set, and what the sentence must contain: the place, what was expected or is near.
SETTINGS = {
    "unknown key at the top": ("hots=3", "hots: no such key", 'did you mean "host"?'),
    "unknown key in host": ("host.pcpu=4", "host.pcpu: no such key", 'did you mean "pcpus"?'),
    "unknown key in vm": ('vm[0].kindd="pv"', "vm[0].kindd: no such key", 'did you mean "kind"?'),
    "unknown key in device": ("device[0].loda=3", "device[0].loda: no such key", 'did you mean "load"?'),
    "unknown key in run": ('run.lenght="1 s"', "run.lenght: no such key", 'did you mean "length"?'),
    "unknown key in switches": ("switches.idle_pols=true", "switches.idle_pols", 'did you mean "idle_polls"?'),
    "unknown key in expect": ("expect.lots=1", "expect.lots: no such key", 'did you mean "lost"?'),
    "unknown key in a bound": ("expect.exits_per_interrupt.apicv={mn=1}", "no such key", 'did you mean "min"?'),
    "unknown key in move": ('move=[{vm="guest",at="1 ms",too=2}]', "move[0]", 'did you mean "to"?'),
    "unknown cost": ('host.cost.exitt="1 us"', "host.cost.exitt: no such step", 'did you mean "exit"?'),
    "a key is missing": ('move=[{vm="guest",to=2}]', "move[0]: at is missing", ""),
    "text for a number": ('host.pcpus="4"', "host.pcpus: expected a whole number, got text in quotes", ""),
    "a fraction for a whole number": ("host.pcpus=4.5", "host.pcpus: expected a whole number", ""),
    "a number for text": ("title=3", "title: expected text in quotes, got a whole number", ""),
    "a table for a list": ("vm=3", "vm: expected a list", ""),
    "a number for a table": ("host=3", "host: expected a table", ""),
    "text in a list of numbers": ('device[0].vectors=["a"]', "device[0].vectors[0]: expected a whole number", ""),
    "no pcpus": ("host.pcpus=0", "host.pcpus: expected 1 to 62, got 0", ""),
    "negative pcpus": ("host.pcpus=-3", "host.pcpus: expected 1 to 62, got -3", ""),
    "huge pcpus": ("host.pcpus=" + "9" * 30, "host.pcpus: expected 1 to 62", ""),
    "unknown frequency unit": ('host.clock="2.4 GB"', "host.clock: unknown unit 'GB'", "GHz"),
    "no frequency unit": ('host.clock="2.4"', "host.clock: expected a frequency with a unit", "GHz"),
    "clock too slow": ('host.clock="0 Hz"', "host.clock in Hz: expected", "got 0"),
    "unknown cost table": ('host.costs="ilustrative"', "host.costs: no cost table", 'did you mean "illustrative"?'),
    "negative time": ('host.ratelimit="-1 ms"', "host.ratelimit: expected a time", ""),
    "no timeslice": ('host.timeslice="0 ms"', "host.timeslice: expected 1 us to 86400 s, got 0 ms", ""),
    "no scheduler tick": ('host.tick="0 ms"', "host.tick: expected 1 us", ""),
    "a time beyond 64 bits": ('host.ratelimit="99999999999999 s"', "host.ratelimit: expected 0 s to 86400 s", ""),
    "a cost beyond 64 bits": ('host.cost.exit="99999999999 s"', "host.cost.exit: expected 0 s to 1 s", ""),
    "a cost without unit": ('host.cost.exit="1"', "host.cost.exit: expected a time with a unit", ""),
    "no vm": ("vm=[]", "vm: a scenario needs at least one [[vm]]", ""),
    "unknown kind of vm": ('vm[0].kind="pw"', 'vm[0].kind: no such kind "pw"', 'did you mean "pv"?'),
    "no vcpus": ("vm[0].vcpus=0", "vm[0].vcpus: expected 1 to 32, got 0", ""),
    "too many vcpus": ("vm[0].vcpus=100", "vm[0].vcpus: expected 1 to 32, got 100", ""),
    "too few pins": ("vm[0].pin=[0,1]", "vm[0].pin: expected one pCPU for each of 4 vCPUs, got 2", ""),
    "a pin outside the host": ("vm[0].pin=[0,1,2,99]", "vm[0].pin: expected 0 to 3, got 99", ""),
    "a negative pin": ("vm[0].pin=[0,1,2,-1]", "vm[0].pin: expected 0 to 3, got -1", ""),
    "two vms of one name": ('vm[1].name="dom0"', 'vm[1].name: "dom0" is there already', ""),
    "an empty name": ('vm[1].name=""', "vm[1].name: expected a name", ""),
    "no guest tick": ('vm[1].tick="0 s"', "vm[1].tick: expected 1 us", ""),
    "unknown timer": ('vm[1].timer="apc"', "vm[1].timer: no such timer", 'did you mean "apic"?'),
    "timer vector below 16": ("vm[1].timer_vector=3", "vm[1].timer_vector: expected 16 to 255, got 3", ""),
    "timer vector above 255": ("vm[1].timer_vector=300", "vm[1].timer_vector: expected 16 to 255, got 300", ""),
    "callback vector below 16": ("vm[1].callback_vector=3", "vm[1].callback_vector: expected 16 to 255", ""),
    "timer and callback alike": ("vm[1].callback_vector=0xec", "vm[1].timer_vector: 0xec is also", ""),
    "timer and NIC alike": ("vm[1].timer_vector=0x80", "device[0].vectors: 0x80 is taken in d1v0", ""),
    "unknown kind of device": ('device[0].kind="nc"', "device[0].kind: no such kind", 'did you mean "nic"?'),
    "unknown owner": ('device[0].for="gest"', 'device[0].for: no vm "gest"', 'did you mean "guest"?'),
    "a NIC for dom0": ('device[0].for="dom0"', "device[0].for: a NIC is passed through", ""),
    "a SAS controller for a guest": ('device[1].for="guest"', "device[1].for: the SAS controller belongs", ""),
    "unknown rate unit": ('device[0].rate="10 Gbit"', "device[0].rate: unknown unit 'Gbit'", "Gbit/s"),
    "no rate": ('device[0].rate="0 bit/s"', "device[0].rate in bit/s: expected", ""),
    "a frame too short": ('device[0].frame="1 B"', "device[0].frame in bytes: expected 64 to 9216, got 1", ""),
    "no load": ("device[0].load=0", "device[0].load in per cent: expected 1 to 100, got 0", ""),
    "too much load": ("device[0].load=101", "device[0].load in per cent: expected 1 to 100, got 101", ""),
    "no train": ("device[0].train=0", "device[0].train: expected 1", ""),
    "a train beyond a second": ("device[0].train=1000000", "device[0].train: 1000000 frames would take more", ""),
    "trains too far apart": ("device[0].train=100000\ndevice[0].load=1", "device[0].load: trains of 100000", ""),
    "too many queues": ("device[0].queues=1000", "device[0].queues: expected 1 to 30, got 1000", ""),
    "no descriptors": ("device[0].descriptors=0", "device[0].descriptors: expected 8 to 8192", ""),
    "guest vector below 16": ("device[0].vectors=[3]", "device[0].vectors: expected 16 to 255, got 3", ""),
    "host vector of Xen's own": ("device[0].host_vectors=[0xf5]", "device[0].host_vectors: expected 32 to 239", ""),
    "port 0": ("device[0].ports=[0]", "device[0].ports: expected 1 to 4095, got 0", ""),
    "a port beyond the ABI": ("device[0].ports=[4096]", "device[0].ports: expected 1 to 4095, got 4096", ""),
    "one port for four queues": ("device[1].ports=[30,30,30,30]", 'device[1].ports: port 30 of "dom0" is taken', ""),
    "lists of different lengths": ("device[1].ports=[30]", "device[1]: ports, host_vectors and pcpus", "1, 4, 4"),
    "a host vector twice on one pCPU": ("device[1].pcpus=[1,1,1,1]\ndevice[1].host_vectors=[64,64,64,64]",
                                        "device[1].host_vectors: 0x40 is taken on pCPU1", ""),
    "a host vector that Xen never gives": ("device[0].host_vectors=[0x82]",
                                           "device[0].host_vectors: 0x82 is Xen's own", ""),
    "the pCPU that must stay": ('offline=[{pcpu=0,at="1 ms"}]', "offline[0].pcpu: pCPU0 cannot go offline", ""),
    "a pCPU that is not there": ('offline=[{pcpu=4,at="1 ms"}]', "offline[0].pcpu: expected 1 to 3, got 4", ""),
    "a pCPU that goes twice": ('offline=[{pcpu=2,at="1 ms"},{pcpu=2,at="9 ms"}]',
                               "offline[1].pcpu: pCPU2 goes offline already", ""),
    "a device on no pCPU": ("device[1].pcpus=[1,2,3,9]", "device[1].pcpus: expected 0 to 3, got 9", ""),
    "no depth": ("device[1].depth=0", "device[1].depth: expected 1 to 1024", ""),
    "no service time": ('device[1].service="0 us"', "device[1].service: expected 1 us to 1 s", ""),
    "two sources of one name": ('device[0].name="sas.1"', 'two interrupt sources called "sas.1"', ""),
    "no length": ('run.length="0 s"', "run.length: expected 1 ps to 86400 s, got 0 s", ""),
    "a length without unit": ('run.length="1"', "run.length: expected a time with a unit", ""),
    "text for a seed": ('run.seed="x"', "run.seed: expected a whole number", ""),
    "a negative seed": ("run.seed=-1", "the seed: expected 0 to 4294967295, got -1", ""),
    "a seed of 30 digits": ("run.seed=" + "9" * 30, "the seed: expected 0 to 4294967295", ""),
    "unknown mechanism": ('run.mechanisms=["vtd"]', 'no such mechanism "vtd"', 'did you mean "vtd-posted"?'),
    "unknown mechanism in expect": ("expect.exits_per_interrupt.apcv={min=1}", "expect", 'did you mean "apicv"?'),
    "a move of nobody": ('move=[{vm="gest",at="1 ms",to=2}]', "move[0].vm", 'did you mean "guest"?'),
    "a move out of the host": ('move=[{vm="guest",at="1 ms",to=9}]', "move[0].to: expected 0 to 3, got 9", ""),
    "a move of a vcpu that is not": ('move=[{vm="guest",at="1 ms",to=2,vcpu=3}]', "move[0].vcpu: expected 0 to 0", ""),
    "no assignment": ("nothing", "--set nothing: expected PATH=VALUE", ""),
    "no path": ("=3", "--set =3: expected PATH=VALUE", ""),
    "a path of dots": (".=3", "--set .=3: expected a path", ""),
    "a path that goes on in a number": ("host.pcpus.x=3", "x is not inside a table", ""),
    "an index into a number": ("host.pcpus[0]=2", "pcpus is no list", ""),
    "an index too high": ('vm[9].name="x"', "there is no vm[9]; the scenario has 2", ""),
    "a list without index": ("vm.name=3", "name is not inside a table", ""),
    "an index that is no number": ("vm[x].name=1", "expected a path", ""),
}  # fmt: skip


@pytest.mark.parametrize("name", SETTINGS)
def test_a_setting_that_cannot_be(capsys: pytest.CaptureFixture[str], name: str) -> None:
    """Each names its place; where something known is near, it is offered."""
    settings, place, hint = SETTINGS[name]
    words = [word for one in settings.split("\n") for word in ("--set", one)]
    sentence = refused(capsys, "run", "mail", *SHORT, *words)
    assert place in sentence
    assert hint in sentence


FILES: dict[str, tuple[bytes | None, str]] = {
    "missing.toml": (None, "missing.toml: cannot read the scenario: No such file or directory"),
    "empty.toml": (b"", "empty.toml: the file: title is missing"),
    "binary.toml": (b"\x89PNG\r\n\x1a\n\xff\x00", "binary.toml: expected UTF-8 text, got byte 0x89 at offset 0"),
    "zero.toml": (b"a\x00b", "zero.toml: not valid TOML"),
    "syntax.toml": (b"title = \n", "syntax.toml: not valid TOML: Invalid value (at line 1, column 9)"),
    "digits.toml": (b"title = " + b"9" * 5000, "digits.toml: not usable TOML"),
    "nested.toml": (b"title = " + b"[" * 5000, "nested.toml: not "),
    "list.toml": (b'[[host]]\ntitle = "x"\n', "list.toml: "),
    "scenario.txt": (b'title = "x"\n', "a file must end in .toml"),
    "only-title.toml": (b'title = "x"\n', "only-title.toml: vm: a scenario needs at least one [[vm]]"),
}


@pytest.mark.parametrize("name", FILES)
def test_a_file_that_cannot_be_used(tmp_path: Path, capsys: pytest.CaptureFixture[str], name: str) -> None:
    """It is named, with line and column or the byte's offset where there is one."""
    content, expected = FILES[name]
    if content is not None:
        (tmp_path / name).write_bytes(content)
    for words in (("run", str(tmp_path / name), *SHORT), ("explain", str(tmp_path / name), "--mechanism", "apicv")):
        assert expected in refused(capsys, *words)


def test_a_directory_is_no_scenario(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tmp_path / "folder.toml").mkdir()
    assert "folder.toml: cannot read the scenario: Is a directory" in refused(
        capsys, "run", str(tmp_path / "folder.toml"), *SHORT
    )


def test_a_byte_order_mark_is_no_mistake(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Some editors write one: the file is then read like any other."""
    (tmp_path / "bom.toml").write_bytes(b'\xef\xbb\xbftitle = "x"\n')
    assert "bom.toml: vm: a scenario needs" in refused(capsys, "run", str(tmp_path / "bom.toml"), *SHORT)


LINES = {
    "a library name misspelt": (("run", "mial", *SHORT), 'no scenario "mial"', 'did you mean "mail"?'),
    "an empty name": (("run", "", *SHORT), 'no scenario ""', "mail"),
    "a name with a zero byte": (("run", "a\0.toml", *SHORT), "zero byte", ""),
    "an unknown mechanism": (("run", "mail", "--mechanism", "vtd-post"), "--mechanism", 'did you mean "vtd-posted"?'),
    "a negative length": (("run", "mail", "--length", "-1 us"), "--length", "a time with a unit"),
    "no length": (("run", "mail", "--length", "0 us"), "--length: expected 1 ps", ""),
    "a length without unit": (("run", "mail", "--length", "1"), "--length: expected a time with a unit", ""),
    "a length in parsecs": (("run", "mail", "--length", "1 parsec"), "unknown unit 'parsec'", "ms"),
    "a length beyond 64 bits": (("run", "mail", "--length", "99999999999999 s"), "--length: expected 1 ps", ""),
    "text for a seed": (("run", "mail", "--seed", "x"), "--seed", "invalid int value"),
    "a negative seed": (("run", "mail", *SHORT, "--seed", "-1"), "seed", "expected 0 to"),
    "an unknown option": (("run", "mail", "--seeed", "3"), '"--seeed"', 'did you mean "--seed"?'),
    "a word too many": (("run", "mail", "x"), '"x" is one argument too many', ""),
    "an unknown command": (("rnu",), 'unknown command "rnu"', 'did you mean "run"?'),
    "explain without mechanism": (("explain", "mail"), "--mechanism", ""),
    "explain an unknown mechanism": (("explain", "mail", "--mechanism", "apic"), "--mechanism", "did you mean"),
    "explain an unknown source": (
        ("explain", "mail", "--mechanism", "apicv", "--source", "nik"), '--source: no source "nik"', 'mean "nic"?',
    ),
    "explain the 0th": (("explain", "mail", "--mechanism", "apicv", "--nth", "0"), "--nth 0: expected 1 or more", ""),
    "list what is not": (("list", "mechanism"), "mechanism", "mechanisms"),
}  # fmt: skip


@pytest.mark.parametrize("name", LINES)
def test_a_command_line_that_cannot_be(capsys: pytest.CaptureFixture[str], name: str) -> None:
    words, place, hint = LINES[name]
    sentence = refused(capsys, *words)
    assert place in sentence
    assert hint in sentence


def test_results_that_cannot_be_written(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """The file or directory is named, and nothing is left behind."""
    quick = ("run", "mail", "--length", "10 us", "--mechanism", "apicv")
    (tmp_path / "file").write_text("x")
    assert "file" in refused(capsys, *quick, "--json", "-", "--out", str(tmp_path / "file"))
    status = main([*quick, "--set", "run.seed=2", "--json", str(tmp_path / "no" / "such.json")])
    assert status == 2
    assert "such.json" in capsys.readouterr().err
    assert [path.name for path in tmp_path.iterdir()] == ["file"]
