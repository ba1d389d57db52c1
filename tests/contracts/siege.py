"""A round that an honest client takes part in while others attack it, over mutual TLS.

Ann's answer waits until the attack is over; then it must count, in time, and with the exact sum.
"""

from __future__ import annotations

import asyncio
import logging
import threading
import time
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import grpc
import numpy as np
from contracts.certificates import make_authority
from contracts.network import Network, attending, network
from contracts.transport import round_
from tacit.privacy import Mean
from tacit.server import Admission
from tacit.server.exchange import folding_of
from tacit.server.remote import Patience
from tacit.strategies import FedAvg
from tacit.wire import Fold, Instruction, Purpose, Update, encode
from tacit.wire import federation_pb2 as pb
from tacit.wire import federation_pb2_grpc as rpc
from tacit.wire.protocol import PROTOCOL, chunks, digest

IN_TIME = 10.0
"""Seconds that the honest answer may take once it is let go, on a machine that does much else."""
ADMISSION = Admission(strategy=FedAvg(), mechanism=Mean(weighting="uniform"))
SIZE = 300_000
"""Values of a contribution: more than one message holds."""
SECRET = 0.123456789
"""A value of Ann's that no log may hold."""
PARAMETERS = {"w": np.zeros(SIZE, np.float32)}


def contribution(value: float) -> dict[str, Any]:
    """One of the right names, shapes and types."""
    expected = ADMISSION.expected(instruction(1))
    return {name: np.full(array.shape, value, array.dtype) for name, array in expected.items()}


def instruction(round: int) -> Instruction:
    return Instruction(round=round, purpose=Purpose.FIT, seed=1, parameters=PARAMETERS, run="r")


@dataclass
class Honest:
    """Answers when it is let go."""

    name: str
    value: float = SECRET
    free: threading.Event = field(default_factory=threading.Event)
    asked: threading.Event = field(default_factory=threading.Event)

    def answer(self, instruction: Instruction) -> Update:
        self.asked.set()
        assert self.free.wait(60)
        return Update(
            client=self.name,
            round=instruction.round,
            examples=3,
            contribution=contribution(self.value),
            statistics={"examples": 3.0, "loss": SECRET},
        )


class Complaints(logging.Handler):
    """What the server's machinery logs: errors that nobody handled."""

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.heard: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        if (
            "ExecuteBatchError" not in record.getMessage()
        ):  # a peer was gone before it was written to
            self.heard.append(self.format(record))


@dataclass
class Siege:
    """A server under attack: Ann is honest, Mallory is a client as well, Ron was revoked."""

    net: Network
    ann: Honest
    complaints: Complaints
    rounds: int = 0
    fold: Fold = field(default_factory=Fold)

    def stub(self, name: str) -> rpc.FederationStub:
        return rpc.FederationStub(self.net.channel(name))

    @property
    def order(self) -> bytes:
        """The instruction that is out."""
        assert self.net.remote.exchange is not None
        return self.net.remote.exchange.order

    @contextmanager
    def round(self, counted: Iterable[float] = ()) -> Iterator[bytes]:
        """A round to attack, by its order; afterwards it must add up to Ann's value and `counted`."""
        self.rounds += 1
        self.ann.free.clear()
        self.ann.asked.clear()
        with ThreadPoolExecutor(1) as pool:
            asked = instruction(self.rounds)
            folding = pool.submit(self.net.remote.gather, asked, ["ann", "mallory"])
            try:
                assert self.ann.asked.wait(60)
                yield self.order
                assert not folding.done(), "the attack ended the round"
            finally:
                self._end()
                self.ann.free.set()
            began = time.monotonic()
            self.fold = folding.result(60)
        assert time.monotonic() - began < IN_TIME
        self._check([SECRET, *counted])

    @contextmanager
    def last(self, value: float) -> Iterator[bytes]:
        """A round in which Ann has answered, and Mallory, with `value`, is the last to do so."""
        self.rounds += 1
        self.ann.free.set()
        with ThreadPoolExecutor(1) as pool:
            folding = pool.submit(
                self.net.remote.gather, instruction(self.rounds), ["ann", "mallory"]
            )
            while (exchange := self.net.remote.exchange) is None or exchange.waits_for("ann"):
                time.sleep(0.01)
            yield exchange.order
            self.fold = folding.result(IN_TIME)
        self._check([SECRET, value])

    def _end(self) -> None:
        """Mallory gives up, unless its answer was settled."""
        exchange = self.net.remote.exchange
        if exchange is not None and exchange.waits_for("mallory"):
            fold = folding_of("mallory", pb.Answer(declined="no"), None, exchange)
            settling = exchange.settle("mallory", fold)
            asyncio.run_coroutine_threadsafe(settling, self.net.remote.loop).result(10)

    def _check(self, counted: list[float]) -> None:
        assert not self.complaints.heard, "\n".join(self.complaints.heard)[:4000]
        assert "ann" in self.fold
        value = sum(round_(float(np.float32(value))) for value in counted)
        name = next(name for name in self.fold.sums if name.startswith("sum/"))
        assert set(self.fold.sums[name].tolist()) == {value}
        assert self.fold.sums["weight"] == len(counted) << 32
        log = (self.net.folder / "audit.jsonl").read_text()
        assert str(SECRET)[:6] not in log


