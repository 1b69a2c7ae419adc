"""Vectors played for a comparison of the two forms."""

import hashlib
import tempfile
from pathlib import Path

from exitless.cli.vector_export import export
from exitless.cli.vector_files import make, read

OWN = Path(__file__).parent.parent / "vectors" / "manual.jsonl"


def logs() -> list[list[list[int]]]:
    """Play every vector of our own and return each log as plain numbers."""
    found = []
    for place in read(str(OWN)):
        play = make(place)
        play.run()
        found.append(
            [
                [
                    *map(int, (row.kind, row.step, row.number, row.qualification, row.status, row.flag)),
                    *map(int, (row.information, row.check, row.read, row.low, row.high, row.activity)),
                    *map(int, row.words),
                    *map(int, row.quads),
                ]
                for row in play.log
            ]
        )
    return found


def exported(count: int, seed: int) -> str:
    """Return a digest of the vectors that a seed exports."""
    with tempfile.TemporaryDirectory() as folder:
        export(folder, count, seed)
        files = sorted(Path(folder).iterdir())
        return hashlib.sha256(b"".join(file.read_bytes() for file in files)).hexdigest()
