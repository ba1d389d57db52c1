"""q-FedAvg on Synthetic(1, 1): how unequal the accuracies of 100 clients are, with FedAvg and with q = 1.

    python benchmarks/fairness_synthetic.py [ROUNDS [SEED...]]

The setting of Li et al. 2020 (q-FFL, arXiv 1905.10497; litian96/fair_flearn at f097971):
multinomial logistic regression, 10 of 100 clients a round, one epoch of SGD with batches of 10 and
rate 0.1, 20,000 rounds. The paper draws clients by size; here all are as likely and weigh alike, so
that q is the only difference; FedAvg that weighs clients by their rows is there to compare. A fifth
of everyone's rows is held out.

Prints a Markdown table, accuracies in points and their variance over clients: means over the
evaluations at 60, 70, 80, 90 and 100 % of the rounds, since a single model depends on who was drawn
last. Every evaluation goes to stderr. Exits with 1 if q = 1 has less than 30 % less variance than
FedAvg that weighs clients alike, or costs more than 2 points of their mean.
"""

from __future__ import annotations

import sys
from collections.abc import Mapping, Sequence
from dataclasses import astuple, dataclass
from typing import Any

import numpy as np
from tacit.server import Evaluated, Progress
from tacit.simulations.config import make_config
from tacit.simulations.run import simulate

METHODS: Mapping[str, tuple[Mapping[str, Any], str]] = {
    "FedAvg, clients alike": ({"kind": "fedavg"}, "uniform"),
    "q-FedAvg, q = 1, clients alike": ({"kind": "qfedavg", "q": 1.0}, "uniform"),
    "FedAvg, clients by rows": ({"kind": "fedavg"}, "examples"),
}
EVALUATIONS, LATE = 10, 5
LESS_VARIANCE, LESS_ACCURACY = 0.3, 2.0


@dataclass(frozen=True, kw_only=True)
class Spread:
    """Accuracy over clients, in points."""

    mean: float
    rows: float
    worst: float
    best: float
    variance: float

    def __str__(self) -> str:
        return (
            f"{self.mean:.1f} | {self.rows:.1f} | {self.worst:.1f} | {self.best:.1f} | "
            f"{self.variance:.0f}"
        )


def spread(evaluated: Evaluated) -> Spread:
    """Over the clients' own held-out rows; worst and best are means of ten clients."""
    counts = evaluated.clients.values()
    right, rows = (np.array([c[name] for c in counts]) for name in ("correct", "examples"))
    accuracy = np.sort(100 * right / rows)
    return Spread(
        mean=accuracy.mean(),
        rows=100 * right.sum() / rows.sum(),
        worst=accuracy[:10].mean(),
        best=accuracy[-10:].mean(),
        variance=accuracy.var(),
    )


def averaged(spreads: Sequence[Spread]) -> Spread:
    columns = np.array([astuple(each) for each in spreads]).mean(axis=0)
    return Spread(**dict(zip(Spread.__dataclass_fields__, columns.tolist(), strict=True)))


def trained(name: str, rounds: int, seed: int) -> Spread:
    """What the clients have late in a run."""
    strategy, weighting = METHODS[name]

    def observe(progress: Progress) -> None:
        if isinstance(progress, Evaluated):
            line = f"{name} | {seed} | round {progress.round} | {spread(progress)}"
            print(line, file=sys.stderr, flush=True)

    config = make_config(
        {
            "seed": seed,
            "rounds": rounds,
            "data": {"name": "synthetic", "held_out": 0.2, "standardise": "none", "split_seed": 42},
            "partition": {"kind": "natural"},
            "model": {"kind": "mlp", "hidden": []},
            "train": {"optimizer": "sgd", "learning_rate": 0.1, "batch_size": 10, "epochs": 1},
            "strategy": strategy,
            "mechanism": {"kind": "mean", "weighting": weighting},
            "sampler": {"kind": "fixed", "size": 10},
            "evaluate": {"every": max(1, rounds // EVALUATIONS)},
            "run": {"workers": 0},
        }
    )
    spreads = [spread(e) for _, e in simulate(config, observe=observe).history if e]
    return averaged(spreads[-LATE:])


def main() -> int:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 20_000
    seeds = [int(seed) for seed in sys.argv[2:]] or [42]
    missed = False
    print(f"{rounds} rounds\n")
    print("| strategy | seed | mean of clients | all rows | worst 10 | best 10 | variance |")
    print("|---|---|---|---|---|---|---|")
    for seed in seeds:
        found = []
        for name in METHODS:
            found.append(trained(name, rounds, seed))
            print(f"| {name} | {seed} | {found[-1]} |", flush=True)
        plain, fair, _ = found
        missed |= fair.variance > (1 - LESS_VARIANCE) * plain.variance
        missed |= fair.mean < plain.mean - LESS_ACCURACY
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
