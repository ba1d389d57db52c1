"""What would make a run fail is found before it begins, and what would make it lie is refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tacit.simulations import ConfigError, DataError, make_config, simulate
from tacit.simulations.files import read_file
from tacit.simulations.run import run
from tacit.simulations.run_folder import RunFolder
from tacit.simulations.setup import prepare
from tacit.wire import StoreError

CONFIG: dict[str, Any] = {
    "rounds": 2,
    "data": {"name": "wine"},
    "partition": {"kind": "iid", "clients": 3},
    "run": {"workers": 0},
}


def test_scaffold_is_refused_with_an_optimizer_whose_steps_are_not_gradients() -> None:
    with pytest.raises(ConfigError, match=r"scaffold does not go with .*SGD: .*\"sgd\""):
        prepare(make_config(CONFIG, ["strategy.kind=scaffold", "train.optimizer=adam"]))


def test_more_workers_than_a_machine_can_bear_are_refused() -> None:
    with pytest.raises(ConfigError, match=r"run.workers: 100000 processes .* use at most"):
        prepare(make_config(CONFIG, ["run.workers=100000"]))


def test_a_resumed_run_whose_data_changed_is_refused(tmp_path: Path) -> None:
    rows, folder = tmp_path / "rows.npz", tmp_path / "run"
    config = make_config({**CONFIG, "data": {"path": str(rows)}})
    rng = np.random.default_rng(0)
    features = rng.normal(size=(60, 4)).astype(np.float32)
    np.savez(rows, features=features, targets=np.arange(60) % 3)
    simulate(config, folder=folder)
    np.savez(rows, features=features + 1, targets=np.arange(60) % 3)
    with pytest.raises(StoreError, match="began with other rows"):
        run(prepare(config), RunFolder(folder), resume=True)


@pytest.mark.parametrize("name", ["a?b", "c%20d", "e#f", "ü und ö"])
def test_a_run_folder_may_have_any_name(name: str, tmp_path: Path) -> None:
    simulate(make_config(CONFIG), folder=tmp_path / name)
    assert [path.name for path in tmp_path.iterdir()] == [name]
    assert (tmp_path / name / "store.db").exists()


def test_numbers_that_name_owners_stay_apart(tmp_path: Path) -> None:
    large = [900719925474099300, 900719925474099301, 900719925474099302]
    for owners in (large, ["007", "7", "07"]):
        lines = [f"{i}.5,{owner},{i % 2}" for i, owner in enumerate([*owners] * 4)]
        path = tmp_path / "rows.csv"
        path.write_text("x,hospital,target\n" + "\n".join(lines) + "\n")
        assert len(read_file(path, owner="hospital").owners) == 3


def test_words_do_not_mark_test_rows(tmp_path: Path) -> None:
    path = tmp_path / "rows.npz"
    np.savez(path, features=np.ones((2, 1), np.float32), targets=[0, 1], test=["no", "yes"])
    with pytest.raises(DataError, match="expected test to hold true and false"):
        read_file(path)


def test_no_client_can_be_named_as_the_holder_of_everything(tmp_path: Path) -> None:
    path = tmp_path / "rows.csv"
    lines = [f"{i}.5,{owner},{i % 2}" for i, owner in enumerate(["(pooled)", "b"] * 4)]
    path.write_text("x,hospital,target\n" + "\n".join(lines) + "\n")
    table = {**CONFIG, "data": {"path": str(path), "owner": "hospital"}}
    with pytest.raises(DataError, match=r"'\(pooled\)'"):
        prepare(make_config({**table, "partition": {"kind": "natural"}}))


def test_fednova_admits_a_large_client_that_takes_many_steps() -> None:
    table = {**CONFIG, "rounds": 1, "strategy": {"kind": "fednova"}}
    train = {"momentum": 0.99, "epochs": 8, "batch_size": 1, "learning_rate": 1e-4}  # ‖a‖₁ = 28,000
    result = simulate(make_config({**table, "train": train}))
    assert [(done.admitted, done.refused) for done, _ in result.history] == [(3, 0)]
