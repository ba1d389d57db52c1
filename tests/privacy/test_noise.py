"""The noise against the distributions that it should have.

Keys are fixed, so that no test here fails now and then. Each says how often correct noise would fail it
under a fresh key.
"""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from numpy.typing import NDArray
from scipy import stats  # type: ignore[import-untyped]
from tacit.privacy import Noise, Secret
from tacit.privacy.noise import BLOCK

RARELY = 1e-6
"""How often a correct sampler has so small a p-value: one test of a million."""
Floats = NDArray[np.float64]


def stream(*context: str | int) -> Noise:
    return Secret.from_test_seed(5).stream(*context)


def test_the_stream_is_aes_256_in_counter_mode() -> None:
    """The first two blocks of zeros under the key of FIPS 197, appendix C.3, counted up from 0."""
    from cryptography.hazmat.primitives.ciphers import Cipher, algorithms, modes

    key = bytes(range(32))
    block = Cipher(algorithms.AES256(key), modes.ECB()).encryptor()
    wanted = block.update(bytes(16) + bytes(15) + b"\x01")
    assert Noise(key).words(4).tobytes() == wanted


def test_a_stream_goes_on_where_it_was() -> None:
    one, other = stream("on"), stream("on")
    parts = np.concatenate([one.words(3), one.words(0), one.words(5)])
    np.testing.assert_array_equal(parts, other.words(8))


def test_bits_are_fair() -> None:
    """Of 64 counts of 10^5 fair bits, none is 6.5 standard errors off, but 5 times in 10^9."""
    words = stream("bits").words(100_000)
    ones = [int(np.sum(words >> np.uint64(bit) & np.uint64(1))) for bit in range(64)]
    assert np.max(np.abs(np.array(ones) - 50_000)) < 6.5 * math.sqrt(100_000) / 2


def test_coins_are_uniform() -> None:
    """Kolmogorov and Smirnov; fails once in a million times."""
    drawn = stream("uniform").random(200_000)
    assert stats.kstest(drawn, "uniform").pvalue > RARELY
    assert 0 <= drawn.min() < drawn.max() < 1
    np.testing.assert_array_equal(drawn * 2**53, np.rint(drawn * 2**53))


