"""Whether a model can be trained with DP-SGD: every reason why not, before a row is touched.

Opacus refuses some layers. Others it lets through although they leak, or although the gradients that it
finds for single rows are not those of autograd, so that the clip bounds the wrong thing. What a layer's
name does not tell is tried on a few rows.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
import torch
from opacus.layers.dp_rnn import DPRNNBase
from opacus.validators import ModuleValidator
from torch import nn
from torch.nn.modules.batchnorm import _BatchNorm
from torch.nn.modules.instancenorm import _InstanceNorm

from .clipping import ON_MODULES
from .data import Data
from .dpsgd import DPSGD
from .survival import Cox
from .task import Task
from .trainer import floating
from .training import Training
from .trial import MIXED, first_line, tried

ROWS = 4
"""How many rows a model is tried on."""

REPLACEMENTS: dict[type[nn.Module], str] = {
    _BatchNorm: "it normalises a row by the other rows of the batch and keeps their statistics, also "
    "when frozen: use nn.GroupNorm",
    nn.LSTM: "it has no gradients of single rows: use opacus.layers.DPLSTM, for every client",
    nn.GRU: "it has no gradients of single rows: use opacus.layers.DPGRU, for every client",
    nn.RNN: "it has no gradients of single rows, which Opacus does not say: use opacus.layers.DPRNN, "
    "for every client",
    nn.MultiheadAttention: "it has no gradients of single rows: use "
    "opacus.layers.DPMultiheadAttention, for every client, as its parameters have other names",
}


def unfit(
    task: Task, terms: DPSGD, sample: Data, training: Training | None = None, seed: int = 0
) -> list[str]:
    """All the reasons why DP-SGD by `terms` cannot train the task's model; none if it can.

    A reason is one line: what, why and what to use instead. `sample` holds a row or more like those of a
    client; only the first few are tried. The model that is tried is a fresh one, under `seed`.

    Guarantees:
      - The global generators are as before, and nothing of Opacus is left on the model.

    Raises ValueError if `sample` is empty.

    >>> from tacit.client import Classification
    >>> sample = Data(features=np.ones((3, 2), np.float32), targets=np.array([0, 1, 1]))
    >>> task = Classification(build=lambda: nn.Linear(2, 2))
    >>> unfit(task, DPSGD(noise_multiplier=1.0), sample)
    []
    """
    if not len(sample):
        raise ValueError("Expected at least one row to try the model on, got none.")
    features, targets = (
        torch.from_numpy(array[np.arange(ROWS) % len(sample)].copy())
        for array in (sample.features, sample.targets)
    )
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        model = task.model().train()
        found = [*_layers(model), *_state(model), *_sharing(model, terms), *_pairing(task)]
        if not found:  # else what is tried would only fail for the same reasons
            found = list(tried(task, model, terms, features, targets))
    if training is not None and training.clip is not None:
        found.append(
            "training.clip is set: it bounds a step, where DP-SGD bounds each row: leave it out."
        )
    return found


def _pairing(task: Task) -> Iterator[str]:
    """What a few rows might not show: a batch without events has a loss of 0."""
    if isinstance(task, Cox):
        yield MIXED


def _layers(model: nn.Module) -> Iterator[str]:
    """What is known by the type of a layer, subclasses included."""
    for name, module in model.named_modules():
        what = f"{name or 'the model'} ({type(module).__name__})"
        known = [why for kind, why in REPLACEMENTS.items() if isinstance(module, kind)]
        if known:
            yield f"{what}: {known[-1]}."
        elif isinstance(module, _InstanceNorm) and module.track_running_stats:
            yield f"{what}: it keeps statistics of rows: set track_running_stats=False."
        elif type(module) in ModuleValidator.VALIDATORS and any(
            p.requires_grad for p in module.parameters(recurse=False)
        ):
            for error in ModuleValidator.VALIDATORS[type(module)](module):
                yield f"{what}: {first_line(error)}"
        if getattr(module, "padding_idx", None) is not None:
            yield f"{what}: noise would move the row of the padding too: leave padding_idx out."
        if getattr(module, "max_norm", None) is not None:
            yield f"{what}: it shortens the weights that rows look up, without noise: leave max_norm out."
        if clash := sorted(name for name in ON_MODULES if hasattr(module, name)):
            yield f"{what}: Opacus keeps its own {clash[0]!r} on a layer: rename the attribute."


def _state(model: nn.Module) -> Iterator[str]:
    """Whether what is sent is what is trained, and is of a kind that can be noised."""
    own = {name: tensor.data_ptr() for name, tensor in floating(model).items()}
    for name, weight in model.named_parameters():
        if not weight.requires_grad or not weight.numel():
            continue
        if weight.dtype not in (torch.float32, torch.float64):
            yield f"{name}: {weight.dtype} is too coarse to clip and to noise: use torch.float32."
        if own.get(name) != weight.data_ptr():
            yield (
                f"{name}: the model's state_dict has it under another name or as a copy, so what is "
                "loaded is not trained: use layers that keep their parameters as they are."
            )


def _sharing(model: nn.Module, terms: DPSGD) -> Iterator[str]:
    """Tensors that two layers own. (The recurrent layers of Opacus own theirs by two names.)"""
    seen: dict[int, str] = {}
    for name, module in model.named_modules():
        if terms.engine != "ghost" or isinstance(module, DPRNNBase):
            continue
        for own, weight in module.named_parameters(name, recurse=False):
            first = seen.setdefault(id(weight), own)
            if first != own:
                yield (
                    f'{own}: it is the same tensor as {first}, of which engine = "ghost" sees one '
                    'use only: use engine = "hooks", or two tensors.'
                )
