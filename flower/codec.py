"""Flower's messages and records as bytes, in Flower's own protobuf; nothing that comes is unpickled."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from io import BytesIO
from tokenize import TokenError
from typing import Final

import numpy as np
from flwr.app import Array, ArrayRecord, Message, RecordDict
from flwr.common.constant import SType
from flwr.common.serde import (
    message_from_proto,
    message_to_proto,
    recorddict_from_proto,
    recorddict_to_proto,
)
from flwr.proto.message_pb2 import Message as ProtoMessage
from flwr.proto.recorddict_pb2 import RecordDict as ProtoRecordDict
from google.protobuf.message import DecodeError, EncodeError

from ..wire.errors import CodecError

MALFORMED: Final = (
    AttributeError,
    DecodeError,
    LookupError,
    MemoryError,
    OverflowError,
    RecursionError,
    SyntaxError,
    TokenError,
    TypeError,
    ValueError,
)
"""What Flower and NumPy raise for what is no message."""
HEADERS: Final[
    dict[tuple[int, int], Callable[[BytesIO], tuple[tuple[int, ...], bool, np.dtype]]]
] = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}


def write_message(message: Message) -> bytes:
    """`message` with its metadata. Raises `CodecError` if that is more than protobuf can hold."""
    try:
        return bytes(message_to_proto(message).SerializeToString())
    except (EncodeError, ValueError) as error:
        raise CodecError(
            f"A message cannot be carried: {error}. It may hold at most 2 GiB."
        ) from error


def read_message(data: bytes) -> Message:
    """The message that `write_message` wrote. Raises `CodecError` for anything else."""
    with _reading("message"):
        return _checked(message_from_proto(ProtoMessage.FromString(data)))


def read_reply(data: bytes, message: Message) -> Message:
    """The reply in `data` to `message`: it says what, and not to whom, from whom or about what.

    Raises `CodecError` unless it holds either records or an error.
    """
    with _reading("reply"):
        found = _checked(message_from_proto(ProtoMessage.FromString(data)))
        if found.has_error():
            return Message(found.error, reply_to=message)
        return Message(found.content, reply_to=message)


def write_state(state: RecordDict) -> bytes:
    """What a client remembers."""
    return bytes(recorddict_to_proto(state).SerializeToString())


def read_state(data: bytes) -> RecordDict:
    """What `write_state` wrote; of no bytes, nothing."""
    return recorddict_from_proto(ProtoRecordDict.FromString(data))


@contextmanager
def _reading(what: str) -> Iterator[None]:
    try:
        yield
    except MALFORMED as error:
        raise CodecError(f"The {what} is malformed: {error}") from error


def _checked(message: Message) -> Message:
    """`message`, if all its arrays are what they say, so that an app can use them."""
    if message.has_content() == message.has_error():
        raise ValueError("expected either records or an error")
    for record in message.content.values() if message.has_content() else ():
        if isinstance(record, ArrayRecord):
            for array in record.values():
                _check(array)
    return message


def _check(array: Array) -> None:
    if array.stype != SType.NUMPY:
        return  # only the app knows what it is
    file = BytesIO(array.data)
    shape, _, dtype = HEADERS[np.lib.format.read_magic(file)](file)
    size = math.prod(shape) * dtype.itemsize
    if dtype.hasobject or size != len(array.data) - file.tell():
        raise ValueError(f"an array of shape {shape} and type {dtype} has other bytes")
    if (shape, str(dtype)) != (tuple(array.shape), array.dtype):
        raise ValueError(f"an array is said to be {array.dtype}, and is {dtype}")
