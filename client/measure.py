"""Judging rows: from what a model says of a batch to the values that are counted."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray
from torch import Tensor

from ..fairness.tables import Judged, Schema
from .task import Task, per_row

Metric = Callable[[Tensor, Tensor], Tensor]
"""A user's own: from outputs and targets of a batch to a value in [0, 1] for each row, shape (B,)."""


@runtime_checkable
class Telling(Protocol):
    """A task that says what its outputs mean, so that more than the losses can be counted."""

    def guesses(self, outputs: Tensor) -> Tensor:
        """What the model says of each row, shape (B,): a class code, or a number."""
        ...

    def scores(self, outputs: Tensor) -> Tensor:
        """In [0, 1], shape (B,): the probability of class 1 of two, or of the guess; 0 to regress."""
        ...


@dataclass(frozen=True, kw_only=True)
class Measure:
    """What a client counts of a model: the tables of `schema`, with the user's own `metrics`."""

    schema: Schema
    metrics: Mapping[str, Metric] = field(default_factory=dict)

    def judge(
        self,
        task: Task,
        outputs: Tensor,
        targets: Tensor,
        groups: Mapping[str, NDArray[np.int64]],
    ) -> Judged:
        """A batch, judged. Raises ValueError for a metric that has not one value for each row."""
        told: dict[str, NDArray[Any]] = dict.fromkeys(("guesses", "scores"), np.zeros(0))
        told_of = self.schema.classes is not None or self.schema.survival
        if told_of and isinstance(task, Telling):
            told = {
                "guesses": _array(task.guesses(outputs)),
                "scores": _array(task.scores(outputs)),
            }
        return Judged(
            targets=_array(targets),
            losses=_array(task.loss(outputs, targets)),
            groups=groups,
            metrics={
                name: _one_each(name, metric(outputs, targets), len(targets))
                for name, metric in self.metrics.items()
            },
            **told,
        )


def share_right(outputs: Tensor, targets: Tensor) -> Tensor:
    """Of a text: the share of characters that are right, shape (B,)."""
    return per_row((outputs.argmax(1) == targets).float())


def _one_each(name: str, values: Tensor, rows: int) -> NDArray[Any]:
    if values.shape != (rows,):
        raise ValueError(
            f"The metric {name!r} has shape {tuple(values.shape)} for {rows} rows; it must be one value "
            "in [0, 1] for each row."
        )
    return _array(values)


def _array(values: Tensor) -> NDArray[Any]:
    return values.detach().cpu().numpy()
