"""A real coordinator's server on loopback, and agents that dial it, each in a thread of its own."""

from __future__ import annotations

import json
import threading
from collections.abc import Collection, Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import grpc
from tacit.client.agent import Agent
from tacit.client.agreement import Agreement
from tacit.client.answering import Answering
from tacit.client.outbox import Cache, Outbox
from tacit.server.admission import Admission
from tacit.server.control import Control
from tacit.server.door import Certified, Claimed, Door
from tacit.server.journal import Journal, Metrics
from tacit.server.remote import Patience, Remote
from tacit.server.service import Federation
from tacit.server.serving import Port, event_loop, serving
from tacit.wire import Instruction, Update
from tacit.wire import federation_pb2 as pb
from tacit.wire.dial import dial, dial_insecurely
from tacit.wire.identity import Role
from tacit.wire.keys import Keys
from tacit.wire.revocations import Revocations
from tacit.wire.transport import Answers

SHORT = Patience(deadline=60.0)
STUDY = '{"name": "a test"}'


class Anything(Agreement):
    """Agrees to whatever is asked, as a client in a simulation does."""

    def consider(self, message: pb.Instruction, run: str, last: int) -> None:
        return

    def check(self, instruction: Instruction) -> None:
        return


@dataclass(frozen=True)
class Network:
    """A server, where it listens, and what it was made of."""

    remote: Remote
    port: int
    folder: Path
    over: threading.Event
    certs: Path | None = None

    @property
    def address(self) -> str:
        return f"127.0.0.1:{self.port}"

    def channel(self, name: str) -> grpc.Channel:
        """How the client `name` dials: with its certificate, if there are any."""
        if self.certs is None:
            return dial_insecurely(self.address, Role.CLIENT, name)
        return dial(self.address, Keys(self.certs / name), Role.CLIENT)

    def audit(self) -> list[dict[str, Any]]:
        """What was noted at the door."""
        return [
            json.loads(line) for line in (self.folder / "audit.jsonl").read_text().split("\n")[:-1]
        ]


@contextmanager
def network(
    admission: Admission,
    clients: Collection[str],
    folder: Path,
    patience: Patience = SHORT,
    certs: Path | None = None,
    port: int = 0,
) -> Iterator[Network]:
    """A server with mutual TLS and the `coordinator` of `certs`; without any, names are believed."""
    folder.mkdir(parents=True, exist_ok=True)
    journal = Journal(folder / "audit.jsonl", Metrics.fresh())
    door, credentials = _door(frozenset(clients), journal, certs)
    remote = Remote(
        loop=event_loop(), admission=admission, patience=patience, folder=folder, journal=journal
    )
    offered = Port(
        address=f"127.0.0.1:{port}",
        credentials=credentials,
        service=Federation(
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
            yield Network(remote, number, folder, over, certs)
            remote.complete = not remote.stopping  # agents end with a run that is complete
    finally:
        over.set()


def _door(
    clients: frozenset[str], journal: Journal, certs: Path | None
) -> tuple[Door, grpc.ServerCredentials | None]:
    if certs is None:
        return Claimed(clients=clients, journal=journal), None
    own = certs / "coordinator"
    door = Certified(clients=clients, revocations=Revocations(own), journal=journal)
    return door, Keys(own).server_credentials()


class NobodyThere(Exception):
    """The test is over."""


def agent(name: str, answers: Answers, network: Network, *, stubborn: bool = False) -> Agent:
    """An agent that gives up when the server has gone, so that it meets no later test's server.

    If it is `stubborn`, it waits for the next one there, as agents do.
    """
    folder = network.folder / "sites"

    def connect() -> grpc.Channel:
        if network.over.is_set() and not stubborn:
            raise NobodyThere
        return network.channel(name)

    return Agent(
        connect=connect,
        answering=Answering(
            answers=answers,
            agreement=Anything(
                study={"name": "a test"},
                seed=0,
                rounds=0,
                every=1,
                settings={},
                terms=frozenset(),
                model={},
                extras={},
            ),
            outbox=Outbox(folder / name / "outbox"),
        ),
        fingerprint="f",
        version="test",
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
            agent(name, answers, network).run()

    threading.Thread(target=run, name=name, daemon=True).start()
