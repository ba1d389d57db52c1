"""`tacit plan`: what a run would cost, before it costs anything."""

from __future__ import annotations

from pathlib import Path

from .failing import failing_as
from .options import Changes, ConfigFile, Format, FormatOption


def plan(
    config: ConfigFile,
    changes: Changes = [],  # noqa: B006 - typer reads it, nobody writes to it
    form: FormatOption = Format.TEXT,
) -> None:
    """Say how many rounds, bytes and seconds a run of CONFIG takes, and what it leaves unprotected."""
    with failing_as(form):
        _plan(config, changes, form)


def _plan(config: Path, changes: list[str], form: Format) -> None:
    import time

    began = time.monotonic()
    from ..simulations.config import read_config
    from ..simulations.setup import prepare
    from .forecast import forecast, show

    start = time.monotonic() - began  # what each worker process does before it can work
    setup = prepare(read_config(config, changes))
    show(forecast(setup, start=start), form)
