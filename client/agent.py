"""The agent: dials the coordinator, carries out its orders one at a time, and never gives up.

It holds one stream, on which orders come, and answers each. Whatever goes wrong on the way ends the
connection; the next one begins with the same order, whose answer may be finished already.
"""

from __future__ import annotations

import queue
import threading
from collections.abc import Iterator
from dataclasses import dataclass

import grpc

from ..wire import federation_pb2 as pb
from ..wire import federation_pb2_grpc as rpc
from ..wire.errors import StoreError
from ..wire.foreign import shown
from ..wire.messages import Arrays
from ..wire.protocol import (
    PROTOCOL,
    chunks,
)
from .answering import Answering
from .dialler import Dialler, Lost
from .failure import may_pass
from .outbox import Cache


@dataclass(kw_only=True)
class Agent(Dialler):
    """One client's end of the wire. `answering` does what is asked, if it was agreed.

    Guarantees:
      - An update that was finished is handed in after any loss of connection and any restart; it is
        not computed twice.
      - Of an error in the client's code the coordinator learns the kind and the places in the code,
        and not the message, which may quote rows.
      - It returns only when the run is complete.

    Raises what a `Dialler` does, and `Disagreement` when the study there is another than here.
    """

    answering: Answering
    fingerprint: str
    version: str
    cache: Cache

    def attend(self, channel: grpc.Channel) -> str:
        """See `Dialler`."""
        stub = rpc.FederationStub(channel)
        request = pb.Attendance(
            protocol=PROTOCOL, study=self.fingerprint, version=self.version, process=self._process
        )
        orders = stub.Attend(request, wait_for_ready=False)
        try:
            for order in _newest(orders):  # it ends by an exception
                match order.WhichOneof("order"):
                    case "welcome":
                        self.answering.join(order.welcome)
                        self._run = order.welcome.run
                        run, rounds = shown(order.welcome.run, 80), self.answering.agreement.rounds
                        self._tell("joined", f"joined run {run[:8]} of {rounds} rounds", run=run)
                    case "instruction":
                        self._carry_out(stub, order.instruction)
                    case "over" if order.over.complete:
                        return shown(order.over.reason)
                    case "over":
                        raise Lost(order.over.reason)
        finally:
            orders.cancel()
        raise Lost("the coordinator hung up")

    def _carry_out(self, stub: rpc.FederationStub, order: bytes) -> None:
        if (kept := self.answering.finished(order)) is not None:
            self._tell("kept", "this was finished before the connection was lost; handing it in")
        answer, contribution = kept or self._answer(stub, order)
        verdict = _submit(stub, answer, contribution)
        if verdict.status == pb.STATUS_RETRY:
            raise Lost(f"the coordinator could not keep the answer ({verdict.reason})")
        self._patience = self.shortest
        self.answering.settled()
        if answer.WhichOneof("answer") != "update":
            return  # why not has been said
        if verdict.status == pb.STATUS_ACCEPTED:
            size = answer.update.contribution.size
            sent = f", {size:,} bytes" if size else ""
            self._tell("accepted", f"handed in{sent}; waiting for the others", bytes=size)
        else:
            reason = shown(verdict.reason)
            self._tell("refused", f"does not count: {reason}", reason=reason)

    def _answer(self, stub: rpc.FederationStub, order: bytes) -> tuple[pb.Answer, bytes]:
        """The answer to `order` and its contribution, which are kept."""

        def fetch(message: pb.Instruction) -> tuple[Arrays, Arrays]:
            self.cache.keep_only(message.parameters, message.extras)
            return self._fetch(stub, message.parameters), self._fetch(stub, message.extras)

        try:
            return self.answering.answer(order, fetch)
        except (OSError, StoreError) as error:
            if may_pass(error):
                raise Lost(f"this site cannot write: {error}") from error
            raise

    def _fetch(self, stub: rpc.FederationStub, blob: pb.Blob) -> Arrays:
        if (held := self.cache.held(blob)) < blob.size:
            chunks = stub.Fetch(pb.Wanted(sha256=blob.sha256, offset=held))
            self.cache.add(blob, (chunk.data for chunk in chunks))
        return self.cache.read(blob)


def _newest(orders: Iterator[pb.Order]) -> Iterator[pb.Order]:
    """`orders` as they come, read by a thread; of several instructions that wait, the last."""
    arrived: queue.SimpleQueue[pb.Order | Exception] = queue.SimpleQueue()

    def read() -> None:
        try:
            for order in orders:
                arrived.put(order)
            arrived.put(Lost("the coordinator hung up"))
        except grpc.RpcError as error:
            arrived.put(error)

    threading.Thread(target=read, name="orders", daemon=True).start()
    while True:
        found = arrived.get()
        while isinstance(found, pb.Order) and found.instruction and not arrived.empty():
            found = arrived.get()
        if isinstance(found, Exception):
            raise found
        yield found


def _submit(stub: rpc.FederationStub, answer: pb.Answer, contribution: bytes) -> pb.Verdict:
    """Hands `answer` in, from where the coordinator holds it already; what became of it."""
    held: queue.SimpleQueue[int | None] = queue.SimpleQueue()

    def pieces() -> Iterator[pb.Piece]:
        yield pb.Piece(answer=answer)
        if (offset := held.get()) is not None:
            for data in chunks(contribution, offset):
                yield pb.Piece(data=data)

    verdict = pb.Verdict()
    try:
        for verdict in stub.Submit(pieces()):
            if verdict.status == pb.STATUS_HELD:
                held.put(verdict.held)
    finally:
        held.put(None)
    if verdict.status in (pb.STATUS_UNSPECIFIED, pb.STATUS_HELD):
        raise Lost("the coordinator gave no verdict")
    return verdict
