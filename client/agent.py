"""The agent: dials the coordinator, carries out its orders one at a time, and never gives up.

It holds one stream, on which orders come, and answers each. Whatever goes wrong on the way ends the
connection; the next one begins with the same order, whose answer may be finished already.
"""

from __future__ import annotations

import errno
import logging
import queue
import random
import secrets
import threading
import time
import traceback
from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from functools import partial

import grpc
from sqlalchemy.exc import OperationalError

from ..wire import federation_pb2 as pb
from ..wire import federation_pb2_grpc as rpc
from ..wire.dial import is_mistake, reason_of
from ..wire.errors import CertificateError, CodecError, Declined, Refused, StoreError
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
from .outbox import Cache, Outbox, blob_of

log = logging.getLogger("tacit.client")

FOR_GOOD = {
    grpc.StatusCode.PERMISSION_DENIED,
    grpc.StatusCode.UNAUTHENTICATED,
    grpc.StatusCode.FAILED_PRECONDITION,
}
"""With these a coordinator refuses a client, and will tomorrow."""

NO_ROOM = {errno.ENOSPC, errno.EDQUOT, errno.EFBIG}


@dataclass(frozen=True, kw_only=True)
class News:
    """What whoever looks after a site may want to know: an `event`, the same in words, its facts."""

    event: str
    text: str
    facts: Mapping[str, object] = field(default_factory=dict)


Observe = Callable[[News], None]
Connect = Callable[[], grpc.Channel]


class Lost(Exception):
    """The connection is of no more use; the message says why."""


@dataclass(kw_only=True)
class Agent:
    """One client's end of the wire. `answers` does what is asked, once `agreement` allows it.

    Between two attempts to connect it waits `shortest` seconds at first, and `longest` at most.

    Guarantees:
      - An update that was finished is handed in after any loss of connection and any restart; it is
        not computed twice.
      - Of an error in the client's code the coordinator learns the kind and the places in the code,
        and not the message, which may quote rows.
      - It returns only when the run is complete.

    Raises `Refused` when the coordinator refuses it for good, `Disagreement` when the study there is
    another than here, and `CertificateError` when the keys here were never good for that coordinator.
    """

    connect: Connect
    answers: Answers
    agreement: Agreement
    fingerprint: str
    version: str
    outbox: Outbox
    cache: Cache
    observe: Observe = field(default=lambda news: None, repr=False)
    coins: random.Random = field(default_factory=random.SystemRandom, repr=False)
    shortest: float = 0.5
    longest: float = 60.0
    _patience: float = field(default=0.0, init=False)
    _run: str = field(default="", init=False)
    _process: bytes = field(
        default_factory=partial(secrets.token_bytes, 16), init=False, repr=False
    )
    _finished: tuple[pb.Answer, bytes] | None = field(default=None, init=False, repr=False)

    def run(self) -> str:
        """Attends until the run is complete; what the coordinator says of its end."""
        self._patience = self.shortest
        while True:
            try:
                with self.connect() as channel:
                    return self._attend(rpc.FederationStub(channel))
            except (grpc.RpcError, Lost, OSError, CodecError) as error:
                self._be_patient(error)

    def _attend(self, stub: rpc.FederationStub) -> str:
        """Carries out orders until the run is complete."""
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
            if _may_pass(error):
                raise Lost(f"this site cannot write: {error}") from error
            log.exception("the client's own code failed")
            kind = type(error).__name__
            self._tell("failed", f"this site's own code failed: {kind}", error=kind)
            where = "".join(traceback.format_list(traceback.extract_tb(error.__traceback__)))
            failed = pb.Failed(
                error=f"{type(error).__name__} (see the client's log)", traceback=where
            )
            return pb.Answer(failed=failed), b""
        blob, contribution = blob_of(update.contribution)
        return pb.Answer(update=write_update(update, blob)), contribution

    def _fetch(self, stub: rpc.FederationStub, blob: pb.Blob) -> Arrays:
        if (held := self.cache.held(blob)) < blob.size:
            chunks = stub.Fetch(pb.Wanted(sha256=blob.sha256, offset=held))
            self.cache.add(blob, (chunk.data for chunk in chunks))
        return self.cache.read(blob)

    def _be_patient(self, error: Exception) -> None:
        """Waits a random while, the longer the more often in a row; or raises what is for good."""
        reason = shown(str(error))
        if isinstance(error, grpc.RpcError):
            reason = shown(reason_of(error))
            if error.code() in FOR_GOOD:
                raise Refused(f"The coordinator refuses this client: {reason}.") from None
            if not self._run and is_mistake(error):  # later it is the coordinator's, and may pass
                raise CertificateError(f"The coordinator was not believed: {reason}.") from None
        wait = self.coins.uniform(self._patience / 2, self._patience)
        self._patience = min(2 * self._patience, self.longest)
        text = f"not connected: {reason}; the next attempt is in {wait:.1f} s"
        with suppress(OSError):  # its log is on a disk that is full
            self._tell("lost", text, reason=reason, seconds=float(f"{wait:.1f}"))
        time.sleep(wait)

    def _tell(self, event: str, text: str, **facts: object) -> None:
        self.observe(News(event=event, text=text, facts=facts))


def _may_pass(error: BaseException | None) -> bool:
    """Whether the disk was full: that is no failure of the client's code, and may be over soon."""
    if isinstance(error, StoreError):
        return isinstance(error.__cause__, OperationalError) or _may_pass(error.__cause__)
    return isinstance(error, OSError) and error.errno in NO_ROOM


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
