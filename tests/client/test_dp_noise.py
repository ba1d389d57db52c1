"""The noise and the batches of DP-SGD, and the bound that adapts: what is random, and how much of it."""

from __future__ import annotations

import math
from dataclasses import replace
from itertools import pairwise

import numpy as np
import pytest
import torch
from contracts.bits import assert_same_bits
from contracts.dpsgd import (
    FAINT,
    KEY,
    VARIANTS,
    engines,
    fit,
    one_step,
    private,
    silent,
    some,
    variants,
)
from contracts.learning import CPU, digits, digits_task
from tacit.client import Classification, Data, Plain, Task, Training
from tacit.client.dpsgd import DPSGD
from tacit.client.private import noised
from tacit.privacy.noise import Noise
from torch import Tensor, nn


@variants
def test_the_noise_has_its_deviation_on_every_layer_and_comes_once(terms: DPSGD) -> None:
    """12 800 and 8000 normal values: their deviation is 5 % off for one correct program in 10^9."""
    task, data = silent()
    loud = replace(terms, noise_multiplier=2.0, clip=0.5)
    wanted = loud.split(len(data))[0] * 0.5
    once = Training(steps=1, batch_size=len(data))
    for array in fit(private(task, loud), data, once).delta.values():
        assert np.std(array * len(data)) == pytest.approx(wanted, rel=0.05)
        assert abs(np.mean(array * len(data))) < 6 * wanted / math.sqrt(array.size)


@variants
def test_the_noise_is_the_stream_of_the_key_and_nothing_else(terms: DPSGD) -> None:
    """A word for dropout, a coin for each row, then the values of each layer in turn."""
    task, data = silent()
    stream = Noise(KEY)
    stream.words(1)
    stream.random(len(data))
    drawn = np.concatenate([stream.gaussian32(64 * 200), stream.gaussian32(200 * 40)])
    loud = replace(terms, noise_multiplier=2.0)
    deviation = np.float32(loud.split(len(data))[0])
    np.testing.assert_allclose(one_step(task, data, loud), deviation * drawn, atol=1e-5)


def test_an_empty_batch_takes_a_noised_step() -> None:
    """Rows = 20 and batch = 1: about a third of the batches is empty, and each step moves all weights."""
    task, data = silent(20)
    for terms in VARIANTS.values():
        loud = replace(terms, noise_multiplier=1.0)
        trainer = private(task, loud)
        stream, empty = Noise(KEY), 0
        stream.words(1)
        for _ in range(12):
            empty += not np.any(stream.random(20) < 0.05)
            stream.gaussian32(64 * 200), stream.gaussian32(200 * 40)
            if terms.clipping == "adaptive":
                stream.gaussian((1,))
        assert empty >= 2
        delta = fit(trainer, data, Training(steps=12, batch_size=1)).delta
        walked = np.concatenate([array.ravel() for array in delta.values()])
        if terms.clipping != "adaptive":  # whose bound moves
            assert np.std(walked) == pytest.approx(math.sqrt(12), rel=0.05)


@pytest.mark.parametrize(("rows", "batch"), [(1, 1), (1, 64), (3, 64), (20, 1)])
@engines
def test_small_clients_train(terms: DPSGD, rows: int, batch: int) -> None:
    fitted = fit(
        private(digits_task(), terms), some(rows=rows), Training(epochs=2, batch_size=batch)
    )
    assert fitted.steps == Training(epochs=2, batch_size=batch).steps_of(rows=rows)
    assert all(np.all(np.isfinite(array)) for array in fitted.delta.values())


@pytest.mark.parametrize("rows", [1, 3])
@variants
def test_a_client_with_fewer_rows_than_a_batch_divides_by_its_rows(terms: DPSGD, rows: int) -> None:
    ends = [
        fit(private(digits_task(), terms), some(rows=rows), Training(steps=2, batch_size=batch))
        for batch in (rows, 64)
    ]
    assert_same_bits(ends[0].delta, ends[1].delta)


# The batches.


class Recorder(nn.Module):
    """Writes down how many rows it sees."""

    sizes: list[int] = []  # noqa: RUF012 - the model is made where a test cannot reach it

    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(2, 2)

    def forward(self, rows: Tensor) -> Tensor:
        self.sizes.append(len(rows))
        logits: Tensor = self.layer(rows)
        return logits


