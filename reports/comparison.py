"""Runs side by side: in what they differ, what each measured, and how far each is from the first.

On the same rows, a difference is paired: both runs are drawn anew with the same clients, and what they
have in common cancels (B. Efron and R. Tibshirani, An Introduction to the Bootstrap, 1993, section 8).
Otherwise its interval is put together from those of the two, as of independent runs (R. Newcombe,
Statistics in Medicine 17, 1998, method 10; G. Zou and A. Donner, Statistics in Medicine 27, 2008).
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np

from ..fairness.intervals import intervals
from ..privacy.budget import Unit
from .charges import charges
from .differing import Setting, differing
from .guarantee import Bound, is_noised
from .readings import EPSILON, Measure, Reading, epsilon_of, last, readings
from .records import Records

FEW = 10
"""With fewer clients than this, drawing them anew says little of others that might have taken part."""

PRIVACY = ("mechanism", "dpsgd", "budget", "run")
"""The tables of a configuration that privacy is said in, and the one that changes no result."""


@dataclass(frozen=True, kw_only=True)
class Side:
    """One run: its last evaluation was of the model of `measured`, None if nothing was measured.

    `paired` is the number of clients by which it is paired with the first run; 0 if it is `unpaired`, for
    that reason. `privacy` is what bounds what was released about anybody. If it is not that of the first
    run, the difference between them is the `cost` of privacy, and of `more` if more differs.
    """

    name: str
    folder: str
    finished: bool
    round: int
    rounds: int
    measured: int | None
    privacy: str
    cost: bool = False
    more: bool = False
    paired: int = 0
    unpaired: str | None = None


@dataclass(frozen=True, kw_only=True)
class Difference:
    """A run less the first one; `low` to `high` is the interval, if there is one."""

    value: float
    low: float | None = None
    high: float | None = None


@dataclass(frozen=True, kw_only=True)
class Row:
    """One measure in every run, and the difference of each to the first; None where there is none."""

    measure: Measure
    readings: tuple[Reading | None, ...]
    differences: tuple[Difference | None, ...]


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """Runs side by side."""

    sides: tuple[Side, ...]
    settings: tuple[Setting, ...]
    rows: tuple[Row, ...] = field(repr=False)


def compare(runs: Sequence[Records]) -> Comparison:
    """`runs` beside the first of them: every measure that two of them have.

    Guarantees:
      - Equal runs differ by 0 in [0, 0] in whatever has an interval.
      - Where a value is undefined in one of two runs, there is no difference.
      - The same runs give the same numbers, to the last bit.

    Raises `StoreError` if a ledger cannot be read.
    """
    names = labels([records.folder for records in runs])
    found = everything(runs)
    pairings = [(0, None), *(_pairing(runs[0], other) for other in runs[1:])]
    compared = [
        _alike(runs[0], other) if clients else (found[0], own)
        for other, own, (clients, _) in zip(runs, found, pairings, strict=True)
    ]
    return Comparison(
        sides=tuple(_side(*each, runs[0]) for each in zip(names, runs, pairings, strict=True)),
        settings=tuple(differing([records.config for records in runs])),
        rows=tuple(
            Row(
                measure=measure,
                readings=tuple(own.get(measure) for own in found),
                differences=tuple(
                    difference(one.get(measure), two.get(measure), alike=clients > 0)
                    if index and measure.metric != EPSILON
                    else None
                    for index, ((one, two), (clients, _)) in enumerate(
                        zip(compared, pairings, strict=True)
                    )
                ),
            )
            for measure in _shared(found)
        ),
    )


def everything(runs: Sequence[Records]) -> list[Mapping[Measure, Reading]]:
    """What each of `runs` measured; a unit that no noise protects has ε = ∞, at any δ."""
    bounds = [charges(records).bounds() for records in runs]
    asked = {epsilon_of(bound): bound.unit for own in bounds for bound in own}
    found: list[Mapping[Measure, Reading]] = []
    for records, own in zip(runs, bounds, strict=True):
        budgets = {unit: records.config.budget_of(unit) for unit in Unit}
        open_ones = [Bound(unit=u, epsilon=math.inf, budget=b) for u, b in budgets.items()]
        unbounded = {epsilon_of(each): each.unit for each in open_ones} | asked
        none = {
            measure: Reading(value=math.inf)
            for measure, unit in unbounded.items()
            if not is_noised(records.config, unit)
        }
        found.append(none | readings(records, own))
    return found


def labels(folders: Sequence[Path]) -> list[str]:
    """What to call each run: its folder's name, or with as much of the path as tells it from others.

    >>> labels([Path("a/run"), Path("b/run"), Path("c/tour")])
    ['a/run', 'b/run', 'tour']
    """
    names = [folder.resolve().name for folder in folders]
    return [
        name if names.count(name) == 1 else str(folder)
        for name, folder in zip(names, folders, strict=True)
    ]


def _privacy(records: Records) -> str:
    """What all that was released says at most about whom."""
    said = [str(bound) for bound in charges(records).bounds() if bound.finite or bound.unseen]
    return "; ".join(said) or "ε = ∞"


def _side(name: str, records: Records, pairing: tuple[int, str | None], first: Records) -> Side:
    evaluated, privacy = last(records), _privacy(records)
    keys = [each.key for each in differing([first.config, records.config])]
    return Side(
        name=name,
        folder=str(records.folder),
        finished=records.finished,
        round=records.rounds,
        rounds=records.config.rounds,
        measured=evaluated.round if evaluated else None,
        privacy=privacy,
        cost=privacy != _privacy(first),
        more=any(key.partition(".")[0] not in PRIVACY for key in keys),
        paired=pairing[0],
        unpaired=pairing[1],
    )


def _pairing(first: Records, other: Records) -> tuple[int, str | None]:
    """By how many clients two runs are paired; or 0, and why they are not."""
    one, two = first.population, other.population
    if one is None or two is None:
        return 0, "which rows were measured was not recorded"
    if first.is_deployment or other.is_deployment:
        return 0, "sites keep their rows, and whether they are the same is not known here"
    if one.digest != two.digest:
        return 0, "they measured different rows, or hold them differently"
    shared = _shared_clients(first, other)
    if len(shared) < 2:
        return 0, f"the counts of {len(shared)} clients are known of both, and it takes two"
    return len(shared), None


def _shared_clients(first: Records, other: Records) -> list[str]:
    pair = last(first), last(other)
    if pair[0] is None or pair[1] is None:
        return []
    return sorted(set(pair[0].clients) & set(pair[1].clients))


def _alike(first: Records, other: Records) -> tuple[Mapping[Measure, Reading], ...]:
    """Both, over the clients that both measured."""
    shared = _shared_clients(first, other)
    return readings(first, clients=shared), readings(other, clients=shared)


def _shared(found: Sequence[Mapping[Measure, Reading]]) -> list[Measure]:
    """The measures that two runs have; of one run, all of its own."""
    least = min(2, len(found))
    every = dict.fromkeys(measure for own in found for measure in own)
    return [measure for measure in every if sum(measure in own for own in found) >= least]


def difference(first: Reading | None, other: Reading | None, *, alike: bool) -> Difference | None:
    """`other` less `first`; None if one of them is undefined. `alike` if the same clients were drawn.

    >>> one, two = Reading(value=0.5, low=0.4, high=0.6), Reading(value=0.75, low=0.65, high=0.85)
    >>> found = difference(one, two, alike=False)
    >>> found.value, round(found.low, 3), round(found.high, 3)
    (0.25, 0.109, 0.391)
    """
    if first is None or other is None or first.value is None or other.value is None:
        return None
    value = other.value - first.value
    if alike and len(first.draws) and len(other.draws):
        bar = intervals((other.draws - first.draws)[:, np.newaxis])[0]
        return Difference(value=value, low=bar.low, high=bar.high) if bar else None
    if first.low is None or first.high is None or other.low is None or other.high is None:
        return Difference(value=value)
    down = math.hypot(other.value - other.low, first.high - first.value)
    up = math.hypot(other.high - other.value, first.value - first.low)
    return Difference(value=value, low=value - down, high=value + up)
