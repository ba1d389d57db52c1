"""`tacit certs`: an authority of one's own, and a folder of keys for each party of a deployment."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from .failing import failing_as
from .options import Format, FormatOption

ABOUT = "Issue, renew and revoke the certificates with which the parties of a deployment meet."

certs = typer.Typer(no_args_is_help=True, help=ABOUT)

Folder = Annotated[
    Path, typer.Option(metavar="FOLDER", help="Where `tacit certs init` wrote the authority.")
]
Hosts = Annotated[
    list[str],
    typer.Option(
        "--host",
        metavar="NAME_OR_IP",
        help="A host at which clients reach the coordinator, besides localhost. Repeatable.",
    ),
]
Name = Annotated[str, typer.Argument(metavar="NAME", help="The party.")]
Names = Annotated[list[str], typer.Argument(metavar="NAME...", help="The parties.")]
CERTS = Path("certs")


@certs.command()
def init(
    folder: Annotated[
        Path, typer.Argument(metavar="[FOLDER]", help="Where; each party gets a folder in it.")
    ] = CERTS,
    hosts: Hosts = [],  # noqa: B006 - typer reads it, nobody writes to it
) -> None:
    """Make an authority, with the keys of a coordinator and of an operator."""
    from .issuing import begin

    begin(folder, hosts)


@certs.command()
def client(names: Names, folder: Folder = CERTS) -> None:
    """Make the keys of clients, one folder for each."""
    from ..wire.identity import Role
    from .issuing import issue

    issue(folder, Role.CLIENT, names)


@certs.command()
def operator(name: Name, folder: Folder = CERTS) -> None:
    """Make the keys of another operator, who looks after the coordinator."""
    from ..wire.identity import Role
    from .issuing import issue

    issue(folder, Role.OPERATOR, [name])


@certs.command()
def renew(
    names: Names,
    folder: Folder = CERTS,
    hosts: Hosts = [],  # noqa: B006 - typer reads it, nobody writes to it
) -> None:
    """Make new keys for parties whose certificates expire; with --host, a coordinator moves."""
    from .issuing import renew

    renew(folder, names, hosts)


@certs.command()
def revoke(name: Name, folder: Folder = CERTS) -> None:
    """End all certificates of a party, for good."""
    from .issuing import revoke

    revoke(folder, name)


@certs.command("list")
def list_(folder: Folder = CERTS, form: FormatOption = Format.TEXT) -> None:
    """List every certificate that was ever issued: whose, until when, and whether it was revoked."""
    with failing_as(form):
        from .issuing import show

        show(folder, form)
