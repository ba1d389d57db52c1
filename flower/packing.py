"""Messages as bytes for other processes; what many messages hold, weights above all, goes once."""

from __future__ import annotations

import copyreg
import pickle
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from io import BytesIO

from flwr.app import Array, Message

SHARED = 1024
"""Bytes from which on a string of bytes is a part of its own."""


@dataclass(frozen=True, kw_only=True)
class Packed:
    """A message without its `parts`, which are named by their identity.

    Guarantees:
      - It is the message as it was when it was packed, whatever becomes of that one's content.
      - Messages that hold the same array hold the same part.
    """

    frame: bytes
    parts: Mapping[int, bytes] = field(repr=False)


def _plain(array: Array) -> tuple[Callable[..., Array], tuple[object, ...]]:
    return Array, (array.dtype, array.shape, array.stype, array.data)


copyreg.pickle(Array, _plain)  # once asked for its id, an Array keeps views that no pickle can hold


def pack(message: Message) -> Packed:
    """`message`, ready to go to another process."""
    file = BytesIO()
    packer = _Packer(file, pickle.HIGHEST_PROTOCOL)
    packer.dump(message)
    return Packed(frame=file.getvalue(), parts=packer.parts)


def unpack(frame: bytes, parts: Mapping[int, bytes]) -> Message:
    """A new copy of the message. Its parts are those in `parts`: bytes, which nobody can change.

    >>> from flwr.app import Array, ArrayRecord, Message, RecordDict
    >>> from flwr.supercore.task_identity import TaskIdentity
    >>> import numpy as np
    >>> TaskIdentity.run_id = TaskIdentity.node_id = TaskIdentity.task_id = 1
    >>> weights = ArrayRecord({"w": Array(np.zeros(500))})
    >>> packed = pack(Message(RecordDict({"weights": weights}), 2, "train"))
    >>> len(packed.frame) < 1500 < 4000 < sum(map(len, packed.parts.values()))
    True
    >>> unpack(packed.frame, packed.parts).content["weights"] == weights
    True
    """
    message = _Unpacker(BytesIO(frame), parts).load()
    if not isinstance(message, Message):
        raise TypeError(f"Expected a Message, got {type(message).__name__}.")
    return message


class _Packer(pickle.Pickler):
    def __init__(self, file: BytesIO, protocol: int) -> None:
        super().__init__(file, protocol)
        self.parts: dict[int, bytes] = {}

    def persistent_id(self, thing: object) -> int | None:
        if type(thing) is not bytes or len(thing) < SHARED:
            return None
        self.parts[id(thing)] = thing  # as long as it is here, its identity is nobody else's
        return id(thing)


class _Unpacker(pickle.Unpickler):
    def __init__(self, file: BytesIO, parts: Mapping[int, bytes]) -> None:
        super().__init__(file)
        self.parts = parts

    def persistent_load(self, name: int) -> bytes:
        return self.parts[name]
