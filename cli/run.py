"""`tacit run`: a configuration in, a run folder out; or a run folder that is gone on with."""

from __future__ import annotations

import signal
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import typer

from . import console
from .failing import failing_as
from .options import Changes, FlowerApp, Format, FormatOption, Out, Quiet, RunConfig
from .outcome import UsageError


def run(
    config: Annotated[
        Path | None, typer.Argument(metavar="CONFIG", help="The TOML file of a new run.")
    ] = None,
    changes: Changes = [],  # noqa: B006 - typer reads it, nobody writes to it
    out: Out = None,
    resume: Annotated[
        Path | None,
        typer.Option(metavar="FOLDER", help="Go on with the run in FOLDER; leave out CONFIG."),
    ] = None,
    workers: Annotated[
        int | None,
        typer.Option(min=0, help="Worker processes; 0 trains in this one. Same as run.workers."),
    ] = None,
    flower: FlowerApp = None,
    run_config: RunConfig = [],  # noqa: B006 - typer reads it, nobody writes to it
    nodes: Annotated[
        int | None,
        typer.Option(min=1, help="With --flower: simulated nodes; without it 2, as on Flower."),
    ] = None,
    form: FormatOption = Format.TEXT,
    quiet: Quiet = False,
) -> None:
    """Train, or with --resume go on with what was stopped; with --flower, run an app of Flower."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C
    with failing_as(form):
        if flower is not None:
            if config or changes or out or resume:
                raise UsageError("--flower goes without CONFIG, --set, --out and --resume.")
            _simulate_app(flower, run_config, nodes, workers, form, quiet=quiet)
            return
        if run_config or nodes is not None:
            raise UsageError("--run-config and --nodes go with --flower.")
        if workers is not None:
            changes = [*changes, f"run.workers={workers}"]
        _run(config, changes, out, resume, form, quiet=quiet)


def _simulate_app(
    folder: Path,
    run_config: list[str],
    nodes: int | None,
    workers: int | None,
    form: Format,
    *,
    quiet: bool,
) -> None:
    from .flower import need_flower

    need_flower(quiet=quiet)
    from .flower_run import simulate_app

    simulate_app(folder, run_config, nodes or 2, workers, form, quiet=quiet)


def _run(
    config: Path | None,
    changes: list[str],
    out: Path | None,
    resume: Path | None,
    form: Format,
    *,
    quiet: bool,
) -> None:
    check_usage(config, changes, out, resume)
    from ..simulations.run_folder import RunFolder
    from ..wire.errors import StoreError
    from .running import Attempt, execute, simulate

    if config is not None:
        attempt = Attempt.fresh(config, changes, RunFolder(out or default_folder(config)))
    else:
        folder = RunFolder(resume or Path())
        if folder.study.exists():
            raise StoreError(
                f"{folder.path} is the run of a deployment: {folder.command} --resume {folder.path}"
            )
        attempt = Attempt.resumed(folder, changes)
    execute(attempt, form, quiet=quiet, train=simulate)


def check_usage(
    config: Path | None, changes: list[str], out: Path | None, resume: Path | None
) -> None:
    """Raises `UsageError` unless the arguments mean one run, new or resumed."""
    if (config is None) == (resume is None):
        raise UsageError("expected either CONFIG, for a new run, or --resume FOLDER.")
    if config is not None and out is None and console.under_torchrun():
        raise UsageError("under torchrun every process needs the same --out FOLDER.")
    if resume is None:
        return
    if out is not None:
        raise UsageError("a resumed run stays in its folder; leave out --out.")
    for change in changes:
        if not change.startswith("run."):
            raise UsageError(
                f"--set {change} would make it another run; with --resume, only keys of the table "
                "run may be set, such as run.workers=2."
            )


def default_folder(config: Path) -> Path:
    """Where a run of `config` goes if nothing is said about it."""
    return Path("runs") / f"{config.stem}-{datetime.now(UTC):%Y%m%dT%H%M%SZ}"
