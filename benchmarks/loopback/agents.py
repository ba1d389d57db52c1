"""Real agents, whose clients return a difference without training."""

from __future__ import annotations

import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from multiprocessing.connection import Connection
from pathlib import Path

from tacit.client.agent import Agent
from tacit.client.agreement import Agreement
from tacit.client.answering import Answering
from tacit.client.outbox import Cache, Outbox
from tacit.wire import Arrays, Instruction, Purpose, Update
from tacit.wire.dial import dial
from tacit.wire.identity import Role
from tacit.wire.keys import Keys

from loopback.plan import FINGERPRINT, STUDY, model


@dataclass(frozen=True)
class Still:
    """Answers without training: with the same difference each time."""

    name: str
    difference: Arrays = field(repr=False)

    def answer(self, instruction: Instruction) -> Update:
        """See `Answers`."""
        return Update(
            client=self.name,
            round=instruction.round,
            examples=1,
            contribution=self.difference if instruction.purpose is Purpose.FIT else {},
            statistics={"examples": 1.0},
        )


def attend(
    pipe: Connection, names: Sequence[str], certs: Path, folder: Path, port: int, size: int
) -> None:
    """Real agents, a thread for each of `names`, until the run is complete."""
    own = model(size)
    threads = [
        threading.Thread(target=_agent(name, certs / name, folder / name, port, own).run)
        for name in names
    ]
    for thread in threads:
        thread.start()
    pipe.send("here")
    for thread in threads:
        thread.join()


def _agent(name: str, keys: Path, folder: Path, port: int, own: Arrays) -> Agent:
    agreement = Agreement(
        study=STUDY,
        seed=0,
        rounds=10**6,
        every=1,
        settings={},
        terms=frozenset(),
        model=own,
        extras={},
    )
    return Agent(
        connect=lambda: dial(f"localhost:{port}", Keys(keys), Role.CLIENT),
        answering=Answering(
            answers=Still(name, own), agreement=agreement, outbox=Outbox(folder / "outbox")
        ),
        fingerprint=FINGERPRINT,
        version="benchmark",
        cache=Cache(folder / "cache"),
    )
