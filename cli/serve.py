"""`tacit serve`: the coordinator of a run whose clients dial in."""

from __future__ import annotations

import os
import signal
from pathlib import Path
from typing import Annotated

import typer

from .failing import failing_as
from .options import (
    Changes,
    FlowerApp,
    Format,
    FormatOption,
    Listen,
    Metrics,
    Out,
    Quiet,
    RunConfig,
)
from .outcome import UsageError


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
    flower: FlowerApp = None,
    clients: Annotated[
        list[str],
        typer.Option(
            "--client",
            metavar="NAME",
            help="With --flower: who may dial in; the first has partition 0. Repeatable.",
        ),
    ] = [],  # noqa: B006
    run_config: RunConfig = [],  # noqa: B006
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
    """Coordinate a run: wait for clients, train with them, and go on after anything that happens.

    With --flower it runs an app of Flower with clients who have a copy of it: no code travels.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C
    os.umask(0o077)  # secrets are among what it writes
    keys = None if insecure else certs
    with failing_as(form):
        if flower is None:
            if clients or run_config:
                raise UsageError("--client and --run-config go with --flower.")
            _serve(config, changes, listen, keys, metrics, out, resume, form, quiet=quiet)
            return
        if config or changes or resume:
            raise UsageError("--flower goes without STUDY, --set and --resume.")
        if not clients or len(set(clients)) < len(clients):
            raise UsageError("--flower goes with the names of clients, once each: --client NAME.")
        from .flower import need_flower

        need_flower(quiet=quiet)
        from ..deployment.serve import Listening
        from .flower_serve import serve_app

        listening = Listening(address=listen, certs=keys, metrics=metrics)
        serve_app(flower, clients, run_config, listening, out, form, quiet=quiet)


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
