"""The Federation service: what clients call, each call a few lines."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import NoReturn

import grpc

from ..wire import federation_pb2 as pb
from ..wire import federation_pb2_grpc as rpc
from ..wire.foreign import shown
from ..wire.identity import Identity, Role
from ..wire.protocol import PROTOCOL
from .door import Context, Door, refuse
from .journal import Journal
from .remote import Remote
from .seats import Seat, Unseated
from .submission import Submission

LOOK = 2.0
"""Seconds between two looks at who may stay: so long a stream outlives a revocation."""
MOST_CALLS = 8
"""Calls that one client may have open at once."""


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
        async with self._turn(identity.name, context):
            yield self._welcome
            if reason := self._disagreement(request):
                await self._refuse(
                    context, identity.name, grpc.StatusCode.FAILED_PRECONDITION, reason
                )
            seat = await self._seat(identity, request.process, context)
            try:
                self._note_arrival(identity, request, context)
                while (order := await self._order(seat, context)).WhichOneof("order") != "over":
                    yield order
                yield order
                self.remote.told.add(identity.name)
            finally:
                self.remote.seats.leave(seat)
                self.journal.metrics.connected.set(len(self.remote.seats.taken))
                self.journal.note("left", identity.name)

    async def _seat(self, identity: Identity, process: bytes, context: Context) -> Seat:
        try:
            return await self.remote.seats.take(identity, process, self.remote.order_for)
        except Unseated as error:
            await self._refuse(context, identity.name, error.code, str(error))

    async def _order(self, seat: Seat, context: Context) -> pb.Order:
        try:
            return await seat.order()
        except Unseated as error:
            await self._refuse(context, seat.identity.name, error.code, str(error))

    def _note_arrival(self, identity: Identity, request: pb.Attendance, context: Context) -> None:
        self.journal.metrics.connected.set(len(self.remote.seats.taken))
        version = shown(request.version, 80)
        self.journal.note("joined", identity.name, version=version, peer=context.peer())

    async def watch(self) -> NoReturn:
        """Takes the seats of those who may not stay: a handshake happens once, a stream may last."""
        while True:
            for seat in list(self.remote.seats.taken.values()):
                if found := self.door.objection(seat.identity):
                    seat.take_away(*found)
                await asyncio.sleep(0)  # thousands are looked at in between others' calls
            await asyncio.sleep(LOOK)

    @cached_property
    def _welcome(self) -> pb.Order:
        """One for all: a stream holds on to what it sent last."""
        return pb.Order(welcome=pb.Welcome(protocol=PROTOCOL, run=self.run, study=self.study))

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
        identity = await self.door.admit(context, Role.CLIENT)
        async with self._turn(identity.name, context):
            submission = Submission(
                identity=identity,
                pieces=pieces,
                context=context,
                remote=self.remote,
                door=self.door,
                journal=self.journal,
            )
            async for verdict in submission.verdicts():
                yield verdict

    @asynccontextmanager
    async def _turn(self, client: str, context: Context) -> AsyncIterator[None]:
        """One of the few calls that a client may make at once."""
        if self._calls[client] >= MOST_CALLS:
            reason = f"more than {MOST_CALLS} calls at once"
            await self._refuse(context, client, grpc.StatusCode.RESOURCE_EXHAUSTED, reason)
        self._calls[client] += 1
        try:
            yield
        finally:
            self._calls[client] -= 1
            if not self._calls[client]:
                del self._calls[client]

    async def _refuse(
        self, context: Context, client: str, code: grpc.StatusCode, reason: str
    ) -> NoReturn:
        await refuse(context, self.journal, client, code, reason)
