"""The Federation service: what clients call, each call a few lines."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import grpc

from ..wire import federation_pb2 as pb
from ..wire import federation_pb2_grpc as rpc
from ..wire.errors import CodecError
from ..wire.identity import Identity, Role
from ..wire.protocol import PROTOCOL
from .door import Context, Door, refuse
from .exchange import folding_of
from .journal import Journal
from .remote import Remote
from .seats import Seat, Unseated
from .upload import Upload

IDLE = 60.0
"""Seconds within which the next piece of an upload must come."""
MOST_CALLS = 8
"""Fetches and submissions that one client may have open at once."""


@dataclass(eq=False)
class Federation(rpc.FederationServicer):
    """Seats clients, hands out blobs, takes answers in.

    `run` is the name of the run, `study` what clients must agree to and `fingerprint` its digest.
    """

    remote: Remote
    door: Door
    journal: Journal
    run: str
    study: str
    fingerprint: str
    _calls: Counter[str] = field(default_factory=Counter)

    async def Attend(self, request: pb.Attendance, context: Context) -> AsyncIterator[pb.Order]:  # noqa: N802
        """See the protocol."""
        identity = await self.door.admit(context, Role.CLIENT)
        welcome = pb.Welcome(protocol=PROTOCOL, run=self.run, study=self.study)
        yield pb.Order(welcome=welcome)
        if reason := self._disagreement(request):
            await refuse(
                context, self.journal, identity.name, grpc.StatusCode.FAILED_PRECONDITION, reason
            )
        seat = await self.remote.seats.take(identity.name, self.remote.order_for(identity.name))
        self.journal.note(
            "joined", identity.name, version=request.version[:80], peer=context.peer()
        )
        self.journal.metrics.connected.inc()
        try:
            while True:
                order = await self._order(seat, identity, context)
                yield order
                if order.WhichOneof("order") == "over":
                    self.remote.told.add(identity.name)
                    return
        finally:
            self.remote.seats.leave(seat)
            self.journal.metrics.connected.dec()
            self.journal.note("left", identity.name)

    async def _order(self, seat: Seat, identity: Identity, context: Context) -> pb.Order:
        try:
            return await seat.order()
        except Unseated as error:
            await refuse(
                context, self.journal, identity.name, grpc.StatusCode.ALREADY_EXISTS, str(error)
            )

    def _disagreement(self, request: pb.Attendance) -> str | None:
        if request.protocol != PROTOCOL:
            return f"protocol {request.protocol}; this coordinator speaks {PROTOCOL}"
        if request.study != self.fingerprint:
            return "this client agreed to another study"
        return None

    async def Fetch(self, request: pb.Wanted, context: Context) -> AsyncIterator[pb.Chunk]:  # noqa: N802
        """See the protocol."""
        client = (await self.door.admit(context, Role.CLIENT)).name
        async with self._turn(client, context):
            if request.sha256 not in self.remote.blobs:
                await context.abort(grpc.StatusCode.NOT_FOUND, "no such blob: its round is over")
            blob = request.sha256.hex()
            self.journal.note("fetched", client, blob=blob, offset=request.offset)
            for data in self.remote.blobs.read(request.sha256, request.offset):
                yield pb.Chunk(data=data)
                self.journal.metrics.sent.inc(len(data))

    async def Submit(  # noqa: N802
        self, pieces: AsyncIterator[pb.Piece], context: Context
    ) -> AsyncIterator[pb.Verdict]:
        """See the protocol."""
        client = (await self.door.admit(context, Role.CLIENT)).name
        async with self._turn(client, context):
            answer = await self._answer(pieces, context)
            exchange = self.remote.exchange
            if exchange is None or exchange.id != answer.instruction:
                verdict = pb.Verdict(status=pb.STATUS_LATE, reason="late: its round is closed")
            elif exchange.waits_for(client):
                upload = None
                try:
                    if answer.update.contribution.size:
                        upload = exchange.upload(client, answer.update.contribution)
                        turn = upload.take_turn()
                        yield pb.Verdict(status=pb.STATUS_HELD, held=upload.held)
                        await self._receive(upload, turn, pieces, context)
                except CodecError as error:
                    answer = pb.Answer(declined=f"malformed: {error}")
                except OSError as error:
                    yield pb.Verdict(status=pb.STATUS_RETRY, reason=f"{error.strerror}")
                    return
                verdict = await exchange.settle(
                    client, folding_of(client, answer, upload, exchange)
                )
            else:
                verdict = exchange.verdict(client)
            self._note(client, verdict, answer)
            yield verdict

    async def _answer(self, pieces: AsyncIterator[pb.Piece], context: Context) -> pb.Answer:
        piece = await self._next(pieces, context)
        if piece is None or piece.WhichOneof("piece") != "answer":
            await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "the first piece is no answer")
        return piece.answer

    async def _receive(
        self, upload: Upload, turn: object, pieces: AsyncIterator[pb.Piece], context: Context
    ) -> None:
        while upload.has_turn(turn) and not upload.is_complete:
            piece = await self._next(pieces, context)
            if piece is None or not piece.data:
                await context.abort(grpc.StatusCode.INVALID_ARGUMENT, "the upload breaks off")
            if upload.has_turn(turn):
                upload.add(piece.data)
                self.journal.metrics.received.inc(len(piece.data))
        if not upload.has_turn(turn):
            reason = "another call goes on with this upload, or its round is closed"
            await context.abort(grpc.StatusCode.ABORTED, reason)

    async def _next(self, pieces: AsyncIterator[pb.Piece], context: Context) -> pb.Piece | None:
        """The next piece; None at the end. The call is aborted if none comes."""
        try:
            return await asyncio.wait_for(anext(pieces), IDLE)
        except StopAsyncIteration:
            return None
        except TimeoutError:
            await context.abort(grpc.StatusCode.DEADLINE_EXCEEDED, f"nothing came for {IDLE:.0f} s")

    @asynccontextmanager
    async def _turn(self, client: str, context: Context) -> AsyncIterator[None]:
        """One of the few calls that a client may make at once."""
        if self._calls[client] >= MOST_CALLS:
            reason = f"more than {MOST_CALLS} calls at once"
            await refuse(context, self.journal, client, grpc.StatusCode.RESOURCE_EXHAUSTED, reason)
        self._calls[client] += 1
        try:
            yield
        finally:
            self._calls[client] -= 1
            self._calls += Counter()  # forgets those at zero

    def _note(self, client: str, verdict: pb.Verdict, answer: pb.Answer) -> None:
        event = {pb.STATUS_ACCEPTED: "submitted", pb.STATUS_LATE: "late"}
        self.journal.note(
            event.get(verdict.status, "refused"),
            client,
            round=answer.update.round,
            bytes=answer.update.contribution.size,
            reason=verdict.reason,
        )
