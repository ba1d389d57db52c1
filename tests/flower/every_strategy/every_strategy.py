"""A Flower app that runs every strategy of Flower for three rounds, and writes down what came of it.

Clients fit a linear model, or grow trees, on rows that follow from their partition-id: their answers are
the same wherever they run. Whoever runs it gets the same results, but for the order of sums.
"""

from __future__ import annotations

import json
import random
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from flwr.app import ArrayRecord, ConfigRecord, Context, Message, MetricRecord, RecordDict
from flwr.clientapp import ClientApp
from flwr.clientapp.mod import adaptiveclipping_mod, fixedclipping_mod
from flwr.clientapp.typing import ClientAppCallable
from flwr.serverapp import Grid, ServerApp
from flwr.serverapp.strategy import (
    Bulyan,
    DifferentialPrivacyClientSideAdaptiveClipping,
    DifferentialPrivacyClientSideFixedClipping,
    DifferentialPrivacyServerSideAdaptiveClipping,
    DifferentialPrivacyServerSideFixedClipping,
    FedAdagrad,
    FedAdam,
    FedAvg,
    FedAvgM,
    FedMedian,
    FedProx,
    FedTrimmedAvg,
    FedXgbBagging,
    FedXgbCyclic,
    FedYogi,
    Krum,
    MultiKrum,
    QFedAvg,
    Strategy,
)
from numpy.typing import NDArray

ROUNDS = 3
MODS = {
    "DifferentialPrivacyClientSideFixedClipping": fixedclipping_mod,
    "DifferentialPrivacyClientSideAdaptiveClipping": adaptiveclipping_mod,
}


def clipped(message: Message, context: Context, call_next: ClientAppCallable) -> Message:
    """The mod that the strategy of the message needs, if it needs one."""
    configs = list(message.content.config_records.values())
    mod = MODS.get(str(configs[0]["strategy"])) if configs else None
    training = message.metadata.message_type == "train"
    return mod(message, context, call_next) if mod and training else call_next(message, context)


server = ServerApp()
client = ClientApp(mods=[clipped])


def strategies(nodes: int) -> dict[str, Strategy]:
    """One of each, by its name, for so many nodes: at least seven, which Bulyan needs."""
    everyone: dict[str, Any] = {"min_train_nodes": nodes, "min_evaluate_nodes": nodes}
    everyone["min_available_nodes"] = nodes
    noise: dict[str, Any] = {"noise_multiplier": 0.1, "num_sampled_clients": nodes}
    found = [
        FedAvg(**everyone),
        FedAvgM(**everyone, server_learning_rate=0.7, server_momentum=0.9),
        FedAdagrad(**everyone, eta=0.1, tau=0.1),
        FedAdam(**everyone, eta=0.1, tau=0.1),
        FedYogi(**everyone, eta=0.1, tau=0.1),
        FedProx(**everyone, proximal_mu=0.5),
        FedMedian(**everyone),
        FedTrimmedAvg(**everyone, beta=0.2),
        Krum(**everyone, num_malicious_nodes=1),
        MultiKrum(**everyone, num_malicious_nodes=1, num_nodes_to_select=3),
        Bulyan(**everyone, num_malicious_nodes=1),
        QFedAvg(**everyone, client_learning_rate=0.1, q=0.5),
        FedXgbBagging(**everyone),
        FedXgbCyclic(min_available_nodes=nodes),
        DifferentialPrivacyServerSideFixedClipping(FedAvg(**everyone), clipping_norm=0.2, **noise),
        DifferentialPrivacyClientSideFixedClipping(FedAvg(**everyone), clipping_norm=0.2, **noise),
        DifferentialPrivacyServerSideAdaptiveClipping(FedAvg(**everyone), **noise),
        DifferentialPrivacyClientSideAdaptiveClipping(FedAvg(**everyone), **noise),
    ]
    return {type(strategy).__name__: strategy for strategy in found}


@server.main()
def main(grid: Grid, context: Context) -> None:
    """Runs all, one after the other, and writes a JSON object of what each came to."""
    nodes = int(context.run_config["nodes"])
    while len(list(grid.get_node_ids())) < nodes:
        time.sleep(0.1)
    places = partitions(grid)
    results = {}
    for name, strategy in strategies(nodes).items():
        np.random.seed(7)  # noqa: NPY002 - what Flower draws its noise from
        random.seed(7)
        if isinstance(strategy, FedXgbCyclic):  # whose turn it is would depend on the ids of nodes
            strategy.registered_nodes = {node: place + 1 for node, place in places.items()}
        boosted = "Xgb" in name
        result = strategy.start(
            grid,
            ArrayRecord([np.zeros(0, np.uint8)] if boosted else model()),
            num_rounds=ROUNDS,
            train_config=ConfigRecord({"strategy": name}),
            evaluate_config=ConfigRecord({"strategy": name}),
        )
        arrays = result.arrays.to_numpy_ndarrays()
        results[name] = {
            "arrays": trees(arrays[0]) if boosted else [array.tolist() for array in arrays],
            "train": history(result.train_metrics_clientapp),
            "evaluate": history(result.evaluate_metrics_clientapp),
        }
    Path(str(context.run_config["results"])).write_text(json.dumps(results))


