"""`tacit compare`: runs side by side, with the interval of each difference, and held to targets."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .failing import failing_as
from .options import Format, FormatOption
from .outcome import UsageError


def compare(
    runs: Annotated[
        list[Path],
        typer.Argument(metavar="RUN...", help="Run folders; the others are compared to the first."),
    ],
    targets: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="A CSV file of metric, target, tolerance and perhaps group, bound, run, source: "
            "each row is marked OK, GAP or NOT RUN.",
        ),
    ] = None,
    form: FormatOption = Format.TEXT,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="Where to write comparison.html, .md and .json; else nowhere."
        ),
    ] = None,
) -> None:
    """Put runs side by side: what differs, and how far each is from the first, with intervals."""
    if len(runs) < 2 and targets is None:
        raise UsageError("expected two runs or more, or --targets FILE.")
    with failing_as(form):
        from .comparing import compare_runs

        compare_runs(runs, targets, form, out)
