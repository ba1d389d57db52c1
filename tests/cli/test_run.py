"""`tacit run` shows the same run to people, to programs and to nobody."""

from __future__ import annotations

import fcntl
import json
import os
import pty
import re
import select
import struct
import subprocess
import sys
import termios
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from contracts.processes import Shell, Started, Tacit, is_over
from tacit.simulations.config import read_config
from tacit.simulations.run import simulate


def objects(text: str) -> list[dict[str, Any]]:
    return [json.loads(line) for line in text.splitlines()]


def test_a_run_prints_a_line_for_each_round_and_then_its_result(tacit: Tacit, wine: Path) -> None:
    expected = simulate(read_config(wine, ['baselines=["pooled", "alone"]']))
    done = tacit("run", wine, "--set", 'baselines=["pooled", "alone"]', "--out", "out")
    assert (done.returncode, done.stderr) == (0, "")
    rounds = [line for line in done.stdout.splitlines() if line.startswith("round ")]
    assert [line.split()[1] for line in rounds] == ["1/2", "2/2"]
    assert f"accuracy {expected.metrics['accuracy']:.3f}" in rounds[-1]
    for said in ("federated", "pooled training", "each client alone", "tacit report out"):
        assert said in done.stdout
    assert expected.digest in done.stdout


def test_json_is_one_object_in_each_line_and_the_result_last(tacit: Tacit, wine: Path) -> None:
    done = tacit("run", wine, "--format", "json", "--out", "out")
    assert (done.returncode, done.stderr) == (0, "")
    *events, result = objects(done.stdout)
    one_round = ["round_began", "round_committed", "evaluated"]
    assert [event["event"] for event in events] == one_round * 2
    assert [event["round"] for event in events] == [1, 1, 1, 2, 2, 2]
    assert result["event"] == "result"
    assert result["finished"] is True
    assert result["digest"] == simulate(read_config(wine)).digest
    assert result["federated"]["rows"] == events[-1]["rates"]["accuracy"]


def test_quiet_prints_the_result_in_one_line(tacit: Tacit, wine: Path) -> None:
    (line,) = tacit("run", wine, "--quiet").stdout.splitlines()
    assert line.startswith("accuracy 0.")
    assert line.split()[-1].startswith("runs/wine-")
    (result,) = objects(tacit("run", wine, "--quiet", "--format", "json", "--out", "b").stdout)
    assert result["event"] == "result"


def test_a_round_that_is_not_measured_has_a_line_too(tacit: Tacit, wine: Path) -> None:
    done = tacit("run", wine, "--set", "evaluate.every=2", "--set", "rounds=3")
    lines = [line for line in done.stdout.splitlines() if line.startswith("round ")]
    assert ["accuracy" in line for line in lines] == [False, True, True]


def test_a_client_of_one_class_runs_with_one_caution(tacit: Tacit, wine: Path) -> None:
    shards = "partition={kind='shards', clients=3, shards_per_client=1}"
    done = tacit("run", wine, "--set", shards)
    assert done.returncode == 0
    (line,) = done.stderr.splitlines()
    assert line.startswith("caution: 1 of 3 clients hold rows of one class only")
    event, *_ = objects(tacit("run", wine, "--set", shards, "--format=json", "--out=b").stdout)
    assert event == {"event": "caution", "text": line.removeprefix("caution: ")}


def test_regression_is_shown_as_rmse(tacit: Tacit, wine: Path) -> None:
    done = tacit("run", wine, "--set", "data.name=diabetes", "--set", "train.learning_rate=0.001")
    assert done.returncode == 0, done.stderr
    assert "  rmse " in done.stdout


def test_official_test_rows_are_shown_beside_the_clients_own(tacit: Tacit, wine: Path) -> None:
    rng = np.random.default_rng(0)
    features = rng.normal(size=(60, 4)).astype(np.float32)
    targets = (features[:, 0] > 0).astype(np.int64)
    np.savez(wine.parent / "own.npz", features=features, targets=targets, test=np.arange(60) < 20)
    done = tacit("run", wine, "--set", "data={path='own.npz'}", "--out", "out")
    assert done.returncode == 0, done.stderr
    assert "  pooled " in done.stdout
    assert "client mean" in done.stdout
    assert json.loads((wine.parent / "out" / "population.json").read_text())["official"] == 20


def test_the_other_processes_of_torchrun_print_nothing(
    wine: Path, clean: dict[str, str], tmp_path: Path
) -> None:
    environment = {**clean, "TORCHELASTIC_RUN_ID": "x", "RANK": "1"}
    command = [sys.executable, "-m", "tacit", "run", "nowhere.toml", "--out", "out"]
    done = subprocess.run(
        command, env=environment, cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout, done.stderr) == (3, "", "")


@pytest.mark.skipif(os.name != "posix", reason="there are no pseudo-terminals")
def test_a_terminal_shows_a_table_that_stays(wine: Path, shell: Shell) -> None:
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 40, 100, 0, 0))
    command = ("run", wine, "--set=rounds=60", "--out=out")
    started = shell.start(*command, terminal=Path(os.ttyname(theirs)), TERM="xterm")
    shown = re.sub(r"\x1b\[[0-9;?]*[a-zA-Z]", "", read_all(ours, started))
    os.close(ours)
    os.close(theirs)
    assert started.end().returncode == 0, shown
    assert re.search(r"rounds +[━╸╺]+ +\d+/60", shown)
    last = shown.rpartition("training loss")[2]
    numbers = [words[0] for line in last.splitlines() if (words := line.split())]
    assert [number for number in numbers if number.isdigit()] == [str(n) for n in range(46, 61)]
    assert "federated" in last
    assert "tacit report out" in last


def read_all(terminal: int, started: Started) -> str:
    """What `started` shows there until its end."""
    found, over = b"", False
    while not over:
        over = is_over(started.process)  # before its last words are read
        while select.select([terminal], [], [], 0.1)[0]:
            found += os.read(terminal, 65536)
    return found.decode()
