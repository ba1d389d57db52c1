"""What a run config names: the file in the app, its changes, and the folder of the run."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from flwr.app import UserConfig
from flwr.supercore.run import Run
from tacit.flower.clients import Clients
from tacit.flower.grid import TacitGrid
from tacit.flower.nodes import Nodes, contexts
from tacit.flower.serverapp import is_deployment, read_run
from tacit.server.mail import Mail
from tacit.server.serving import event_loop
from tacit.simulations import ConfigError

TEXT = """
rounds = 3
[data]
{data}
[partition]
kind = "iid"
clients = 2
"""


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An app, as Flower's engines load it."""
    monkeypatch.setattr(sys, "path", [str(tmp_path), *sys.path])
    monkeypatch.setenv("FLWR_HOME", str(tmp_path / "home"))
    (tmp_path / "tacit.toml").write_text(TEXT.format(data='name = "wine"'))
    return tmp_path


def test_the_run_config_names_the_file_its_changes_and_the_folder(folder: Path) -> None:
    asked: UserConfig = {"config": "tacit.toml", "set": "rounds=5 train.epochs=2", "out": "first"}
    config, run = read_run(asked)
    assert (config.rounds, config.train.epochs) == (5, 2)
    assert run.path == folder / "home" / "tacit" / "first"


def test_a_run_without_a_folder_gets_a_new_one_and_an_absolute_one_is_kept(folder: Path) -> None:
    _, run = read_run({})
    assert run.path.parent == folder / "home" / "tacit"
    assert run.path.name.startswith("tacit-20")
    _, run = read_run({"out": "/elsewhere/run"})
    assert run.path == Path("/elsewhere/run")


def test_rows_are_looked_up_in_the_app(folder: Path) -> None:
    (folder / "own.toml").write_text(TEXT.format(data='path = "rows.csv"\ntarget = "y"'))
    config, _ = read_run({"config": "own.toml"})
    assert config.data.path == folder / "rows.csv"


@pytest.mark.parametrize(
    ("asked", "reason"),
    [
        ({"config": "other.toml"}, "the app has no file 'other.toml'"),
        ({"set": "rounds=none"}, "tacit.toml: rounds"),
        ({"set": "card.title='A run"}, "set: .* cannot be read: No closing quotation"),
        ({"set": "budget.epsilon=1 budget.ledger=mine.db"}, "name it by an absolute path"),
    ],
)
def test_what_cannot_be_meant_is_one_line(folder: Path, asked: UserConfig, reason: str) -> None:
    with pytest.raises(ConfigError, match=reason) as caught:
        read_run(asked)
    assert "\n" not in str(caught.value)


def test_whoever_dialled_in_is_a_site_and_plays_no_simulated_client() -> None:
    run = Run.create_empty(run_id=1)
    sites = Clients(roster=["oslo"], mail=Mail(loop=event_loop()))
    assert is_deployment(TacitGrid(sites, run))
    assert not is_deployment(TacitGrid(Nodes(contexts(1, 2, {}), print), run))
