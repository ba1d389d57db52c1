"""A mechanism: how much a client can move the sum, what is released of it, and what that reveals."""

from __future__ import annotations

from typing import Protocol

from ..wire.messages import Arrays, Settings
from .event import Event
from .noise import Noise
from .sampling import Sampling
from .secret import Secret


class Mechanism(Protocol):
    """One frozen value; every part of it reads the same fields, so that they cannot drift apart.

    `bound` runs where the fold is, so that no client is trusted to bound itself. `memory` is what the
    mechanism carries from round to round; it is as confidential as the sums.
    """

    def begin(self) -> Arrays:
        """The memory before the first round."""
        ...

    def terms(self, memory: Arrays) -> Settings:
        """What clients and admission must know in this round, such as the clip norm. It is public."""
        ...

    def perturb(self, contribution: Arrays, terms: Settings, secret: Secret) -> Arrays:
        """What a client sends instead of its contribution; `secret` is its own."""
        ...

    def bound(self, contribution: Arrays, examples: int, terms: Settings) -> Arrays:
        """What of one client's contribution (of `examples` rows) is added to the sum.

        Raises ValueError if it cannot be bounded. For large models it is `Lazy`: computed array by
        array, and equal whenever it is read.
        """
        ...

    def event(self, sampling: Sampling, round: int) -> Event:
        """What the release of `round` reveals about a client.

        Raises `Unaccountable` for a sampling that the mechanism does not go with.
        """
        ...

    def release(
        self, total: Arrays, sampling: Sampling, memory: Arrays, noise: Noise
    ) -> tuple[Arrays | None, Arrays]:
        """What the strategy may see (None if there is nothing), and the memory for the next round.

        `total` is the sum of what `bound` gave, all zeros if nobody contributed. Each of its arrays
        is read once: reading takes it out of the fold, or a large model would be there twice.
        """
        ...


class Steady:
    """What mechanisms share whose bound never changes, so that a round need not say it."""

    def begin(self) -> Arrays:
        """Nothing to remember yet."""
        return {}

    def terms(self, memory: Arrays) -> Settings:
        """None."""
        return {}


class Central:
    """What mechanisms share whose noise is added to the sum, by whoever holds it."""

    def perturb(self, contribution: Arrays, terms: Settings, secret: Secret) -> Arrays:
        """Nothing happens at the client."""
        return contribution