@contextmanager
def besieged(folder: Path, enough: int | None = None) -> Iterator[Siege]:
    """A server that Ann attends, and an authority with an operator, Mallory, Ron, and Sue of no study."""
    authority = make_authority(folder / "certs", "ann", "mallory", "ron", "sue")
    patience, ann = Patience(deadline=60.0, enough=enough, may_miss=1), Honest("ann")
    clients = ["ann", "mallory", "ron"]
    with (
        network(ADMISSION, clients, folder / "net", patience, authority.folder) as net,
        attending({"ann": ann}, net),
    ):
        complaints = Complaints()
        loggers = [logging.getLogger(name) for name in ("grpc", "asyncio")]
        for logger in loggers:
            logger.addHandler(complaints)
        yield Siege(net, ann, complaints)
        for logger in loggers:
            logger.removeHandler(complaints)


def attend(stub: rpc.FederationStub, fingerprint: str = "f") -> Iterator[pb.Order]:
    request = pb.Attendance(protocol=PROTOCOL, study=fingerprint, version="evil")
    orders: Iterator[pb.Order] = stub.Attend(request)
    return orders


def answer_with(order: bytes, data: bytes, round: int = 1, **changes: Any) -> pb.Answer:  # noqa: ANN401
    """An answer to `order` that announces `data`."""
    blob = pb.Blob(sha256=digest(data), size=len(data))
    update = pb.Update(**{"round": round, "examples": 3, "contribution": blob, **changes})
    return pb.Answer(instruction=digest(order), update=update)


def good(order: bytes, round: int, value: float = 0.25) -> tuple[pb.Answer, bytes]:
    """What Mallory could answer if it were honest."""
    data = encode(contribution(value))
    return answer_with(order, data, round), data


def submit(stub: rpc.FederationStub, answer: pb.Answer, data: bytes = b"") -> pb.Verdict:
    """The last verdict on `answer`, followed by `data`, whatever it announces."""

    def pieces() -> Iterator[pb.Piece]:
        yield pb.Piece(answer=answer)
        for chunk in chunks(data):
            yield pb.Piece(data=chunk)

    verdicts: list[pb.Verdict] = list(stub.Submit(pieces(), timeout=30))
    return verdicts[-1]


def refusal(call: Iterable[object]) -> tuple[grpc.StatusCode, str]:
    """How the call is refused; fails if it is not."""
    try:
        for _ in call:
            pass
    except grpc.RpcError as error:
        return error.code(), error.details() or ""
    raise AssertionError("the call was not refused")
