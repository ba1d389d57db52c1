"""A real coordinator's server on loopback, and agents that dial it, each in a thread of its own."""

from __future__ import annotations

import threading
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import grpc
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
    over: threading.Event

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"


@contextmanager
def network(
    admission: Admission,
    clients: Collection[str],
    folder: Path,
    patience: Patience = SHORT,
    port: int = 0,
) -> Iterator[Network]:
    """A server without TLS, for tests that are not about who may come in."""
    folder.mkdir(parents=True, exist_ok=True)
    journal = Journal(folder / "audit.jsonl", Metrics.fresh())
    door = Claimed(clients=frozenset(clients), journal=journal)
    remote = Remote(
        loop=event_loop(), admission=admission, patience=patience, folder=folder, journal=journal
    )
    offered = Port(
        address=f"127.0.0.1:{port}",
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
    over = threading.Event()
    try:
        with serving(remote.loop, offered) as number:
            yield Network(remote, number, folder, over)
            remote.complete = not remote.stopping  # agents end with a run that is complete
    finally:
        over.set()


class NobodyThere(Exception):
    """The test is over."""


def agent(
    name: str, answers: Answers, address: str, folder: Path, over: threading.Event | None = None
) -> Agent:
    """An agent that gives up connecting once `over` is set: it must not meet a later test's server."""

    def connect() -> grpc.Channel:
        if over is not None and over.is_set():
            raise NobodyThere
        return dial_insecurely(address, Role.CLIENT, name)

    return Agent(
        connect=connect,
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
    lock = threading.Lock()
    for name, answers in clients.items():
        attend(name, InTurn(answers, lock), network)
    yield


def attend(name: str, answers: Answers, network: Network) -> None:
    """A client attends in a thread of its own, until the server ends."""

    def run() -> None:
        with suppress(NobodyThere):
            agent(name, answers, network.address, network.folder / "sites", network.over).run()

    threading.Thread(target=run, name=name, daemon=True).start()
