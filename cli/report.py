"""`tacit report`: a run in; pages, figures and JSON files out, about results and privacy."""

from __future__ import annotations

import io
import json
import re
import zipfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from . import console
from .failing import failing_as
from .operate import asking
from .options import OPERATOR, Format, FormatOption, Insecure, OperatorCerts

if TYPE_CHECKING:
    from ..deployment.operator import Operator

REPORT = Path("report")
"""Where the report of a run elsewhere goes."""


def report(
    run: Annotated[
        Path,
        typer.Argument(
            metavar="FOLDER", help="A run folder, or HOST:PORT of a coordinator that serves one."
        ),
    ],
    form: FormatOption = Format.TEXT,
    out: Annotated[
        Path | None,
        typer.Option(
            metavar="DIR", help="Where to write, in place of FOLDER; of a coordinator's, of report."
        ),
    ] = None,
    certs: OperatorCerts = OPERATOR,
    insecure: Insecure = None,
) -> None:
    """Write report.html about a run, finished or not, and the same as Markdown, figures and JSON."""
    if not run.exists() and re.fullmatch(r"[^/\\]+:\d+", str(run)):
        with asking(str(run), certs, insecure, form) as operator:
            _fetch(operator, form, out or REPORT)
    else:
        with failing_as(form):
            _report(run, form, out)


def _fetch(operator: Operator, form: Format, out: Path) -> None:
    """The report as the coordinator writes it."""
    archive = zipfile.ZipFile(io.BytesIO(operator.report()))
    out.mkdir(parents=True, exist_ok=True)
    for name in archive.namelist():
        path = out / Path(name).name  # in that folder, whatever the archive says
        path.write_bytes(archive.read(name))
        if form is Format.TEXT:
            console.say(f"wrote {path}")
    if form is Format.JSON:
        console.emit(json.loads(archive.read("report.json")))


def _report(folder: Path, form: Format, out: Path | None) -> None:
    from ..reports.write import write_report
    from ..simulations.run_folder import RunFolder
    from .groups import group_tables
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
        for table in group_tables(written.assessment):
            console.out().print(table)
        console.say(f"privacy: {written.headline}")
        for path in written.files:
            console.say(f"wrote {path}")
