"""The carrier of a coordinator: messages go to clients who dialled in, and wait for those who did not."""

from __future__ import annotations

import json
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field

from flwr.app import Message
from flwr.common.constant import ErrorCode

from ..server.mail import Mail, Sent
from ..wire.foreign import lines
from ..wire.parcels import Letter
from .app import App
from .codec import read_reply, write_message
from .grid import Reply
from .handling import failure, node_id
from .nodes import Raised
from .progress import round_of


@dataclass(eq=False, kw_only=True)
class Clients:
    """A `Carrier` over `roster`, the clients that may dial in; the first has partition 0.

    Guarantees:
      - A client that is not there has its message when it is back, until the message's time to live is
        over; then the reply is an `Error`.
      - A reply is to the message that was sent, whatever it says of itself.
    """

    roster: Sequence[str]
    mail: Mail
    raised: Callable[[Raised], None] = lambda raised: None
    _names: dict[int, str] = field(init=False)

    def __post_init__(self) -> None:
        self._names = {node_of(client): client for client in self.roster}

    def nodes(self) -> Sequence[int]:
        """Those who are connected, in the order of the roster."""
        present = self.mail.present()
        return [node for node, client in self._names.items() if client in present]

    def send(self, message: Message, reply: Reply) -> None:
        """See `Carrier`. Raises `CodecError` for a message of more than 2 GiB."""
        client = self._names.get(message.metadata.dst_node_id)
        if client is None:
            reply(failure(message, ErrorCode.NODE_UNAVAILABLE, "There is no such node."))
            return
        left = message.metadata.created_at + message.metadata.ttl - time.time()

        def answered(data: bytes) -> None:
            found = read_reply(data, message)
            try:
                if found.has_error():
                    self.raised(_raised(client, message, lines(found.error.reason or "")))
                reply(found)
            except Exception as error:  # noqa: BLE001 - the client has answered all the same
                reply(error)

        def expired() -> None:
            reason = f"{client} did not answer within its time to live."
            reply(failure(message, ErrorCode.MESSAGE_UNAVAILABLE, reason))

        self.mail.send(
            Sent(
                client=client,
                letter=Letter(message.metadata.message_id, write_message(message)),
                until=time.monotonic() + left,
                answered=answered,
                expired=expired,
            )
        )


def node_of(client: str) -> int:
    """The id of the node that `client` is."""
    return node_id(f"client {client}")


def place_of(client: str, roster: Sequence[str], app: App) -> str:
    """What `client` is to know of its place in a run, as JSON."""
    return json.dumps(
        {
            "node-id": node_of(client),
            "partition-id": list(roster).index(client),
            "num-partitions": len(roster),
            "run-config": dict(app.run_config),
        }
    )


def _raised(client: str, message: Message, reason: str) -> Raised:
    """What a client says of an error: its kind, then the places in the code."""
    kind, _, places = reason.partition("\n")
    return Raised(
        client=client,
        node=message.metadata.dst_node_id,
        kind=message.metadata.message_type,
        round=round_of(message),
        error=kind,
        traceback=f"{places}{kind}",
    )
