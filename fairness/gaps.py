"""How far groups are apart, by the names that the literature gives to which rate should be equal.

M. Hardt, E. Price and N. Srebro (NeurIPS 2016) for equal opportunity and equalised odds; A.
Chouldechova (Big Data 5, 2017) for predictive parity. Of more than two classes, each is compared with
the rest, and the gap is that of the class for which it is widest.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from enum import StrEnum
from typing import Final

import numpy as np
from numpy.typing import NDArray

from .rate import Array, Floor, Rate, divide
from .tables import Schema

BY_CLASS: Final[Mapping[str, tuple[str, ...]]] = {
    "demographic_parity": ("selection_rate",),
    "equal_opportunity": ("recall",),
    "equalised_odds": ("recall", "false_positive_rate"),
    "predictive_parity": ("precision",),
}
OF_MODEL: Final[Mapping[str, str]] = {
    "accuracy_parity": "accuracy",
    "auc_parity": "auc",
    "bias_parity": "bias",
    "calibration_parity": "calibration_error",
    "clipped_parity": "clipped_share",
    "concordance_parity": "concordance",
    "error_parity": "mae",
    "loss_parity": "loss",
}


class Kind(StrEnum):
    """How groups are compared: highest less lowest, lowest over highest, second less first of two."""

    DIFFERENCE = "difference"
    RATIO = "ratio"
    SIGNED = "signed"


@dataclass(frozen=True, kw_only=True)
class Criterion:
    """A name, and the rates that should be equal: for each class, those that must be so together."""

    name: str
    rates: tuple[tuple[str, ...], ...]

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """All but what makes no sense: the ratio of rates below 0, the sign of several rates."""
        ratio = () if self.name == "bias_parity" else (Kind.RATIO,)
        signed = (Kind.SIGNED,) if len(self.rates) == len(self.rates[0]) == 1 else ()
        return (Kind.DIFFERENCE, *ratio, *signed)


def criteria(schema: Schema) -> tuple[Criterion, ...]:
    """The criteria that the tables of a schema can tell.

    >>> [each.name for each in criteria(Schema(classes=0))]
    ['bias_parity', 'error_parity', 'loss_parity']
    """
    classes = schema.classes or 0
    labels = [""] if classes == 2 else [f".{label}" for label in range(classes)]
    by_class = {
        name: tuple(tuple(f"{rate}{label}" for rate in rates) for label in labels)
        for name, rates in BY_CLASS.items()
        if classes
    }
    match schema.classes:
        case None:
            told = {"concordance"} if schema.survival else set[str]()
        case 0:
            told = {"bias", "mae"}
        case 2:
            told = {"accuracy", "auc", "calibration_error"}
        case _:
            told = {"accuracy", "calibration_error"}
    told |= {"loss", "clipped_share"} if schema.clipping else {"loss"}
    of_model = {name: ((rate,),) for name, rate in OF_MODEL.items() if rate in told}
    metrics = {f"{name}_parity": ((name,),) for name in schema.metrics}
    return tuple(
        Criterion(name=name, rates=rates)
        for name, rates in sorted((by_class | of_model | metrics).items())
    )


def comparable(criterion: Criterion, rates: Mapping[str, Rate], floor: Floor) -> NDArray[np.bool_]:
    """Which groups have every rate, over as many rows as `floor` wants: (..., K, G) for K classes."""
    return np.stack(
        [
            np.all([_enough(rates[name], floor) for name in together], axis=0)
            for together in criterion.rates
        ],
        axis=-2,
    )


def _enough(rate: Rate, floor: Floor) -> NDArray[np.bool_]:
    found: NDArray[np.bool_] = (rate.rows >= floor.least(rate.cells)) & ~np.isnan(rate.value)
    return found


def gap(
    criterion: Criterion, kind: Kind, values: Mapping[str, Array], chosen: NDArray[np.bool_]
) -> Array:
    """The gap between the groups that `chosen`, shape (..., K, G), takes: shape (...).

    NaN where fewer than two of them have the rates; `signed` wants exactly two.
    """
    each = parts(criterion, kind, values, chosen)
    worst = np.fmin if kind is Kind.RATIO else np.fmax
    result: Array = worst.reduce(each.reshape(*each.shape[:-2], -1), axis=-1)
    return result


def parts(
    criterion: Criterion, kind: Kind, values: Mapping[str, Array], chosen: NDArray[np.bool_]
) -> Array:
    """The gap of each of P rates of each of K classes: shape (..., K, P).

    A group has all rates of a class, or it is not compared in that class.
    """
    table = np.stack(
        [np.stack([values[n] for n in together], axis=-2) for together in criterion.rates], axis=-3
    )
    taken = (chosen & ~np.isnan(table).any(-2))[..., np.newaxis, :]
    table = np.where(taken, table, np.nan)
    number = taken.sum(-1)
    low, high = np.fmin.reduce(table, axis=-1), np.fmax.reduce(table, axis=-1)
    match kind:
        case Kind.DIFFERENCE:
            return np.where(number >= 2, high - low, np.nan)
        case Kind.RATIO:
            return np.where(number >= 2, divide(low, high), np.nan)
        case Kind.SIGNED:
            first = np.argmax(taken, -1)
            last = taken.shape[-1] - 1 - np.argmax(taken[..., ::-1], -1)
            pair = [
                np.take_along_axis(table, np.broadcast_to(n, low.shape)[..., np.newaxis], -1)
                for n in (first, last)
            ]
            return np.where(number == 2, (pair[1] - pair[0])[..., 0], np.nan)
