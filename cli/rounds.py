"""Puts together what a round committed and what its evaluation found, which come one by one."""

from __future__ import annotations

from dataclasses import dataclass, field

from ..reports.summary import Point, point
from ..server.progress import Committed, Evaluated


@dataclass
class Rounds:
    """An evaluation is due every `every` rounds and after the last, if anything is `measured`."""

    rounds: int
    every: int
    measured: bool
    _waiting: Committed | None = field(default=None, repr=False)

    def is_due(self, round: int) -> bool:
        """Whether the evaluation of `round` will be told of."""
        return self.measured and (round % self.every == 0 or round == self.rounds)

    def committed(self, committed: Committed) -> Point | None:
        """The round, unless its evaluation is still to come."""
        if self.is_due(committed.round):
            self._waiting = committed
            return None
        return point(committed, None)

    def evaluated(self, evaluated: Evaluated) -> Point:
        """The round that was waiting; one of an earlier process, if the run was resumed."""
        committed, self._waiting = self._waiting, None
        return point(committed or _earlier(evaluated.round), evaluated)


def _earlier(round: int) -> Committed:
    return Committed(round=round, cohort=0, admitted=0, refused=0, training={}, seconds=0.0)
