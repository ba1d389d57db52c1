"""The arrays that instructions name by their hash, for clients to fetch in pieces."""

from __future__ import annotations

from collections.abc import Iterator

from ..wire import federation_pb2 as pb
from ..wire.arrays import encode
from ..wire.messages import Arrays
from ..wire.protocol import chunks, digest


class Blobs:
    """What the instruction that is out names, and nothing older.

    Guarantees:
      - Equal arrays are one blob: what a client has it need not fetch again.
    """

    def __init__(self) -> None:
        self._found: dict[bytes, bytes] = {}

    def keep(self, *arrays: Arrays) -> list[pb.Blob]:
        """The names of `arrays`, which replace whatever was kept before."""
        encoded = [encode(one) for one in arrays]
        self._found = {digest(data): data for data in encoded}
        return [pb.Blob(sha256=digest(data), size=len(data)) for data in encoded]

    def __contains__(self, sha256: bytes) -> bool:
        return sha256 in self._found

    def read(self, sha256: bytes, offset: int) -> Iterator[bytes]:
        """The bytes of a blob that is kept, from `offset` on, cut to the size of a message."""
        return chunks(self._found[sha256], offset)
