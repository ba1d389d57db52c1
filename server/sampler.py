"""Who takes part in a round, and what may be said about it in public."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np


@dataclass(frozen=True, kw_only=True)
class Cohort:
    """The members of one round, which are private, and the expected share of clients, which is not."""

    members: tuple[str, ...] = field(repr=False)
    participation: float


class Sampler(Protocol):
    """Draws a cohort. Equal generators draw equal cohorts."""

    def participation(self, clients: int) -> float:
        """The expected share of `clients` clients in a cohort.

        Raises ValueError if no cohort can be drawn from so many.
        """
        ...

    def sample(self, clients: Sequence[str], rng: np.random.Generator) -> Cohort:
        """A cohort of distinct members of `clients`, in the order of `clients`."""
        ...


@dataclass(frozen=True, kw_only=True)
class Everyone:
    """Every client in every round.

    >>> Everyone().sample(["a", "b"], np.random.default_rng(0)).members
    ('a', 'b')
    """

    def participation(self, clients: int) -> float:
        """1."""
        return 1.0

    def sample(self, clients: Sequence[str], rng: np.random.Generator) -> Cohort:
        """All of them."""
        return Cohort(members=tuple(clients), participation=1.0)


@dataclass(frozen=True, kw_only=True)
class FixedSize:
    """`size` clients, uniformly without replacement."""

    size: int

    def __post_init__(self) -> None:
        if self.size < 1:
            raise ValueError(f"Expected size >= 1, got {self.size}.")

    def participation(self, clients: int) -> float:
        """size / clients."""
        if self.size > clients:
            raise ValueError(
                f"A cohort of {self.size} cannot be drawn from {clients} clients; "
                f'use size <= {clients}, or sampler.kind = "everyone".'
            )
        return self.size / clients

    def sample(self, clients: Sequence[str], rng: np.random.Generator) -> Cohort:
        """`size` of them."""
        participation = self.participation(len(clients))
        chosen = np.sort(rng.choice(len(clients), self.size, replace=False))
        return Cohort(members=tuple(clients[i] for i in chosen), participation=participation)


@dataclass(frozen=True, kw_only=True)
class Poisson:
    """Each client with probability `rate`, independently: the size of a cohort varies, and may be 0."""

    rate: float

    def __post_init__(self) -> None:
        if not 0 < self.rate <= 1:
            raise ValueError(f"Expected 0 < rate <= 1, got {self.rate}.")

    def participation(self, clients: int) -> float:
        """The rate."""
        return self.rate

    def sample(self, clients: Sequence[str], rng: np.random.Generator) -> Cohort:
        """Those whose coin came up."""
        drawn = rng.random(len(clients)) < self.rate
        members = tuple(client for client, is_in in zip(clients, drawn, strict=True) if is_in)
        return Cohort(members=members, participation=self.rate)