@pytest.mark.parametrize("bound", [1, 2, 3, 1000, 3 * 2**40, 2**62])
def test_whole_numbers_below_a_bound_are_uniform(bound: int) -> None:
    """Chi-square over 20 cells, or as many as there are; fails once in a million times."""
    drawn = stream("below", bound).below(np.full(100_000, bound, np.int64))
    assert drawn.min() >= 0
    assert drawn.max() < bound
    if bound > 1:
        cells = min(bound, 20)
        edges = [-(-bound * i // cells) for i in range(cells + 1)]
        counts = np.diff([int(np.sum(drawn < edge)) for edge in edges])
        expected = np.diff(edges) / bound * len(drawn)
        assert stats.chisquare(counts, expected).pvalue > RARELY


@pytest.mark.parametrize("size", [200_000, 199_999])
def test_normal_noise_is_normal(size: int) -> None:
    """Kolmogorov and Smirnov; fails once in a million times. So does each half of a block."""
    drawn = stream("normal").gaussian((size,))
    for part in (drawn, drawn[: size // 2], drawn[size // 2 :]):
        assert stats.kstest(part, "norm").pvalue > RARELY


def test_normal_noise_in_float32_is_normal() -> None:
    drawn = stream("normal 32").gaussian32(200_001)
    assert drawn.dtype == np.float32
    assert drawn.shape == (200_001,)
    assert stats.kstest(drawn.astype(np.float64), "norm").pvalue > RARELY
    assert np.all(np.isfinite(drawn))


@pytest.mark.parametrize("at", [2.0, 3.0, 4.0])
def test_the_tails_are_as_heavy_as_they_should_be(at: float) -> None:
    """Binomial counts beyond `at` of 2 x 10^6; each fails once in a million times."""
    for drawn in (stream("tails").gaussian((2_000_000,)), stream("tails").gaussian32(2_000_000)):
        share = 2 * float(stats.norm.sf(at))
        beyond = int(np.sum(np.abs(drawn) > at))
        assert stats.binomtest(beyond, len(drawn), share).pvalue > RARELY


def test_the_moments_are_right() -> None:
    """Of 10^6 values: mean, variance, skewness and kurtosis within 6 standard errors, which a correct
    sampler leaves about once in 10^8 times."""
    drawn = stream("moments").gaussian((1_000_000,), 3.0) / 3.0
    for power, wanted, variance in ((1, 0, 1), (2, 1, 2), (3, 0, 15), (4, 3, 96)):
        assert abs(float(np.mean(drawn**power)) - wanted) < 6 * math.sqrt(variance / 1e6)


def test_the_largest_values_are_within_reach_and_nothing_is_infinite() -> None:
    """8.5 deviations in float64, and 6.6 in float32, from the least uniform that there is."""
    assert math.sqrt(-2 * math.log(2.0**-53)) > 8.5
    assert math.sqrt(-2 * math.log(2.0**-32)) > 6.6


@pytest.mark.parametrize("shape", [(), (0,), (1,), (3, 0), (5,), (2, 3)])
def test_noise_has_the_shape_that_was_asked_for(shape: tuple[int, ...]) -> None:
    drawn = stream("shape").gaussian(shape, 2.0)
    assert np.shape(drawn) == shape
    assert drawn.dtype == np.float64


def test_noise_in_blocks_is_independent_of_itself() -> None:
    """Blocks and their halves come from different words; fails twice in 10^9 times."""
    drawn = stream("blocks").gaussian((BLOCK + 200_000,))
    half = 100_000
    pairs = [
        (drawn[:half], drawn[BLOCK : BLOCK + half]),
        (drawn[:half], drawn[BLOCK // 2 : BLOCK // 2 + half]),
        (drawn[:half], drawn[1 : half + 1]),
    ]
    for one, other in pairs:
        assert abs(float(np.corrcoef(one, other)[0, 1])) < 6 / math.sqrt(half)
        squares = np.corrcoef(one**2, other**2)[0, 1]
        assert abs(float(squares)) < 6 / math.sqrt(half)


def test_streams_of_different_contexts_are_independent() -> None:
    """Correlations of 10^5 pairs; one is 6 standard errors off twice in 10^9 times."""
    contexts: list[tuple[str | int, ...]] = [("a",), ("b",), ("a", 1), ("a", 2), (), ("a1",)]
    drawn = np.array([stream(*context).gaussian((100_000,)) for context in contexts])
    off = np.corrcoef(drawn) - np.eye(len(drawn))
    assert float(np.max(np.abs(off))) < 6 / math.sqrt(100_000)


def test_no_global_seed_has_any_influence() -> None:
    found = []
    numpy_before = np.random.get_state()  # noqa: NPY002 - to see that it is left alone
    torch_before = torch.random.get_rng_state()
    for seed in (0, 1):
        np.random.seed(seed)  # noqa: NPY002
        torch.manual_seed(seed)
        noise = Noise(bytes(32))
        found.append(
            [
                noise.gaussian((9,)).tobytes(),
                noise.gaussian32(9).tobytes(),
                noise.discrete_gaussian(9, 5).tobytes(),
            ]
        )
    np.random.set_state(numpy_before)  # noqa: NPY002
    torch.random.set_rng_state(torch_before)
    assert found[0] == found[1]
    np.random.seed(0)  # noqa: NPY002
    one = Secret.fresh().stream().gaussian((9,))
    np.random.seed(0)  # noqa: NPY002
    assert not np.any(one == Secret.fresh().stream().gaussian((9,)))


def discrete_pmf(sigma: int) -> tuple[NDArray[np.int64], Floats]:
    """The integers within 12 σ and their probabilities, normalised in double precision."""
    k = np.arange(-12 * sigma, 12 * sigma + 1)
    weights = np.exp(-(k.astype(np.float64) ** 2) / (2 * sigma**2))
    return k, np.asarray(weights / weights.sum())


@pytest.mark.parametrize("sigma", [1, 2, 3, 7, 50])
def test_the_discrete_gaussian_has_its_exact_probabilities(sigma: int) -> None:
    """Chi-square against the probability of every integer that is expected 5 times or more, the rest
    pooled on either side; fails once in a million times."""
    size = 200_000
    drawn = stream("discrete", sigma).discrete_gaussian(size, sigma)
    k, pmf = discrete_pmf(sigma)
    likely = k[pmf * size >= 5]
    low, high = int(likely[0]), int(likely[-1])
    counts = np.array([np.sum(drawn < low), *np.bincount(
        drawn[(drawn >= low) & (drawn <= high)] - low, minlength=high - low + 1
    ), np.sum(drawn > high)])  # fmt: skip
    inside = pmf[(k >= low) & (k <= high)]
    tail = (1 - inside.sum()) / 2
    expected = size * np.array([tail, *inside, tail])
    statistic = float(np.sum((counts - expected) ** 2 / expected))
    assert float(stats.chi2.sf(statistic, len(counts) - 1)) > RARELY


def test_the_discrete_gaussian_at_the_deviation_of_hardened_mode_is_normal_to_the_eye() -> None:
    """2^16 grid units a deviation: Kolmogorov and Smirnov cannot see the grid in 10^5 values, and fail
    once in a million times. The deviation is off by more than 1.3 % once in 10^8 times."""
    drawn = stream("hardened").discrete_gaussian(100_000, 1 << 16)
    assert drawn.dtype == np.int64
    assert stats.kstest(drawn / 2**16, "norm").pvalue > RARELY
    assert abs(float(drawn.std()) / 2**16 - 1) < 0.013


def test_the_discrete_gaussian_has_as_many_values_as_were_asked_for() -> None:
    for size in (0, 1, 2, 100):
        assert stream("size").discrete_gaussian(size, 4).shape == (size,)


@pytest.mark.parametrize("sigma", [0, -1, (1 << 20) + 1])
def test_a_deviation_out_of_range_is_refused(sigma: int) -> None:
    with pytest.raises(ValueError, match="Expected 1 <= sigma <= 2\\^20"):
        stream().discrete_gaussian(1, sigma)
