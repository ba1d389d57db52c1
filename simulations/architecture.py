"""Which model of `models/` to build for the rows at hand. Importing this does not import torch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from typing import TYPE_CHECKING

from .dataset import DataError
from .population import Population

if TYPE_CHECKING:
    from torch import nn


@dataclass(frozen=True, kw_only=True)
class Perceptron:
    """An MLP; `hidden = []` is linear or logistic regression."""

    hidden: tuple[int, ...] = (64,)
    dropout: float = 0.0

    def __post_init__(self) -> None:
        _check(self.dropout, *self.hidden)

    def fit_to(self, population: Population) -> Callable[[], nn.Module]:
        """A factory of MLPs that take a row of `population`."""
        from ..models.mlp import MLP

        inputs = 1
        for size in population.shape:
            inputs *= size
        return partial(
            MLP,
            inputs=inputs,
            outputs=outputs(population),
            hidden=self.hidden,
            dropout=self.dropout,
        )


@dataclass(frozen=True, kw_only=True)
class Convolutional:
    """A CNN with GroupNorm, for images and spectrograms."""

    channels: tuple[int, ...] = (16, 32)
    hidden: int = 64
    dropout: float = 0.0

    def __post_init__(self) -> None:
        _check(self.dropout, self.hidden, *self.channels)

    def fit_to(self, population: Population) -> Callable[[], nn.Module]:
        """A factory of CNNs. Raises DataError unless a row is channels x height x width."""
        from ..models.cnn import CNN

        if len(population.shape) != 3:
            raise DataError(
                f"A CNN takes rows of channels x height x width; those of {population.name!r} have "
                f'shape {population.shape}; use model.kind = "mlp".'
            )
        channels, height, width = population.shape
        return partial(
            CNN,
            shape=(channels, height, width),
            outputs=outputs(population),
            channels=self.channels,
            hidden=self.hidden,
            dropout=self.dropout,
        )


@dataclass(frozen=True, kw_only=True)
class Characters:
    """A causal CNN over characters, for text."""

    width: int = 64
    layers: int = 4

    def __post_init__(self) -> None:
        _check(0.0, self.width, self.layers)

    def fit_to(self, population: Population) -> Callable[[], nn.Module]:
        """A factory of character models. Raises DataError unless targets follow every character."""
        from ..models.text import CharacterCNN

        if population.data.targets.ndim != 2:
            raise DataError(
                f"A character model takes texts with a target for every character; "
                f'{population.name!r} has none; use model.kind = "mlp".'
            )
        return partial(
            CharacterCNN, characters=population.classes, width=self.width, layers=self.layers
        )


Architecture = Perceptron | Convolutional | Characters


def outputs(population: Population) -> int:
    """One logit for two classes, one output for regression, else one logit for each class."""
    return population.classes if population.classes > 2 else 1


def _check(dropout: float, *sizes: int) -> None:
    if not 0 <= dropout < 1:
        raise ValueError(f"Expected 0 <= dropout < 1, got {dropout}.")
    if any(size < 1 for size in sizes):
        raise ValueError(f"Expected sizes >= 1, got {min(sizes)}.")
