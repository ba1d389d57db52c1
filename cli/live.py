"""A run on a terminal: a table of the last rounds, a bar for the round and one for the run."""

from __future__ import annotations

import time
from collections import deque
from datetime import timedelta
from types import TracebackType
from typing import Self

from rich import box
from rich.console import Group
from rich.live import Live as Screen
from rich.progress import BarColumn, Progress, TextColumn
from rich.table import Table
from rich.text import Text

from ..reports.summary import Point, Scores
from ..reports.tables import number
from ..server.progress import Began, Committed, Evaluated
from ..server.progress import Progress as Happened
from . import console
from .rounds import Rounds

VISIBLE = 15
AROUND = 8
"""Lines of a terminal that the table's head and the bars take."""


class Live:
    """Shows the last `VISIBLE` rounds and what is going on; the rounds stay when it is left."""

    def __init__(self, rounds: Rounds, *, done: int, baselines: bool) -> None:
        self.rounds = rounds
        self.baselines = baselines
        self.done = done
        visible = max(1, min(VISIBLE, console.out().height - AROUND))
        self.points: deque[Point] = deque(maxlen=visible)
        self.bars = Progress(
            TextColumn("{task.description}"),
            BarColumn(bar_width=40),
            TextColumn("{task.fields[count]}"),
            TextColumn("{task.fields[left]}", style="dim"),
        )
        self.width = len(f"measuring {rounds.rounds}")
        self.now = self.bars.add_task(self._padded("starting"), total=None, count="", left="")
        self.whole = self.bars.add_task(
            self._padded("rounds"),
            total=rounds.rounds,
            completed=done,
            count=f"{done}/{rounds.rounds}",
            left="",
        )
        self.working = True
        self.screen = Screen(console=console.out(), get_renderable=self.__rich__)
        self.began = (time.monotonic(), done)

    def __enter__(self) -> Self:
        self.screen.__enter__()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        self.working = False
        self.screen.__exit__(kind, error, traceback)

    def observe(self, progress: Happened) -> None:
        """A row when a round is complete, and the name of what comes next."""
        match progress:
            case Began(round=number):
                if number == self.done + 1:
                    self.began = (time.monotonic(), self.done)  # leaves out the start of workers
                self._next(f"round {number}")
            case Committed(round=number):
                count, left = f"{number}/{self.rounds.rounds}", self._left(number)
                self.bars.update(self.whole, completed=number, count=count, left=left)
                self._add(self.rounds.committed(progress))
                self._next(f"measuring {number}" if self.rounds.is_due(number) else "")
            case Evaluated(round=number):
                self._add(self.rounds.evaluated(progress))
                if number == self.rounds.rounds:
                    self._next("baselines" if self.baselines else "")
            case _:
                pass

    def watch(self, taken: int, members: int) -> None:
        """Moves the bar of the round."""
        self.bars.update(self.now, completed=taken, total=members, count=f"{taken}/{members}")

    def _next(self, what: str) -> None:
        """Until it is known how far that is, the bar pulses."""
        self.bars.reset(self.now, description=self._padded(what), total=None, count="", left="")

    def _padded(self, what: str) -> str:
        return f"{what:<{self.width}}"

    def _add(self, point: Point | None) -> None:
        if point is not None:
            self.points.append(point)

    def _left(self, round: int) -> str:
        start, done = self.began
        each = (time.monotonic() - start) / max(round - done, 1)
        seconds = timedelta(seconds=int(each * (self.rounds.rounds - round)))
        return f"{seconds} left" if round < self.rounds.rounds else ""

    def __rich__(self) -> Group:
        parts = [rounds_table(self.points)] if self.points else []
        return Group(*parts, self.bars) if self.working else Group(*parts)


def rounds_table(points: deque[Point]) -> Table:
    """A row for each of `points`, in the columns that they need."""
    scores = [point.scores for point in points if point.scores]
    rate = scores[-1].rate if scores else "loss"
    pooled = any(found.pooled is not None for found in scores)
    table = Table(box=box.SIMPLE_HEAD, header_style="dim", pad_edge=False)
    for name in ("round", "training loss", rate, *(["pooled"] if pooled else [])):
        table.add_column(name, justify="right")
    table.add_column("worst client")
    for name in ("refused", "seconds"):
        table.add_column(name, justify="right")
    for point in points:
        found = point.scores or Scores(rate=rate)
        worst = f"{number(found.worst)}  {found.worst_client}" if found.worst_client else ""
        table.add_row(
            str(point.round),
            number(point.training_loss),
            number(found.rows),
            *([number(found.pooled)] if pooled else []),
            Text(worst),  # a client's name is not markup
            f"[yellow]{point.refused}[/]" if point.refused else "0",
            f"{point.seconds:.2f}",
        )
    return table
