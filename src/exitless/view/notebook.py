"""Records in a notebook: what displays itself there is the page, in a frame of its own."""

import html

from exitless.record.block import Record
from exitless.view.page import page


class Shown:
    """Records that display themselves as the workbench's page. ``records`` are there for studies."""

    def __init__(self, records: list[Record], height: int = 900) -> None:
        self.records = records
        self.height = height

    def page(self) -> str:
        """Return the page as text, to be saved as a file of its own."""
        return page(self.records)

    def _repr_html_(self) -> str:
        """Return the page in a frame that may run its own scripts and reach nothing else."""
        return (
            f'<iframe sandbox="allow-scripts" style="width:100%;height:{self.height}px;border:0" '
            f'srcdoc="{html.escape(self.page(), quote=True)}"></iframe>'
        )
