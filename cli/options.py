"""The arguments and options that several commands share."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer


class Format(StrEnum):
    """How a command answers."""

    TEXT = "text"
    JSON = "json"


class AdjacencyName(StrEnum):
    """When two data sets are neighbours: the names that `privacy.Adjacency` has."""

    ADD_REMOVE = "add_remove"
    ZERO_OUT = "zero_out"
    REPLACE_ONE = "replace_one"


def _between(delta: float) -> float:
    if not 0 < delta < 1:
        raise typer.BadParameter(f"expected 0 < delta < 1, got {delta}.")
    return delta


def _pairs(changes: list[str]) -> list[str]:
    for change in changes:
        key, equals, _ = change.partition("=")
        if not equals or not key.strip():
            raise typer.BadParameter(f"expected KEY=VALUE, such as train.epochs=2, got {change!r}.")
    return changes


def host_and_port(text: str) -> str:
    """`text`, if it can be an address to dial or to listen on."""
    host, _, port = text.rpartition(":")
    if not host or not (port.isascii() and port.isdecimal()) or int(port) > 65535:
        raise typer.BadParameter(f"expected HOST:PORT, such as fl.example.org:8443, got {text!r}.")
    return text


def _address(text: str | None) -> str | None:
    return text if text is None else host_and_port(text)


ConfigFile = Annotated[
    Path, typer.Argument(metavar="CONFIG", help="The TOML file of a run; `tacit init` writes one.")
]
Changes = Annotated[
    list[str],
    typer.Option(
        "--set",
        metavar="KEY=VALUE",
        callback=_pairs,
        help="Change one value of CONFIG, such as train.epochs=2. Repeatable.",
    ),
]
Out = Annotated[
    Path | None,
    typer.Option(
        metavar="FOLDER", help="The run folder. Without it, runs/<NAME OF THE FILE>-<UTC time>."
    ),
]
Quiet = Annotated[bool, typer.Option(help="Show the result only, not the rounds.")]
FormatOption = Annotated[
    Format, typer.Option("--format", help="How to answer on stdout: for people or for programs.")
]
DeltaOption = Annotated[
    float, typer.Option(metavar="DELTA", callback=_between, help="The δ at which ε is stated.")
]
AdjacencyOption = Annotated[
    AdjacencyName | None,
    typer.Option(help="What a neighbour is; by default the first that an accountant knows."),
]
Address = Annotated[
    str, typer.Argument(metavar="HOST:PORT", callback=_address, help="The coordinator.")
]
Metrics = Annotated[
    str | None,
    typer.Option(metavar="HOST:PORT", callback=_address, help="Where Prometheus may scrape."),
]
Listen = Annotated[
    str, typer.Option(metavar="HOST:PORT", callback=_address, help="The address that clients dial.")
]
OperatorCerts = Annotated[
    Path, typer.Option(metavar="FOLDER", help="An operator's keys, from `tacit certs`.")
]
FlowerApp = Annotated[
    Path | None,
    typer.Option("--flower", metavar="APP", help="The folder of an app of Flower, to be run."),
]
RunConfig = Annotated[
    list[str],
    typer.Option(
        metavar="KEY=VALUE...",
        help="With --flower: override its run config, as in `flwr run`: 'lr=0.1 rounds=5'.",
    ),
]
NodeConfig = Annotated[
    list[str],
    typer.Option(
        metavar="KEY=VALUE...",
        help="With --flower: what the app is to know of this site, as for a SuperNode.",
    ),
]
OPERATOR = Path("certs/operator")
Insecure = Annotated[
    str | None,
    typer.Option(metavar="NAME", help="No TLS: claim to be NAME to a coordinator on 127.0.0.1."),
]
