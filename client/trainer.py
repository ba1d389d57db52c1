"""Local training: one resident model, loaded with each client's parameters in turn."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any, Protocol

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ..fairness.tables import Tables
from ..strategies.strategy import Correction, Fitted, Received
from ..wire.messages import EXAMPLES, Arrays, Statistics
from .data import Data
from .measure import Measure
from .objective import Objective
from .public import Public
from .task import Task
from .training import Training

EVALUATION_BATCH = 512


class Trainer(Protocol):
    """Fits a task on local data, and measures it. It keeps nothing from one call to the next."""

    def fit(
        self,
        parameters: Arrays,
        data: Data,
        training: Training,
        rate: float,
        correction: Correction,
        rng: np.random.Generator,
    ) -> Fitted:
        """Trains from `parameters` on `data` at learning rate `rate`; equal arguments, equal bits."""
        ...

    def evaluate(self, parameters: Arrays, data: Data) -> Statistics:
        """Sums over the rows of `data`: `examples`, `loss`, and whatever the task counts."""
        ...


class Plain:
    """Training without privacy, by any of the optimizers of `Training`.

    Guarantees:
      - The result depends on the arguments alone: not on earlier calls, nor on the global seeds.
      - `delta` has the names, shapes and dtypes of `parameters`.

    Raises ValueError if the parameters are not those of the task's model, or there are no rows.
    """

    def __init__(self, task: Task, device: torch.device) -> None:
        self.task = task
        self.device = device
        with torch.random.fork_rng(devices=[]):
            torch.manual_seed(0)
            self.model = task.model().to(device)
        loaded = floating(self.model)
        self._own = {k: b.clone() for k, b in self.model.named_buffers() if k not in loaded}

    def fit(
        self,
        parameters: Arrays,
        data: Data,
        training: Training,
        rate: float,
        correction: Correction,
        rng: np.random.Generator,
    ) -> Fitted:
        """See `Trainer`."""
        if not len(data):
            raise ValueError("Expected at least one training row, got none.")
        self.load(parameters)
        self.model.train()
        public = Public(self.model, training, correction)
        optimizer = make_optimizer(training, rate, public.weights)
        inputs, targets = self.move(data)
        objective = Objective(correction, self.device)
        steps, total = training.steps_of(rows=len(data)), torch.zeros((), device=self.device)
        with seeded(rng, self.device):
            for rows in batches(len(data), training.batch_size, steps, rng):
                chosen = torch.from_numpy(rows).to(self.device)
                optimizer.zero_grad(set_to_none=True)
                losses = self.task.loss(self.model(inputs[chosen]), targets[chosen])
                loss = losses.mean()
                (objective.of_batch(losses, chosen) + public.penalty()).backward()
                public.correct()
                if training.clip is not None:
                    nn.utils.clip_grad_norm_(self.model.parameters(), training.clip)
                optimizer.step()
                total += loss.detach()
        after = self.read()
        return Fitted(
            delta={name: after[name] - array for name, array in parameters.items()},
            steps=steps,
            learning_rate=rate,
            momentum=training.momentum if training.optimizer == "sgd" else 0.0,
            loss=float(total) / steps,
        )

    def evaluate(self, parameters: Arrays, data: Data) -> Statistics:
        """See `Trainer`."""
        sums = {EXAMPLES: float(len(data)), "loss": 0.0}
        for _, targets, outputs in self._outputs(parameters, data):
            self._add(sums, targets, outputs)
        return sums

    def measure(
        self, parameters: Arrays, data: Data, measure: Measure
    ) -> tuple[Statistics, Tables]:
        """What `evaluate` finds and, of the same rows, the tables that `measure` asks for."""
        sums, tables = {EXAMPLES: float(len(data)), "loss": 0.0}, measure.schema.zeros()
        for rows, targets, outputs in self._outputs(parameters, data):
            self._add(sums, targets, outputs)
            judged = measure.judge(self.task, outputs, targets, rows.groups)
            for name, table in measure.schema.count(judged).items():
                tables[name] += table
        return sums, tables

    def _add(self, sums: dict[str, float], targets: Tensor, outputs: Tensor) -> None:
        """Adds the statistics of a batch."""
        counts = self.task.statistics(outputs, targets)
        batch = {"loss": self.task.loss(outputs, targets).sum(), **counts}
        batch.pop(EXAMPLES, None)  # counted already, whatever the task says
        for name, value in batch.items():
            sums[name] = sums.get(name, 0.0) + float(value)

    def _outputs(self, parameters: Arrays, data: Data) -> Iterator[tuple[Data, Tensor, Tensor]]:
        """What the model of `parameters` says, batch by batch: rows, targets, outputs."""
        self.load(parameters)
        self.model.eval()
        with torch.inference_mode():
            for start in range(0, len(data), EVALUATION_BATCH):
                rows = data.rows(slice(start, start + EVALUATION_BATCH))
                inputs, targets = self.move(rows)
                yield rows, targets, self.model(inputs)

    def received(self, parameters: Arrays, data: Data) -> Received:
        """What the model of `parameters` does on each row of `data`, of which there is one at least."""
        guess = getattr(self.task, "guesses", None)
        losses, guesses = list[NDArray[np.float64]](), [np.zeros(0, np.int64)]
        for _, targets, outputs in self._outputs(parameters, data):
            losses.append(self.task.loss(outputs, targets).cpu().double().numpy())
            if guess is not None:
                guesses.append(guess(outputs).cpu().numpy())
        return Received(losses=np.concatenate(losses), guesses=np.concatenate(guesses))

    def move(self, data: Data) -> tuple[Tensor, Tensor]:
        """Features and targets, on the device."""
        features, targets = torch.from_numpy(data.features), torch.from_numpy(data.targets)
        return features.to(self.device), targets.to(self.device)

    def load(self, parameters: Arrays) -> None:
        """Gives the model these parameters, and its own buffers as they were at first."""
        own = floating(self.model)
        shapes = {name: tuple(tensor.shape) for name, tensor in own.items()}
        if odd := shapes.items() ^ {(name, array.shape) for name, array in parameters.items()}:
            raise ValueError(
                f"The parameters are not those of this model: {min(odd)[0]!r} differs."
            )
        with torch.no_grad():
            for name, buffer in self.model.named_buffers():
                if name in self._own:  # not federated, and not to be carried to the next client
                    buffer.copy_(self._own[name])
            for name, tensor in own.items():
                tensor.copy_(torch.tensor(parameters[name]))

    def read(self) -> dict[str, NDArray[Any]]:
        """A copy of the model's parameters, as `load` takes them."""
        return {name: t.detach().cpu().numpy().copy() for name, t in floating(self.model).items()}


