"""What a ServerApp's Grid says while it works: how far a batch of messages is, and who raised."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field

from flwr.app import ArrayRecord, ConfigRecord, Message, MetricRecord


@dataclass(kw_only=True)
class Batch:
    """Messages that were pushed together: what they are about, and how far they are."""

    kind: str
    """The type of the first: "train", "evaluate", "query", or one of these with an action."""
    round: str
    """See `round_of`."""
    messages: int = 0
    replies: int = 0
    errors: int = 0
    """How many of the replies say that something failed."""
    sent: int = 0
    """Bytes of records in the messages."""
    received: int = 0
    """Bytes of records in the replies."""
    seconds: float = 0.0
    """From the push to the newest reply."""
    whole: bool = False
    """Whether no message of it is still to be pushed."""
    began: float = field(default_factory=time.monotonic, repr=False)

    def pushed(self, message: Message) -> None:
        """Counts a message."""
        self.messages += 1
        self.sent += size(message)

    def answered(self, reply: Message) -> None:
        """Counts a reply."""
        self.replies += 1
        self.errors += reply.has_error()
        self.received += size(reply)
        self.seconds = time.monotonic() - self.began

    @property
    def done(self) -> bool:
        """Whether every message has its reply."""
        return self.whole and self.replies == self.messages


Watch = Callable[[Batch], None]
"""Is told of each change of a batch, by one thread at a time, which it must not keep waiting.

If it raises, the run ends.
"""


def batch_of(first: Message) -> Batch:
    """The batch that begins with `first`."""
    return Batch(kind=first.metadata.message_type, round=round_of(first))


def round_of(message: Message) -> str:
    """The round that `message` belongs to: its group or, as Flower's strategies have it, "server-round".

    Empty if it does not say.
    """
    if message.metadata.group_id or not message.has_content():
        return message.metadata.group_id
    records = [one for one in message.content.values() if isinstance(one, ConfigRecord)]
    return next((str(one["server-round"]) for one in records if "server-round" in one), "")


def size(message: Message) -> int:
    """The bytes of the records that `message` carries."""
    if not message.has_content():
        return 0
    return sum(map(_bytes, message.content.values()))


def _bytes(record: ArrayRecord | MetricRecord | ConfigRecord) -> int:
    if isinstance(record, ConfigRecord):
        return sum(map(_weight, record.values()))
    return record.count_bytes()


def _weight(setting: object) -> int:
    """Its bytes. Flower's own count of settings fails at an empty text."""
    match setting:
        case str() | bytes():
            return len(setting)
        case list():
            return sum(map(_weight, setting))
        case _:
            return 8
