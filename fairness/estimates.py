"""Rates with error bars: one function of tables, of the counts and of what else they could be."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from .assessment import Estimate
from .intervals import Interval, intervals, resum, rows_anew
from .measures import measure, of_attribute, of_confusion, together
from .noise import noised, settle
from .rate import Array, Floor, Rate
from .tables import Schema, Tables

Values = Mapping[str, Array]
CELLS: Final = 1 << 23
"""Cells of a table that are drawn at a time: 64 MiB."""


@dataclass(frozen=True, kw_only=True)
class Counts:
    """The tables of one attribute by kind: their sum, each client's where known, and the noise.

    `released` is the sum as it came, with its noise, and `total` what rows can have.
    """

    released: Mapping[str, Array] = field(repr=False)
    total: Mapping[str, Array] = field(repr=False)
    by_client: tuple[Mapping[str, Array], ...] = field(repr=False)
    deviation: float

    def everyone(self) -> Counts:
        """The same with all groups taken together, before any is settled: noise cancels in sums."""
        groups = len(self.released["loss"])
        return _counts(
            together(self.released),
            tuple(together(own) for own in self.by_client),
            self.deviation * float(np.sqrt(groups)),
        )

    def with_clients(self, times: Array) -> dict[str, Array]:
        """The total of clients that each come up so often: (D, ...) for `times` of shape (D, K)."""
        return {kind: resum(times, stacked) for kind, stacked in self.stacked().items()}

    def stacked(self) -> dict[str, Array]:
        """The tables of all clients, one upon the other: (K, ...)."""
        return {kind: np.stack([own[kind] for own in self.by_client]) for kind in self.total}


def counts_of(
    attribute: str, tables_by_client: Mapping[str, Tables], total: Tables, deviation: float
) -> Counts:
    """The counts of one attribute; those that noise was added to are settled."""
    by_client = tuple(of_attribute(own, attribute) for own in tables_by_client.values())
    return _counts(of_attribute(total, attribute), by_client, deviation)


def _counts(
    released: Mapping[str, Array], by_client: tuple[Mapping[str, Array], ...], deviation: float
) -> Counts:
    total = settle(released) if deviation else released
    return Counts(released=released, total=total, by_client=by_client, deviation=deviation)


def draw(
    schema: Schema, counts: Counts, times: Array | None, draws: int, rng: np.random.Generator
) -> dict[str, dict[str, Array]]:
    """For each source of error, what it could have made of the rates: (D, G) by source and name.

    Confusion tables are drawn anew; rates that have a standard error are drawn from a normal
    distribution; clients are drawn as `times`, shape (D, K), says.
    """
    size = max(CELLS // max(table.size for table in counts.total.values()), 1)
    found: list[dict[str, dict[str, Array]]] = []
    for start in range(0, draws, size):
        some = slice(start, min(start + size, draws))
        chosen = None if times is None else times[some]
        found.append(_draw(schema, counts, chosen, some.stop - start, rng))
    return {
        source: {name: np.concatenate([one[source][name] for one in found]) for name in rates}
        for source, rates in found[0].items()
    }


def _draw(
    schema: Schema, counts: Counts, times: Array | None, draws: int, rng: np.random.Generator
) -> dict[str, dict[str, Array]]:
    sampling = sampled(measure(schema, counts.total), draws, rng)
    resampled = dict(counts.total)
    if "confusion" in counts.total:
        resampled["confusion"] = rows_anew(counts.total["confusion"], draws, rng)
        sampling |= values_of(of_confusion(schema, resampled["confusion"]))
    found = {"sampling": sampling}
    if times is not None and counts.by_client:
        found["clients"] = values_of(measure(schema, counts.with_clients(times)))
    if counts.deviation:
        noise = measure(schema, noised(counts.total, counts.deviation, draws, rng))
        again = measure(schema, noised(resampled, counts.deviation, draws, rng))
        both = values_of(again) | sampled(again, draws, rng)
        found["noise"] = values_of(noise)
        found["both"] = {name: both[name] for name in sampling}
    return found


def values_of(rates: Mapping[str, Rate]) -> dict[str, Array]:
    """The values without the rest."""
    return {name: rate.value for name, rate in rates.items()}


def sampled(rates: Mapping[str, Rate], draws: int, rng: np.random.Generator) -> dict[str, Array]:
    """Draws from the standard errors of those rates that have one: a mean of many rows is normal."""
    return {
        name: np.clip(
            rate.value + rate.error * rng.standard_normal((draws, rate.value.shape[-1])),
            *rate.bounds,
        )
        for name, rate in rates.items()
        if rate.error is not None
    }


def estimates(
    rates: Mapping[str, Rate], draws: Mapping[str, Values], floor: Floor
) -> list[dict[str, Estimate]]:
    """The estimates of each group by rate, without a number if over too few rows."""
    bars = {source: _bars(values) for source, values in draws.items()}
    return [
        {
            name: _estimate(
                rate, group, {s: bar[name][group] for s, bar in bars.items() if name in bar}, floor
            )
            for name, rate in rates.items()
        }
        for group in range(rates["loss"].value.shape[-1])
    ]


def estimate_of(
    value: float, rows: float, bars: Mapping[str, Interval | None], binning: float | None = None
) -> Estimate:
    """A number, and its intervals by source."""
    return Estimate(
        value=value,
        rows=rows,
        sampling=bars.get("sampling"),
        clients=bars.get("clients"),
        noise=bars.get("noise"),
        both=bars.get("both"),
        binning=binning,
    )


def missing(rows: float, value: float, least: int) -> str | None:
    """Why there is no number, or None if there is one."""
    if rows <= 0:
        return "no rows"
    if rows < least:
        return f"fewer than {least:,} rows"
    return "not defined for these rows" if np.isnan(value) else None


def _bars(values: Values) -> dict[str, list[Interval | None]]:
    """The intervals of all rates of all groups, found together."""
    found = intervals(np.concatenate(list(values.values()), axis=1))
    groups = len(found) // len(values)
    return {name: found[n * groups : (n + 1) * groups] for n, name in enumerate(values)}


def _estimate(
    rate: Rate, group: int, bars: Mapping[str, Interval | None], floor: Floor
) -> Estimate:
    rows, value = float(rate.rows[group]), float(rate.value[group])
    if reason := missing(rows, value, floor.least(rate.cells)):
        return Estimate(value=None, undefined=reason, rows=rows)
    binning = None if rate.binning is None else float(rate.binning[group])
    return estimate_of(value, rows, bars, binning)
