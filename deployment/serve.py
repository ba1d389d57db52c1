"""The coordinator's side of a deployment: a run whose clients dial in."""

from __future__ import annotations

import json
import shutil
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Final

import grpc
from prometheus_client import start_http_server

from ..server.admission import Admission
from ..server.control import Control
from ..server.door import Certified, Claimed, Door
from ..server.journal import Journal, Metrics
from ..server.progress import Committed, Observe, Progress
from ..server.remote import Patience, Remote
from ..server.service import Federation
from ..server.serving import Port, event_loop, serving
from ..server.store import Store
from ..simulations.conduct import Result, conduct, run_name
from ..simulations.run_folder import RunFolder
from ..wire.dial import LOOPBACK
from ..wire.errors import BudgetSpent, ClientsSpent, TacitError, Unreachable
from ..wire.keys import Keys
from ..wire.revocations import Revocations
from .study import Study, agreed, fingerprint, keep_study

LINGER: Final = 30.0
"""Seconds that a finished run waits for clients which have not heard of its end."""

Report = Callable[[bool], bytes]
"""The report as a ZIP archive, or the privacy statement alone as JSON."""


@dataclass(frozen=True, kw_only=True)
class Listening:
    """Where a coordinator listens, HOST:PORT, with which keys, and where Prometheus may scrape it.

    Without `certs` nothing is encrypted and names are believed, so only loopback is listened on.
    """

    address: str
    certs: Path | None
    metrics: str | None = None

    def __post_init__(self) -> None:
        if self.certs is None and not self.address.startswith(LOOPBACK):
            raise TacitError(
                f"{self.address}: without certificates anybody could say to be anybody, so only "
                "127.0.0.1 is listened on; make certificates with `tacit certs`."
            )

    def credentials(self) -> grpc.ServerCredentials | None:
        """What to serve with. Raises `CertificateError`."""
        return Keys(self.certs).server_credentials() if self.certs else None

    def door(self, clients: Iterable[str], journal: Journal) -> Door:
        """Lets `clients` in, and operators."""
        known = frozenset(clients)
        if self.certs is None:
            return Claimed(clients=known, journal=journal)
        return Certified(clients=known, revocations=Revocations(self.certs), journal=journal)


def serve(
    study: Study,
    folder: RunFolder,
    listening: Listening,
    *,
    resume: bool = False,
    observe: Observe = lambda progress: None,
    listens: Callable[[int], None] = lambda port: None,
    report: Report = lambda wants_json: b"",
    linger: float = LINGER,
    database: str | None = None,
) -> Result:
    """Runs `study` in `folder` over the network; `listens` is told the port when it does.

    When it is over, clients that have not heard of it may come for `linger` seconds. `database` is the
    URL of a PostgreSQL database for its rows and a shared ledger.
    Raises a `TacitError`; `Stopped` if it was asked to stop, after which it can be resumed.
    """
    metrics = Metrics.fresh()

    def both(progress: Progress) -> None:
        if isinstance(progress, Committed):
            metrics.round.set(progress.round)
        observe(progress)

    reach = partial(_reach, study, folder, listening, listens, report, metrics, linger)
    return conduct(study, folder, reach, resume=resume, observe=both, database=database)


@contextmanager
def _reach(
    study: Study,
    folder: RunFolder,
    listening: Listening,
    listens: Callable[[int], None],
    report: Report,
    metrics: Metrics,
    linger: float,
    store: Store,
) -> Iterator[Remote]:
    """The transport to whoever dials in, until the run is at its end and all have heard of it."""
    keep_study(study, folder)
    metrics.round.set(len(store.history()))
    journal = Journal(folder.path / "audit.jsonl", metrics)
    with _emptied(folder.path / "uploads") as uploads:
        remote = Remote(
            loop=event_loop(),
            admission=Admission(
                strategy=study.config.strategy,
                mechanism=study.config.mechanism,
                measuring=study.measuring,
            ),
            patience=_patience(study),
            folder=uploads,
            journal=journal,
        )
        port = _port(study, folder, listening, remote, store, report)
        with exposed(listening.metrics, metrics), serving(remote.loop, port) as number:
            listens(number)
            try:
                yield remote
            except ClientsSpent:
                raise  # others may come, or these with larger budgets
            except BudgetSpent as spent:
                remote.finish(study.clients, linger, f"the privacy budget is spent: {spent}")
                raise
            remote.finish(study.clients, linger)


@contextmanager
def _emptied(path: Path) -> Iterator[Path]:
    """A folder that is empty at first, whatever a crash left in it, and gone afterwards."""
    shutil.rmtree(path, ignore_errors=True)
    path.mkdir(mode=0o700)
    try:
        yield path
    finally:
        shutil.rmtree(path, ignore_errors=True)


def _port(
    study: Study,
    folder: RunFolder,
    listening: Listening,
    remote: Remote,
    store: Store,
    report: Report,
) -> Port:
    door = listening.door(study.clients, remote.journal)
    return Port(
        address=listening.address,
        credentials=listening.credentials(),
        service=Federation(
            remote=remote,
            door=door,
            journal=remote.journal,
            run=run_name(study.config, store),
            study=json.dumps(agreed(study.agreed)),
            fingerprint=fingerprint(study.agreed),
        ),
        control=Control(
            remote=remote,
            door=door,
            clients=tuple(study.clients),
            run=run_name(study.config, store),
            rounds=study.config.rounds,
            committed=remote.journal.metrics.committed,
            events=folder.events,
            report=report,
        ),
    )


def _patience(study: Study) -> Patience:
    asked = study.config.deployment
    return Patience(deadline=asked.deadline, enough=asked.enough, may_miss=asked.may_miss)


@contextmanager
def exposed(address: str | None, metrics: Metrics) -> Iterator[None]:
    """Within it Prometheus may scrape `metrics` at `address`, if there is one."""
    if address is None:
        yield
        return
    try:
        server, thread = start_http_server(*_split(address), registry=metrics.registry)
    except OSError as error:
        raise Unreachable(
            f"{address} (--metrics) cannot be listened on: {error.strerror or error}."
        ) from error
    try:
        yield
    finally:
        server.shutdown()
        server.server_close()
        thread.join()


def _split(address: str) -> tuple[int, str]:
    """Port and host of HOST:PORT."""
    host, _, number = address.rpartition(":")
    return int(number), host or "127.0.0.1"
