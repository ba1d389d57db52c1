"""The server half of a strategy of Flower: messages to it and from it, between two states of tacit's.

A strategy of Flower is an object that changes. Here it is made anew in each round, reminded of what it
remembered, and asked what it remembers now. So a run that was killed goes on as one that was not.
"""

from __future__ import annotations

import gc
import logging
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from copy import deepcopy
from dataclasses import dataclass, field
from typing import Any

import flwr.serverapp.strategy as flower
import numpy as np
from flwr.app import Array, ArrayRecord, ConfigRecord, Message, MetricRecord, RecordDict
from flwr.serverapp.strategy import FedAvg, Strategy
from flwr.supercore.task_identity import TaskIdentity
from numpy.typing import NDArray

from ..simulations.config import ConfigError
from ..simulations.flower_strategy import UNIT
from ..simulations.importing import imported, line_of
from ..simulations.suggest import unknown
from ..strategies.listing import THERE
from ..strategies.strategy import Released, ServerState
from ..wire.errors import TacitError
from ..wire.messages import Arrays, part
from .remembered import remembered, remind
from .roll import Roll, StrategyError

MEMORY = "flower"
"""Under this name the state's memory holds the strategy's."""
TRAIN = "train"
ROUND, PROXIMAL = "server-round", "proximal-mu"
ROWS, WEIGHTED_BY = "num-examples", "weighted_by_key"
SAMPLES = ("fraction_train", "min_train_nodes", "min_available_nodes")
EVALUATES = ("fraction_evaluate", "min_evaluate_nodes")
PRIVATE = (
    flower.DifferentialPrivacyClientSideAdaptiveClipping,
    flower.DifferentialPrivacyClientSideFixedClipping,
    flower.DifferentialPrivacyServerSideAdaptiveClipping,
    flower.DifferentialPrivacyServerSideFixedClipping,
)
TREES = (flower.FedXgbBagging, flower.FedXgbCyclic)
NAMED: dict[str, type[Strategy]] = {
    name: cls
    for name in flower.__all__
    if isinstance(cls := vars(flower)[name], type) and issubclass(cls, Strategy)
    if cls is not Strategy and not issubclass(cls, (*PRIVATE, *TREES))
}
"""Flower's own strategies that can be named, without those of the two above."""