def test_the_sizes_of_batches_vary_as_those_of_poisson_sampling() -> None:
    """1000 sizes, binomial of 200 rows at 0.1: mean 20, variance 18. Bounds at 5 deviations: 10^-6."""
    data = Data(features=np.ones((200, 2), np.float32), targets=np.zeros(200, np.int64))
    Recorder.sizes.clear()
    fit(private(Classification(build=Recorder), FAINT), data, Training(steps=1000, batch_size=20))
    sizes = np.array(Recorder.sizes)
    assert len(sizes) == 1000
    assert abs(sizes.mean() - 20) < 5 * math.sqrt(18 / 1000)
    assert abs(sizes.var() / 18 - 1) < 5 * math.sqrt(2 / 1000)


def test_no_more_rows_are_in_memory_at_once_than_is_said() -> None:
    data = Data(features=np.ones((40, 2), np.float32), targets=np.zeros(40, np.int64))
    task, training = Classification(build=Recorder), Training(steps=5, batch_size=20)
    Recorder.sizes.clear()
    apart = fit(private(task, replace(FAINT, physical_batch=7)), data, training).delta
    assert max(Recorder.sizes) == 7
    whole = fit(private(task, FAINT), data, training).delta
    for name, array in whole.items():
        np.testing.assert_allclose(apart[name], array, rtol=0, atol=1e-6)


# The adaptive bound.


def bounds(terms: DPSGD, task: Task, data: Data, count: int) -> list[float]:
    """The bound before each step and after the last, on all rows and without moving the model."""
    model, found = Plain(task, CPU).model, [terms.clip]
    still = torch.optim.SGD(model.parameters(), lr=0.0)
    size = terms.physical_batch or len(data)
    starts = range(0, len(data), size)
    with noised(task, model, still, terms, len(data), Noise(KEY)) as steps:
        for _ in range(count):
            for start in starts:
                part = data.rows(slice(start, start + size))
                features, targets = torch.tensor(part.features), torch.tensor(part.targets)
                steps.add(features, targets, last=start == starts[-1])
            found.append(steps.optimizer.max_grad_norm)
    return found


def norms(task: Task, data: Data) -> list[float]:
    model = Plain(task, CPU).model
    losses = task.loss(model(torch.tensor(data.features)), torch.tensor(data.targets))
    rows = [torch.autograd.grad(loss, [*model.parameters()], retain_graph=True) for loss in losses]
    return [float(torch.cat([g.flatten() for g in row]).norm()) for row in rows]


@pytest.mark.parametrize("physical_batch", [None, 70])
@pytest.mark.parametrize("clip", [0.1, 50.0])
def test_the_bound_goes_to_the_median_norm_from_below_and_from_above(
    clip: float, physical_batch: int | None
) -> None:
    """Of 200 rows in each step; a step is at most a factor of exp(0.1)."""
    task, data = digits_task(dropout=0.0), digits().rows(slice(0, 200))
    terms = DPSGD(
        clip=clip, noise_multiplier=0.5, clipping="adaptive", physical_batch=physical_batch
    )
    found = bounds(terms, task, data, 60)
    assert found[-1] == pytest.approx(float(np.median(norms(task, data))), rel=0.2)
    assert all(0.9 < b / a < 1.106 for a, b in pairwise(found))


def test_the_bound_stays_within_a_hundredth_and_a_hundredfold_of_where_it_began() -> None:
    """Rows of zeros have norm 0, so the bound falls; rows with far longer gradients let it rise."""
    terms = replace(FAINT, clipping="adaptive", clip=2.0)
    assert bounds(terms, *silent(), 60)[-1] == 0.02
    long = Data(features=np.full((20, 64), 1e6, np.float32), targets=np.zeros(20, np.int64))
    assert bounds(terms, silent()[0], long, 60)[-1] == 200.0


def test_the_noise_is_for_the_bound_by_which_its_step_was_clipped() -> None:
    """All norms are below the bound, which falls by a factor of exp(-0.1) from step to step."""
    task, data = silent()
    terms = DPSGD(noise_multiplier=1e-3, clipping="adaptive")
    twice = Training(steps=2, batch_size=len(data))
    once = replace(twice, steps=1)
    ends = [fit(private(task, terms), data, training).delta for training in (once, twice)]
    first, second = (
        np.concatenate([a.ravel() for a in part.values()])
        for part in (ends[0], {k: ends[1][k] - a for k, a in ends[0].items()})
    )
    assert np.std(second) / np.std(first) == pytest.approx(math.exp(-0.1), rel=0.03)


def test_every_fit_begins_with_the_bound_that_was_set() -> None:
    task, data = silent()
    trainer = private(task, DPSGD(noise_multiplier=1.0, clipping="adaptive"))
    few = Training(steps=8, batch_size=len(data))
    one, other = (
        np.concatenate([a.ravel() for a in fit(trainer, data, few).delta.values()])
        for _ in range(2)
    )
    assert np.std(one) == pytest.approx(np.std(other), rel=0.15)
