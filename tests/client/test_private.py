"""DP-SGD: the contract of trainers, a step written out, what is left behind and what is refused."""

from __future__ import annotations

import math
from dataclasses import dataclass, replace

import numpy as np
import pytest
import torch
from contracts.bits import assert_same_bits, bits
from contracts.dpsgd import ENGINES, FAINT, KEY, engines, fit, private, traces, variants
from contracts.learning import CPU, diabetes, digits, digits_task, linear_task
from contracts.trainer import Problem, check_trainer
from tacit.client import Classification, Data, Plain, Training, initial_parameters
from tacit.client.clipping import GHOST_SLACK, SLACK
from tacit.client.dpsgd import DPSGD
from tacit.client.private import Private
from tacit.client.trainer import make_optimizer
from tacit.privacy.noise import Noise
from tacit.strategies import Correction, Fitted
from tacit.wire import Arrays
from torch import Tensor, nn


@dataclass(frozen=True)
class Keyed:
    """A key for each fit, drawn from its generator: what a client does with its secret and the round."""

    plain: Plain
    terms: DPSGD

    def fit(
        self,
        parameters: Arrays,
        data: Data,
        training: Training,
        rate: float,
        correction: Correction,
        rng: np.random.Generator,
    ) -> Fitted:
        trainer = Private(self.plain, self.terms, Noise(rng.bytes(32)))
        return trainer.fit(parameters, data, training, rate, correction, rng)

    def evaluate(self, parameters: Arrays, data: Data) -> dict[str, float]:
        return dict(Private(self.plain, self.terms, Noise(KEY)).evaluate(parameters, data))


@variants
def test_the_private_trainer_keeps_the_contract(terms: DPSGD) -> None:
    light = replace(terms, noise_multiplier=0.01)
    problems = [
        Problem(task=digits_task(dropout=0.3), data=digits()),
        Problem(task=linear_task(10), data=diabetes()),
    ]
    check_trainer(lambda task: Keyed(Plain(task, CPU), light), problems, says_loss=False)


def test_equal_keys_give_equal_bits_and_other_keys_give_others() -> None:
    task, training = digits_task(), Training(steps=3)
    one, same, other = (
        fit(private(task, FAINT, key), digits(), training).delta for key in (KEY, KEY, bytes(32))
    )
    assert_same_bits(one, same)
    assert bits(one) != bits(other)


# The step, written out: everything public is added after the noise.


OPTIONS = {
    "sgd": Training(),
    "momentum": Training(momentum=0.9),
    "adam": Training(optimizer="adam"),
    "adamw": Training(optimizer="adamw", weight_decay=0.3),
    "adagrad": Training(optimizer="adagrad"),
    "rmsprop": Training(optimizer="rmsprop", momentum=0.5),
    "weight decay": Training(weight_decay=0.3),
    "l1 and l2": Training(l1=0.2, l2=50.0),
}


@pytest.mark.parametrize("correction", [Correction(), Correction(proximal=20.0, gradient={
    "weight": np.linspace(-30, 30, 10)[np.newaxis]})], ids=["free", "corrected"])  # fmt: skip
@pytest.mark.parametrize("name", OPTIONS)
@engines
def test_a_step_is_the_optimizers_on_the_noised_mean_and_what_is_public(
    terms: DPSGD, name: str, correction: Correction
) -> None:
    """In float64, on Poisson batches, with the divisor q N; what is public is not clipped."""
    data, clip, z = diabetes().rows(slice(0, 30)), 0.4, 1.5
    training = replace(OPTIONS[name], steps=6, batch_size=10)
    start = np.linspace(-1, 1, 10)
    loud = replace(terms, clip=clip, noise_multiplier=z)
    trainer = private(linear_task(10), loud)
    found = trainer.fit(
        {"weight": start[np.newaxis]}, data, training, 0.05, correction, np.random.default_rng(3)
    ).delta["weight"]

    slack = GHOST_SLACK if terms.engine == "ghost" else SLACK
    weight, stream = nn.Parameter(torch.tensor(start)), Noise(KEY)
    optimizer = make_optimizer(training, 0.05, [weight])
    stream.words(1)
    for _ in range(6):
        chosen = stream.random(30) < 1 / 3
        w = weight.detach().numpy()
        x, y = data.features[chosen], data.targets[chosen]
        rows = x * (x @ w - y)[:, np.newaxis]
        norms = np.linalg.norm(rows, axis=1) * (1 + slack)
        total = (rows * np.minimum(1, clip / norms)[:, np.newaxis]).sum(0)
        mean = (total + stream.gaussian((1, 10), z * clip)[0]) / 10
        public = training.l1 * np.sign(w) + training.l2 * w + correction.proximal * (w - start)
        pull = correction.gradient.get("weight", np.zeros((1, 10)))[0]
        weight.grad = torch.tensor(mean + public + pull)
        optimizer.step()
    np.testing.assert_allclose(found[0], weight.detach().numpy() - start, rtol=0, atol=1e-9)


