"""Every option of local training against its formula, written out in numpy for least squares.

Full batches in float64, so that what is compared is the formula and not the rounding.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field, replace

import numpy as np
import pytest
from contracts.learning import CPU, diabetes, linear_task
from numpy.typing import NDArray
from tacit.client import Plain, Training
from tacit.strategies import Correction

Vector = NDArray[np.float64]
DATA = diabetes().rows(slice(0, 50))
START: Vector = np.linspace(-1, 1, 10)
RATE, STEPS = 0.05, 6


def trained(training: Training, correction: Correction | None = None, steps: int = STEPS) -> Vector:
    """Where the trainer ends from `START`, on all rows in every step."""
    fitted = Plain(linear_task(10), CPU).fit(
        {"weight": START[np.newaxis]},
        DATA,
        replace(training, steps=steps, batch_size=len(DATA)),
        RATE,
        correction or Correction(),
        np.random.default_rng(0),
    )
    end: Vector = START + fitted.delta["weight"][0]
    return end


def slope(w: Vector) -> Vector:
    found: Vector = DATA.features.T @ (DATA.features @ w - DATA.targets) / len(DATA)
    return found


def clipped(g: Vector, most: float) -> Vector:
    return g * min(1.0, most / (float(np.linalg.norm(g)) + 1e-6))


@dataclass
class Memory:
    """What an optimizer remembers; each of the rules below reads as its paper does."""

    step: int = 0
    m: Vector = field(default_factory=lambda: np.zeros(10))
    v: Vector = field(default_factory=lambda: np.zeros(10))


def sgd(g: Vector, w: Vector, memory: Memory, rho: float = 0.0) -> Vector:
    memory.m = rho * memory.m + g
    return w - RATE * memory.m


def adam(g: Vector, w: Vector, memory: Memory) -> Vector:
    """Kingma and Ba 2015, algorithm 1."""
    memory.step += 1
    memory.m = 0.9 * memory.m + 0.1 * g
    memory.v = 0.999 * memory.v + 0.001 * g**2
    m, v = memory.m / (1 - 0.9**memory.step), memory.v / (1 - 0.999**memory.step)
    return w - RATE * m / (np.sqrt(v) + 1e-8)


def adagrad(g: Vector, w: Vector, memory: Memory) -> Vector:
    """Duchi et al. 2011."""
    memory.v = memory.v + g**2
    return w - RATE * g / (np.sqrt(memory.v) + 1e-10)


def rmsprop(g: Vector, w: Vector, memory: Memory, rho: float = 0.0) -> Vector:
    """Hinton's lecture 6e, with momentum on the scaled gradient."""
    memory.v = 0.99 * memory.v + 0.01 * g**2
    memory.m = rho * memory.m + g / (np.sqrt(memory.v) + 1e-8)
    return w - RATE * memory.m


Rule = Callable[[Vector, Vector, Memory], Vector]
Slope = Callable[[Vector], Vector]

