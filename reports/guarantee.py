"""What a configuration promises about a unit, or a run has kept: ε with all that gives it a meaning."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from statistics import median_low

from ..privacy import AdaptiveGaussian, BandedGaussian, Gaussian, LocalGaussian
from ..privacy.accountants import Counts, rdp_epsilon
from ..privacy.accounting import releases_left
from ..privacy.budget import Budget, Unit
from ..privacy.event import Covered, Event, NonPrivate, Unaccountable
from ..privacy.gaussian import multiplier_of
from ..simulations.config import Config
from ..simulations.private import release_counts
from .numbers import stated

UNSEEN = "kept by the sites, not seen here"
INSECURE = "INSECURE: noise from a test seed protects nobody"


@dataclass(frozen=True, kw_only=True)
class Bound:
    """No release says more about a `unit` than `epsilon` at `delta`; infinite if nothing bounds it.

    If it is `unseen`, sites know ε, each for its own rows, and nobody here does.
    """

    unit: Unit
    epsilon: float
    budget: Budget
    unseen: bool = False

    @property
    def finite(self) -> bool:
        """Whether it says anything."""
        return math.isfinite(self.epsilon)

    def __str__(self) -> str:
        if self.unseen:
            return f"ε of a single row is {UNSEEN} ({self._limit()})"
        if not self.finite:
            return f"none: ε = ∞ ({self.unit})"
        of = f" of {self.budget.epsilon:.4g}" if self.budget.finite else ""
        meaning = f"({self.unit}, {self.budget.adjacency.label})"
        return f"ε = {number(self.epsilon)}{of} at δ = {self.budget.delta:.3g} {meaning}"

    def _limit(self) -> str:
        if not self.budget.finite:
            return "no budget was agreed on"
        return f"each was to stop at {self.budget}"


@dataclass(frozen=True, kw_only=True)
class Spread:
    """ε over clients whose rows are protected: the least, the median and the most."""

    least: float
    median: float
    most: float
    client: str = field(repr=False)


def number(epsilon: float) -> str:
    """ε as people read it, rounded up: what is printed is never less than what was computed.

    >>> number(7.9301), number(0.01234), number(123.45)
    ('7.94', '0.0124', '124')
    """
    if not math.isfinite(epsilon):
        return "∞"
    if epsilon <= 0:
        return "0"
    digits = 2 - math.floor(math.log10(epsilon)) if epsilon < 100 else 0
    digits = min(digits, 2) if epsilon >= 1 else digits
    return f"{math.ceil(epsilon * 10**digits - 1e-9) / 10**digits:.{max(digits, 0)}f}"


def is_noised(config: Config, unit: Unit) -> bool:
    """Whether anything bounds what is released about a `unit`."""
    if unit is Unit.EXAMPLE:
        return config.dpsgd is not None
    return config.mechanism_kind != "mean"


def noise_multiplier(config: Config) -> float:
    """The deviation of a mechanism's noise in clip norms. Raises ValueError if it adds none."""
    match config.mechanism:
        case Gaussian() | AdaptiveGaussian() | BandedGaussian():
            return multiplier_of(config.mechanism)
        case LocalGaussian(noise_multiplier=multiplier):
            return multiplier
        case _:
            raise ValueError(f"A mechanism of kind {config.mechanism_kind!r} adds no noise.")


def noise_std(config: Config, clients: int) -> float | None:
    """The deviation of the noise on the sum of a round; None if it is not the same in every round."""
    multiplier, expected = noise_multiplier(config), config.sampler.sampling(clients).expected
    match config.mechanism:
        case Gaussian(clip=clip):
            return multiplier * clip
        case LocalGaussian(clip=clip):
            return multiplier * clip * math.sqrt(expected)
        case _:
            return None


def of_a_client(config: Config, clients: int, rounds: int) -> dict[Event, int]:
    """What `rounds` rounds reveal about a client."""
    return release_counts(config.mechanism, config.sampler.sampling(clients), rounds)


def of_an_example(config: Config, client: str, rows: int, rounds: int) -> dict[Event, int]:
    """What `rounds` rounds, in all of which `client` takes part, reveal about one of its rows."""
    if config.dpsgd is None:
        return {NonPrivate(): rounds}
    event = config.dpsgd.for_client(client).event(rows, config.train.batch_size)
    return {event: rounds * config.train.steps_of(rows=rows)}


def spread(by_client: Mapping[str, Counts], budget: Budget) -> Spread:
    """How ε differs between clients.

    PLD takes long, and never states more than RDP: so the most is looked for where RDP is high.
    """
    delta, adjacency = budget.delta, budget.adjacency
    order = sorted(by_client, key=lambda name: _bound(by_client[name], budget))
    most, client = -1.0, ""
    for name in reversed(order):
        if _bound(by_client[name], budget) <= most:
            break
        found = stated(by_client[name], delta, adjacency)
        if found > most:
            most, client = found, name
    middle = median_low(range(len(order)))
    return Spread(
        least=stated(by_client[order[0]], delta, adjacency),
        median=stated(by_client[order[middle]], delta, adjacency),
        most=most,
        client=client,
    )


def rounds_left(spent: Counts, releases: Sequence[Event], budget: Budget) -> int | None:
    """How many more rounds fit, if they release `releases` in turn; None without a budget."""
    first = releases[0]
    if not budget.finite:
        return None
    try:
        left = releases_left(spent, first, budget)
    except Unaccountable:
        return 0
    return left * len(releases)


def cycle(config: Config, clients: int) -> list[Event]:
    """What the rounds release until it starts again: the first, and those that it covers."""
    sampling = config.sampler.sampling(clients)
    found = [config.mechanism.event(sampling, 1)]
    while isinstance(event := config.mechanism.event(sampling, len(found) + 1), Covered):
        found.append(event)
    return found


def _bound(counts: Counts, budget: Budget) -> float:
    try:
        return rdp_epsilon(counts, budget.delta, budget.adjacency)
    except Unaccountable:
        return math.inf
