"""What a client has finished, and what it has fetched: on its disk, so that neither is done twice."""

from __future__ import annotations

from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

from google.protobuf.message import DecodeError

from ..wire import federation_pb2 as pb
from ..wire.arrays import decode, encode
from ..wire.durable import write_durably
from ..wire.errors import CodecError, Disagreement
from ..wire.foreign import shown
from ..wire.messages import Arrays
from ..wire.protocol import digest


@dataclass(frozen=True)
class Outbox:
    """The newest answer of each purpose, in `folder`, until a newer one takes its place.

    Guarantees:
      - An answer that was kept is there after a crash, whole, with its contribution.
    """

    folder: Path

    def bind(self, run: str) -> None:
        """Makes `run` the one that this client answers. Raises `Disagreement` if it is another."""
        path = self.folder / "run"
        if not path.exists():
            for answer in self.folder.glob("*.answer"):
                answer.unlink()
            write_durably(path, run.encode())
        elif path.read_text() != run:
            raise Disagreement(
                f"This site takes part in run {path.read_text()[:8]}, and the coordinator runs "
                f"{shown(run, 8)}: to agree to another run, remove {path}."
            )

    def last(self, purpose: str) -> int:
        """The newest round that was answered for `purpose`; -1 if none was."""
        path = self.folder / f"{purpose}.answer"
        with suppress(OSError, DecodeError):
            return int(pb.Answer.FromString(path.read_bytes()).update.round)
        return -1

    def find(self, instruction: bytes) -> tuple[pb.Answer, bytes] | None:
        """The answer to the instruction of that hash and its contribution, if it is kept."""
        for path in self.folder.glob("*.answer"):
            try:
                answer = pb.Answer.FromString(path.read_bytes())
            except DecodeError:
                continue
            if answer.instruction == instruction:
                contribution = path.with_suffix(".safetensors")
                data = contribution.read_bytes() if contribution.exists() else b""
                if digest(data) == answer.update.contribution.sha256:
                    return answer, data
        return None

    def keep(self, purpose: str, answer: pb.Answer, contribution: bytes) -> None:
        """Keeps `answer` in the place of the last one of its purpose."""
        path = self.folder / f"{purpose}.answer"
        path.unlink(missing_ok=True)  # never an answer beside another's contribution
        path.with_suffix(".safetensors").unlink(missing_ok=True)
        if contribution:
            write_durably(path.with_suffix(".safetensors"), contribution)
        write_durably(path, answer.SerializeToString())


@dataclass(frozen=True)
class Cache:
    """Blobs that were fetched, by their hash, in `folder`; one that broke off is gone on with.

    Guarantees:
      - What is read has the hash it was asked for.
    """

    folder: Path

    def held(self, blob: pb.Blob) -> int:
        """How many bytes of `blob` are here."""
        path = self._path(blob)
        return path.stat().st_size if path.exists() else 0

    def add(self, blob: pb.Blob, pieces: Iterable[bytes]) -> None:
        """Appends `pieces` to what is here of `blob`. Raises `CodecError` for more than its size."""
        self.folder.mkdir(parents=True, exist_ok=True)
        with self._path(blob).open("ab") as file:
            for data in pieces:
                if file.tell() + len(data) > blob.size:
                    raise CodecError("The coordinator sends more than it announced.")
                file.write(data)  # never synced: what a crash spoils is fetched again

    def read(self, blob: pb.Blob) -> Arrays:
        """The arrays of `blob`. Raises `CodecError`, and forgets them, if they are others."""
        data = self._path(blob).read_bytes()
        if digest(data) != blob.sha256:
            self._path(blob).unlink()
            raise CodecError("What was fetched has another SHA-256 than the instruction says.")
        return decode(data)

    def keep_only(self, *blobs: pb.Blob) -> None:
        """Forgets everything but `blobs`."""
        wanted = {self._path(blob) for blob in blobs}
        for path in self.folder.glob("*.blob"):
            if path not in wanted:
                path.unlink()

    def _path(self, blob: pb.Blob) -> Path:
        return self.folder / f"{blob.sha256.hex()}.blob"


def blob_of(arrays: Arrays) -> tuple[pb.Blob, bytes]:
    """The name and the bytes of `arrays`: none at all if there are no arrays."""
    data = encode(arrays) if arrays else b""
    return pb.Blob(sha256=digest(data), size=len(data)), data
