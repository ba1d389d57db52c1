"""The clipped and noised sum of a batch's gradients, row by row, by Opacus and with our noise.

What is Opacus' own here: the gradients and norms of single rows, and the order of a step (clip, sum over
physical batches, noise, divide, then the hook in which what is public is added). What is ours, and why:

  - the factor of the clip, which in Opacus is NaN for a row whose gradient is not finite: its sum then
    is NaN, or whatever that row likes;
  - the noise, which in Opacus comes from torch's generator;
  - the norms of linear layers over sequences under "ghost", which Opacus takes from Gram matrices: they
    cancel in float32, so that a row may be much longer than its norm says; over 4 axes it has none;
  - what is left behind: `cleanup` leaves the last activations, which are private, on the modules.
"""

from __future__ import annotations

import math
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import torch
from opacus.grad_sample import (
    GradSampleHooks,
    GradSampleHooksFastGradientClipping,
)
from opacus.grad_sample.linear import (
    compute_linear_grad_sample,
    compute_linear_norm_sample,
)
from opacus.optimizers import (
    DPOptimizer,
    DPOptimizerFastGradientClipping,
)
from torch import Tensor, nn

from ..privacy.noise import Noise
from .dpsgd import DPSGD

SLACK = 2.0**-20
"""By how much a norm is taken to be longer than it was computed, for rounding."""
GHOST_SLACK = 2.0**-16
"""The same where norms are computed in float32."""
QUANTILE, PACE, SPAN = 0.5, 0.2, 100.0
"""The adaptive bound: which quantile it follows, how fast, and how far from where it began."""


def clip_factors(norms: Tensor, clip: float, slack: float = SLACK) -> Tensor:
    """What to multiply each row by, so that it is no longer than `clip`: at most 1, and 0 for no number.

    >>> clip_factors(torch.tensor([0.0, 0.5, 4.0, torch.inf, torch.nan]), 1.0, slack=0.0)
    tensor([1.0000, 1.0000, 0.2500, 0.0000, 0.0000])
    """
    factors = (clip / (norms * (1 + slack))).clamp(max=1.0)
    return torch.where(norms.isfinite(), factors, torch.zeros_like(factors))


def row_norms(rows: Tensor) -> Tensor:
    """The L2 norm of each row of (n, ...), in float64 where the device has it."""
    wide = None if rows.device.type == "mps" else torch.float64
    flat = rows.reshape(
        len(rows), math.prod(rows.shape[1:])
    )  # -1 is not known if there are no rows
    found: Tensor = torch.linalg.vector_norm(flat, dim=1, dtype=wide)
    return found


def add_noise(weights: list[Any], noise: Noise, deviation: float) -> None:
    """Sets every `grad` to `summed_grad` plus fresh normal noise of this deviation."""
    for weight in weights:
        if weight.dtype == torch.float64:
            drawn = torch.from_numpy(noise.gaussian(tuple(weight.shape), deviation))
        else:
            flat = torch.from_numpy(noise.gaussian32(weight.numel()))
            drawn = flat.mul_(deviation).reshape(weight.shape)
        weight.grad = weight.summed_grad + drawn.to(weight.device, weight.dtype)


