"""Peers that hold a connection and give nothing: dropped in bounded time, and nobody waits for them."""

from __future__ import annotations

import random
import socket
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import ExitStack
from pathlib import Path

import grpc
import pytest
from contracts.raw import (
    CONTINUATION,
    DATA,
    END_HEADERS,
    HEADERS,
    PREFACE,
    SETTINGS,
    frame,
    request,
    seconds_until_dropped,
    tcp,
    tls,
)
from contracts.siege import Siege, besieged
from tacit.server import serving
from tacit.server.serving import OPTIONS

QUICK = {
    "grpc.server_handshake_timeout_ms": 3_000,
    "grpc.max_connection_idle_ms": 3_000,
    "grpc.max_connection_age_ms": 5_000,
    "grpc.max_connection_age_grace_ms": 1_000,
}
BOUND = 15.0
"""Seconds within which a silent peer is dropped under `QUICK`, on a machine that does much else."""


@pytest.fixture
def siege(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Siege]:
    options = {**dict(OPTIONS), **QUICK}
    monkeypatch.setattr(serving, "OPTIONS", list(options.items()))
    with besieged(tmp_path) as siege:
        yield siege


def keys(siege: Siege) -> Path:
    assert siege.net.certs is not None
    return siege.net.certs / "mallory"


def speaks(*frames: bytes) -> Callable[[Siege], socket.socket]:
    """A peer with a good certificate that says `frames`, and then nothing."""

    def dial(siege: Siege) -> socket.socket:
        peer = tls(siege.net.port, keys(siege))
        peer.sendall(b"".join(frames))
        return peer

    return dial


def trickles(siege: Siege) -> socket.socket:
    """The beginning of a TLS handshake that goes no further."""
    peer = tcp(siege.net.port)
    peer.sendall(b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03")
    return peer


OPEN = PREFACE + frame(SETTINGS, 0, 0)
ATTEND = b"/tacit.wire.v1.Federation/Attend"
SILENT: dict[str, Callable[[Siege], socket.socket]] = {
    "nothing": lambda siege: tcp(siege.net.port),
    "half a handshake": trickles,
    "a handshake": speaks(),
    "half a preface": speaks(PREFACE[:10]),
    "a preface": speaks(PREFACE),
    "settings": speaks(OPEN),
    "headers that never end": speaks(OPEN, frame(HEADERS, 0, 1, request(ATTEND))),
    "a call without a request": speaks(OPEN, frame(HEADERS, END_HEADERS, 1, request(ATTEND))),
    "half a message": speaks(
        OPEN,
        frame(HEADERS, END_HEADERS, 1, request(ATTEND)),
        frame(DATA, 0, 1, b"\0\0\0\1\0" + b"x" * 10),
    ),
}


def test_silence_at_any_point_ends_a_connection_and_delays_nobody(siege: Siege) -> None:
    """All at once, several of each, while rounds go on."""
    with ThreadPoolExecutor(3 * len(SILENT)) as pool, ExitStack() as open_peers:
        peers = {
            name: [open_peers.enter_context(dial(siege)) for _ in range(3)]
            for name, dial in SILENT.items()
        }
        drops = {
            name: [pool.submit(seconds_until_dropped, peer, BOUND) for peer in some]
            for name, some in peers.items()
        }
        slowest = max(round_seconds(siege) for _ in range(5))
        for name, drop in drops.items():
            assert max(one.result() for one in drop) < BOUND, name
    assert slowest < 3.0
    with siege.round():
        pass


def round_seconds(siege: Siege) -> float:
    began = time.monotonic()
    with siege.round():
        pass
    return time.monotonic() - began


def test_the_bounds_that_ship_are_minutes_for_strangers_and_an_hour_for_clients() -> None:
    options = dict(OPTIONS)
    assert options["grpc.server_handshake_timeout_ms"] <= 10_000
    assert options["grpc.max_connection_idle_ms"] <= 600_000
    age = options["grpc.max_connection_age_ms"] + options["grpc.max_connection_age_grace_ms"]
    assert age <= 2 * 3_600_000


def test_headers_without_end_are_cut_off_and_not_kept(siege: Siege) -> None:
    with siege.round():
        pass
    with siege.round():
        more, sent = 4000 * frame(CONTINUATION, 0, 1, b"\0\x01x\x7e" + b"y" * 126), 0
        with speaks(OPEN, frame(HEADERS, 0, 1, request(ATTEND)))(siege) as peer:
            before, until = resident(), time.monotonic() + BOUND
            while not is_cut_off(peer, more):
                assert time.monotonic() < until
                time.sleep(0.02)
                sent += len(more)
        assert sent > 32 << 20
        assert resident() - before < max(sent // 2, 96 << 20), sent


def resident() -> int:
    """Bytes of memory that this process has."""
    return int(Path("/proc/self/statm").read_text().split()[1]) * 4096


def is_cut_off(peer: socket.socket, data: bytes) -> bool:
    """Whether the server has hung up before it took `data`."""
    try:
        peer.sendall(data)
    except OSError:
        return True
    return False


def test_many_connections_that_say_nothing_leave_room_for_the_others(siege: Siege) -> None:
    with siege.round():
        peers = [tcp(siege.net.port) for _ in range(300)]
        with siege.net.channel("mallory") as channel:
            grpc.channel_ready_future(channel).result(10)
        for peer in peers:
            peer.close()


def test_random_bytes_to_the_port_are_no_more_than_dropped(siege: Siege) -> None:
    chance = random.Random(3)
    with siege.round():
        for _ in range(300):
            with tcp(siege.net.port) as peer:
                peer.sendall(chance.randbytes(chance.randrange(1, 400)))
        for _ in range(200):
            with tls(siege.net.port, keys(siege)) as peer:
                frames = [PREFACE] * chance.randrange(2) + [OPEN] * chance.randrange(2)
                for _ in range(chance.randrange(8)):
                    frames.append(odd_frame(chance))
                try:
                    peer.sendall(b"".join(frames))
                except OSError:
                    continue
    with siege.round():
        pass


def odd_frame(chance: random.Random) -> bytes:
    """A frame of any kind, with anything in it, now and then with a length that is not its own."""
    payload = chance.choice([request(ATTEND), chance.randbytes(chance.randrange(60)), b""])
    whole = frame(
        chance.randrange(12), chance.randrange(256), chance.choice([0, 1, 2, 3, 2**31]), payload
    )
    return whole[: chance.choice([len(whole), chance.randrange(len(whole))])]
