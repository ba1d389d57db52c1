"""Accuracy against ε with example-level privacy on Fashion-MNIST: plain Opacus, pooled, federated.

    TACIT_DATA=... python benchmarks/dp_utility.py [EPOCHS]

For each noise multiplier, the same model is trained for EPOCHS passes: by Opacus as its documentation
has it (PrivacyEngine.make_private with Poisson sampling), by tacit's trainer on the pooled rows
(`tacit run` with one client), and by ten clients of 6,000 rows. Writes dp_utility.svg beside this file
and prints a table; exits with 1 if pooled accuracy is more than 1 point from plain Opacus.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
import warnings
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import torch
from tacit.client import DPSGD
from tacit.models import CNN
from tacit.privacy import Adjacency, verdict
from tacit.simulations.datasets import load
from torch import nn

CONFIG = Path(__file__).parents[1] / "examples" / "fashion_mnist_private.toml"
FIGURE = Path(__file__).with_suffix(".svg")
NOISE = (0.7, 1.1, 1.3)
BATCH, RATE, CLIP, DELTA, ROWS = 256, 0.5, 1.0, 1e-5, 60_000
POINT = 0.01


@dataclass(frozen=True)
class Curve:
    """Accuracy on the test images after each pass, and what it cost by then."""

    name: str
    noise: float
    epsilon: Sequence[float]
    accuracy: Sequence[float]


def tacit(clients: int, noise: float, epochs: int) -> Curve:
    """`tacit run`, one round a pass."""
    changes = [
        f"partition.clients={clients}",
        f"rounds={epochs}",
        f"dpsgd.noise_multiplier={noise}",
        "budget.epsilon=1e6",
    ]
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "tacit", "run", str(CONFIG), "--out", f"{folder}/run"]
        command += ["--format", "json", "--workers", "1"]
        for change in changes:
            command += ["--set", change]
        done = subprocess.run(command, capture_output=True, text=True, check=True)
    events = [json.loads(line) for line in done.stdout.splitlines()]
    accuracy = [e["pooled"]["accuracy"] for e in events if e["event"] == "evaluated"]
    rows = ROWS // clients
    event, steps = DPSGD(noise_multiplier=noise).event(rows, BATCH), -(-rows // BATCH)
    epsilon = [
        verdict({event: steps * (number + 1)}, DELTA, Adjacency.ADD_REMOVE).stated
        for number in range(epochs)
    ]
    name = "tacit, pooled" if clients == 1 else f"tacit, {clients} clients"
    return Curve(name, noise, epsilon, accuracy)


def opacus(noise: float, epochs: int) -> Curve:
    """PrivacyEngine as its documentation has it; ε by the same accountant, for its own q and steps."""
    from opacus import PrivacyEngine
    from torch.utils.data import DataLoader, TensorDataset

    torch.set_num_threads(1)
    torch.manual_seed(42)
    dataset = load("fashion_mnist")
    train, test = (
        TensorDataset(torch.tensor(rows.features), torch.tensor(rows.targets))
        for rows in (dataset.data.rows(~dataset.test), dataset.data.rows(dataset.test))
    )
    model = CNN(shape=(1, 28, 28), outputs=10, channels=(16, 32), hidden=32)
    optimizer = torch.optim.SGD(model.parameters(), RATE)
    loader = DataLoader(train, batch_size=BATCH)
    accuracy, epsilon, steps, criterion = [], [], 0, nn.CrossEntropyLoss()
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        model, optimizer, loader = PrivacyEngine().make_private(
            module=model,
            optimizer=optimizer,
            data_loader=loader,
            noise_multiplier=noise,
            max_grad_norm=CLIP,
        )
        for _ in range(epochs):
            model.train()
            for features, targets in loader:
                optimizer.zero_grad()
                if len(targets):
                    criterion(model(features), targets).backward()
                optimizer.step()
                steps += 1
            model.eval()
            with torch.no_grad():
                right = (model(test.tensors[0]).argmax(1) == test.tensors[1]).float().mean()
            accuracy.append(float(right))
            event = DPSGD(noise_multiplier=noise).event(ROWS, BATCH)
            epsilon.append(verdict({event: steps}, DELTA, Adjacency.ADD_REMOVE).stated)
    return Curve("plain Opacus, pooled", noise, epsilon, accuracy)


def draw(curves: Sequence[Curve]) -> None:
    import matplotlib as mpl

    mpl.use("svg")
    from matplotlib import pyplot

    mpl.rcParams["svg.hashsalt"] = "tacit"
    figure, axes = pyplot.subplots(figsize=(8, 4.6))
    names = dict.fromkeys(curve.name for curve in curves)
    colours = dict(zip(names, ("#5A5A5A", "#0072B2", "#D55E00"), strict=True))
    dashes = dict(zip(NOISE, (":", "--", "-"), strict=True))
    for curve in curves:
        axes.plot(
            curve.epsilon, curve.accuracy, dashes[curve.noise], color=colours[curve.name],
            marker="o", markersize=3.5, label=f"{curve.name}, σ = {curve.noise}",
        )  # fmt: skip
    axes.set_xscale("log")
    axes.set_xlabel("ε of one image (δ = 1e-5, add/remove)")
    axes.set_ylabel("accuracy on the 10,000 test images")
    axes.grid(color="#E6E6E6")
    axes.spines[["top", "right"]].set_visible(False)
    axes.legend(frameon=False, fontsize=8, loc="lower left")
    figure.tight_layout()
    figure.savefig(FIGURE, metadata={"Date": None})


def main() -> int:
    epochs = int(sys.argv[1]) if len(sys.argv) > 1 else 5
    curves, far = [], False
    print(f"{epochs} passes; in brackets ε at δ = 1e-5\n")
    print("| σ | plain Opacus, pooled | tacit, pooled | difference | tacit, 10 clients |")
    print("|---|---|---|---|---|")
    for noise in NOISE:
        found = [opacus(noise, epochs), tacit(1, noise, epochs), tacit(10, noise, epochs)]
        curves += found
        plain, pooled, federated = (f"{c.accuracy[-1]:.4f} ({c.epsilon[-1]:.2f})" for c in found)
        difference = found[1].accuracy[-1] - found[0].accuracy[-1]
        far |= abs(difference) > POINT
        print(f"| {noise} | {plain} | {pooled} | {difference:+.4f} | {federated} |", flush=True)
    draw(curves)
    return int(far)


if __name__ == "__main__":
    sys.exit(main())
