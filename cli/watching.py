"""What an operator is shown of a running coordinator, whose words are not ours to trust."""

from __future__ import annotations

import json
from collections.abc import Mapping
from datetime import datetime, timedelta
from typing import Any

from google.protobuf.json_format import MessageToDict

from ..wire import federation_pb2 as pb
from ..wire.foreign import shown
from . import console
from .table import side_by_side

END = ("finished", "budget_spent")
"""The events after which a run has nothing more to do."""


def as_object(status: pb.RunStatus) -> dict[str, Any]:
    """All of `status`, by the names of the protocol."""
    found: dict[str, Any] = MessageToDict(
        status, preserving_proto_field_name=True, always_print_fields_with_no_presence=True
    )
    numbers = {name: int(found[name]) for name in ("late", "refused")}  # written as text
    return {"event": "status", **found, **numbers}


def show_status(status: pb.RunStatus) -> None:
    """The run in a few lines, and a row for each client."""
    facts = {
        "run": f"{shown(status.run)[:8]}, served for {_span(status.seconds)}",
        "rounds": f"{status.round} of {status.rounds}",
        "now": _now(status),
        "late": f"{status.late} answers",
        "refused": f"{status.refused} answers or calls",
    }
    for name, value in facts.items():
        console.say(f"{name:<12}{value}")
    rows = [
        [
            shown(client.name),
            shown(client.state),
            _span(client.seconds) if client.connected else "–",
        ]
        for client in status.clients
    ]
    here = sum(client.connected for client in status.clients)
    head = [f"{here} of {len(rows)} clients connected", "doing", "connected for"]
    console.out().print(side_by_side(head, rows))


def event_of(text: str) -> dict[str, Any]:
    """An event of the coordinator's log."""
    try:
        found = json.loads(text)
    except ValueError:
        found = None
    return found if isinstance(found, dict) and "event" in found else {"event": "?", "text": text}


def line_of(event: Mapping[str, Any]) -> str:
    """An event in one line, with the time of this machine."""
    when = datetime.fromtimestamp(float(event.get("time", 0.0)))
    return f"{when:%Y-%m-%d %H:%M:%S}  {shown(_said(event))}"


def _said(event: Mapping[str, Any]) -> str:
    match event:
        case {"event": "started" | "resumed" as name}:
            return f"{name}"
        case {"event": "round_began", "round": number, "cohort": cohort}:
            return f"round {number} began with {cohort} clients"
        case {"event": "refused", "round": number, "client": client, "reason": reason}:
            return f"round {number}: refused {client}: {reason}"
        case {"event": "client_failed", "round": number, "client": client, "error": error}:
            return f"round {number}: {client} failed: {error}"
        case {"event": "round_committed", "round": number, "admitted": admitted, "seconds": spent}:
            return f"round {number} is committed, with {admitted} updates, in {spent:.1f} s"
        case {"event": "evaluated", "round": number, "clients": clients}:
            return f"round {number} was measured by {clients} clients"
        case {"event": "finished", "round": number, "parameters": digest}:
            return f"finished after round {number}, parameters {digest}"
        case {"event": "budget_spent", "round": number, "reason": reason}:
            return f"the budget is spent after round {number}: {reason}"
        case _:
            return json.dumps(dict(event))


def _now(status: pb.RunStatus) -> str:
    if not status.open:
        return shown(status.phase)
    waits = "waits for clients to connect"
    closes = f"closes in {_span(status.left)}" if status.left else waits
    return f"{shown(status.phase)}, round {status.open}: {closes}"


def _span(seconds: float) -> str:
    return str(timedelta(seconds=int(seconds)))
