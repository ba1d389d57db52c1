"""The last letter that a client answered, with what it remembers since, in one file."""

from __future__ import annotations

import json
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO, Final

from ..wire.durable import stream_durably

FILE: Final = "answered"


@dataclass(frozen=True, kw_only=True)
class Answered:
    """The answer to the letter `name` in `run`, and what the client remembers when it has given it."""

    run: str
    name: str
    data: bytes = field(repr=False)
    memory: bytes = field(repr=False)


@dataclass(frozen=True)
class Kept:
    """The newest answer, in `folder`.

    Guarantees:
      - Answer and memory are those of one letter, whatever kills the process at any moment.
    """

    folder: Path

    def keep(self, answered: Answered) -> None:
        """Puts `answered` in the place of the one before. Raises OSError, and leaves that one."""

        def write(file: BinaryIO) -> str:
            head = {"run": answered.run, "name": answered.name, "memory": len(answered.memory)}
            file.write(json.dumps(head).encode() + b"\n")
            file.write(answered.memory)
            file.write(answered.data)
            return FILE

        stream_durably(self.folder, write, mode=0o600)

    def find(self, name: str) -> Answered | None:
        """The answer to the letter `name`, if it is the newest."""
        with suppress(FileNotFoundError), (self.folder / FILE).open("rb") as file:
            head = json.loads(file.readline())
            if head["name"] == name:
                memory = file.read(head["memory"])
                return Answered(run=head["run"], name=name, data=file.read(), memory=memory)
        return None

    def memory(self, run: str) -> bytes:
        """What is remembered of `run`; nothing if the newest answer was in another."""
        with suppress(FileNotFoundError), (self.folder / FILE).open("rb") as file:
            head = json.loads(file.readline())
            if head["run"] == run:
                return file.read(head["memory"])
        return b""
