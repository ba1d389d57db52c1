"""The engine: a transport over worker processes, on this machine or, under torchrun, on several."""

from __future__ import annotations

import os
import socket
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field, replace
from datetime import timedelta
from multiprocessing.context import ForkServerProcess
from typing import NoReturn

import torch
import torch.distributed as dist
from torch.distributed.distributed_c10d import PrefixStore, Store
from torch.distributed.rendezvous import TCPStore, rendezvous

from ..client.trainer import choose_device
from ..wire.errors import WorkerLost
from ..wire.fold import Fold
from ..wire.messages import Instruction
from .processes import alive, begin, leave, started
from .shared import SharedData
from .worker import (
    COORDINATOR,
    Job,
    broadcast_instruction,
    broadcast_stop,
    layout,
    receive_fold,
    work,
)

FOREVER = timedelta(days=30)  # training may take days
RESUME = " Resume the run to go on."
Watch = Callable[[int, int], None]


@dataclass
class Engine:
    """The transport over the workers of the default process group, of which this is rank 0.

    `watch` is told how many members of a cohort were taken up, and of how many.
    Raises `WorkerLost` soon after a worker process of this machine ended.
    """

    job: Job
    store: Store
    workers: int
    processes: Sequence[ForkServerProcess] = ()
    watch: Watch = field(default=lambda taken, members: None, repr=False)
    _number: int = 0

    def gather(self, instruction: Instruction, members: Sequence[str]) -> Fold:
        """See `Transport`. The largest clients are taken up first, so that none is waited for long."""
        self._number += 1
        order = sorted(members, key=lambda name: (-self.job.rows(name), name))
        like = layout(self.job.admission, instruction)
        with self._noticing():
            broadcast_instruction(self._number, instruction, order)
            self._wait(f"done/{self._number}", f"next/{self._number}", len(order))
            return receive_fold(like, self.workers)

    def stop(self) -> None:
        """Tells the workers that there is nothing more to do."""
        with self._noticing():
            broadcast_stop()

    @contextmanager
    def _noticing(self) -> Iterator[None]:
        try:
            yield
        except RuntimeError as error:  # gloo says so when a connection closes
            time.sleep(0.5)  # until the process that closed it has ended
            alive(self.processes, RESUME)
            raise WorkerLost(f"A worker process of another machine is gone: {error}") from error

    def _wait(self, done: str, taken: str, members: int) -> None:
        """Until every worker is done: in short naps, so that Ctrl-C and a dead worker are noticed."""
        began = time.monotonic()
        while self.store.add(done, 0) < self.workers:
            alive(self.processes, RESUME)
            self.watch(min(self.store.add(taken, 0), members), members)
            time.sleep(min(0.05, max(0.001, (time.monotonic() - began) / 20)))
        self.store.delete_key(done)
        self.store.delete_key(taken)


@contextmanager
def spawned(job: Job, workers: int, device: str) -> Iterator[Engine]:
    """An engine over `workers` new processes of this machine, which are gone when it is left."""
    if dist.is_initialized():
        raise WorkerLost(
            "This process is in a torch.distributed group already; leave it first, or use "
            "run.workers=0."
        )
    store = _loopback_store()
    rows = SharedData.of(job.population.data)
    bare = replace(job, population=replace(job.population, data=job.population.data.rows(slice(0))))
    arguments = [(bare, rows, device, rank, workers, store.port) for rank in range(1, workers + 1)]
    try:
        with started(_spawned_worker, arguments, __name__) as processes:
            while store.add("ready", 0) < workers:
                alive(processes, RESUME)
                time.sleep(0.01)
            _use_loopback()
            dist.init_process_group(
                "gloo", store=store, rank=COORDINATOR, world_size=workers + 1, timeout=FOREVER
            )
            engine = Engine(job=job, store=store, workers=workers, processes=processes)
            yield engine
            engine.stop()
            for process in processes:
                process.join(timeout=10)
    finally:
        if dist.is_initialized():
            dist.destroy_process_group()


def _loopback_store() -> TCPStore:
    """A store that only this machine can reach: left to itself, it listens on every interface."""
    listener = socket.socket()
    listener.bind(("127.0.0.1", 0))
    listener.listen()
    port = listener.getsockname()[1]
    return TCPStore(
        "127.0.0.1",
        port,
        is_master=True,
        wait_for_workers=False,
        timeout=FOREVER,
        master_listen_fd=listener.detach(),
        use_libuv=True,
    )


def torchrun_rank() -> int | None:
    """This process's rank among those that torchrun started; None if it was not started so."""
    return int(os.environ["RANK"]) if "TORCHELASTIC_RUN_ID" in os.environ else None


@contextmanager
def coordinating(job: Job) -> Iterator[Engine]:
    """Under torchrun, in rank 0: an engine over all the other ranks, on whatever machines they are."""
    with _torchrun_group() as (store, workers):
        engine = Engine(job=job, store=store, workers=workers)
        yield engine
        engine.stop()


def assist(job: Job, device: str) -> NoReturn:
    """Under torchrun, in every other rank: works until rank 0 is done, then ends the process.

    Raises `WorkerLost` if rank 0 or another worker is gone.
    """
    torch.set_num_threads(1)
    try:
        with _torchrun_group() as (store, _):
            work(job, nth_device(device, int(os.environ["LOCAL_RANK"])), store)
            leave()
    except RuntimeError as error:  # gloo says so when a connection closes
        raise WorkerLost(f"The run ended while this process worked for it: {error}") from error


@contextmanager
def _torchrun_group() -> Iterator[tuple[Store, int]]:
    store, rank, size = next(iter(rendezvous("env://", timeout=FOREVER)))
    if size < 2:
        raise WorkerLost("torchrun started one process only; a run needs two: --nproc-per-node 2.")
    store = PrefixStore("tacit", store)
    dist.init_process_group("gloo", store=store, rank=rank, world_size=size, timeout=FOREVER)
    try:
        yield store, size - 1
    finally:
        dist.destroy_process_group()


def nth_device(device: str, index: int) -> torch.device:
    """The device of worker `index`: workers take turns over the CUDA devices of a machine."""
    chosen = choose_device(device)
    if chosen.type == "cuda":
        return torch.device("cuda", index % torch.cuda.device_count())
    return chosen


def _spawned_worker(
    job: Job, rows: SharedData, device: str, rank: int, workers: int, port: int
) -> None:
    begin()
    job = replace(job, population=replace(job.population, data=rows.view()))
    _use_loopback()
    store = TCPStore("127.0.0.1", port, is_master=False, timeout=FOREVER)
    store.add("ready", 1)
    dist.init_process_group("gloo", store=store, rank=rank, world_size=workers + 1, timeout=FOREVER)
    work(job, nth_device(device, rank - 1), store)
    leave()


def _use_loopback() -> None:
    """Keeps gloo off the network when every process is on this machine."""
    name = "lo" if os.uname().sysname == "Linux" else "lo0"
    os.environ.setdefault("GLOO_SOCKET_IFNAME", name)
