"""What ties a folder to a run whose rows are elsewhere: the run's name, and half of its secret.

A server keeps what was deleted in its log and its backups. Its half of the secret says nothing
without that of the folder, which keeps nothing.
"""

from __future__ import annotations

import json
import secrets
from dataclasses import dataclass, field
from pathlib import Path
from typing import Self

from ..wire.durable import write_durably
from ..wire.errors import StoreError


@dataclass(frozen=True, kw_only=True)
class Bond:
    """The run `run`. `half` is empty once the run is over."""

    run: str
    half: bytes = field(repr=False)

    @classmethod
    def fresh(cls) -> Self:
        """Of a run that nobody has yet."""
        return cls(run=secrets.token_hex(16), half=secrets.token_bytes(32))

    @classmethod
    def read(cls, path: Path) -> Self | None:
        """The bond at `path`, if there is one. Raises `StoreError` if it is damaged."""
        if not path.exists():
            return None
        try:
            found = json.loads(path.read_bytes())
            return cls(run=found["run"], half=bytes.fromhex(found["half"]))
        except (OSError, ValueError, KeyError, TypeError) as error:
            raise StoreError(f"{path} is damaged; restore the run folder.") from error

    def write(self, path: Path) -> None:
        """Puts it at `path`, durably. Raises `StoreError` for a full disk."""
        try:
            write_durably(path, json.dumps({"run": self.run, "half": self.half.hex()}).encode())
        except OSError as error:
            raise StoreError(f"{path} cannot be written: {error}.") from error

    def join(self, other: bytes) -> bytes:
        """The secret of which `other` is the other half; nothing if either is gone."""
        if not self.half or not other:
            return b""
        return bytes(a ^ b for a, b in zip(self.half, other, strict=True))
