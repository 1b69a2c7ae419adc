"""What ``exitless read`` says of what came with a mark."""

from typing import Final

MARKS: Final = {
    "exits_without_entry": "exits without the entry after them", "exits_cut_by_loss": "of them cut by a loss",
    "exits_without_vcpu": "exits of an unknown vCPU", "eois_without_vector": "EOIs that met none in service",
    "vcpus_of_guessed_machine": "vCPUs of a guessed machine", "lines_repaired": "lines put together",
    "lines_quoted": "lines without their quotation marks",
}  # fmt: skip


def marks_said(marks: dict[str, int]) -> str:
    """Say how many of what was counted came with a mark; nothing where none did."""
    return ", ".join(f"{marks[name]:,} {says}" for name, says in MARKS.items() if marks[name])
