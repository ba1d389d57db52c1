"""Why a group pays more for privacy: its rows are clipped more often, and it is counted under noise."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tacit.cli.sizes import sizes
from tacit.client import Data
from tacit.fairness import Assessment, Estimate, assess
from tacit.fairness.tables import Attribute, Schema
from tacit.privacy import Ledger
from tacit.server.progress import Evaluated
from tacit.simulations import Config, ConfigError, simulate
from tacit.simulations.conduct import Result
from tacit.simulations.dataset import Dataset
from tacit.simulations.setup import prepare

GROUPS = ("common", "rare")
BASE: dict[str, Any] = {
    "rounds": 4,
    "data": {"name": "wine", "standardise": "none"},
    "partition": {"kind": "iid", "clients": 3},
    "model": {"kind": "mlp", "hidden": []},
    "train": {"learning_rate": 0.5, "batch_size": 64},
    "dpsgd": {"noise_multiplier": 0.8, "clip": 0.5},
    "budget": {"epsilon": 80.0, "unit": "example", "ledger": "run"},
    "evaluate": {"every": 2, "noise": {"multiplier": 2.0}, "clipping": True},
    "insecure_noise_seed": 7,
    "run": {"workers": 0},
}


def config(**changes: object) -> Config:
    return Config.model_validate({**BASE, **changes})


def two_groups(rows: int = 1200) -> Dataset:
    """One Gaussian for each class; a tenth of the rows lie far away, where the classes are reversed."""
    rng = np.random.default_rng(5)
    targets, rare = rng.integers(0, 2, rows), rng.random(rows) < 0.1
    side = np.where(rare, -1, 1) * (2 * targets - 1)
    features = np.stack([1.5 * side, np.where(rare, 4.0, 0.0)], 1) + rng.normal(size=(rows, 2))
    return Dataset(
        name="two groups",
        data=Data(
            features=features.astype(np.float32),
            targets=targets,
            groups={"group": rare.astype(int)},
        ),
        classes=2,
        test=np.zeros(rows, bool),
        group_names={"group": GROUPS},
    )


def last(result: Result) -> Evaluated:
    found = result.history[-1][1]
    assert found is not None
    return found


def assessed(found: Evaluated) -> Assessment:
    schema = Schema(attributes=(Attribute(name="group", groups=GROUPS),), classes=2, clipping=True)
    rng = np.random.default_rng(0)
    return assess(schema, {}, found.total, rng=rng, deviation=found.deviation, floor=5)


@pytest.fixture(scope="module")
def result(tmp_path_factory: pytest.TempPathFactory) -> tuple[Result, Path]:
    folder = tmp_path_factory.mktemp("clipping") / "run"
    return simulate(config(), dataset=two_groups(), folder=folder), folder


def test_a_rare_group_far_from_the_rest_is_clipped_more_often(
    result: tuple[Result, Path],
) -> None:
    """The noise has a deviation of 8 on each of about 860 and 100 train rows; the seeds are fixed."""
    found = assessed(last(result[0]))
    common, rare = (group.rates for group in found.attributes[0].groups)
    (gap,) = [
        gap
        for gap in found.attributes[0].gaps
        if (gap.criterion, gap.kind) == ("clipped_parity", "difference")
    ]
    assert gap.high == "rare"
    assert gap.estimate.both is not None
    assert gap.estimate.both.low > 0.2
    assert value_of(rare["fit_loss"]) > value_of(common["fit_loss"]) + 0.5
    assert value_of(rare["accuracy"]) < value_of(common["accuracy"])


def value_of(estimate: Estimate) -> float:
    assert estimate.value is not None
    return estimate.value


def test_the_run_ends_with_the_bits_of_one_that_counts_no_clipping(
    result: tuple[Result, Path],
) -> None:
    without = {"every": 2, "noise": {"multiplier": 2.0}}
    plain = simulate(config(evaluate=without), dataset=two_groups())
    assert plain.digest == result[0].digest
    assert not any("clipped" in name or "fit_loss" in name for name in last(plain).total)


def test_every_client_is_charged_once_for_each_evaluation(result: tuple[Result, Path]) -> None:
    """After rounds 2 and 4; the coordinator, who protects no client, charges what it did before."""
    for path in (result[1] / "ledger" / "ledger-clients").glob("*/ledger.db"):
        with closing(Ledger(path)) as ledger:
            entries = ledger.verify()
        assert [e.release for e in entries] == ["fit", "fit", "evaluation"] * 2
        assert [e.times for e in entries if e.release == "evaluation"] == [1, 1]


def test_a_strategy_that_sends_something_sends_it_to_be_counted_with() -> None:
    """SCAFFOLD's clients cannot say how they would train without the control variate."""
    found = last(simulate(config(rounds=2, strategy={"kind": "scaffold"}), dataset=two_groups()))
    assert found.answers == 3
    assert found.total["group/clipped"][0, 0] > 700


def test_the_plan_knows_that_an_evaluation_then_sends_what_a_round_sends() -> None:
    setup = prepare(config(strategy={"kind": "scaffold"}), dataset=two_groups())
    plain = prepare(config(strategy={"kind": "scaffold"}, evaluate={}), dataset=two_groups())
    assert sizes(setup).measure == sizes(setup).down > sizes(plain).measure


REFUSED: dict[str, dict[str, Any]] = {
    "without noise": {"evaluate": {"clipping": True}},
    "without dpsgd": {"dpsgd": None, "budget": None},
    "without either": {"dpsgd": None, "budget": None, "evaluate": {"clipping": True}},
}


@pytest.mark.parametrize("what", REFUSED)
def test_clipping_is_not_counted_where_nothing_protects_the_rows(what: str) -> None:
    with pytest.raises(ConfigError, match=r"evaluate.clipping: .*rows that \[dpsgd\] trains on"):
        prepare(config(**REFUSED[what]), dataset=two_groups())
