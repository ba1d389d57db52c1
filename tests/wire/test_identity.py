"""Who a certificate says its holder is."""

from __future__ import annotations

import ssl
from contextlib import suppress
from datetime import UTC, datetime, timedelta

import pytest
from contracts.certificates import make_odd
from cryptography import x509
from hypothesis import given
from hypothesis import strategies as st
from tacit.deployment.certificates import Pair, make_leaf, make_root
from tacit.wire.errors import Unidentified
from tacit.wire.identity import Role, identity_of, uri_of

NOW = datetime(2030, 5, 1, tzinfo=UTC)
DAY = timedelta(days=1)
NAMES = st.text(st.characters(exclude_categories=["C", "Z"]), min_size=1, max_size=200).filter(
    str.isprintable
)


@pytest.fixture(scope="module")
def root() -> Pair:
    return make_root(NOW, NOW + 100 * DAY)


def holding(*uris: str) -> bytes:
    """A certificate with these URIs and a host name."""
    names = [x509.DNSName("a.example"), *map(x509.UniformResourceIdentifier, uris)]
    return make_odd(None, names).certificate_pem()


@pytest.mark.parametrize("role", Role)
@pytest.mark.parametrize(
    "name", ["hospital", "St. Mary's / west", "Zürich 東京", "100%", "x" * 200]
)
def test_a_certificate_says_whose_it_is(root: Pair, role: Role, name: str) -> None:
    pair = make_leaf(root, role, name, NOW, NOW + DAY)
    found = identity_of(pair.certificate_pem())
    assert (found.role, found.name) == (role, name)
    assert found.serial == pair.certificate.serial_number
    assert found.not_before < NOW < found.not_after == NOW + DAY


@given(NAMES, NAMES)
def test_two_names_never_have_one_spelling(one: str, other: str) -> None:
    spelled = uri_of(Role.CLIENT, one), uri_of(Role.CLIENT, other)
    assert (one == other) == (spelled[0] == spelled[1])


@pytest.mark.parametrize("name", ["", "x" * 201, "two\nlines", "bell\a", "\u202eevil", "\ud800"])
def test_a_name_that_does_not_print_is_none(name: str) -> None:
    with pytest.raises(Unidentified, match="1 to 200 printable characters"):
        uri_of(Role.CLIENT, name)


@pytest.mark.parametrize(
    "uri",
    [
        "tacit://client/",
        "tacit://client",
        "tacit://admin/a",
        "tacit://Client/a",
        "TACIT://client/a",
        "https://client/a",
        "tacit://client/a/b",
        "tacit://client/a?b",
        "tacit://client/a#b",
        "tacit://client/%61",  # a second spelling of "a"
        "tacit://client/a%2fb",  # of "a%2Fb"
        "tacit://client/a%",
        "tacit://client/a b",
        "tacit://client/%FF",
        "tacit://client/%0A",
        "tacit://client/" + "x" * 201,
        "tacit://user@client/a",
        " tacit://client/a",
        "tacit://client/a\n",
    ],
)
def test_any_other_uri_names_nobody(uri: str) -> None:
    with pytest.raises(Unidentified, match="Expected the URI tacit://ROLE/NAME"):
        identity_of(holding(uri))


@pytest.mark.parametrize(
    ("uris", "count"),
    [
        ([], 0),
        (["tacit://client/a", "tacit://operator/a"], 2),
        (["tacit://client/a", "https://a.example"], 2),
        (["tacit://client/a", "tacit://client/a"], 2),
    ],
)
def test_a_certificate_has_exactly_one_uri(uris: list[str], count: int) -> None:
    with pytest.raises(Unidentified, match=f"Expected one URI .* got {count}"):
        identity_of(holding(*uris))


def test_a_certificate_without_any_names_says_nothing() -> None:
    with pytest.raises(Unidentified, match="got 0"):
        identity_of(make_odd(None, []).certificate_pem())


def test_the_common_name_and_the_host_name_count_for_nothing(root: Pair) -> None:
    pair = make_leaf(root, Role.CLIENT, "a", NOW, NOW + DAY, ["operator.example"])
    assert str(identity_of(pair.certificate_pem())) == "client 'a'"


@given(st.binary(max_size=20), st.integers(min_value=0, max_value=400))
def test_whatever_the_bytes_the_error_is_ours(noise: bytes, where: int) -> None:
    good = ssl.PEM_cert_to_DER_cert(holding("tacit://client/a").decode())
    bad = good[:where] + noise + good[where + len(noise) :]
    for pem in (noise, ssl.DER_cert_to_PEM_cert(bad).encode()):
        with suppress(Unidentified):
            assert len(identity_of(pem).name) == 1
