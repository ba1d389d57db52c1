"""A run from the command line: prepared, shown, and when it stops, what is safe and how to go on."""

from __future__ import annotations

import logging
import shlex
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Self

from ..reports.records import read
from ..reports.summary import summarise
from ..simulations.config import Config, read_config
from ..simulations.run_folder import RunFolder
from ..wire.errors import BudgetSpent, StoreError, TacitError
from . import console
from .display import choose
from .options import Format
from .outcome import Interrupted
from .result import show_result


@dataclass(frozen=True, kw_only=True)
class Attempt:
    """What to run where. Of a run that is resumed, `done` rounds are there, perhaps all of it."""

    config: Config
    folder: RunFolder
    resume: bool = False
    finished: bool = False
    done: int = 0
    command: str = "tacit run"
    """What the run was started with."""

    @classmethod
    def fresh(
        cls, config: Path, changes: Sequence[str], folder: RunFolder, command: str = "tacit run"
    ) -> Self:
        """A new run. Raises `ConfigError`, and `StoreError` if `folder` holds one already."""
        if folder.config.exists() and not console.is_helper():
            raise StoreError(
                f"{folder.path} holds a run already; resume it with --resume {folder.path}, or "
                "choose another folder with --out."
            )
        return cls(config=read_config(config, changes), folder=folder, command=command)

    @classmethod
    def resumed(cls, folder: RunFolder, changes: Sequence[str], command: str = "tacit run") -> Self:
        """The run in `folder`. Raises `StoreError` if there is none."""
        records = read(folder)
        return cls(
            config=read_config(folder.config, changes),
            folder=folder,
            resume=True,
            finished=records.finished,
            done=records.rounds,
            command=command,
        )

    def advice(self) -> str | None:
        """What is safe and how to go on; None if nothing was written."""
        if not self.folder.config.exists():
            return None
        folder = shlex.quote(str(self.folder.path))
        return f"{self._safe()}to go on: {self.command} --resume {folder}"

    def paid(self) -> str | None:
        """What is safe once the budget is spent; None if nothing was written."""
        if not self.folder.config.exists():
            return None
        done, model = read(self.folder).rounds, shlex.quote(str(self.folder.model))
        if not done:
            return "no round was paid for, so there is no model but the initial one."
        return (
            f"the rounds up to {done} are paid for and safe, and {model} is the model of round "
            f"{done}; what a budget allows is said by: tacit budget {self.folder.path}"
        )

    def _safe(self) -> str:
        try:
            done = read(self.folder).rounds
        except (TacitError, OSError):  # what stopped the run may stop this as well
            return ""
        if done == self.config.rounds:
            return f"all {done} rounds are safe, the baselines are not complete; "
        return f"rounds up to {done} are safe; " if done else "no round is complete yet; "


Train = Callable[[Attempt, Format, bool], None]
"""Does the work of an attempt, and shows it in a format unless it is to be quiet."""


def execute(attempt: Attempt, form: Format, *, quiet: bool, train: Train) -> None:
    """Runs `attempt` to its end and shows what came of it; a note says how to go on if it stops.

    `train` does the work; it is not called for a run that is finished.
    If the budget ends it, what was paid for is shown before `BudgetSpent` is raised. Raises a
    `TacitError`, OSError, or `Interrupted`.
    """
    logging.getLogger("sqlalchemy").addHandler(logging.NullHandler())  # what it logs it raises too
    try:
        if attempt.finished:
            console.note(f"{attempt.folder.path} is finished already; this is its result.")
        else:
            train(attempt, form, quiet)
    except KeyboardInterrupt:
        stopped = Interrupted("interrupted.")
        stopped.add_note(attempt.advice() or "nothing was written")
        raise stopped from None
    except BudgetSpent as spent:
        if paid := attempt.paid():
            _show(attempt, form, quiet=quiet)
            spent.add_note(paid)
        raise
    except (TacitError, OSError) as error:
        if advice := attempt.advice():
            error.add_note(advice)
        raise
    _show(attempt, form, quiet=quiet)


def _show(attempt: Attempt, form: Format, *, quiet: bool) -> None:
    if not console.is_helper():
        records = read(attempt.folder)
        show_result(records, summarise(records), form, quiet=quiet)


def simulate(attempt: Attempt, form: Format, quiet: bool) -> None:
    """Trains simulated clients, and shows how far it is."""
    from ..simulations.run import help_run
    from ..simulations.run import run as run_setup
    from ..simulations.setup import cautions, prepare

    with patience():
        setup = prepare(attempt.config)
    if console.is_helper():
        help_run(setup, attempt.folder)
        return
    introduce(attempt, cautions(setup), form, quiet=quiet)
    with choose(setup, form, quiet=quiet, done=attempt.done) as display:
        run_setup(
            setup,
            attempt.folder,
            resume=attempt.resume,
            observe=display.observe,
            watch=display.watch,
        )


def introduce(attempt: Attempt, warnings: Iterable[str], form: Format, *, quiet: bool) -> None:
    """Says what there is to say before the first round."""
    for text in warnings:
        if form is Format.JSON:
            console.emit({"event": "caution", "text": text})
        else:
            console.caution(text)
    if attempt.resume and form is Format.TEXT and not quiet:
        console.say(f"resuming after round {attempt.done} of {attempt.config.rounds}")


@contextmanager
def patience() -> Iterator[None]:
    """Says that something goes on, on a terminal: large data may take a while to load."""
    if not sys.stderr.isatty():
        yield
        return
    with console.err().status("loading the data and checking the model"):
        yield
