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

    def clipped(
        self,
        parameters: Arrays,
        data: Data,
        training: Training,
        correction: Correction,
        rng: np.random.Generator,
    ) -> NDArray[np.bool_]:
        """Which rows of `data` a step from `parameters` would clip, were all in its batch: shape (n,).

        That is whether the gradient of a row's objective, under its own masks of dropout, is longer than
        the clip, or no number; with "per_layer", whether any layer of it is. With "adaptive" the clip is
        that from which every fit starts. As many rows are in memory at once as in a fit, about.

        Nothing protects the answer: it is exact. It depends on no other row, but for rounding: a norm
        that equals the clip but for that may come out on either side of it.
        """
        self.plain.load(parameters)
        seed = [int(rng.integers(2**63)), *self.noise.words(1).tolist()]
        inputs, targets = self.plain.move(data)
        objective = Objective(correction, self.plain.device)
        found = np.zeros(len(data), np.bool_)
        with self._steps(training, 0.0, correction, len(data)) as steps:
            for number, part in enumerate(self._parts(np.arange(len(data)), training.batch_size)):
                chosen = torch.from_numpy(part).to(self.plain.device)
                steps.seed = [*seed, number]
                steps.objective = partial(_of_part, objective, chosen)
                found[part] = steps.clipped(inputs[chosen], targets[chosen]).cpu().numpy()
        return found

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

    def _parts(self, rows: NDArray[np.int64], most: int | None = None) -> list[NDArray[np.int64]]:
        """The rows, in as many parts as memory asks for; one that is empty, if there are none."""
        most = self.terms.physical_batch or most or max(len(rows), 1)
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
        self._ghost = ghost
        self.seed = [0]
        self.objective: Callable[[Tensor, Which], Tensor] = lambda losses, which: losses

    def add(self, inputs: Tensor, targets: Tensor, *, last: bool) -> None:
        """Adds the clipped gradients of these rows, shape (n, ...) with n >= 0; steps if `last`."""
        self.optimizer.zero_grad(set_to_none=True)
        (self._add_by_norm if self._ghost else self._add_by_gradient)(inputs, targets)
        self.optimizer.signal_skip_step(not last)
        self.optimizer.step()

    def clipped(self, inputs: Tensor, targets: Tensor) -> Tensor:
        """Which of these rows, shape (n, ...) with n >= 1, `add` would clip: shape (n,). Adds none."""
        self.optimizer.zero_grad(set_to_none=True)
        if self._ghost:
            norms, _ = self._norms(inputs, targets)
            return clip_factors(norms, self.optimizer.max_grad_norm, GHOST_SLACK) < 1
        self._add_by_gradient(inputs, targets)
        shortened: Tensor = self.optimizer.factors() < 1  # by weight
        return shortened.any(1)

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
        if len(inputs):
            self._second_pass(inputs, targets, *self._norms(inputs, targets))
        for weight in self.optimizer.params:
            if weight.grad is None:
                weight.grad = torch.zeros_like(weight)

    def _norms(self, inputs: Tensor, targets: Tensor) -> tuple[Tensor, Tensor]:
        """The norm of each row's gradient, and what it is the gradient of; each of shape (n,)."""
        for weight in self.optimizer.params:
            weight._norm_sample = weight.new_zeros(len(inputs))  # where it is not needed
        losses = self._losses(inputs, targets)
        losses.sum().backward(retain_graph=True)
        self.optimizer.zero_grad(set_to_none=True)
        return self.hooks.get_norm_sample(), losses

    def _second_pass(self, inputs: Tensor, targets: Tensor, norms: Tensor, losses: Tensor) -> None:
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
