"""How the certificates of a deployment are made: P-256 keys, SHA-256, one level below the authority."""

from __future__ import annotations

import ipaddress
import re
import secrets
from collections.abc import Iterable, Sequence
from dataclasses import dataclass, field
from datetime import datetime, timedelta

from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import ExtendedKeyUsageOID, NameOID

from ..wire.errors import CertificateError
from ..wire.identity import Role, uri_of

SKEW = timedelta(minutes=10)
"""How much a clock may be behind ours and still accept a certificate at once."""

LABEL = r"[A-Za-z0-9]([A-Za-z0-9-]{0,61}[A-Za-z0-9])?"
HOST = re.compile(rf"(?=.{{1,253}}$){LABEL}(\.{LABEL})*")


@dataclass(frozen=True, kw_only=True)
class Pair:
    """A certificate and its key."""

    certificate: x509.Certificate
    key: ec.EllipticCurvePrivateKey = field(repr=False)

    def certificate_pem(self) -> bytes:
        """The public half."""
        return self.certificate.public_bytes(serialization.Encoding.PEM)

    def key_pem(self) -> bytes:
        """The private half, without a password."""
        return self.key.private_bytes(
            serialization.Encoding.PEM,
            serialization.PrivateFormat.PKCS8,
            serialization.NoEncryption(),
        )


def make_root(begin: datetime, end: datetime) -> Pair:
    """A new authority, with a name that no other one has."""
    key = ec.generate_private_key(ec.SECP256R1())
    name = _common_name(f"tacit authority {secrets.token_hex(4)}")
    builder = _builder(name, name, key, begin - SKEW, end)
    builder = builder.add_extension(x509.BasicConstraints(ca=True, path_length=0), critical=True)
    builder = builder.add_extension(_usage("key_cert_sign", "crl_sign"), critical=True)
    return Pair(certificate=builder.sign(key, hashes.SHA256()), key=key)


def make_leaf(
    issuer: Pair,
    role: Role,
    name: str,
    begin: datetime,
    end: datetime,
    hosts: Sequence[str] = (),
) -> Pair:
    """A new key, and a certificate that it is that of `role` and `name`, reached at `hosts`.

    A coordinator's can only serve, and all others can only dial. Raises `CertificateError` for a host
    that is no name or address, and `Unidentified` for a name that cannot be one.
    """
    key = ec.generate_private_key(ec.SECP256R1())
    ca = issuer.certificate
    end = min(end, ca.not_valid_after_utc)
    serves = role is Role.COORDINATOR
    purpose = ExtendedKeyUsageOID.SERVER_AUTH if serves else ExtendedKeyUsageOID.CLIENT_AUTH
    names = [x509.UniformResourceIdentifier(uri_of(role, name)), *map(general_name, hosts)]
    builder = _builder(_common_name(name), ca.subject, key, begin - SKEW, end)
    for extension, critical in (
        (x509.BasicConstraints(ca=False, path_length=None), True),
        (_usage("digital_signature"), True),
        (x509.ExtendedKeyUsage([purpose]), False),
        (x509.SubjectAlternativeName(names), False),
        (x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.key.public_key()), False),
    ):
        builder = builder.add_extension(extension, critical=critical)
    return Pair(certificate=builder.sign(issuer.key, hashes.SHA256()), key=key)


def make_list(
    issuer: Pair,
    number: int,
    revoked: Iterable[x509.RevokedCertificate],
    begin: datetime,
) -> x509.CertificateRevocationList:
    """The `number`th list of `issuer`. It is good for as long as `issuer` is."""
    ca = issuer.certificate
    builder = x509.CertificateRevocationListBuilder(
        issuer_name=ca.subject, last_update=begin - SKEW, next_update=ca.not_valid_after_utc
    )
    key_id = x509.AuthorityKeyIdentifier.from_issuer_public_key(issuer.key.public_key())
    builder = builder.add_extension(key_id, critical=False)
    builder = builder.add_extension(x509.CRLNumber(number), critical=False)
    for entry in revoked:
        builder = builder.add_revoked_certificate(entry)
    return builder.sign(issuer.key, hashes.SHA256())


def general_name(host: str) -> x509.GeneralName:
    """`host` as a certificate has it: an address or a DNS name. Raises `CertificateError`."""
    try:
        return x509.IPAddress(ipaddress.ip_address(host))
    except ValueError:
        if HOST.fullmatch(host):
            return x509.DNSName(host)
    raise CertificateError(
        f"Expected a host name or an IP address without scheme and port, got {host!r}; a name in "
        "other letters is written as xn--…."
    )


def _builder(
    subject: x509.Name,
    issuer: x509.Name,
    key: ec.EllipticCurvePrivateKey,
    begin: datetime,
    end: datetime,
) -> x509.CertificateBuilder:
    return x509.CertificateBuilder(
        issuer_name=issuer,
        subject_name=subject,
        public_key=key.public_key(),
        serial_number=x509.random_serial_number(),
        not_valid_before=begin,
        not_valid_after=end,
    ).add_extension(x509.SubjectKeyIdentifier.from_public_key(key.public_key()), critical=False)


def _common_name(name: str) -> x509.Name:
    """For people to read: at most 64 characters. Nothing of ours reads it."""
    return x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name[:64])])


def _usage(*uses: str) -> x509.KeyUsage:
    every = (
        "digital_signature",
        "content_commitment",
        "key_encipherment",
        "data_encipherment",
        "key_agreement",
        "key_cert_sign",
        "crl_sign",
        "encipher_only",
        "decipher_only",
    )
    return x509.KeyUsage(**{use: use in uses for use in every})
