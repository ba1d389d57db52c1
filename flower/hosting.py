"""A Flower app's ServerApp in this process, on tacit's Grid."""

from __future__ import annotations

import secrets
import traceback
from dataclasses import replace

from flwr.app import Context, RecordDict
from flwr.common.constant import SUPERLINK_NODE_ID
from flwr.supercore.run import Run

from ..wire.errors import AppError, TacitError
from .app import App
from .grid import Carrier, TacitGrid
from .progress import Watch


def new_run(app: App) -> Run:
    """A new run of `app`, as Flower describes one; its id is random, as there."""
    run = Run.create_empty(secrets.randbits(63))
    return replace(run, fab_id=app.name, fab_version=app.version, primary_task_id=1)


def run_server_app(
    app: App, run: Run, carrier: Carrier, watch: Watch = lambda batch: None
) -> Context:
    """Runs the ServerApp to its end; returns its context.

    `watch` is told how far each batch of messages is. Raises what it or `carrier` raised, and
    `AppError` with the traceback if the app raised.
    """
    server_app = app.server_app()
    grid = TacitGrid(carrier, run, watch)
    context = Context(
        run_id=run.run_id,
        node_id=SUPERLINK_NODE_ID,
        node_config={},
        state=RecordDict(),
        run_config=dict(app.run_config),
    )
    try:
        server_app(grid=grid, context=context)
    except TacitError:
        raise
    except Exception as error:  # the app is the user's code
        if error is grid.lost:
            raise
        line = f"{app.name}: the ServerApp raised {type(error).__name__}: {error}"
        raise AppError(" ".join(line.split()), traceback.format_exc()) from error
    return context
