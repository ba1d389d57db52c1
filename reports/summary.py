"""What came of a run, in numbers: one place that the terminal, the page and the JSON file agree on."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import Final

from ..fairness.statistics import add, headline, rates, spread
from ..server.progress import Committed, Evaluated
from ..wire.messages import EXAMPLES, Statistics
from .records import Records

NOTHING: Final[Statistics] = MappingProxyType({})


@dataclass(frozen=True, kw_only=True)
class Scores:
    """One `rate` of one model. `rows` is over all held-out rows, `pooled` over the pooled test rows.

    `mean`, `deviation`, `worst_tenth` (the mean over the worst tenth of clients) and `worst` are over
    clients, each with one vote whatever its size.
    """

    rate: str
    rows: float | None = None
    pooled: float | None = None
    mean: float | None = None
    deviation: float | None = None
    worst_tenth: float | None = None
    worst: float | None = None
    worst_client: str | None = None


@dataclass(frozen=True, kw_only=True)
class Point:
    """One round: what its training lost, and what its evaluation found, if there was one."""

    round: int
    training_loss: float | None
    scores: Scores | None
    loss: float | None
    refused: int
    seconds: float


@dataclass(frozen=True, kw_only=True)
class Summary:
    """What a run reached after `round` of `rounds` rounds.

    All scores are in `rate`. `clients` has each client's rates at the last evaluation, and `alone` the
    rate of the model that each trained by itself.
    """

    finished: bool
    round: int
    rounds: int
    rate: str
    more_is_better: bool
    federated: Scores
    loss: float | None
    pooled_training: Scores | None
    each_alone: Scores | None
    seconds: float
    refused: int
    refusals: Mapping[str, int]
    digest: str | None
    points: Sequence[Point] = field(repr=False)
    clients: Mapping[str, Mapping[str, float]] = field(repr=False)
    held_out: Mapping[str, int] = field(repr=False)
    alone: Mapping[str, float] = field(repr=False)


def summarise(records: Records) -> Summary:
    """The summary of a run, finished or not."""
    last = next((found for _, found in reversed(records.history) if found), None)
    measured = last.clients if last else {}
    federated = scores(measured, last.pooled, last.everyone) if last else scores({}, {})
    rate, more_is_better = headline([federated.rate])
    alone = records.baselines.alone if records.baselines else {}
    return Summary(
        finished=records.finished,
        round=records.rounds,
        rounds=records.config.rounds,
        rate=rate,
        more_is_better=more_is_better,
        federated=federated,
        loss=rates(last.everyone).get("loss") if last else None,
        pooled_training=_pooled_training(records, last),
        each_alone=scores(alone, {}) if alone else None,
        seconds=sum(committed.seconds for committed, _ in records.history)
        + sum(evaluated.seconds for _, evaluated in records.history if evaluated),
        refused=sum(committed.refused for committed, _ in records.history),
        refusals=dict(Counter(refusal.reason for _, refusal in records.refusals).most_common()),
        digest=records.digest,
        points=[point(committed, evaluated) for committed, evaluated in records.history],
        clients={name: rates(counts) for name, counts in measured.items()},
        held_out={name: int(counts[EXAMPLES]) for name, counts in measured.items()},
        alone={name: by[rate] for name, counts in alone.items() if rate in (by := rates(counts))},
    )


def point(committed: Committed, evaluated: Evaluated | None) -> Point:
    """What one round came to."""
    counts = evaluated.everyone if evaluated else {}
    return Point(
        round=committed.round,
        training_loss=rates(committed.training).get("loss"),
        scores=scores(evaluated.clients, evaluated.pooled, counts) if evaluated else None,
        loss=rates(counts).get("loss"),
        refused=committed.refused,
        seconds=committed.seconds + (evaluated.seconds if evaluated else 0.0),
    )


def scores(
    clients: Mapping[str, Statistics], pooled: Statistics, everyone: Statistics = NOTHING
) -> Scores:
    """The headline rate over all rows, over the pooled rows, and how it differs between clients.

    `everyone` has the statistics over all rows, where those of single clients are not known.
    """
    overall = rates(everyone or add(clients.values()))
    on_pooled, between = rates(pooled), spread(clients)
    rate, more_is_better = headline({**overall, **on_pooled})
    if between is None:
        return Scores(rate=rate, rows=overall.get(rate), pooled=on_pooled.get(rate))
    values = [found[rate] for counts in clients.values() if rate in (found := rates(counts))]
    return Scores(
        rate=rate,
        rows=overall.get(rate),
        pooled=on_pooled.get(rate),
        mean=between.mean,
        deviation=between.deviation,
        worst_tenth=_worst_tenth(values, more_is_better),
        worst=between.worst,
        worst_client=between.client,
    )


def _worst_tenth(values: Sequence[float], more_is_better: bool) -> float:
    worst = sorted(values, reverse=not more_is_better)[: math.ceil(len(values) / 10)]
    return sum(worst) / len(worst)


def _pooled_training(records: Records, last: Evaluated | None) -> Scores | None:
    """Its test rows are everybody's held-out rows, unless the federated model has pooled rows too."""
    if records.baselines is None or not records.baselines.pooled:
        return None
    found = scores({}, records.baselines.pooled)
    if last is not None and last.pooled:
        return found
    return Scores(rate=found.rate, rows=found.pooled)