@dataclass(frozen=True, kw_only=True)
class ServerHalf:
    """A strategy of Flower over `clients`; see `FlowerStrategy`, of which it is the server half.

    Guarantees:
      - Equal arguments give equal bits, for a strategy that draws no random numbers.
      - What the object has in its attributes after a round is in the state, whole, or the run is refused.
    """

    name: str
    options: Mapping[str, Any] = field(default_factory=dict, hash=False)
    clients: int
    loss: str | None = None

    def try_round(self) -> None:
        """A round in which nobody moves, on a model of one number. Raises `ConfigError` if it fails."""
        state = ServerState(round=0, parameters={"w": np.ones(1)})
        everyone = np.full(self.clients, 1 / self.clients)
        mean = {"delta/w": np.zeros((self.clients, 1)), THERE: everyone}
        mean |= {"rows": UNIT * everyone, "loss": everyone}
        try:
            strategy = self._reminded(state)
            if self._aggregated(strategy, state, mean) is None:
                raise ConfigError(f"strategy: {self.name} makes nothing of {self.clients} replies.")
            remembered(strategy, self._made())
        except TacitError as error:
            raise ConfigError(str(error)) from None

    def proximal(self, state: ServerState) -> float:
        """The `proximal-mu` that the strategy sends, or 0."""
        return float(self._sent(self._reminded(state), state).get(PROXIMAL, 0.0))

    def step(self, state: ServerState, released: Released) -> ServerState:
        """The state with what the strategy made of the replies; unmoved, if that was nothing."""
        strategy = self._reminded(state)
        arrays = self._aggregated(strategy, state, released.mean)
        return ServerState(
            round=state.round + 1,
            parameters=state.parameters if arrays is None else arrays,
            memory={**state.memory, MEMORY: remembered(strategy, self._made())},
        )

    def _made(self) -> Strategy:
        """The strategy as it is before the first round, with whom it samples out of force."""
        if wrong := sorted(self.options.keys() & {*SAMPLES, *EVALUATES}):
            raise ConfigError(
                f"strategy.options.{wrong[0]}: tacit draws and measures clients itself; leave it out "
                "and say it in [sampler] and [evaluate]."
            )
        with self._calling("cannot be made", logging.ERROR):
            # Made in every round, it would warn in every round; a copy shares nothing with the next one.
            strategy = deepcopy(class_of(self.name)(**self.options))
        if isinstance(strategy, FedAvg):
            vars(strategy).update({"fraction_train": 1.0, **dict.fromkeys(SAMPLES[1:], 1)})
        return strategy

    def _reminded(self, state: ServerState) -> Strategy:
        """The strategy as it was after the last round."""
        strategy = self._made()
        remind(strategy, state.memory.get(MEMORY, {}))
        return strategy

    def _sent(self, strategy: Strategy, state: ServerState) -> Mapping[str, Any]:
        """What `strategy` sends to everyone beside the model.

        Raises `StrategyError` for what does not reach tacit's clients.
        """
        model = _record(state.parameters)
        with self._calling("cannot say what to send"):
            grid = Roll(self.clients)
            found = strategy.configure_train(state.round + 1, model, ConfigRecord(), grid)
            contents = [message.content for message in found]
        if not contents:
            raise StrategyError(f"strategy: {self.name} asks nobody to train.")
        configs = [_merged(content.config_records.values()) for content in contents]
        for content, config in zip(contents, configs, strict=True):
            if [*content.array_records.values()] != [model] or config != configs[0]:
                raise StrategyError(
                    f"strategy: {self.name} sends clients other models than the current one, or unlike "
                    "settings; tacit sends the same to all."
                )
        if odd := sorted(configs[0].keys() - {ROUND, PROXIMAL}):
            raise StrategyError(
                f"strategy: {self.name} sends clients {odd[0]!r}, which tacit's would ignore; they know "
                f"{PROXIMAL!r}, and [train] says the rest."
            )
        return configs[0]

    def _aggregated(
        self, strategy: Strategy, state: ServerState, mean: Arrays
    ) -> dict[str, NDArray[Any]] | None:
        """The parameters that `strategy` makes of the replies; None if it makes none."""
        self._sent(strategy, state)  # many remember the model that they send
        before, replies = state.parameters, self._replies(strategy, state.parameters, mean)
        with self._calling("cannot aggregate"):
            record, _ = strategy.aggregate_train(state.round + 1, replies)
        if record is None:
            return None
        found = {name: array.numpy() for name, array in record.items()}
        if found.keys() != before.keys() or any(
            found[k].shape != x.shape for k, x in before.items()
        ):
            raise StrategyError(f"strategy: {self.name} makes a model of other arrays.")
        return {name: found[name].astype(x.dtype) for name, x in before.items()}

    def _replies(self, strategy: Strategy, parameters: Arrays, mean: Arrays) -> list[Message]:
        """What Flower's clients would have answered: weights, not changes."""
        deltas, shares = part("delta", mean), mean[THERE]
        there = np.flatnonzero(shares > 0)
        rows = mean["rows"][there] / UNIT / shares[there]
        weights = np.rint(shares[there] * rows.sum()).astype(int)
        key = vars(strategy).get(WEIGHTED_BY, ROWS)
        arrays: list[dict[str, NDArray[Any]]] = [{} for _ in there]
        for name, x in parameters.items():
            listed = deltas[name]
            for at, model in zip(there, arrays, strict=True):
                model[name] = (x + listed[at] / shares[at]).astype(x.dtype)
        replies = []
        for at, weight, model in zip(there, weights, arrays, strict=True):
            metrics: dict[str, Any] = {key: int(weight)}
            if self.loss is not None:
                metrics[self.loss] = float(mean["loss"][at] / shares[at])
            replies.append(_reply(int(at) + 1, _record(model), MetricRecord(metrics)))
        return replies

    @contextmanager
    def _calling(self, what: str, least: int = logging.WARNING) -> Iterator[None]:
        """Flower logs what is of the level `least` meanwhile, and its errors are one line."""
        logger = logging.getLogger("flwr")
        level = logger.level
        logger.setLevel(least)
        gc.freeze()  # it may collect garbage after each array, every time among all that there is
        _identify()
        try:
            yield
        except TacitError:
            raise
        except Exception as error:
            raise StrategyError(f"strategy: {self.name} {what}: {line_of(error)}") from error
        finally:
            gc.unfreeze()
            logger.setLevel(level)


def class_of(name: str) -> type[Strategy]:
    """The class that `name` names. Raises `ConfigError` for one that tacit cannot vouch for, or run."""
    found = imported(name, "strategy.name") if ":" in name else vars(flower).get(name)
    if found is None or not isinstance(found, type) or not issubclass(found, Strategy):
        known = unknown("strategy of Flower", name, NAMED)
        raise ConfigError(f'strategy.name: {known} Your own is a Strategy, "package.module:Class".')
    if issubclass(found, PRIVATE):
        raise ConfigError(
            f"strategy.name: {name} adds noise that no ledger here can charge: what it reveals does not "
            "follow from what it says of itself. Tacit's own is accounted for: set mechanism.kind to "
            '"gaussian" or "adaptive".'
        )
    if issubclass(found, TREES):
        raise ConfigError(
            f"strategy.name: {name} aggregates trees of XGBoost, and tacit's tasks train arrays; run the "
            "Flower app as it is: `tacit run --flower`."
        )
    return found


def _record(arrays: Arrays) -> ArrayRecord:
    """In one order of names, whoever named them: some strategies go by it."""
    return ArrayRecord({name: Array(np.asarray(arrays[name])) for name in sorted(arrays)})


def _merged(configs: Iterable[ConfigRecord]) -> dict[str, Any]:
    return {key: value for config in configs for key, value in config.items()}


def _reply(node: int, arrays: ArrayRecord, metrics: MetricRecord) -> Message:
    content = RecordDict({"arrays": arrays, "metrics": metrics})
    return Message(content, reply_to=Message(RecordDict(), node, TRAIN))


def _identify() -> None:
    """Flower's Message reads here whose it is; on Flower's own engine that is known already."""
    try:
        _ = TaskIdentity.run_id
    except RuntimeError:
        TaskIdentity.run_id = TaskIdentity.node_id = TaskIdentity.task_id = 1
