"""A worker process: one resident model that becomes one client after the other.

Workers and the coordinator form one `torch.distributed` group (gloo), in which rank 0 coordinates.
A round is: the instruction is broadcast; each worker takes the next client from a shared counter
until none is left; the folds, exact integers, are added up on the way back by one reduction.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import asdict, dataclass, field, replace
from functools import cached_property

import numpy as np
import torch
import torch.distributed as dist
from numpy.typing import NDArray
from torch.distributed.distributed_c10d import Store

from ..client.client import Client
from ..client.measure import Measure
from ..client.memory import Memory
from ..client.task import Task
from ..client.trainer import Plain
from ..fairness.measuring import Measuring
from ..privacy.mechanism import Mechanism
from ..server.admission import Admission
from ..server.coordinator import POOLED
from ..strategies.strategy import Strategy
from ..wire.arrays import decode, encode
from ..wire.fold import Fold
from ..wire.messages import (
    Arrays,
    Failure,
    Instruction,
    Purpose,
    Receipt,
    Refusal,
    named,
    part,
)
from ..wire.transport import collect
from .custody import Custody
from .population import Population

COORDINATOR = 0


@dataclass(frozen=True, kw_only=True)
class Job:
    """All that a worker needs to be any client, beside the rows. `clients` are the run's, in order."""

    population: Population
    task: Task = field(repr=False)
    strategy: Strategy
    mechanism: Mechanism
    rounds: int
    memory: Memory
    custody: Custody
    clients: tuple[str, ...]
    measure: Measure | None = None
    measuring: Measuring | None = None

    @cached_property
    def _positions(self) -> dict[str, int]:
        return {name: position for position, name in enumerate(self.clients)}

    @property
    def admission(self) -> Admission:
        """How answers are let into a fold."""
        return Admission(strategy=self.strategy, mechanism=self.mechanism, measuring=self.measuring)

    def client(self, name: str, trainer: Plain) -> Client:
        """The client `name`, trained by `trainer`."""
        population = self.population
        split = population.pooled if name == POOLED else population.clients[name]
        secret = self.custody.secret(name)
        return Client(
            name=name,
            train=population.data.rows(split.train),
            test=population.data.rows(split.test),
            trainer=trainer,
            strategy=self.strategy,
            mechanism=self.mechanism,
            secret=secret,
            memory=self.memory,
            rounds=self.rounds,
            measure=self.measure,
            noise=self.measuring.noise if self.measuring else None,
            guard=self.custody.guard(name, secret),
            position=self._positions.get(name, 0),  # the pooled holder has none, and joins no round
            clients=len(self.clients),
        )

    def rows(self, name: str) -> int:
        """How many rows the client trains on."""
        split = self.population.pooled if name == POOLED else self.population.clients[name]
        return int(split.train.stop - split.train.start)


def work(job: Job, device: torch.device, store: Store) -> None:
    """Answers instructions until told to stop, as a member of the default process group."""
    trainer = Plain(job.task, device)
    while (received := receive_instruction()) is not None:
        number, instruction, members = received
        fold, receive = Fold(), job.admission.open(instruction, members)
        while (index := store.add(f"next/{number}", 1) - 1) < len(members):
            client = job.client(members[index], trainer)
            collect(fold, members[index], client, instruction, receive)
        store.add(f"done/{number}", 1)
        send_fold(fold, layout(job.admission, instruction))


def broadcast_instruction(number: int, instruction: Instruction, members: Sequence[str]) -> None:
    """Sends round trip `number` to every worker, from the coordinator."""
    public = asdict(replace(instruction, parameters={}, extras={}))
    head = json.dumps({"number": number, "instruction": public, "members": list(members)})
    body = encode(named("parameters", instruction.parameters) | named("extras", instruction.extras))
    _broadcast(head.encode())
    _broadcast(body)


def broadcast_stop() -> None:
    """Tells every worker to leave."""
    _broadcast(b"null")


def receive_instruction() -> tuple[int, Instruction, list[str]] | None:
    """What the coordinator broadcast: the round trip, the instruction, the members; None to stop."""
    head = json.loads(_broadcast(b""))
    if head is None:
        return None
    arrays = decode(_broadcast(b""))
    public = head["instruction"]
    instruction = Instruction(
        round=public["round"],
        purpose=Purpose(public["purpose"]),
        seed=public["seed"],
        parameters=part("parameters", arrays),
        extras=part("extras", arrays),
        settings=public["settings"],
        terms=public["terms"],
        run=public["run"],
    )
    return head["number"], instruction, head["members"]


def layout(admission: Admission, instruction: Instruction) -> Arrays:
    """Zeros in the shape of a fold's sums: what both ends of a reduction agree on."""
    return admission.blank(instruction)


def send_fold(fold: Fold, like: Arrays) -> None:
    """A worker's part in bringing its fold to the coordinator."""
    dist.reduce(_flat(fold.sums, like), COORDINATOR)
    notes = {
        "receipts": [asdict(receipt) for receipt in fold.receipts],
        "refusals": [asdict(refusal) for refusal in fold.refusals],
        "failures": [asdict(failure) for failure in fold.failures],
    }
    data = torch.frombuffer(
        bytearray(json.dumps(notes, default=np.ndarray.tolist).encode()), dtype=torch.uint8
    )
    dist.send(torch.tensor([len(data)]), COORDINATOR)
    dist.send(data, COORDINATOR)


def receive_fold(like: Arrays, workers: int) -> Fold:
    """The coordinator's part: the sum of all workers' folds, and what they note about each client."""
    fold = Fold()
    flat = _flat({}, like)
    dist.reduce(flat, COORDINATOR)
    for worker in range(1, workers + 1):
        size = torch.zeros(1, dtype=torch.int64)
        dist.recv(size, worker)
        data = torch.zeros(int(size), dtype=torch.uint8)
        dist.recv(data, worker)
        notes = json.loads(data.numpy().tobytes())
        part_of_fold = Fold()
        for receipt in notes["receipts"]:
            tables = {name: np.asarray(table) for name, table in receipt.pop("tables").items()}
            part_of_fold.add({}, Receipt(**receipt, tables=tables))
        part_of_fold.refusals = [Refusal(**refusal) for refusal in notes["refusals"]]
        part_of_fold.failures = [Failure(**failure) for failure in notes["failures"]]
        fold.merge(part_of_fold)
    fold.sums = _shaped(flat.numpy(), like) if fold.receipts else {}
    return fold


def _flat(sums: Arrays, like: Arrays) -> torch.Tensor:
    pieces = [np.ravel(sums.get(name, zero)) for name, zero in like.items()]
    return torch.from_numpy(np.concatenate(pieces) if pieces else np.zeros(0, np.int64))


def _shaped(flat: NDArray[np.int64], like: Arrays) -> dict[str, NDArray[np.int64]]:
    ends = np.cumsum([array.size for array in like.values()])[:-1]
    pieces = np.split(flat, ends)
    return {
        name: piece.reshape(array.shape)
        for (name, array), piece in zip(like.items(), pieces, strict=bool(like))
    }


def _broadcast(data: bytes) -> bytes:
    """`data` of the coordinator, on every rank."""
    size = torch.tensor([len(data)])
    dist.broadcast(size, COORDINATOR)
    buffer = torch.zeros(int(size), dtype=torch.uint8)
    if dist.get_rank() == COORDINATOR:
        buffer = torch.frombuffer(bytearray(data), dtype=torch.uint8)
    dist.broadcast(buffer, COORDINATOR)
    return buffer.numpy().tobytes()
