"""The secret of a run or of a client: the same question gets the same answer, and is charged once."""

from __future__ import annotations

import hashlib
import hmac
import os
from dataclasses import dataclass, field
from typing import Self

import numpy as np

from ..wire.messages import Arrays
from .noise import Noise


@dataclass(frozen=True)
class Secret:
    """A key from which every random stream is derived, by what the stream is for.

    Noise is a function of the key and of what it hides: after a crash the same sum is hidden by the
    same noise, which releases the same bytes and nothing new; another sum gets noise of its own. The
    construction is that of synthetic initialisation vectors (Rogaway and Shrimpton 2006): HMAC-SHA256
    as the pseudo-random function.

    Guarantees:
      - Without the key, streams of different contexts are independent and look ideal.
      - `insecure` is true if and only if the key came from a seed.

    >>> secret = Secret.from_test_seed(1)
    >>> secret.fingerprint("round", 1) == secret.fingerprint("round", 2)
    False
    """

    key: bytes = field(repr=False)
    insecure: bool = False

    @classmethod
    def fresh(cls) -> Self:
        """From the operating system's generator."""
        return cls(os.urandom(32))

    @classmethod
    def from_test_seed(cls, seed: int) -> Self:
        """Anybody can repeat it, so it protects nobody: for tests only."""
        return cls(hashlib.sha256(f"insecure test seed {seed}".encode()).digest(), insecure=True)

    def child(self, *context: str | int | bytes) -> Secret:
        """A secret for `context` alone."""
        return Secret(self._derive("child", *context), self.insecure)

    def stream(self, *context: str | int | bytes) -> Noise:
        """The stream for `context`."""
        return Noise(self._derive("stream", *context))

    def fingerprint(self, *context: str | int | bytes) -> str:
        """Names `context` without revealing it: 64 hexadecimal digits."""
        return self._derive("fingerprint", *context).hex()

    def _derive(self, *context: str | int | bytes) -> bytes:
        found = hmac.new(self.key, digestmod=hashlib.sha256)
        for piece in context:
            data = piece if isinstance(piece, bytes) else str(piece).encode()
            found.update(len(data).to_bytes(8, "big") + data)
        return found.digest()


def digest_of(arrays: Arrays) -> bytes:
    """SHA-256 over names, shapes, dtypes and bits, whatever the order of the names."""
    found = hashlib.sha256()
    for name in sorted(arrays):
        array = arrays[name]
        found.update(repr((name, array.shape, array.dtype.str)).encode())
        found.update(np.ravel(array).data)
    return found.digest()
