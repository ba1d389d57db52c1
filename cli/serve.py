"""`tacit serve`: the coordinator of a run whose clients dial in."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Annotated

import typer

from .failing import failing_as
from .options import Changes, Format, FormatOption, Listen, Metrics, Out, Quiet


def serve(
    config: Annotated[
        Path | None, typer.Argument(metavar="STUDY", help="The TOML file of a new run.")
    ] = None,
    changes: Changes = [],  # noqa: B006 - typer reads it, nobody writes to it
    listen: Listen = "0.0.0.0:8443",
    certs: Annotated[
        Path, typer.Option(metavar="FOLDER", help="The coordinator's keys, from `tacit certs`.")
    ] = Path("certs/coordinator"),
    insecure: Annotated[
        bool, typer.Option("--insecure", help="No TLS, names are believed; on 127.0.0.1 only.")
    ] = False,
    metrics: Metrics = None,
    out: Out = None,
    resume: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="Go on with the run in FOLDER; with STUDY, begin it there if there is none.",
        ),
    ] = None,
    form: FormatOption = Format.TEXT,
    quiet: Quiet = False,
) -> None:
    """Coordinate a run: wait for clients, train with them, and go on after anything that happens."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C
    os.umask(0o077)  # secrets are among what it writes
    with failing_as(form):
        _serve(
            config,
            changes,
            listen,
            None if insecure else certs,
            metrics,
            out,
            resume,
            form,
            quiet=quiet,
        )


def _serve(
    config: Path | None,
    changes: list[str],
    listen: str,
    certs: Path | None,
    metrics: str | None,
    out: Path | None,
    resume: Path | None,
    form: Format,
    *,
    quiet: bool,
) -> None:
    from ..deployment.serve import Listening
    from .running import execute
    from .serving import attempt_of, over_the_network

    attempt = attempt_of(config, changes, out, resume)
    listening = Listening(address=listen, certs=certs, metrics=metrics)
    listening.credentials()  # before anything is written
    execute(attempt, form, quiet=quiet, train=over_the_network(listening))
