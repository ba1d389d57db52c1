"""Clients that keep nothing and compute nothing, which leaves the machine to the server."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from multiprocessing.connection import Connection
from pathlib import Path

import grpc
from tacit.wire import federation_pb2 as pb
from tacit.wire import federation_pb2_grpc as rpc
from tacit.wire.arrays import encode
from tacit.wire.dial import OPTIONS
from tacit.wire.identity import Role, uri_of
from tacit.wire.keys import Keys
from tacit.wire.protocol import PROTOCOL, chunks, digest

from loopback.plan import FINGERPRINT, model

AT_ONCE = 50
"""Clients of one process that connect at the same time."""


def attend_thinly(
    pipe: Connection,
    names: Sequence[str],
    certs: Path | None,
    port: int,
    size: int,
    sharing: int = 1,
) -> None:
    """Clients that keep nothing, on one event loop; `sharing` of them come over each connection."""
    asyncio.run(_attend_thinly(pipe, names, certs, f"localhost:{port}", size, sharing))


async def _attend_thinly(
    pipe: Connection,
    names: Sequence[str],
    certs: Path | None,
    address: str,
    size: int,
    sharing: int,
) -> None:
    data, free = encode(model(size)), asyncio.Semaphore(AT_ONCE)
    thin, channel = [], None
    for number, name in enumerate(names):
        if number % sharing == 0 or channel is None:
            channel = _channel(name, certs, address)
        thin.append(Thin(name, rpc.FederationStub(channel), data))
    await asyncio.gather(*(one.join(free) for one in thin))
    pipe.send("here")
    await asyncio.gather(*(one.work() for one in thin))


def _channel(name: str, certs: Path | None, address: str) -> grpc.aio.Channel:
    if certs is None:
        claim = ("grpc.primary_user_agent", uri_of(Role.CLIENT, name))
        return grpc.aio.insecure_channel(address, [*OPTIONS, claim])
    return grpc.aio.secure_channel(address, Keys(certs / name).channel_credentials(), OPTIONS)


class Thin:
    """A client that fetches and discards, and answers with bytes that it has already."""

    def __init__(self, name: str, stub: rpc.FederationStub, data: bytes) -> None:
        self.metadata = (("client", name),)
        self.stub = stub
        self.data = data

    async def join(self, free: asyncio.Semaphore) -> None:
        """Returns once it is welcome."""
        request = pb.Attendance(protocol=PROTOCOL, study=FINGERPRINT)
        async with free:
            self.orders = self.stub.Attend(request, metadata=self.metadata)
            await self.orders.read()

    async def work(self) -> None:
        """Carries out orders until there are none."""
        try:
            while isinstance(order := await self.orders.read(), pb.Order):
                if order.instruction:
                    await self._answer(order.instruction)
        except grpc.aio.AioRpcError:
            return  # the server went

    async def _answer(self, order: bytes) -> None:
        wanted = pb.Instruction.FromString(order).parameters.sha256
        async for _ in self.stub.Fetch(pb.Wanted(sha256=wanted), metadata=self.metadata):
            pass
        held, status = asyncio.Event(), pb.STATUS_UNSPECIFIED
        async for verdict in self.stub.Submit(self._pieces(order, held), metadata=self.metadata):
            held.set()
            status = verdict.status
        if status != pb.STATUS_ACCEPTED:
            raise SystemExit(f"not accepted, but {status}")

    async def _pieces(self, order: bytes, held: asyncio.Event) -> AsyncIterator[pb.Piece]:
        round = pb.Instruction.FromString(order).round
        blob = pb.Blob(sha256=digest(self.data), size=len(self.data))
        update = pb.Update(round=round, examples=1, contribution=blob)
        yield pb.Piece(answer=pb.Answer(instruction=digest(order), update=update))
        await held.wait()
        for data in chunks(self.data):
            yield pb.Piece(data=data)
