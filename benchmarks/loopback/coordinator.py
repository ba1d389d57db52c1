"""A real coordinator: its rounds, its store and ledger on disk, its server. Its model means nothing."""

from __future__ import annotations

import math
import time
from contextlib import closing
from multiprocessing.connection import Connection

import numpy as np
from tacit.deployment import serve
from tacit.privacy import Account, Budget, Ledger, Mean, Unit
from tacit.server import (
    Committed,
    Coordinator,
    Evaluated,
    Everyone,
    FixedSize,
    Observe,
    Progress,
    Store,
)
from tacit.server.remote import Remote
from tacit.strategies import FedAvg
from tacit.wire.arrays import Stored, write_arrays

from loopback.plan import Plan, Took, model
from loopback.server import listening

assert serve  # and all else that a coordinator has in memory


def host(pipe: Connection, plan: Plan) -> None:
    """Says the port, and runs the rounds when told to; says what they took, and ends when told to."""
    moments, seen = [0.0], list[Progress]()

    def observe(progress: Progress) -> None:
        seen.append(progress)
        if isinstance(progress, Committed):
            moments.append(time.perf_counter())

    plan.folder.mkdir(parents=True)
    initial = plan.folder / "initial.safetensors"
    with initial.open("wb") as file:
        write_arrays(file, model(plan.size))
    with (
        closing(Store(plan.folder)) as store,
        closing(Ledger(plan.folder / "ledger.db")) as ledger,
        listening(plan, store) as (remote, number),
    ):
        pipe.send(number)
        pipe.recv()
        moments[0] = time.perf_counter()
        _coordinator(plan, store, ledger, remote, observe).run(Stored(initial))
        pipe.send(
            Took(
                periods=np.diff(moments).tolist(),
                rounds=[one.seconds for one in seen if isinstance(one, Committed)],
                evaluations=[one.seconds for one in seen if isinstance(one, Evaluated)],
            )
        )
        pipe.recv()
        remote.finish(plan.clients, 5.0)


def _coordinator(
    plan: Plan, store: Store, ledger: Ledger, remote: Remote, observe: Observe
) -> Coordinator:
    account = Account(
        ledger=ledger,
        population="nobody",
        unit=Unit.CLIENT,
        run=store.run(),
        budget=Budget(epsilon=math.inf),
    )
    return Coordinator(
        strategy=FedAvg(),
        mechanism=Mean(),
        sampler=FixedSize(size=plan.cohort) if plan.cohort else Everyone(),
        transport=remote,
        store=store,
        account=account,
        secret=store.secret(),
        clients=plan.clients,
        measured=plan.clients if plan.evaluates else (),
        rounds=plan.rounds,
        seed=0,
        settings={},
        observe=observe,
    )
