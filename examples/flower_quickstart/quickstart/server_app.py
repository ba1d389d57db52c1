"""What the server does: rounds of federated averaging."""

import json
import random
from pathlib import Path

import torch
from flwr.app import ArrayRecord, Context
from flwr.serverapp import Grid, ServerApp
from flwr.serverapp.strategy import FedAvg, Result

from quickstart.task import Net

app = ServerApp()


@app.main()
def main(grid: Grid, context: Context) -> None:
    """Trains: in each run from the same model, and with the same nodes if these have the same names."""
    config = context.run_config
    torch.manual_seed(0)  # the first model
    random.seed(0)  # in which order FedAvg asks the nodes, and adds up what they reply
    strategy = FedAvg(fraction_evaluate=config["fraction-evaluate"])
    result = strategy.start(
        grid=grid,
        initial_arrays=ArrayRecord(Net().state_dict()),
        num_rounds=config["num-server-rounds"],
    )
    if config["out"]:
        Path(config["out"]).write_text(json.dumps(history(result)))


def history(result: Result) -> dict[str, dict[int, dict[str, float]]]:
    """The metrics of each round."""
    return {
        "train": {n: dict(metrics) for n, metrics in result.train_metrics_clientapp.items()},
        "evaluate": {n: dict(metrics) for n, metrics in result.evaluate_metrics_clientapp.items()},
    }
