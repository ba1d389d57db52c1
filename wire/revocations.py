"""Whose certificate is no longer good. gRPC for Python reads no revocation list, so we do."""

from __future__ import annotations

from dataclasses import dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple, cast

from cryptography import x509
from cryptography.exceptions import UnsupportedAlgorithm
from cryptography.hazmat.primitives.asymmetric.types import CertificateIssuerPublicKeyTypes

from .errors import CertificateError
from .identity import Identity

Stamp = tuple[tuple[int, int, int], ...]


@dataclass(frozen=True, kw_only=True)
class RevocationList:
    """The serial numbers that an authority has revoked, and until when it stands by that."""

    serials: frozenset[int] = field(repr=False)
    until: datetime | None


class Objection(NamedTuple):
    """Why somebody is refused, and whether that will be so tomorrow."""

    reason: str
    for_good: bool


class Revocations:
    """Who is refused by `crl.pem`, as it is now, in a `folder` that has the authority's `ca.pem`.

    A handshake happens once, a stream may last for weeks: ask at every call, and from time to time
    while a stream is open.

    Guarantees:
      - A list that was replaced counts from the next question on.
      - A list that is missing, unreadable, out of date or signed by somebody else refuses everyone.

    >>> from datetime import timedelta
    >>> from tacit.wire.identity import Role
    >>> now = datetime(2030, 1, 1, tzinfo=UTC)
    >>> day = timedelta(days=1)
    >>> late = Identity(
    ...     role=Role.CLIENT, name="a", serial=7, not_before=now - 3 * day, not_after=now - day
    ... )
    >>> Revocations(Path("certs/coordinator")).objection(late, now).reason
    'expired since 2029-12-31 00:00 UTC'
    """

    def __init__(self, folder: Path) -> None:
        self.crl = folder / "crl.pem"
        self.ca = folder / "ca.pem"
        self._read: tuple[Stamp, RevocationList | CertificateError] | None = None

    def objection(self, identity: Identity, now: datetime) -> Objection | None:
        """Why `identity` is refused at the moment `now`, which has a time zone; None if it is not."""
        if now < identity.not_before:
            return Objection(f"not valid before {moment(identity.not_before)}", for_good=False)
        if now > identity.not_after:
            return Objection(f"expired since {moment(identity.not_after)}", for_good=True)
        found = self._current()
        if isinstance(found, CertificateError):
            return Objection(str(found), for_good=False)
        if found.until is not None and now > found.until:
            since = f"the revocation list is out of date since {moment(found.until)}"
            return Objection(f"{self.crl}: {since}", for_good=False)
        return Objection("revoked", for_good=True) if identity.serial in found.serials else None

    def _current(self) -> RevocationList | CertificateError:
        try:
            stamp = tuple(_stamp(path) for path in (self.crl, self.ca))
            if self._read is None or self._read[0] != stamp:
                self._read = stamp, self._verified()
        except OSError as error:  # may pass, so it is not remembered
            why = error.strerror or str(error)
            return CertificateError(f"{error.filename}: the revocation list cannot be read: {why}")
        return self._read[1]

    def _verified(self) -> RevocationList | CertificateError:
        crl, ca = self.crl.read_bytes(), self.ca.read_bytes()
        try:
            return read_list(crl, ca)
        except CertificateError as error:
            return CertificateError(f"{self.crl}: {error}")


def read_list(crl: bytes, ca: bytes) -> RevocationList:
    """The list `crl`, which the authority whose certificate is `ca` signed; both are PEM.

    Raises `CertificateError`, also for a list that is about some certificates only.
    """
    try:
        found, authority = x509.load_pem_x509_crl(crl), x509.load_pem_x509_certificate(ca)
        key = cast("CertificateIssuerPublicKeyTypes", authority.public_key())
        signed = found.issuer == authority.subject and found.is_signature_valid(key)
        partial = any(extension.critical for extension in found.extensions)
        serials = frozenset(revoked.serial_number for revoked in found)
    except (ValueError, TypeError, UnsupportedAlgorithm, x509.DuplicateExtension) as error:
        raise CertificateError("the revocation list cannot be read") from error
    if not signed:
        raise CertificateError("the revocation list is not signed by the authority in ca.pem")
    if partial:
        raise CertificateError(
            "the revocation list has a critical extension that tacit cannot read"
        )
    return RevocationList(serials=serials, until=found.next_update_utc)


def moment(when: datetime) -> str:
    """To the minute, in UTC."""
    return f"{when.astimezone(UTC):%Y-%m-%d %H:%M} UTC"


def _stamp(path: Path) -> tuple[int, int, int]:
    found = path.stat()
    return found.st_mtime_ns, found.st_size, found.st_ino
