"""`tacit report`: a run folder in; pages, figures and JSON files out, about results and privacy."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from . import console
from .failing import failing_as
from .options import Format, FormatOption


def report(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="A run folder.")],
    form: FormatOption = Format.TEXT,
    out: Annotated[
        Path | None, typer.Option(metavar="DIR", help="Where to write, in place of FOLDER.")
    ] = None,
) -> None:
    """Write report.md and privacy.md about a run, finished or not, with their figures and JSON."""
    with failing_as(form):
        _report(folder, form, out)


def _report(folder: Path, form: Format, out: Path | None) -> None:
    from ..reports.write import write_report
    from ..simulations.run_folder import RunFolder
    from .result import comparison_table

    written = write_report(RunFolder(folder), out)
    if form is Format.JSON:
        console.emit(written.table)
    else:
        if written.stopped:
            console.caution(f"stopped by its budget: {written.stopped}")
        elif not written.summary.finished:
            summary = written.summary
            console.caution(f"unfinished: {summary.round} of {summary.rounds} rounds are done.")
        console.out().print(comparison_table(written.summary))
        console.say(f"privacy: {written.headline}")
        for path in written.files:
            console.say(f"wrote {path}")
    if written.missing:
        console.caution(written.missing)
