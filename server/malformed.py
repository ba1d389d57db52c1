"""Requests that cannot be parsed read as empty ones, which the methods that clients call refuse.

gRPC would call it an unhandled exception, before anybody asked who sends it, with a traceback in the log.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, Final

import grpc
from google.protobuf.message import DecodeError

from ..wire import federation_pb2 as pb

OPERATORS: Final = f"/{pb.DESCRIPTOR.services_by_name['Control'].full_name}/"
"""Whose requests ask for something even when they are empty."""

Read = Callable[[bytes], Any]


class Forgiving(grpc.aio.ServerInterceptor):
    """Lets no malformed request of a client come to a method, or to gRPC's own error handling."""

    async def intercept_service(
        self,
        continuation: Callable[
            [grpc.HandlerCallDetails], Awaitable[grpc.RpcMethodHandler[Any, Any] | None]
        ],
        handler_call_details: grpc.HandlerCallDetails,
    ) -> grpc.RpcMethodHandler[Any, Any] | None:
        """The method's handler, with a parser that does not raise."""
        handler: Any = await continuation(handler_call_details)
        if handler is None or str(handler_call_details.method).startswith(OPERATORS):
            return handler  # type: ignore[no-any-return]
        read = forgiving(handler.request_deserializer)
        return handler._replace(request_deserializer=read)  # type: ignore[no-any-return]


def forgiving(read: Read) -> Read:
    """Like `read`, but what is malformed is read as if nothing had been written.

    >>> forgiving(pb.Wanted.FromString)(b"no message") == pb.Wanted()
    True
    """

    def parse(data: bytes) -> object:
        try:
            return read(data)
        except DecodeError:
            return read(b"")

    return parse
