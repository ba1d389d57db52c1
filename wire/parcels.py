"""Letters: messages of an app as bytes under a name, cut into parcels and put together again."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Final, NamedTuple

from . import federation_pb2 as pb
from .errors import CodecError
from .protocol import chunks

LARGEST: Final = (1 << 31) - 1
"""Bytes of the largest letter: a protobuf message cannot have more."""
LONGEST: Final = 200
"""Characters of a name."""


class Letter(NamedTuple):
    """A message of an app; an answer has the name of the letter which it answers."""

    name: str
    data: bytes


def parcels(letter: Letter) -> Iterator[pb.Parcel]:
    """`letter`, cut so that no parcel is larger than a message may be.

    >>> [parcel.WhichOneof("parcel") for parcel in parcels(Letter("a", bytes(2**20 + 1)))]
    ['envelope', 'data', 'data']
    """
    yield pb.Parcel(envelope=pb.Envelope(name=letter.name, size=len(letter.data)))
    for data in chunks(letter.data):
        yield pb.Parcel(data=data)


class Assembly:
    """Puts the letters together that come as parcels, one after another.

    Of one that is not `wanted`, by its name, nothing is held, and it is handed out without its bytes.

    Guarantees:
      - No more bytes are held than have come, and never more than `LARGEST`.
      - A letter is whole when it is handed out.
    """

    def __init__(self, wanted: Callable[[str], bool] = lambda name: True) -> None:
        self._wanted = wanted
        self._envelope: pb.Envelope | None = None
        self._data, self._come, self._kept = bytearray(), 0, True

    def add(self, parcel: pb.Parcel) -> Letter | None:
        """The letter that `parcel` completes, if it does one.

        Raises `CodecError` for a parcel that has no place there.
        """
        match parcel.WhichOneof("parcel"):
            case "envelope":
                self._begin(parcel.envelope)
            case "data":
                self._append(parcel.data)
            case kind:
                raise CodecError(f"A letter was expected, and {kind or 'nothing known'} came.")
        return self._whole()

    def _begin(self, envelope: pb.Envelope) -> None:
        if self._envelope is not None:
            raise CodecError("A letter begins before the last one is complete.")
        if not 1 <= len(envelope.name) <= LONGEST:
            raise CodecError(f"A letter's name has {len(envelope.name)} characters.")
        if envelope.size > LARGEST:
            raise CodecError(f"A letter of {envelope.size:,} bytes: more than {LARGEST:,}.")
        self._envelope, self._come, self._kept = envelope, 0, self._wanted(envelope.name)

    def _append(self, data: bytes) -> None:
        if self._envelope is None:
            raise CodecError("Bytes of a letter came before it began.")
        self._come += len(data)
        if not data or self._come > self._envelope.size:
            raise CodecError("A letter has other bytes than its envelope says.")
        if self._kept:
            self._data += data

    def _whole(self) -> Letter | None:
        if self._envelope is None or self._come < self._envelope.size:
            return None
        letter = Letter(self._envelope.name, bytes(self._data))
        self._envelope, self._data = None, bytearray()
        return letter
