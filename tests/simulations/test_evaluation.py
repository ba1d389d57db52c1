"""What an evaluation counts: exactly what the model does on held-out rows, or its noised sum alone."""

from __future__ import annotations

import sqlite3
import sys
from contextlib import closing
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from tacit.fairness.tables import overall
from tacit.privacy import Account, Event, Ledger, Unit
from tacit.privacy.accountants import rdp_epsilon
from tacit.server.coordinator import POOLED
from tacit.server.progress import Evaluated, Progress
from tacit.simulations import Config, ConfigError, simulate
from tacit.simulations.custody import clients_folder, ledger_path
from tacit.simulations.run import run
from tacit.simulations.run_folder import RunFolder
from tacit.simulations.setup import prepare
from tacit.wire.errors import BudgetSpent, StoreError
from torch import Tensor

BASE: dict[str, Any] = {
    "rounds": 4,
    "data": {"name": "breast_cancer"},
    "partition": {"kind": "iid", "clients": 5},
    "model": {"kind": "mlp", "hidden": []},
    "train": {"learning_rate": 0.1, "batch_size": 8},
    "run": {"workers": 0},
    "evaluate": {"every": 2, "groups": ["label"]},
}
NOISE = {"multiplier": 2.0}
OF_CLIENTS: dict[str, Any] = {
    "evaluate": {**BASE["evaluate"], "noise": {**NOISE, "clip": 30.0}},
    "mechanism": {"kind": "gaussian", "clip": 0.5},
    "budget": {"epsilon": 8.0, "ledger": "run"},
}
OF_ROWS: dict[str, Any] = {
    "evaluate": {**BASE["evaluate"], "noise": NOISE},
    "dpsgd": {"noise_multiplier": 2.0},
    "budget": {"epsilon": 50.0, "unit": "example", "ledger": "run"},
}


def config(**changes: object) -> Config:
    return Config.model_validate({**BASE, **changes})


def last(history: list[Any]) -> Evaluated:
    found = history[-1][1]
    assert isinstance(found, Evaluated)
    return found


def test_the_tables_say_what_the_final_model_does_on_each_clients_held_out_rows() -> None:
    setup = prepare(config())
    result = simulate(config())
    model = setup.task.model()
    model.load_state_dict({k: torch.from_numpy(v) for k, v in result.parameters.items()})
    population, found = setup.population, last(result.history)
    for client, split in population.clients.items():
        rows = population.data.rows(split.test)
        guesses = (model(torch.from_numpy(rows.features))[:, 0] > 0).numpy()
        expected = np.zeros((2, 2, 2))
        np.add.at(expected, (rows.targets, rows.targets, guesses.astype(int)), 1)
        assert np.array_equal(found.tables[client]["label/confusion"], expected)
    schema = setup.measure.schema
    said = {name: overall(schema, found.total)[name] for name in ("examples", "correct")}
    assert said == {name: found.everyone[name] for name in said}
    assert overall(schema, found.total)["loss"] == pytest.approx(found.everyone["loss"], abs=0.1)


@pytest.mark.parametrize("terms", [OF_CLIENTS, OF_ROWS], ids=["of clients", "of rows"])
def test_with_noise_nothing_leaves_but_the_noised_sum(
    terms: dict[str, Any], tmp_path: Path
) -> None:
    found = last(simulate(config(**terms), folder=tmp_path / "run").history)
    assert found.clients == {} == found.tables
    assert found.pooled == {} == found.pooled_tables
    assert found.deviation > 1
    assert found.answers == 5
    exact = last(simulate(config(**{**terms, "evaluate": BASE["evaluate"]})).history)
    for name, table in found.total.items():
        assert not np.any(
            table == exact.total[name]
        )  # once in 10^6, as each has thousands of steps


def test_an_evaluation_is_charged_to_clients_and_shares_their_budget(tmp_path: Path) -> None:
    settings, folder = config(**OF_CLIENTS), RunFolder(tmp_path / "run")
    setup = prepare(settings)
    run(setup, folder)
    with closing(Ledger(ledger_path(setup.config, folder))) as ledger:
        entries = [(e.round, e.release) for e in ledger.entries()]
        counts = ledger.counts("breast_cancer", Unit.CLIENT)
    assert entries == [
        (1, "model"),
        (2, "model"),
        (2, "evaluation"),
        (3, "model"),
        (4, "model"),
        (4, "evaluation"),
    ]
    budget = settings.budget_of(Unit.CLIENT)
    assert 0.99 * 8.0 < rdp_epsilon(counts, budget.delta, budget.adjacency) <= 8.0


