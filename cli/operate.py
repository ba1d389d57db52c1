"""`tacit status`, `tacit watch` and `tacit stop`: what an operator asks of a running coordinator."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from . import console
from .failing import failing_as
from .options import OPERATOR, Address, Format, FormatOption, Insecure, OperatorCerts
from .outcome import Interrupted

if TYPE_CHECKING:
    from ..deployment.operator import Operator


@contextmanager
def asking(address: str, certs: Path, insecure: str | None, form: Format) -> Iterator[Operator]:
    """Within it the coordinator at `address` can be asked; a failure is answered in `form`."""
    with failing_as(form):
        console.hush_grpc()
        from ..deployment.operator import Operator

        with Operator.dialled(address, certs, insecure) as operator:
            yield operator


def status(
    address: Address,
    certs: OperatorCerts = OPERATOR,
    insecure: Insecure = None,
    form: FormatOption = Format.TEXT,
) -> None:
    """Say how a run is: its round, and who is connected and doing what."""
    with asking(address, certs, insecure, form) as operator:
        from .watching import as_object, show_status

        found = operator.status()
        if form is Format.JSON:
            console.emit(as_object(found))
        else:
            show_status(found)


def watch(
    address: Address,
    certs: OperatorCerts = OPERATOR,
    insecure: Insecure = None,
    form: FormatOption = Format.TEXT,
) -> None:
    """Say what happened in a run and what happens, until its coordinator ends.

    The exit code is 0 if the run is at its end, and 130 if the coordinator ended before it was.
    """
    with asking(address, certs, insecure, form) as operator:
        from .watching import END, event_of, line_of

        last = ""
        for event in map(event_of, operator.watch()):
            last = str(event["event"])
            if form is Format.JSON:
                console.emit(event)
            else:
                console.say(line_of(event))
        if last not in END:
            raise Interrupted("the coordinator ended before the run did; it can be resumed there.")


def stop(
    address: Address,
    now: Annotated[
        bool, typer.Option("--now", help="Give up the round that is open; it is done again.")
    ] = False,
    certs: OperatorCerts = OPERATOR,
    insecure: Insecure = None,
    form: FormatOption = Format.TEXT,
) -> None:
    """End a coordinator after the round that is open. Its run can be resumed; its clients wait."""
    with asking(address, certs, insecure, form) as operator:
        round = operator.stop(now=now)
        if form is Format.JSON:
            console.emit({"event": "stopping", "round": round})
        else:
            console.say(f"stops after round {round}, and says there how to go on")
