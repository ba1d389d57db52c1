"""Strategies that somebody wrote against Flower's interface: one to be named in tacit, and some not."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from flwr.app import Array, ArrayRecord, ConfigRecord, Message, MetricRecord, RecordDict
from flwr.serverapp import Grid
from flwr.serverapp.strategy import FedAvg


class Hoarder(FedAvg):
    """Remembers one of everything that can be kept, and moves by what it remembers."""

    def __init__(self, log: list[float], rate: float = 0.5) -> None:
        super().__init__()
        self.log, self.rate = log, rate  # what it was given, it writes to
        self.seen: dict[int, Any] = {}
        self.last: tuple[ArrayRecord, MetricRecord] | None = None

    def aggregate_train(
        self, server_round: int, replies: Iterable[Message]
    ) -> tuple[ArrayRecord | None, MetricRecord | None]:
        arrays, metrics = super().aggregate_train(server_round, replies)
        if arrays is None or metrics is None:
            return arrays, metrics
        total = sum(float(array.numpy().sum()) for array in arrays.values())
        ranks = np.argsort(arrays.to_numpy_ndarrays()[0].ravel()).astype(np.int16)
        self.seen[server_round] = [np.float32(total), -0.0, float("nan"), b"\x00\xff", None, ranks]
        self.log.append(total)
        shift = self.rate * sum(self.log) + sum(float(entry[0]) for entry in self.seen.values())
        before = self.last[0] if self.last else arrays
        self.last = (arrays, metrics)
        moved = {k: a.numpy() + shift + before[k].numpy() for k, a in arrays.items()}
        return ArrayRecord({k: Array(x.astype(np.float32)) for k, x in moved.items()}), metrics


class Unkeepable(FedAvg):
    def __init__(self) -> None:
        super().__init__()
        self.dice = np.random.default_rng(0)


class Chatty(FedAvg):
    def configure_train(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterable[Message]:
        config["lr"] = 0.1 / server_round
        return super().configure_train(server_round, arrays, config, grid)


class Favouring(FedAvg):
    def configure_train(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterable[Message]:
        sent = list(super().configure_train(server_round, arrays, config, grid))
        other = ArrayRecord({k: Array(a.numpy() + 1) for k, a in arrays.items()})
        return [*sent, Message(RecordDict({"arrays": other, "config": config}), 1, "train")]


class Waiting(FedAvg):
    def configure_train(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterable[Message]:
        while len(list(grid.get_node_ids())) < 100:
            pass
        return super().configure_train(server_round, arrays, config, grid)


class Sending(FedAvg):
    def configure_train(
        self, server_round: int, arrays: ArrayRecord, config: ConfigRecord, grid: Grid
    ) -> Iterable[Message]:
        grid.push_messages([])
        return super().configure_train(server_round, arrays, config, grid)
