"""Which rows DP-SGD would clip: those that it clips, found without leaving a trace."""

from __future__ import annotations

import math
from dataclasses import replace

import numpy as np
import pytest
import torch
from contracts.bits import assert_same_bits
from contracts.dpsgd import FAINT, KEY, VARIANTS, clipped_sum, fit, private, traces, variants
from contracts.learning import CPU, diabetes, digits, digits_task, linear_task
from numpy.typing import NDArray
from tacit.client import Data, Plain, Training, initial_parameters
from tacit.client.dpsgd import DPSGD
from tacit.client.private import Private
from tacit.privacy.noise import Noise
from tacit.strategies import Correction
from torch import nn

ROWS = 60
TRAINING = Training(batch_size=16)
SOMEWHERE = {"flat": 1.9, "per layer": 3.3, "ghost": 1.9}
"""Clips that some rows are longer than."""


def clipped(
    trainer: Private,
    data: Data,
    correction: Correction | None = None,
    training: Training = TRAINING,
) -> NDArray[np.bool_]:
    start = initial_parameters(trainer.plain.task, seed=1)
    rng = np.random.default_rng(3)
    return trainer.clipped(start, data, training, correction or Correction(), rng)


def norms_one_by_one(data: Data) -> NDArray[np.float64]:
    """The norm of each row's gradient in each weight, by plain autograd: shape (n, weights)."""
    task = digits_task(dropout=0.0)
    plain = Plain(task, CPU)
    plain.load(initial_parameters(task, seed=1))
    found = []
    for row in range(len(data)):
        plain.model.zero_grad()
        inputs, targets = plain.move(data.rows(slice(row, row + 1)))
        task.loss(plain.model(inputs), targets).sum().backward()
        found.append([float(w.grad.norm()) for w in plain.model.parameters() if w.grad is not None])
    return np.array(found)


@variants
def test_they_are_the_rows_whose_gradient_taken_alone_is_longer_than_the_clip(terms: DPSGD) -> None:
    data = digits().rows(slice(0, ROWS))
    norms = norms_one_by_one(data)
    lengths = np.linalg.norm(norms, axis=1)
    if terms.clipping == "per_layer":
        lengths = norms.max(1) * math.sqrt(norms.shape[1])
    terms = replace(terms, clip=float(np.sort(lengths)[20:22].mean()))  # between two of them
    found = clipped(private(digits_task(dropout=0.0), terms), data)
    assert found.tolist() == (lengths > terms.clip).tolist()
    assert found.sum() == ROWS - 21


@pytest.mark.parametrize("name", SOMEWHERE)
def test_they_are_the_rows_that_training_shortens(name: str) -> None:
    """What a row alone adds to the sum of a step, at the clip and at one that no row reaches."""
    clip = SOMEWHERE[name]
    terms, data = replace(VARIANTS[name], clip=clip), digits().rows(slice(0, 30))
    task = digits_task(dropout=0.0)
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        start = {n: t.detach().numpy().copy() for n, t in task.model().state_dict().items()}
    trainer = private(task, terms)
    found = trainer.clipped(start, data, TRAINING, Correction(), np.random.default_rng(3))
    for row in range(len(data)):
        one = data.rows(slice(row, row + 1))
        kept, whole = (clipped_sum(task, one, replace(terms, clip=most)) for most in (clip, 1e6))
        assert found[row] == (not np.allclose(kept, whole, rtol=1e-4))
    assert 0 < found.sum() < len(data)


def test_weights_and_transforms_of_a_strategy_come_before_the_clip() -> None:
    data = diabetes().rows(slice(0, 8))
    weights = np.array([0.0, 1e-6, 1e6, 1.0, 1.0, 1.0, 0.0, 1e6])
    trainer = private(linear_task(10), replace(FAINT, clip=0.3))
    plainly, weighted = clipped(trainer, data), clipped(trainer, data, Correction(weights=weights))
    assert weighted[[0, 1, 2, 6, 7]].tolist() == [False, False, True, False, True]
    assert weighted[[3, 4, 5]].tolist() == plainly[[3, 4, 5]].tolist()
    assert not clipped(trainer, data, Correction(transform=lambda loss: 0 * loss)).any()


@pytest.mark.parametrize("engine", ["hooks", "ghost"])
def test_a_row_without_a_finite_gradient_is_one_that_the_clip_leaves_out(engine: str) -> None:
    data = digits().rows(np.arange(10))  # a copy
    data.features[4] = np.inf
    terms = replace(VARIANTS["flat" if engine == "hooks" else "ghost"], clip=1e6)
    found = clipped(private(digits_task(dropout=0.0), terms), data)
    assert np.flatnonzero(found).tolist() == [4]


@variants
def test_nothing_stays_on_the_model_and_what_is_trained_after_is_the_same(terms: DPSGD) -> None:
    plain, few = Plain(digits_task(), CPU), Training(batch_size=16, steps=2)
    before = traces(plain.model)
    wanted = fit(Private(Plain(digits_task(), CPU), terms, Noise(KEY)), digits(), few).delta
    clipped(Private(plain, terms, Noise(bytes(32))), digits().rows(slice(0, ROWS)))
    assert traces(plain.model) == before
    assert_same_bits(plain.read(), initial_parameters(plain.task, seed=1))
    assert_same_bits(fit(Private(plain, terms, Noise(KEY)), digits(), few).delta, wanted)


def test_masks_of_dropout_follow_the_key() -> None:
    data, task = digits().rows(slice(0, ROWS)), digits_task(dropout=0.5)
    terms = replace(FAINT, clip=2.0)
    one, same, other = (clipped(private(task, terms, key), data) for key in (KEY, KEY, bytes(32)))
    assert np.array_equal(one, same)
    assert not np.array_equal(one, other)


def test_a_layer_that_cannot_be_hooked_leaves_nothing_behind() -> None:
    plain = Plain(
        replace(digits_task(), build=lambda: nn.Sequential(nn.Linear(64, 10), nn.BatchNorm1d(10))),
        CPU,
    )
    before = traces(plain.model)
    with pytest.raises(NotImplementedError):
        clipped(Private(plain, FAINT, Noise(KEY)), digits().rows(slice(0, 5)))
    assert traces(plain.model) == before
