"""The same protocol with nothing behind it: what gRPC costs by itself."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from multiprocessing.connection import Connection
from pathlib import Path

import grpc
from tacit.server.door import Context
from tacit.server.serving import OPTIONS
from tacit.wire import federation_pb2 as pb
from tacit.wire import federation_pb2_grpc as rpc
from tacit.wire.arrays import encode
from tacit.wire.keys import Keys
from tacit.wire.protocol import PROTOCOL, chunks, digest

from loopback.plan import Took, model
from loopback.server import share_connections


class Bare(rpc.FederationServicer):
    """Sends the same bytes to everyone, and discards what comes."""

    def __init__(self, data: bytes) -> None:
        self.data = data
        self.waiting: list[asyncio.Future[pb.Order]] = []
        self.left = 0
        self.done = asyncio.Event()

    async def Attend(self, request: pb.Attendance, context: Context) -> AsyncIterator[pb.Order]:  # noqa: N802
        """Orders come when all are asked."""
        yield pb.Order(welcome=pb.Welcome(protocol=PROTOCOL))
        while True:
            self.waiting.append(future := asyncio.get_running_loop().create_future())
            yield await future

    async def Fetch(self, request: pb.Wanted, context: Context) -> AsyncIterator[pb.Chunk]:  # noqa: N802
        """The bytes."""
        for data in chunks(self.data):
            yield pb.Chunk(data=data)

    async def Submit(  # noqa: N802
        self, pieces: AsyncIterator[pb.Piece], context: Context
    ) -> AsyncIterator[pb.Verdict]:
        """Counts them."""
        left = (await anext(pieces)).answer.update.contribution.size
        yield pb.Verdict(status=pb.STATUS_HELD)
        while left > 0:
            left -= len((await anext(pieces)).data)
        yield pb.Verdict(status=pb.STATUS_ACCEPTED)
        self.left -= 1
        if not self.left:
            self.done.set()

    async def ask_all(self) -> float:
        """The seconds until everyone has answered."""
        began = time.perf_counter()
        self.done.clear()
        asked, self.waiting = self.waiting, []
        self.left = len(asked)
        blob = pb.Blob(sha256=digest(self.data), size=len(self.data))
        order = pb.Order(instruction=pb.Instruction(round=1, parameters=blob).SerializeToString())
        for future in asked:
            future.set_result(order)
        await self.done.wait()
        return time.perf_counter() - began


def host_bare(pipe: Connection, certs: Path | None, size: int, shared: bool = False) -> None:
    """Says the port; asks everyone as often as it is told to, and says what it took."""
    if shared:
        share_connections()
    asyncio.run(_serve(pipe, certs, size))


async def _serve(pipe: Connection, certs: Path | None, size: int) -> None:
    server, bare = grpc.aio.server(options=OPTIONS), Bare(encode(model(size)))
    rpc.add_FederationServicer_to_server(bare, server)
    if certs is None:
        number = server.add_insecure_port("127.0.0.1:0")
    else:
        credentials = Keys(certs / "coordinator").server_credentials()
        number = server.add_secure_port("127.0.0.1:0", credentials)
    await server.start()
    pipe.send(number)
    while True:
        await asyncio.to_thread(pipe.recv)
        seconds = await bare.ask_all()
        pipe.send(Took(periods=[seconds], rounds=[seconds], evaluations=[]))
