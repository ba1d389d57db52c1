"""One message at one node: the ClientApp is called, and what it raises becomes a reply, as on Flower."""

from __future__ import annotations

import hashlib

from flwr.app import Context, Error, Message
from flwr.clientapp import ClientApp
from flwr.clientapp.client_app import LoadClientAppError
from flwr.common.constant import ErrorCode


def call(app: ClientApp, message: Message, context: Context) -> Message:
    """The reply of `app`, which may change `context`. Raises what the app raises."""
    config = dict(context.run_config)
    reply = app(message, context)
    if not isinstance(reply, Message):
        raise TypeError(f"the ClientApp returned {reply!r} in place of a Message")
    if context.run_config != config:
        raise ValueError("the ClientApp changed its run_config, which is the same for all")
    return reply


def refusal(error: BaseException, message: Message, reason: str) -> Message:
    """The reply that says that the ClientApp raised `error`, for `reason`."""
    code = ErrorCode.CLIENT_APP_RAISED_EXCEPTION
    if isinstance(error, LoadClientAppError):
        code = ErrorCode.LOAD_CLIENT_APP_EXCEPTION
    return Message(Error(code, reason), reply_to=message)


def failure(message: Message, code: int, reason: str) -> Message:
    """The reply that says that no ClientApp has answered `message`."""
    return Message(Error(code, reason), reply_to=message)


def node_id(name: str) -> int:
    """The id of the node called `name`: 64 bits, as on Flower, but the same in each run.

    An app that seeds what it draws of nodes then draws the same clients again.

    >>> node_id("client oslo") != node_id("partition 0") and 1 < node_id("partition 0") < 2**64
    True
    """
    return int.from_bytes(hashlib.sha256(f"tacit {name}".encode()).digest()[:8], "big")
