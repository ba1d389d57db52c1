"""A run in plain lines: one for each round, for logs and pipes."""

from __future__ import annotations

from types import TracebackType
from typing import Self

from ..reports.summary import Point
from ..reports.tables import number
from ..server.progress import Committed, Evaluated, Progress
from . import console
from .rounds import Rounds


class Silent:
    """Nothing at all."""

    def __enter__(self) -> Self:
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        return

    def observe(self, progress: Progress) -> None:
        """Nothing."""

    def watch(self, taken: int, members: int) -> None:
        """Nothing."""


class Lines(Silent):
    """One line for each round."""

    def __init__(self, rounds: Rounds) -> None:
        self.rounds = rounds

    def observe(self, progress: Progress) -> None:
        """A line when a round is complete."""
        match progress:
            case Committed():
                if (found := self.rounds.committed(progress)) is not None:
                    console.say(line(found, self.rounds.rounds))
            case Evaluated():
                console.say(line(self.rounds.evaluated(progress), self.rounds.rounds))
            case _:
                pass


def line(point: Point, rounds: int) -> str:
    """One round in one line; what is not known is left out."""
    parts = [f"round {point.round:{len(str(rounds))}}/{rounds}"]
    if point.training_loss is not None:
        parts.append(f"training loss {number(point.training_loss)}")
    if (scores := point.scores) is not None:
        if scores.rows is not None:
            parts.append(f"{scores.rate} {number(scores.rows)}")
        if scores.pooled is not None:
            parts.append(f"pooled {number(scores.pooled)}")
        if scores.worst is not None:
            parts.append(f"worst {number(scores.worst)} ({scores.worst_client})")
    if point.refused:
        parts.append(f"refused {point.refused}")
    return "  ".join([*parts, f"{point.seconds:.2f} s"])
