"""What a client remembers between the rounds in which it takes part, such as a control variate."""

from __future__ import annotations

import hashlib
from dataclasses import dataclass
from pathlib import Path

from ..wire.arrays import decode, encode
from ..wire.durable import write_durably
from ..wire.messages import Arrays


@dataclass(frozen=True)
class Memory:
    """One file for each client and round, so that a round may be repeated after a crash.

    Guarantees:
      - `read` before round r gives what was written in the latest round before r, even if round r
        or a later one has been written already: repeating a round repeats its result.
    """

    folder: Path

    def read(self, client: str, round: int) -> Arrays:
        """What `client` remembers as round `round` begins; empty before its first."""
        rounds = [r for r in self._rounds(client) if r < round]
        return decode(self._path(client, max(rounds)).read_bytes()) if rounds else {}

    def write(self, client: str, round: int, arrays: Arrays) -> None:
        """Remembers `arrays` as of the end of `round`, and forgets what no repetition can need."""
        if not arrays:
            return
        write_durably(self._path(client, round), encode(arrays))
        for old in sorted(r for r in self._rounds(client) if r < round)[:-1]:
            self._path(client, old).unlink(missing_ok=True)

    def _rounds(self, client: str) -> list[int]:
        return [int(path.stem) for path in self._path(client, 0).parent.glob("*.safetensors")]

    def _path(self, client: str, round: int) -> Path:
        folder = hashlib.sha256(client.encode()).hexdigest()[:32]  # a name may be "..", or too long
        return self.folder / folder / f"{round}.safetensors"
