"""Two models measured on the same clients: by how much each number differs, and how sure that is."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np

from .assessing import DRAWS, client_rates
from .assessment import Estimate
from .clients import spread_of
from .estimates import Values, counts_of, draw, estimate_of, missing, values_of
from .gaps import Criterion, Kind, comparable, criteria, gap
from .intervals import clients_anew, intervals
from .measures import headline_of, measure
from .rate import Array, Rate
from .tables import Attribute, Schema, Tables


@dataclass(frozen=True, kw_only=True)
class Counted:
    """What was counted about one model: see `assess`."""

    tables_by_client: Mapping[str, Tables] = field(default_factory=dict, repr=False)
    total: Tables = field(repr=False)
    deviation: float = 0.0


@dataclass(frozen=True, kw_only=True)
class Difference:
    """A number of the first and of the second model, and `change`, the second less the first.

    `change.clients` draws the same clients for both, so that what is hard for both cancels.
    `change.sampling` draws rows for each by itself: where both were measured on the same rows, it is
    wider than it need be.
    """

    first: float | None
    second: float | None
    change: Estimate


@dataclass(frozen=True, kw_only=True)
class ComparedAttribute:
    """Differences by group and rate, and of gaps (`difference` kind) by criterion."""

    name: str
    groups: Mapping[str, Mapping[str, Difference]]
    gaps: Mapping[str, Difference]


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Two models side by side, on the same `clients` where the counts of each are known.

    `evenness` has the differences in how the headline `rate` is spread over them, whose `rows` are
    clients; it is empty where they are not.
    """

    clients: tuple[str, ...]
    rate: str
    more_is_better: bool
    overall: Mapping[str, Difference]
    attributes: tuple[ComparedAttribute, ...]
    evenness: Mapping[str, Difference]


def compare(
    schema: Schema,
    first: Counted,
    second: Counted,
    *,
    rng: np.random.Generator,
    floor: int = 1,
    draws: int = DRAWS,
) -> Comparison:
    """By how much the second model differs from the first.

    Where each client's counts are known of both, only clients that are in both count.

    >>> schema = Schema(classes=2)
    >>> clients = {name: schema.zeros() for name in ("a", "b")}
    >>> counted = Counted(tables_by_client=clients, total=schema.zeros())
    >>> found = compare(schema, counted, counted, rng=np.random.default_rng(0))
    >>> found.clients, found.overall["accuracy"].change.undefined
    (('a', 'b'), 'no rows')
    """
    clients = tuple(sorted(set(first.tables_by_client) & set(second.tables_by_client)))
    pair = [_only(each, clients) if clients else each for each in (first, second)]
    times = clients_anew(len(clients), draws, rng) if len(clients) > 1 else None
    least = max(float(floor), *(2 * each.deviation for each in pair))

    def sides(attribute: str, everyone: bool) -> tuple[_Side, _Side]:
        found = [_side(schema, each, attribute, everyone, times, draws, rng) for each in pair]
        noise = any(each.deviation for each in pair)
        one, other = map(_beside_noise, found) if noise else found
        return one, other

    rate, more_is_better = headline_of(schema)
    return Comparison(
        clients=clients,
        rate=rate,
        more_is_better=more_is_better,
        overall=_rates(*sides(schema.attributes[0].name, True), 0, least),
        attributes=tuple(
            _attribute(schema, attribute, *sides(attribute.name, False), least)
            for attribute in schema.attributes
        ),
        evenness=_evenness(schema, pair, times, rate, more_is_better) if clients else {},
    )


@dataclass(frozen=True, kw_only=True)
class _Side:
    """One model: its rates, and draws of them by source of error."""

    rates: Mapping[str, Rate]
    draws: Mapping[str, Values]


def _only(counted: Counted, clients: tuple[str, ...]) -> Counted:
    """As if no others had been measured."""
    tables = {client: counted.tables_by_client[client] for client in clients}
    total = {name: np.sum([own[name] for own in tables.values()], axis=0) for name in counted.total}
    return Counted(tables_by_client=tables, total=total, deviation=counted.deviation)


