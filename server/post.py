"""The Post service: carries letters to clients and their answers back, without a look into them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import ClassVar, Final, NoReturn

import grpc

from ..wire import federation_pb2 as pb
from ..wire import federation_pb2_grpc as rpc
from ..wire.errors import CodecError
from ..wire.identity import Identity, Role
from ..wire.parcels import Assembly, Letter, parcels
from ..wire.protocol import PROTOCOL
from .door import Context, Door
from .journal import Journal
from .mail import Mail
from .reception import Reception
from .seats import Seat

SOON: Final = 20.0
"""Seconds within which a client has said who it is."""
MALFORMED: Final = grpc.StatusCode.INVALID_ARGUMENT
FOR_GOOD: Final = grpc.StatusCode.FAILED_PRECONDITION


@dataclass(eq=False)
class Post(rpc.PostServicer):
    """Carries the letters of `mail`.

    `run` is the name of the run, `fingerprint` that of the app which clients must have a copy of, and
    `place_of` says, as JSON, what a client is to know of its place in the run.
    """

    name: ClassVar[str] = "Post"

    mail: Mail
    door: Door
    journal: Journal
    run: str
    fingerprint: str
    place_of: Callable[[str], str]

    def __post_init__(self) -> None:
        self._reception = Reception(self.door, self.journal, self.mail.seats)

    def join(self, server: grpc.aio.Server) -> None:
        """See `Service`."""
        rpc.add_PostServicer_to_server(self, server)

    async def watch(self) -> NoReturn:
        """See `Service`."""
        await self._reception.watch()

    def tell_over(self) -> None:
        """See `Service`."""
        self.mail.tell_over()

    async def Carry(  # noqa: N802
        self, arriving: AsyncIterator[pb.Parcel], context: Context
    ) -> AsyncIterator[pb.Parcel]:
        """See the protocol."""
        identity = await self.door.admit(context, Role.CLIENT)
        desk = self._reception
        async with desk.turn(identity.name, context):
            attendance = await self._attendance(identity, arriving, context)
            yield pb.Parcel(welcome=self._welcome(identity.name))
            async with desk.seated(identity, attendance, self.mail.order_for, context) as seat:
                answers = asyncio.ensure_future(self._take_in(seat, arriving))
                try:
                    while isinstance(order := await desk.order(seat, context), Letter):
                        for parcel in parcels(order):
                            yield parcel
                            self.journal.metrics.sent.inc(len(parcel.data))
                    yield pb.Parcel(over=order)
                    self.mail.told.add(identity.name)
                finally:
                    answers.cancel()

    async def _attendance(
        self, identity: Identity, arriving: AsyncIterator[pb.Parcel], context: Context
    ) -> pb.Attendance:
        """What `identity` says first; the call is aborted unless it can take part."""
        first = pb.Parcel()
        with suppress(TimeoutError, StopAsyncIteration):
            first = await asyncio.wait_for(anext(arriving), SOON)
        if first.WhichOneof("parcel") != "attendance":
            reason = "an Attendance was expected first"
            await self._reception.refuse(context, identity.name, MALFORMED, reason)
        if reason := self._disagreement(first.attendance):
            await self._reception.refuse(context, identity.name, FOR_GOOD, reason)
        return first.attendance

    def _disagreement(self, attendance: pb.Attendance) -> str:
        if attendance.protocol != PROTOCOL:
            return f"protocol {attendance.protocol}; this coordinator speaks {PROTOCOL}"
        if attendance.study != self.fingerprint:
            return (
                f"its copy of the app is another one ({attendance.study[:12]!r}, and here "
                f"{self.fingerprint[:12]!r}): bring the files of both in line"
            )
        return ""

    def _welcome(self, client: str) -> pb.Welcome:
        return pb.Welcome(protocol=PROTOCOL, run=self.run, study=self.place_of(client))

    async def _take_in(
        self, seat: Seat[Letter | pb.Over], arriving: AsyncIterator[pb.Parcel]
    ) -> None:
        """Takes answers in as they come; whoever sends anything else loses its seat."""
        client = seat.identity.name
        assembly = Assembly(lambda name: self.mail.waits_for(client, name))
        end = grpc.StatusCode.CANCELLED, "this client hung up"
        try:
            async for parcel in arriving:
                self.journal.metrics.received.inc(len(parcel.data))
                if (answer := assembly.add(parcel)) is not None:
                    await self._count(seat.identity, answer)
        except CodecError as error:
            end = MALFORMED, str(error)
        finally:
            seat.take_away(*end)

    async def _count(self, identity: Identity, answer: Letter) -> None:
        """Takes `answer` in, unless `identity` may not stay any more, which `watch` tells it."""
        if self.door.objection(identity):
            return
        counts = await self.mail.take_in(identity.name, answer)
        event = "answered" if counts else "late"
        self.journal.note(event, identity.name, letter=answer.name, bytes=len(answer.data))
