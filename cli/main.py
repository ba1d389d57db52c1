"""The command `tacit`: what it is called with, and the one place where it exits."""

from __future__ import annotations

import signal
import sys
from typing import Annotated, NoReturn

import typer

from .. import __version__
from . import console
from .audit import audit
from .budget import budget
from .certs import certs
from .check import check
from .compare import compare
from .init import init
from .join import join
from .operate import status, stop, watch
from .outcome import Code, Outcome, outcome_of
from .plan import plan
from .report import report
from .run import run
from .serve import serve
from .up import up

EPILOG = (
    "Exit codes: 0 done; 1 the machine or the network failed, a full disk for example; 2 wrong usage; "
    "3 invalid configuration, data, keys or run folder, or refused by a coordinator; 4 privacy "
    "budget exhausted; 5 clients failed; 6 a target was missed; 130 interrupted or stopped."
)

app = typer.Typer(add_completion=False, no_args_is_help=True, pretty_exceptions_enable=False)
COMMANDS = (init, check, plan, run, report, compare, budget, up, serve, join, status, watch, stop)
for command in COMMANDS:
    app.command()(command)
app.add_typer(audit, name="audit")
app.add_typer(certs, name="certs")


def main() -> None:
    """Runs the command that the arguments name, and exits with what `outcome` says."""
    try:
        code = app(prog_name="tacit", standalone_mode=False)
    except Exception as error:
        outcome = outcome_of(error)
        if outcome is None:
            raise
        _end(outcome)
    if code == Code.INTERRUPTED:  # before there was anything to lose
        _end(Outcome(code=Code.INTERRUPTED, lines=["interrupted."]))
    sys.exit(code)


def _end(outcome: Outcome) -> NoReturn:
    if outcome.code is Code.INTERRUPTED:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # impatience must not cost the last words
    console.fail(outcome)
    sys.exit(outcome.code)


def _version(wanted: bool) -> None:
    if wanted:
        console.say(f"tacit {__version__}")
        raise typer.Exit


@app.callback(epilog=EPILOG)
def _tacit(
    _: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Say which tacit.")
    ] = False,
) -> None:
    """One model across many parties whose data stays with them, beside what each could do alone."""