class ByGradient(DPOptimizer):  # type: ignore[misc]
    """Clips the gradient of each row, flat, by layer or adaptively, and adds our noise.

    Guarantees:
      - A row adds at most `max_grad_norm` to the sum, in L2 norm over all weights; nothing, if its
        gradient or the norm of that is not finite.
      - The bound changes after the noise of a step, by what was noised; the noise is for the bound by
        which its step was clipped.
    """

    def __init__(
        self, optimizer: torch.optim.Optimizer, *, terms: DPSGD, expected: int, noise: Noise
    ) -> None:
        multiplier, self._count_deviation = terms.split(expected)
        super().__init__(
            optimizer,
            noise_multiplier=multiplier,
            max_grad_norm=terms.clip,
            expected_batch_size=expected,
        )
        self.max_grad_norm: float = terms.clip
        self._terms, self._noise, self._count = terms, noise, 0.0

    def clip_and_accumulate(self) -> None:
        """The sum of the clipped rows, added to `summed_grad`."""
        factors = self.factors()
        broken = not bool((factors > 0).all())
        for p, factor in zip(self.params, factors.unbind(1), strict=True):
            rows = p.grad_sample
            if broken:  # 0 x NaN is NaN
                rows = rows[factor > 0]
                factor = factor[factor > 0]
            part = torch.einsum("i,i...", factor.to(p.dtype), rows.to(p.dtype))
            p.summed_grad = part if p.summed_grad is None else p.summed_grad + part

    def factors(self) -> Tensor:
        """What each row of `grad_sample` is multiplied by in each weight: shape (n, weights)."""
        norms = torch.stack([row_norms(p.grad_sample) for p in self.params], 1)
        whole = torch.linalg.vector_norm(norms, dim=1, keepdim=True)
        if self._terms.clipping == "per_layer":
            each = clip_factors(norms, self.max_grad_norm / math.sqrt(norms.shape[1]))
            return torch.where(whole.isfinite(), each, torch.zeros_like(each))
        if self._terms.clipping == "adaptive":
            self._count += float((whole <= self.max_grad_norm).sum()) - len(whole) / 2
        return clip_factors(whole, self.max_grad_norm).expand_as(norms)

    def add_noise(self) -> None:
        """Noise for the current bound; then the next bound, from the noised count."""
        add_noise(self.params, self._noise, self.noise_multiplier * self.max_grad_norm)
        if self._terms.clipping == "adaptive":
            count = self._count + float(self._noise.gaussian((1,), self._count_deviation)[0])
            within = min(max(count / self.expected_batch_size + 0.5, 0.0), 1.0)
            moved = self.max_grad_norm * math.exp(-PACE * (within - QUANTILE))
            clip = self._terms.clip
            self.max_grad_norm = min(max(moved, clip / SPAN), clip * SPAN)
            self._count = 0.0


class ByNorm(DPOptimizerFastGradientClipping):  # type: ignore[misc]
    """Adds our noise to what was clipped by the factors of a second backward pass."""

    def __init__(
        self, optimizer: torch.optim.Optimizer, *, terms: DPSGD, expected: int, noise: Noise
    ) -> None:
        super().__init__(
            optimizer,
            noise_multiplier=terms.multiplier,
            max_grad_norm=terms.clip,
            expected_batch_size=expected,
        )
        self._noise = noise

    def add_noise(self) -> None:
        """Noise for the bound."""
        add_noise(self.params, self._noise, self.noise_multiplier * self.max_grad_norm)


def linear_norms(
    layer: nn.Linear, activations: list[Tensor], backprops: Tensor
) -> dict[nn.Parameter, Tensor]:
    """Norms of single rows' gradients: by Opacus for one vector a row, else from the gradients."""
    if backprops.dim() == 2:
        found: dict[nn.Parameter, Tensor] = compute_linear_norm_sample(
            layer, activations, backprops
        )
        return found
    gradients = compute_linear_grad_sample(layer, activations, backprops)
    return {p: row_norms(g).to(backprops.dtype) for p, g in gradients.items()}


class GhostHooks(GradSampleHooksFastGradientClipping):  # type: ignore[misc]
    """Opacus' norms of single rows, but for linear layers over sequences."""

    NORM_SAMPLERS = {  # noqa: RUF012 - as Opacus declares it
        **GradSampleHooksFastGradientClipping.NORM_SAMPLERS,
        nn.Linear: linear_norms,
    }


ON_MODULES = {
    "activations",
    "autograd_grad_sample_hooks",
    "ft_compute_sample_grad",
    "max_batch_len",
}
"""What Opacus keeps on modules while its hooks are attached."""
ON_WEIGHTS = {
    "grad_sample",
    "summed_grad",
    "_current_grad_sample",
    "_forward_counter",
    "_norm_sample",
}
"""What it keeps on parameters."""


@contextmanager
def attached(model: nn.Module, engine: str) -> Iterator[Any]:
    """Opacus' hooks on `model`. Afterwards, whatever happened, nothing of them or of a row is left.

    Raises NotImplementedError for a layer that they do not support.
    """
    kind = GhostHooks if engine == "ghost" else GradSampleHooks
    try:
        with warnings.catch_warnings():
            # Inputs need no gradient. Torch says so in each backward pass; it does no harm here.
            warnings.filterwarnings("ignore", message="Full backward hook is firing")
            yield kind(model, loss_reduction="sum")
    finally:
        for handle in vars(model).get("autograd_grad_sample_hooks", []):
            handle.remove()
        for module in model.modules():
            for name in ON_MODULES & vars(module).keys():
                delattr(module, name)
        for weight in model.parameters():
            weight.grad = None
            for name in ON_WEIGHTS & vars(weight).keys():
                delattr(weight, name)
