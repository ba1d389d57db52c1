"""The server of a real coordinator on loopback, and the door that a plan asks for."""

from __future__ import annotations

import json
from collections.abc import Iterator
from contextlib import contextmanager

from tacit.privacy import Mean
from tacit.server import Admission, Store
from tacit.server.control import Control
from tacit.server.door import Certified, Claimed, Context, Door
from tacit.server.journal import Journal, Metrics
from tacit.server.remote import Patience, Remote
from tacit.server.service import Federation
from tacit.server.serving import OPTIONS, Port, event_loop, serving
from tacit.strategies import FedAvg
from tacit.wire.identity import Identity, Role, claimed, uri_of
from tacit.wire.keys import Keys
from tacit.wire.revocations import Revocations

from loopback.plan import FINGERPRINT, STUDY, Plan

STREAMS = 128
"""Streams that come over one connection when several clients share it."""


@contextmanager
def listening(plan: Plan, store: Store) -> Iterator[tuple[Remote, int]]:
    """The transport to whoever dials in, and the port."""
    journal = Journal(plan.folder / "audit.jsonl", Metrics.fresh())
    remote = Remote(
        loop=event_loop(),
        admission=Admission(strategy=FedAvg(), mechanism=Mean()),
        patience=Patience(deadline=1800.0),
        folder=plan.folder,
        journal=journal,
    )
    with serving(remote.loop, _port(plan, store, remote, journal)) as number:
        yield remote, number


def _port(plan: Plan, store: Store, remote: Remote, journal: Journal) -> Port:
    door = _door(plan, journal)
    federation = Federation(
        remote=remote,
        door=door,
        journal=journal,
        run=store.run(),
        study=json.dumps(STUDY),
        fingerprint=FINGERPRINT,
    )
    control = Control(
        remote=remote,
        door=door,
        clients=plan.clients,
        run=store.run(),
        rounds=plan.rounds,
        committed=lambda: len(store.history()),
        events=plan.folder / "events.jsonl",
        report=lambda json: b"",
    )
    credentials = Keys(plan.certs / "coordinator").server_credentials() if plan.certs else None
    return Port(address="127.0.0.1:0", credentials=credentials, service=federation, control=control)


def _door(plan: Plan, journal: Journal) -> Door:
    clients = frozenset(plan.clients)
    if plan.shared:
        share_connections()
        return Said(clients=clients, journal=journal)
    if plan.certs is None:
        return Claimed(clients=clients, journal=journal)
    revocations = Revocations(plan.certs / "coordinator")
    return Certified(clients=clients, revocations=revocations, journal=journal)


class Said(Claimed):
    """The door behind a proxy that ends TLS: a header says who speaks."""

    async def admit(self, context: Context, *roles: Role) -> Identity:
        """See `Door`."""
        said = dict(context.invocation_metadata() or ()).get("client", "")
        return claimed(uri_of(roles[0], str(said)))


def share_connections() -> None:
    """From here on, this process lets more streams share a connection than a client needs."""
    name = "grpc.max_concurrent_streams"
    OPTIONS[:] = [(key, STREAMS if key == name else value) for key, value in OPTIONS]
