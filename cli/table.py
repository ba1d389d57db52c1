"""Tables on a terminal."""

from __future__ import annotations

from collections.abc import Sequence

from rich import box
from rich.table import Table
from rich.text import Text


def side_by_side(head: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    """A plain table: the first column is names, the others are numbers."""
    table = Table(box=box.SIMPLE_HEAD, header_style="dim", pad_edge=False)
    for index, name in enumerate(head):
        table.add_column(name, justify="right" if index else "left", no_wrap=True)
    for row in rows:
        table.add_row(*map(Text, row))  # a client's name is not markup
    return table