@pytest.mark.parametrize("weight", [0.5, 1e6, -1e6])
@engines
def test_a_weight_comes_before_the_clip(terms: DPSGD, weight: float) -> None:
    """One row counts, so that the step is its gradient times the weight, and no longer than the clip."""
    data, clip = diabetes().rows(slice(0, 8)), 0.3
    weights = np.zeros(8)
    weights[5] = weight
    correction, once = Correction(weights=weights), Training(steps=1, batch_size=8)
    trainer = private(linear_task(10), replace(terms, clip=clip))
    start = initial_parameters(linear_task(10), seed=1)["weight"][0]
    delta = fit(trainer, data, once, correction).delta["weight"][0]
    x, y = data.features[5], data.targets[5]
    gradient = weight * x * (x @ start - y)
    wanted = -gradient * min(1, clip / np.linalg.norm(gradient)) / 8
    np.testing.assert_allclose(delta, wanted, rtol=1e-4, atol=1e-8)
    assert np.linalg.norm(delta) * 8 <= clip * (1 + 1e-6)


@engines
def test_a_transform_is_of_single_rows_and_before_the_clip(terms: DPSGD) -> None:
    """d/dw ℓ²/2 of a row is ℓ times its gradient."""
    data, clip = diabetes().rows(slice(0, 8)), 0.3
    trainer = private(linear_task(10), replace(terms, clip=clip))
    start = initial_parameters(linear_task(10), seed=1)["weight"][0]
    once = Training(steps=1, batch_size=8)
    delta = fit(trainer, data, once, Correction(transform=half_square)).delta["weight"][0]
    errors = data.features @ start - data.targets
    rows = data.features * (errors * errors**2 / 2)[:, np.newaxis]
    factors = np.minimum(1, clip / np.linalg.norm(rows, axis=1))
    np.testing.assert_allclose(
        delta, -(rows * factors[:, np.newaxis]).mean(0), rtol=1e-4, atol=1e-7
    )


def half_square(loss: torch.Tensor) -> torch.Tensor:
    return loss.square() / 2


# What is left behind, and what is refused.


@variants
def test_the_model_can_be_trained_plainly_before_and_after(terms: DPSGD) -> None:
    task, training = digits_task(), Training(steps=4)
    wanted = fit(Plain(task, CPU), digits(), training).delta
    shared = Plain(task, CPU)
    before = traces(shared.model)
    for _ in range(2):
        fit(Private(shared, terms, Noise(KEY)), digits(), training)
        assert traces(shared.model) == before
        assert_same_bits(fit(shared, digits(), training).delta, wanted)
        shared.model.zero_grad()


@dataclass(frozen=True, kw_only=True)
class Failing(Classification):
    """A task whose loss fails in the third batch, after the forward pass."""

    calls: list[int]

    def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
        self.calls.append(len(outputs))
        if len(self.calls) == 3:
            raise RuntimeError("third")
        return super().loss(outputs, targets)


