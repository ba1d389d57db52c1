"""Every strategy keeps the contract, and refuses hyper-parameters under which it is not itself."""

from __future__ import annotations

import math
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from contracts.strategy import check_strategy
from tacit.strategies import (
    AFL,
    TERM,
    Ditto,
    FairFed,
    FedAdagrad,
    FedAdam,
    FedAvg,
    FedAvgM,
    FedFB,
    FedMGDA,
    FedMinMax,
    FedNova,
    FedProx,
    FedYogi,
    PropFair,
    QFedAvg,
    Reweighing,
    Scaffold,
    Strategy,
)

STRATEGIES: list[Strategy] = [
    FedAvg(),
    FedAvg(learning_rate=0.5),
    FedAvgM(),
    FedAvgM(learning_rate=0.3, momentum=0.0),
    FedAdam(),
    FedAdam(learning_rate=0.01, beta1=0.0, beta2=0.999, tau=1e-8),
    FedYogi(),
    FedAdagrad(),
    FedProx(),
    FedProx(mu=0.0),
    FedNova(),
    Scaffold(),
    Scaffold(learning_rate=0.5),
    QFedAvg(q=0.0),
    QFedAvg(q=1.0),
    QFedAvg(q=3.0),
    QFedAvg(q=10.0),
    AFL(clients=2),
    TERM(),
    TERM(learning_rate=0.5, t=20.0),
    PropFair(),
    Ditto(),
    Ditto(learning_rate=0.5, pull=0.0),
    FedMinMax(attribute="sex", groups=2),
    FedMinMax(attribute="sex", groups=3, learning_rate=0.5, mixing_rate=1.0),
    Reweighing(attribute="sex"),
    FedMGDA(clients=2),
    FedMGDA(clients=3, learning_rate=0.5, epsilon=1.0),
    FairFed(attribute="sex", clients=2),
    FairFed(attribute="sex", clients=2, learning_rate=0.5, metric="parity", reweigh=False),
    Reweighing(attribute="sex", weights=((1.0, 2.0), (0.5, 1.0))),
    FedFB(attribute="sex", groups=2, classes=2),
    FedFB(attribute="sex", groups=3, classes=2, learning_rate=0.5, alpha=2.0),
]


@pytest.mark.parametrize("strategy", STRATEGIES, ids=repr)
def test_a_strategy_keeps_the_contract(strategy: Strategy, tmp_path: Path) -> None:
    check_strategy(strategy, tmp_path)


SOME: dict[type[Any], Any] = {type(strategy): strategy for strategy in STRATEGIES}

POSITIVE: list[tuple[type[Any], str]] = [
    *(
        (kind, "learning_rate")
        for kind in {type(strategy) for strategy in STRATEGIES if "learning_rate" in vars(strategy)}
    ),
    *((kind, "tau") for kind in (FedAdam, FedYogi, FedAdagrad)),
    (AFL, "mixing_rate"),
    (TERM, "t"),
    (PropFair, "baseline"),
    (PropFair, "margin"),
    (FedMinMax, "mixing_rate"),
    (FedFB, "alpha"),
]
FRACTIONS: list[tuple[type[Any], str]] = [
    (FedAvgM, "momentum"),
    *((kind, "beta1") for kind in (FedAdam, FedYogi, FedAdagrad)),
    *((kind, "beta2") for kind in (FedAdam, FedYogi)),
]


@pytest.mark.parametrize(
    ("kind", "name"), sorted(POSITIVE, key=str), ids=lambda each: getattr(each, "__name__", each)
)
@pytest.mark.parametrize("value", [0.0, -1.0, math.nan, math.inf])
def test_what_must_be_positive_is_checked(kind: type[Any], name: str, value: float) -> None:
    with pytest.raises(ValueError, match=rf"^Expected {name} > 0, got {value}\.$"):
        replace(SOME[kind], **{name: value})


@pytest.mark.parametrize(
    ("kind", "name"), FRACTIONS, ids=lambda each: getattr(each, "__name__", each)
)
@pytest.mark.parametrize("value", [1.0, -0.1, 2.0, math.nan, math.inf])
def test_what_must_be_a_fraction_is_checked(kind: type[Any], name: str, value: float) -> None:
    with pytest.raises(ValueError, match=rf"^Expected 0 <= {name} < 1, got {value}\.$"):
        replace(SOME[kind], **{name: value})


@pytest.mark.parametrize(
    ("kind", "name"), [(FedProx, "mu"), (QFedAvg, "q"), (Ditto, "pull"), (FairFed, "beta")]
)
@pytest.mark.parametrize("value", [-0.1, math.nan, math.inf])
def test_what_may_be_zero_is_never_negative(kind: type[Any], name: str, value: float) -> None:
    with pytest.raises(ValueError, match=rf"^Expected {name} >= 0, got {value}\.$"):
        replace(SOME[kind], **{name: value})
