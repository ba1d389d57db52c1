"""The folder that a party holds: its key, its certificate, and that of the authority it trusts."""

from __future__ import annotations

import os
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import NamedTuple

import grpc
from cryptography import x509
from cryptography.exceptions import InvalidSignature, UnsupportedAlgorithm
from cryptography.hazmat.primitives import serialization

from .errors import CertificateError
from .identity import Identity, Role, identity_of
from .revocations import moment


class Pems(NamedTuple):
    """The three files."""

    ca: bytes
    certificate: bytes
    key: bytes


@dataclass(frozen=True)
class Keys:
    """What `tacit certs` put into `folder` for one party: `ca.pem`, `cert.pem` and `key.pem`.

    Guarantees:
      - Credentials are mutual: no peer is spoken to without a certificate that `ca.pem` verifies.
      - A key that others on the machine can read is refused.
      - What would only fail in a handshake, without saying why, is refused here and named: a
        certificate of another authority, of another key, of the wrong role, or that has expired.

    Every method raises `CertificateError` or `Unidentified`.

    >>> Keys(Path("nowhere")).identity()
    Traceback (most recent call last):
    tacit.wire.errors.CertificateError: nowhere/ca.pem: No such file or directory; see `tacit certs`.
    """

    folder: Path

    def identity(self) -> Identity:
        """Who holds the key."""
        return identity_of(self._read().certificate)

    def server_credentials(self) -> grpc.ServerCredentials:
        """What a coordinator serves with. Every peer must show a certificate of the authority."""
        pems = self._read()
        self._expect(pems, Role.COORDINATOR)
        return grpc.ssl_server_credentials(
            [(pems.key, pems.certificate)], root_certificates=pems.ca, require_client_auth=True
        )

    def channel_credentials(self, *roles: Role) -> grpc.ChannelCredentials:
        """What a client or an operator dials with. The coordinator must be the host that was dialled.

        Only the holder of one of `roles` may, if any are named.
        """
        pems = self._read()
        self._expect(pems, *(roles or (Role.CLIENT, Role.OPERATOR)))
        return grpc.ssl_channel_credentials(pems.ca, pems.key, pems.certificate)

    def _read(self) -> Pems:
        try:
            pems = Pems(*(self._file(name) for name in ("ca.pem", "cert.pem", "key.pem")))
        except OSError as error:
            raise CertificateError(
                f"{error.filename}: {error.strerror}; see `tacit certs`."
            ) from error
        _check(self.folder, pems, datetime.now(UTC))
        return pems

    def _file(self, name: str) -> bytes:
        path = self.folder / name
        with path.open("rb") as file:
            mode = os.fstat(file.fileno()).st_mode & 0o777
            if name == "key.pem" and os.name == "posix" and mode & 0o077:
                raise CertificateError(
                    f"{path} can be read by others (mode {mode:04o}); chmod 600 it, and issue "
                    "another one if somebody may have."
                )
            return file.read()

    def _expect(self, pems: Pems, *roles: Role) -> None:
        identity = identity_of(pems.certificate)
        if identity.role not in roles:
            raise CertificateError(
                f"{self.folder} holds the keys of {identity}, where the role "
                f"{' or '.join(roles)} is needed; name another folder."
            )


def _check(folder: Path, pems: Pems, now: datetime) -> None:
    try:
        ca = x509.load_pem_x509_certificate(pems.ca)
        own = x509.load_pem_x509_certificate(pems.certificate)
        key = serialization.load_pem_private_key(pems.key, password=None)
    except (ValueError, TypeError, UnsupportedAlgorithm) as error:
        raise CertificateError(
            f"{folder}: expected certificates and a key without a password, all in PEM: {error}; "
            "issue them with `tacit certs`."
        ) from error
    if key.public_key() != own.public_key():
        raise CertificateError(
            f"{folder}: key.pem is not the key of cert.pem; bring the pair back, or renew it with "
            "`tacit certs renew`."
        )
    try:
        own.verify_directly_issued_by(ca)
    except (ValueError, TypeError, InvalidSignature) as error:
        raise CertificateError(
            f"{folder}: cert.pem was not issued by the authority in ca.pem; use the files of one "
            "`tacit certs` folder."
        ) from error
    if now > own.not_valid_after_utc:
        raise CertificateError(
            f"{folder}: cert.pem has expired since {moment(own.not_valid_after_utc)}; renew it with "
            "`tacit certs renew`."
        )
