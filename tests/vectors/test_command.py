"""``exitless vectors run``: its lines, its JSON, its exit statuses, and what it says of files that are no vectors."""

import gzip
import json
import lzma
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
import zstandard

from exitless.cli.vector_export import PROFILES, by_chance
from exitless.cli.vector_files import EVENT
from exitless.mech.happenings import DO

OWN = Path(__file__).with_name("manual.jsonl")
LINES = OWN.read_text(encoding="utf-8").splitlines()


def vectors(*words: str) -> subprocess.CompletedProcess[str]:
    """Run the command in a process of its own."""
    command = [sys.executable, "-m", "exitless", "vectors", *words]
    return subprocess.run(command, capture_output=True, text=True, check=False)


def changed(**fields: Any) -> str:
    """Return the first vector as a line, with these fields of the record changed."""
    return json.dumps({**json.loads(LINES[0]), **fields})


def changed_init(**fields: Any) -> str:
    """Return the first vector as a line, with these fields of its state changed."""
    record = json.loads(LINES[0])
    return changed(init={**record["init"], **fields})


def test_own_vectors_in_every_packing(tmp_path: Path) -> None:
    data = OWN.read_bytes()
    packed = {"a.xz": lzma.compress(data), "a.gz": gzip.compress(data)}
    packed["a.zst"] = zstandard.ZstdCompressor().compress(data)
    paths = [str(OWN)]
    for name, content in packed.items():
        (tmp_path / name).write_bytes(content)
        paths.append(str(tmp_path / name))
    done = vectors("run", *paths)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.splitlines()[-1] == f"{4 * len(LINES)} passed, 0 failed"


def test_a_difference_is_told_with_everything_needed_to_find_it(tmp_path: Path) -> None:
    record = json.loads(LINES[1])
    record["events"][0]["vec"] = 0x31
    path = tmp_path / "wrong.jsonl"
    path.write_text("\n".join([LINES[0], "", json.dumps(record), LINES[2]]) + "\n", encoding="utf-8")
    done = vectors("run", str(path))
    assert done.returncode == 1
    lines = done.stdout.splitlines()
    assert lines[0] == f"vector manual-2 [vid] step -1  {path}:3"
    assert lines[1].split() == ["expected", "int", "vec=0x31", "if=1", "page", "0a0=0x30,", "110=0x10000"]
    assert lines[2].split()[:3] == ["got", "int", "vec=0x30"]
    assert lines[-1] == "2 passed, 1 failed"


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ({"rvi": 0, "controls": ["virtual_interrupt_delivery", "secondary"]}, "without the TPR shadow"),
        ({"interruptibility": 3}, "the interruptibility field is blocked by both"),
    ],
)
def test_a_refused_entry_is_told_with_the_check(tmp_path: Path, fields: dict[str, Any], reason: str) -> None:
    path = tmp_path / "refused.jsonl"
    path.write_text(changed_init(**fields), encoding="utf-8")
    done = vectors("run", str(path))
    assert done.returncode == 1 and f"({reason}" in done.stdout


def test_json(tmp_path: Path) -> None:
    record = json.loads(LINES[1])
    record["events"][0]["if"] = 0
    path = tmp_path / "some.jsonl"
    path.write_text("\n".join([LINES[0], json.dumps(record)]), encoding="utf-8")
    done = vectors("run", str(path), "--json", "-")
    document = json.loads(done.stdout)
    assert done.returncode == 1
    assert (document["passed"], document["failed"]) == (1, 1)
    assert document["categories"] == {"vid": {"passed": 1, "failed": 1}}
    (failure,) = document["failures"]
    assert (failure["file"], failure["line"], failure["id"], failure["step"]) == (str(path), 2, "manual-2", -1)
    assert "if=0" in failure["expected"] and "if=1" in failure["got"]
    assert done.stderr.splitlines()[-1] == "1 passed, 1 failed"


def test_categories() -> None:
    done = vectors("run", str(OWN), "--category", "hlt", "--category", "tpr")
    wanted = sum(json.loads(line)["cat"] in ("hlt", "tpr") for line in LINES)
    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, f"{wanted} passed, 0 failed")
    done = vectors("run", str(OWN), "--category", "postde")
    assert (done.returncode, done.stdout) == (2, "")
    assert 'no vector is of the category "postde"; did you mean "posted"?' in done.stderr


