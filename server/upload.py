"""A contribution as it arrives: in a file of its own, so that memory does not grow with uploads."""

from __future__ import annotations

import hashlib
import tempfile
from pathlib import Path

from ..wire import federation_pb2 as pb
from ..wire.arrays import Stored
from ..wire.errors import CodecError
from ..wire.messages import Arrays


class Upload:
    """The bytes of `blob`, as far as they are here: a file in `folder`, until `close`.

    Guarantees:
      - Nothing beyond the size that was announced is kept.
      - `arrays` are those of bytes whose SHA-256 is the announced one.
      - Once it is closed nobody has the turn: no call writes to a file that was given back.

    Raises OSError when the disk is full: what was added before is still held.
    """

    def __init__(self, blob: pb.Blob, folder: Path) -> None:
        self.blob = blob
        self.held = 0
        self._turn = object()
        self._digest = hashlib.sha256()
        self._file = tempfile.NamedTemporaryFile(dir=folder, buffering=0)  # noqa: SIM115

    def add(self, data: bytes) -> None:
        """The next bytes. Raises `CodecError` if there are more than announced."""
        if self.held + len(data) > self.blob.size:
            raise CodecError(f"more than the {self.blob.size} bytes that were announced")
        self._file.seek(self.held)
        if self._file.write(data) != len(data):
            raise OSError("the disk took a part only")
        self._digest.update(data)
        self.held += len(data)

    def take_turn(self) -> object:
        """What `has_turn` knows the newest call by: the others are what is left of lost connections."""
        self._turn = object()
        return self._turn

    def has_turn(self, turn: object) -> bool:
        """Whether nobody took a turn since."""
        return self._turn is turn

    @property
    def is_complete(self) -> bool:
        """Whether all bytes are here."""
        return self.held == self.blob.size

    def arrays(self) -> Arrays:
        """What was uploaded, until `close`. Raises `CodecError` if it is not what was announced."""
        if self._digest.digest() != self.blob.sha256:
            raise CodecError("other bytes than announced: their SHA-256 differs")
        return Stored(Path(self._file.name))

    def close(self) -> None:
        """Gives the file back; whoever still adds to it loses the turn."""
        self.take_turn()
        self._file.close()
