"""The authority's own files, read into types: what it issued, what it revoked, its key."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Self

from cryptography import x509
from cryptography.hazmat.primitives import serialization
from cryptography.hazmat.primitives.asymmetric import ec

from ..wire.durable import write_durably
from ..wire.errors import CertificateError
from ..wire.identity import Role, identity_of
from .certificates import Pair


@dataclass(frozen=True, kw_only=True)
class Issued:
    """One certificate, and whether it has been revoked since.

    >>> from datetime import UTC
    >>> end = datetime(2031, 1, 1, tzinfo=UTC)
    >>> print(Issued(role=Role.CLIENT, name="hospital", serial=7, not_after=end))
    client 'hospital'
    """

    role: Role
    name: str
    serial: int
    not_after: datetime
    hosts: tuple[str, ...] = ()
    revoked: bool = False

    def __str__(self) -> str:
        return f"{self.role} {self.name!r}"

    @classmethod
    def of(cls, certificate: x509.Certificate, hosts: Sequence[str]) -> Self:
        """`certificate`, which is new."""
        holder = identity_of(certificate.public_bytes(serialization.Encoding.PEM))
        return cls(
            role=holder.role,
            name=holder.name,
            serial=holder.serial,
            not_after=holder.not_after,
            hosts=tuple(hosts),
        )


def write_issued(path: Path, issued: Sequence[Issued]) -> None:
    """Durably, as JSON. Who is revoked is not in it: the revocation list alone says that."""
    rows = [
        {
            "role": one.role,
            "name": one.name,
            "serial": f"{one.serial:x}",
            "not_after": one.not_after.isoformat(),
            "hosts": one.hosts,
        }
        for one in issued
    ]
    write_durably(path, json.dumps(rows, indent=2, ensure_ascii=False).encode() + b"\n")


def read_issued(path: Path, crl: x509.CertificateRevocationList) -> list[Issued]:
    """What `write_issued` wrote, and which of it `crl` revokes. Raises `CertificateError`."""
    revoked = {entry.serial_number for entry in crl}
    try:
        return [
            Issued(
                role=Role(row["role"]),
                name=str(row["name"]),
                serial=int(row["serial"], 16),
                not_after=datetime.fromisoformat(row["not_after"]),
                hosts=tuple(row["hosts"]),
                revoked=int(row["serial"], 16) in revoked,
            )
            for row in json.loads(_bytes(path))
        ]
    except (ValueError, TypeError, KeyError) as error:
        raise CertificateError(f"{path} is damaged; bring it back from a copy.") from error


def read_crl(path: Path) -> x509.CertificateRevocationList:
    """The authority's list. Raises `CertificateError`: to begin a new one would forgive everybody."""
    try:
        return x509.load_pem_x509_crl(_bytes(path))
    except ValueError as error:
        raise CertificateError(f"{path} is damaged; bring it back from a copy.") from error


def load_pair(certificate: Path, key: Path) -> Pair:
    """The authority's certificate and key. Raises `CertificateError`."""
    pem, secret = _bytes(certificate), _bytes(key)
    try:
        own = x509.load_pem_x509_certificate(pem)
        held = serialization.load_pem_private_key(secret, password=None)
    except (ValueError, TypeError) as error:
        raise CertificateError(f"{key.parent}: ca.pem or ca.key is damaged: {error}.") from error
    if not isinstance(held, ec.EllipticCurvePrivateKey) or held.public_key() != own.public_key():
        raise CertificateError(f"{key} is not the key of {certificate}; bring the pair back.")
    return Pair(certificate=own, key=held)


def _bytes(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except FileNotFoundError as error:
        hint = (
            "bring it back from where it is kept offline"
            if path.name == "ca.key"
            else "name the folder that `tacit certs init` wrote"
        )
        raise CertificateError(f"{path} is not there; {hint}.") from error
