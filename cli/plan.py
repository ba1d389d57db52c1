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
    """Say what a run of CONFIG costs in bytes, seconds and privacy, and what it leaves unprotected."""
    with failing_as(form):
        _plan(config, changes, form)


def _plan(config: Path, changes: list[str], form: Format) -> None:
    import time

    began = time.monotonic()
    from ..simulations.config import read_config
    from ..simulations.setup import prepare
    from .forecast import forecast, show
    from .promise import promise

    start = time.monotonic() - began  # what each worker process does before it can work
    asked = read_config(config, changes)
    setup = prepare(asked)
    show(forecast(setup, start=start), promise(setup, asked), form)
