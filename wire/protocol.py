"""Instructions and answers as the messages of proto/tacit/wire/federation.proto, and back."""

from __future__ import annotations

import hashlib
import json
import math
from collections.abc import Iterator
from typing import Final

from google.protobuf.message import DecodeError

from . import federation_pb2 as pb
from .errors import CodecError
from .messages import Arrays, Instruction, Purpose, Settings, Update

PROTOCOL: Final = 1
CHUNK: Final = 1 << 20
"""How many bytes of a blob go into one message: large blobs are cut, so no message is larger."""
MESSAGE: Final = CHUNK + (1 << 16)
"""The largest message that either side accepts."""
HASH: Final = 32
"""Bytes of a SHA-256."""

_PURPOSES = {
    Purpose.FIT: pb.PURPOSE_FIT,
    Purpose.EVALUATE: pb.PURPOSE_EVALUATE,
    Purpose.ALONE: pb.PURPOSE_ALONE,
}


def digest(data: bytes) -> bytes:
    """SHA-256, which names blobs and instructions."""
    return hashlib.sha256(data).digest()


def chunks(data: bytes | memoryview, offset: int = 0) -> Iterator[bytes]:
    """`data` from `offset` on, cut to the size of a message.

    >>> [len(chunk) for chunk in chunks(bytes(CHUNK + 5), offset=2)]
    [1048576, 3]
    """
    view = memoryview(data)
    for start in range(offset, len(view), CHUNK):
        yield bytes(view[start : start + CHUNK])


def write_instruction(instruction: Instruction, parameters: pb.Blob, extras: pb.Blob) -> bytes:
    """The bytes of `instruction`, whose arrays go beside it as blobs."""
    return pb.Instruction(
        run=instruction.run,
        round=instruction.round,
        purpose=_PURPOSES[instruction.purpose],
        seed=instruction.seed,
        settings=json.dumps(dict(instruction.settings), sort_keys=True),
        terms=json.dumps(dict(instruction.terms), sort_keys=True),
        parameters=parameters,
        extras=extras,
    ).SerializeToString(deterministic=True)


def read_instruction(data: bytes) -> pb.Instruction:
    """The message in `data`. Raises `CodecError` unless it is well-formed."""
    try:
        message = pb.Instruction.FromString(data)
    except DecodeError as error:
        raise CodecError(f"The instruction is malformed: {error}.") from error
    purpose_of(message)
    _settings(message.settings), _settings(message.terms)
    for blob in (message.parameters, message.extras):
        if len(blob.sha256) != HASH:
            raise CodecError("The instruction names a blob by something else than a SHA-256.")
    return message


def instruction_of(message: pb.Instruction, parameters: Arrays, extras: Arrays) -> Instruction:
    """The instruction that `write_instruction` wrote, with the arrays of its blobs."""
    return Instruction(
        run=message.run,
        round=message.round,
        purpose=purpose_of(message),
        seed=message.seed,
        parameters=parameters,
        extras=extras,
        settings=_settings(message.settings),
        terms=_settings(message.terms),
    )


def update_of(client: str, message: pb.Update, contribution: Arrays) -> Update:
    """The update in `message`, of the client whose certificate came with it."""
    return Update(
        client=client,
        round=message.round,
        examples=message.examples,
        contribution=contribution,
        statistics=dict(message.statistics),
    )


def write_update(update: Update, contribution: pb.Blob) -> pb.Update:
    """The message for `update`, whose contribution goes beside it as a blob."""
    return pb.Update(
        round=update.round,
        examples=update.examples,
        statistics=dict(update.statistics),
        contribution=contribution,
    )


def purpose_of(message: pb.Instruction) -> Purpose:
    """What the message asks for. Raises `CodecError` for what is not known here."""
    for purpose, code in _PURPOSES.items():
        if code == message.purpose:
            return purpose
    raise CodecError(f"The instruction has purpose {message.purpose}, which is not known here.")


def _settings(text: str) -> Settings:
    try:
        found = json.loads(text)
    except (ValueError, RecursionError) as error:
        raise CodecError(f"The settings are not JSON: {error}.") from error
    if not isinstance(found, dict) or not all(map(_is_scalar, found.values())):
        raise CodecError("The settings are not an object of scalars.")
    return found


def _is_scalar(value: object) -> bool:
    if isinstance(value, float):
        return math.isfinite(value)
    return value is None or isinstance(value, str | int | bool)
