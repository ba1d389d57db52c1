"""`tacit join --flower`: one site of a Flower app, which answers for as long as it is asked."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from contextlib import ExitStack
from pathlib import Path

from ..client.dialler import Connect, News
from ..flower.app import parse_config, read_app
from ..flower.logs import log_to
from ..flower.site import AppSite
from ..wire.durable import own_folder
from .flower_display import stdout_for_events
from .join import observing
from .options import Format


def join_app(
    address: str,
    app: Path,
    node_config: Sequence[str],
    name: str,
    connect: Connect,
    folder: Path,
    form: Format,
) -> None:
    """Answers for the site `name`, from `folder`, until the run is complete. Raises a `TacitError`."""
    with ExitStack() as stack:
        events = stack.enter_context(stdout_for_events()) if form is Format.JSON else None
        observe = observing(name, form, events)
        log_to(sys.stderr, coloured=sys.stderr.isatty())
        site = AppSite(
            app=read_app(app),
            folder=folder,
            node_config=parse_config(node_config, "--node-config"),
            observe=observe,
        )
        stack.enter_context(own_folder(folder))
        courier = site.courier(connect)
        observe(News(event="ready", text=f"the app is ready; dialling {address}"))
        observe(News(event="over", text=courier.run()))
