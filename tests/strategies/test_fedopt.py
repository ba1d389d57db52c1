"""The adaptive server optimizers against Reddi et al. 2021, algorithm 2, and FLamby's server rules.

Δ is the mean change of the clients, as in the paper. One difference, stated in the module: the
paper starts v at τ² or more, ours starts at zero, as FLamby's does (Ogier du Terrail et al. 2022,
arXiv 2210.04620).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray
from tacit.strategies import FedAdagrad, FedAdam, FedYogi, Released, Strategy

Floats = NDArray[np.float64]
Second = Callable[[Floats, Floats, float], Floats]

ADAGRAD: Second = lambda v, d, beta: v + d**2  # noqa: E731 - a line of the paper each
ADAM: Second = lambda v, d, beta: beta * v + (1 - beta) * d**2  # noqa: E731
YOGI: Second = lambda v, d, beta: v - (1 - beta) * d**2 * np.sign(v - d**2)  # noqa: E731


@pytest.mark.parametrize(
    ("kind", "second"), [(FedAdagrad, ADAGRAD), (FedAdam, ADAM), (FedYogi, YOGI)]
)
@pytest.mark.parametrize(
    ("eta", "beta1", "beta2", "tau"), [(0.1, 0.9, 0.99, 1e-3), (0.01, 0.0, 0.999, 1e-8)]
)
def test_each_round_follows_algorithm_2(
    kind: type[Any], second: Second, eta: float, beta1: float, beta2: float, tau: float
) -> None:
    rng = np.random.default_rng(0)
    settings = {"learning_rate": eta, "beta1": beta1, "tau": tau}
    strategy: Strategy = kind(**settings, **({} if kind is FedAdagrad else {"beta2": beta2}))
    x, m, v = rng.normal(size=(4, 3)), np.zeros((4, 3)), np.zeros((4, 3))
    state = strategy.init({"w": x})
    for size in (1.0, 0.01, 10.0, 1.0, 0.0, 1e-6):
        delta = size * rng.normal(size=(4, 3))
        state = strategy.step(state, Released(mean={"w": delta}, participation=0.1))
        m = beta1 * m + (1 - beta1) * delta
        v = second(v, delta, beta2)
        x = x + eta * m / (np.sqrt(v) + tau)
        np.testing.assert_allclose(state.parameters["w"], x, rtol=1e-12)
        np.testing.assert_allclose(state.memory["m"]["w"], m, rtol=1e-12)
        np.testing.assert_allclose(state.memory["v"]["w"], v, rtol=1e-12)


def flamby(rule: str, deltas: list[float], lr: float, tau: float) -> float:
    """The rules of FLamby's server, with the numbers that it uses."""
    w = m = v = 0.0
    for d in deltas:
        m = 0.9 * m + 0.1 * d
        match rule:
            case "fedadam":
                v = 0.999 * v + 0.001 * d**2
            case "fedyogi":
                v = v - 0.001 * d**2 * float(np.sign(v - d**2))
            case "fedadagrad":
                v = v + d**2
        w += lr * m / (v**0.5 + tau)
    return w


@pytest.mark.parametrize(
    ("rule", "strategy"),
    [
        ("fedadam", FedAdam(learning_rate=0.01, beta2=0.999, tau=1e-8)),
        ("fedyogi", FedYogi(learning_rate=0.01, beta2=0.999, tau=1e-8)),
        ("fedadagrad", FedAdagrad(learning_rate=0.01, tau=1e-8)),
    ],
)
def test_the_servers_of_flamby_move_the_same_way(rule: str, strategy: Strategy) -> None:
    deltas = [0.5, -0.25, 1.0, 0.125, 0.125]
    state = strategy.init({"w": np.zeros(1)})
    for delta in deltas:
        state = strategy.step(state, Released(mean={"w": np.array([delta])}, participation=1.0))
    wanted = flamby(rule, deltas, lr=0.01, tau=1e-8)
    np.testing.assert_allclose(state.parameters["w"], [wanted], rtol=1e-12)


def test_a_first_step_of_adam_by_hand() -> None:
    """Δ = 0.5: m = 0.05, v = 0.0025, and 1 + 0.1 · 0.05 / (0.05 + 0.001) = 1.0980392..."""
    strategy = FedAdam(learning_rate=0.1, beta1=0.9, beta2=0.99, tau=1e-3)
    state = strategy.init({"w": np.array([1.0])})
    state = strategy.step(state, Released(mean={"w": np.array([0.5])}, participation=1.0))
    np.testing.assert_allclose(state.parameters["w"], [1 + 0.005 / 0.051], rtol=1e-14)


def test_a_second_moment_of_yogi_is_never_negative() -> None:
    rng = np.random.default_rng(1)
    strategy = FedYogi(beta2=0.0)
    state = strategy.init({"w": np.zeros(50)})
    for _ in range(30):
        delta = rng.normal(size=50) * 10.0 ** rng.integers(-6, 6, 50)
        state = strategy.step(state, Released(mean={"w": delta}, participation=1.0))
        assert np.all(state.memory["v"]["w"] >= 0)
        assert np.all(np.isfinite(state.parameters["w"]))
