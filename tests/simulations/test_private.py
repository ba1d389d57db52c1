"""Privacy from a configuration: what is refused before it runs, and what runs with it."""

from __future__ import annotations

import sqlite3
from contextlib import ExitStack, closing
from pathlib import Path
from typing import Any

import pytest
from tacit.client import Classification
from tacit.privacy import Adjacency, Budget, Ledger, Unit
from tacit.privacy.accountants import rdp_epsilon
from tacit.server import Progress
from tacit.simulations import Config, ConfigError, simulate
from tacit.simulations.custody import ledger_path
from tacit.simulations.run import run
from tacit.simulations.run_folder import RunFolder
from tacit.simulations.setup import prepare
from tacit.wire.errors import BudgetSpent, StoreError
from torch import nn

BASE: dict[str, Any] = {
    "rounds": 4,
    "data": {"name": "wine"},
    "partition": {"kind": "iid", "clients": 8},
    "model": {"kind": "mlp", "hidden": []},
    "train": {"learning_rate": 0.1, "batch_size": 4},
    "run": {"workers": 0},
    "evaluate": {"every": 4},
}
GAUSSIAN = {"kind": "gaussian", "clip": 0.5}
EIGHT = {"epsilon": 8.0, "ledger": "run"}
ROWS = {**EIGHT, "unit": "example", "epsilon": 50.0}
ADD_REMOVE = {**EIGHT, "adjacency": "add_remove"}
TURNS = {"kind": "cyclic", "groups": 4}
DPSGD = {"noise_multiplier": 2.0}


def config(**changes: object) -> Config:
    return Config.model_validate({**BASE, **changes})


REFUSED: dict[str, tuple[dict[str, Any], str]] = {
    "a budget without noise": ({"budget": EIGHT}, "without noise, which no budget can pay for"),
    "noise that is nowhere said": ({"mechanism": GAUSSIAN}, "no noise_multiplier and there is no"),
    "a budget for rows without dpsgd": ({"budget": ROWS}, "what \\[dpsgd\\] protects"),
    "one round above the budget": (
        {"mechanism": {**GAUSSIAN, "noise_multiplier": 0.1}, "budget": EIGHT},
        "one round alone takes ε",
    ),
    "bands wider than the separation": (
        {
            "mechanism": {"kind": "banded", "clip": 0.5, "bands": 4},
            "sampler": {"kind": "cyclic", "groups": 3},
            "budget": EIGHT,
        },
        "4 bands need 4 rounds",
    ),
    "bands with everyone": (
        {"mechanism": {"kind": "banded", "clip": 0.5, "bands": 4}, "budget": EIGHT},
        'use sampler.kind = "cyclic"',
    ),
    "a fixed size under add or remove": (
        {"mechanism": GAUSSIAN, "sampler": {"kind": "fixed", "size": 4}, "budget": ADD_REMOVE},
        'cohorts of fixed size .* "replace_one"',
    ),
    "turns under add or remove": (
        {"mechanism": GAUSSIAN, "sampler": TURNS, "budget": ADD_REMOVE},
        '"zero_out" or "replace_one"',
    ),
    "local noise under add or remove": (
        {"mechanism": {"kind": "local", "clip": 0.5, "epsilon": 1.0}, "budget": ADD_REMOVE},
        "does not go with|would leave with",
    ),
    "rows under replace-one": (
        {"dpsgd": DPSGD, "budget": {**ROWS, "adjacency": "replace_one"}},
        "no Rényi bound",
    ),
    "lone training without privacy beside training with it": (
        {"dpsgd": DPSGD, "budget": ROWS, "baselines": ["alone"]},
        'leave out "alone"',
    ),
    "poisson coins under replace-one": (
        {
            "mechanism": GAUSSIAN,
            "sampler": {"kind": "poisson", "rate": 0.5},
            "budget": {**EIGHT, "adjacency": "replace_one"},
        },
        "No Rényi bound is known",
    ),
    "too little noise on the count": (
        {"mechanism": {"kind": "adaptive", "noise_multiplier": 3.0}, "budget": {"epsilon": 50.0}},
        "The noise on the count",
    ),
    "noise for some clients only": (
        {"dpsgd": {"noise_multiplier": {"client-000": 1.0}}, "budget": ROWS},
        "noise_multiplier for client 'client-001'",
    ),
    "a clip of steps with a clip of rows": (
        {"dpsgd": DPSGD, "budget": ROWS, "train": {"clip": 1.0}},
        "clip",
    ),
    "a budget of nothing": ({"mechanism": GAUSSIAN, "budget": {"epsilon": 0}}, "budget.epsilon"),
    "a certain failure": (
        {"mechanism": GAUSSIAN, "budget": {"epsilon": 1.0, "delta": 1.0}},
        "budget.delta",
    ),
    "a negative clip": ({"mechanism": {"kind": "gaussian", "clip": -1.0}}, "<= clip"),
    "no noise at all": (
        {"mechanism": {**GAUSSIAN, "noise_multiplier": 0.0}},
        "Expected noise_multiplier > 0",
    ),
}


