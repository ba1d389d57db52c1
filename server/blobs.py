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
        written = [self._write(number, one) for number, one in enumerate(arrays)]
        self._kept = {blob.sha256: path for blob, path in written}
        return [blob for blob, _ in written]

    def _write(self, number: int, arrays: Arrays) -> tuple[pb.Blob, Path]:
        """One file for each place in an instruction; who still reads the last one goes on with it."""
        path, own = self.folder / f"{number}.blob", self.folder / f"{number}.new"
        with own.open("wb") as file:
            digest = write_arrays(file, arrays)
            size = file.tell()
        own.replace(path)
        return pb.Blob(sha256=bytes.fromhex(digest), size=size), path

    def __contains__(self, sha256: bytes) -> bool:
        return sha256 in self._kept

    def read(self, sha256: bytes, offset: int) -> Iterator[bytes]:
        """The bytes of a blob that is kept, from `offset` on, cut to the size of a message.

        Who reads slowly goes on with the file that was opened.
        """
        with self._kept[sha256].open("rb") as file:
            file.seek(min(offset, os.fstat(file.fileno()).st_size))
            while data := file.read(CHUNK):
                yield data
