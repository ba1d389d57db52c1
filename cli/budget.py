"""`tacit budget`: what has been spent of whose privacy, and what is left."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .failing import failing_as
from .options import Format, FormatOption


def budget(
    source: Annotated[
        Path | None,
        typer.Argument(metavar="[CONFIG|RUN]", help="A TOML file or a run folder: whose budget."),
    ] = None,
    ledger: Annotated[
        Path | None,
        typer.Option(
            metavar="PATH", help="The ledger; by default the one of CONFIG, or the user's."
        ),
    ] = None,
    population: Annotated[
        str | None, typer.Option(metavar="NAME", help="Only this population.")
    ] = None,
    client: Annotated[
        str | None, typer.Option(metavar="NAME", help="This client's own ledger, about its rows.")
    ] = None,
    form: FormatOption = Format.TEXT,
) -> None:
    """Say what has been spent of each population's privacy, and how much is left."""
    with failing_as(form):
        from .spent import show_spent

        show_spent(source, ledger, population, client, form)
