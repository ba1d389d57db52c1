"""An app of Flower on Flower's own simulation (Ray) beside `tacit run --flower`: seconds a round.

    python benchmarks/flower_simulation.py [ROUNDS [REPEATS]]

50 clients of 50 examples, 5 SGD steps of batch 10 a round, FedAvg, 2 workers with one torch thread
each, on random images (speed does not depend on what they show); training alone, and as FedAvg does
unless told otherwise: all clients evaluate as well. Both engines run the very same app, alternately,
each time in new processes. The floor is the client's own code: the app called for one client after
the other in one process, by 2. The first two rounds do not count.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
import time
from itertools import pairwise, product
from pathlib import Path
from statistics import median

PROJECT = """\
[project]
name = "speed"
version = "1.0.0"
description = "Rounds of federated averaging"
license = "Apache-2.0"
dependencies = []

[tool.flwr.app]
publisher = "tacit"

[tool.flwr.app.components]
serverapp = "speed:server"
clientapp = "speed:client"
"""
APP = """
import json, os, time
from functools import cache
import torch
from flwr.app import ArrayRecord, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp
from flwr.serverapp import ServerApp
from flwr.serverapp.strategy import FedAvg
from torch import nn

ROWS, BATCH = 50, 10
client, server = ClientApp(), ServerApp()

