"""A deployment's certificates, made at once, and those of parties that must be turned away.

Every party is a folder like those of `tacit certs`. `serving` and `dialling` make credentials of one
without the checks of `Keys`, which an attacker would not make either.
"""

from __future__ import annotations

from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

import grpc
from cryptography import x509
from cryptography.hazmat.primitives import hashes
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID
from tacit.deployment import Authority
from tacit.deployment.certificates import Pair, make_leaf, make_root
from tacit.deployment.issued import load_pair
from tacit.wire.identity import Role, identity_of

DAY = timedelta(days=1)
LOCAL = ("localhost", "127.0.0.1")


def make_authority(folder: Path, *clients: str) -> Authority:
    """An authority with a coordinator, an operator and `clients`, each in a folder of its name."""
    authority = Authority.create(folder)
    authority.issue(Role.COORDINATOR, "coordinator")
    authority.issue(Role.OPERATOR, "operator")
    for client in clients:
        authority.issue(Role.CLIENT, client)
    return authority


def root_of(authority: Authority) -> Pair:
    """The authority's own certificate and key."""
    own = authority.folder / "ca"
    return load_pair(own / "ca.pem", own / "ca.key")


def serial_of(folder: Path) -> int:
    """The number of the party's certificate."""
    return identity_of((folder / "cert.pem").read_bytes()).serial


def expired(authority: Authority, role: Role, name: str) -> Path:
    """A party whose certificate was good until yesterday."""
    now = datetime.now(UTC)
    pair = make_leaf(root_of(authority), role, name, now - 9 * DAY, now - DAY, LOCAL)
    return hand(authority, "expired", pair)


def early(authority: Authority, role: Role, name: str) -> Path:
    """A party whose certificate is good from tomorrow on."""
    now = datetime.now(UTC)
    pair = make_leaf(root_of(authority), role, name, now + DAY, now + 9 * DAY, LOCAL)
    return hand(authority, "early", pair)


def stranger(authority: Authority, role: Role, name: str) -> Path:
    """A party with the same role and name, by another authority."""
    now = datetime.now(UTC)
    pair = make_leaf(make_root(now, now + DAY), role, name, now, now + DAY, LOCAL)
    return hand(authority, "stranger", pair)


def elsewhere(authority: Authority, *hosts: str) -> Path:
    """A coordinator of this authority that is reached at `hosts` and nowhere else."""
    now = datetime.now(UTC)
    pair = make_leaf(root_of(authority), Role.COORDINATOR, "elsewhere", now, now + DAY, hosts)
    return hand(authority, "elsewhere", pair)


def self_signed(authority: Authority, uri: str) -> Path:
    """A party that vouches for itself."""
    return hand(authority, "self-signed", make_odd(None, [x509.UniformResourceIdentifier(uri)]))


def odd(authority: Authority, *names: x509.GeneralName) -> Path:
    """A party of this authority whose certificate holds `names`, whatever they are."""
    return hand(authority, "odd", make_odd(root_of(authority), names))


def make_odd(issuer: Pair | None, names: Sequence[x509.GeneralName]) -> Pair:
    """A certificate that dials and serves, holds `names`, and is signed by `issuer` or by itself."""
    key, now = ec.generate_private_key(ec.SECP256R1()), datetime.now(UTC)
    own = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, "odd")])
    purposes = [ExtendedKeyUsageOID.CLIENT_AUTH, ExtendedKeyUsageOID.SERVER_AUTH]
    builder = x509.CertificateBuilder(
        issuer_name=issuer.certificate.subject if issuer else own,
        subject_name=own,
        public_key=key.public_key(),
        serial_number=x509.random_serial_number(),
        not_valid_before=now - DAY,
        not_valid_after=now + DAY,
    ).add_extension(x509.ExtendedKeyUsage(purposes), critical=False)
    if names:
        builder = builder.add_extension(x509.SubjectAlternativeName(names), critical=False)
    signed = builder.sign(issuer.key if issuer else key, hashes.SHA256())
    return Pair(certificate=signed, key=key)


def serving(folder: Path) -> grpc.ServerCredentials:
    """Those of a server, with whatever is in `folder`."""
    ca, certificate, key = _pems(folder)
    return grpc.ssl_server_credentials([(key, certificate)], ca, require_client_auth=True)


def dialling(folder: Path) -> grpc.ChannelCredentials:
    """Those of a client, with whatever is in `folder`."""
    ca, certificate, key = _pems(folder)
    return grpc.ssl_channel_credentials(ca, key, certificate)


def _pems(folder: Path) -> tuple[bytes, bytes, bytes]:
    ca, certificate, key = (folder / name for name in ("ca.pem", "cert.pem", "key.pem"))
    return ca.read_bytes(), certificate.read_bytes(), key.read_bytes()


def hand(authority: Authority, folder: str, pair: Pair) -> Path:
    """The party's folder; it trusts our authority, as an attacker would."""
    own = authority.folder / folder
    own.mkdir(exist_ok=True)
    (own / "ca.pem").write_bytes((authority.folder / "ca" / "ca.pem").read_bytes())
    (own / "cert.pem").write_bytes(pair.certificate_pem())
    (own / "key.pem").write_bytes(pair.key_pem())
    (own / "key.pem").chmod(0o600)
    return own
