"""By how much a run differs from another, with the interval of each difference.

On the same rows both runs are drawn anew with the same clients, and what is hard for both cancels
(B. Efron and R. Tibshirani, An Introduction to the Bootstrap, 1993, section 8).
"""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from ..fairness.assessing import DRAWS, client_rates
from ..fairness.assessment import Estimate
from ..fairness.clients import spread_of
from ..fairness.estimates import values_of
from ..fairness.gaps import comparable, criteria, gap
from ..fairness.intervals import clients_anew, intervals, resum
from ..fairness.measures import headline_of, measure, of_attribute, together
from ..fairness.rate import Array, Floor, Rate
from ..fairness.tables import EVERYONE, Attribute, Schema, Tables
from ..server.progress import Evaluated
from .coins import coins
from .readings import ALL_ROWS, MEAN, WORST, WORST_TENTH, Measure, last
from .records import Records

OVER_CLIENTS = {"mean": MEAN, "worst_tenth": WORST_TENTH, "worst": WORST}
TENTH = 10
"""Of so many clients or fewer, the worst tenth is the worst one."""
Drawn = tuple[Measure, Array]
"""A measure with its value first, and then as it would be with other clients, as many: shape (1 + D,)."""


@dataclass(frozen=True, kw_only=True)
class Difference:
    """A run less another one; `low` to `high` is the interval, if there is one."""

    value: float
    low: float | None = None
    high: float | None = None


def unpaired(first: Records, other: Records) -> str | None:
    """Why two runs cannot be paired; None if they can."""
    one, two = first.population, other.population
    if one is None or two is None:
        return "which rows were measured was not recorded"
    if first.is_deployment or other.is_deployment:
        return "sites keep their rows, and whether they are the same is not known here"
    if one.digest != two.digest:
        return "they measured different rows, or hold them differently"
    if one.schema is None or one.schema != two.schema:
        return "they did not count the same groups in the same way"
    shared = shared_clients(first, other)
    if len(shared) < 2:
        return f"the counts of {len(shared)} clients are known of both, and it takes two"
    return None


def shared_clients(first: Records, other: Records) -> list[str]:
    """Those of which the counts are known in both."""
    pair = [last(records) for records in (first, other)]
    known = [set(each.tables) if each else set[str]() for each in pair]
    return sorted(known[0] & known[1])


def paired(first: Records, other: Records) -> dict[Measure, Difference | None]:
    """The differences of two runs that can be paired, over the clients that both measured.

    None stands for what is undefined in one of them. Of the worst client there is no interval: who is
    drawn anew is never worse than it.
    """
    one, two, population = last(first), last(other), first.population
    if one is None or two is None or population is None or population.schema is None:
        raise ValueError("Expected runs that can be paired.")
    schema, clients = population.schema, shared_clients(first, other)
    anew = clients_anew(len(clients), DRAWS, coins(population.digest, "clients"))
    times = np.vstack([np.ones(len(clients)), anew])
    floor = max(records.config.evaluate.floor for records in (first, other))
    ours, theirs = (dict(_drawn(schema, each, clients, times, floor)) for each in (one, two))
    extremes = {WORST, *([WORST_TENTH] if len(clients) <= TENTH else [])}
    return {
        measure: _difference(theirs[measure] - values, bare=measure.group in extremes)
        for measure, values in ours.items()
        if measure in theirs
    }


def independent(first: Estimate | None, other: Estimate | None) -> Difference | None:
    """`other` less `first` as of independent runs; None if one of them is undefined.

    The distances to the ends of the two intervals add as deviations do: R. Newcombe, Statistics in
    Medicine 17, 1998, method 10; G. Zou and A. Donner, Statistics in Medicine 27, 2008.

    >>> found = independent(Estimate(value=0.5), Estimate(value=0.75))
    >>> found.value, found.low
    (0.25, None)
    """
    if first is None or other is None or first.value is None or other.value is None:
        return None
    value, one, two = other.value - first.value, first.interval, other.interval
    if one is None or two is None:
        return Difference(value=value)
    down = math.hypot(other.value - two.low, one.high - first.value)
    up = math.hypot(two.high - other.value, first.value - one.low)
    return Difference(value=value, low=value - down, high=value + up)


def _difference(drawn: Array, *, bare: bool) -> Difference | None:
    if np.isnan(drawn[0]):
        return None
    bar = None if bare else intervals(drawn[1:, np.newaxis])[0]
    value = float(drawn[0])
    return Difference(value=value, low=bar.low, high=bar.high) if bar else Difference(value=value)


def _drawn(
    schema: Schema, evaluated: Evaluated, clients: Sequence[str], times: Array, floor: int
) -> Iterator[Drawn]:
    """Everything that the tables of `clients` tell, each of them as often as `times` (1 + D, K) says."""
    own = {name: evaluated.tables[name] for name in clients}
    tables = {
        n: resum(times, np.stack([each[n] for each in own.values()])) for n in evaluated.total
    }
    merged = measure(schema, together(of_attribute(tables, schema.attributes[0].name)))
    yield from _of_groups(merged, [ALL_ROWS], floor)
    for attribute in schema.attributes:
        if attribute.name != EVERYONE:
            yield from _of_attribute(schema, attribute, tables, floor)
    rate, more_is_better = headline_of(schema)
    values = np.array(client_rates(schema, own, rate))
    if (there := ~np.isnan(values)).any():
        found = spread_of(values[there], times[:, there], more_is_better)
        yield from ((Measure(rate, who), found[name]) for name, who in OVER_CLIENTS.items())


def _of_attribute(
    schema: Schema, attribute: Attribute, tables: Tables, floor: int
) -> Iterator[Drawn]:
    """The rates of its groups, and the gaps between those groups that can be compared in truth."""
    found = measure(schema, of_attribute(tables, attribute.name))
    yield from _of_groups(found, [f"{attribute.name}={group}" for group in attribute.groups], floor)
    for criterion in criteria(schema) if len(attribute.groups) > 1 else ():
        chosen = comparable(criterion, found, Floor(rows=floor))[:1]
        for kind in criterion.kinds:
            values = gap(criterion, kind, values_of(found), chosen)
            yield Measure(f"{criterion.name} {kind.value}", attribute.name), values


def _of_groups(found: dict[str, Rate], groups: Sequence[str], floor: int) -> Iterator[Drawn]:
    """Rates of shape (1 + D, G); undefined where there are too few rows in truth."""
    for name, rate in found.items():
        for index, group in enumerate(groups):
            enough = rate.rows[0, index] >= max(floor, 1)
            yield Measure(name, group), np.where(enough, rate.value[:, index], np.nan)
