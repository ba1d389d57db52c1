"""Client-level differential privacy with a trusted aggregator: a clipped sum and Gaussian noise.

McMahan, Ramage, Talwar, Zhang, Learning Differentially Private Recurrent Language Models, ICLR 2018
(arXiv 1710.06963), with a fixed denominator and no weights.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Final

import numpy as np
from numpy.typing import NDArray

from ..wire.lazy import each
from ..wire.messages import Arrays, Settings, named, part
from . import event as events
from .clipping import FINE, clipped
from .mechanism import Central, Steady
from .noise import Noise
from .sampling import Sampling

SIGMA: Final = 1 << 16
"""The deviation of discrete noise, in grid units: the grid is finer than the noise by this much."""


@dataclass(frozen=True, kw_only=True)
class Gaussian(Central, Steady):
    """(Σ clip(Δᵢ) + N(0, z²C²)) / qN: every client counts the same, and the denominator is public.

    `clip` is C, over all arrays of a contribution as one vector; `noise_multiplier` is z, and None
    means the least with which all rounds fit into the budget. With `hardened`, contributions are
    rounded to a grid and the noise is a discrete Gaussian on it, so that no bit of what is released
    depends on how floating-point numbers are rounded.

    Guarantees:
      - One client moves the released mean by at most C/qN before noise, whatever it sends, how many
        rows it claims, or whether it answers at all.
      - A round to which nobody contributed releases noise like any other.
      - The noise has deviation exactly z C/qN, added once.

    >>> from tacit.privacy.secret import Secret
    >>> mechanism = Gaussian(clip=1.0, noise_multiplier=0.5)
    >>> sampling = Sampling(scheme="everyone", clients=4, participation=1.0)
    >>> total = mechanism.bound({"x": np.array([30.0, 40.0])}, examples=9, terms={})
    >>> total["sum/x"].round(4)
    array([0.6, 0.8])
    >>> mean, _ = mechanism.release(total, sampling, {}, Secret.fresh().stream())
    >>> mean["x"].shape
    (2,)
    """

    clip: float
    noise_multiplier: float | None = None
    hardened: bool = False

    def __post_init__(self) -> None:
        check_clip(self.clip)
        check_multiplier(self.noise_multiplier)

    def bound(self, contribution: Arrays, examples: int, terms: Settings) -> Arrays:
        """The contribution with a norm of at most C; as steps of the grid if `hardened`."""
        grid, unit = self._grid()
        parts = clipped(contribution, self.clip, grid)
        return named("sum", each(lambda a: a * unit, parts))

    def event(self, sampling: Sampling, round: int) -> events.Event:
        """One Gaussian release on a sample."""
        released = events.Gaussian(noise_multiplier=multiplier_of(self), discrete=self.hardened)
        return sampling.event(released, round)

    def release(
        self, total: Arrays, sampling: Sampling, memory: Arrays, noise: Noise
    ) -> tuple[Arrays | None, Arrays]:
        """The noised sum divided by the expected size of a cohort."""
        std = multiplier_of(self) * self.clip
        if not self.hardened:
            return noised_mean(total, std, sampling.expected, noise), memory
        grid, unit = self._grid()

        def noised(a: NDArray[np.float64]) -> NDArray[np.float64]:
            drawn = noise.discrete_gaussian(a.size, SIGMA).reshape(a.shape)
            return np.asarray((a / unit + drawn) * (grid / sampling.expected))

        sums = part("sum", total)
        return {name: noised(sums[name]) for name in sorted(sums)}, memory

    def _grid(self) -> tuple[float, float]:
        """The grid, and what one step of it counts in a sum: a power of two, so that sums are exact."""
        return (
            (multiplier_of(self) * self.clip / SIGMA, 1.0 / SIGMA)
            if self.hardened
            else (FINE, FINE)
        )


def noised_mean(total: Arrays, std: float, expected: float, noise: Noise) -> Arrays:
    """(sum + N(0, std²)) / expected, array by array in the order of their names."""
    sums = part("sum", total)
    return {name: _noised(sums[name], std, expected, noise) for name in sorted(sums)}


def _noised(
    array: NDArray[np.float64], std: float, expected: float, noise: Noise
) -> NDArray[np.float64]:
    drawn = noise.gaussian(array.shape, std)
    drawn += array
    drawn /= expected
    return drawn


def multiplier_of(mechanism: object) -> float:
    """The noise multiplier of `mechanism`. Raises ValueError while it is still to be calibrated."""
    found = vars(mechanism)["noise_multiplier"]
    if found is None:
        raise ValueError("Expected noise_multiplier, which is to be calibrated to a budget first.")
    return float(found)


def check_clip(clip: float) -> None:
    """Raises ValueError unless `clip` is a positive number that sums can hold."""
    if not 1e-6 <= clip <= 1e6:
        raise ValueError(f"Expected 1e-6 <= clip <= 1e6, got {clip}.")


def check_multiplier(multiplier: float | None) -> None:
    """Raises ValueError unless it is None or positive."""
    if multiplier is not None and not 0 < multiplier < np.inf:
        raise ValueError(f"Expected noise_multiplier > 0, got {multiplier}.")
