"""`tacit join`: one site of a deployment, which trains on its own rows for as long as it is asked."""

from __future__ import annotations

import os
import shlex
import signal
import sys
from collections.abc import Callable
from datetime import datetime
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, TextIO

import typer

from . import console
from .failing import failing_as
from .options import Address, Changes, FlowerApp, Format, FormatOption, Insecure, NodeConfig
from .outcome import Interrupted, UsageError

if TYPE_CHECKING:
    import grpc

    from ..client.dialler import News


def _above_zero(cap: float | None) -> float | None:
    if cap is not None and not cap > 0:
        raise typer.BadParameter(f"{cap} is not above 0; without --cap the study's budget holds.")
    return cap


def join(
    address: Address,
    study: Annotated[
        Path | None,
        typer.Option(
            metavar="STUDY", help="What was agreed: the coordinator's TOML file, read first."
        ),
    ] = None,
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
            help="The most ε that training on these rows may cost, over all runs, by DP-SGD.",
        ),
    ] = None,
    flower: FlowerApp = None,
    node_config: NodeConfig = [],  # noqa: B006
    form: FormatOption = Format.TEXT,
) -> None:
    """Take part in a run: dial the coordinator, train when asked, and come back after any loss.

    With --flower, APP is this site's own copy of the app: none is sent, and the files must be the same.
    """
    signal.signal(signal.SIGTERM, signal.default_int_handler)  # as Ctrl-C
    os.umask(0o077)  # secrets are among what it writes
    with failing_as(form):
        _expect_one(study, flower, node_config, with_study=bool(changes or data or cap))
        try:
            console.hush_grpc()
            name, connect = _dialling(address, certs, insecure)
            folder = state or Path(f"tacit-{name}")
            if flower is not None:
                from .flower import need_flower

                need_flower(quiet=False)
                from .flower_join import join_app

                join_app(address, flower, node_config, name, connect, folder, form)
            else:
                _join(address, study or Path(), changes, data, name, connect, folder, cap, form)
        except KeyboardInterrupt:
            stopped = Interrupted("interrupted.")
            again = shlex.join(["tacit", *sys.argv[1:]])
            stopped.add_note(f"what this site finished is kept; to go on: {again}")
            raise stopped from None


def _expect_one(
    study: Path | None, flower: Path | None, node_config: list[str], *, with_study: bool
) -> None:
    """Raises `UsageError` unless the arguments mean a study or an app."""
    if (study is None) == (flower is None):
        raise UsageError("expected either --study STUDY, what was agreed, or --flower APP.")
    if flower is not None and with_study:
        raise UsageError("--flower goes without --set, --data and --cap.")
    if flower is None and node_config:
        raise UsageError("--node-config goes with --flower.")


def _dialling(
    address: str, certs: Path, insecure: str | None
) -> tuple[str, Callable[[], grpc.Channel]]:
    """Who this is, and how it dials. Raises for keys that cannot be used, before rows are read."""
    from ..wire.dial import dial, dial_insecurely
    from ..wire.identity import Role
    from ..wire.keys import Keys

    if insecure is None:
        name = Keys(certs).identity().name
        connect = partial(dial, address, Keys(certs), Role.CLIENT)
    else:
        name, connect = insecure, partial(dial_insecurely, address, Role.CLIENT, insecure)
    connect().close()
    return name, connect


def observing(name: str, form: Format, stream: TextIO | None = None) -> Callable[[News], None]:
    """Shows what happens at the site `name`; JSON goes to `stream`, or to stdout."""

    def observe(news: News) -> None:
        if form is Format.JSON:
            facts = {"event": news.event, "client": name, "text": news.text, **news.facts}
            console.emit(facts, stream)
        else:
            console.say(f"{datetime.now():%H:%M:%S}  {name}: {news.text}")

    return observe


def _join(
    address: str,
    study: Path,
    changes: list[str],
    data: Path | None,
    name: str,
    connect: Callable[[], grpc.Channel],
    folder: Path,
    cap: float | None,
    form: Format,
) -> None:
    from ..client.dialler import News
    from ..deployment.site import Site
    from ..simulations.config import read_config

    observe = observing(name, form)
    site = Site(config=read_config(study, changes), name=name, folder=folder, data=data, cap=cap)
    with site.locked():
        agent = site.agent(connect, observe)
        observe(News(event="ready", text=f"its rows are ready; dialling {address}"))
        observe(News(event="over", text=agent.run()))