FORMULAS: dict[str, tuple[Training, Rule, Slope]] = {
    "sgd": (Training(), sgd, slope),
    "momentum": (Training(momentum=0.9), lambda g, w, m: sgd(g, w, m, 0.9), slope),
    "adam": (Training(optimizer="adam"), adam, slope),
    "adagrad": (Training(optimizer="adagrad"), adagrad, slope),
    "rmsprop": (Training(optimizer="rmsprop"), rmsprop, slope),
    "rmsprop with momentum": (
        Training(optimizer="rmsprop", momentum=0.5),
        lambda g, w, m: rmsprop(g, w, m, 0.5),
        slope,
    ),
    "adamw": (
        Training(optimizer="adamw", weight_decay=0.3),
        lambda g, w, m: adam(g, w * (1 - RATE * 0.3), m),
        slope,
    ),
    "adam with decay": (
        Training(optimizer="adam", weight_decay=0.3), adam, lambda w: slope(w) + 0.3 * w,
    ),
    "weight decay": (Training(weight_decay=0.3), sgd, lambda w: slope(w) + 0.3 * w),
    "l2": (Training(l2=0.3), sgd, lambda w: slope(w) + 0.3 * w),
    "l1": (Training(l1=0.2), sgd, lambda w: slope(w) + 0.2 * np.sign(w)),
    "l1 and l2": (
        Training(l1=0.2, l2=0.3), sgd, lambda w: slope(w) + 0.2 * np.sign(w) + 0.3 * w,
    ),
    "clip": (Training(clip=0.1), sgd, lambda w: clipped(slope(w), 0.1)),
    "clip covers the penalty": (
        Training(clip=0.1, l2=3.0), sgd, lambda w: clipped(slope(w) + 3 * w, 0.1),
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", FORMULAS)
def test_an_option_does_what_its_formula_says(name: str) -> None:
    training, rule, gradient = FORMULAS[name]
    w, memory = START, Memory()
    for _ in range(STEPS):
        w = rule(gradient(w), w, memory)
    np.testing.assert_allclose(trained(training), w, rtol=0, atol=1e-12)


@pytest.mark.parametrize("proximal", [0.0, 2.0])
@pytest.mark.parametrize("pull", [None, np.linspace(-1, 3, 10)])
def test_the_correction_adds_exactly_its_formula(proximal: float, pull: Vector | None) -> None:
    """gradient + proximal * (w - w_received), in every step."""
    given = {} if pull is None else {"weight": pull[np.newaxis]}
    extra, w = np.zeros(10) if pull is None else pull, START
    for _ in range(STEPS):
        w = w - RATE * (slope(w) + extra + proximal * (w - START))
    found = trained(Training(), Correction(proximal=proximal, gradient=given))
    np.testing.assert_allclose(found, w, rtol=0, atol=1e-12)


@pytest.mark.parametrize("clip", [1e-3, 0.1, 1.0, 1e6])
def test_clip_bounds_how_far_one_step_goes(clip: float) -> None:
    """Whatever the gradient is, and whatever a strategy adds to it."""
    pull = Correction(gradient={"weight": np.full((1, 10), 50.0)})
    for correction in (None, pull):
        free = trained(Training(), correction, steps=1) - START
        kept = trained(Training(clip=clip), correction, steps=1) - START
        assert np.linalg.norm(kept) <= RATE * clip
        if np.linalg.norm(free) > RATE * clip:
            assert np.linalg.norm(kept) == pytest.approx(RATE * clip, rel=1e-2)
            cosine = free @ kept / np.linalg.norm(free) / np.linalg.norm(kept)
            assert cosine == pytest.approx(1.0)
        else:
            np.testing.assert_array_equal(kept, free)


def test_l2_is_weight_decay_for_sgd_and_for_nothing_that_scales_the_gradient_apart() -> None:
    for momentum in (0.0, 0.9):
        one = trained(Training(momentum=momentum, l2=0.3))
        other = trained(Training(momentum=momentum, weight_decay=0.3))
        np.testing.assert_allclose(one, other, rtol=0, atol=1e-13)
    one = trained(Training(optimizer="adamw", weight_decay=0.3))
    assert not np.allclose(one, trained(Training(optimizer="adam", weight_decay=0.3)), atol=1e-4)


def test_epochs_are_as_many_steps_as_it_takes_to_see_every_row() -> None:
    """50 rows in batches of 16 are 4 steps, the last of 2 rows; the same generator draws them."""
    trainer, start = Plain(linear_task(10), CPU), {"weight": START[np.newaxis]}
    ends = []
    for training in (Training(batch_size=16, epochs=3), Training(batch_size=16, steps=12)):
        fitted = trainer.fit(start, DATA, training, RATE, Correction(), np.random.default_rng(1))
        assert fitted.steps == 12
        ends.append(fitted.delta["weight"].tobytes())
    assert ends[0] == ends[1]


def test_the_last_small_batch_is_kept_and_weighs_as_much_as_any() -> None:
    """Two steps on three rows in batches of two: the second is on the third row alone."""
    data, trainer = DATA.rows(slice(0, 3)), Plain(linear_task(10), CPU)
    fitted = trainer.fit(
        {"weight": START[np.newaxis]},
        data,
        Training(batch_size=2),
        RATE,
        Correction(),
        np.random.default_rng(1),
    )
    rng = np.random.default_rng(1)
    rng.integers(2**63)
    order, w = rng.permutation(3), START
    for rows in (order[:2], order[2:]):
        x, y = data.features[rows], data.targets[rows]
        w = w - RATE * x.T @ (x @ w - y) / len(rows)
    np.testing.assert_allclose(START + fitted.delta["weight"][0], w, rtol=0, atol=1e-12)


@pytest.mark.parametrize("optimizer", ["adam", "adamw", "adagrad", "rmsprop"])
def test_only_the_momentum_of_sgd_is_reported(optimizer: str) -> None:
    """FedNova's formula for it holds for SGD alone."""
    training = Training.read({"optimizer": optimizer, "steps": 1})
    if optimizer == "rmsprop":
        training = replace(training, momentum=0.9)
    start = {"weight": START[np.newaxis]}
    rng = np.random.default_rng(0)
    trainer = Plain(linear_task(10), CPU)
    assert trainer.fit(start, DATA, training, RATE, Correction(), rng).momentum == 0.0
    heavy = Training(momentum=0.9, steps=1)
    assert trainer.fit(start, DATA, heavy, RATE, Correction(), rng).momentum == 0.9
