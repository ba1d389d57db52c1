"""What a strategy of Flower cannot do in tacit is refused before anyone trains, in one line."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import flwr.serverapp.strategy
import pytest
import tacit.simulations.flower_strategy
from flwr.serverapp.strategy import Strategy
from tacit.flower.strategy import NAMED, PRIVATE, TREES
from tacit.simulations import Config, ConfigError, make_config, simulate
from tacit.simulations.compatibility import check_strategy
from tacit.simulations.setup import prepare
from tacit.wire.errors import TacitError

ODD = "contracts.flower_strategies"
QUIET: dict[str, Any] = {
    "rounds": 2,
    "data": {"name": "wine"},
    "partition": {"kind": "iid", "clients": 5},
    "run": {"workers": 0},
}


def config_of(name: str, options: Mapping[str, object] | None = None, **more: object) -> Config:
    strategy: dict[str, object] = {"kind": "flower", "name": name, "options": options or {}}
    if "loss" in more:
        strategy["loss"] = more.pop("loss")
    return make_config({**QUIET, "strategy": strategy, **more})


@pytest.mark.parametrize(
    ("name", "options", "told"),
    [
        ("FedAvrg", {}, r"^strategy\.name: .*'FedAvrg'.*FedAvg"),
        ("Strategy", {}, r"^strategy: Strategy cannot be made: .*abstract"),
        ("Result", {}, r"^strategy\.name: .*'Result'"),
        ("nowhere:FedAvg", {}, r"^strategy\.name: 'nowhere:FedAvg' cannot be imported"),
        ("collections:OrderedDict", {}, r"^strategy\.name: "),
        ("FedTrimmedAvg", {"beta": 0.7}, r"^strategy: FedTrimmedAvg cannot be made: .*beta"),
        ("FedTrimmedAvg", {"gamma": 0.1}, r"^strategy: FedTrimmedAvg cannot be made: .*gamma"),
        ("FedAvg", {"fraction_train": 0.5}, r"^strategy\.options\.fraction_train: .*\[sampler\]"),
        ("FedAvg", {"min_evaluate_nodes": 2}, r"^strategy\.options\.min_evaluate_nodes: "),
        ("Bulyan", {"num_malicious_nodes": 1}, r"^strategy: Bulyan makes nothing of 5 replies"),
        ("QFedAvg", {"client_learning_rate": 0.1}, r"^strategy: QFedAvg cannot aggregate: .*loss"),
        (f"{ODD}:Unkeepable", {}, r"^strategy: Unkeepable\.dice is of the type Generator"),
        (
            f"{ODD}:Chatty",
            {},
            r"^strategy: .*Chatty sends clients 'lr', which tacit's would ignore",
        ),
        (f"{ODD}:Favouring", {}, r"^strategy: .*Favouring sends clients other models"),
        (f"{ODD}:Waiting", {}, r"^strategy: it waits for more than the 5 clients"),
        (f"{ODD}:Sending", {}, r"^strategy: it sends messages by itself"),
    ],
)
def test_what_a_strategy_cannot_do_here_is_said_in_one_line(
    name: str, options: dict[str, object], told: str
) -> None:
    with pytest.raises(ConfigError, match=told) as refused:
        prepare(config_of(name, options))
    assert "\n" not in str(refused.value)


@pytest.mark.parametrize("cls", [*PRIVATE, *TREES])
def test_what_is_not_accounted_for_and_what_has_no_arrays_is_refused(cls: type[Strategy]) -> None:
    with pytest.raises(ConfigError, match=r"(mechanism\.kind|tacit run --flower)") as refused:
        prepare(config_of(cls.__name__))
    assert "\n" not in str(refused.value)


def test_every_strategy_of_flower_is_run_or_refused() -> None:
    refused = {cls.__name__ for cls in (*PRIVATE, *TREES)}
    assert NAMED.keys() | refused | {"Result", "Strategy"} == set(flwr.serverapp.strategy.__all__)


def test_a_budget_refuses_it_before_anyone_trains(tmp_path: Path) -> None:
    budget = {"epsilon": 8.0, "ledger": "run"}
    with pytest.raises(TacitError, match=r"ε|budget"):
        simulate(config_of("FedAvg", budget=budget), folder=tmp_path / "run")
    assert not list(tmp_path.rglob("*.safetensors"))


def test_noise_is_refused_and_tacits_own_are_named() -> None:
    noised = {"kind": "gaussian", "clip": 1.0, "noise_multiplier": 1.0}
    with pytest.raises(ConfigError, match=r"flower does not go with .*fedavgm, .*"):
        prepare(config_of("FedAvg", mechanism=noised))


def test_private_training_goes_with_it_unless_losses_leave() -> None:
    dpsgd, options = {"noise_multiplier": 1.0}, {"client_learning_rate": 0.1}
    check_strategy(config_of("FedAvg", dpsgd=dpsgd))
    with pytest.raises(ConfigError, match=r"\[dpsgd\].*, or leave strategy\.loss out\.$"):
        check_strategy(config_of("QFedAvg", options, loss="train_loss", dpsgd=dpsgd))


def test_without_flower_one_line_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(tacit.simulations.flower_strategy, "find_spec", lambda name: None)
    with pytest.raises(ConfigError, match=r"pip install 'tacit\[flower\]'$") as refused:
        prepare(config_of("FedAvg"))
    assert "\n" not in str(refused.value)
