"""Local training with DP-SGD: what a client's rows do to its parameters is clipped and noised."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from functools import partial
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor, nn

from ..privacy.noise import Noise
from ..strategies.strategy import Correction, Fitted
from ..wire.messages import Arrays, Statistics
from .clipping import GHOST_SLACK, ByGradient, ByNorm, attached, clip_factors
from .data import Data
from .dpsgd import DPSGD
from .objective import Objective
from .public import Public
from .task import Task
from .trainer import Plain, make_optimizer, seeded
from .training import Training

Which = Tensor | slice
WHOLE = slice(None)


class Private:
    """Training by any optimizer of `Training`, each step as private as `terms.event` says.

    Abadi et al., Deep Learning with Differential Privacy, 2016 (arXiv 1607.00133), with the noise, the
    coins of the batches and the seed of dropout from `noise`. That is a stream: a second `fit` goes on
    where the first stopped, so give each fit that may be repeated a `Private` with a key of its own.
    The model is that of `plain`, which can train it before and after.

    A strategy's `weights` and `transform` change a row's loss before the clip. Weight decay, `l1`, `l2`
    and the rest of its correction are added after the noise. They are made of what is public or already
    noised, so they cost nothing, and are not clipped.

    Guarantees:
      - The rows enter by Poisson batches, and a row adds at most the clip to a step's sum; a row whose
        gradient is not finite adds nothing.
      - Every step has noise, once, and the divisor q N, whatever its batch; also the empty one.
      - Buffers do not move: `delta` is 0 for them. `loss` is NaN, for nothing protects it.
      - The result depends on the arguments, the key and the number of earlier draws alone.
      - Nothing of Opacus stays on the model, also where `fit` raises.

    It holds for a model in which `unfit` finds nothing: others may mix rows, where no clip helps.

    Raises ValueError if the parameters are not those of the task's model, there are no rows,
    `training.clip` is set, or `terms` are not for one client yet.
    """

    def __init__(self, plain: Plain, terms: DPSGD, noise: Noise) -> None:
        self.plain = plain
        self.terms = terms
        self.noise = noise

    def fit(
        self,
        parameters: Arrays,
        data: Data,
        training: Training,
        rate: float,
        correction: Correction,
        rng: np.random.Generator,
    ) -> Fitted:
        """See `Trainer`. The learning rate is `rate`; `rng` and the noise draw the dropout."""
        if not len(data):
            raise ValueError("Expected at least one training row, got none.")
        if training.clip is not None:
            raise ValueError(
                f"Expected no training.clip with DP-SGD, got {training.clip}: it bounds a step, not a "
                "row. Leave it out; the clip of the DP-SGD terms bounds each row."
            )
        self.plain.load(parameters)
        count, size = training.steps_of(rows=len(data)), training.batch_size
        chance = self.terms.rate(len(data), size)
        secret = self.noise.words(1).tolist()
        seed = [int(rng.integers(2**63)), *secret]
        inputs, targets = self.plain.move(data)
        objective = Objective(correction, self.plain.device)
        with self._steps(training, rate, correction, min(len(data), size)) as steps:
            for step in range(count):
                rows = np.flatnonzero(self.noise.random(len(data)) < chance)
                parts = self._parts(rows)
                for number, part in enumerate(parts, start=1):
                    chosen = torch.from_numpy(part).to(self.plain.device)
                    steps.seed = [*seed, step, number]
                    steps.objective = partial(_of_part, objective, chosen)
                    steps.add(inputs[chosen], targets[chosen], last=number == len(parts))
        after = self.plain.read()
        still = {name for name, _ in self.plain.model.named_buffers()}
        return Fitted(
            delta={
                name: np.zeros_like(array) if name in still else after[name] - array
                for name, array in parameters.items()
            },
            steps=count,
            learning_rate=rate,
            momentum=training.momentum if training.optimizer == "sgd" else 0.0,
            loss=math.nan,
        )

    def evaluate(self, parameters: Arrays, data: Data) -> Statistics:
        """As the plain trainer does: what it says is not noised."""
        return self.plain.evaluate(parameters, data)

    @contextmanager
    def _steps(
        self, training: Training, rate: float, correction: Correction, expected: int
    ) -> Iterator[Steps]:
        """What takes the steps; after each noise it adds what is public."""
        model = self.plain.model
        public = Public(model, training, correction)

        def add_public(_: object) -> None:
            if isinstance(penalty := public.penalty(), Tensor):
                penalty.backward()
            public.correct()

        optimizer = make_optimizer(training, rate, public.weights)
        with noised(self.plain.task, model, optimizer, self.terms, expected, self.noise) as found:
            found.optimizer.attach_step_hook(add_public)
            yield found

    def _parts(self, rows: NDArray[np.int64]) -> list[NDArray[np.int64]]:
        """The batch, in as many parts as memory asks for; one that is empty, if it is."""
        most = self.terms.physical_batch or max(len(rows), 1)
        return [rows[start : start + most] for start in range(0, max(len(rows), 1), most)]


def _of_part(objective: Objective, part: Tensor, losses: Tensor, which: Which) -> Tensor:
    """The objective of those rows of a part whose losses these are."""
    return objective.of_rows(losses, part[which])


@contextmanager
def noised(
    task: Task,
    model: nn.Module,
    optimizer: torch.optim.Optimizer,
    terms: DPSGD,
    expected: int,
    noise: Noise,
) -> Iterator[Steps]:
    """Steps of `optimizer` on noised sums. The model is in training mode, and Opacus is on it within."""
    model.train()
    with attached(model, terms.engine) as hooks:
        kind = ByNorm if terms.engine == "ghost" else ByGradient
        private = kind(optimizer, terms=terms, expected=expected, noise=noise)
        yield Steps(task=task, model=model, optimizer=private, hooks=hooks, ghost=kind is ByNorm)


class Steps:
    """Takes the parts of a batch, and with the last of them a noised step. Dropout follows `seed`.

    `objective` is what is minimised of a row, made of its loss and of which row of the part it is.
    """

    def __init__(
        self,
        *,
        task: Task,
        model: nn.Module,
        optimizer: Any,  # noqa: ANN401 - Opacus has no types
        hooks: Any,  # noqa: ANN401
        ghost: bool,
    ) -> None:
        self.task, self.model, self.optimizer, self.hooks = task, model, optimizer, hooks
        self._add = self._add_by_norm if ghost else self._add_by_gradient
        self.seed = [0]
        self.objective: Callable[[Tensor, Which], Tensor] = lambda losses, which: losses

    def add(self, inputs: Tensor, targets: Tensor, *, last: bool) -> None:
        """Adds the clipped gradients of these rows, shape (n, ...) with n >= 0; steps if `last`."""
        self.optimizer.zero_grad(set_to_none=True)
        self._add(inputs, targets)
        self.optimizer.signal_skip_step(not last)
        self.optimizer.step()

    def _losses(self, inputs: Tensor, targets: Tensor, which: Which = WHOLE) -> Tensor:
        with seeded(np.random.default_rng(self.seed), inputs.device):
            losses = self.task.loss(self.model(inputs[which]), targets[which])
        if losses.shape != (len(inputs),):
            raise ValueError(
                f"Expected a loss for each of {len(inputs)} rows, got shape {tuple(losses.shape)}."
            )
        return self.objective(losses, which)

    def _add_by_gradient(self, inputs: Tensor, targets: Tensor) -> None:
        if len(inputs):
            self._losses(inputs, targets).sum().backward()
        for weight in self.optimizer.params:
            if weight.grad_sample is None:  # no rows, or none of them needed it
                weight.grad_sample = weight.new_zeros((len(inputs), *weight.shape))

    def _add_by_norm(self, inputs: Tensor, targets: Tensor) -> None:
        weights = self.optimizer.params
        for weight in weights:
            weight._norm_sample = weight.new_zeros(len(inputs))  # where it is not needed
        if len(inputs):
            self._second_pass(inputs, targets)
        for weight in weights:
            if weight.grad is None:
                weight.grad = torch.zeros_like(weight)

    def _second_pass(self, inputs: Tensor, targets: Tensor) -> None:
        losses = self._losses(inputs, targets)
        losses.sum().backward(retain_graph=True)
        self.optimizer.zero_grad(set_to_none=True)
        norms = self.hooks.get_norm_sample()
        factors = clip_factors(norms, self.optimizer.max_grad_norm, GHOST_SLACK)
        good = norms.isfinite()
        if not good.any():
            return
        self.hooks.disable_hooks()
        if not good.all():  # 0 x NaN is NaN, so another row stands in, under the same masks
            whole = torch.arange(len(inputs), device=inputs.device)
            rows = torch.where(good, whole, whole[good][0])
            losses = self._losses(inputs, targets, rows)
        (factors.to(losses.dtype) * losses).sum().backward()
        self.hooks.enable_hooks()
        if not all(w.grad is None or w.grad.isfinite().all() for w in self.optimizer.params):
            self.optimizer.zero_grad(set_to_none=True)
