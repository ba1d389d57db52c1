"""`tacit run --flower`: an app of Flower on this machine, from its folder to its last line."""

from __future__ import annotations

import gc
import os
import time
from collections.abc import Sequence
from pathlib import Path

from ..flower.app import read_app
from ..flower.hosting import new_run, run_server_app
from ..flower.nodes import contexts
from ..flower.workers import simulated
from .flower_display import showing
from .options import Format
from .outcome import Interrupted


def simulate_app(
    folder: Path,
    run_config: Sequence[str],
    nodes: int,
    workers: int | None,
    form: Format,
    *,
    quiet: bool,
) -> None:
    """Runs the app in `folder` with `nodes` nodes, and shows how far it is.

    Raises `AppError`, `WorkerLost` or `Interrupted`.
    """
    began = time.monotonic()
    app = read_app(folder, run_config)
    run = new_run(app)
    each = contexts(run.run_id, nodes, app.run_config)
    if workers is None:
        workers = min(len(os.sched_getaffinity(0)), nodes)
    try:
        with showing(app, form, quiet=quiet) as display:
            with simulated(app, each, workers, display.raised) as carrier:
                gc.freeze()  # nothing of what is imported by now is garbage
                run_server_app(app, run, carrier, display.watch)
            display.finished(time.monotonic() - began, nodes, workers=workers)
    except KeyboardInterrupt:
        raise Interrupted("interrupted.") from None
