"""How a cohort was drawn, in public facts, and what that makes of an event."""

from __future__ import annotations

from dataclasses import dataclass, replace
from typing import Literal

from . import event as events

Scheme = Literal["everyone", "fixed", "poisson", "cyclic"]


@dataclass(frozen=True, kw_only=True)
class Sampling:
    """A cohort of the share `participation` of `clients` clients, as expected, in each round.

    With the scheme "cyclic" no client takes part twice within `separation` rounds.

    >>> sampling = Sampling(scheme="poisson", clients=1000, participation=0.05)
    >>> sampling.expected, sampling.event(events.Gaussian(noise_multiplier=1.0), round=1).rate
    (50.0, 0.05)
    """

    scheme: Scheme
    clients: int
    participation: float
    separation: int = 1

    @property
    def expected(self) -> float:
        """The expected number of clients in a cohort."""
        return self.participation * self.clients

    def event(self, released: events.Gaussian, round: int) -> events.Event:
        """What `released` on the cohort of `round` reveals about a client.

        In a cycle each client takes part once, so that its first round is charged for all of it.
        """
        match self.scheme:
            case "poisson":
                return events.Poisson(rate=self.participation, of=released)
            case "fixed":
                return events.WithoutReplacement(
                    population=self.clients, sample=int(self.expected + 0.5), of=released
                )
            case "cyclic" if (round - 1) % self.separation:
                return events.Covered()
            case "cyclic" if released.neighbours == "any":
                return replace(released, neighbours="counted")
            case _:
                return released
