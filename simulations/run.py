"""A configuration in, a result out: the main job."""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, closing, contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import NoReturn

import torch

from ..client.memory import Memory
from ..client.task import Task
from ..client.trainer import Plain, choose_device
from ..fairness.statistics import add, rates
from ..privacy.account import Account
from ..privacy.budget import Unit
from ..privacy.ledger import Ledger
from ..privacy.secret import Secret
from ..server.coordinator import POOLED, Coordinator
from ..server.progress import Committed, Evaluated, Observe, Progress
from ..server.store import Store
from ..strategies.strategy import ServerState
from ..wire.arrays import encode
from ..wire.database import name_of
from ..wire.errors import BudgetSpent
from ..wire.messages import Arrays
from ..wire.transport import InMemory, Transport
from .baselines import Baselines, load_baselines, save_baselines, train_baselines
from .config import Config
from .custody import Custody, ledger_path
from .dataset import Dataset
from .engine import Watch, assist, coordinating, spawned, torchrun_rank
from .rows import ledger_of
from .run_folder import RunFolder
from .setup import Setup, prepare
from .worker import Job

Reach = Callable[[Store], AbstractContextManager[Transport]]
"""Connects to the clients of the run that a store is of, until it is left."""


@dataclass(frozen=True, kw_only=True)
class Result:
    """What a run ended with.

    `history` has an entry for each round: what was committed, and the evaluation if there was one.
    """

    config: Config
    parameters: Arrays = field(repr=False)
    history: list[tuple[Committed, Evaluated | None]] = field(repr=False)
    baselines: Baselines | None = field(default=None, repr=False)

    @property
    def clients(self) -> dict[str, dict[str, float]]:
        """Each client's rates on its own held-out rows, at the last evaluation."""
        last = self._last()
        return {name: rates(counts) for name, counts in last.clients.items()} if last else {}

    @property
    def metrics(self) -> dict[str, float]:
        """The rates over all clients' held-out rows, at the last evaluation."""
        last = self._last()
        return rates(add(last.clients.values())) if last else {}

    @property
    def pooled(self) -> dict[str, float]:
        """The rates on the pooled test rows, where there are any beside the clients' own."""
        last = self._last()
        return rates(last.pooled) if last else {}

    @property
    def digest(self) -> str:
        """SHA-256 of the parameters: equal for equal bits."""
        return parameter_digest(self.parameters)

    def _last(self) -> Evaluated | None:
        return next((evaluated for _, evaluated in reversed(self.history) if evaluated), None)


def parameter_digest(parameters: Arrays) -> str:
    """SHA-256 of the encoded parameters."""
    return hashlib.sha256(encode(parameters)).hexdigest()


def simulate(
    config: Config,
    *,
    task: Task | None = None,
    dataset: Dataset | None = None,
    folder: Path | None = None,
    observe: Observe = lambda progress: None,
    watch: Watch = lambda taken, members: None,
) -> Result:
    """Runs `config` to its end in a new folder, or in a temporary one.

    `task` and `dataset` go before those that `config` names. `observe` is told what happened,
    `watch` how far a round is. Raises a `TacitError`; after Ctrl-C a `folder` can be resumed.

    >>> config = Config(
    ...     rounds=2,
    ...     data={"name": "wine"},
    ...     partition={"kind": "iid", "clients": 3},
    ...     run={"workers": 0},
    ... )
    >>> sorted(simulate(config).clients)
    ['client-000', 'client-001', 'client-002']
    """
    setup = prepare(config, task, dataset)
    if folder is not None:
        return run(setup, RunFolder(folder), observe=observe, watch=watch)
    with tempfile.TemporaryDirectory(prefix="tacit-") as temporary:
        return run(setup, RunFolder(Path(temporary) / "run"), observe=observe, watch=watch)


def run(
    setup: Setup,
    folder: RunFolder,
    *,
    resume: bool = False,
    observe: Observe = lambda progress: None,
    watch: Watch = lambda taken, members: None,
    reach: Reach | None = None,
    database: str | None = None,
) -> Result:
    """Runs `setup` in `folder`; with `resume`, goes on from what is there.

    `reach` is how the coordinator reaches its clients; by default they are simulated. `database` is the
    URL of a PostgreSQL database for the run's rows and a shared ledger.
    """
    config, described = setup.config, setup.description
    reach = reach or (lambda store: simulated(setup, folder, described.digest, watch))
    with folder.locked():
        (folder.check if resume else folder.create)(config, described)
        place = {"database": name_of(database)} if database else {}
        folder.log("resumed" if resume else "started", fingerprint=config.fingerprint(), **place)
        with (
            closing(Store(folder.path, database)) as store,
            store.locked(),
            closing(Ledger(ledger_of(config, folder, database))) as ledger,
        ):
            if store.is_sealed() and not _is_complete(store, config):
                raise BudgetSpent(
                    f"{folder.path} ended when its budget was spent; start a new run."
                )
            with reach(store) as carrier:
                coordinator = _coordinator(setup, folder, store, ledger, carrier, observe)
                state = _until_spent(coordinator, setup, folder)
                baselines = _baselines(setup, folder, carrier)
                # before clients hear that the run is over
                folder.save_model(state.parameters)
                digest = parameter_digest(state.parameters)
                folder.log("finished", round=state.round, parameters=digest)
                _seal(config, folder, store)
            return Result(
                config=config,
                parameters=dict(state.parameters),  # the folder may be a temporary one
                history=store.history(),
                baselines=baselines,
            )