def test_an_evaluation_is_charged_to_rows_by_every_client_itself(tmp_path: Path) -> None:
    settings, folder = config(**OF_ROWS), RunFolder(tmp_path / "run")
    setup = prepare(settings)
    run(setup, folder)
    places = [p for p in clients_folder(ledger_path(setup.config, folder)).iterdir() if p.is_dir()]
    assert len(places) == 5
    for place in places:
        with closing(Ledger(place / "ledger.db")) as ledger:
            releases = [(e.round, e.release) for e in ledger.entries() if e.release != "fit"]
        assert releases == [(2, "evaluation"), (4, "evaluation")]


class Stop(Exception):
    """The process is gone."""


@pytest.mark.parametrize("terms", [OF_CLIENTS, OF_ROWS], ids=["of clients", "of rows"])
def test_an_evaluation_that_is_repeated_releases_the_same_bits_and_is_charged_once(
    terms: dict[str, Any], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tacit.server.store import Store

    setup, folder = prepare(config(**terms)), RunFolder(tmp_path / "run")
    lost: list[Evaluated] = []
    kept = Store.measure

    def crash(store: Store, evaluated: Evaluated) -> None:
        lost.append(evaluated)
        if len(lost) == 1:
            raise Stop
        kept(store, evaluated)

    monkeypatch.setattr(Store, "measure", crash)
    with pytest.raises(Stop):
        run(setup, folder)
    run(setup, folder, resume=True)
    for name, table in lost[0].total.items():
        assert np.array_equal(table, lost[1].total[name])
    with closing(Ledger(ledger_path(setup.config, folder))) as ledger:
        assert [e.round for e in ledger.entries() if e.release == "evaluation"] == [2, 4]


def test_a_ledger_that_lost_the_last_evaluation_is_noticed(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tacit.server.store import Store

    setup, folder = prepare(config(**OF_CLIENTS)), RunFolder(tmp_path / "run")
    ledger, kept, measure = ledger_path(setup.config, folder), tmp_path / "copy.db", Store.measure

    def copied(store: Store, evaluated: Evaluated) -> None:
        measure(store, evaluated)
        raise Stop

    def before(account: Account, round: int, release: str, event: Event) -> None:
        if release == "evaluation":
            with closing(sqlite3.connect(ledger)) as source, closing(sqlite3.connect(kept)) as copy:
                source.backup(copy)
        check(account, round, release, event)

    check = Account.check
    monkeypatch.setattr(Store, "measure", copied)
    monkeypatch.setattr(Account, "check", before)
    with pytest.raises(Stop):
        run(setup, folder)
    for path in ledger.parent.glob("ledger.db*"):
        path.unlink()
    kept.rename(ledger)
    with pytest.raises(StoreError, match="older than this run"):
        run(setup, folder, resume=True)


def test_an_evaluation_with_a_metric_is_charged_once_by_another_process_as_well(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """In another process the same function has another address."""
    from tacit.server.store import Store

    metrics = {"half": f"{__name__}:half"}
    terms = {**OF_ROWS, "evaluate": {**OF_ROWS["evaluate"], "metrics": metrics}}
    folder, measure = RunFolder(tmp_path / "run"), Store.measure

    def crash(store: Store, evaluated: Evaluated) -> None:
        monkeypatch.setattr(Store, "measure", measure)
        raise Stop

    monkeypatch.setattr(Store, "measure", crash)
    with pytest.raises(Stop):
        run(prepare(config(**terms)), folder)
    monkeypatch.setattr(sys.modules[__name__], "half", lambda outputs, targets: 0 * targets + 0.5)
    setup = prepare(config(**terms))
    run(setup, folder, resume=True)
    for place in clients_folder(ledger_path(setup.config, folder)).iterdir():
        if place.is_dir():
            with closing(Ledger(place / "ledger.db")) as ledger:
                charged = [e.round for e in ledger.entries() if e.release == "evaluation"]
            assert charged == [2, 4]


def test_a_budget_that_an_evaluation_exceeds_ends_the_run_before_anyone_counts(
    tmp_path: Path,
) -> None:
    terms = {**OF_CLIENTS, "mechanism": {"kind": "gaussian", "clip": 0.5, "noise_multiplier": 1.0}}
    seen: list[Progress] = []
    with pytest.raises(BudgetSpent):
        simulate(config(**terms, rounds=12), folder=tmp_path / "run", observe=seen.append)
    with closing(Ledger(ledger_path(config(**terms), RunFolder(tmp_path / "run")))) as ledger:
        charged = sum(e.release == "evaluation" for e in ledger.entries())
    assert charged == sum(isinstance(each, Evaluated) for each in seen)


def half(outputs: Tensor, targets: Tensor) -> Tensor:
    return torch.full((len(targets),), 0.5)


def many(outputs: Tensor, targets: Tensor) -> Tensor:
    return outputs


def rank(outputs: Tensor, targets: Tensor) -> Tensor:
    return torch.arange(len(targets)) / len(targets)


def test_a_metric_of_ones_own_is_summed_by_group(tmp_path: Path) -> None:
    metrics = {"half": f"{__name__}:half"}
    result = simulate(config(evaluate={**BASE["evaluate"], "metrics": metrics}))
    found = last(result.history)
    rows, total, squares = found.total["label/metric.half"].T
    assert np.array_equal(total, rows / 2)
    assert np.array_equal(squares, rows / 4)
    assert POOLED not in found.tables


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "noise for clients without a clip": (
        {**OF_CLIENTS, "evaluate": {"noise": NOISE}},
        "set clip",
    ),
    "a clip for rows": (
        {**OF_ROWS, "evaluate": {"noise": {**NOISE, "clip": 3.0}}},
        "leave it out",
    ),
    "evaluations above the budget": (
        {**OF_CLIENTS, "evaluate": {"noise": {"multiplier": 0.1, "clip": 3.0}}},
        "evaluations alone take more",
    ),
    "regression without a scale": (
        {
            **OF_ROWS,
            "data": {"name": "diabetes"},
            "evaluate": {"noise": NOISE},
            "train": {"learning_rate": 1e-6},
        },
        "evaluate.scale",
    ),
    "noise for rows and a budget of clients": (
        {
            **OF_ROWS,
            "mechanism": {"kind": "gaussian", "clip": 0.5},
            "budget": {"epsilon": 50.0, "ledger": "run"},
        },
        "no budget of clients",
    ),
    "a metric that is not one value for each row": (
        {"evaluate": {"metrics": {"many": f"{__name__}:many"}}},
        "one value",
    ),
    "a metric that looks at other rows, under noise": (
        {
            **OF_ROWS,
            "evaluate": {"noise": NOISE, "metrics": {"rank": f"{__name__}:rank"}},
        },
        "another value among other rows",
    ),
    "a metric with a slash": ({"evaluate": {"metrics": {"a/b": f"{__name__}:half"}}}, "slash"),
    **{
        f"a metric named {name}": (
            {"evaluate": {"metrics": {name: f"{__name__}:half"}}},
            f"'{name}' is the name",
        )
        for name in ("accuracy", "examples", "rmse", "recall.1", "personal_loss", "demographic")
    },
}


@pytest.mark.parametrize("kind", REFUSED)
def test_what_cannot_be_measured_is_said_before_it_runs(kind: str) -> None:
    changes, message = REFUSED[kind]
    with pytest.raises(ConfigError, match=message):
        prepare(config(**changes))


def test_a_regression_is_counted_in_its_own_statistics() -> None:
    changes = {
        "data": {"name": "diabetes"},
        "evaluate": {},
        "train": {"learning_rate": 0.01},
    }
    found = last(simulate(config(**changes)).history)
    assert found.total["sex/errors"].shape == (2, 6)
    assert found.total["sex/errors"][:, 3].sum() == pytest.approx(found.everyone["squared_error"])


def loud(outputs: Tensor, targets: Tensor) -> Tensor:
    return torch.full((len(targets),), 2.0)


def test_a_metric_outside_its_range_is_refused() -> None:
    metrics = {"loud": f"{__name__}:loud"}
    with pytest.raises(ConfigError, match=r"evaluate\.metrics\.loud: it is 2 for a row"):
        prepare(config(evaluate={"metrics": metrics}))


def test_what_noise_drowns_is_not_stated_at_all(tmp_path: Path) -> None:
    noise = {"multiplier": 40.0, "clip": 30.0}
    terms = {**OF_CLIENTS, "evaluate": {**BASE["evaluate"], "noise": noise}}
    result = simulate(config(**terms), folder=tmp_path / "run")
    assert last(result.history).everyone == {}
    assert result.metrics == {}
