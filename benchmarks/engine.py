"""The engine beside a plain PyTorch loop over the same clients: seconds a round, as ratios.

    python benchmarks/engine.py [ROUNDS]

50 clients of 50 examples, 5 SGD steps of batch 10 a round, on random images (speed does not depend
on what they show). The loop loads each client's parameters, trains and averages in float32 on one
thread: the floor for anything that trains clients one after the other.
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from functools import partial
from statistics import median

import numpy as np
import torch
from tacit.client import Classification, Data, initial_parameters
from tacit.models import CNN, MLP
from tacit.simulations import Dataset, make_config, simulate
from torch import nn

CLIENTS, ROWS, BATCH, RATE = 50, 50, 10, 0.05
MODELS: dict[str, tuple[tuple[int, ...], Callable[[], nn.Module]]] = {
    "MLP": ((1, 28, 28), partial(MLP, inputs=784, outputs=10, hidden=(64,))),
    "small CNN": (
        (1, 28, 28),
        partial(CNN, shape=(1, 28, 28), outputs=10, channels=(8, 16), hidden=32),
    ),
    "wide CNN": (
        (3, 32, 32),
        partial(CNN, shape=(3, 32, 32), outputs=10, channels=(32, 64), hidden=400),
    ),
}


def plain(build: Callable[[], nn.Module], rows: Data, rounds: int) -> float:
    """The median round of the loop."""
    torch.set_num_threads(1)
    model, seconds = build(), []
    features, targets = torch.from_numpy(rows.features), torch.from_numpy(rows.targets)
    for _ in range(rounds):
        began = time.perf_counter()
        start = [weight.detach().clone() for weight in model.parameters()]
        total = [torch.zeros_like(weight) for weight in start]
        for client in range(CLIENTS):
            with torch.no_grad():
                for weight, first in zip(model.parameters(), start, strict=True):
                    weight.copy_(first)
            optimizer = torch.optim.SGD(model.parameters(), RATE)
            mine = slice(client * ROWS, (client + 1) * ROWS)
            for batch in torch.randperm(ROWS).split(BATCH):
                optimizer.zero_grad()
                loss = nn.functional.cross_entropy(
                    model(features[mine][batch]), targets[mine][batch]
                )
                loss.backward()
                optimizer.step()
            for sum_, weight in zip(total, model.parameters(), strict=True):
                sum_ += weight.detach()
        with torch.no_grad():
            for weight, sum_ in zip(model.parameters(), total, strict=True):
                weight.copy_(sum_ / CLIENTS)
        seconds.append(time.perf_counter() - began)
    return median(seconds[1:])


def engine(build: Callable[[], nn.Module], rows: Data, rounds: int, workers: int) -> float:
    """The median round of the engine."""
    config = make_config(
        {
            "rounds": rounds,
            "data": {"name": "digits", "held_out": 0.0},
            "partition": {"kind": "iid", "clients": CLIENTS},
            "train": {"learning_rate": RATE, "batch_size": BATCH},
            "run": {"workers": workers, "device": "cpu"},
        }
    )
    dataset = Dataset(
        name="random", data=rows, classes=10, test=np.zeros(len(rows), bool), tabular=False
    )
    result = simulate(config, task=Classification(build=build), dataset=dataset)
    return median(committed.seconds for committed, _ in result.history[1:])


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 8
    rng = np.random.default_rng(0)
    print("| model | parameters | plain loop, s | in process | 1 worker | 2 workers |")
    print("|---|--:|--:|--:|--:|--:|")
    for name, (shape, build) in MODELS.items():
        features = rng.normal(size=(CLIENTS * ROWS, *shape)).astype(np.float32)
        rows = Data(features=features, targets=rng.integers(0, 10, len(features)))
        size = sum(a.size for a in initial_parameters(Classification(build=build), 0).values())
        floor = plain(build, rows, rounds)
        ratios = [engine(build, rows, rounds, workers) / floor for workers in (0, 1, 2)]
        cells = " | ".join(f"{ratio:.2f}x" for ratio in ratios)
        print(f"| {name} | {size:,} | {floor:.3f} | {cells} |", flush=True)


if __name__ == "__main__":
    main()
