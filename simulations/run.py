"""A configuration in, a result out: the main job."""

from __future__ import annotations

import os
import tempfile
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from pathlib import Path
from typing import NoReturn

from ..client.memory import Memory
from ..client.task import Task
from ..client.trainer import Plain, choose_device
from ..server.coordinator import POOLED
from ..server.progress import Observe
from ..server.store import Store
from ..wire.transport import InMemory, Transport
from .conduct import Result, conduct
from .config import Config
from .custody import Custody, ledger_path
from .dataset import Dataset
from .engine import Watch, assist, coordinating, spawned, torchrun_rank
from .measuring import measuring_of
from .processes import one_thread
from .run_folder import RunFolder
from .setup import Setup, prepare
from .worker import Job


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
) -> Result:
    """Runs `setup` in `folder` with simulated clients; with `resume`, goes on from what is there."""

    def reach(store: Store) -> AbstractContextManager[Transport]:
        return simulated(setup, folder, watch)

    return conduct(setup, folder, reach, resume=resume, observe=observe)


def help_run(setup: Setup, folder: RunFolder) -> NoReturn:
    """The part of a rank other than 0 under torchrun: trains what rank 0 hands out, prints nothing.

    `folder` must be the same on every machine if the strategy gives clients a memory.
    """
    assist(make_job(setup, folder), setup.config.run.device)


@contextmanager
def simulated(setup: Setup, folder: RunFolder, watch: Watch) -> Iterator[Transport]:
    """Reaches simulated clients: in this process, in worker processes, or by torchrun."""
    job, device, workers = make_job(setup, folder), setup.config.run.device, worker_count(setup)
    job.custody.bind(setup.description.digest)
    if torchrun_rank() is not None:
        with coordinating(job) as engine:
            engine.watch = watch
            yield engine
    elif workers:
        with spawned(job, workers, device) as engine:
            engine.watch = watch
            yield engine
    else:
        with one_thread():
            yield in_process(job, device)


def make_job(setup: Setup, folder: RunFolder) -> Job:
    """What a worker process needs to know of `setup`."""
    return Job(
        population=setup.population,
        task=setup.task,
        strategy=setup.config.strategy,
        mechanism=setup.config.mechanism,
        rounds=setup.config.rounds,
        measure=setup.measure,
        measuring=measuring_of(setup.config, setup.measure.schema),
        memory=Memory(folder.memory),
        custody=Custody.of(setup.config, ledger_path(setup.config, folder)),
        clients=setup.members,
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
