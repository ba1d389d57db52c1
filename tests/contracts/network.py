"""A real coordinator's server on loopback, and agents that dial it, each in a thread of its own."""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from tacit.client.agent import Agent
from tacit.client.agreement import Agreement
from tacit.client.outbox import Cache, Outbox
from tacit.server.admission import Admission
from tacit.server.control import Control
from tacit.server.door import Claimed
from tacit.server.journal import Journal, Metrics
from tacit.server.remote import Patience, Remote
from tacit.server.service import Federation
from tacit.server.serving import Port, event_loop, serving
from tacit.wire import Instruction, Update
from tacit.wire.dial import dial_insecurely
from tacit.wire.identity import Role
from tacit.wire.transport import Answers

SHORT = Patience(deadline=60.0)
STUDY = '{"name": "a test"}'


class Anything(Agreement):
    """Agrees to whatever is asked, as a client in a simulation does."""

    def check(self, instruction: Instruction) -> None:
        return


@dataclass(frozen=True)
class Network:
    """A server, where it listens, and what it was made of."""

    remote: Remote
    port: int
    folder: Path

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"


@contextmanager
def network(
    admission: Admission,
    clients: Collection[str],
    folder: Path,
    patience: Patience = SHORT,
) -> Iterator[Network]:
    """A server without TLS, for tests that are not about who may come in."""
    folder.mkdir(parents=True, exist_ok=True)
    with event_loop() as loop:
        journal = Journal(folder / "audit.jsonl", Metrics.fresh())
        door = Claimed(clients=frozenset(clients), journal=journal)
        remote = Remote(
            loop=loop, admission=admission, patience=patience, folder=folder, journal=journal
        )
        port = Port(
            address="127.0.0.1:0",
            credentials=None,
            federation=Federation(
                remote=remote, door=door, journal=journal, run="r", study=STUDY, fingerprint="f"
            ),
            control=Control(
                remote=remote,
                door=door,
                clients=tuple(clients),
                run="r",
                rounds=1,
                committed=lambda: 0,
                events=folder / "events.jsonl",
                report=lambda json: b"",
            ),
        )
        with serving(loop, port) as number:
            yield Network(remote, number, folder)
            remote.complete = True


def agent(name: str, answers: Answers, address: str, folder: Path) -> Agent:
    return Agent(
        connect=lambda: dial_insecurely(address, Role.CLIENT, name),
        answers=answers,
        agreement=Anything(
            study={"name": "a test"}, seed=0, rounds=0, settings={}, terms=frozenset(), model={}
        ),
        fingerprint="f",
        version="test",
        outbox=Outbox(folder / name / "outbox"),
        cache=Cache(folder / name / "cache"),
    )


@dataclass(frozen=True)
class InTurn:
    """One of several clients of this process, which share a model and torch's random state."""

    answers: Answers
    lock: threading.Lock

    def answer(self, instruction: Instruction) -> Update:
        with self.lock:
            return self.answers.answer(instruction)


@contextmanager
def attending(clients: Mapping[str, Answers], network: Network) -> Iterator[None]:
    """Every client attends, until the server ends."""
    lock, sites = threading.Lock(), network.folder / "sites"
    threads = [
        threading.Thread(
            target=agent(name, InTurn(answers, lock), network.address, sites).run,
            name=name,
            daemon=True,
        )
        for name, answers in clients.items()
    ]
    for thread in threads:
        thread.start()
    yield