@cache
def build(model):
    if model == "MLP":
        return nn.Sequential(nn.Flatten(), nn.Linear(784, 64), nn.ReLU(), nn.Linear(64, 10))
    return nn.Sequential(
        nn.Conv2d(1, 8, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Conv2d(8, 16, 3, padding=1), nn.ReLU(), nn.MaxPool2d(2),
        nn.Flatten(), nn.Linear(784, 32), nn.ReLU(), nn.Linear(32, 10),
    )

@cache
def rows(partition):
    drawn = torch.Generator().manual_seed(partition)
    images = torch.randn(ROWS, 1, 28, 28, generator=drawn)
    return images, torch.randint(10, (ROWS,), generator=drawn)

@client.train()
def train(message, context):
    model = build(os.environ["MODEL"])
    model.load_state_dict(message.content["arrays"].to_torch_state_dict())
    images, labels = rows(context.node_config["partition-id"])
    optimizer = torch.optim.SGD(model.parameters(), 0.05)
    for batch in torch.randperm(ROWS).split(BATCH):
        optimizer.zero_grad()
        nn.functional.cross_entropy(model(images[batch]), labels[batch]).backward()
        optimizer.step()
    metrics = MetricRecord({"num-examples": ROWS})
    content = RecordDict({"arrays": ArrayRecord(model.state_dict()), "metrics": metrics})
    return Message(content, reply_to=message)

@client.evaluate()
def evaluate(message, context):
    model = build(os.environ["MODEL"])
    model.load_state_dict(message.content["arrays"].to_torch_state_dict())
    images, labels = rows(context.node_config["partition-id"])
    with torch.no_grad():
        loss = nn.functional.cross_entropy(model(images), labels).item()
    metrics = MetricRecord({"loss": loss, "num-examples": ROWS})
    return Message(RecordDict({"metrics": metrics}), reply_to=message)

@server.main()
def main(grid, context):
    moments = []
    arrays = ArrayRecord(build(os.environ["MODEL"]).state_dict())
    strategy = FedAvg(fraction_evaluate=float(os.environ["EVALUATE"]))
    strategy.start(
        grid, arrays, num_rounds=int(os.environ["ROUNDS"]),
        evaluate_fn=lambda n, a: moments.append(time.perf_counter()),
    )
    with open(os.environ["OUT"], "w") as file:
        json.dump(moments, file)
"""
CLIENTS, WORKERS, WARM = 50, 2, 2
CASES = (("MLP", False, 8.0), ("MLP", True, 8.0), ("CNN", False, 1.8), ("CNN", True, 1.8))
"""The model, whether clients evaluate, and how many times as fast as Flower tacit should be."""


def main() -> None:
    rounds = int(sys.argv[1]) if len(sys.argv) > 1 else 12
    repeats = int(sys.argv[2]) if len(sys.argv) > 2 else 3
    print("| model | Flower, s | tacit, s | Flower / tacit | target | floor, s | tacit / floor |")
    print("|---|--:|--:|--:|--:|--:|--:|")
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary)
        (folder / "pyproject.toml").write_text(PROJECT)
        (folder / "speed.py").write_text(APP)
        for model, evaluate, target in CASES:
            found: dict[str, list[float]] = {engine: [] for engine in ENGINES}
            for _ in range(repeats):
                for engine in ENGINES:
                    found[engine].append(measured(engine, model, evaluate, rounds, folder))
            flower, tacit, floor = (median(found[engine]) for engine in ENGINES)
            ratios = [a / b for a, b in zip(found["flower"], found["tacit"], strict=True)]
            print(
                f"| {model}{' and evaluation' if evaluate else ''} | {flower:.3f} | {tacit:.3f} "
                f"| {median(ratios):.1f}x ({min(ratios):.1f} to {max(ratios):.1f}) | {target}x "
                f"| {floor:.3f} | {tacit / floor:.2f}x |",
                flush=True,
            )


def measured(engine: str, model: str, evaluate: bool, rounds: int, folder: Path) -> float:
    """The median round, in seconds, of a new process."""
    out = folder / "moments.json"
    settings = {"MODEL": model, "EVALUATE": f"{evaluate:d}", "ROUNDS": str(rounds), "OUT": str(out)}
    env = {**os.environ, **settings, "FLWR_TELEMETRY_ENABLED": "0", "FLWR_LOG_LEVEL": "WARNING"}
    command = [sys.executable, __file__, engine, str(folder)]
    done = subprocess.run(command, env=env, capture_output=True, text=True, check=False)
    if done.returncode:
        sys.exit(done.stderr)
    moments: list[float] = json.loads(out.read_text())
    return median([after - before for before, after in pairwise(moments[WARM:])])


def on_tacit(folder: Path) -> None:
    from tacit.cli.flower_run import simulate_app
    from tacit.cli.options import Format

    simulate_app(folder, [], CLIENTS, WORKERS, Format.TEXT, quiet=True)


def on_flower(folder: Path) -> None:
    from flwr.simulation import run_simulation
    from tacit.flower.app import read_app

    app = read_app(folder)
    run_simulation(
        app.server_app(),
        app.client_app(),
        CLIENTS,
        backend_config={"client_resources": {"num_cpus": 1}, "init_args": {"num_cpus": WORKERS}},
    )


def floor(folder: Path) -> None:
    """The app is called for one client after the other: half of it, as if two did it, and no more."""
    import torch
    from flwr.app import ArrayRecord, Message, RecordDict
    from flwr.supercore.task_identity import TaskIdentity
    from tacit.flower.app import read_app
    from tacit.flower.nodes import contexts

    torch.set_num_threads(1)
    TaskIdentity.run_id = TaskIdentity.node_id = TaskIdentity.task_id = 1
    client = read_app(folder).client_app()
    arrays = ArrayRecord(sys.modules["speed"].build(os.environ["MODEL"]).state_dict())
    kinds = ["train", "evaluate"] if os.environ["EVALUATE"] == "1" else ["train"]
    moments = [0.0]
    for _ in range(int(os.environ["ROUNDS"])):
        began = time.perf_counter()
        for kind, (node, context) in product(kinds, contexts(1, CLIENTS, {}).items()):
            client(Message(RecordDict({"arrays": arrays}), node, kind), context)
        moments.append(moments[-1] + (time.perf_counter() - began) / WORKERS)
    Path(os.environ["OUT"]).write_text(json.dumps(moments))


ENGINES = {"flower": on_flower, "tacit": on_tacit, "floor": floor}


if __name__ == "__main__":
    if sys.argv[1:] and sys.argv[1] in ENGINES:
        ENGINES[sys.argv[1]](Path(sys.argv[2]))
    else:
        main()
