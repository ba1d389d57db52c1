"""A model tried on a few rows for DP-SGD: what the names of its layers do not tell."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace

import torch
from opacus.grad_sample import GradSampleHooks
from torch import Tensor, nn
from torch.nn.modules.dropout import _DropoutNd

from ..privacy.noise import Noise
from .dpsgd import DPSGD
from .private import noised
from .task import Task

MIXED = (
    "the loss mixes rows: that of a row depends on the others in the batch, which no clip of single rows "
    "bounds: use a loss of each row by itself, or protect clients, with [mechanism]."
)
CLOSE = 1e-3
"""How far apart, relative to the largest, numbers may be that should be equal, in float32."""


def tried(
    task: Task, model: nn.Module, terms: DPSGD, features: Tensor, targets: Tensor
) -> Iterator[str]:
    """The reasons that rows of these features and targets give. The model is left as it comes out."""
    checks: list[Callable[[], Iterator[str]]] = [
        lambda: _moving(model, features),
        lambda: _mixing(model, features),
        lambda: _pairing(task, model, features, targets),
        lambda: _steps(task, model, terms, features, targets),
        lambda: _gradients(task, model, terms, features, targets),
    ]
    for check in checks:
        try:
            problems = list(check())
        except Exception as error:  # noqa: BLE001 - the model is someone else's
            yield _crash(model, error)
            return
        yield from problems
        if problems:
            return


def _moving(model: nn.Module, features: Tensor) -> Iterator[str]:
    """What a forward pass alone changes, in training mode."""
    state = [*model.named_parameters(), *model.named_buffers()]
    before = [tensor.detach().clone() for _, tensor in state]
    with torch.no_grad():
        model(features)
    for (name, tensor), old in zip(state, before, strict=True):
        if tensor.is_floating_point() and not torch.equal(tensor, old):
            yield (
                f"{name}: it moves in a forward pass in training mode, and no noise protects what it "
                "takes from the rows: leave it as it is while training."
            )


def _mixing(model: nn.Module, features: Tensor) -> Iterator[str]:
    """Compares a batch with its rows one by one; in evaluation mode if chance cannot be turned off."""
    _quiet(model)
    count = len(features)
    # A row of zeros beside them: the others may be one row, repeated.
    mixed = torch.cat([features, torch.zeros_like(features[:1])])
    with torch.no_grad():
        whole, again = model(mixed)[:count], model(mixed)[:count]
        if not torch.equal(whole, again):
            model.eval()
            whole = model(mixed)[:count]
        alone = torch.cat([model(features[row : row + 1]) for row in range(count)])
    model.train()
    if alone.shape != whole.shape or not _close(alone, whole):
        yield (
            "the model mixes rows: what it gives for a row depends on the others in the batch, which "
            "no clip of single rows bounds: compute each row by itself, as nn.LayerNorm does."
        )


def _pairing(task: Task, model: nn.Module, features: Tensor, targets: Tensor) -> Iterator[str]:
    """Compares the losses of a batch with those of its rows one by one, for the same outputs."""
    with torch.no_grad():
        outputs = model(features)
        whole = task.loss(outputs, targets)
        one_by_one = [task.loss(o[None], y[None]) for o, y in zip(outputs, targets, strict=True)]
    if not _close(torch.cat(one_by_one), whole):
        yield MIXED


def _steps(
    task: Task, model: nn.Module, terms: DPSGD, features: Tensor, targets: Tensor
) -> Iterator[str]:
    """Two private steps, one of them on no rows; and what has no gradient."""
    trained = [(name, p) for name, p in model.named_parameters() if p.requires_grad]
    if not trained:
        yield "the model has no parameter to train: set requires_grad on those that should be."
        return
    task.loss(model(features), targets).sum().backward()
    for name, weight in trained:
        if weight.grad is None:
            yield (
                f"{name}: the loss does not depend on it, but it would get noise in every step: "
                "remove it, or freeze it with requires_grad_(False)."
            )
    still = torch.optim.SGD([p for _, p in trained], lr=0.0)
    with noised(
        task, model, still, replace(terms, noise_multiplier=1.0), 1, Noise(bytes(32))
    ) as steps:
        steps.add(features, targets, last=True)
        steps.add(features[:0], targets[:0], last=True)


def _gradients(
    task: Task, model: nn.Module, terms: DPSGD, features: Tensor, targets: Tensor
) -> Iterator[str]:
    """Compares sums with autograd's, row by row, where chance can be turned off."""
    trained = {name: p for name, p in model.named_parameters() if p.requires_grad}
    _quiet(model)
    if not torch.equal(model(features), model(features)):
        return
    rows = [
        torch.autograd.grad(task.loss(model(x[None]), y[None]).sum(), list(trained.values()))
        for x, y in zip(features, targets, strict=True)
    ]
    norms = torch.stack([torch.cat([g.flatten() for g in row]).norm() for row in rows])
    longest, middle = float(norms.max()), float(norms.median())
    if not middle > 0:
        return

    def far(terms: DPSGD, clip: float) -> list[str]:
        """The parameters whose sums are not as they should be."""
        still = torch.optim.SGD(list(trained.values()), lr=0.0)
        with noised(task, model, still, _flat(terms, clip), 1, Noise(bytes(32))) as steps:
            _quiet(model)
            steps.add(features, targets, last=False)
            found = [weight.summed_grad for weight in steps.optimizer.params]
        factors = (clip / norms).clamp(max=1.0)
        wanted = (
            sum(f * g for f, g in zip(factors, parts, strict=True))
            for parts in zip(*rows, strict=True)
        )
        return [
            name
            for name, one, other in zip(trained, found, wanted, strict=True)
            if not _close(one, torch.as_tensor(other), least=CLOSE * longest)
        ]

    wrong = far(replace(terms, engine="hooks"), 2 * longest)
    for name in wrong:
        yield (
            f"{name}: Opacus' gradients of single rows are not those of autograd: use the parameter "
            "only by calling its own layer, and no option of that layer that Opacus overlooks."
        )
    if terms.engine == "ghost" and not wrong and far(terms, middle / 2):
        yield (
            "the model: Opacus' norms of single rows are not those of autograd, so the clip would "
            'bound the wrong thing: use engine = "hooks".'
        )