def partitions(grid: Grid) -> dict[int, int]:
    """The partition of each node, by its own word."""
    asked = [Message(RecordDict(), node, "query") for node in grid.get_node_ids()]
    replies = grid.send_and_receive(asked)
    told = {
        reply.metadata.src_node_id: reply.content.metric_records["at"]["id"] for reply in replies
    }
    return {node: place for node, place in told.items() if isinstance(place, int)}


def history(metrics: Mapping[int, MetricRecord]) -> dict[int, dict[str, Any]]:
    """The metrics of each round."""
    return {number: dict(found) for number, found in metrics.items()}


def trees(booster: NDArray[np.uint8]) -> dict[str, list[Any]]:
    """Those of a booster, which bags them in the order of arrival; and its length in bytes."""
    model = json.loads(booster.tobytes())["learner"]["gradient_booster"]["model"]
    found = sorted([tree["split"], tree["after"]] for tree in model["trees"])
    return {"trees": found, "ids": [tree["id"] for tree in model["trees"]], "size": [booster.size]}


def model() -> list[NDArray[Any]]:
    """Weights of shape (3, 2) and biases of shape (2,)."""
    return [np.random.default_rng(0).normal(size=(3, 2)), np.ones(2, np.float32)]


@client.query()
def where(message: Message, context: Context) -> Message:
    """Which partition it is that a node has."""
    place = MetricRecord({"id": int(context.node_config["partition-id"])})
    return Message(RecordDict({"at": place}), reply_to=message)


@client.train()
def train(message: Message, context: Context) -> Message:
    """Five steps of gradient descent, or one tree more; `trained` counts the calls of this client."""
    place, config = int(context.node_config["partition-id"]), settings(message)
    received = message.content.array_records["arrays"].to_numpy_ndarrays()
    if "Xgb" in config["strategy"]:
        arrays, loss = [grown(received[0], place, config["server-round"])], 0.0
    else:
        arrays, loss = descended(received, place, config.get("proximal-mu", 0.0))
    seen: Mapping[str, Any] = context.state.metric_records.get("seen", {"times": 0})
    context.state["seen"] = MetricRecord({"times": seen["times"] + 1})
    metrics = {"num-examples": rows(place), "train_loss": loss, "trained": seen["times"] + 1}
    content = RecordDict({"arrays": ArrayRecord(arrays), "metrics": MetricRecord(metrics)})
    return Message(content, reply_to=message)


@client.evaluate()
def evaluate(message: Message, context: Context) -> Message:
    """The loss on the same rows, or the length of the booster."""
    place = int(context.node_config["partition-id"])
    received = message.content.array_records["arrays"].to_numpy_ndarrays()
    boosted = "Xgb" in settings(message)["strategy"]
    loss = float(received[0].size) if boosted else mean_loss(received, place)
    metrics = MetricRecord({"num-examples": rows(place), "eval_loss": loss})
    return Message(RecordDict({"metrics": metrics}), reply_to=message)


def settings(message: Message) -> Mapping[str, Any]:
    """What the strategy configured."""
    return message.content.config_records["config"]


def rows(place: int) -> int:
    """How many rows a partition has."""
    return 20 + 3 * place


def features_and_targets(place: int) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """The rows of a partition, from a law of its own."""
    rng = np.random.default_rng([1, place])
    features = rng.normal(size=(rows(place), 3))
    return features, features @ rng.normal(size=(3, 2)) + rng.normal(size=2)


def mean_loss(arrays: list[NDArray[Any]], place: int) -> float:
    """The mean squared error of a linear model."""
    features, targets = features_and_targets(place)
    return float(np.mean((features @ arrays[0] + arrays[1] - targets) ** 2))


def descended(
    received: list[NDArray[Any]], place: int, proximal: float
) -> tuple[list[NDArray[Any]], float]:
    """The model after five steps, with FedProx's pull to the received one; the loss before them."""
    features, targets = features_and_targets(place)
    weights, biases = (array.astype(np.float64) for array in received)
    for _ in range(5):
        errors = (features @ weights + biases - targets) / len(targets)
        weights = weights - 0.1 * (features.T @ errors + proximal * (weights - received[0]))
        biases = biases - 0.1 * (errors.sum(axis=0) + proximal * (biases - received[1]))
    arrays = [weights.astype(received[0].dtype), biases.astype(received[1].dtype)]
    return arrays, mean_loss(received, place)


def grown(received: NDArray[np.uint8], place: int, number: int) -> NDArray[np.uint8]:
    """A booster as XGBoost saves it in JSON, as far as Flower reads it: one tree, of this client's.

    For FedXgbCyclic it is the whole model that goes from client to client, and so this one is.
    """
    tree = {"id": 0, "split": place + 0.25 * number, "after": int(received.size)}
    parameters = {"num_trees": "1", "num_parallel_tree": "1"}
    booster = {"gbtree_model_param": parameters, "trees": [tree], "tree_info": [0]}
    whole = {"learner": {"gradient_booster": {"model": {**booster, "iteration_indptr": [0, 1]}}}}
    return np.frombuffer(json.dumps(whole).encode(), np.uint8)
