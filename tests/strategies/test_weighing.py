"""What all strategies have in common that weigh clients by their losses, whatever the losses are."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from tacit.strategies import AFL, TERM, Fitted, Local, QFedAvg, Received, Released, ServerState

KINDS = ["qfedavg", "afl", "term"]
kinds = pytest.mark.parametrize("kind", KINDS)
LOSSES = st.lists(st.floats(0, 1e9), min_size=1, max_size=5)


def make(kind: str, clients: int) -> Any:  # noqa: ANN401 - one of three strategies
    options = {"qfedavg": QFedAvg(q=2.0), "afl": AFL(clients=clients), "term": TERM(t=0.5)}
    return options[kind]


def weighed(kind: str, losses: list[float], order: list[int] | None = None) -> NDArray[np.float64]:
    """How far the model goes towards each client in the second round: client k moves along axis k.

    A first round at the same losses lets the strategy learn their size.
    """
    strategy, count = make(kind, len(losses)), len(losses)
    state: ServerState = strategy.init({"w": np.zeros(count)})
    for _ in range(2):
        before, parts = strategy.start(state)["w"], []
        for client in order or range(count):
            seen = Fitted(
                delta={"w": np.eye(count)[client]},
                steps=1,
                learning_rate=0.1,
                local=Local(position=client, clients=count),
                received=Received(losses=np.full(2, losses[client]), guesses=np.zeros(2, np.int64)),
            )
            parts.append(strategy.contribute(seen, strategy.extras(state), {})[0])
        mean = {name: np.mean([part[name] for part in parts], axis=0) for name in parts[0]}
        state = strategy.step(state, Released(mean=mean, participation=1.0))
    moved: NDArray[np.float64] = strategy.start(state)["w"] - before
    return moved


@kinds
@given(losses=LOSSES)
def test_a_larger_loss_never_counts_for_less(kind: str, losses: list[float]) -> None:
    """Nothing is negative or NaN, at a loss of 0 or a huge one; AFL and TERM share out the whole."""
    found = weighed(kind, losses)
    assert (found >= 0).all()
    order = np.argsort(losses)
    assert (np.diff(found[order]) >= -1e-12).all()
    if kind == "qfedavg":
        assert found.sum() <= 1 + 1e-12
    else:
        assert found.sum() == pytest.approx(1)


@kinds
@given(losses=LOSSES, rng=st.randoms(use_true_random=False))
def test_the_order_of_clients_does_not_matter(kind: str, losses: list[float], rng: Any) -> None:  # noqa: ANN401
    order = list(range(len(losses)))
    rng.shuffle(order)
    np.testing.assert_allclose(weighed(kind, losses, order), weighed(kind, losses), atol=1e-9)


@kinds
@given(loss=st.floats(0, 1e9), count=st.integers(1, 5))
def test_equal_losses_count_alike(kind: str, loss: float, count: int) -> None:
    found = weighed(kind, [loss] * count)
    np.testing.assert_allclose(found, found[0], rtol=1e-9)
    if kind != "qfedavg":
        np.testing.assert_allclose(found, 1 / count, rtol=1e-9)
