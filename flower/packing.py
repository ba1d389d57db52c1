"""Messages as bytes for other processes, apart from what many of them hold: weights above all."""

from __future__ import annotations

import copyreg
import pickle
from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from io import BytesIO
from typing import Any

from flwr import app
from flwr.app import ConfigRecord, Message

from .arrays import Array

SHARED = 1024
"""Bytes from which on what a record holds is a part of its own."""


@dataclass(frozen=True, kw_only=True)
class Packed:
    """A message without its `parts`, which come in the order in which it has them.

    Guarantees:
      - It is the message as it was when it was packed, whatever becomes of that one's content.
      - Messages that hold the same array have the very same bytes as a part.
    """

    frame: bytes
    parts: Sequence[bytes] = field(repr=False)


def pack(message: Message) -> Packed:
    """`message`, ready to go to another process."""
    parts: list[Any] = []  # bytes, as `_apart` puts them there
    frame = dumps(message, lambda part: parts.append(part.raw().obj))
    return Packed(frame=frame, parts=parts)


def unpack(packed: Packed) -> Message:
    """A new copy of the message; it shares the parts, which are bytes that nobody can change.

    >>> from flwr.app import Array, ArrayRecord, Message, RecordDict
    >>> from flwr.supercore.task_identity import TaskIdentity
    >>> import numpy as np
    >>> TaskIdentity.run_id = TaskIdentity.node_id = TaskIdentity.task_id = 1
    >>> weights = ArrayRecord({"w": Array(np.zeros(500))})
    >>> packed = pack(Message(RecordDict({"weights": weights}), 2, "train"))
    >>> len(packed.frame) < 1500 < 4000 < sum(map(len, packed.parts))
    True
    >>> unpack(packed).content["weights"] == weights
    True
    """
    message = pickle.loads(packed.frame, buffers=packed.parts)  # noqa: S301 - we wrote it
    if not isinstance(message, Message):
        raise TypeError(f"Expected a Message, got {type(message).__name__}.")
    return message


def dumps(thing: object, part: Callable[[pickle.PickleBuffer], None] | None = None) -> bytes:
    """`thing`, with whatever Flower's records hold, as a pickle; `part` takes what is not in it."""
    file = BytesIO()
    _Packer(file, part).dump(thing)
    return file.getvalue()


def _array(array: app.Array) -> tuple[Any, ...]:
    """Its fields alone: once asked for its id, an array keeps views that no pickle can hold."""
    fields = {"dtype": array.dtype, "shape": array.shape, "stype": array.stype}
    return _blank, (Array,), {**fields, "data": _apart(array.data)}


def _settings(record: ConfigRecord) -> tuple[Any, ...]:
    values = {name: _apart(value) for name, value in record.items()}
    return _blank, (ConfigRecord,), {**vars(record), "_data": values}


def _apart(value: object) -> object:
    if type(value) is bytes and len(value) >= SHARED:  # what an app can change is copied
        return pickle.PickleBuffer(value)
    return value


def _blank(kind: type[Any]) -> object:
    return object.__new__(kind)


class _Packer(pickle.Pickler):
    def __init__(self, file: BytesIO, part: Callable[[pickle.PickleBuffer], None] | None) -> None:
        super().__init__(file, pickle.HIGHEST_PROTOCOL, buffer_callback=part)
        self.dispatch_table = copyreg.dispatch_table.copy()
        self.dispatch_table |= {app.Array: _array, Array: _array, ConfigRecord: _settings}
