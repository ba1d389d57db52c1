"""`tacit join`: one site of a deployment, which trains on its own rows for as long as it is asked."""

from __future__ import annotations

import os
import shlex
import signal
import sys
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

from . import console
from .failing import failing_as
from .options import Address, Changes, Format, FormatOption, Insecure
from .outcome import Interrupted


def _above_zero(cap: float | None) -> float | None:
    if cap is not None and not cap > 0:
        raise typer.BadParameter(f"{cap} is not above 0; without --cap the study's budget holds.")
    return cap


def join(
    address: Address,
    study: Annotated[
        Path,
        typer.Option(
            metavar="STUDY", help="What was agreed: the coordinator's TOML file, read first."
        ),
    ],
    changes: Changes = [],  # noqa: B006 - typer reads it, nobody writes to it
    data: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE",
            help="This site's rows. Without it, the study's partition deals them out.",
        ),
    ] = None,
    certs: Annotated[
        Path, typer.Option(metavar="FOLDER", help="This site's keys, from `tacit certs`.")
    ] = Path("certs/client"),
    insecure: Insecure = None,
    state: Annotated[
        Path | None,
        typer.Option(
            metavar="FOLDER",
            help="What this site keeps: its privacy ledger, its secret, finished updates. "
            "Without it, tacit-<NAME>.",
        ),
    ] = None,
    cap: Annotated[
        float | None,
        typer.Option(
            metavar="EPSILON",
            callback=_above_zero,
            help="The most ε that training on these rows may cost, over all runs; with [dpsgd].",
        ),
    ] = None,
    form: FormatOption = Format.TEXT,
) -> None:
    """Take part in a run: dial the coordinator, train when asked, and come back after any loss."""
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C
    os.umask(0o077)  # secrets are among what it writes
    with failing_as(form):
        try:
            _join(address, study, changes, data, certs, insecure, state, cap, form)
        except KeyboardInterrupt:
            stopped = Interrupted("interrupted.")
            again = shlex.join(["tacit", *sys.argv[1:]])
            stopped.add_note(f"what this site finished is kept; to go on: {again}")
            raise stopped from None


def _join(
    address: str,
    study: Path,
    changes: list[str],
    data: Path | None,
    certs: Path,
    insecure: str | None,
    state: Path | None,
    cap: float | None,
    form: Format,
) -> None:
    console.hush_grpc()
    from ..client.dialler import News
    from ..deployment.site import Site
    from ..simulations.config import read_config
    from ..wire.dial import dial, dial_insecurely
    from ..wire.identity import Role
    from ..wire.keys import Keys

    if insecure is None:
        name, connect = (
            Keys(certs).identity().name,
            partial(dial, address, Keys(certs), Role.CLIENT),
        )
    else:
        name, connect = insecure, partial(dial_insecurely, address, Role.CLIENT, insecure)
    connect().close()  # keys that cannot be used are refused before rows are read

    def observe(news: News) -> None:
        if form is Format.JSON:
            console.emit({"event": news.event, "client": name, "text": news.text, **news.facts})
        else:
            console.say(f"{datetime.now():%H:%M:%S}  {name}: {news.text}")

    site = Site(
        config=read_config(study, changes),
        name=name,
        folder=state or Path(f"tacit-{name}"),
        data=data,
        cap=cap,
    )
    with site.locked():
        agent = site.agent(connect, observe)
        observe(News(event="ready", text=f"its rows are ready; dialling {address}"))
        observe(News(event="over", text=agent.run()))
