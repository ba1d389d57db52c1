"""Who takes part in a round, and what may be said about it in public."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Protocol

import numpy as np

from ..privacy.noise import Uniform
from ..privacy.sampling import Sampling


@dataclass(frozen=True, kw_only=True)
class Cohort:
    """The members of one round, which are private, and how they were drawn, which is not."""

    members: tuple[str, ...] = field(repr=False)
    sampling: Sampling


class Sampler(Protocol):
    """Draws a cohort. Equal coins draw equal cohorts."""

    def sampling(self, clients: int) -> Sampling:
        """How cohorts of `clients` clients are drawn.

        Raises ValueError if no cohort can be drawn from so many.
        """
        ...

    def sample(self, clients: Sequence[str], round: int, coins: Uniform) -> Cohort:
        """The cohort of `round`: distinct members of `clients`, in the order of `clients`."""
        ...


@dataclass(frozen=True, kw_only=True)
class Everyone:
    """Every client in every round.

    >>> Everyone().sample(["a", "b"], 1, np.random.default_rng(0)).members
    ('a', 'b')
    """

    def sampling(self, clients: int) -> Sampling:
        """All are expected."""
        return Sampling(scheme="everyone", clients=clients, participation=1.0)

    def sample(self, clients: Sequence[str], round: int, coins: Uniform) -> Cohort:
        """All of them."""
        return Cohort(members=tuple(clients), sampling=self.sampling(len(clients)))


@dataclass(frozen=True, kw_only=True)
class FixedSize:
    """`size` clients, uniformly without replacement."""

    size: int

    def __post_init__(self) -> None:
        if self.size < 1:
            raise ValueError(f"Expected size >= 1, got {self.size}.")

    def sampling(self, clients: int) -> Sampling:
        """`size` are expected."""
        if self.size > clients:
            raise ValueError(
                f"A cohort of {self.size} cannot be drawn from {clients} clients; "
                f'use size <= {clients}, or sampler.kind = "everyone".'
            )
        return Sampling(scheme="fixed", clients=clients, participation=self.size / clients)

    def sample(self, clients: Sequence[str], round: int, coins: Uniform) -> Cohort:
        """`size` of them: those with the lowest numbers."""
        sampling = self.sampling(len(clients))
        chosen = np.sort(np.argsort(coins.random(len(clients)))[: self.size])
        return Cohort(members=tuple(clients[i] for i in chosen), sampling=sampling)


@dataclass(frozen=True, kw_only=True)
class Poisson:
    """Each client with probability `rate`, independently: the size of a cohort varies, and may be 0."""

    rate: float

    def __post_init__(self) -> None:
        if not 0 < self.rate <= 1:
            raise ValueError(f"Expected 0 < rate <= 1, got {self.rate}.")

    def sampling(self, clients: int) -> Sampling:
        """`rate` of them are expected."""
        return Sampling(scheme="poisson", clients=clients, participation=self.rate)

    def sample(self, clients: Sequence[str], round: int, coins: Uniform) -> Cohort:
        """Those whose coin came up."""
        drawn = coins.random(len(clients)) < self.rate
        members = tuple(client for client, is_in in zip(clients, drawn, strict=True) if is_in)
        return Cohort(members=members, sampling=self.sampling(len(clients)))


@dataclass(frozen=True, kw_only=True)
class Cyclic:
    """The clients in `groups` groups that take turns: nobody takes part twice within `groups` rounds.

    >>> cyclic = Cyclic(groups=2)
    >>> [cyclic.sample(["a", "b", "c"], r, np.random.default_rng(0)).members for r in (1, 2, 3)]
    [('a', 'c'), ('b',), ('a', 'c')]
    """

    groups: int

    def __post_init__(self) -> None:
        if self.groups < 2:
            raise ValueError(f"Expected groups >= 2, got {self.groups}.")

    def sampling(self, clients: int) -> Sampling:
        """A group is expected."""
        if self.groups > clients:
            raise ValueError(
                f"{clients} clients do not make {self.groups} groups; use fewer groups."
            )
        return Sampling(
            scheme="cyclic",
            clients=clients,
            participation=1 / self.groups,
            separation=self.groups,
        )

    def sample(self, clients: Sequence[str], round: int, coins: Uniform) -> Cohort:
        """The group whose turn it is."""
        members = tuple(clients[(round - 1) % self.groups :: self.groups])
        return Cohort(members=members, sampling=self.sampling(len(clients)))
