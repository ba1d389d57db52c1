"""What `tacit init` writes runs as it is, and overwrites nothing."""

from __future__ import annotations

import tomllib
from pathlib import Path

import tacit as tacit_package
from contracts.processes import Tacit


def test_a_project_runs_as_it_is_and_with_its_own_task(tacit: Tacit, tmp_path: Path) -> None:
    done = tacit("init", "my project")
    assert done.returncode == 0
    assert done.stdout.splitlines()[-1] == "next: cd 'my project' && tacit run tacit.toml"
    for file in (tmp_path / "my project").iterdir():
        (tmp_path / file.name).write_bytes(file.read_bytes())
    quick = ("--set", "rounds=1", "--set", "baselines=[]", "--workers", "0")
    assert tacit("check", "tacit.toml").stderr == ""
    done = tacit("run", "tacit.toml", *quick, "--out", "a")
    assert (done.returncode, done.stderr) == (0, "")
    done = tacit("run", "tacit.toml", *quick, "--out", "b", "--set", "task=task:MyTask")
    assert (done.returncode, done.stderr) == (0, "")
    assert 'task = "task:MyTask"' in (tmp_path / "b" / "config.toml").read_text()


def test_the_task_is_switched_on_by_the_line_that_says_so(tacit: Tacit, tmp_path: Path) -> None:
    tacit("init")
    path = tmp_path / "tacit.toml"
    path.write_text(path.read_text().replace('# task = "task:MyTask"', 'task = "task:MyTask"'))
    done = tacit("check", "tacit.toml")
    assert done.returncode == 0, done.stderr


def test_nothing_is_overwritten_and_nothing_half_written(tacit: Tacit, tmp_path: Path) -> None:
    (tmp_path / "task.py").write_text("mine")
    done = tacit("init")
    assert done.returncode == 2
    assert done.stderr == (
        "error: task.py exists, and nothing is overwritten: choose another folder.\n"
    )
    assert (tmp_path / "task.py").read_text() == "mine"
    assert not (tmp_path / "tacit.toml").exists()


def test_a_project_for_flower_is_an_app_as_well(tacit: Tacit, tmp_path: Path) -> None:
    done = tacit("init", "--flower", "my project")
    assert done.stdout.splitlines()[-1] == "next: flwr run 'my project' --stream"
    folder = tmp_path / "my project"
    app = tomllib.loads((folder / "pyproject.toml").read_text())
    assert app["project"]["name"] == "my-project"
    assert app["project"]["dependencies"] == []  # an index may have something else by our name
    for reference in app["tool"]["flwr"]["app"]["components"].values():
        module, _, name = reference.partition(":")
        source = Path(tacit_package.__file__).parent.joinpath(*module.split(".")[1:])
        assert f"\n{name} = " in source.with_suffix(".py").read_text()
    assert (folder / app["tool"]["flwr"]["app"]["config"]["config"]).is_file()


def test_a_project_that_is_there_becomes_an_app_for_flower(tacit: Tacit, tmp_path: Path) -> None:
    tacit("init")
    (tmp_path / "tacit.toml").write_text("mine")
    done = tacit("init", "--flower")
    assert done.returncode == 0, done.stderr
    assert (tmp_path / "tacit.toml").read_text() == "mine"
    again = tacit("init", "--flower")
    assert (again.returncode, "nothing is overwritten" in again.stderr) == (2, True)
