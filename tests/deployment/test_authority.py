"""An authority issues, renews, revokes, and forgets nothing."""

from __future__ import annotations

import json
import os
import shutil
import stat
import subprocess
from concurrent.futures import ThreadPoolExecutor
from datetime import UTC, datetime, timedelta
from pathlib import Path

import pytest
from contracts.certificates import make_authority, serial_of
from cryptography import x509
from cryptography.x509.oid import ExtendedKeyUsageOID
from tacit.deployment import Authority
from tacit.wire.errors import CertificateError, TacitError
from tacit.wire.identity import Role, identity_of

DAY = timedelta(days=1)


@pytest.fixture
def authority(tmp_path: Path) -> Authority:
    return make_authority(tmp_path / "certs", "hospital")


def certificate(folder: Path, name: str = "cert.pem") -> x509.Certificate:
    return x509.load_pem_x509_certificate((folder / name).read_bytes())


def crl(authority: Authority) -> x509.CertificateRevocationList:
    return x509.load_pem_x509_crl((authority.folder / "ca" / "crl.pem").read_bytes())


def number(authority: Authority) -> int:
    return crl(authority).extensions.get_extension_for_class(x509.CRLNumber).value.crl_number


def test_each_party_has_what_it_needs_and_nothing_else(authority: Authority) -> None:
    found = {
        folder.name: sorted(file.name for file in folder.glob("[!.]*"))
        for folder in authority.folder.iterdir()
    }
    own = ["ca.pem", "cert.pem", "key.pem"]
    assert found == {
        "ca": ["ca.key", "ca.pem", "crl.pem", "issued.json"],
        "coordinator": ["ca.pem", "cert.pem", "crl.pem", "key.pem"],
        "operator": own,
        "hospital": own,
    }


def test_keys_are_their_owners_alone(tmp_path: Path) -> None:
    before = os.umask(0)
    try:
        authority = make_authority(tmp_path / "certs", "hospital")
    finally:
        os.umask(before)
    for path in authority.folder.rglob("*"):
        if path.name in ("ca.key", "key.pem"):
            assert stat.S_IMODE(path.stat().st_mode) == 0o600, path


def test_a_certificate_says_what_it_is_for(authority: Authority) -> None:
    purposes = {
        "coordinator": (Role.COORDINATOR, ExtendedKeyUsageOID.SERVER_AUTH),
        "operator": (Role.OPERATOR, ExtendedKeyUsageOID.CLIENT_AUTH),
        "hospital": (Role.CLIENT, ExtendedKeyUsageOID.CLIENT_AUTH),
    }
    for name, (role, purpose) in purposes.items():
        found = certificate(authority.folder_of(name))
        holder = identity_of((authority.folder_of(name) / "cert.pem").read_bytes())
        assert (holder.role, holder.name) == (role, name)
        use = found.extensions.get_extension_for_class(x509.ExtendedKeyUsage).value
        assert list(use) == [purpose]
        assert not found.extensions.get_extension_for_class(x509.BasicConstraints).value.ca


def test_the_authority_can_only_sign_parties_and_lists(authority: Authority) -> None:
    found = certificate(authority.folder / "ca", "ca.pem")
    limits = found.extensions.get_extension_for_class(x509.BasicConstraints)
    assert limits.critical
    assert (limits.value.ca, limits.value.path_length) == (True, 0)
    use = found.extensions.get_extension_for_class(x509.KeyUsage).value
    assert (use.key_cert_sign, use.crl_sign, use.digital_signature) == (True, True, False)


def test_a_certificate_holds_for_a_year_and_for_slow_clocks(authority: Authority) -> None:
    found, now = certificate(authority.folder_of("hospital")), datetime.now(UTC)
    assert now - DAY < found.not_valid_before_utc < now - timedelta(minutes=2)
    assert now + 364 * DAY < found.not_valid_after_utc <= now + 365 * DAY


def test_no_certificate_outlives_its_authority(authority: Authority) -> None:
    folder = authority.issue(Role.CLIENT, "eternal", days=100_000)
    root = certificate(folder, "ca.pem")
    assert certificate(folder).not_valid_after_utc == root.not_valid_after_utc


