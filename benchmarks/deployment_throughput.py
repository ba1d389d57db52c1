"""How fast a coordinator moves bytes, beside a bare gRPC server on the same connections.

    python benchmarks/deployment_throughput.py [--clients 100] [--mb 10] [--repeat 5] [--agents]

A round of a real coordinator with mutual TLS, in which every client fetches the parameters and hands
in as much, and the same calls to a server that has the bytes in memory and discards what comes. The
two take turns. The clients of both are thin: they answer with bytes that they have already, so that
a machine with few cores measures the server. `--agents` adds a row with real agents instead.
"""

from __future__ import annotations

import argparse
import tempfile
from dataclasses import dataclass
from pathlib import Path
from statistics import median

from loopback.agents import attend
from loopback.bare import host_bare
from loopback.coordinator import host
from loopback.parties import make_parties, names
from loopback.plan import Plan, Took
from loopback.process import Process, processes
from loopback.thin import attend_thinly

PROCESSES = 2


@dataclass(frozen=True)
class Moved:
    """MB, the seconds that they took, and the processor seconds of the server."""

    mb: float
    seconds: float
    cpu: float


def measure(
    server: Process, sites: list[tuple[str, ...]], certs: Path, folder: Path | None, size: int
) -> Moved:
    """One round of `server`; real agents, which need a `folder`, or thin clients."""
    port = server.hear(int)
    if folder is not None:
        clients = [Process(attend, some, certs, folder, port, size) for some in sites]
    else:
        clients = [Process(attend_thinly, some, certs, port, size) for some in sites]
    with processes(server, *clients):
        for client in clients:
            client.hear(str)
        before = server.seconds()
        server.tell()
        seconds = server.hear(Took).rounds[0]
        moved = 2 * size * sum(map(len, sites)) / 1e6
        return Moved(moved, seconds, server.seconds() - before)


def row(name: str, found: list[Moved], floor: list[Moved]) -> str:
    """Medians, and the median of the ratios of neighbours."""
    speed, least = ([one.mb / one.seconds for one in some] for some in (found, floor))
    ratio = median(a / b for a, b in zip(speed, least, strict=True))
    cpu = median(1000 * one.cpu / one.mb for one in found)
    return f"| {name} | {median(speed):.0f} | {ratio:.2f} | {cpu:.2f} |"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--clients", type=int, default=100)
    parser.add_argument("--mb", type=float, default=10.0)
    parser.add_argument("--repeat", type=int, default=5)
    parser.add_argument("--agents", action="store_true")
    asked = parser.parse_args()
    clients, size = names(asked.clients), int(asked.mb * 1e6)
    sites = [clients[start::PROCESSES] for start in range(PROCESSES)]
    kinds = ["bare gRPC", "tacit", "tacit, real agents"][: 3 if asked.agents else 2]
    found: dict[str, list[Moved]] = {kind: [] for kind in kinds}
    with tempfile.TemporaryDirectory(prefix="tacit-") as temporary:
        certs = Path(temporary) / "certs"
        make_parties(certs, clients)
        for number in range(asked.repeat):
            for kind in kinds:
                folder = Path(temporary) / f"{number}-{kind}"
                if kind == "bare gRPC":
                    server = Process(host_bare, certs, size)
                else:
                    plan = Plan(folder=folder, clients=clients, size=size, rounds=1, certs=certs)
                    server = Process(host, plan)
                own = folder if "agents" in kind else None
                found[kind].append(measure(server, sites, certs, own, size))
    print("| | MB/s | of bare gRPC | server's CPU, s a GB |\n|---|--:|--:|--:|")
    for kind in kinds:
        print(row(kind, found[kind], found[kinds[0]]))


if __name__ == "__main__":
    main()
