"""`tacit check`: everything that would make a run fail, before anything runs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .failing import failing_as
from .options import Changes, ConfigFile, Format, FormatOption


def check(
    config: ConfigFile,
    changes: Changes = [],  # noqa: B006 - typer reads it, nobody writes to it
    out: Annotated[
        Path, typer.Option(metavar="FOLDER", help="Where the run folder would be.")
    ] = Path("runs"),
    form: FormatOption = Format.TEXT,
) -> None:
    """Say everything that would make a run of CONFIG fail, and who would take part in it."""
    with failing_as(form):
        _check(config, changes, out, form)


def _check(config: Path, changes: list[str], out: Path, form: Format) -> None:
    from ..simulations.config import read_config
    from .findings import inspect, show
    from .outcome import Invalid

    found = inspect(read_config(config, changes), out)
    if found.problems:
        raise Invalid("\n".join(found.problems))
    show(found, form)
