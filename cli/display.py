"""How a run is shown while it goes on: the four ways are `Silent`, `Lines`, `Events` and `Live`."""

from __future__ import annotations

import sys
from contextlib import AbstractContextManager
from typing import Protocol

from ..server.progress import Progress
from ..simulations.conduct import Plan
from . import console
from .events import Events
from .lines import Lines, Silent
from .live import Live
from .options import Format
from .rounds import Rounds


class Display(AbstractContextManager["Display"], Protocol):
    """Shows a run from the first round to the last."""

    def observe(self, progress: Progress) -> None:
        """Shows what happened."""
        ...

    def watch(self, taken: int, members: int) -> None:
        """Shows how many members of the cohort have been taken up."""
        ...


def choose(plan: Plan, form: Format, *, quiet: bool, done: int) -> Display:
    """The display for stdout as it is, of a run of which `done` rounds were done before."""
    config = plan.config
    rounds = Rounds(rounds=config.rounds, every=config.evaluate.every, measured=bool(plan.measured))
    if quiet:
        return Silent()
    if form is Format.JSON:
        return Events()
    if sys.stdout.isatty() and not console.out().is_dumb_terminal:
        return Live(rounds, done=done, baselines=bool(config.baselines))
    return Lines(rounds)