@pytest.mark.parametrize("what", REFUSED)
def test_what_cannot_be_kept_is_refused_before_anyone_trains(what: str) -> None:
    changes, message = REFUSED[what]
    with pytest.raises((ConfigError, ValueError), match=message):
        prepare(config(**changes))


RUNS: dict[str, dict[str, Any]] = {
    "everyone": {"mechanism": GAUSSIAN},
    "hardened": {"mechanism": {**GAUSSIAN, "hardened": True}},
    "poisson": {"mechanism": GAUSSIAN, "sampler": {"kind": "poisson", "rate": 0.5}},
    "fixed size": {"mechanism": GAUSSIAN, "sampler": {"kind": "fixed", "size": 4}},
    "adaptive": {"mechanism": {"kind": "adaptive", "count_noise": 0.5}},
    "banded": {
        "mechanism": {"kind": "banded", "clip": 0.5, "bands": 2},
        "sampler": {"kind": "cyclic", "groups": 2},
    },
}


@pytest.mark.parametrize("strategy", ["fedavg", "scaffold", "fedadam", "fednova"])
@pytest.mark.parametrize("what", RUNS)
def test_all_rounds_fit_into_the_budget_that_noise_was_calibrated_to(
    what: str, strategy: str, tmp_path: Path
) -> None:
    asked = config(**RUNS[what], budget=EIGHT, strategy={"kind": strategy})
    result = simulate(asked, folder=tmp_path / "run")
    assert len(result.history) == 4
    ledger = Ledger(tmp_path / "run" / "ledger" / "ledger.db")
    counts = ledger.counts("wine", Unit.CLIENT)
    ledger.close()
    spent = rdp_epsilon(counts, 1e-5, asked.adjacencies[0])
    assert 7.9 < spent <= 8.0


def test_adaptive_clipping_goes_with_baselines(tmp_path: Path) -> None:
    asked = config(**RUNS["adaptive"], budget=EIGHT, baselines=["pooled", "alone"])
    found = simulate(asked, folder=tmp_path / "run").baselines
    assert found is not None
    assert len(found.alone) == 8


def test_worker_processes_keep_each_clients_ledger(tmp_path: Path) -> None:
    """Two workers, example-level privacy, then another run of the same population."""
    asked = config(
        dpsgd=DPSGD, budget={**ROWS, "ledger": str(tmp_path / "ledger.db")}, run={"workers": 2}
    )
    simulate(asked, folder=tmp_path / "one")
    clients = list((tmp_path / "ledger-clients").glob("*/ledger.db"))
    assert len(clients) == 8
    before = [steps(path) for path in clients]
    simulate(asked, folder=tmp_path / "two")
    assert [steps(path) for path in clients] == [2 * count for count in before]


def steps(path: Path) -> int:
    ledger = Ledger(path)
    found = sum(entry.times for entry in ledger.verify())
    ledger.close()
    return found


def test_clients_that_are_spent_decline_and_the_run_ends_with_what_was_paid_for(
    tmp_path: Path,
) -> None:
    asked = config(rounds=50, dpsgd=DPSGD, budget={**ROWS, "epsilon": 4.0})
    with pytest.raises(BudgetSpent, match="All 8 clients decline"):
        simulate(asked, folder=tmp_path / "run")
    assert (tmp_path / "run" / "model.safetensors").exists()


def test_nothing_of_the_secret_is_left_when_a_run_is_over(tmp_path: Path) -> None:
    """Not even in the log of the database, which stays for as long as somebody has it open."""
    folder, found = tmp_path / "run", set()
    with ExitStack() as onlookers:

        def look(_: Progress) -> None:
            onlooker = onlookers.enter_context(closing(sqlite3.connect(folder / "store.db")))
            found.update(onlooker.execute("SELECT secret FROM run").fetchall())

        simulate(config(**RUNS["banded"], budget=EIGHT), folder=folder, observe=look)
        ((secret,),) = found
        assert len(secret) == 32
        assert (folder / "store.db-wal").exists()
        for path in folder.rglob("*"):
            assert path.is_dir() or secret not in path.read_bytes(), path
    model = (folder / "model.safetensors").stat().st_size
    for path in (folder / "objects").iterdir():
        assert path.stat().st_size <= model + 100, "the noises of banded rounds are as large again"


def test_equal_test_seeds_repeat_a_run_and_its_noise() -> None:
    asked = config(**RUNS["poisson"], budget=EIGHT, insecure_noise_seed=3)
    assert simulate(asked).digest == simulate(asked).digest
    assert simulate(config(**RUNS["poisson"], budget=EIGHT)).digest != simulate(asked).digest


def test_the_number_of_workers_does_not_change_noised_bits() -> None:
    digests = {
        simulate(
            config(**changes, budget=EIGHT, insecure_noise_seed=3, run={"workers": workers})
        ).digest
        for changes in (RUNS["adaptive"],)
        for workers in (0, 2)
    }
    assert len(digests) == 1


