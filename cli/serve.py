"""`tacit serve`: the coordinator of a run whose clients dial in."""

from __future__ import annotations

import signal
from pathlib import Path
from typing import Annotated

import typer

from .failing import failing_as
from .options import Changes, Format, FormatOption
from .outcome import UsageError


def serve(
    config: Annotated[
        Path | None, typer.Argument(metavar="STUDY", help="The TOML file of a new run.")
    ] = None,
    changes: Changes = [],  # noqa: B006 - typer reads it, nobody writes to it
    listen: Annotated[
        str, typer.Option(metavar="HOST:PORT", help="The address that clients dial.")
    ] = "0.0.0.0:8443",
    certs: Annotated[
        Path, typer.Option(metavar="FOLDER", help="The coordinator's keys, from `tacit certs`.")
    ] = Path("certs/coordinator"),
    insecure: Annotated[
        bool, typer.Option("--insecure", help="No TLS, names are believed; on 127.0.0.1 only.")
    ] = False,
    metrics: Annotated[
        str | None, typer.Option(metavar="HOST:PORT", help="Where Prometheus may scrape.")
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="The run folder. Without it, runs/<STUDY>-<UTC time>."),
    ] = None,
    resume: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Go on with the run in FOLDER; leave out STUDY."),
    ] = None,
    form: FormatOption = Format.TEXT,
    quiet: Annotated[bool, typer.Option(help="Show the result only, not the rounds.")] = False,
) -> None:
    """Coordinate a run: wait for clients, train with them, and go on after anything that happens."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C
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
    from ..simulations.run_folder import RunFolder
    from .run import check_usage, default_folder
    from .running import Attempt, execute
    from .serving import over_the_network

    check_usage(config, changes, out, resume)
    _check_address("--listen", listen)
    if metrics is not None:
        _check_address("--metrics", metrics)
    if config is not None:
        folder = RunFolder(out or default_folder(config))
        attempt = Attempt.fresh(config, changes, folder, "tacit serve")
    else:
        attempt = Attempt.resumed(RunFolder(resume or Path()), changes, "tacit serve")
    listening = Listening(address=listen, certs=certs, metrics=metrics)
    execute(attempt, form, quiet=quiet, train=over_the_network(listening))


def _check_address(option: str, address: str) -> None:
    host, _, port = address.rpartition(":")
    if not host or not port.isdecimal() or int(port) > 65535:
        raise UsageError(f"{option}: expected HOST:PORT, such as 0.0.0.0:8443, got {address!r}.")
