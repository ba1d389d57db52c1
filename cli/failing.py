"""A failure is an event too: with JSON, stdout says it before stderr and the exit code do."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from . import console
from .options import Format
from .outcome import Outcome, outcome_of


@contextmanager
def failing_as(form: Format) -> Iterator[None]:
    """Within it, whatever ends the command with an exit code of ours is emitted, then raised."""
    try:
        yield
    except BaseException as error:
        outcome = outcome_of(error)
        if outcome is not None and form is Format.JSON:
            console.emit(as_event(outcome))
        raise


def as_event(outcome: Outcome) -> dict[str, object]:
    """How a command failed, as an object."""
    return {
        "event": "error",
        "code": int(outcome.code),
        "errors": list(outcome.lines),
        "notes": list(outcome.notes),
        "traceback": outcome.traceback or None,
    }
