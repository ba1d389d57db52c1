"""The Federation service: what clients call, each call a few lines."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass
from functools import cached_property
from typing import ClassVar, NoReturn

import grpc

from ..wire import federation_pb2 as pb
from ..wire import federation_pb2_grpc as rpc
from ..wire.identity import Role
from ..wire.protocol import PROTOCOL
from .door import Context, Door
from .journal import Journal
from .reception import Reception
from .remote import Remote
from .submission import Submission


@dataclass(eq=False)
class Federation(rpc.FederationServicer):
    """Seats clients, hands out blobs, takes answers in.

    `run` is the name of the run, `study` what clients must agree to and `fingerprint` its digest.
    """

    name: ClassVar[str] = "Federation"

    remote: Remote
    door: Door
    journal: Journal
    run: str
    study: str
    fingerprint: str

    def __post_init__(self) -> None:
        self._reception = Reception(self.door, self.journal, self.remote.seats)

    def join(self, server: grpc.aio.Server) -> None:
        """See `Service`."""
        rpc.add_FederationServicer_to_server(self, server)

    async def watch(self) -> NoReturn:
        """See `Service`."""
        await self._reception.watch()

    def tell_over(self) -> None:
        """See `Service`."""
        self.remote.tell_over()

    async def Attend(self, request: pb.Attendance, context: Context) -> AsyncIterator[pb.Order]:  # noqa: N802
        """See the protocol."""
        identity = await self.door.admit(context, Role.CLIENT)
        desk, for_good = self._reception, grpc.StatusCode.FAILED_PRECONDITION
        async with desk.turn(identity.name, context):
            yield self._welcome
            if reason := self._disagreement(request):
                await desk.refuse(context, identity.name, for_good, reason)
            async with desk.seated(identity, request, self.remote.order_for, context) as seat:
                while (order := await desk.order(seat, context)).WhichOneof("order") != "over":
                    yield order
                yield order
                self.remote.told.add(identity.name)

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
        async with self._reception.turn(client, context):
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
        async with self._reception.turn(identity.name, context):
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
