"""From tables to an assessment: everyone, then one attribute after the other, then the clients."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Final

import numpy as np

from .assessment import Assessment, ClientFairness
from .clients import evenness, gains
from .estimates import counts_of, draw, estimates
from .groups import by_attribute
from .intervals import CONFIDENCE, clients_anew
from .measures import headline_of, measure, of_attribute, together
from .rate import Floor
from .tables import Schema, Tables

DRAWS: Final = 2000


def assess(
    schema: Schema,
    tables_by_client: Mapping[str, Tables],
    total: Tables,
    *,
    rng: np.random.Generator,
    deviation: float = 0.0,
    floor: int = 1,
    alone: Mapping[str, float] | None = None,
    draws: int = DRAWS,
) -> Assessment:
    """Whom a model serves, from the sum of everyone's tables, and each client's where they are known.

    `tables_by_client` is empty where nobody saw them; they have no noise on them. `deviation` is that
    of the Gaussian noise on every entry of `total`. A group with fewer than `floor` rows behind a
    rate, or with fewer than twice the deviation of the noise on their number, is UNDEFINED there and
    in no gap. The floor is for groups: a client's own rate is over as many rows as the client has.
    `alone` has the headline rate (accuracy, or RMSE) of the model that each client trained by itself,
    on the same rows.

    Guarantees:
      - Merging the tables of clients first changes no rate and no gap.
      - A rate or gap of no rows, or of too few, is no number but a reason.
      - No estimate depends on `rng`, only intervals do.

    >>> schema = Schema(classes=2)
    >>> total = dict(schema.zeros())
    >>> total["everyone/confusion"] = np.array([[[83.0, 40.0], [35.0, 96.0]]])
    >>> found = assess(schema, {}, total, rng=np.random.default_rng(0))
    >>> round(found.overall["recall"].value, 3), found.overall["auc"].undefined
    (0.733, 'no rows')
    """
    total = total or schema.zeros()
    clients = tuple(tables_by_client)
    counts = {
        attribute.name: counts_of(attribute.name, tables_by_client, total, deviation)
        for attribute in schema.attributes
    }
    everyone = counts[schema.attributes[0].name].everyone()
    rates = measure(schema, everyone.total)
    least = Floor(rows=floor, deviation=everyone.deviation)
    times = clients_anew(len(clients), draws, rng) if len(clients) > 1 else None
    return Assessment(
        rows=float(rates["loss"].rows[0]),
        deviation=deviation,
        floor=floor,
        draws=draws,
        confidence=CONFIDENCE,
        overall=estimates(rates, draw(schema, everyone, times, draws, rng), least)[0],
        attributes=tuple(
            by_attribute(
                schema,
                attribute,
                counts[attribute.name],
                clients,
                floor=Floor(rows=floor, deviation=deviation),
                times=times,
                draws=draws,
                rng=rng,
            )
            for attribute in schema.attributes
        ),
        clients=client_fairness(schema, tables_by_client, alone or {}),
    )


def client_fairness(
    schema: Schema, tables: Mapping[str, Tables], alone: Mapping[str, float]
) -> ClientFairness | None:
    """How the headline rate is spread over the clients that have rows; None if none has."""
    rate, more_is_better = headline_of(schema)
    values = dict(zip(tables, client_rates(schema, tables, rate), strict=True))
    values = {client: value for client, value in values.items() if not np.isnan(value)}
    if not values:
        return None
    pick = min if more_is_better else max
    gain = gains(values, alone, more_is_better)
    return ClientFairness(
        rate=rate,
        more_is_better=more_is_better,
        clients=values,
        worst_client=pick(sorted(values), key=lambda client: values[client]),
        evenness=evenness(np.array(list(values.values())), more_is_better),
        alone={client: alone[client] for client in gain},
        gain=gain,
        mean_gain=sum(gain.values()) / len(gain) if gain else None,
        worst_gain=min(gain.values()) if gain else None,
        harmed=sum(value < 0 for value in gain.values()),
    )


def client_rates(schema: Schema, tables: Mapping[str, Tables], rate: str) -> list[float]:
    """One rate of each client over all of its rows; NaN for a client without."""
    name = schema.attributes[0].name
    return [
        float(measure(schema, together(of_attribute(own, name)))[rate].value[0])
        for own in tables.values()
    ]