def _side(
    schema: Schema,
    counted: Counted,
    attribute: str,
    everyone: bool,
    times: Array | None,
    draws: int,
    rng: np.random.Generator,
) -> _Side:
    counts = counts_of(attribute, counted.tables_by_client, counted.total, counted.deviation)
    counts = counts.everyone() if everyone else counts
    return _Side(
        rates=measure(schema, counts.total),
        draws=draw(schema, counts, times, draws, rng),
    )


def _beside_noise(side: _Side) -> _Side:
    """A model whose counts have no noise on them, to be compared with one whose counts have."""
    if "noise" in side.draws:
        return side
    exact = {
        name: np.broadcast_to(side.rates[name].value, drawn.shape)
        for name, drawn in side.draws["sampling"].items()
    }
    return _Side(
        rates=side.rates,
        draws={**side.draws, "noise": exact, "both": side.draws["sampling"]},
    )


def _attribute(
    schema: Schema, attribute: Attribute, first: _Side, second: _Side, least: float
) -> ComparedAttribute:
    groups = attribute.groups
    gaps = {
        criterion.name: _gap(attribute, criterion, first, second, least)
        for criterion in (criteria(schema) if len(groups) > 1 else ())
    }
    each = {group: _rates(first, second, n, least) for n, group in enumerate(groups)}
    return ComparedAttribute(name=attribute.name, groups=each, gaps=gaps)


def _rates(first: _Side, second: _Side, group: int, least: float) -> dict[str, Difference]:
    """The differences in the rates of one group."""
    found = {}
    for name, a in first.rates.items():
        b = second.rates[name]
        values, rows = (a.value[group], b.value[group]), min(a.rows[group], b.rows[group])
        changes = {
            source: second.draws[source][name][:, group] - own[name][:, group]
            for source, own in first.draws.items()
            if name in own and name in second.draws[source]
        }
        found[name] = _difference(values, missing(rows, sum(values), least), rows, changes)
    return found


def _gap(
    attribute: Attribute, criterion: Criterion, first: _Side, second: _Side, least: float
) -> Difference:
    """The difference in a gap, between those groups that can be compared for both models."""
    pair = (first, second)
    chosen = np.logical_and(*(comparable(criterion, side.rates, least) for side in pair))

    names = {name for together in criterion.rates for name in together}

    def gap_of(values: Values) -> Array:
        return gap(criterion, Kind.DIFFERENCE, values, chosen)

    values = tuple(float(gap_of(values_of(side.rates))) for side in pair)
    changes = {
        source: gap_of(second.draws[source]) - gap_of(own)
        for source, own in first.draws.items()
        if names <= own.keys() & second.draws[source].keys()
    }
    rows = min(side.rates[name].rows[chosen.any(-2)].sum() for side in pair for name in names)
    reason = "fewer than two groups to compare" if np.isnan(sum(values)) else None
    return _difference(values, reason, rows, changes)


def _evenness(
    schema: Schema, pair: list[Counted], times: Array | None, rate: str, more_is_better: bool
) -> dict[str, Difference]:
    """The differences in how the headline rate is spread over the clients that have rows for both."""
    values = np.array([client_rates(schema, each.tables_by_client, rate) for each in pair])
    there = ~np.isnan(values).any(0)
    if not there.any():
        return {}
    values, weights = values[:, there], None if times is None else times[:, there]
    ones = np.ones(values.shape[1])
    found = [spread_of(each, ones, more_is_better) for each in values]
    drawn = [] if weights is None else [spread_of(each, weights, more_is_better) for each in values]
    differences = {}
    for name in found[0]:
        each = tuple(float(one[name]) for one in found)
        changes = {"clients": drawn[1][name] - drawn[0][name]} if drawn else {}
        reason = "not defined for these clients" if np.isnan(sum(each)) else None
        differences[name] = _difference(each, reason, float(len(ones)), changes)
    return differences


def _difference(
    values: tuple[float, ...], reason: str | None, rows: float, changes: Mapping[str, Array]
) -> Difference:
    first, second = (None if np.isnan(value) else float(value) for value in values)
    if reason is not None or first is None or second is None:
        change = Estimate(value=None, undefined=reason, rows=float(rows))
    else:
        bars = {source: intervals(drawn[:, np.newaxis])[0] for source, drawn in changes.items()}
        change = estimate_of(second - first, float(rows), bars)
    return Difference(first=first, second=second, change=change)
