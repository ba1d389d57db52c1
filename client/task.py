"""The learning problem: a model, a loss for each row, and statistics that add."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Protocol

import torch
from torch import Tensor, nn
from torch.nn import functional


class Task(Protocol):
    """What a user writes. `outputs` is what `model()` gives for a batch; B is the batch size.

    A task with classes may also have `guesses(outputs)`, the code of each row's likeliest class.
    A task must be importable or picklable: every worker process builds its own from it.
    """

    def model(self) -> nn.Module:
        """A fresh model. Called after the seed is set, so its first weights are repeatable."""
        ...

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """The loss of each row, shape (B,)."""
        ...

    def statistics(self, outputs: Tensor, targets: Tensor) -> Mapping[str, Tensor]:
        """Scalars summed over the batch. `correct` is read as accuracy, `squared_error` as RMSE.

        A `loss` among them replaces the sum of `loss` in what is reported.
        """
        ...


@dataclass(frozen=True, kw_only=True)
class Classification:
    """Classes told apart by logits of shape (B, classes), or by one logit of shape (B, 1) if binary.

    Targets of shape (B,) hold class codes. Targets of shape (B, T), such as the next characters of
    a text, go with logits of shape (B, classes, T): the loss of a row is the mean over T, and
    `correct` counts a row by the share of T that is right.

    >>> task = Classification(build=lambda: nn.Linear(2, 1))
    >>> outputs, targets = torch.tensor([[3.0], [-3.0]]), torch.tensor([1, 1])
    >>> task.statistics(outputs, targets)["correct"]
    tensor(1.)
    """

    build: Callable[[], nn.Module] = field(repr=False)
    label_smoothing: float = 0.0

    def model(self) -> nn.Module:
        """A fresh model."""
        return self.build()

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Cross-entropy of each row, against smoothed labels."""
        return cross_entropy(outputs, targets, self.label_smoothing)

    def guesses(self, outputs: Tensor) -> Tensor:
        """The code of each row's likeliest class, shape (B,) or (B, T)."""
        if outputs.shape[1] == 1:
            return (outputs[:, 0] > 0).to(torch.int64)
        return outputs.argmax(1)

    def scores(self, outputs: Tensor) -> Tensor:
        """The probability of class 1 of two, or of the likeliest class of more, shape (B,) or (B, T)."""
        match outputs.shape[1]:
            case 1:
                return outputs[:, 0].sigmoid()
            case 2:
                return outputs.softmax(1)[:, 1]
            case _:
                return outputs.softmax(1).amax(1)

    def statistics(self, outputs: Tensor, targets: Tensor) -> Mapping[str, Tensor]:
        """`correct`: rows whose likeliest class is the target; `loss`: cross-entropy, not smoothed."""
        guesses = self.guesses(outputs).to(targets.dtype)
        right = per_row((guesses == targets).to(torch.float32))
        return {"correct": right.sum(), "loss": cross_entropy(outputs, targets).sum()}


def cross_entropy(outputs: Tensor, targets: Tensor, smoothing: float = 0.0) -> Tensor:
    """The loss of each row, shape (B,); for one logit, binary cross-entropy."""
    if outputs.shape[1] > 1:
        return per_row(
            functional.cross_entropy(outputs, targets, reduction="none", label_smoothing=smoothing)
        )
    wanted = targets.to(outputs.dtype) * (1 - smoothing) + smoothing / 2
    return functional.binary_cross_entropy_with_logits(outputs[:, 0], wanted, reduction="none")


def per_row(values: Tensor) -> Tensor:
    """Values of shape (B,) as they are, of shape (B, T) as their mean over T."""
    return values if values.ndim == 1 else values.flatten(1).mean(1)


@dataclass(frozen=True, kw_only=True)
class Regression:
    """One number for each row: outputs of shape (B, 1), targets of shape (B,), squared error.

    >>> task = Regression(build=lambda: nn.Linear(2, 1))
    >>> task.statistics(torch.tensor([[3.0]]), torch.tensor([1.0]))["squared_error"]
    tensor(4.)
    """

    build: Callable[[], nn.Module] = field(repr=False)

    def model(self) -> nn.Module:
        """A fresh model."""
        return self.build()

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        """Half the squared error of each row."""
        return (outputs[:, 0] - targets).square() / 2

    def guesses(self, outputs: Tensor) -> Tensor:
        """The predictions, shape (B,)."""
        return outputs[:, 0]

    def scores(self, outputs: Tensor) -> Tensor:
        """None: zeros, shape (B,)."""
        return torch.zeros(len(outputs))

    def statistics(self, outputs: Tensor, targets: Tensor) -> Mapping[str, Tensor]:
        """`squared_error`, and the moments of the targets that R² needs."""
        wide = targets.cpu().double()  # R² rests on a small difference of large sums
        return {
            "squared_error": (outputs[:, 0] - targets).square().sum(),
            "target": wide.sum(),
            "target_squared": wide.square().sum(),
        }