@variants
def test_a_fit_that_fails_leaves_nothing_of_opacus_or_of_a_row_on_the_model(terms: DPSGD) -> None:
    plain = Plain(Failing(build=digits_task().model, calls=[]), CPU)
    before = traces(plain.model)
    with pytest.raises(RuntimeError, match="third"):
        fit(Private(plain, terms, Noise(KEY)), digits(), Training(steps=9))
    assert traces(plain.model) == before


def test_a_layer_that_opacus_cannot_hook_leaves_nothing_on_the_model() -> None:
    plain = Plain(
        Classification(build=lambda: nn.Sequential(nn.Linear(64, 10), nn.BatchNorm1d(10))), CPU
    )
    before = traces(plain.model)
    with pytest.raises(NotImplementedError):
        fit(Private(plain, FAINT, Noise(KEY)), digits(), Training(steps=2))
    assert traces(plain.model) == before


class Drifting(nn.Module):
    """A buffer that takes something from every batch."""

    seen: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("seen", torch.zeros(64))
        self.head = nn.Linear(64, 10)

    def forward(self, rows: Tensor) -> Tensor:
        self.seen += rows.detach().sum(0)
        logits: Tensor = self.head(rows)
        return logits


@engines
def test_what_a_buffer_took_from_the_rows_does_not_leave(terms: DPSGD) -> None:
    class Inner(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.drift = Drifting()

        def forward(self, rows: Tensor) -> Tensor:
            logits: Tensor = self.drift(rows)
            return logits

    for build in (Drifting, Inner):
        task = Classification(build=build)
        delta = fit(private(task, terms), digits(), Training(steps=3)).delta
        assert not any(np.any(array) for name, array in delta.items() if "seen" in name)
        assert all(np.any(array) for name, array in delta.items() if "seen" not in name)


@engines
def test_the_loss_is_never_said(terms: DPSGD) -> None:
    assert math.isnan(fit(private(digits_task(), terms), digits(), Training(steps=1)).loss)


def test_a_clip_of_the_step_is_refused() -> None:
    with pytest.raises(ValueError, match=r"no training\.clip with DP-SGD, got 2\.0.*Leave it out"):
        fit(private(digits_task(), FAINT), digits(), Training(clip=2.0))


def test_terms_that_are_not_yet_of_one_client_are_refused() -> None:
    many = DPSGD(noise_multiplier={"a": 1.0})
    with pytest.raises(ValueError, match="use for_client"):
        fit(private(digits_task(), many), digits(), Training(steps=1))


def test_a_loss_that_is_not_of_single_rows_is_refused() -> None:
    class Averaged(Classification):
        def loss(self, outputs: Tensor, targets: Tensor) -> Tensor:
            return super().loss(outputs, targets).mean()

    with pytest.raises(ValueError, match=r"a loss for each of \d+ rows, got shape \(\)"):
        fit(private(Averaged(build=digits_task().model), FAINT), digits(), Training(steps=1))


@engines
def test_a_layer_that_the_loss_does_not_need_gets_noise_alone(terms: DPSGD) -> None:
    class WithSpare(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.used, self.spare = nn.Linear(64, 10), nn.Linear(3, 3)

        def forward(self, rows: Tensor) -> Tensor:
            logits: Tensor = self.used(rows)
            return logits

    task, low = Classification(build=WithSpare), replace(terms, noise_multiplier=0.01)
    delta = fit(private(task, low), digits(), Training(steps=1)).delta
    assert np.any(delta["used.weight"])
    assert np.all(delta["spare.weight"] != 0)
    assert float(np.abs(delta["spare.weight"]).max()) < 6 * 0.01 / 32


def test_what_is_frozen_stays_where_it_is() -> None:
    def half_frozen() -> nn.Module:
        model = nn.Sequential(nn.Linear(64, 8), nn.ReLU(), nn.Linear(8, 10))
        model[0].weight.requires_grad_(False)
        return model

    for terms in ENGINES.values():
        training = Training(steps=3, weight_decay=0.1, l2=0.1)
        task = Classification(build=half_frozen)
        delta = fit(private(task, replace(terms, noise_multiplier=1.0)), digits(), training).delta
        assert not np.any(delta["0.weight"])
        assert np.all(delta["2.weight"] != 0)
