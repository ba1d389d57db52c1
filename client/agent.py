"""The agent: dials the coordinator, carries out its orders one at a time, and never gives up.

It holds one stream, on which orders come, and answers each. Whatever goes wrong on the way ends the
connection; the next one begins with the same order, whose answer may be finished already.
"""

from __future__ import annotations

import logging
import queue
import threading
import time
from collections.abc import Iterator
from dataclasses import dataclass, field

import grpc

from ..wire import federation_pb2 as pb
from ..wire import federation_pb2_grpc as rpc
from ..wire.errors import Declined
from ..wire.foreign import shown
from ..wire.messages import Arrays, Instruction
from ..wire.protocol import (
    PROTOCOL,
    chunks,
    digest,
    instruction_of,
    purpose_of,
    read_instruction,
    write_update,
)
from ..wire.transport import Answers
from .agreement import Agreement
from .dialler import Dialler, Lost
from .failure import kind_of, may_pass, places_of
from .outbox import Cache, Outbox, blob_of

log = logging.getLogger("tacit.client")


@dataclass(kw_only=True)
class Agent(Dialler):
    """One client's end of the wire. `answers` does what is asked, once `agreement` allows it.

    Guarantees:
      - An update that was finished is handed in after any loss of connection and any restart; it is
        not computed twice.
      - Of an error in the client's code the coordinator learns the kind and the places in the code,
        and not the message, which may quote rows.
      - It returns only when the run is complete.

    Raises what a `Dialler` does, and `Disagreement` when the study there is another than here.
    """

    answers: Answers
    agreement: Agreement
    fingerprint: str
    version: str
    outbox: Outbox
    cache: Cache
    _finished: tuple[pb.Answer, bytes] | None = field(default=None, init=False, repr=False)

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
                        self.agreement.meet(order.welcome)
                        self.outbox.bind(order.welcome.run)
                        self._run = order.welcome.run
                        run, rounds = shown(order.welcome.run, 80), self.agreement.rounds
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
        if (kept := self._finished_before(digest(order))) is not None:
            self._tell("kept", "this was finished before the connection was lost; handing it in")
        answer, contribution = kept or self._answer(stub, order)
        verdict = _submit(stub, answer, contribution)
        if verdict.status == pb.STATUS_RETRY:
            raise Lost(f"the coordinator could not keep the answer ({verdict.reason})")
        self._patience, self._finished = self.shortest, None
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
        message = read_instruction(order)
        try:
            self.agreement.consider(message, self._run, self._last(message))
        except Declined as declined:
            return self._decline(declined, order), b""
        self.cache.keep_only(message.parameters, message.extras)
        instruction = instruction_of(
            message, self._fetch(stub, message.parameters), self._fetch(stub, message.extras)
        )
        round, purpose = instruction.round, str(instruction.purpose)
        doing = {"fit": "training", "evaluate": "measuring"}.get(purpose, purpose)
        where = f"round {round}/{self.agreement.rounds}"
        self._tell("asked", f"{where}: {doing}", round=round, purpose=purpose)
        began = time.monotonic()
        answer, contribution = self._attempt(instruction)
        if answer.WhichOneof("answer") == "update":
            spent = time.monotonic() - began
            facts = {"round": round, "purpose": purpose, "seconds": float(f"{spent:.3f}")}
            self._tell("done", f"{where}: {doing} took {spent:.1f} s", **facts)
        answer.instruction = digest(order)
        if answer.WhichOneof("answer") == "update":  # what failed may succeed when asked again
            self._keep(purpose, answer, contribution)
        return answer, contribution

    def _keep(self, purpose: str, answer: pb.Answer, contribution: bytes) -> None:
        """On the disk or, if that is full, in memory: it may have taken hours."""
        try:
            self.outbox.keep(purpose, answer, contribution)
        except OSError as error:
            self._finished = answer, contribution
            self._tell("unkept", f"the finished update could not be kept: {error}")

    def _finished_before(self, instruction: bytes) -> tuple[pb.Answer, bytes] | None:
        if self._finished is not None and self._finished[0].instruction == instruction:
            return self._finished
        return self.outbox.find(instruction)

    def _last(self, message: pb.Instruction) -> int:
        """The newest round of the run that was answered for the same purpose."""
        return self.outbox.last(str(purpose_of(message)))

    def _decline(self, declined: Declined, order: bytes) -> pb.Answer:
        self._tell("declined", f"declined: {declined}", reason=str(declined))
        return pb.Answer(instruction=digest(order), declined=str(declined))

    def _attempt(self, instruction: Instruction) -> tuple[pb.Answer, bytes]:
        try:
            self.agreement.check(instruction)
            update = self.answers.answer(instruction)
        except Declined as declined:
            self._tell("declined", f"declined: {declined}", reason=str(declined))
            return pb.Answer(declined=str(declined)), b""
        except Exception as error:
            if may_pass(error):
                raise Lost(f"this site cannot write: {error}") from error
            log.exception("the client's own code failed")
            kind = type(error).__name__
            self._tell("failed", f"this site's own code failed: {kind}", error=kind)
            failed = pb.Failed(error=kind_of(error), traceback=places_of(error))
            return pb.Answer(failed=failed), b""
        blob, contribution = blob_of(update.contribution)
        return pb.Answer(update=write_update(update, blob)), contribution

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
