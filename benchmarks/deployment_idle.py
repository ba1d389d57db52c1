"""What a client costs a coordinator that only waits: thousands of open streams, then a round over some.

    python benchmarks/deployment_idle.py [--clients 5000] [--cohort 200]

The Federation service in a process of its own, and beside it a bare server on which the same streams
wait: the difference is ours, the rest gRPC's and OpenSSL's. Memory is what the process has in RAM
beyond what it had before the first client came. Streams that share connections, as they do behind a
proxy that ends TLS, name their client in a header. (Linux; needs about two files a client.)
"""

from __future__ import annotations

import argparse
import tempfile
import time
from dataclasses import dataclass
from pathlib import Path

from loopback.bare import host_bare
from loopback.coordinator import host
from loopback.parties import make_parties, names
from loopback.plan import Plan, Took
from loopback.process import Process, processes
from loopback.thin import attend_thinly

SIZE, PROCESSES, CALM = 100_000, 4, 2.0


@dataclass(frozen=True, kw_only=True)
class Way:
    """How clients connect: with TLS or not, and how many over one connection."""

    name: str
    tls: bool
    sharing: int


WAYS = [
    Way(name="mutual TLS, a connection each", tls=True, sharing=1),
    Way(name="mutual TLS, 100 streams a connection", tls=True, sharing=100),
    Way(name="without TLS, a connection each", tls=False, sharing=1),
]


@dataclass(frozen=True, kw_only=True)
class Cost:
    """KB a stream, seconds until all were there, and of a round (0 if there was none)."""

    memory: float
    joining: float
    round: float


def measure(
    server: Process, clients: tuple[str, ...], certs: Path | None, way: Way, cohort: int
) -> Cost:
    """What `clients` cost `server`; then, unless it is bare, a round over `cohort` of them."""
    port, before, began = server.hear(int), server.memory(), time.perf_counter()
    groups = [clients[start::PROCESSES] for start in range(PROCESSES)]
    sites = [Process(attend_thinly, some, certs, port, SIZE, way.sharing) for some in groups]
    with processes(server, *sites):
        for site in sites:
            site.hear(str)
        joining = time.perf_counter() - began
        time.sleep(CALM)
        memory = (server.memory() - before) / 1024 / len(clients)
        seconds = 0.0
        if cohort:
            server.tell()
            seconds = server.hear(Took).rounds[0]
    return Cost(memory=memory, joining=joining, round=seconds)


def row(way: Way, folder: Path, clients: tuple[str, ...], cohort: int) -> str:
    """A line of the table."""
    certs, shared = folder / "certs" if way.tls else None, way.sharing > 1
    plan = Plan(
        folder=folder / way.name,
        clients=clients,
        size=SIZE,
        rounds=1,
        certs=certs,
        shared=shared,
        cohort=cohort,
    )
    bare = measure(Process(host_bare, certs, SIZE, shared), clients, certs, way, 0)
    full = measure(Process(host, plan), clients, certs, way, cohort)
    ours = full.memory - bare.memory
    return (
        f"| {way.name} | {full.memory:.1f} | {bare.memory:.1f} | {ours:.1f} "
        f"| {full.joining:.0f} | {full.round:.1f} |"
    )


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--clients", type=int, default=5000)
    parser.add_argument("--cohort", type=int, default=200)
    asked = parser.parse_args()
    clients = names(asked.clients)
    with tempfile.TemporaryDirectory(prefix="tacit-") as temporary:
        folder = Path(temporary)
        make_parties(folder / "certs", clients)
        print(f"| {asked.clients} streams | KB each | of which gRPC | and ours ", end="")
        print(f"| joined in, s | a round of {asked.cohort}, s |")
        print("|---|--:|--:|--:|--:|--:|")
        for way in WAYS:
            print(row(way, folder, clients, asked.cohort), flush=True)


if __name__ == "__main__":
    main()
