"""Private trainers in all their variants, and what a step of theirs adds up."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
from contracts.learning import CPU, digits
from numpy.typing import NDArray
from tacit.client import Classification, Data, Plain, Task, Training, initial_parameters
from tacit.client.dpsgd import DPSGD
from tacit.client.private import Private, noised
from tacit.privacy.noise import Noise
from tacit.strategies import Correction, Fitted
from torch import nn

KEY = bytes(range(32))
FAINT = DPSGD(noise_multiplier=1e-9)
VARIANTS = {
    "flat": FAINT,
    "per layer": replace(FAINT, clipping="per_layer"),
    "adaptive": replace(FAINT, clipping="adaptive"),
    "ghost": replace(FAINT, engine="ghost"),
    "flat, in parts": replace(FAINT, physical_batch=7),
    "per layer, in parts": replace(FAINT, clipping="per_layer", physical_batch=7),
    "adaptive, in parts": replace(FAINT, clipping="adaptive", physical_batch=7),
    "ghost, in parts": replace(FAINT, engine="ghost", physical_batch=7),
}
variants = pytest.mark.parametrize("terms", VARIANTS.values(), ids=VARIANTS)
ENGINES = {name: VARIANTS[name] for name in ("flat", "per layer", "ghost")}
engines = pytest.mark.parametrize("terms", ENGINES.values(), ids=ENGINES)


def private(task: Task, terms: DPSGD, key: bytes = KEY) -> Private:
    return Private(Plain(task, CPU), terms, Noise(key))


def fit(
    trainer: Private | Plain,
    data: Data,
    training: Training,
    correction: Correction | None = None,
    rate: float = 1.0,
) -> Fitted:
    task = trainer.task if isinstance(trainer, Plain) else trainer.plain.task
    given = correction or Correction()
    rng = np.random.default_rng(3)
    return trainer.fit(initial_parameters(task, seed=1), data, training, rate, given, rng)


def one_step(task: Task, data: Data, terms: DPSGD) -> NDArray[np.float64]:
    """The noised sum of a step on all rows, end to end."""
    trainer = private(task, terms)
    delta = fit(trainer, data, Training(steps=1, batch_size=len(data))).delta
    names = [name for name, _ in trainer.plain.model.named_parameters()]  # each once, if it has two
    return -np.concatenate([delta[name].ravel() for name in names]) * len(data)


def some(shape: tuple[int, ...] = (64,), rows: int = 12) -> Data:
    data = digits().rows(slice(0, rows))
    return Data(features=data.features.reshape(rows, *shape), targets=data.targets)


def clipped_sum(task: Task, data: Data, terms: DPSGD) -> NDArray[np.float64]:
    """The sum before the noise, in the parts of `physical_batch`."""
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        model = task.model()
    still = torch.optim.SGD(model.parameters(), lr=0.0)
    size = terms.physical_batch or len(data)
    with noised(task, model, still, terms, len(data), Noise(KEY)) as steps:
        for start in range(0, len(data), size):
            part = data.rows(slice(start, start + size))
            steps.add(torch.tensor(part.features), torch.tensor(part.targets), last=False)
        sums = [p.summed_grad.double().flatten() for p in steps.optimizer.params]
    found: NDArray[np.float64] = torch.cat(sums).numpy()
    return found


def silent(rows: int = 20) -> tuple[Classification, Data]:
    """Rows of zeros through layers without biases: every gradient is 0, and all that moves is noise."""
    data = Data(features=np.zeros((rows, 64), np.float32), targets=np.zeros(rows, np.int64))
    return Classification(build=without_biases), data


def without_biases() -> nn.Module:
    return nn.Sequential(nn.Linear(64, 200, bias=False), nn.Linear(200, 40, bias=False))


def traces(model: nn.Module) -> list[object]:
    """Whatever could have been put on a model, but for the values of its weights."""
    on_modules = [
        (sorted(vars(m)), len(m._forward_hooks), len(m._backward_hooks), len(m._forward_pre_hooks))
        for m in model.modules()
    ]
    return [on_modules, [(sorted(vars(p)), p.grad is None) for p in model.parameters()]]
