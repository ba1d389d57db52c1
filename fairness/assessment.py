"""Whom a model serves: every rate by group with its error bars, every gap, and how clients differ.

What `assess` returns is a tree of frozen values which `dataclasses.asdict` and JSON can write: a
number that does not exist is None, beside the reason.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from .clients import Evenness
from .intervals import Interval


@dataclass(frozen=True, kw_only=True)
class Estimate:
    """A number with what is known of its error; `value` is None where it is `undefined`, in words.

    `rows` is the number of rows that it is over. Each interval is None where it cannot be known:

    - `sampling`: had other rows been drawn, as many, from where these come;
    - `clients`: had other clients taken part, as many (needs the counts of each client);
    - `noise`: had the noise that was added to the counts been another;
    - `both`: rows and noise.

    `binning` is the most that counting scores in bins can have moved the value.
    """

    value: float | None
    undefined: str | None = None
    rows: float = 0.0
    sampling: Interval | None = None
    clients: Interval | None = None
    noise: Interval | None = None
    both: Interval | None = None
    binning: float | None = None

    @property
    def interval(self) -> Interval | None:
        """The one to show where there is room for one: with the noise, where there is noise."""
        return self.both or self.sampling or self.clients


@dataclass(frozen=True, kw_only=True)
class Bin:
    """Of rows that score about `score`, the share of class 1 (or of right guesses, for many classes)."""

    score: float
    share: float
    rows: float


@dataclass(frozen=True, kw_only=True)
class Group:
    """The rates of one group, by name, and its reliability curve over the bins that hold enough rows."""

    name: str
    rows: float
    rates: Mapping[str, Estimate]
    reliability: tuple[Bin, ...] = ()


@dataclass(frozen=True, kw_only=True)
class Gap:
    """How far the groups of an attribute are apart by one criterion.

    `kind` is `difference` (highest less lowest), `ratio` (lowest over highest), or `signed` (second less
    first of two groups). The gap is in `rate`, between the groups `low` and `high` (of a signed one: the
    first and the second). `rows` are those behind that rate in each group that was compared, and
    `withheld` says which groups were not, and why. `bias` is the median of bootstrap draws less the
    estimate: a difference of extremes is too wide on average, most in small groups.
    """

    criterion: str
    kind: str
    rate: str
    low: str | None
    high: str | None
    rows: Mapping[str, float]
    withheld: Mapping[str, str]
    estimate: Estimate
    bias: float | None


@dataclass(frozen=True, kw_only=True)
class LocalGap:
    """The difference between groups within each client, beside the `overall` one over all rows.

    `mean` and `worst` are over the `clients` that have both groups, and None if there is none. The
    other clients are in `undefined`, with the reason. The overall gap is neither their mean nor
    bounded by them.
    """

    criterion: str
    overall: float | None
    mean: float | None
    worst: float | None
    worst_client: str | None
    clients: Mapping[str, float]
    undefined: Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class ByAttribute:
    """What one attribute shows; `local` is empty where the counts of each client are not known."""

    name: str
    groups: tuple[Group, ...]
    gaps: tuple[Gap, ...]
    local: tuple[LocalGap, ...]


@dataclass(frozen=True, kw_only=True)
class ClientFairness:
    """How `rate` is spread over clients, each with one vote.

    `gain` is by how much each client is better served than by the model that it trained by itself, and
    `harmed` the number of those for whom that is negative; empty and 0 where nobody trained by itself.
    """

    rate: str
    more_is_better: bool
    clients: Mapping[str, float]
    worst_client: str
    evenness: Evenness
    alone: Mapping[str, float]
    gain: Mapping[str, float]
    mean_gain: float | None
    worst_gain: float | None
    harmed: int


@dataclass(frozen=True, kw_only=True)
class Assessment:
    """Whom a model serves. `clients` is None where the counts of each client are not known.

    `deviation` is that of the noise on every count, and `floor` the fewest rows that a group needs.
    """

    rows: float
    deviation: float
    floor: int
    draws: int
    confidence: float
    overall: Mapping[str, Estimate]
    attributes: tuple[ByAttribute, ...] = field(default_factory=tuple)
    clients: ClientFairness | None = None
