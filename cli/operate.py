"""`tacit status`, `tacit watch` and `tacit stop`: what an operator asks of a running coordinator."""

from __future__ import annotations

from typing import Annotated

import typer

from . import console
from .failing import failing_as
from .options import OPERATOR, Address, Format, FormatOption, Insecure, OperatorCerts


def status(
    address: Address,
    certs: OperatorCerts = OPERATOR,
    insecure: Insecure = None,
    form: FormatOption = Format.TEXT,
) -> None:
    """Say how a run is: its round, and who is connected and doing what."""
    with failing_as(form):
        console.hush_grpc()
        from ..deployment.operator import Operator
        from .watching import as_object, show_status

        with Operator.dialled(address, certs, insecure) as operator:
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
    """Say what happened in a run and what happens, until its coordinator ends."""
    with failing_as(form):
        console.hush_grpc()
        from ..deployment.operator import Operator
        from .watching import END, event_of, line_of

        last = ""
        with Operator.dialled(address, certs, insecure) as operator:
            for event in map(event_of, operator.watch()):
                last = str(event["event"])
                if form is Format.JSON:
                    console.emit(event)
                else:
                    console.say(line_of(event))
        if last not in END:
            console.note("the coordinator ended before the run did; it can be resumed there")


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
    with failing_as(form):
        console.hush_grpc()
        from ..deployment.operator import Operator

        with Operator.dialled(address, certs, insecure) as operator:
            round = operator.stop(now=now)
        if form is Format.JSON:
            console.emit({"event": "stopping", "round": round})
        else:
            console.say(f"stops after round {round}; to go on there: tacit serve --resume FOLDER")
