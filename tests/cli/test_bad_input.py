"""What a user got wrong is said in one line for each mistake, with an exit code and no traceback."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

import pytest
from contracts.processes import Tacit

ROWS = "x,y,target\n" + "\n".join(f"{i}.0,{i % 5},{i % 2}" for i in range(40)) + "\n"
TASK = """
from torch import nn
from torch.nn import functional

class Narrow:
    def model(self):
        return nn.Linear(7, 3)
    def loss(self, outputs, targets):
        return functional.cross_entropy(outputs, targets, reduction="none")
    def statistics(self, outputs, targets):
        return {}
"""

INVALID = {
    "a file that is not there": (
        ["run", "nowhere.toml"],
        ["nowhere.toml: no such file", "tacit init"],
    ),
    "an unknown data set": (
        ["run", "wine.toml", "--set", "data.name=wines"],
        ["Unknown data set 'wines'", "did you mean 'wine'?"],
    ),
    "NaN in the data": (
        ["run", "wine.toml", "--set", "data={path='nan.csv'}"],
        ["nan.csv, row 7, column 'x' is nan", "drop the row"],
    ),
    "more clients than rows": (
        ["run", "wine.toml", "--set", "partition.clients=500"],
        ["178 rows cannot give every client", "try fewer clients"],
    ),
    "a cohort larger than the population": (
        ["run", "wine.toml", "--set", "sampler={kind='fixed', size=9}"],
        ["A cohort of 9 cannot be drawn from 3 clients", "use size <= 3"],
    ),
    "a model that does not take such rows": (
        ["check", "wine.toml", "--set", "model.kind=cnn"],
        ["A CNN takes rows of channels x height x width", '"mlp"'],
    ),
    "a task that does not take such rows": (
        ["run", "wine.toml", "--set", "task=narrow:Narrow"],
        ["rows of shape (13,)", "Check model and task"],
    ),
    "a task that is not there": (
        ["run", "wine.toml", "--set", "task=narrow:Wide"],
        ["module 'narrow' has no 'Wide'"],
    ),
    "resuming nothing": (
        ["run", "--resume", "nothing"],
        ["nothing holds no run"],
    ),
    "reporting on nothing": (
        ["report", "nothing"],
        ["nothing holds no run"],
    ),
    "a run folder that is taken": (
        ["run", "wine.toml", "--out", "taken"],
        ["taken holds a run already", "--resume taken", "--out"],
    ),
}

USAGE = {
    "no such command": (["runn"], ["No such command 'runn'", "'run'"]),
    "no such option": (["run", "wine.toml", "--outt", "x"], ["--outt", "--out"]),
    "neither a configuration nor a run": (["run"], ["either CONFIG", "--resume FOLDER"]),
    "both": (["run", "wine.toml", "--resume", "x"], ["either CONFIG", "--resume FOLDER"]),
    "--set without a value": (["check", "wine.toml", "--set", "rounds"], ["--set", "KEY=VALUE"]),
    "another run by resuming": (
        ["run", "--resume", "x", "--set", "rounds=9"],
        ["--set rounds=9", "run.workers=2"],
    ),
    "a cap of nothing": (
        ["join", "localhost:1", "--study", "wine.toml", "--cap", "0"],
        ["--cap", "0.0 is not above 0"],
    ),
    "a cap that is no number": (
        ["join", "localhost:1", "--study", "wine.toml", "--cap", "nan"],
        ["--cap", "nan is not above 0"],
    ),
    "a format that is not there": (["check", "wine.toml", "--format", "xml"], ["'xml'", "json"]),
}


@pytest.mark.parametrize(("arguments", "said"), INVALID.values(), ids=INVALID)
def test_what_cannot_run_is_said_in_one_line(
    arguments: Sequence[str], said: Sequence[str], tacit: Tacit, wine: Path
) -> None:
    (wine.parent / "nan.csv").write_text(ROWS.replace("5.0,", "nan,", 1))
    (wine.parent / "narrow.py").write_text(TASK)
    (wine.parent / "taken").mkdir()
    (wine.parent / "taken" / "config.toml").write_text("")
    done = tacit(*arguments)
    assert done.returncode == 3, done.stderr
    assert done.stdout == ""
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: ")
    assert [part for part in said if part not in line] == [], line


@pytest.mark.parametrize(("arguments", "said"), USAGE.values(), ids=USAGE)
def test_wrong_usage_is_said_in_one_line(
    arguments: Sequence[str], said: Sequence[str], tacit: Tacit, wine: Path
) -> None:
    done = tacit(*arguments)
    assert (done.returncode, done.stdout) == (2, "")
    (line,) = done.stderr.splitlines()
    assert line.startswith("error: ")
    assert [part for part in said if part not in line] == [], line


def test_every_mistake_in_a_configuration_is_said_at_once(tacit: Tacit, wine: Path) -> None:
    wine.write_text(
        wine.read_text() + "wrokers = 2\n[train]\nepochs = 'two'\n[strategy]\nkind = 'x'\n"
    )
    done = tacit("check", wine)
    assert done.returncode == 3
    lines = done.stderr.splitlines()
    assert [line for line in lines if not line.startswith("error: ")] == []
    for said in ("'wrokers': did you mean 'workers'?", "train.epochs", "strategy.kind"):
        assert len([line for line in lines if said in line]) == 1, done.stderr
    assert len(lines) == 3


@pytest.mark.parametrize("name", ["store.db", "baselines.json", "config.toml"])
def test_a_damaged_run_folder_is_said_to_be_one(name: str, tacit: Tacit, wine: Path) -> None:
    tacit("run", wine, "--out", "out", "--set", 'baselines=["alone"]')
    (wine.parent / "out" / name).write_text("{ damaged")
    for command in (["report", "out"], ["run", "--resume", "out"]):
        done = tacit(*command)
        assert done.returncode == 3
        (line,) = done.stderr.splitlines()
        assert line.startswith("error: out")
