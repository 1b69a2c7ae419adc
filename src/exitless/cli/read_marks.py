"""What ``exitless read`` says of what came with a mark."""

from typing import Final

MARKS: Final = {
    "exits_without_entry": ("exit without the entry after it", "exits without the entry after them"),
    "exits_cut_by_loss": ("of them cut by a loss", "of them cut by a loss"),
    "exits_without_vcpu": ("exit of an unknown vCPU", "exits of an unknown vCPU"),
    "eois_without_vector": ("EOI that met none in service", "EOIs that met none in service"),
    "vcpus_of_guessed_machine": ("vCPU of a guessed machine", "vCPUs of a guessed machine"),
    "lines_repaired": ("line put together", "lines put together"),
    "lines_quoted": ("line without its quotation marks", "lines without their quotation marks"),
}


def marks_said(marks: dict[str, int]) -> str:
    """Say how many of what was counted came with a mark; nothing where none did."""
    return ", ".join(f"{(n := marks[name]):,} {says[n != 1]}" for name, says in MARKS.items() if marks[name])
