"""From sums to rates: what a client's counts say, and how clients differ."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping
from dataclasses import dataclass

from ..wire.messages import EXAMPLES, PERSONAL, Statistics
from .concordance import PAIRS


def add(statistics: Iterable[Statistics]) -> dict[str, float]:
    """The sum of statistics, name by name: a rate of the sum is the rate over all rows.

    >>> add([{"examples": 2.0, "correct": 1.0}, {"examples": 3.0, "correct": 3.0}])
    {'examples': 5.0, 'correct': 4.0}
    """
    total: dict[str, float] = {}
    for each in statistics:
        for name, value in each.items():
            total[name] = total.get(name, 0.0) + value
    return total


def rates(statistics: Statistics) -> dict[str, float]:
    """Each sum per example; `correct` becomes `accuracy`, `squared_error` becomes `rmse` and `r2`.

    Of pairs of rows, those `concordant` and half of those `tied` are a part of the `comparable`: their
    `concordance`. What clients counted of their own models becomes rates per row of those who have one.

    >>> rates({"examples": 4.0, "correct": 3.0, "loss": 2.0})
    {'accuracy': 0.75, 'loss': 0.5}
    """
    examples = statistics.get(EXAMPLES, 0.0)
    if not examples:
        return {}
    own = {name: value for name, value in statistics.items() if name.startswith(PERSONAL)}
    shared = {name: value for name, value in statistics.items() if name not in own}
    means = {name: value / examples for name, value in shared.items() if name != EXAMPLES}
    if "correct" in means:
        means["accuracy"] = means.pop("correct")
    if "squared_error" in means:
        error = max(means.pop("squared_error"), 0.0)
        means["rmse"] = math.sqrt(error)
        mean, square = means.pop("target", None), means.pop("target_squared", None)
        if mean is not None and square is not None and square > mean**2:
            means["r2"] = 1 - error / (square - mean**2)
    if "comparable" in means:
        comparable, concordant, tied = (means.pop(name, 0.0) for name in PAIRS)
        if comparable > 0:
            means["concordance"] = (concordant + tied / 2) / comparable
    personal = rates({name.removeprefix(PERSONAL): value for name, value in own.items()})
    means |= {f"{PERSONAL}{name}": rate for name, rate in personal.items()}
    return dict(sorted(means.items()))


@dataclass(frozen=True, kw_only=True)
class Spread:
    """How one rate differs between clients: `client` is the one it is worst for."""

    rate: str
    worst: float
    client: str
    mean: float
    deviation: float


def headline(names: Iterable[str]) -> tuple[str, bool]:
    """The rate by which models are compared, and whether more of it is better.

    >>> headline(["accuracy", "loss"]), headline(["loss", "rmse", "r2"])
    (('accuracy', True), ('rmse', False))
    """
    known = set(names)
    for name, more_is_better in (("accuracy", True), ("rmse", False), ("concordance", True)):
        if name in known:
            return name, more_is_better
    return "loss", False


def spread(clients: Mapping[str, Statistics]) -> Spread | None:
    """The spread of the headline rate over clients that have rows; None if there are none.

    >>> spread({"a": {"examples": 2.0, "correct": 2.0}, "b": {"examples": 2.0, "correct": 1.0}})
    Spread(rate='accuracy', worst=0.5, client='b', mean=0.75, deviation=0.25)
    """
    by_client = {client: rates(counts) for client, counts in clients.items()}
    by_client = {client: found for client, found in by_client.items() if found}
    if not by_client:
        return None
    rate, more_is_better = headline({name for found in by_client.values() for name in found})
    values = {client: found[rate] for client, found in by_client.items() if rate in found}
    pick = min if more_is_better else max
    client = pick(sorted(values), key=lambda name: values[name])
    mean = sum(values.values()) / len(values)
    deviation = math.hypot(*(value - mean for value in values.values())) / math.sqrt(len(values))
    return Spread(rate=rate, worst=values[client], client=client, mean=mean, deviation=deviation)