def test_a_coordinator_is_reached_where_it_was_said_and_locally(tmp_path: Path) -> None:
    authority = Authority.create(tmp_path)
    folder = authority.issue(Role.COORDINATOR, "main", ["fl.example.org", "10.0.0.7", "::1"])
    names = certificate(folder).extensions.get_extension_for_class(x509.SubjectAlternativeName)
    dns = names.value.get_values_for_type(x509.DNSName)
    addresses = names.value.get_values_for_type(x509.IPAddress)
    assert dns == ["fl.example.org", "localhost"]
    assert [str(address) for address in addresses] == ["10.0.0.7", "::1", "127.0.0.1"]


@pytest.mark.parametrize(
    "host", ["", "https://a.example", "a.example:443", "a b", "*.example", "zürich.example", "-a"]
)
def test_a_host_is_a_name_or_an_address(tmp_path: Path, host: str) -> None:
    authority = Authority.create(tmp_path)
    with pytest.raises(CertificateError, match="without scheme and port"):
        authority.issue(Role.COORDINATOR, "coordinator", [host])
    assert authority.issued() == []


def test_only_a_coordinator_is_reached(authority: Authority) -> None:
    with pytest.raises(CertificateError, match="a host is for a coordinator"):
        authority.issue(Role.CLIENT, "bank", ["bank.example"])
    with pytest.raises(CertificateError, match="a host is for a coordinator"):
        authority.renew("hospital", ["hospital.example"])
    assert len(authority.issued()) == 3


@pytest.mark.parametrize(
    "name", ["", "ca", "..", ".hidden", "a/b", "a\\b", "/etc", "two\nlines", "x" * 201, "é" * 101]
)
def test_a_name_that_cannot_be_a_folder_is_refused(authority: Authority, name: str) -> None:
    before = sorted(authority.folder.parent.rglob("*"))
    with pytest.raises(TacitError, match="Expected a name"):
        authority.issue(Role.CLIENT, name)
    assert sorted(authority.folder.parent.rglob("*")) == before


def test_what_is_in_force_is_not_overwritten(authority: Authority) -> None:
    before = (authority.folder_of("hospital") / "key.pem").read_bytes()
    for role in Role:
        with pytest.raises(CertificateError, match="client 'hospital' has a certificate until"):
            authority.issue(role, "hospital")
    assert (authority.folder_of("hospital") / "key.pem").read_bytes() == before


def test_a_folder_of_something_else_is_not_overwritten(authority: Authority) -> None:
    (authority.folder / "bank").mkdir()
    (authority.folder / "bank" / "cert.pem").write_text("of another authority")
    with pytest.raises(CertificateError, match="move it away"):
        authority.issue(Role.CLIENT, "bank")


def test_a_second_authority_does_not_take_the_place_of_the_first(authority: Authority) -> None:
    with pytest.raises(CertificateError, match=r"ca\.pem is there already"):
        Authority.create(authority.folder)
    shutil.rmtree(authority.folder / "ca")  # it went offline
    with pytest.raises(CertificateError, match=r"coordinator/ca\.pem is there already"):
        Authority.create(authority.folder)


def test_renewing_gives_a_new_key_and_the_same_hosts(tmp_path: Path) -> None:
    authority = Authority.create(tmp_path)
    folder = authority.issue(Role.COORDINATOR, "main", ["fl.example.org"], days=1)
    old, key = certificate(folder), (folder / "key.pem").read_bytes()
    assert authority.renew("main") == folder
    new = certificate(folder)
    assert (folder / "key.pem").read_bytes() != key
    assert new.not_valid_after_utc > old.not_valid_after_utc
    names = x509.SubjectAlternativeName
    assert new.extensions.get_extension_for_class(names) == old.extensions.get_extension_for_class(
        names
    )
    authority.renew("main", ["new.example.org"])
    assert authority.issued()[-1].hosts == ("new.example.org", "localhost", "127.0.0.1")
    assert [one.name for one in authority.issued()] == ["main"] * 3


def test_what_was_revoked_stays_revoked(authority: Authority) -> None:
    first = serial_of(authority.folder_of("hospital"))
    authority.renew("hospital")
    second = serial_of(authority.folder_of("hospital"))
    operator = serial_of(authority.folder_of("operator"))
    assert number(authority) == 1
    assert [one.serial for one in authority.revoke("hospital")] == [first, second]
    authority.revoke("operator")
    assert number(authority) == 3
    assert {entry.serial_number for entry in crl(authority)} == {first, second, operator}
    handed = authority.folder_of("coordinator") / "crl.pem"
    assert handed.read_bytes() == (authority.folder / "ca" / "crl.pem").read_bytes()


