"""How counts leave: with noise on every entry, whether a client is protected as a whole, or each row.

The noise is a discrete Gaussian (Canonne, Kamath, Steinke 2020, arXiv 2004.00010), so that no bit of
what is released depends on how floating-point numbers are rounded.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Final, Literal

import numpy as np
from numpy.typing import NDArray

from ..wire.lazy import each
from ..wire.messages import Arrays, Settings, named, part
from . import event as events
from .gaussian import Gaussian, check_multiplier, multiplier_of
from .mechanism import Steady
from .noise import Noise
from .sampling import Sampling
from .secret import Secret, digest_of

FINEST: Final = 2.0**-16
"""The finest grid that counts with noise are on; what is counted exactly is on a finer one."""
MOST: Final = 2.0**40
"""What no entry exceeds: more than that is no count, and not worth an overflow."""
LARGEST: Final = 1 << 20
"""The largest deviation of the noise, in steps of the grid."""


@dataclass(frozen=True, kw_only=True)
class ClientCounts(Gaussian):
    """Σ clip(tables of client i) + noise: whatever a client counts, it moves them by at most `clip`.

    The tables of a client with more rows than fit into the clip are scaled down, so that its rates stay
    and its weight does not.
    """

    hardened: bool = True

    def deviation(self, answers: int) -> float:
        """The standard deviation of the noise on an entry of the sum, whoever answered."""
        return multiplier_of(self) * self.clip


@dataclass(frozen=True, kw_only=True)
class RowCounts(Steady):
    """Σ tables + noise, where one row changes all tables of a client by a norm of `sensitivity` at most,
    and no entry by more than 1.

    The noise has a deviation of `noise_multiplier` times the sensitivity, and is added by each client
    before it answers (`by` "clients"), or once to the sum by the "coordinator", who then sees exact
    counts. Nothing bounds what a client as a whole adds.

    Guarantees:
      - What is released about one row of one client is at most `row_event`.
      - Equal tables get equal noise in the same round of the same run, other tables other noise.
    """

    sensitivity: float
    noise_multiplier: float
    by: Literal["clients", "coordinator"] = "clients"

    def __post_init__(self) -> None:
        check_multiplier(self.noise_multiplier)
        if not 0 < self._wanted <= LARGEST / 2:
            raise ValueError(
                f"Expected noise of a deviation above 0 and of at most {LARGEST // 2:,}, got "
                f"{self._wanted:g}."
            )

    @property
    def row_event(self) -> events.Gaussian:
        """What one evaluation reveals about a row that is counted in it."""
        return events.Gaussian(noise_multiplier=self.noise_multiplier, discrete=True)

    def perturb(self, contribution: Arrays, terms: Settings, secret: Secret) -> Arrays:
        """The client's tables, on the grid, with its noise if it adds it."""
        rounded = {name: self._steps(contribution[name]) for name in sorted(contribution)}
        if self.by == "clients":
            noise = secret.stream("counts", repr(self), digest_of(contribution))
            rounded = {name: array + self._drawn(array, noise) for name, array in rounded.items()}
        return {name: array * self._grid for name, array in rounded.items()}

    def bound(self, contribution: Arrays, examples: int, terms: Settings) -> Arrays:
        """As they came, on the grid: a coordinator cannot know what a row counts."""
        return named("sum", each(lambda a: self._steps(a) * self._grid, contribution))

    def event(self, sampling: Sampling, round: int) -> events.Event:
        """Of a client as a whole nothing is bounded."""
        return events.NonPrivate()

    def release(
        self, total: Arrays, sampling: Sampling, memory: Arrays, noise: Noise
    ) -> tuple[Arrays | None, Arrays]:
        """The sum over the expected cohort, noised if nobody has done so yet."""
        sums = part("sum", total)
        found = {}
        for name in sorted(sums):
            drawn = self._drawn(sums[name], noise) if self.by == "coordinator" else 0
            found[name] = (sums[name] + drawn * self._grid) / sampling.expected
        return found, memory

    def deviation(self, answers: int) -> float:
        """The standard deviation of the noise on an entry of the sum of so many answers."""
        return self._sigma * self._grid * math.sqrt(answers if self.by == "clients" else 1)

    @property
    def _wanted(self) -> float:
        return self.noise_multiplier * self.sensitivity

    @property
    def _grid(self) -> float:
        """The finest power of two at which the noise is narrow enough to be drawn."""
        return float(max(FINEST, 2.0 ** math.ceil(math.log2(2 * self._wanted / LARGEST))))

    @property
    def _sigma(self) -> int:
        """The deviation in steps. Rounding turns a change of 1 at most into one of a step more."""
        return math.ceil(self._wanted * (1 + self._grid) / self._grid)

    def _steps(self, array: NDArray[np.float64]) -> NDArray[np.float64]:
        return np.rint(np.clip(np.asarray(array, np.float64), -MOST, MOST) / self._grid)

    def _drawn(self, array: NDArray[np.float64], noise: Noise) -> NDArray[np.int64]:
        return noise.discrete_gaussian(array.size, self._sigma).reshape(array.shape)