def floating(model: nn.Module) -> dict[str, Tensor]:
    """What is federated: the floating-point parameters and buffers of a model, by name."""
    return {
        name: tensor for name, tensor in model.state_dict().items() if tensor.is_floating_point()
    }


def initial_parameters(task: Task, seed: int) -> dict[str, NDArray[Any]]:
    """The parameters that every client starts from: those of the task's model under `seed`."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = task.model()
    return {name: t.detach().numpy().copy() for name, t in floating(model).items()}


def choose_device(device: str) -> torch.device:
    """The device named, or with "auto" CUDA, else MPS, else the CPU.

    Raises ValueError for a device that this machine does not have.
    """
    available = {"cpu": True, "mps": torch.backends.mps.is_available()}
    available["cuda"] = torch.cuda.is_available()
    if device == "auto":
        device = next(name for name in ("cuda", "mps", "cpu") if available[name])
    if not available[device]:
        raise ValueError(f'This machine has no {device} device; use device = "cpu" or "auto".')
    return torch.device(device)


def batches(
    rows: int, size: int, steps: int, rng: np.random.Generator
) -> Iterator[NDArray[np.int64]]:
    """`steps` batches of row indices: permutation after permutation, each ending in what is left.

    >>> [len(b) for b in batches(5, 2, 4, np.random.default_rng(0))]
    [2, 2, 1, 2]
    """
    while True:
        order = rng.permutation(rows)
        for start in range(0, rows, size):
            if not steps:
                return
            steps -= 1
            yield order[start : start + size]


def make_optimizer(
    training: Training, rate: float, weights: list[nn.Parameter]
) -> torch.optim.Optimizer:
    """The optimizer that `training` names, with a fresh state."""
    decay = training.weight_decay
    match training.optimizer:
        case "sgd":
            return torch.optim.SGD(weights, rate, training.momentum, weight_decay=decay)
        case "adam":
            return torch.optim.Adam(weights, rate, weight_decay=decay)
        case "adamw":
            return torch.optim.AdamW(weights, rate, weight_decay=decay)
        case "adagrad":
            return torch.optim.Adagrad(weights, rate, weight_decay=decay)
        case "rmsprop":
            return torch.optim.RMSprop(
                weights, rate, momentum=training.momentum, weight_decay=decay
            )


@contextmanager
def seeded(rng: np.random.Generator, device: torch.device) -> Iterator[None]:
    """Within it, torch's generators (dropout draws from them) follow `rng`; then they are as before.

    `torch.manual_seed` would do, but it formats a stack trace for CUDA at every call.
    """
    generators = [torch.default_generator]
    if device.type == "cuda":
        torch.cuda.init()
        generators.append(torch.cuda.default_generators[device.index or 0])
    states = [generator.get_state() for generator in generators]
    seed = int(rng.integers(2**63))
    try:
        for generator in generators:
            generator.manual_seed(seed)
        yield
    finally:
        for generator, state in zip(generators, states, strict=True):
            generator.set_state(state)