def test_nobody_is_forgotten_when_several_are_revoked_at_once(authority: Authority) -> None:
    names = [authority.issue(Role.CLIENT, f"site-{number}").name for number in range(8)]
    with ThreadPoolExecutor(8) as pool:
        list(pool.map(Authority(authority.folder).revoke, names))
    assert number(authority) == 9
    assert {one.name for one in authority.issued() if one.revoked} == set(names)


def test_a_name_comes_back_after_it_was_revoked(authority: Authority) -> None:
    authority.revoke("hospital")
    with pytest.raises(CertificateError, match="only revoked ones"):
        authority.revoke("hospital")
    with pytest.raises(CertificateError, match="only revoked ones"):
        authority.renew("hospital")
    authority.issue(Role.OPERATOR, "hospital")
    found = [(one.role, one.revoked) for one in authority.issued() if one.name == "hospital"]
    assert found == [(Role.CLIENT, True), (Role.OPERATOR, False)]


def test_a_list_is_made_though_the_coordinator_is_elsewhere(authority: Authority) -> None:
    shutil.rmtree(authority.folder_of("coordinator"))
    authority.revoke("hospital")
    assert number(authority) == 2
    assert not authority.folder_of("coordinator").exists()


def test_the_audit_trail_has_every_certificate(authority: Authority) -> None:
    rows = json.loads((authority.folder / "ca" / "issued.json").read_text())
    assert [(row["role"], row["name"]) for row in rows] == [
        ("coordinator", "coordinator"),
        ("operator", "operator"),
        ("client", "hospital"),
    ]
    for row in rows:
        found = certificate(authority.folder_of(row["name"]))
        assert int(row["serial"], 16) == found.serial_number
        assert datetime.fromisoformat(row["not_after"]) == found.not_valid_after_utc


@pytest.mark.parametrize(
    ("file", "said"),
    [
        ("ca.key", "bring it back from where it is kept offline"),
        ("ca.pem", "name the folder that `tacit certs init` wrote"),
        ("crl.pem", "name the folder"),
        ("issued.json", "name the folder"),
    ],
)
def test_without_its_own_files_an_authority_does_nothing(
    authority: Authority, file: str, said: str
) -> None:
    (authority.folder / "ca" / file).rename(authority.folder / "away")
    before = (authority.folder_of("coordinator") / "crl.pem").read_bytes()
    with pytest.raises(CertificateError, match=said):
        authority.issue(Role.CLIENT, "bank")
    with pytest.raises(CertificateError, match=said):
        authority.revoke("hospital")
    assert (authority.folder_of("coordinator") / "crl.pem").read_bytes() == before


@pytest.mark.parametrize("file", ["ca.key", "ca.pem", "crl.pem", "issued.json"])
def test_a_damaged_file_is_named(authority: Authority, file: str) -> None:
    (authority.folder / "ca" / file).write_text("[7]")
    with pytest.raises(CertificateError, match="damaged"):
        authority.revoke("hospital")


def test_the_key_of_another_authority_is_noticed(authority: Authority, tmp_path: Path) -> None:
    other = Authority.create(tmp_path / "other")
    shutil.copy(other.folder / "ca" / "ca.key", authority.folder / "ca" / "ca.key")
    with pytest.raises(CertificateError, match="is not the key of"):
        authority.issue(Role.CLIENT, "bank")


@pytest.mark.skipif(shutil.which("openssl") is None, reason="there is no openssl")
def test_openssl_agrees(authority: Authority) -> None:
    def verdict(name: str, purpose: str, *more: str) -> str:
        folder = authority.folder_of(name)
        ca, own = str(folder / "ca.pem"), str(folder / "cert.pem")
        words = [
            "openssl",
            "verify",
            "-x509_strict",
            "-purpose",
            purpose,
            "-CAfile",
            ca,
            *more,
            own,
        ]
        done = subprocess.run(words, capture_output=True, text=True, check=False)
        return (done.stdout + done.stderr).strip()

    assert verdict("hospital", "sslclient").endswith("cert.pem: OK")
    assert verdict("coordinator", "sslserver").endswith("cert.pem: OK")
    assert "certificate purpose" in verdict("hospital", "sslserver")
    assert "certificate purpose" in verdict("coordinator", "sslclient")
    authority.revoke("hospital")
    listed = ("-crl_check", "-CRLfile", str(authority.folder / "ca" / "crl.pem"))
    assert "certificate revoked" in verdict("hospital", "sslclient", *listed)
    assert verdict("operator", "sslclient", *listed).endswith("cert.pem: OK")
