"""`tacit serve --flower`: the coordinator of a Flower app, from its folder to its last line."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path

from ..deployment.serve import Listening
from ..flower.app import read_app
from ..flower.hosting import new_run, run_server_app
from ..flower.serving import reached
from .flower_display import showing
from .logs import logging_to
from .options import Format
from .outcome import Interrupted
from .run import default_folder


def serve_app(
    folder: Path,
    clients: Sequence[str],
    run_config: Sequence[str],
    listening: Listening,
    out: Path | None,
    form: Format,
    *,
    quiet: bool,
) -> None:
    """Runs the app in `folder` with `clients`, who dial in; what they did goes to an audit log in `out`.

    Raises a `TacitError`, OSError or `Interrupted`; clients are then told to dial again.
    """
    began = time.monotonic()
    app = read_app(folder, run_config)
    app.server_app()  # one that cannot be loaded is refused before anybody dials
    listening.credentials()
    records = out or default_folder(Path(app.name))
    records.mkdir(parents=True, exist_ok=True)
    host = listening.address.rpartition(":")[0]
    try:
        with showing(app, form, quiet=quiet) as display, logging_to(None):
            run = new_run(app)
            with reached(
                app,
                run,
                clients,
                listening,
                records / "audit.jsonl",
                listens=lambda port: display.listening(f"{host}:{port}", len(clients)),
                raised=display.raised,
            ) as carrier:
                run_server_app(app, run, carrier, display.watch)
            display.finished(time.monotonic() - began, len(clients))
    except KeyboardInterrupt:
        stopped = Interrupted("interrupted.")
        stopped.add_note("clients wait for this coordinator to be started again, and begin anew")
        raise stopped from None
