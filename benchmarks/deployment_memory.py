"""The memory of a coordinator over one round of a large model: its peak, as a multiple of the model.

    python benchmarks/deployment_memory.py [--mb 1024] [--clients 4] [--most 2.5]

A real coordinator with mutual TLS in a process of its own, and real agents, each in another, whose
clients return a difference as large as the model. Exits with 1 if the peak (VmHWM) is above `--most`
times the model. A 1 GB model takes a few GB of disk, and of memory for each client.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
from pathlib import Path

from loopback.agents import attend
from loopback.coordinator import host
from loopback.parties import make_parties, names
from loopback.plan import Plan, Took
from loopback.process import Process, processes

ROUNDS = 2


def measure(folder: Path, size: int, clients: tuple[str, ...]) -> tuple[float, float, Took]:
    """Bytes before the first round and at most, and what the rounds took."""
    certs = folder / "certs"
    make_parties(certs, clients)
    coordinator = Process(
        host, Plan(folder=folder / "run", clients=clients, size=size, rounds=ROUNDS, certs=certs)
    )
    port = coordinator.hear(int)
    before = coordinator.memory()
    sites = [Process(attend, [name], certs, folder / "sites", port, size) for name in clients]
    with processes(coordinator, *sites):
        for site in sites:
            site.hear(str)
        coordinator.tell()
        took = coordinator.hear(Took)
        return before, coordinator.memory("VmHWM"), took


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--mb", type=float, default=1024.0)
    parser.add_argument("--clients", type=int, default=4)
    parser.add_argument("--most", type=float, default=2.5)
    asked = parser.parse_args()
    size = int(asked.mb * 2**20)
    with tempfile.TemporaryDirectory(prefix="tacit-") as temporary:
        before, peak, took = measure(Path(temporary), size, names(asked.clients))
    print("| model, MiB | before round 1 | peak | times the model | a round, s |")
    print("|--:|--:|--:|--:|--:|")
    print(
        f"| {asked.mb:.0f} | {before / 2**20:.0f} | {peak / 2**20:.0f} | {peak / size:.2f} "
        f"| {max(took.periods):.1f} |"
    )
    sys.exit(0 if peak <= asked.most * size else 1)


if __name__ == "__main__":
    main()
