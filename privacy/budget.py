"""What a number means: whose data it protects, what a neighbour is, and how much may be spent."""

from __future__ import annotations

import math
from dataclasses import dataclass
from enum import StrEnum


class Unit(StrEnum):
    """Whose data is protected as a whole."""

    CLIENT = "client"
    """Everything that one client holds."""
    EXAMPLE = "example"
    """One row of one client."""


class Adjacency(StrEnum):
    """When two data sets are neighbours, which decides how far one member can move a sum."""

    ADD_REMOVE = "add_remove"
    """A member is there, or is not: the sum moves by at most the clip norm C."""
    ZERO_OUT = "zero_out"
    """A member contributes, or its part of every sum is zero, with everybody counted in public: at
    most C."""
    REPLACE_ONE = "replace_one"
    """A member's data is exchanged for any other: at most 2 C."""

    @property
    def label(self) -> str:
        """As people write it."""
        return "add/remove" if self is Adjacency.ADD_REMOVE else self.value.replace("_", "-")

    @property
    def sensitivity(self) -> int:
        """The sensitivity of a clipped sum, in clip norms."""
        return 2 if self is Adjacency.REPLACE_ONE else 1


@dataclass(frozen=True, kw_only=True)
class Budget:
    """(ε, δ) that must never be exceeded, over all releases together.

    >>> Budget(epsilon=8.0, delta=1e-5).adjacency
    <Adjacency.ADD_REMOVE: 'add_remove'>
    """

    epsilon: float
    delta: float = 1e-5
    adjacency: Adjacency = Adjacency.ADD_REMOVE

    def __post_init__(self) -> None:
        if not self.epsilon > 0:
            raise ValueError(f"Expected epsilon > 0, got {self.epsilon}.")
        if not 0 < self.delta < 1:
            raise ValueError(f"Expected 0 < delta < 1, got {self.delta}.")

    @property
    def finite(self) -> bool:
        """Whether it limits anything."""
        return math.isfinite(self.epsilon)

    def __str__(self) -> str:
        return f"ε = {self.epsilon:.4g} at δ = {self.delta:.3g} ({self.adjacency.label})"
