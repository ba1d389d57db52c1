"""Runs side by side: in what they differ, what each measured, and how far each is from the first."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from ..fairness.assessment import Estimate
from ..privacy.budget import Unit
from .changes import Difference, independent, paired, shared_clients, unpaired
from .charges import charges
from .differing import Setting, differing
from .guarantee import Bound, is_noised
from .readings import (
    ALL_ROWS,
    CLIENT,
    EPSILON,
    MEAN,
    POOLED_ROWS,
    WORST,
    WORST_TENTH,
    Measure,
    epsilon_of,
    last,
    readings,
)
from .records import Records

Readings = Mapping[Measure, Estimate]
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
class Row:
    """One measure in every run, and the difference of each to the first; None where there is none."""

    measure: Measure
    readings: tuple[Estimate | None, ...]
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
      - Equal runs that are paired differ by 0 in [0, 0] in whatever has an interval.
      - Where a value is undefined in one of two runs, there is no difference.
      - The same runs give the same numbers, to the last bit.

    Raises `StoreError` if a ledger cannot be read.
    """
    found = everything(runs)
    sides = [_side(name, each, runs[0]) for name, each in zip(_names(runs), runs, strict=True)]
    changes = [
        _changes(each, runs[0], found[0], own)
        for each, own in zip(runs[1:], found[1:], strict=True)
    ]
    return Comparison(
        sides=tuple(sides),
        settings=tuple(differing([records.config for records in runs])),
        rows=tuple(
            Row(
                measure=measure,
                readings=tuple(own.get(measure) for own in found),
                differences=(None, *(each.get(measure) for each in changes)),
            )
            for measure in _shared(found)
        ),
    )


def everything(runs: Sequence[Records]) -> list[Readings]:
    """What each of `runs` measured; a unit that no noise protects has ε = ∞, at any δ."""
    bounds = [charges(records).bounds() for records in runs]
    asked = {epsilon_of(bound): bound.unit for own in bounds for bound in own}
    found: list[Readings] = []
    for records, own in zip(runs, bounds, strict=True):
        budgets = {unit: records.config.budget_of(unit) for unit in Unit}
        open_ones = [Bound(unit=u, epsilon=math.inf, budget=b) for u, b in budgets.items()]
        unbounded = {epsilon_of(each): each.unit for each in open_ones} | asked
        none = {
            measure: Estimate(value=math.inf)
            for measure, unit in unbounded.items()
            if not is_noised(records.config, unit)
        }
        found.append(none | readings(records, own))
    return found


def _names(runs: Sequence[Records]) -> list[str]:
    return labels([records.folder for records in runs])


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


def _side(name: str, records: Records, first: Records) -> Side:
    evaluated, privacy, why = last(records), _privacy(records), unpaired(first, records)
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
        paired=0 if why else len(shared_clients(first, records)),
        unpaired=why,
    )


def _changes(
    records: Records, first: Records, ours: Readings, theirs: Readings
) -> Mapping[Measure, Difference | None]:
    """The differences of `records`, which measured `theirs`, to `first`."""
    apart = {
        measure: independent(ours.get(measure), each)
        for measure, each in theirs.items()
        if measure.metric != EPSILON
    }
    if unpaired(first, records):
        return apart
    alone = {m: Difference(value=each.value) if each else None for m, each in apart.items()}
    return alone | paired(first, records)


def _shared(found: Sequence[Readings]) -> list[Measure]:
    """The measures that two runs have, those of everyone first; of one run, all of its own."""
    least = min(2, len(found))
    every = dict.fromkeys(measure for own in found for measure in own)
    shared = [measure for measure in every if sum(measure in own for own in found) >= least]
    return sorted(shared, key=_rank)


def _rank(measure: Measure) -> int:
    """ε, everyone, clients together, groups, and each client."""
    if measure.metric == EPSILON:
        return 0
    together = (ALL_ROWS, POOLED_ROWS, MEAN, WORST_TENTH, WORST)
    if measure.group in together:
        return 1 + together.index(measure.group)
    return 7 if measure.group.startswith(CLIENT) else 6
