"""The gRPC server: one port for clients and operators, in a thread beside the coordinator's."""

from __future__ import annotations

import asyncio
import os
import socket
import threading
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import cache
from typing import ClassVar, Final, NoReturn, Protocol

import grpc
from grpc_health.v1 import health_pb2, health_pb2_grpc
from grpc_reflection.v1alpha import reflection_pb2, reflection_pb2_grpc

from ..wire import federation_pb2 as pb
from ..wire import federation_pb2_grpc as rpc
from ..wire.errors import Unreachable
from ..wire.protocol import MESSAGE
from .control import Control
from .door import Door
from .malformed import Forgiving
from .standard import Health, Reflection

GRACE: Final = 5.0
"""Seconds that open calls have to end in once the run is over."""

OPTIONS: Final = [
    ("grpc.max_receive_message_length", MESSAGE),
    ("grpc.max_metadata_size", 8192),
    ("grpc.max_concurrent_streams", 16),
    # Whoever is silent loses its connection: in the handshake, between calls, and at the latest when it
    # is old. Honest clients dial again, and go on where they were.
    ("grpc.server_handshake_timeout_ms", 10_000),
    ("grpc.max_connection_idle_ms", 300_000),
    ("grpc.max_connection_age_ms", 3_600_000),
    ("grpc.max_connection_age_grace_ms", 600_000),
    ("grpc.so_reuseport", 0),
    ("grpc.enable_channelz", 0),
    ("grpc.max_channel_trace_event_memory_per_node", 0),
    # A client that trains for hours says nothing: pings tell it from one that is gone.
    ("grpc.keepalive_time_ms", 60_000),
    ("grpc.keepalive_timeout_ms", 20_000),
    ("grpc.http2.ping_timeout_ms", 20_000),  # what counts: gRPC 1.8x never acts on the one above
    ("grpc.keepalive_permit_without_calls", 1),
    ("grpc.http2.min_ping_interval_without_data_ms", 5_000),
    ("grpc.http2.max_ping_strikes", 0),
]
STANDARD: Final = [
    health_pb2.DESCRIPTOR.services_by_name["Health"].full_name,
    reflection_pb2.DESCRIPTOR.services_by_name["ServerReflection"].full_name,
]


class Service(Protocol):
    """What clients call: `name` says which service of the protocol it is."""

    name: ClassVar[str]
    door: Door

    def join(self, server: grpc.aio.Server) -> None:
        """Adds it to what `server` offers."""
        ...

    async def watch(self) -> NoReturn:
        """Ends the calls of those who may not stay, for as long as it runs."""
        ...

    def tell_over(self) -> None:
        """Tells every client that is here that there is nothing more to do."""
        ...


@dataclass(frozen=True, kw_only=True)
class Port:
    """Where the server listens, HOST:PORT, and what it offers there.

    Without `credentials` nothing is encrypted and nobody is known: the host must then be loopback.
    Without `control` no operator is listened to.
    """

    address: str
    credentials: grpc.ServerCredentials | None
    service: Service
    control: Control | None = None

    def names(self) -> Sequence[str]:
        """Of all services that are there."""
        ours = [self.service.name] + ["Control"] * (self.control is not None)
        return [*(pb.DESCRIPTOR.services_by_name[one].full_name for one in ours), *STANDARD]


@cache
def event_loop() -> asyncio.AbstractEventLoop:
    """The event loop of all servers of this process, which runs in a thread of its own.

    There is one, and it never ends: gRPC loses events once a loop that it knew is closed (1.85).
    """
    loop = asyncio.new_event_loop()
    threading.Thread(target=loop.run_forever, name="grpc", daemon=True).start()
    return loop


@contextmanager
def serving(loop: asyncio.AbstractEventLoop, port: Port) -> Iterator[int]:
    """Serves `port` on `loop`; the number it has, which is a free one if 0 was asked for.

    Raises `Unreachable` if the address cannot be listened on.
    """
    server, number = asyncio.run_coroutine_threadsafe(_start(port), loop).result()
    watch = asyncio.run_coroutine_threadsafe(port.service.watch(), loop)
    try:
        yield number
    finally:
        watch.cancel()
        asyncio.run_coroutine_threadsafe(_stop(server, port.service), loop).result()


async def _start(port: Port) -> tuple[grpc.aio.Server, int]:
    most = ("grpc.max_allowed_incoming_connections", _open_files() // 2)  # the run needs some too
    server = grpc.aio.server(interceptors=[Forgiving()], options=[*OPTIONS, most])
    port.service.join(server)
    if port.control is not None:
        rpc.add_ControlServicer_to_server(port.control, server)
    door, names = port.service.door, port.names()
    health_pb2_grpc.add_HealthServicer_to_server(await _health(door, names), server)
    reflection_pb2_grpc.add_ServerReflectionServicer_to_server(Reflection(door, names), server)
    _expect_free(port.address)
    try:
        if port.credentials is None:
            number = server.add_insecure_port(port.address)
        else:
            number = server.add_secure_port(port.address, port.credentials)
    except RuntimeError as error:
        raise Unreachable(
            f"{port.address} cannot be listened on: it is in use, or no address of this machine."
        ) from error
    await server.start()
    return server, number


def _expect_free(address: str) -> None:
    """Raises `Unreachable` if `address` is taken, before gRPC does with lines for its developers."""
    host, _, number = address.rpartition(":")
    family = socket.AF_INET6 if host.startswith("[") else socket.AF_INET
    try:
        socket.create_server((host.strip("[]"), int(number)), family=family).close()
    except OSError as error:
        reason = str(error.strerror).partition(" (")[0]  # what was attempted has been said
        raise Unreachable(f"{address} cannot be listened on: {reason}.") from error


def _open_files() -> int:
    """How many this process may have open at once."""
    if os.name != "posix":
        return 2048
    import resource

    return resource.getrlimit(resource.RLIMIT_NOFILE)[0]


async def _health(door: Door, names: Sequence[str]) -> Health:
    servicer = Health(door)
    for name in names:
        await servicer.set(name, health_pb2.HealthCheckResponse.SERVING)
    return servicer


async def _stop(server: grpc.aio.Server, service: Service) -> None:
    service.tell_over()
    await server.stop(GRACE)
