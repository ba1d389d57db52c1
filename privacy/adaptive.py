"""Adaptive clipping: the clip norm follows a quantile of the clients' norms, itself noised.

Andrew, Thakkar, McMahan, Ramaswamy, Differentially Private Learning with Adaptive Clipping, NeurIPS
2021 (arXiv 1905.03871), algorithm 1 with the geometric update.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ..wire.fold import largest
from ..wire.lazy import each
from ..wire.messages import Arrays, Settings, named
from . import event as events
from .clipping import FINE, clipped, norm
from .gaussian import check_clip, check_multiplier, multiplier_of, noised_mean
from .mechanism import Central
from .noise import Noise
from .sampling import Sampling

CLIP, BELOW = "clip", "below"


@dataclass(frozen=True, kw_only=True)
class AdaptiveGaussian(Central):
    """Cₜ₊₁ = Cₜ exp(-η (b̃ - γ)), where b̃ is the noised share of clients whose norm is at most Cₜ.

    `clip` is C₀; `quantile` is γ, `rate` η, and Cₜ never falls below `floor`. The noise multiplier z
    pays for both releases: bᵢ = 1[‖Δᵢ‖ <= Cₜ] - 1/2 is noised with σ_b = `count_noise` times the
    expected cohort, and the sum with z_Δ Cₜ, where z_Δ = (z⁻² - (2 σ_b)⁻²)^(-1/2).

    Guarantees:
      - The noise of round t is scaled to Cₜ, by which its contributions were clipped, never to Cₜ₊₁.
      - If all clients are clipped C grows, if none is it shrinks. It stays at or above `floor`, and at
        or below what the updates of all clients may be to be summed exactly.
      - The exact share of clipped clients is not released.
    """

    clip: float = 0.1
    noise_multiplier: float | None = None
    quantile: float = 0.5
    rate: float = 0.2
    count_noise: float = 0.05
    floor: float = 1e-4

    def __post_init__(self) -> None:
        check_clip(self.clip)
        check_multiplier(self.noise_multiplier)
        if not 0 < self.quantile < 1:
            raise ValueError(f"Expected 0 < quantile < 1, got {self.quantile}.")
        for name in ("rate", "count_noise", "floor"):
            if not 0 < vars(self)[name] < math.inf:
                raise ValueError(f"Expected {name} > 0, got {vars(self)[name]}.")
        check_clip(self.floor)

    def begin(self) -> Arrays:
        """C₀."""
        return {CLIP: np.array(self.clip)}

    def terms(self, memory: Arrays) -> Settings:
        """Cₜ."""
        return {CLIP: float(memory[CLIP])}

    def bound(self, contribution: Arrays, examples: int, terms: Settings) -> Arrays:
        """The contribution with a norm of at most Cₜ, and bᵢ."""
        clip = float(terms[CLIP] or 0.0)
        parts = clipped(contribution, clip, FINE)
        below = 0.5 if norm(contribution) <= clip else -0.5
        return named("sum", each(lambda a: a * FINE, parts)) | {BELOW: np.array(below)}

    def event(self, sampling: Sampling, round: int) -> events.Event:
        """Both releases together, as one Gaussian of multiplier z."""
        self._multiplier(sampling)
        return sampling.event(events.Gaussian(noise_multiplier=multiplier_of(self)), round)

    def release(
        self, total: Arrays, sampling: Sampling, memory: Arrays, noise: Noise
    ) -> tuple[Arrays | None, Arrays]:
        """The sum noised to Cₜ over the expected cohort, and Cₜ₊₁."""
        clip, expected = float(memory[CLIP]), sampling.expected
        mean = noised_mean(total, self._multiplier(sampling) * clip, expected, noise)
        count = float(total[BELOW]) + float(noise.gaussian((), self.count_noise * expected))
        share = min(max(count / expected + 0.5, 0.0), 1.0)
        following = max(clip * math.exp(-self.rate * (share - self.quantile)), self.floor)
        return mean, {CLIP: np.array(min(following, largest(sampling.clients)))}

    def _multiplier(self, sampling: Sampling) -> float:
        """z_Δ. Raises `Unaccountable` if the count alone would cost more than z."""
        z, count = multiplier_of(self), 2 * self.count_noise * sampling.expected
        if not count > z:
            raise events.Unaccountable(
                f"The noise on the count of clipped clients, {count / 2:.3g}, is too little for "
                f"noise_multiplier = {z:g} and an expected cohort of {sampling.expected:g}: use "
                "larger cohorts, or a larger count_noise."
            )
        return float((z**-2 - count**-2) ** -0.5)
