"""One attribute: the rates of its groups, every gap between them, and the gaps within each client."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Final

import numpy as np
from numpy.typing import NDArray

from .assessment import Bin, ByAttribute, Estimate, Gap, Group, LocalGap
from .estimates import Counts, Values, draw, estimate_of, estimates, missing, values_of
from .gaps import Criterion, Kind, comparable, criteria, gap, parts
from .intervals import intervals
from .measures import measure
from .rate import Array, Floor, Rate
from .scores import midpoints, reliability
from .tables import Attribute, Schema

ZEROS: Final = "every group has a rate of 0"


def by_attribute(
    schema: Schema,
    attribute: Attribute,
    counts: Counts,
    clients: tuple[str, ...],
    *,
    floor: Floor,
    times: Array | None,
    draws: int,
    rng: np.random.Generator,
) -> ByAttribute:
    """What one attribute shows. A group needs as many rows behind a rate as `floor` wants."""
    rates = measure(schema, counts.total)
    drawn = draw(schema, counts, times, draws, rng)
    each = estimates(rates, drawn, floor)
    rows = rates["loss"].rows
    gaps: tuple[Gap, ...] = ()
    local: tuple[LocalGap, ...] = ()
    if len(attribute.groups) > 1:
        gaps = gaps_of(schema, attribute, rates, drawn, floor)
        local = local_gaps(schema, attribute, counts, clients, gaps, floor) if clients else ()
    return ByAttribute(
        name=attribute.name,
        groups=tuple(
            Group(
                name=name,
                rows=float(rows[n]),
                rates=each[n],
                reliability=_curve(counts.total["scores"][n], floor) if schema.classes else (),
            )
            for n, name in enumerate(attribute.groups)
        ),
        gaps=gaps,
        local=local,
    )


def gaps_of(
    schema: Schema,
    attribute: Attribute,
    rates: Mapping[str, Rate],
    draws: Mapping[str, Values],
    floor: Floor,
) -> tuple[Gap, ...]:
    """Every gap that the tables can tell; signed ones where exactly two groups can be compared."""
    found = []
    for criterion in criteria(schema):
        chosen = comparable(criterion, rates, floor)
        for kind in criterion.kinds:
            if kind is not Kind.SIGNED or chosen.sum() == 2:
                found.append(_gap(attribute, criterion, kind, rates, draws, chosen, floor))
    return tuple(found)


def local_gaps(
    schema: Schema,
    attribute: Attribute,
    counts: Counts,
    clients: tuple[str, ...],
    gaps: tuple[Gap, ...],
    floor: Floor,
) -> tuple[LocalGap, ...]:
    """For each criterion the difference within each client, beside that of `gaps`."""
    rates = measure(schema, counts.stacked())
    over_all = {each.criterion: each for each in gaps if each.kind == Kind.DIFFERENCE}
    return tuple(
        _local_gap(
            attribute, criterion, rates, clients, over_all[criterion.name].estimate.value, floor
        )
        for criterion in criteria(schema)
    )


def _gap(
    attribute: Attribute,
    criterion: Criterion,
    kind: Kind,
    rates: Mapping[str, Rate],
    draws: Mapping[str, Values],
    chosen: NDArray[np.bool_],
    floor: Floor,
) -> Gap:
    values = values_of(rates)
    rate, taken = _widest(criterion, kind, values, chosen)
    rows = {attribute.groups[n]: float(rates[rate].rows[n]) for n in taken}
    withheld = _withheld(attribute, criterion, rates, chosen, floor)
    value = float(gap(criterion, kind, values, chosen))
    names = [name for together in criterion.rates for name in together]
    if np.isnan(value):
        low = high = None
        reason = ZEROS if len(taken) > 1 else _too_few(withheld)
        estimate = Estimate(value=None, undefined=reason, rows=sum(rows.values()))
    else:
        order = taken if kind is Kind.SIGNED else sorted(taken, key=lambda n: values[rate][n])
        low, high = attribute.groups[order[0]], attribute.groups[order[-1]]
        bars = {
            source: intervals(gap(criterion, kind, own, chosen)[:, np.newaxis])[0]
            for source, own in draws.items()
            if all(name in own for name in names)
        }
        estimate = estimate_of(value, sum(rows.values()), bars)
    shown = estimate.interval
    return Gap(
        criterion=criterion.name,
        kind=kind.value,
        rate=rate,
        low=low,
        high=high,
        rows=rows,
        withheld=withheld,
        estimate=estimate,
        bias=shown.median - value if shown else None,
    )


def _widest(
    criterion: Criterion, kind: Kind, values: Values, chosen: NDArray[np.bool_]
) -> tuple[str, list[int]]:
    """The rate for which the gap is widest, and the groups that are compared in it."""
    each = parts(criterion, kind, values, chosen)
    if np.isnan(each).all():
        return criterion.rates[0][0], list(np.flatnonzero(chosen[0]))
    widest = np.nanargmin(each) if kind is Kind.RATIO else np.nanargmax(each)
    label, part = np.unravel_index(widest, each.shape)
    return criterion.rates[label][part], list(np.flatnonzero(chosen[label]))


def _withheld(
    attribute: Attribute,
    criterion: Criterion,
    rates: Mapping[str, Rate],
    chosen: NDArray[np.bool_],
    floor: Floor,
) -> dict[str, str]:
    """The groups that some class was compared without, and the first rate that they lack."""
    found: dict[str, str] = {}
    for names, taken in zip(criterion.rates, chosen, strict=True):
        for n in np.flatnonzero(~taken):
            for name in names:
                rows, value = float(rates[name].rows[n]), float(rates[name].value[n])
                if reason := missing(rows, value, floor.least(rates[name].cells)):
                    found.setdefault(attribute.groups[n], f"{name}: {reason}")
    return found


def _too_few(withheld: Mapping[str, str]) -> str:
    why = "; ".join(f"{group} ({reason})" for group, reason in withheld.items())
    return f"fewer than two groups to compare: {why}"


def _local_gap(
    attribute: Attribute,
    criterion: Criterion,
    rates: Mapping[str, Rate],
    clients: tuple[str, ...],
    over_all: float | None,
    floor: Floor,
) -> LocalGap:
    chosen = comparable(criterion, rates, floor)
    found = gap(criterion, Kind.DIFFERENCE, values_of(rates), chosen)
    have: dict[str, float] = {}
    undefined: dict[str, str] = {}
    for k, client in enumerate(clients):
        if np.isnan(found[k]):
            own = {
                name: replace(rate, value=rate.value[k], rows=rate.rows[k])
                for name, rate in rates.items()
            }
            undefined[client] = _too_few(_withheld(attribute, criterion, own, chosen[k], floor))
        else:
            have[client] = float(found[k])
    worst = max(have, key=lambda client: have[client]) if have else None
    return LocalGap(
        criterion=criterion.name,
        overall=over_all,
        mean=sum(have.values()) / len(have) if have else None,
        worst=None if worst is None else have[worst],
        worst_client=worst,
        clients=have,
        undefined=undefined,
    )


def _curve(scores: Array, floor: Floor) -> tuple[Bin, ...]:
    share, rows = reliability(scores)
    middle = midpoints(scores.shape[-1])
    return tuple(
        Bin(score=float(middle[n]), share=float(share[n]), rows=float(rows[n]))
        for n in np.flatnonzero((rows > 0) & (rows >= floor.least(cells=2)))
    )
