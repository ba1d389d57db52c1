"""What `tacit certs` does, and what it tells the one who must now carry folders to the parties."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime
from pathlib import Path

from rich import box
from rich.table import Table
from rich.text import Text

from ..deployment.authority import Authority
from ..deployment.certificates import general_name
from ..deployment.issued import Issued
from ..wire.identity import Role
from . import console
from .options import Format

HAND = (
    "hand each party its folder and nothing else, in a way that nobody else can read; then delete "
    "your copy of its key.pem."
)


def begin(folder: Path, hosts: Sequence[str]) -> None:
    """An authority, a coordinator and an operator."""
    for host in hosts:
        general_name(host)  # a host that is none must not leave half a folder behind
    authority = Authority.create(folder)
    coordinator = authority.issue(Role.COORDINATOR, "coordinator", hosts)
    operator = authority.issue(Role.OPERATOR, "operator")
    reached = ", ".join(authority.issued()[0].hosts)
    for path, what in (
        (folder / "ca", "yours: ca.key says who may take part"),
        (coordinator, f"for the machine that clients dial: {reached}"),
        (operator, "for whoever looks after the coordinator"),
    ):
        console.say(f"{path!s:<{len(str(coordinator))}}  {what}")
    console.note("add the clients with `tacit certs client NAME...`.")
    console.note(HAND)
    console.note(
        f"then take {folder / 'ca'} offline; only issuing, renewing and revoking need ca.key."
    )


def issue(folder: Path, role: Role, names: Sequence[str]) -> None:
    """A folder for each of `names`."""
    authority = Authority(folder)
    for name in names:
        console.say(f"{authority.issue(role, name)}  for {role} {name!r}")
    console.note(HAND)


def renew(folder: Path, names: Sequence[str], hosts: Sequence[str]) -> None:
    """New keys for each of `names`."""
    authority = Authority(folder)
    for name in names:
        path = authority.renew(name, hosts or None)
        console.say(f"{path}  until {authority.issued()[-1].not_after:%Y-%m-%d}")
    console.note(HAND)
    console.note(
        "the old certificate stays good until it expires; if its key is known to others, revoke "
        "the party and issue another one instead."
    )


def revoke(folder: Path, name: str) -> None:
    """Ends all certificates of `name`, and says who does not know that yet."""
    authority = Authority(folder)
    for one in authority.revoke(name):
        console.say(f"{one}  revoked: {_serial(one)}")
        if one.role is Role.COORDINATOR:
            console.caution(
                "clients read no revocation list and trust this coordinator until its certificate "
                "expires; if its key is known to others, begin again with `tacit certs init`."
            )
    console.note(
        f"bring {folder / 'ca' / 'crl.pem'} to the coordinator's machine, into the folder of its "
        "keys; it counts at once, without a restart."
    )


def show(folder: Path, form: Format) -> None:
    """All certificates, the oldest first."""
    issued, now = Authority(folder).issued(), datetime.now(UTC)
    if form is Format.JSON:
        rows = [_row(one) for one in issued]
        console.emit({"folder": str(folder), "certificates": rows})
        return
    table = Table(box=box.SIMPLE_HEAD, header_style="dim", pad_edge=False)
    for head in ("name", "role", "valid until", "state", "serial"):
        table.add_column(head, overflow="fold", no_wrap=head not in ("name", "serial"))
    for one in issued:
        until = f"{one.not_after:%Y-%m-%d}"
        serial = f"{_serial(one)[:12]}…"  # JSON has all of it
        table.add_row(Text(one.name), one.role, until, _state(one, now), serial)
    console.out().print(table)


def _row(one: Issued) -> dict[str, object]:
    return {
        "name": one.name,
        "role": str(one.role),
        "serial": _serial(one),
        "not_after": one.not_after.isoformat(),
        "hosts": list(one.hosts),
        "revoked": one.revoked,
    }


def _state(one: Issued, now: datetime) -> str:
    if one.revoked:
        return "revoked"
    return "in force" if now <= one.not_after else "expired"


def _serial(one: Issued) -> str:
    return f"{one.serial:x}"
