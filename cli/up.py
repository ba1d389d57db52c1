"""`tacit up`: a coordinator and all its clients on this machine, over real mutual TLS."""

from __future__ import annotations

import os
import signal
from contextlib import closing
from pathlib import Path

from .failing import failing_as
from .options import Changes, ConfigFile, Format, FormatOption, Out, Quiet


def up(
    config: ConfigFile,
    changes: Changes = [],  # noqa: B006 - typer reads it, nobody writes to it
    out: Out = None,
    form: FormatOption = Format.TEXT,
    quiet: Quiet = False,
) -> None:
    """Try a deployment out: a coordinator and a process for each client, with certificates."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C
    os.umask(0o077)  # secrets are among what it writes
    with failing_as(form):
        _up(config, changes, out, form, quiet=quiet)


def _up(config: Path, changes: list[str], out: Path | None, form: Format, *, quiet: bool) -> None:
    from ..deployment.authority import Authority
    from ..deployment.serve import Listening
    from ..deployment.study import Study
    from ..simulations.run_folder import RunFolder
    from ..wire.identity import Role
    from .run import default_folder
    from .running import Attempt, execute
    from .serving import over_the_network
    from .sites import Sites

    folder = RunFolder(out or default_folder(config))
    attempt = Attempt.fresh(config, changes, folder, "tacit serve")
    authority = Authority.create(folder.path / "certs")
    listening = Listening(
        address="127.0.0.1:0", certs=authority.issue(Role.COORDINATOR, "coordinator")
    )
    authority.issue(Role.OPERATOR, "operator")  # `tacit status` and the like may look in
    with closing(Sites(folder.path / "sites", authority, config, tuple(changes))) as sites:
        log = folder.path / "coordinator.log"

        def start(study: Study, port: int) -> None:
            sites.start(study.clients, port)

        execute(attempt, form, quiet=quiet, train=over_the_network(listening, start, log))
