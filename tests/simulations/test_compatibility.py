"""The matrix of docs/fairness.md holds: what a strategy does not go with is refused, and nothing else."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest
from tacit.cli.findings import inspect
from tacit.reports.unprotected import unprotected
from tacit.simulations import ConfigError, make_config
from tacit.simulations.compatibility import RULES, Rule, check_strategy
from tacit.simulations.config import STRATEGIES, Config
from tacit.simulations.setup import prepare
from tacit.strategies.compatibility import No

QUIET: dict[str, Any] = {
    "rounds": 2,
    "data": {"name": "wine"},
    "partition": {"kind": "iid", "clients": 3},
    "mechanism": {"kind": "mean", "weighting": "uniform"},
    "run": {"workers": 0},
}
"""What every strategy goes with."""
CHANGES: dict[str, dict[str, Any]] = {
    "client_dp": {"mechanism": {"kind": "gaussian", "clip": 1.0, "noise_multiplier": 1.0}},
    "row_dp": {"dpsgd": {"noise_multiplier": 1.0}},
    "sampling": {"sampler": {"kind": "poisson", "rate": 0.5}},
    "weighting": {"mechanism": {"kind": "mean"}},
    "optimizers": {"train": {"optimizer": "adam"}},
    "momentum": {"train": {"momentum": 0.9}},
}


def config(kind: str, **changes: object) -> Config:
    cls: Any = STRATEGIES[kind]
    fields = {"attribute": "sex", "name": "FedAvg", "loss": "train_loss"}
    told = {name: value for name, value in fields.items() if name in cls.__dataclass_fields__}
    strategy = {"kind": kind, **told}
    return make_config({**QUIET, "strategy": strategy, **changes})


@pytest.mark.parametrize("rule", RULES, ids=lambda rule: rule.name)
@pytest.mark.parametrize("kind", STRATEGIES)
def test_what_a_strategy_does_not_go_with_is_refused(kind: str, rule: Rule) -> None:
    strategy: Any = STRATEGIES[kind]
    answer = vars(strategy.composes)[rule.name]
    check_strategy(config(kind))
    changed = config(kind, **CHANGES[rule.name])
    assert rule.holds(changed)
    if not isinstance(answer, No):
        check_strategy(changed)
        return
    with pytest.raises(ConfigError) as refused:
        check_strategy(changed)
    assert kind in str(refused.value)
    assert answer.why in str(refused.value)


def test_weights_that_a_study_gives_go_with_private_training_and_own_frequencies_do_not() -> None:
    both = {**CHANGES["row_dp"], "strategy": {"kind": "reweighing", "attribute": "sex"}}
    with pytest.raises(ConfigError, match=r"\[dpsgd\].*, or set strategy\.weights\.$"):
        check_strategy(make_config({**QUIET, **both}))
    check_strategy(make_config({**QUIET, **both}, ["strategy.weights=[[1.0, 2.0], [2.0, 1.0]]"]))


def test_every_reason_is_said_at_once_by_check_and_before_a_run(tmp_path: Path) -> None:
    both = config("qfedavg", **CHANGES["row_dp"], **CHANGES["momentum"])
    found = inspect(both, tmp_path / "run").problems
    assert [text.partition(":")[0] for text in found] == ["strategy", "strategy"]
    with pytest.raises(ConfigError, match=r"(?s)\[dpsgd\].*momentum = 0"):
        prepare(both)


def test_what_a_strategy_reveals_is_on_the_list_of_what_is_not_protected() -> None:
    assert "the loss of every single client" in " ".join(unprotected(config("afl")))
    assert not any("strategy needs" in text for text in unprotected(config("fedavg")))


def test_what_own_models_do_is_on_that_list_unless_it_stays_where_they_are() -> None:
    """With noise on the counts, a client answers with those alone."""
    noised = {"noise": {"multiplier": 4.0, "clip": 50.0}}
    told = "what each client's own model, trained without noise, does on held-out rows"
    assert told in unprotected(config("ditto", **CHANGES["client_dp"]))
    assert told not in unprotected(config("fedavg", **CHANGES["client_dp"]))
    assert told not in unprotected(config("ditto", **CHANGES["client_dp"], evaluate=noised))
