"""Correlated noise: what was added in one round is partly taken back in the next ones.

Choquette-Choo et al., (Amplified) Banded Matrix Factorization, NeurIPS 2023 (arXiv 2306.08153), with the
banded square root of Kalinin and Lampert 2024 (arXiv 2405.13763) as the strategy matrix.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from ..wire.lazy import each
from ..wire.messages import Arrays, Settings, named, part
from . import event as events
from .clipping import FINE, clipped
from .gaussian import check_clip, check_multiplier, multiplier_of
from .mechanism import Central, Steady
from .noise import Noise
from .sampling import Sampling


@dataclass(frozen=True, kw_only=True)
class BandedGaussian(Central, Steady):
    """Releases C⁻¹(C x + z) row by row: x̂ₜ = xₜ + nₜ, where nₜ = (zₜ - Σⱼ cⱼ nₜ₋ⱼ)/c₀, j = 1..b-1.

    C is Toeplitz and lower triangular with `bands` = b coefficients: those of (1 - x)^(-1/2), which
    cancel most of the noise in the sum over rounds, scaled so that ‖c‖ = 1. If no client takes part
    twice within b rounds, its k contributions meet k disjoint sets of rows of C, and the whole is one
    Gaussian mechanism of multiplier z/√k: z once for each time that a client takes part. No secret
    sampling is needed, so the cohorts may be known.

    Guarantees:
      - The noise of a run, multiplied by C, is white with deviation z times the clip norm.
      - Sampling that lets a client back within b rounds is refused.
    """

    clip: float
    noise_multiplier: float | None = None
    bands: int = 8

    def __post_init__(self) -> None:
        check_clip(self.clip)
        check_multiplier(self.noise_multiplier)
        if not self.bands >= 1:
            raise ValueError(f"Expected bands >= 1, got {self.bands}.")

    def coefficients(self) -> NDArray[np.float64]:
        """c₀ to c_{b-1}, of norm 1.

        >>> c = BandedGaussian(clip=1.0, bands=3).coefficients()
        >>> c / c[0]
        array([1.   , 0.5  , 0.375])
        """
        steps = np.arange(1, self.bands)
        found = np.concatenate([[1.0], np.cumprod((2 * steps - 1) / (2 * steps))])
        return np.asarray(found / np.linalg.norm(found))

    def bound(self, contribution: Arrays, examples: int, terms: Settings) -> Arrays:
        """The contribution with a norm of at most C."""
        parts = clipped(contribution, self.clip, FINE)
        return named("sum", each(lambda a: a * FINE, parts))

    def event(self, sampling: Sampling, round: int) -> events.Event:
        """One Gaussian for each cycle, in which each client takes part once."""
        if sampling.separation < self.bands:
            raise events.Unaccountable(
                f"{self.bands} bands need {self.bands} rounds between two in which a client takes "
                f"part, and this sampler guarantees {sampling.separation}; use sampler.kind = "
                f'"cyclic" with groups >= {self.bands}, or fewer bands.'
            )
        return sampling.event(events.Gaussian(noise_multiplier=multiplier_of(self)), round)

    def release(
        self, total: Arrays, sampling: Sampling, memory: Arrays, noise: Noise
    ) -> tuple[Arrays | None, Arrays]:
        """The sum with its correlated noise over the expected cohort; the last b-1 noises are kept."""
        c, std = self.coefficients(), multiplier_of(self) * self.clip
        mean: dict[str, NDArray[np.float64]] = {}
        kept: dict[str, NDArray[np.float64]] = {}
        sums = part("sum", total)
        for name in sorted(sums):
            array, before = sums[name], memory.get(name, ())
            drawn = noise.gaussian(array.shape, std)
            for j, earlier in enumerate(before, start=1):
                drawn -= c[j] * earlier
            added = drawn / c[0]
            kept[name] = np.stack([added, *before])[: self.bands - 1]
            mean[name] = (array + added) / sampling.expected
        return mean, kept
