"""The arrays that instructions name by their hash, in files, for clients to fetch in pieces."""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

from ..wire import federation_pb2 as pb
from ..wire.arrays import write_arrays
from ..wire.messages import Arrays
from ..wire.protocol import CHUNK


@dataclass
class Blobs:
    """What the instruction that is out names, and nothing older, in `folder`.

    Guarantees:
      - Equal arrays are one blob: what a client has it need not fetch again.
      - Memory does not grow with the size of a blob.
    """

    folder: Path
    _kept: dict[bytes, Path] = field(default_factory=dict)

    def keep(self, *arrays: Arrays) -> list[pb.Blob]:
        """The names of `arrays`, which replace whatever was kept before."""
        blobs = [self._write(one) for one in arrays]
        self._kept = {blob.sha256: self._path(blob.sha256) for blob in blobs}
        for path in set(self.folder.glob("*.blob")) - set(self._kept.values()):
            path.unlink()  # who still reads it goes on
        return blobs

    def _write(self, arrays: Arrays) -> pb.Blob:
        own = self.folder / "new"
        with own.open("wb") as file:
            digest = bytes.fromhex(write_arrays(file, arrays))
            size = file.tell()
        own.replace(self._path(digest))
        return pb.Blob(sha256=digest, size=size)

    def _path(self, sha256: bytes) -> Path:
        return self.folder / f"{sha256.hex()}.blob"

    def __contains__(self, sha256: bytes) -> bool:
        return sha256 in self._kept

    def read(self, sha256: bytes, offset: int) -> Iterator[bytes]:
        """The bytes of a blob that is kept, from `offset` on, cut to the size of a message.

        Who reads slowly goes on with the file that was opened.
        """
        path = self._kept.get(sha256)
        if path is None:
            return
        with path.open("rb") as file:
            file.seek(min(offset, os.fstat(file.fileno()).st_size))
            while data := file.read(CHUNK):
                yield data
