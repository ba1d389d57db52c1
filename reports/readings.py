"""Everything that a run measured as one flat table: which metric, over whom, and its error bars."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import replace
from typing import Final, NamedTuple

from ..fairness.assessment import ByAttribute, Estimate
from ..fairness.statistics import rates
from ..fairness.tables import EVERYONE
from ..server.progress import Evaluated
from .guarantee import UNSEEN, Bound
from .records import Records
from .summary import scores

ALL_ROWS: Final = "all held-out rows"
POOLED_ROWS: Final = "pooled test rows"
MEAN, WORST_TENTH, WORST = "mean of clients", "worst tenth of clients", "worst client"
CLIENT: Final = "client="
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


def last(records: Records) -> Evaluated | None:
    """The last evaluation of a run."""
    return next((found for _, found in reversed(records.history) if found), None)


def readings(records: Records, bounds: Sequence[Bound] = ()) -> dict[Measure, Estimate]:
    """What `records` holds of the last evaluation, and the ε of `bounds`.

    Where a report has the same number, it is the same to the last bit.
    """
    found = {epsilon_of(bound): _epsilon(bound) for bound in bounds}
    if (evaluated := last(records)) is None:
        return found
    counted = dict(_counted(records))
    reported = dict(_reported(evaluated))
    known = {
        measure: replace(counted.get(measure, one), value=one.value, undefined=None)
        for measure, one in reported.items()
    }
    return found | counted | known


def epsilon_of(bound: Bound) -> Measure:
    """What ε is of, at which δ, under which adjacency: without them it means nothing."""
    budget = bound.budget
    return Measure(EPSILON, f"{bound.unit} {budget.adjacency.label} delta={budget.delta:g}")


def _epsilon(bound: Bound) -> Estimate:
    return Estimate(value=None, undefined=UNSEEN) if bound.unseen else Estimate(value=bound.epsilon)


def _reported(evaluated: Evaluated) -> Iterator[tuple[Measure, Estimate]]:
    """The numbers of the summary, and the headline rate of each client."""
    found = scores(evaluated.clients, evaluated.pooled, evaluated.everyone)
    between = ((MEAN, found.mean), (WORST_TENTH, found.worst_tenth), (WORST, found.worst))
    values = {Measure(name, ALL_ROWS): rate for name, rate in rates(evaluated.everyone).items()}
    values |= {Measure(name, POOLED_ROWS): rate for name, rate in rates(evaluated.pooled).items()}
    values |= {Measure(found.rate, who): rate for who, rate in between if rate is not None}
    for client, counts in evaluated.clients.items():
        if (rate := rates(counts).get(found.rate)) is not None:
            values[Measure(found.rate, f"{CLIENT}{client}")] = rate
    for measure, value in values.items():
        yield measure, Estimate(value=value)


def _counted(records: Records) -> Iterator[tuple[Measure, Estimate]]:
    """What the tables tell: the rates of all rows and of each group, and every gap."""
    found = records.assessment
    if found is None:
        return
    for name, estimate in found.overall.items():
        yield Measure(name, ALL_ROWS), estimate
    for attribute in found.attributes:
        if attribute.name != EVERYONE:
            yield from _of_attribute(attribute)


def _of_attribute(found: ByAttribute) -> Iterator[tuple[Measure, Estimate]]:
    for group in found.groups:
        for name, estimate in group.rates.items():
            yield Measure(name, f"{found.name}={group.name}"), estimate
    for gap in found.gaps:
        yield Measure(f"{gap.criterion} {gap.kind}", found.name), gap.estimate
