"""Secrets: the same question gets the same stream, any other gets one that nobody can foresee."""

from __future__ import annotations

import hashlib
import hmac
import itertools

import numpy as np
import pytest
from contracts.bits import backwards, check_value
from tacit.privacy import Secret
from tacit.privacy.secret import digest_of
from tacit.wire import Arrays

SECRET = Secret.from_test_seed(1)
Context = tuple[str | int | bytes, ...]
CONTEXTS: list[Context] = [
    (),
    ("",),
    ("", ""),
    ("a",),
    ("a", "b"),
    ("ab",),
    ("ab", ""),
    ("", "ab"),
    ("a", "b", ""),
    ("round", 1),
    ("round", 11),
    ("round", 1, 1),
    ("round1",),
    (b"\x00" * 8,),
    (b"\x00" * 16,),
    ("\x00",),
    ("\x00" * 8 + "a",),
]


def drawn(secret: Secret, context: Context) -> bytes:
    return secret.stream(*context).words(4).tobytes()


def test_a_secret_is_a_value_that_does_not_print_its_key() -> None:
    check_value(SECRET)
    secret = Secret(b"0123456789abcdef" * 2)
    assert "0123456789abcdef" not in repr(secret)
    assert "30313233" not in repr(secret)


def test_fresh_secrets_differ_and_have_32_bytes() -> None:
    keys = {Secret.fresh().key for _ in range(100)}
    assert len(keys) == 100
    assert {len(key) for key in keys} == {32}


def test_only_a_secret_from_a_seed_is_insecure() -> None:
    assert Secret.from_test_seed(1).insecure
    assert not Secret.fresh().insecure
    assert Secret.from_test_seed(1) == Secret.from_test_seed(1)
    assert Secret.from_test_seed(1).key != Secret.from_test_seed(2).key


@pytest.mark.parametrize("context", CONTEXTS, ids=repr)
def test_the_same_context_gives_the_same_stream_and_fingerprint(context: Context) -> None:
    assert drawn(SECRET, context) == drawn(SECRET, context)
    assert SECRET.fingerprint(*context) == SECRET.fingerprint(*context)
    assert len(SECRET.fingerprint(*context)) == 64


def test_other_contexts_give_other_streams_however_they_are_cut() -> None:
    """Pieces carry their lengths, so that moving a boundary is another context."""
    for one, other in itertools.combinations(CONTEXTS, 2):
        assert drawn(SECRET, one) != drawn(SECRET, other), (one, other)
        assert SECRET.fingerprint(*one) != SECRET.fingerprint(*other), (one, other)


def test_another_secret_gives_other_streams() -> None:
    other = Secret.from_test_seed(2)
    for context in CONTEXTS:
        assert drawn(SECRET, context) != drawn(other, context)
        assert SECRET.fingerprint(*context) != other.fingerprint(*context)


def test_a_fingerprint_is_not_the_key_of_its_stream() -> None:
    """It is written into the ledger, and must not help anybody to take the noise off."""
    from tacit.privacy import Noise

    for context in CONTEXTS:
        known = Noise(bytes.fromhex(SECRET.fingerprint(*context)))
        assert known.words(4).tobytes() != drawn(SECRET, context)


def test_streams_are_derived_by_hmac_sha_256() -> None:
    """Written out, so that a stored secret means the same in every version."""
    data = b"".join(len(p).to_bytes(8, "big") + p for p in (b"fingerprint", b"round", b"1"))
    wanted = hmac.new(SECRET.key, data, hashlib.sha256).hexdigest()
    assert SECRET.fingerprint("round", 1) == wanted


X: Arrays = {"x": np.array([1.0, 2.0]), "y": np.array([[3.0]], np.float32)}


def test_a_digest_depends_on_the_arrays_and_not_on_their_order() -> None:
    assert digest_of(X) == digest_of(backwards(X))
    strided = {**X, "x": np.array([1.0, 9.0, 2.0, 9.0])[::2]}
    assert digest_of(strided) == digest_of(X)


@pytest.mark.parametrize(
    "other",
    [
        {"x": X["x"]},
        {"z": X["x"], "y": X["y"]},
        {**X, "x": np.array([1.0, np.nextafter(2.0, 3.0)])},
        {**X, "x": np.array([[1.0, 2.0]])},
        {**X, "x": np.array([1.0, 2.0], np.float32)},
        {**X, "x": np.array([1.0, 2.0]).view(np.int64)},
        {**X, "z": np.zeros(0)},
        {"x": np.array([1.0]), "y": np.array([[2.0, 3.0]], np.float32)},
    ],
)
def test_a_digest_notices_every_change(other: Arrays) -> None:
    assert digest_of(other) != digest_of(X)


def test_a_digest_knows_minus_zero() -> None:
    assert digest_of({"x": np.array([0.0])}) != digest_of({"x": np.array([-0.0])})
