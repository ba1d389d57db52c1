"""Everything that a run measured as one flat table: which rate, over whom, and its error bars."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from typing import Final, NamedTuple

import numpy as np

from ..fairness.assessing import DRAWS, assess
from ..fairness.assessment import Assessment, ByAttribute, Estimate
from ..fairness.estimates import values_of
from ..fairness.gaps import Kind, comparable, criteria, gap
from ..fairness.intervals import intervals, resum
from ..fairness.measures import measure, of_attribute, together
from ..fairness.rate import Array
from ..fairness.statistics import add, headline, rates
from ..fairness.tables import EVERYONE, Schema
from ..server.progress import Evaluated
from ..wire.messages import Statistics
from .coins import coins
from .guarantee import Bound
from .records import Records

ALL_ROWS: Final = "all held-out rows"
POOLED_ROWS: Final = "pooled test rows"
MEAN, WORST_TENTH, WORST = "mean of clients", "worst tenth of clients", "worst client"
EPSILON: Final = "epsilon"


class Measure(NamedTuple):
    """A metric, and whom it is over: rows, a group such as `sex=female`, an attribute, clients, a unit.

    >>> str(Measure("accuracy", "sex=female"))
    'accuracy, sex=female'
    """

    metric: str
    group: str

    def __str__(self) -> str:
        return f"{self.metric}, {self.group}"


@dataclass(frozen=True, kw_only=True)
class Reading:
    """What a run measured: `value`, or None where it is `undefined`, in words.

    `low` to `high` is its interval, if it is known. `draws`, shape (D,), is what it would have been with
    other clients, as many; empty where that is not known.
    """

    value: float | None
    undefined: str | None = None
    low: float | None = None
    high: float | None = None
    draws: Array = field(default_factory=lambda: np.zeros(0), repr=False, compare=False)


def last(records: Records) -> Evaluated | None:
    """The last evaluation of a run."""
    return next((found for _, found in reversed(records.history) if found), None)


def anew(population: str, clients: int) -> Array:
    """How often each of `clients` is drawn in each of D draws with replacement, shape (D, clients).

    Runs on the same population are drawn anew alike: their difference is that of the same clients.
    """
    rng = coins(population, "clients")
    times = rng.multinomial(clients, np.full(clients, 1 / clients), size=DRAWS)
    return times.astype(np.float64)


def readings(
    records: Records, bounds: Sequence[Bound] = (), clients: Sequence[str] | None = None
) -> dict[Measure, Reading]:
    """What `records` holds of the last evaluation, on the rows of `clients` (by default all), and ε.

    Intervals are the middle 95 % of draws of other clients, where the counts of two clients or more are
    known; of one or none, they are those of other rows, and of other noise where there is noise.
    """
    found = {epsilon_of(bound): _epsilon(bound) for bound in bounds}
    evaluated = last(records)
    if evaluated is None:
        return found
    names = sorted(evaluated.clients if clients is None else clients)
    population = records.population.digest if records.population else ""
    times = anew(population, len(names)) if len(names) > 1 else np.zeros((0, len(names)))
    own = {name: evaluated.clients[name] for name in names}
    if own:
        found |= _over_rows(own, times) | over_clients(own, times)
    found |= {Measure(n, POOLED_ROWS): Reading(value=v) for n, v in rates(evaluated.pooled).items()}
    schema = records.population.schema if records.population else None
    if schema is not None and evaluated.total:
        found = _over_groups(schema, _restricted(evaluated, names), times, population) | found
    return found


def _restricted(evaluated: Evaluated, clients: Sequence[str]) -> Evaluated:
    """The tables of some clients, or of everyone if they are all that there are, or none is known."""
    if set(clients) >= set(evaluated.tables):
        return evaluated
    own = {name: evaluated.tables[name] for name in clients if name in evaluated.tables}
    total = {name: np.sum([each[name] for each in own.values()], 0) for name in evaluated.total}
    return replace(evaluated, tables=own, total=total)


def epsilon_of(bound: Bound) -> Measure:
    """What ε is of, at which δ, under which adjacency: without them it means nothing."""
    budget = bound.budget
    return Measure(EPSILON, f"{bound.unit} {budget.adjacency.label} delta={budget.delta:g}")


def _epsilon(bound: Bound) -> Reading:
    if bound.unseen:
        return Reading(value=None, undefined="kept by the sites, not seen here")
    return Reading(value=bound.epsilon)


def _reading(value: float, draws: Array, undefined: str = "not defined for these rows") -> Reading:
    """A value with the interval that its draws give."""
    if math.isnan(value):
        return Reading(value=None, undefined=undefined)
    bar = intervals(draws[:, np.newaxis])[0] if len(draws) else None
    if bar is None:
        return Reading(value=value)
    return Reading(value=value, low=bar.low, high=bar.high, draws=draws)


def _over_rows(clients: Mapping[str, Statistics], times: Array) -> dict[Measure, Reading]:
    """The rates over all rows: ratios of sums."""
    names = sorted({name for counts in clients.values() for name in counts})
    table = np.array([[counts.get(name, 0.0) for name in names] for counts in clients.values()])
    again = [rates(dict(zip(names, row, strict=True))) for row in (times @ table).tolist()]
    return {
        Measure(name, ALL_ROWS): _reading(
            value, np.array([each.get(name, np.nan) for each in again])
        )
        for name, value in rates(add(clients.values())).items()
    }


def over_clients(clients: Mapping[str, Statistics], times: Array) -> dict[Measure, Reading]:
    """The headline rate of each client, and over clients with one vote each.

    There is no interval for one client, nor for the worst: what is drawn anew is never worse than it.
    """
    by_client = {name: rates(counts) for name, counts in clients.items()}
    rate, more_is_better = headline(name for found in by_client.values() for name in found)
    has = np.array([rate in found for found in by_client.values()], bool)
    values = np.array([found[rate] for found in by_client.values() if rate in found])
    if not len(values):
        return {}
    votes = times[:, has]
    order = np.argsort(values if more_is_better else -values, kind="stable")
    tenth = _tenth(values[order], np.ones((1, len(values))))[0]
    no_draws = np.zeros(0)
    several = math.ceil(len(values) / 10) > 1
    with np.errstate(invalid="ignore", divide="ignore"):  # a draw without anybody has no mean
        means = (votes @ values) / votes.sum(1)
        tenths = _tenth(values[order], votes[:, order]) if several else no_draws
    return {
        Measure(rate, MEAN): _reading(float(values.mean()), means),
        Measure(rate, WORST_TENTH): _reading(float(tenth), tenths),
        Measure(rate, WORST): _reading(float(values[order[0]]), no_draws),
        **{
            Measure(rate, f"client={name}"): _reading(found[rate], no_draws)
            for name, found in by_client.items()
            if rate in found
        },
    }


def _tenth(values: Array, votes: Array) -> Array:
    """The mean over the first tenth of clients, rounded up, in each of D draws: votes are (D, K)."""
    size = np.ceil(votes.sum(1, keepdims=True) / 10)
    taken = np.clip(size - (np.cumsum(votes, 1) - votes), 0, votes)
    result: Array = (taken @ values) / taken.sum(1)
    return result


def _over_groups(
    schema: Schema, evaluated: Evaluated, times: Array, population: str
) -> dict[Measure, Reading]:
    """Rates of all rows, of each group, and every gap, from tables of counts."""
    own = evaluated.tables
    rng = coins(population, "rows")
    found = assess(schema, own, evaluated.total, rng=rng, deviation=evaluated.deviation)
    drawn: dict[str, Array] = {}
    if len(own) > 1 and times.shape[1] == len(own):
        stacked = {kind: np.stack([own[n][kind] for n in sorted(own)]) for kind in evaluated.total}
        drawn = {kind: resum(times, tables) for kind, tables in stacked.items()}
    groups = [each for each in found.attributes if each.name != EVERYONE]
    return dict(_everyone(schema, found, drawn)) | {
        place: reading for each in groups for place, reading in _of_attribute(schema, each, drawn)
    }


def _everyone(
    schema: Schema, found: Assessment, drawn: Mapping[str, Array]
) -> Iterator[tuple[Measure, Reading]]:
    merged = together(of_attribute(drawn, schema.attributes[0].name))
    again = values_of(measure(schema, merged)) if drawn else {}
    for name, estimate in found.overall.items():
        draws = again[name][:, 0] if name in again else np.zeros(0)
        yield Measure(name, ALL_ROWS), _estimated(estimate, draws)


def _of_attribute(
    schema: Schema, found: ByAttribute, drawn: Mapping[str, Array]
) -> Iterator[tuple[Measure, Reading]]:
    """The rates of its groups and the gaps between them; `drawn` has tables of shape (D, ...)."""
    attribute = found.name
    again = measure(schema, of_attribute(drawn, attribute)) if drawn else {}
    values = values_of(again)
    for index, group in enumerate(found.groups):
        for name, estimate in group.rates.items():
            draws = values[name][:, index] if name in values else np.zeros(0)
            yield Measure(name, f"{attribute}={group.name}"), _estimated(estimate, draws)
    known = {each.name: each for each in criteria(schema)}
    for each in found.gaps:
        draws = np.zeros(0)
        if values:
            criterion, kind = known[each.criterion], Kind(each.kind)
            draws = gap(criterion, kind, values, comparable(criterion, again, 1.0))
        yield Measure(f"{each.criterion} {each.kind}", attribute), _estimated(each.estimate, draws)


def _estimated(estimate: Estimate, draws: Array) -> Reading:
    """An estimate with the interval that draws of clients give, or else its own."""
    if estimate.value is None:
        return Reading(value=None, undefined=estimate.undefined)
    if len(draws):
        return _reading(estimate.value, draws)
    bar = estimate.interval
    if bar is None:
        return Reading(value=estimate.value)
    return Reading(value=estimate.value, low=bar.low, high=bar.high)
