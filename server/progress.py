"""What a coordinator says as it works: public facts, one value for each thing that happened."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field

from ..wire.messages import Failure, Refusal, Settings, Statistics


@dataclass(frozen=True, kw_only=True)
class Began:
    """A round began; `cohort` clients were asked."""

    round: int
    rounds: int
    cohort: int


@dataclass(frozen=True, kw_only=True)
class Refused:
    """An update was refused."""

    round: int
    refusal: Refusal


@dataclass(frozen=True, kw_only=True)
class Failed:
    """A client raised."""

    round: int
    failure: Failure


@dataclass(frozen=True, kw_only=True)
class Committed:
    """A round is durable: how many were asked, admitted, refused; sums over the admitted; seconds.

    `ledger` is the head of the ledger once the round was charged, `terms` what the mechanism said.
    """

    round: int
    cohort: int
    admitted: int
    refused: int
    training: Statistics
    seconds: float
    ledger: str = ""
    terms: Settings = field(default_factory=dict)


@dataclass(frozen=True, kw_only=True)
class Evaluated:
    """The model of `round` was measured by each client that holds rows out, and on the pooled rows."""

    round: int
    clients: Mapping[str, Statistics] = field(repr=False)
    pooled: Statistics
    seconds: float


Progress = Began | Refused | Failed | Committed | Evaluated
Observe = Callable[[Progress], None]
