"""Local differential privacy: every client noises what it sends, and trusts nobody.

The noise is calibrated by the analytic Gaussian mechanism, Balle and Wang, ICML 2018 (arXiv 1805.06530).
"""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from functools import lru_cache

import numpy as np

from ..wire.arrays import layout
from ..wire.lazy import each
from ..wire.messages import Arrays, Settings, named, part
from . import event as events
from .clipping import FINE, clipped
from .gaussian import check_clip
from .mechanism import Steady
from .noise import Noise
from .sampling import Sampling
from .secret import Secret, digest_of


@dataclass(frozen=True, kw_only=True)
class LocalGaussian(Steady):
    """Each client sends clip(Δᵢ) + N(0, σ²): (`epsilon`, `delta`) for each time that it takes part.

    That holds for any two values of its contribution (sensitivity 2C), against the coordinator as
    well. The error of a mean over n clients is √n times that of a trusted aggregator, so it suits
    large cohorts and small models.

    Guarantees:
      - What leaves a client is (ε, δ) indistinguishable for any two contributions, at every ε > 0.
      - A client that lies about its noise moves the mean by no more than honest noise does.
    """

    clip: float
    epsilon: float
    delta: float = 1e-5

    def __post_init__(self) -> None:
        check_clip(self.clip)
        if not 0 < self.epsilon < math.inf:
            raise ValueError(f"Expected epsilon > 0, got {self.epsilon}.")
        if not 0 < self.delta < 1:
            raise ValueError(f"Expected 0 < delta < 1, got {self.delta}.")

    @property
    def noise_multiplier(self) -> float:
        """σ/C.

        >>> round(LocalGaussian(clip=1.0, epsilon=4.377178, delta=1e-5).noise_multiplier, 4)
        2.0
        """
        return _multiplier(self.epsilon, self.delta)

    def perturb(self, contribution: Arrays, terms: Settings, secret: Secret) -> Arrays:
        """clip(Δᵢ) + N(0, σ²), in the dtypes of the contribution. Raises ValueError for NaN."""
        std = self.noise_multiplier * self.clip
        parts = clipped(contribution, self.clip, FINE)
        noise = secret.stream("local", repr(self), digest_of(contribution))
        return {
            name: (parts[name] * FINE + noise.gaussian(array.shape, std)).astype(array.dtype)
            for name, array in sorted(contribution.items())
        }

    def bound(self, contribution: Arrays, examples: int, terms: Settings) -> Arrays:
        """The noised contribution with a norm that honest noise exceeds less than once in 10^15."""
        size = sum(array.size for array in layout(contribution).values())
        most = self.clip * (1 + self.noise_multiplier * (math.sqrt(size) + 8.5))
        parts = clipped(contribution, most, FINE)
        return named("sum", each(lambda a: a * FINE, parts))

    def event(self, sampling: Sampling, round: int) -> events.Event:
        """One Gaussian, without amplification: the coordinator knows who takes part."""
        known = sampling if sampling.scheme == "cyclic" else replace(sampling, scheme="everyone")
        released = events.Gaussian(noise_multiplier=self.noise_multiplier, neighbours="replaced")
        return known.event(released, round)

    def release(
        self, total: Arrays, sampling: Sampling, memory: Arrays, noise: Noise
    ) -> tuple[Arrays | None, Arrays]:
        """The sum over the expected cohort: it is noised already."""
        mean = {k: np.asarray(a / sampling.expected) for k, a in part("sum", total).items()}
        return mean, memory


@lru_cache(maxsize=64)
def _multiplier(epsilon: float, delta: float) -> float:
    """σ/C for sensitivity 2C. It takes milliseconds, and is asked for with every message."""
    from dp_accounting import get_sigma_gaussian

    return 2 * float(get_sigma_gaussian(epsilon, delta))