@pytest.mark.parametrize(
    ("line", "says"),
    [
        ("nonsense", "is no conformance vector"),
        ("[]", "is no conformance vector"),
        ('{"id": 1}', "missing required field `cat`"),
        (changed(ops="NOP"), "$.ops"),
        (changed(ops=[{"op": "WRMRS", "off": 8}]), 'there is no operation "WRMRS"; did you mean "WRMSR"?'),
        (changed(ops=[{"op": "WR", "off": 4096, "size": 4}]), "ops[0].off is 4096; expected 0 to 4095"),
        (changed(ops=[{"op": "RD", "off": 0, "size": 3}]), "ops[0].size is 3; expected 1, 2, 4 or 8"),
        (changed(ops=[{"op": "RDMSR", "off": 256}]), "ops[0].off is 256; expected 0 to 255"),
        (changed(ops=[{"op": "HEOI", "off": 4}]), "ops[0].off is 4; expected 0 to 3"),
        (changed(ops=[{"op": "IPI", "val": -1}]), "ops[0].val is -1; expected 0 to 255"),
        (changed(ops=[{"op": "NOP"}], events=[{"ev": "step"}]), "missing required field `step`"),
        (changed(events=[{"ev": "stpe", "step": 0}]), 'there is no event "stpe"; did you mean "step"?'),
        (changed(events=[{"ev": "step", "step": 0, "op": "NOP", "d": {"0x": "1"}}]), "no hexadecimal number"),
        (changed_init(rvi=256), "init.rvi is 256; expected 0 to 255"),
        (changed_init(isr_mode=5), "init.isr_mode is 5; expected 0 to 4"),
        (changed_init(pir=[300]), "init.pir is 300; expected 0 to 255"),
        (changed_init(controls=["use_tpr_shadwo"]), 'no control "use_tpr_shadwo"; did you mean "use_tpr_shadow"?'),
        (changed_init(vapic={"081": "0x1"}), 'init.vapic has the offset "081"; expected a multiple of 4'),
        (changed_init(vapic={"080": "many"}), 'init.vapic.080 is "many"; expected a hexadecimal number'),
        (changed_init(msr_read_intercept="0x1" + "0" * 64), "init.msr_read_intercept is"),
    ],
)
def test_what_is_no_vector_is_one_sentence_with_file_and_line(tmp_path: Path, line: str, says: str) -> None:
    path = tmp_path / "bad.jsonl"
    path.write_text(f"{LINES[0]}\n{line}\n", encoding="utf-8")
    done = vectors("run", str(path))
    assert (done.returncode, done.stdout) == (2, "")
    assert len(done.stderr.splitlines()) == 1 and "Traceback" not in done.stderr
    assert f"{path}:2: " in done.stderr and says in done.stderr


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b"", "is empty"),
        (b"\xfd7zXZ\x00abc", "itself ends early, at offset 9"),
        (b"\x00\x01\x02", "is no conformance vector"),
    ],
)
def test_files_that_cannot_be_read(tmp_path: Path, content: bytes, says: str) -> None:
    path = tmp_path / "file"
    path.write_bytes(content)
    done = vectors("run", str(path))
    assert (done.returncode, done.stdout) == (2, "")
    assert len(done.stderr.splitlines()) == 1 and says in done.stderr


def test_a_packed_file_that_is_cut_short_is_not_passed_over(tmp_path: Path) -> None:
    path = tmp_path / "cut.xz"
    path.write_bytes(lzma.compress(OWN.read_bytes())[:-40])
    done = vectors("run", str(path))
    assert done.returncode == 2 and "itself ends early" in done.stderr


def test_a_file_that_is_not_there_and_a_word_that_is_no_verb() -> None:
    done = vectors("run", "none.jsonl")
    assert (done.returncode, done.stdout) == (2, "") and "none.jsonl" in done.stderr
    done = vectors("replay", str(OWN))
    assert done.returncode == 2 and "run" in done.stderr


# ---- export ----


def test_exported_vectors_are_read_back_and_say_something(tmp_path: Path) -> None:
    """Every operation, every kind of event and every exit that the format knows occurs in a few thousand."""
    done = vectors("export", str(tmp_path / "new" / "folder"), "--count", "3000", "--seed", "7")
    path = tmp_path / "new" / "folder" / "processor-chance-7.jsonl"
    assert done.returncode == 0 and f"{path}: 3000 vectors\n" in done.stdout
    records = [json.loads(line) for line in path.read_text(encoding="utf-8").splitlines()]
    assert {record["cat"] for record in records} == set(PROFILES)
    assert {op["op"] for record in records for op in record["ops"]} == set(DO)
    events = [event for record in records for event in record["events"]]
    assert {event["ev"] for event in events} == set(EVENT)
    reasons = {event["reason"] for event in events if event["ev"] == "exit"}
    assert reasons == {1, 7, 12, 18, 28, 31, 32, 43, 44, 45, 52, 56, 0x80000021}
    done = vectors("run", str(path))
    assert (done.returncode, done.stdout.splitlines()[-1]) == (0, "3000 passed, 0 failed")


def test_a_seed_gives_the_same_vectors_and_another_seed_others() -> None:
    first, again, other = (list(by_chance(50, seed)) for seed in (3, 3, 4))
    assert first == again != other
    assert list(by_chance(20, 3)) == first[:20]


@pytest.mark.parametrize("words", [["a", "b"], ["a", "--count", "0"], ["a", "--seed", "-1"]])
def test_what_cannot_be_exported(tmp_path: Path, words: list[str]) -> None:
    done = vectors("export", *(str(tmp_path / word) if word in "ab" else word for word in words))
    assert (done.returncode, done.stdout) == (2, "") and len(done.stderr.splitlines()) == 1
    assert not list(tmp_path.iterdir())


def test_a_folder_that_cannot_be_made(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("", encoding="utf-8")
    done = vectors("export", str(tmp_path / "file" / "folder"))
    assert done.returncode == 2 and "no folder can be made there" in done.stderr
