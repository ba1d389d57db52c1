"""A revocation list counts at once, and a list that cannot be believed refuses everyone."""

from __future__ import annotations

import os
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from contracts.certificates import make_authority, root_of, serial_of
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from tacit.deployment import Authority
from tacit.deployment.certificates import make_list
from tacit.wire.identity import Identity, Role, identity_of
from tacit.wire.revocations import Objection, Revocations

DAY = timedelta(days=1)
NOW = datetime.now(UTC)
REVOKED = Objection("revoked", for_good=True)


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return make_authority(tmp_path / "certs", "hospital", "bank")


@pytest.fixture
def revocations(authority: Authority) -> Revocations:
    return Revocations(authority.folder_of("coordinator"))


def identity(authority: Authority, name: str) -> Identity:
    return identity_of((authority.folder_of(name) / "cert.pem").read_bytes())


def test_who_was_revoked_is_refused_from_then_on(
    authority: Authority, revocations: Revocations
) -> None:
    hospital, bank = identity(authority, "hospital"), identity(authority, "bank")
    assert revocations.objection(hospital, NOW) is None
    authority.revoke("hospital")
    assert revocations.objection(hospital, NOW) == REVOKED
    assert revocations.objection(bank, NOW) is None
    authority.revoke("bank")
    assert revocations.objection(hospital, NOW) == REVOKED
    assert revocations.objection(bank, NOW) == REVOKED
    authority.issue(Role.CLIENT, "hospital")
    assert revocations.objection(identity(authority, "hospital"), NOW) is None
    assert revocations.objection(hospital, NOW) == REVOKED


def test_a_certificate_is_refused_before_and_after_its_time(
    authority: Authority, revocations: Revocations
) -> None:
    hospital = identity(authority, "hospital")
    late = revocations.objection(hospital, hospital.not_after + DAY)
    assert late == (f"expired since {hospital.not_after:%Y-%m-%d %H:%M} UTC", True)
    early = revocations.objection(hospital, hospital.not_before - DAY)
    assert early == (f"not valid before {hospital.not_before:%Y-%m-%d %H:%M} UTC", False)


def foreign(authority: Authority, folder: Path) -> bytes:
    other = Authority.create(folder / "other")
    return (other.folder / "ca" / "crl.pem").read_bytes()


def forged(authority: Authority, folder: Path) -> bytes:
    """Somebody else's signature under our authority's name."""
    key = root_of(Authority.create(folder / "other")).key
    return _sign(_builder(authority), key)


def partial(authority: Authority, folder: Path) -> bytes:
    """A list of our authority that speaks of some certificates only."""
    scope = x509.IssuingDistributionPoint(
        full_name=None,
        relative_name=None,
        only_contains_user_certs=False,
        only_contains_ca_certs=True,
        only_some_reasons=None,
        indirect_crl=False,
        only_contains_attribute_certs=False,
    )
    builder = _builder(authority).add_extension(scope, critical=True)
    return _sign(builder, root_of(authority).key)


def stale(authority: Authority, folder: Path) -> bytes:
    return _sign(_builder(authority, NOW - DAY), root_of(authority).key)


def cut(authority: Authority, folder: Path) -> bytes:
    return (authority.folder / "ca" / "crl.pem").read_bytes()[:200]


def empty(authority: Authority, folder: Path) -> bytes:
    return b""


def certificate(authority: Authority, folder: Path) -> bytes:
    return (authority.folder / "ca" / "ca.pem").read_bytes()


def _builder(
    authority: Authority, until: datetime = NOW + DAY
) -> x509.CertificateRevocationListBuilder:
    name = root_of(authority).certificate.subject
    return x509.CertificateRevocationListBuilder(name, NOW - 2 * DAY, until)


def _sign(builder: x509.CertificateRevocationListBuilder, key: ec.EllipticCurvePrivateKey) -> bytes:
    return builder.sign(key, hashes.SHA256()).public_bytes(serialization.Encoding.PEM)


@pytest.mark.parametrize(
    ("make", "said"),
    [
        (foreign, "is not signed by the authority"),
        (forged, "is not signed by the authority"),
        (partial, "critical extension"),
        (stale, "out of date since"),
        (cut, "cannot be read"),
        (empty, "cannot be read"),
        (certificate, "cannot be read"),
    ],
)
def test_a_list_that_cannot_be_believed_refuses_everyone(
    authority: Authority,
    revocations: Revocations,
    tmp_path: Path,
    make: Callable[[Authority, Path], bytes],
    said: str,
) -> None:
    bank, good = identity(authority, "bank"), revocations.crl.read_bytes()
    assert revocations.objection(bank, NOW) is None
    revocations.crl.write_bytes(make(authority, tmp_path))
    for _ in range(2):  # the second time from memory
        objection = revocations.objection(bank, NOW)
        assert objection is not None
        assert objection.reason.startswith(f"{revocations.crl}: the revocation list ")
        assert said in objection.reason
        assert not objection.for_good
    revocations.crl.write_bytes(good)
    assert revocations.objection(bank, NOW) is None


@pytest.mark.parametrize("file", ["crl.pem", "ca.pem"])
def test_a_list_or_an_authority_that_is_missing_refuses_everyone(
    authority: Authority, revocations: Revocations, file: str
) -> None:
    bank, path = identity(authority, "bank"), authority.folder_of("coordinator") / file
    assert revocations.objection(bank, NOW) is None
    path.rename(path.with_suffix(".away"))
    assert "cannot be read: No such file" in str(revocations.objection(bank, NOW))
    path.with_suffix(".away").rename(path)
    assert revocations.objection(bank, NOW) is None


def test_a_new_list_of_equal_size_and_time_is_read(
    authority: Authority, revocations: Revocations
) -> None:
    """A file that was renamed into place is another file, whatever its times say."""
    root, crl = root_of(authority), revocations.crl
    names = [identity(authority, name) for name in ("hospital", "bank")]
    for revoked, other in (names, names[::-1]):
        entry = x509.RevokedCertificateBuilder(revoked.serial, NOW).build()
        made = make_list(root, 2, [entry], NOW).public_bytes(serialization.Encoding.PEM)
        crl.with_suffix(".new").write_bytes(made)
        os.utime(crl.with_suffix(".new"), (1e9, 1e9))
        crl.with_suffix(".new").rename(crl)
        assert revocations.objection(revoked, NOW) == REVOKED
        assert revocations.objection(other, NOW) is None


def test_a_list_is_read_once_as_long_as_it_stays(
    authority: Authority, revocations: Revocations
) -> None:
    authority.revoke("hospital")
    hospital = identity(authority, "hospital")
    assert revocations.objection(hospital, NOW) == REVOKED
    first = revocations._read
    assert revocations.objection(hospital, NOW) == REVOKED
    assert revocations._read is first
    assert hospital.serial == serial_of(authority.folder_of("hospital"))
