"""`tacit audit`: what was claimed is checked again, from the evidence alone."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .audit_mechanism import mechanism
from .failing import failing_as
from .options import AdjacencyOption, DeltaOption, Format, FormatOption

audit = typer.Typer(
    no_args_is_help=True, help="Check again what was claimed, from the evidence alone."
)


CANNOT = (
    "Exit code 3 if a value differs by a bit, or if store, events, ledger, model and population "
    "contradict each other. What clients counted, and the baselines, are recorded once and sealed by "
    "nothing: records and a report that were rewritten together are not noticed, unless the run is "
    "repeated with its seed."
)


@audit.callback()
def _audit() -> None:
    """Check again what was claimed, from the evidence alone."""


@audit.command()
def ledger(
    path: Annotated[
        Path, typer.Argument(metavar="PATH", help="A ledger, or a run folder, which names one.")
    ],
    head: Annotated[
        str | None,
        typer.Option(metavar="HASH", help="A head that was kept elsewhere: is it still there?"),
    ] = None,
    delta: DeltaOption = 1e-5,
    adjacency: AdjacencyOption = None,
    form: FormatOption = Format.TEXT,
) -> None:
    """Verify the chain of a ledger, and compute again what it says each population has spent."""
    with failing_as(form):
        from .audit_ledger import audit_ledger

        audit_ledger(path, head, delta, adjacency, form)


@audit.command(epilog=CANNOT)
def report(
    folder: Annotated[Path, typer.Argument(metavar="FOLDER", help="A run folder.")],
    where: Annotated[
        Path | None,
        typer.Option("--report", metavar="DIR", help="Where its report is, if not in FOLDER."),
    ] = None,
    form: FormatOption = Format.TEXT,
) -> None:
    """Compute every value of report.json and privacy.json again from what the run recorded."""
    with failing_as(form):
        from .audit_report import audit_report

        audit_report(folder, where, form)


audit.command()(mechanism)
