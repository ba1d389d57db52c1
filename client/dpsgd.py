"""DP-SGD in public facts: what is clipped, how much noise there is, and which event one step is."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace
from typing import Literal, Self, get_args

from ..privacy.event import Event, Gaussian, Poisson

Clipping = Literal["flat", "per_layer", "adaptive"]
Engine = Literal["hooks", "ghost"]


@dataclass(frozen=True, kw_only=True)
class DPSGD:
    """Gradients clipped row by row, summed over a Poisson batch, and noised (Abadi et al. 2016).

    In every step each of a client's N rows is in the batch by its own coin, of probability
    q = min(1, batch_size / N). What a row adds to the sum has L2 norm at most `clip`; every coordinate
    of the sum gets normal noise of deviation `noise_multiplier` x `clip`, once; and the sum is divided
    by q N, whatever came. A step is one event, `Poisson(q, Gaussian(noise_multiplier))`, with one row
    as the unit. N is treated as public, for q depends on it.

    `noise_multiplier` is one number, or a number for each client by name: see `for_client`.

    `clipping` is over all parameters together ("flat"); over each of the K trained tensors by itself,
    to clip / sqrt(K), so that all of them together are within `clip` ("per_layer"); or over all of
    them to a bound that starts at `clip` in every fit and follows the median norm ("adaptive", Andrew
    et al. 2021, arXiv 1905.03871, algorithm 1) between clip / 100 and 100 clip. The median is
    found by a noised count, whose cost is within `noise_multiplier`: see `split`.

    `engine` says how: by the gradient of each row ("hooks"), or by its norm and a second backward pass
    ("ghost", Li et al. 2021, arXiv 2110.05679), which needs less memory and knows only "flat". The
    two passes of the latter round in their own ways, so a row made for it, whose terms are 10^4 times
    their sum, may pass the clip by a part in 10^4; with "hooks" none passes it by more than 10^-6.
    `physical_batch` is how many rows are in memory at once; the sum, and so the result, is the same
    (but for rounding, and for the masks that dropout draws).

    Raises ValueError for a number out of range, and for a clipping that the engine does not know.

    >>> terms = DPSGD(noise_multiplier={"a": 1.0, "b": 2.0}).for_client("b")
    >>> terms.event(rows=100, batch_size=20)
    Poisson(rate=0.2, of=Gaussian(noise_multiplier=2.0, discrete=False, neighbours='any'))
    >>> terms.rate(rows=10, batch_size=20)
    1.0
    """

    clip: float = 1.0
    noise_multiplier: float | dict[str, float]
    clipping: Clipping = "flat"
    engine: Engine = "hooks"
    physical_batch: int | None = None

    def __post_init__(self) -> None:
        if not (self.clip > 0 and math.isfinite(self.clip)):
            raise ValueError(f"Expected clip > 0, got {self.clip}.")
        given = self.noise_multiplier
        if given == {}:
            raise ValueError("Expected a noise_multiplier for each client, got none.")
        for client, value in (given if isinstance(given, dict) else {None: given}).items():
            if not (value > 0 and math.isfinite(value)):
                of = "" if client is None else f" for client {client!r}"
                raise ValueError(f"Expected noise_multiplier > 0{of}, got {value}.")
        for name, known in (("clipping", get_args(Clipping)), ("engine", get_args(Engine))):
            if vars(self)[name] not in known:
                raise ValueError(f"Expected {name} in {known}, got {vars(self)[name]!r}.")
        if self.engine == "ghost" and self.clipping != "flat":
            raise ValueError(
                f'Expected clipping = "flat" with engine = "ghost", got {self.clipping!r}: it knows '
                'the norm of a row over all layers only. Use engine = "hooks".'
            )
        most = self.physical_batch
        if most is not None and not (isinstance(most, int) and most >= 1):
            raise ValueError(f"Expected physical_batch >= 1, got {most}.")

    def for_client(self, name: str) -> Self:
        """The terms with the noise multiplier of client `name`. Raises ValueError if it has none."""
        if not isinstance(self.noise_multiplier, dict):
            return self
        if name not in self.noise_multiplier:
            raise ValueError(
                f"Expected a noise_multiplier for client {name!r}, got those of "
                f"{sorted(self.noise_multiplier)}."
            )
        return replace(self, noise_multiplier=self.noise_multiplier[name])

    @property
    def multiplier(self) -> float:
        """The noise multiplier of one step. Raises ValueError if it still depends on the client."""
        if isinstance(self.noise_multiplier, dict):
            raise ValueError("Expected one noise_multiplier, got one by client: use for_client.")
        return self.noise_multiplier

    def rate(self, rows: int, batch_size: int) -> float:
        """The probability q with which a row is in a batch. Raises ValueError if there are no rows."""
        if not rows >= 1 or not batch_size >= 1:
            raise ValueError(f"Expected rows >= 1 and batch_size >= 1, got {rows}, {batch_size}.")
        return min(1.0, batch_size / rows)

    def event(self, rows: int, batch_size: int) -> Event:
        """What one step releases, by all that it says."""
        of, rate = Gaussian(noise_multiplier=self.multiplier), self.rate(rows, batch_size)
        return of if rate == 1 else Poisson(rate=rate, of=of)

    def split(self, expected: int) -> tuple[float, float]:
        """The noise multiplier of the gradients, and the deviation of the noise on the count.

        Only "adaptive" counts: rows within the bound as +1/2, others as -1/2. With the deviation s of
        the count, the gradients get (z^-2 - (2 s)^-2)^-1/2, so that both together are as private as
        one release at z. s is a twentieth of the `expected` batch as in the paper, but at least z,
        which exists always and gives the gradients at most 2 z / sqrt(3).

        >>> multiplier, deviation = DPSGD(noise_multiplier=1.0, clipping="adaptive").split(200)
        >>> round(multiplier, 4), deviation
        (1.0013, 10.0)
        """
        z = self.multiplier
        if self.clipping != "adaptive":
            return z, 0.0
        deviation = max(expected / 20, z)
        return (z**-2 - (2 * deviation) ** -2) ** -0.5, deviation