def test_rows_that_are_dealt_anew_do_not_find_a_new_budget(tmp_path: Path) -> None:
    shared = {**ROWS, "ledger": str(tmp_path / "ledger.db")}
    simulate(config(dpsgd=DPSGD, budget=shared))
    with pytest.raises(StoreError, match="dealt to its clients differently"):
        simulate(config(dpsgd=DPSGD, budget=shared, seed=43))
    simulate(config(dpsgd=DPSGD, budget={**shared, "population": "another"}, seed=43))


def test_a_run_that_its_budget_ended_keeps_no_secret_and_cannot_go_on(tmp_path: Path) -> None:
    mechanism = {**GAUSSIAN, "noise_multiplier": 3.0}
    asked = config(rounds=50, mechanism=mechanism, budget=EIGHT, strategy={"kind": "scaffold"})
    folder = RunFolder(tmp_path / "run")
    with pytest.raises(BudgetSpent):
        simulate(asked, folder=folder.path)
    with sqlite3.connect(folder.path / "store.db") as database:
        assert database.execute("SELECT secret FROM run").fetchall() == [(b"",)]
    assert not folder.memory.exists(), "what clients remember is not noised"
    with pytest.raises(BudgetSpent, match="ended when its budget was spent"):
        run(prepare(folder.read_config()), folder, resume=True)


def test_a_configuration_that_was_edited_under_a_run_is_noticed(tmp_path: Path) -> None:
    """Less noise, or a larger budget, would make it another run."""
    folder = RunFolder(tmp_path / "run")
    simulate(config(**RUNS["poisson"], budget=EIGHT), folder=folder.path)
    folder.config.write_text(folder.config.read_text().replace("epsilon = 8.0", "epsilon = 9.0"))
    with pytest.raises(StoreError, match="was changed since the run began"):
        run(prepare(folder.read_config()), folder, resume=True)


def test_the_noise_of_a_test_seed_is_not_charged_where_it_would_pass_for_protection(
    tmp_path: Path,
) -> None:
    shared = {**EIGHT, "ledger": str(tmp_path / "ledger.db")}
    simulate(config(**RUNS["poisson"], budget=shared, insecure_noise_seed=3))
    assert not (tmp_path / "ledger.db").exists()


def test_where_the_ledger_is(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    folder = RunFolder(tmp_path / "run")

    def path(**budget: object) -> Path:
        return ledger_path(config(mechanism=GAUSSIAN, budget={**EIGHT, **budget}), folder)

    assert path() == tmp_path / "run" / "ledger" / "ledger.db"
    monkeypatch.setenv("TACIT_LEDGER", str(tmp_path / "mine.db"))
    assert path(ledger="shared") == tmp_path / "mine.db"
    monkeypatch.delenv("TACIT_LEDGER")
    monkeypatch.setenv("XDG_DATA_HOME", str(tmp_path / "share"))
    assert path(ledger="shared") == tmp_path / "share" / "tacit" / "ledger.db"
    monkeypatch.chdir(tmp_path)
    assert path(ledger="here.db") == tmp_path / "here.db"


def test_the_ledger_of_a_simulation_is_a_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Its clients' ledgers are beside it, and a URL would be taken for a folder's name."""
    url = "postgresql://tacit:s3cret@host/study"
    with pytest.raises(ValueError, match="ledger is a file"):
        config(mechanism=GAUSSIAN, budget={**EIGHT, "ledger": url})
    monkeypatch.setenv("TACIT_LEDGER", url)
    shared = config(mechanism=GAUSSIAN, budget={**EIGHT, "ledger": "shared"})
    with pytest.raises(StoreError, match="ledger is a file") as refused:
        ledger_path(shared, RunFolder(tmp_path / "run"))
    assert "s3cret" not in str(refused.value)


class Normalised(nn.Sequential):
    """Two layers that DP-SGD cannot train, so that both are named."""

    def __init__(self) -> None:
        super().__init__(
            nn.Linear(13, 8), nn.BatchNorm1d(8), nn.Unflatten(1, (1, 8)), nn.Flatten(),
            nn.BatchNorm1d(8), nn.Linear(8, 3),
        )  # fmt: skip


def test_every_layer_that_cannot_be_trained_privately_is_named_at_once() -> None:
    with pytest.raises(ConfigError) as raised:
        prepare(config(dpsgd=DPSGD, budget=ROWS), task=Classification(build=Normalised))
    lines = str(raised.value).splitlines()
    assert len(lines) == 2
    assert all("GroupNorm" in line for line in lines)


def test_the_default_adjacency_is_the_natural_one() -> None:
    for what, wanted in (
        ("everyone", Adjacency.ADD_REMOVE),
        ("fixed size", Adjacency.REPLACE_ONE),
        ("banded", Adjacency.ZERO_OUT),
    ):
        budget = config(**RUNS[what], budget=EIGHT).budget_of(Unit.CLIENT)
        assert budget == Budget(epsilon=8.0, delta=1e-5, adjacency=wanted)
