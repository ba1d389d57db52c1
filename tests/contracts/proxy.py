"""A proxy between clients and a coordinator that does to their bytes what networks do."""

from __future__ import annotations

import asyncio
import random
import socket
import struct
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field

BLOCK = 1 << 14
PACE = 0.002
"""Seconds that a block takes: transfers last long enough to be hit."""
Mangle = Callable[[bytes, "Link"], bytes]


def corrupt(data: bytes, link: Link) -> bytes:
    """One bit is another."""
    where = random.Random(len(data)).randrange(len(data))
    return data[:where] + bytes([data[where] ^ 1]) + data[where + 1 :]


def duplicate(data: bytes, link: Link) -> bytes:
    return data + data


def drop(data: bytes, link: Link) -> bytes:
    return b""


def reorder(data: bytes, link: Link) -> bytes:
    """The block comes after the next one."""
    link.held = data
    return b""


@dataclass(eq=False)
class Link:
    """One connection: a side towards the client, and one towards the coordinator."""

    sides: tuple[asyncio.StreamWriter, asyncio.StreamWriter]
    silent: bool = False
    held: bytes = b""

    def reset(self, *which: int) -> None:
        """Ends these sides with a RST; the others never hear of it."""
        self.silent = len(which) == 1
        for side in which:
            transport = self.sides[side].transport
            own = transport.get_extra_info("socket")
            with suppress(OSError):
                own.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
            transport.abort()


@dataclass(eq=False)
class Proxy:
    """Forwards connections to `port` of this machine, while nothing else is asked of it.

    What is in `armed` happens to the next block, whoever's it is. While `lit` is not set nothing
    passes; while it is `refusing`, nobody is let in.
    """

    port: int
    links: set[Link] = field(default_factory=set)
    armed: list[Mangle] = field(default_factory=list)
    lit: asyncio.Event = field(default_factory=asyncio.Event)
    refusing: bool = False
    pace: float = PACE

    @asynccontextmanager
    async def listening(self) -> AsyncIterator[int]:
        """Listens until it is left; the port."""
        self.lit.set()
        server = await asyncio.start_server(self._connected, "127.0.0.1", 0, limit=BLOCK)
        try:
            yield server.sockets[0].getsockname()[1]
        finally:
            server.close()
            for link in list(self.links):
                link.reset(0, 1)

    async def _connected(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            if self.refusing:
                raise ConnectionRefusedError
            there, upstream = await asyncio.open_connection("127.0.0.1", self.port, limit=BLOCK)
        except OSError:
            writer.transport.abort()
            return
        link = Link((writer, upstream))
        self.links.add(link)
        ways = [(reader, upstream), (there, writer)]
        both = {asyncio.ensure_future(self._forward(link, *way)) for way in ways}
        await asyncio.wait(both, return_when=asyncio.FIRST_COMPLETED)
        if link.silent:
            await asyncio.wait(both)
        self.links.discard(link)
        for side in link.sides:
            side.close()

    async def _forward(
        self, link: Link, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        with suppress(OSError):
            while data := await reader.read(BLOCK):
                await asyncio.sleep(self.pace)
                await self.lit.wait()
                if link.silent:
                    continue  # its other side is gone
                writer.write(self._mangled(data, link))
                await writer.drain()

    def _mangled(self, data: bytes, link: Link) -> bytes:
        if link.held:
            data, link.held = data + link.held, b""
        return self.armed.pop(0)(data, link) if self.armed else data


def free_port() -> int:
    """One that no outgoing connection takes while nobody listens there."""
    for port in random.sample(range(20_000, 32_000), 100):
        with socket.socket() as trial, suppress(OSError):
            trial.bind(("127.0.0.1", port))
            return port
    raise OSError("no port is free")
