"""How long a round takes when nobody trains: two sites on loopback, mutual TLS, 1 MB of parameters.

    python benchmarks/deployment_latency.py [--rounds 30] [--flower PYTHON]

The coordinator is a real one, with its store and ledger on disk; so are the two agents, each in a
process of its own. Their clients return a difference at once. A round is counted from one commit to
the next. The same as an app of Flower, whose FedAvg averages the parameters, is measured on tacit's
coordinator. `--flower` names the interpreter of an environment with Flower, whose SuperLink and two
SuperNodes then run that app on the same machine.
"""

from __future__ import annotations

import argparse
import tempfile
from collections.abc import Sequence
from importlib.util import find_spec
from pathlib import Path

import numpy as np
from loopback.agents import attend
from loopback.coordinator import host
from loopback.flower import app_rounds, flower_rounds
from loopback.parties import make_parties, names
from loopback.plan import Plan, Took
from loopback.process import Process, processes

SIZE, SITES = 1 << 20, names(2)


def tacit(folder: Path, rounds: int, *, evaluates: bool) -> Took:
    """What the rounds of a real run took, without the first."""
    certs = folder.parent / "certs"
    plan = Plan(
        folder=folder,
        clients=SITES,
        size=SIZE,
        rounds=rounds + 1,
        certs=certs,
        evaluates=evaluates,
    )
    coordinator = Process(host, plan)
    port = coordinator.hear(int)
    sites = [Process(attend, [name], certs, folder, port, SIZE) for name in SITES]
    with processes(coordinator, *sites):
        for site in sites:
            site.hear(str)
        coordinator.tell()
        took = coordinator.hear(Took)
    return Took(periods=took.periods[1:], rounds=took.rounds[1:], evaluations=took.evaluations[1:])


def row(name: str, seconds: Sequence[float]) -> str:
    """Median, 95 % and most, in milliseconds."""
    found = 1000 * np.quantile(seconds, [0.5, 0.95, 1.0])
    return f"| {name} | " + " | ".join(f"{value:.1f}" for value in found) + " |"


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--rounds", type=int, default=30)
    parser.add_argument("--flower", type=Path)
    asked = parser.parse_args()
    with tempfile.TemporaryDirectory(prefix="tacit-") as temporary:
        folder = Path(temporary)
        make_parties(folder / "certs", SITES)
        print("| a round, ms | median | 95 % | most |\n|---|--:|--:|--:|")
        fit = tacit(folder / "fit", asked.rounds, evaluates=False)
        print(row("tacit: fit", fit.periods), flush=True)
        both = tacit(folder / "both", asked.rounds, evaluates=True)
        print(row("tacit: fit and evaluate", both.periods))
        print(row("of which evaluate", both.evaluations), flush=True)
        if find_spec("flwr") is None:
            print("\nAn app of Flower was not measured: Flower is not installed here.")
        else:
            seconds = app_rounds(folder / "app", folder / "certs", SITES, asked.rounds + 1, SIZE)
            print(row("tacit: an app of Flower, fit", seconds[1:]), flush=True)
        if asked.flower:
            seconds = flower_rounds(asked.flower, folder / "flower", asked.rounds, SIZE)
            print(row("Flower: fit, without TLS", seconds[1:]))
        else:
            print("\nFlower was not measured: name an interpreter that has it with --flower.")


if __name__ == "__main__":
    main()
