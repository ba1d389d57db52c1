"""Cryptographic randomness: noise and coins that nobody without the key can tell from ideal ones."""

from __future__ import annotations

import math
from typing import Protocol

import numpy as np
from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes
from numpy.typing import NDArray

BLOCK = 1 << 15
"""How many values are drawn at a time: so that the scratch space stays in the cache."""


class Uniform(Protocol):
    """Coins: what a sampler draws from. numpy's generators are some, a `Noise` is another."""

    def random(self, size: int, /) -> NDArray[np.float64]:
        """`size` values in [0, 1)."""
        ...


class Noise:
    """One stream of randomness: AES-256 in counter mode under a key that is used for nothing else.

    Equal keys give equal streams, which is how a round that is repeated repeats its noise; see `Secret`.

    Guarantees:
      - Neither the global seeds nor other streams have any influence on a stream.
      - `gaussian` reaches beyond 8.5 standard deviations in float64, and beyond 6.6 in float32.
      - `discrete_gaussian` is exact: it rests on integer comparisons alone.

    >>> Noise(bytes(32)).gaussian((2, 3)).shape
    (2, 3)
    """

    def __init__(self, key: bytes) -> None:
        self._cipher = Cipher(algorithms.AES256(key), modes.CTR(bytes(16))).encryptor()

    def words(self, size: int) -> NDArray[np.uint64]:
        """`size` uniform words of 64 bits."""
        found = np.zeros(size, np.uint64)
        if size:
            bytes_of = found.data.cast("B")
            self._cipher.update_into(bytes_of, bytes_of)
        return found

    def random(self, size: int, /) -> NDArray[np.float64]:
        """`size` values in [0, 1), multiples of 2^-53."""
        return np.asarray((self.words(size) >> np.uint64(11)) * 2.0**-53, np.float64)

    def gaussian(self, shape: tuple[int, ...], std: float = 1.0) -> NDArray[np.float64]:
        """Independent normal values of mean 0 (Box and Muller 1958)."""
        found = np.empty(math.prod(shape))
        for start in range(0, found.size, BLOCK):
            part = found[start : start + BLOCK]
            half = -(-part.size // 2)
            radius = np.sqrt(-2.0 * np.log(1.0 - self.random(half)))
            angle = self.random(half) * (2.0 * math.pi)
            part[:half] = radius * np.cos(angle)
            part[half:] = (radius * np.sin(angle))[: part.size - half]
        found *= std
        return found.reshape(shape)

    def gaussian32(self, size: int) -> NDArray[np.float32]:
        """`size` standard normal values in float32, many times as fast: for the steps of DP-SGD."""
        found = np.empty(size, np.float32)
        for start in range(0, size, BLOCK):
            part = found[start : start + BLOCK]
            half = -(-part.size // 2)
            uniform = self.words(half).view(np.uint32).astype(np.float32)
            radius = np.sqrt(-2.0 * np.log((uniform[:half] + np.float32(1)) * np.float32(2**-32)))
            angle = uniform[half:] * np.float32(2 * math.pi * 2**-32)
            part[:half] = radius * np.cos(angle)
            part[half:] = (radius * np.sin(angle))[: part.size - half]
        return found

    def below(self, bound: NDArray[np.int64]) -> NDArray[np.int64]:
        """Uniform integers in [0, bound), element by element; every bound in [1, 2^62]."""
        found = np.empty(bound.size, np.int64)
        open_ = np.arange(bound.size)
        while open_.size:
            drawn = (self.words(open_.size) >> np.uint64(1)).astype(np.int64)
            limit = bound[open_]
            found[open_] = drawn % limit
            open_ = open_[drawn >= (2**63 - 1) // limit * limit]  # the uneven rest is drawn again
        return found

    def discrete_gaussian(self, size: int, sigma: int) -> NDArray[np.int64]:
        """`size` integers k with probability proportional to exp(-k² / 2σ²), for 1 <= σ <= 2^20.

        Canonne, Kamath, Steinke, The Discrete Gaussian for Differential Privacy, NeurIPS 2020 (arXiv
        2004.00010), algorithms 1 to 3, over whole arrays.
        """
        if not 1 <= sigma <= 1 << 20:
            raise ValueError(f"Expected 1 <= sigma <= 2^20, got {sigma}.")
        found = np.empty(size, np.int64)
        done = 0
        while done < size:
            tried = self._discrete_laplace(min(BLOCK, 2 * (size - done) + 16), sigma)
            far = (np.abs(tried) - sigma) ** 2
            kept = tried[self._survives(far, 2 * sigma * sigma)][: size - done]
            found[done : done + kept.size] = kept
            done += kept.size
        return found

    def _discrete_laplace(self, size: int, scale: int) -> NDArray[np.int64]:
        """At most `size` integers k with probability proportional to exp(-|k| / scale)."""
        rest = self.below(np.full(size, scale, np.int64))
        rest = rest[self._survives(rest, scale)]
        whole = np.zeros(rest.size, np.int64)
        more = np.arange(rest.size)
        while more.size:
            more = more[self._survives(np.ones(more.size, np.int64), 1)]
            whole[more] += 1
        size_of = rest + scale * whole
        negative = self.below(np.full(rest.size, 2, np.int64)) == 1
        kept = ~(negative & (size_of == 0))  # zero would count twice
        return np.asarray(np.where(negative, -size_of, size_of)[kept])

    def _survives(self, numerator: NDArray[np.int64], denominator: int) -> NDArray[np.bool_]:
        """Coins that show heads with probability exp(-numerator / denominator), exactly."""
        alive = np.ones(numerator.size, np.bool_)
        whole = numerator // denominator
        step = 0
        while (open_ := np.flatnonzero(alive & (whole > step))).size:
            alive[open_] = self._at_most_one(np.full(open_.size, denominator), denominator)
            step += 1
        open_ = np.flatnonzero(alive)
        alive[open_] = self._at_most_one(numerator[open_] % denominator, denominator)
        return alive

    def _at_most_one(self, numerator: NDArray[np.int64], denominator: int) -> NDArray[np.bool_]:
        """The same for quotients in [0, 1]: how many of the coins γ/1, γ/2, ... in a row show heads?"""
        count = np.ones(numerator.size, np.int64)
        open_ = np.arange(numerator.size)
        while open_.size:
            heads = self.below(denominator * count[open_]) < numerator[open_]
            open_ = open_[heads]
            count[open_] += 1
        return np.asarray(count % 2 == 1)
