"""Who a peer is: what its certificate says, once a TLS handshake has verified it."""

from __future__ import annotations

import re
from dataclasses import dataclass
from datetime import UTC, datetime
from enum import StrEnum
from functools import lru_cache
from urllib.parse import quote, unquote

from cryptography import x509

from .errors import Unidentified

LONGEST = 200
"""Characters of a name."""

URI = re.compile(r"tacit://([a-z]+)/([\x21-\x7e]+)")

UNREADABLE = (
    ValueError,
    x509.DuplicateExtension,
    x509.InvalidVersion,
    x509.UnsupportedGeneralNameType,
)
"""What `cryptography` raises for what is no certificate."""


class Role(StrEnum):
    """What the holder of a certificate may do."""

    CLIENT = "client"
    """Answers for the rows of one site."""
    OPERATOR = "operator"
    """Looks after a coordinator."""
    COORDINATOR = "coordinator"
    """Is dialled by all others."""


@dataclass(frozen=True, kw_only=True)
class Identity:
    """The holder of a verified certificate. `serial` is unique among all that one authority issued."""

    role: Role
    name: str
    serial: int
    not_before: datetime
    not_after: datetime

    def __str__(self) -> str:
        return f"{self.role} {self.name!r}"


def uri_of(role: Role, name: str) -> str:
    """The one spelling of `role` and `name` in a certificate.

    Raises `Unidentified` unless the name has 1 to 200 printable characters.

    >>> uri_of(Role.CLIENT, "St. Mary's")
    'tacit://client/St.%20Mary%27s'
    """
    if not 1 <= len(name) <= LONGEST or not name.isprintable():
        shown = f"{name[:LONGEST]!r} ({len(name)} characters)"
        raise Unidentified(f"Expected a name of 1 to {LONGEST} printable characters, got {shown}.")
    return f"tacit://{role}/{quote(name, safe='')}"


@lru_cache(maxsize=4096)
def identity_of(pem: bytes) -> Identity:
    """The holder of the certificate `pem`, which somebody else has verified: gRPC, in its handshake.

    Guarantees:
      - The certificate has exactly one URI, `tacit://<role>/<percent-encoded name>`.
      - Two URIs that differ in any way never give the same role and name.

    Raises `Unidentified`.

    >>> identity_of(b"a letter of recommendation")
    Traceback (most recent call last):
    tacit.wire.errors.Unidentified: A peer's certificate cannot be read; issue one with `tacit certs`.
    """
    try:
        certificate = x509.load_pem_x509_certificate(pem)
        uris = _uris(certificate)
        begin, end = certificate.not_valid_before_utc, certificate.not_valid_after_utc
    except UNREADABLE as error:
        raise Unidentified(
            "A peer's certificate cannot be read; issue one with `tacit certs`."
        ) from error
    if len(uris) != 1:
        raise Unidentified(
            f"Expected one URI tacit://ROLE/NAME in a peer's certificate, got {len(uris)}; issue one "
            "with `tacit certs`."
        )
    role, name = _holder(uris[0])
    return Identity(
        role=role,
        name=name,
        serial=certificate.serial_number,
        not_before=begin,
        not_after=end,
    )


def claimed(uri: str) -> Identity:
    """Whom somebody says to be who shows no certificate. Raises `Unidentified` for what is no name.

    >>> claimed("tacit://client/oslo").name
    'oslo'
    """
    role, name = _holder(uri)
    always = datetime.min.replace(tzinfo=UTC), datetime.max.replace(tzinfo=UTC)
    return Identity(role=role, name=name, serial=0, not_before=always[0], not_after=always[1])


def _uris(certificate: x509.Certificate) -> list[str]:
    try:
        found = certificate.extensions.get_extension_for_class(x509.SubjectAlternativeName)
    except x509.ExtensionNotFound:
        return []
    return found.value.get_values_for_type(x509.UniformResourceIdentifier)


def _holder(uri: str) -> tuple[Role, str]:
    try:
        if found := URI.fullmatch(uri):
            role, name = Role(found[1]), unquote(found[2], errors="strict")
            if uri_of(role, name) == uri:  # no second spelling of a name
                return role, name
    except (ValueError, Unidentified):  # no such role, not UTF-8, not a name
        pass
    raise Unidentified(
        f"Expected the URI tacit://ROLE/NAME in a peer's certificate, got {uri[:LONGEST]!r}; issue one "
        "with `tacit certs`."
    )
