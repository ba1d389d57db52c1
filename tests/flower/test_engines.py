"""On Flower's own engines a run has the parameters and the ledgers that it has on tacit's."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from contracts.ledgers import charges
from contracts.superlink import superlink
from tacit.cli.project import flower_app
from tacit.simulations import simulate
from tacit.simulations.conduct import parameter_digest
from tacit.simulations.config import read_config
from tacit.simulations.custody import clients_folder, ledger_path
from tacit.simulations.run_folder import RunFolder
from tacit.wire.arrays import decode

pytestmark = pytest.mark.skipif(
    not os.environ.get("TACIT_FLOWER_ENGINES"),
    reason="starts Ray and a SuperLink, which takes minutes; set TACIT_FLOWER_ENGINES=1",
)

CONFIG = """
rounds = 2
insecure_noise_seed = 7
task = "mine:MyTask"

[data]
name = "wine"

[partition]
kind = "iid"
clients = 2

[train]
learning_rate = 0.05

[dpsgd]
noise_multiplier = 1.0

[budget]
epsilon = 50.0
unit = "example"
ledger = "run"

[deployment]
deadline = 240.0
"""
TASK = """
from torch import nn
from torch.nn import functional


class MyTask:
    def model(self):
        return nn.Sequential(nn.Linear(13, 8), nn.ReLU(), nn.Linear(8, 3))

    def loss(self, outputs, targets):
        return functional.cross_entropy(outputs, targets, reduction="none")

    def statistics(self, outputs, targets):
        return {"correct": (outputs.argmax(1) == targets).sum()}
"""


@pytest.fixture
def app(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An app in a folder of its own, whose task is importable here as well."""
    folder = tmp_path / "app"
    folder.mkdir()
    (folder / "pyproject.toml").write_text(flower_app("app"))
    (folder / "tacit.toml").write_text(CONFIG)
    (folder / "mine.py").write_text(TASK)
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(_without(folder)))
    return folder


def _without(folder: Path) -> list[str]:
    """The path of modules, on which Flower is to put the app itself."""
    return [place for place in sys.path if place and place != str(folder)]


def ledgers(app: Path, folder: Path) -> tuple[Path, dict[str, Path]]:
    """The coordinator's, and that of each client by its folder."""
    own = ledger_path(read_config(app / "tacit.toml"), RunFolder(folder))
    return own, {path.parent.name: path for path in clients_folder(own).rglob("ledger.db")}


def check_same(app: Path, run: Path, clients: dict[str, Path], *without: str) -> None:
    """Compares with tacit's own simulation: parameters, and every entry of every ledger."""
    expected = simulate(read_config(app / "tacit.toml"), folder=run.parent / "expected")
    assert parameter_digest(decode(RunFolder(run).model.read_bytes())) == expected.digest
    here, there = ledgers(app, run)[0], ledgers(app, run.parent / "expected")
    assert charges(here) == charges(there[0])
    assert clients.keys() == there[1].keys()
    for name, path in clients.items():
        assert len(charges(path)) == expected.config.rounds
        assert charges(path, *without) == charges(there[1][name], *without)


def test_a_simulation_by_flower_has_the_parameters_and_ledgers_of_tacits(
    app: Path, tmp_path: Path
) -> None:
    run = tmp_path / "run"
    with superlink(tmp_path / "home", simulation=True) as engine:
        log = engine.run(app, out=str(run))
        assert "All 2 rounds are complete" in log, log
        again = engine.run(app, out=str(run), set="rounds=3")
    check_same(app, run, ledgers(app, run)[1])
    assert "holds a run of another configuration" in again


def test_a_superlink_and_two_supernodes_have_the_parameters_and_ledgers_of_tacits(
    app: Path, tmp_path: Path
) -> None:
    run, names = tmp_path / "run", ("client-000", "client-001")
    with superlink(tmp_path / "home", simulation=False) as engine:
        for name in names:
            state, agreed = str(tmp_path / name), str(app / "tacit.toml")
            engine.node(name=name, state=state, study=agreed)
        log = engine.run(app, out=str(run))
    assert "All 2 rounds are complete" in log, log
    own = [path for name in names for path in (tmp_path / name / "budget").rglob("ledger.db")]
    check_same(app, run, {path.parent.name: path for path in own}, "population")
