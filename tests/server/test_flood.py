"""A flood of uploads from many certified clients: the server's memory stays bounded."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import grpc
from contracts.certificates import dialling, make_authority
from contracts.flooded import Flooded, flooded
from contracts.siege import good
from tacit.deployment import Authority
from tacit.wire import federation_pb2 as pb
from tacit.wire import federation_pb2_grpc as rpc
from tacit.wire.protocol import digest

FLOOD = [f"flood{i:02}" for i in range(3)]
CALLS = 6
"""That each makes at once: more than it may."""
MOST = 256 << 20
"""Bytes by which memory may grow, some of it for each connection; twice as many are sent."""
PIECE = bytes(1 << 20)


def test_a_flood_of_uploads_does_not_grow_the_servers_memory(tmp_path: Path) -> None:
    authority = make_authority(tmp_path / "certs", "ann", *FLOOD)
    with flooded(tmp_path / "net", authority.folder, ["ann", *FLOOD]) as server:
        ann = dial(server, authority, "ann")
        order, before, free = order_of(ann), server.peak(), threading.Event()
        sent: list[int] = []
        with ThreadPoolExecutor(len(FLOOD) * CALLS) as pool:
            for name in FLOOD * CALLS:
                pool.submit(flood, dial(server, authority, name), order, sent, free)
            try:
                until = time.monotonic() + 40
                while sum(sent) < 2 * MOST and time.monotonic() < until:
                    time.sleep(0.1)
                assert honest(ann, order)
            finally:
                free.set()
        assert sum(sent) >= 2 * MOST
        assert server.peak() - before < MOST
        assert server.outcome() == ["ann"]


def dial(server: Flooded, authority: Authority, name: str) -> rpc.FederationStub:
    options = [("grpc.use_local_subchannel_pool", 1)]
    credentials = dialling(authority.folder / name)
    return rpc.FederationStub(grpc.secure_channel(f"127.0.0.1:{server.port}", credentials, options))


def order_of(stub: rpc.FederationStub) -> bytes:
    orders = stub.Attend(pb.Attendance(protocol=1, study="f"))
    next(orders)
    order: bytes = next(orders).instruction
    orders.cancel()
    return order


def flood(stub: rpc.FederationStub, order: bytes, sent: list[int], free: threading.Event) -> None:
    """One call after another, none of which sends all that it announced, until it is free."""
    while not free.is_set():
        try:
            for _ in stub.Submit(pieces(order, sent), timeout=5):
                pass
        except grpc.RpcError:
            free.wait(0.02)


def pieces(order: bytes, sent: list[int]) -> Iterator[pb.Piece]:
    blob = pb.Blob(sha256=os.urandom(32), size=len(PIECE) + 1)
    update = pb.Update(round=1, examples=1, contribution=blob)
    yield pb.Piece(answer=pb.Answer(instruction=digest(order), update=update))
    yield pb.Piece(data=PIECE)
    sent.append(len(PIECE))


def honest(stub: rpc.FederationStub, order: bytes) -> bool:
    """Whether an answer is let in while the flood goes on."""
    answer, data = good(order, 1)
    chunks = [pb.Piece(data=data[: 1 << 20]), pb.Piece(data=data[1 << 20 :])]
    verdicts = list(stub.Submit(iter([pb.Piece(answer=answer), *chunks]), timeout=60))
    return bool(verdicts[-1].status == pb.STATUS_ACCEPTED)
