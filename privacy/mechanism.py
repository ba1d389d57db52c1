"""A mechanism says how much one client can move the sum, and what is released of it."""

from __future__ import annotations

from typing import Protocol

from ..wire.messages import Arrays


class Mechanism(Protocol):
    """A pure pair around the sum: `bound` before each addition, `release` once after all of them.

    `bound` runs where the fold is, so that no client is trusted to bound itself.
    """

    def bound(self, contribution: Arrays, examples: int) -> Arrays:
        """What of one client's contribution (of `examples` rows) is added to the sum."""
        ...

    def release(self, total: Arrays) -> Arrays:
        """What the strategy may see: the contribution of a typical client, from the sum of all."""
        ...