def help_run(setup: Setup, folder: RunFolder) -> NoReturn:
    """The part of a rank other than 0 under torchrun: trains what rank 0 hands out, prints nothing.

    `folder` must be the same on every machine if the strategy gives clients a memory.
    """
    assist(make_job(setup, folder), setup.config.run.device)


def _is_complete(store: Store, config: Config) -> bool:
    latest = store.latest()
    return latest is not None and latest.round >= config.rounds


def _seal(config: Config, folder: RunFolder, store: Store) -> None:
    """Ends the run: what no noise has covered is forgotten, also what clients remember."""
    store.seal()
    if config.mechanism_kind != "mean":
        shutil.rmtree(folder.memory, ignore_errors=True)


def _until_spent(coordinator: Coordinator, setup: Setup, folder: RunFolder) -> ServerState:
    """Runs to the end. A spent budget keeps the last model that was paid for, and is raised again."""
    try:
        return coordinator.run(setup.initial)
    except BudgetSpent as spent:
        if (state := coordinator.store.latest()) is not None:
            folder.save_model(state.parameters)
            folder.log("budget_spent", round=state.round, reason=str(spent))
        _seal(setup.config, folder, coordinator.store)
        raise


def _coordinator(
    setup: Setup,
    folder: RunFolder,
    store: Store,
    ledger: Ledger,
    carrier: Transport,
    observe: Observe,
) -> Coordinator:
    def both(progress: Progress) -> None:
        folder.observe(progress)
        observe(progress)

    config, seed = setup.config, setup.config.insecure_noise_seed
    account = Account(
        ledger=ledger,
        population=config.population_name,
        unit=Unit.CLIENT,
        run=store.run() if seed is None else f"insecure-{seed}",  # clients' noise rests on it
        budget=config.budget_of(Unit.CLIENT),
    )
    return Coordinator(
        strategy=config.strategy,
        mechanism=config.mechanism,
        sampler=config.sampler,
        transport=carrier,
        store=store,
        account=account,
        secret=store.secret() if seed is None else Secret.from_test_seed(seed),
        clients=setup.clients,
        measured=setup.measured,
        rounds=config.rounds,
        seed=config.seed,
        settings=config.train.settings(),
        evaluate_every=config.evaluate.every,
        may_miss=config.deployment.may_miss,
        observe=both,
    )


@contextmanager
def simulated(setup: Setup, folder: RunFolder, dealing: str, watch: Watch) -> Iterator[Transport]:
    """Reaches simulated clients: in this process, in worker processes, or by torchrun."""
    job, device, workers = make_job(setup, folder), setup.config.run.device, worker_count(setup)
    job.custody.bind(dealing)
    if torchrun_rank() is not None:
        with coordinating(job) as engine:
            engine.watch = watch
            yield engine
    elif workers:
        with spawned(job, workers, device) as engine:
            engine.watch = watch
            yield engine
    else:
        with _one_thread():
            yield in_process(job, device)


def make_job(setup: Setup, folder: RunFolder) -> Job:
    """What a worker process needs to know of `setup`."""
    return Job(
        population=setup.population,
        task=setup.task,
        strategy=setup.config.strategy,
        mechanism=setup.config.mechanism,
        rounds=setup.config.rounds,
        memory=Memory(folder.memory),
        custody=Custody.of(setup.config, ledger_path(setup.config, folder)),
    )


def worker_count(setup: Setup) -> int:
    """How many worker processes the run has on this machine; 0 for none beside this one."""
    wanted = setup.config.run.workers
    return min(len(os.sched_getaffinity(0)), len(setup.clients)) if wanted is None else wanted


def in_process(job: Job, device: str) -> InMemory:
    """All clients in this process, on one resident model."""
    trainer = Plain(job.task, choose_device(device))
    names = [*job.population.clients, POOLED]
    clients = {name: job.client(name, trainer) for name in names}
    return InMemory(clients, job.admission.open)


@contextmanager
def _one_thread() -> Iterator[None]:
    """One torch thread, as in a worker: the number of threads changes the bits of a sum."""
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(threads)


def _baselines(setup: Setup, folder: RunFolder, carrier: Transport) -> Baselines | None:
    if not setup.config.baselines:
        return None
    if (found := load_baselines(folder.baselines)) is not None:
        return found
    baselines = train_baselines(
        carrier,
        setup.config.baselines,
        [name for name in setup.measured if name != POOLED],
        seed=setup.config.seed,
        parameters=setup.initial,
        settings=setup.config.train.settings(),
    )
    save_baselines(folder.baselines, baselines)
    return baselines