def _flat(terms: DPSGD, clip: float) -> DPSGD:
    return replace(terms, noise_multiplier=1.0, clipping="flat", clip=clip, physical_batch=None)


def _quiet(model: nn.Module) -> None:
    """Turns dropout off, and leaves the rest in training mode."""
    for module in model.modules():
        if isinstance(module, _DropoutNd):
            module.eval()


def _close(one: Tensor, other: Tensor, least: float = 0.0) -> bool:
    apart = float((one - other).abs().max())
    return apart <= CLOSE * max(float(other.abs().max()), least)


def _crash(model: nn.Module, error: Exception) -> str:
    line = first_line(error)
    if "modified inplace" in line:
        names = [name for name, m in model.named_modules() if getattr(m, "inplace", False)]
        return (
            f"{', '.join(names) or 'the model'}: it writes over the output of a layer, where Opacus has "
            "hooks: set inplace=False."
        )
    by_functorch = ", ".join(
        name or type(module).__name__
        for name, module in model.named_modules()
        if next(module.parameters(recurse=False), None) is not None
        and type(module) not in GradSampleHooks.GRAD_SAMPLERS
    )
    layers = f" Opacus has no rule of its own for {by_functorch}." if by_functorch else ""
    return f"the model fails in a private step: {type(error).__name__}: {line}{layers}"


def first_line(error: Exception) -> str:
    """What an exception says, cut to one line."""
    return f"{error}".strip().split("\n")[0][:200]
