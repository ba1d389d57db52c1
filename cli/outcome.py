"""How a command ends: each kind of exception has one exit code and its lines, said here alone."""

from __future__ import annotations

import errno
from collections.abc import Sequence
from dataclasses import dataclass
from enum import IntEnum
from typing import cast

import typer

# Usage errors of click or, since typer 0.2x, of the copy of click that typer carries.
UsageError: type[Exception] = typer.BadParameter.__mro__[1]


class Code(IntEnum):
    """What the shell sees."""

    DONE = 0
    MACHINE = 1
    USAGE = 2
    INVALID = 3
    BUDGET = 4
    """The privacy budget is spent; the last model that was paid for is kept."""
    CLIENTS = 5
    TARGETS = 6
    """A target was missed, or nothing was run that it is about."""
    INTERRUPTED = 130


class Interrupted(Exception):
    """Ctrl-C or SIGTERM stopped a run; the message says what is safe."""


class Missed(Exception):
    """Targets that were missed or not run; the message says how many and which."""


class Invalid(Exception):
    """Several problems with what the user wrote, one in each line."""


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """An exit code, a line for each problem, what to do about it, and a client's traceback."""

    code: Code
    lines: Sequence[str]
    notes: Sequence[str] = ()
    traceback: str = ""


def outcome_of(error: BaseException) -> Outcome | None:
    """How `error` ends a command; None if it is a defect of tacit, which deserves its traceback."""
    code = _code(error)
    if code is None:
        return None
    notes: Sequence[str] = getattr(error, "__notes__", ())
    return Outcome(code=code, lines=_lines(error), notes=notes, traceback=_traceback(error))


def _code(error: BaseException) -> Code | None:
    from sqlalchemy.exc import OperationalError

    from ..wire.errors import (
        BudgetSpent,
        ClientsFailed,
        Stopped,
        StoreError,
        TacitError,
        Unreachable,
        WorkerLost,
    )

    match error:
        case Interrupted() | KeyboardInterrupt() | Stopped():
            return Code.INTERRUPTED
        case UsageError():
            return Code.USAGE
        case BudgetSpent():
            return Code.BUDGET
        case ClientsFailed() | WorkerLost():
            return Code.CLIENTS
        case Missed():
            return Code.TARGETS
        case StoreError(__cause__=OperationalError() | OSError()):  # the disk is full or gone
            return Code.MACHINE
        case Unreachable():
            return Code.MACHINE
        case TacitError() | Invalid():
            return Code.INVALID
        case OSError() | MemoryError():
            return Code.MACHINE
        case _:
            return None


def _lines(error: BaseException) -> Sequence[str]:
    match error:
        case UsageError():
            text = cast("typer.BadParameter", error).format_message()
            return [" ".join(text.split())] if text else []  # without arguments, there is help
        case OSError():
            return [_os_line(error)]
        case MemoryError():
            return ["The machine is out of memory: try fewer workers or a smaller batch_size."]
        case _:
            return str(error).splitlines()


def _os_line(error: OSError) -> str:
    where = f"{error.filename}: " if error.filename else ""
    full = error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG)
    hint = "free some space" if full else "check the path and its permissions"
    return f"{where}{error.strerror or error}: {hint}, then try again."


def _traceback(error: BaseException) -> str:
    """What the user's code raised. Of clients the first's: one, however many failed alike."""
    from ..wire.errors import AppError, ClientsFailed

    if isinstance(error, AppError):
        return error.traceback
    if not isinstance(error, ClientsFailed) or not error.failures:
        return ""
    first = min(error.failures, key=lambda failure: failure.client)
    where = f"round {error.round}" if error.round else "training alone"
    others = len(error.failures) - 1
    more = f" (and {others} more)" if others else ""
    return f"{first.client}{more}, {where}:\n{first.traceback}"
