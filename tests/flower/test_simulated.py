"""A simulation on Flower's nodes ends with the bits of tacit's own, whatever stops it on the way."""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from contracts.ledgers import charges
from contracts.nodes import grid_of, simulating
from flwr.app import Context, Message
from tacit.flower.clientapp import app
from tacit.flower.letters import read_letter
from tacit.flower.running import execute, simulated
from tacit.simulations import Config, simulate
from tacit.simulations.conduct import Result
from tacit.simulations.custody import clients_folder, ledger_path
from tacit.simulations.run_folder import RunFolder
from tacit.wire.errors import BudgetSpent, ClientsFailed, StoreError

RUNS: Mapping[str, Mapping[str, Any]] = {
    "plain, with baselines": {"baselines": ["pooled", "alone"]},
    "memory, of those drawn": {
        "strategy": {"kind": "scaffold"},
        "sampler": {"kind": "fixed", "size": 2},
    },
    "client-level noise, Poisson sampling": {
        "mechanism": {"kind": "gaussian", "clip": 1.0, "noise_multiplier": 0.5},
        "sampler": {"kind": "poisson", "rate": 0.7},
        "insecure_noise_seed": 7,
    },
    "DP-SGD": {
        "dpsgd": {"noise_multiplier": 1.0},
        "budget": {"epsilon": 50.0, "unit": "example", "ledger": "run"},
        "insecure_noise_seed": 7,
    },
}


def study(**changes: Any) -> Config:  # noqa: ANN401 - a table of TOML
    return Config(
        **{
            "rounds": 3,
            "data": {"name": "wine"},
            "partition": {"kind": "dirichlet", "clients": 3, "alpha": 1.0, "min_rows": 8},
            "model": {"kind": "mlp", "hidden": [8], "dropout": 0.2},
            "train": {"learning_rate": 0.05, "epochs": 2},
            "run": {"workers": 0},
            **changes,
        }
    )


def on_nodes(
    config: Config, folder: Path, handle: Callable[[Message, Context], Message] = app
) -> Result:
    """Two nodes, for three clients."""
    with grid_of(handle, simulating(2)) as (grid, _):
        run = RunFolder(folder)
        return execute(simulated(grid, config, run), run)


def ledgers(config: Config, folder: Path) -> list[Path]:
    """The coordinator's, and those of the clients that have one."""
    own = ledger_path(config, RunFolder(folder))
    return [own, *sorted(clients_folder(own).rglob("ledger.db"))]


@pytest.mark.parametrize("kind", RUNS)
def test_a_run_on_nodes_ends_with_the_bits_of_its_simulation(kind: str, tmp_path: Path) -> None:
    """Parameters, what was measured, and every ledger; only a run without noise has a name of its own."""
    config = study(**RUNS[kind])
    here, there = tmp_path / "nodes", tmp_path / "simulated"
    found, expected = on_nodes(config, here), simulate(config, folder=there)
    assert found.digest == expected.digest
    assert (found.clients, found.pooled) == (expected.clients, expected.pooled)
    assert found.baselines == expected.baselines
    left_out = () if config.insecure_noise_seed else ("run", "fingerprint")
    pairs = list(zip(ledgers(config, here), ledgers(config, there), strict=True))
    assert len(pairs) == (4 if config.dpsgd else 1)
    for own, simulated_one in pairs:
        assert charges(own, *left_out) == charges(simulated_one, *left_out)


class Stopped(BaseException):
    """As a signal would."""


def fails_in(round: int, error: BaseException, message: Message, context: Context) -> Message:
    if int(message.metadata.group_id) == round and read_letter(message.content).client[-1] == "1":
        raise error
    return app(message, context)


@pytest.mark.parametrize("kind", ["memory, of those drawn", "DP-SGD"])
def test_what_a_client_stopped_goes_on_to_the_same_end(kind: str, tmp_path: Path) -> None:
    config = study(**RUNS[kind])
    with pytest.raises(ClientsFailed, match=r"round 2; the first is 'client-001'"):
        on_nodes(config, tmp_path, partial(fails_in, 2, LookupError("mined")))
    found = on_nodes(config, tmp_path)
    assert found.digest == simulate(config).digest
    assert [committed.round for committed, _ in found.history] == [1, 2, 3]


def test_a_coordinator_that_was_killed_in_a_round_goes_on_to_the_same_end(tmp_path: Path) -> None:
    config, folder = study(**RUNS["client-level noise, Poisson sampling"]), RunFolder(tmp_path)
    with grid_of(app, simulating(1)) as (grid, nodes):
        pull = grid.pull_messages

        def killed(message_ids: Iterable[str]) -> Iterable[Message]:
            if any(message.metadata.group_id == "2" for message in nodes.handled):
                raise Stopped
            return pull(message_ids)

        grid.pull_messages = killed  # type: ignore[method-assign]
        with pytest.raises(Stopped):
            execute(simulated(grid, config, folder), folder)
    found = on_nodes(config, tmp_path)
    assert found.digest == simulate(config).digest
    assert len(charges(ledgers(config, tmp_path)[0])) == 3


def test_a_run_that_is_complete_says_so_and_asks_nobody(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    config = study(rounds=1)
    first = on_nodes(config, tmp_path)
    with caplog.at_level(logging.INFO, "flwr"), grid_of(app, {}) as (grid, nodes):
        again = execute(simulated(grid, config, RunFolder(tmp_path)), RunFolder(tmp_path))
    assert again.digest == first.digest
    assert nodes.handled == []
    assert "All 1 rounds are complete" in caplog.text


def test_a_folder_with_another_run_in_it_is_refused(tmp_path: Path) -> None:
    on_nodes(study(rounds=1), tmp_path)
    with pytest.raises(StoreError, match="holds a run of another configuration"):
        on_nodes(study(rounds=2), tmp_path)


def test_a_spent_budget_ends_the_run_before_anyone_trains(tmp_path: Path) -> None:
    config = study(
        mechanism={"kind": "gaussian", "clip": 1.0, "noise_multiplier": 2.0},
        budget={"epsilon": 4.0, "ledger": "run"},
    )
    with grid_of(app, simulating(1)) as (grid, nodes), pytest.raises(BudgetSpent):
        execute(simulated(grid, config, RunFolder(tmp_path)), RunFolder(tmp_path))
    rounds = {int(message.metadata.group_id) for message in nodes.handled}
    assert len(charges(ledgers(config, tmp_path)[0])) == max(rounds) < 3


def test_each_round_and_each_failure_is_a_line_of_flowers_log(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    config = study(**RUNS["client-level noise, Poisson sampling"])
    fails = partial(fails_in, 3, ZeroDivisionError("by zero"))
    with caplog.at_level(logging.INFO, "flwr"), pytest.raises(ClientsFailed):
        on_nodes(config, tmp_path, fails)
    lines = [record.getMessage() for record in caplog.records]
    rounds = [line for line in lines if line.startswith("Round ") and "accuracy" in line]
    assert [line.partition(":")[0] for line in rounds] == ["Round 1/3", "Round 2/3"]
    assert all(("ε" in line and "3 of 3" in line) or "of" in line for line in rounds)
    assert any("Round 3: client client-001 failed" in line and "by zero" in line for line in lines)
