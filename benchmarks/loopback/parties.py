"""Certificates for thousands of clients, made at once."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from tacit.deployment import Authority
from tacit.deployment.certificates import make_leaf
from tacit.deployment.issued import load_pair
from tacit.wire.identity import Role

GOOD = timedelta(days=9)


def make_parties(folder: Path, clients: Sequence[str]) -> None:
    """Folders as `tacit certs` makes them, for a coordinator and `clients`; not as durably, but fast."""
    authority = Authority.create(folder)
    authority.issue(Role.COORDINATOR, "coordinator")
    root, now = load_pair(folder / "ca" / "ca.pem", folder / "ca" / "ca.key"), datetime.now(UTC)
    for name in clients:
        own = authority.folder_of(name)
        own.mkdir()
        pair = make_leaf(root, Role.CLIENT, name, now, now + GOOD)
        (own / "ca.pem").write_bytes(root.certificate_pem())
        (own / "cert.pem").write_bytes(pair.certificate_pem())
        (own / "key.pem").touch(mode=0o600)
        (own / "key.pem").write_bytes(pair.key_pem())


def names(count: int) -> tuple[str, ...]:
    """`count` clients."""
    return tuple(f"site-{number:04d}" for number in range(count))
