"""What the commands write: results to stdout, everything else to stderr, one line for each problem."""

from __future__ import annotations

import json
import os
import sys
from collections.abc import Mapping
from functools import cache
from typing import TYPE_CHECKING, Any, TextIO

if TYPE_CHECKING:
    from rich.console import Console

    from .outcome import Outcome


@cache
def out() -> Console:
    """Standard output."""
    return _console(stderr=False)


@cache
def err() -> Console:
    """Standard error."""
    return _console(stderr=True)


def under_torchrun() -> bool:
    """Whether torchrun started this process, as one of several."""
    return "TORCHELASTIC_RUN_ID" in os.environ


def is_helper() -> bool:
    """Whether this process helps rank 0, which alone speaks."""
    return under_torchrun() and os.environ.get("RANK") != "0"


def hush_grpc() -> None:
    """To be called before gRPC is imported: what it would log of a failed call, we say in words."""
    os.environ.setdefault("GRPC_VERBOSITY", "NONE")


def say(text: str) -> None:
    """One line on stdout, as it is: not wrapped, no markup."""
    out().print(text, markup=False, soft_wrap=True)


def emit(record: Mapping[str, Any], stream: TextIO | None = None) -> None:
    """One JSON object, in one line, on stdout, or on `stream`."""
    if not is_helper():
        stream = stream or sys.stdout
        stream.write(json.dumps(record, allow_nan=False) + "\n")
        stream.flush()


def error(text: str) -> None:
    """One problem, in one line, on stderr."""
    _line("error", text, "bold red")


def caution(text: str) -> None:
    """Something that runs but may not be meant, in one line, on stderr."""
    _line("caution", text, "yellow")


def note(text: str) -> None:
    """What to do next, in one line, on stderr."""
    _line("note", text, "cyan")


def fail(outcome: Outcome) -> None:
    """Everything about how a command failed, on stderr."""
    if outcome.traceback:
        err().print(outcome.traceback, markup=False, soft_wrap=True)
    for line in outcome.lines:
        error(line)
    for line in outcome.notes:
        note(line)


def _line(kind: str, text: str, style: str) -> None:
    err().print(f"[{style}]{kind}:[/]", end=" ", soft_wrap=True)
    err().print(text, markup=False, soft_wrap=True)


def _console(*, stderr: bool) -> Console:
    from rich.console import Console

    return Console(stderr=stderr, highlight=False, quiet=is_helper())
