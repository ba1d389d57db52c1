"""A run that is stopped, by a person or a full disk, says what is safe and can be gone on with."""

from __future__ import annotations

import os
import signal
import subprocess
import tomllib
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest
from contracts.processes import Shell, Tacit, eventually
from tacit.simulations.config import make_config
from tacit.simulations.run import simulate

LONG = ("rounds=60", "strategy.kind='scaffold'", "model={kind='mlp', hidden=[16], dropout=0.2}")
"""SCAFFOLD and dropout, because they have the most to forget: clients remember, and draw."""
SET = [word for change in LONG for word in ("--set", change)]


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system with room for a run to begin, and no more."""
    place = tmp_path / "disk"
    place.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=100k", "tmpfs", str(place)]
    if os.name != "posix" or subprocess.run(mount, capture_output=True, check=False).returncode:
        pytest.skip("mounting a small disk is not permitted here")
    yield place
    subprocess.run(["umount", str(place)], check=True)


def digest(wine: Path) -> str:
    """What an undisturbed run ends with."""
    return _digest(wine.read_text())


@cache
def _digest(text: str) -> str:
    return simulate(make_config(tomllib.loads(text), LONG)).digest


@pytest.mark.parametrize("stop", [signal.SIGINT, signal.SIGTERM])
def test_a_stopped_run_says_how_to_go_on_and_ends_in_the_same_bits(
    stop: signal.Signals, wine: Path, shell: Shell
) -> None:
    workers = "1" if stop is signal.SIGINT else "0"  # Ctrl-C reaches the workers too
    started = shell.start("run", wine, *SET, "--out=out", "--workers", workers)
    started.says("round  3/")
    started.send_to_all(stop)
    stopped = started.end()
    assert stopped.returncode == 130, stopped.stderr
    error, note = stopped.stderr.splitlines()
    assert error == "error: interrupted."
    assert note.startswith("note: rounds up to ")
    assert note.endswith(" are safe; to go on: tacit run --resume out")
    safe = int(note.split()[4])
    assert 3 <= safe < 60

    resumed = shell.run("run", "--resume", "out", "--workers", "0")
    assert resumed.returncode == 0, resumed.stderr
    first, second, *_ = resumed.stdout.splitlines()
    assert first == f"resuming after round {safe} of 60"
    assert second.split()[1] in (f"{safe}/60", f"{safe + 1}/60")
    assert digest(wine) in resumed.stdout


def test_killing_a_run_takes_its_workers_along_and_resume_ends_in_the_same_bits(
    wine: Path, shell: Shell
) -> None:
    started = shell.start("run", wine, *SET, "--out=out", "--workers=2")
    started.says("round  5/")
    workers = descendants(started.process)
    assert len(workers) >= 3, "two workers, and the process that forked them"
    started.send(signal.SIGKILL)
    assert started.end().returncode == -signal.SIGKILL
    gone = [Path(f"/proc/{worker}") for worker in workers]
    eventually(lambda: not any(map(Path.exists, gone)), lambda: "the end of all workers")
    resumed = shell.run("run", "--resume", "out", "--workers", "0")
    assert digest(wine) in resumed.stdout


def descendants(pid: int) -> list[int]:
    """The processes that `pid` started, and those that they did (Linux)."""
    own = [int(word) for word in Path(f"/proc/{pid}/task/{pid}/children").read_text().split()]
    return own + [one for child in own for one in descendants(child)]


def test_a_full_disk_keeps_every_committed_round(
    small_disk: Path, wine: Path, tacit: Tacit
) -> None:
    out = small_disk / "out"
    done = tacit("run", wine, *SET, "--out", out)
    check_full(done, out)
    grow = ["mount", "-o", "remount,size=16m", str(small_disk)]
    subprocess.run(grow, check=True)
    resumed = tacit("run", "--resume", out)
    assert resumed.returncode == 0, resumed.stderr
    assert digest(wine) in resumed.stdout


def test_a_limit_on_the_size_of_files_keeps_every_committed_round(wine: Path, tacit: Tacit) -> None:
    done = tacit("run", wine, *SET, "--out", "out", largest_file=40_000)
    check_full(done, Path("out"))
    resumed = tacit("run", "--resume", "out")
    assert resumed.returncode == 0, resumed.stderr
    assert digest(wine) in resumed.stdout


def check_full(done: subprocess.CompletedProcess[str], out: Path) -> None:
    assert done.returncode == 1, done.stderr
    error, note = done.stderr.splitlines()
    assert error.startswith("error: ")
    assert "free some space" in error
    assert f"tacit run --resume {out}" in note


def test_a_finished_run_is_not_run_again(wine: Path, tacit: Tacit) -> None:
    first = tacit("run", wine, "--out", "out")
    again = tacit("run", "--resume", "out", "--workers", "1")
    assert again.returncode == 0
    assert again.stderr == "note: out is finished already; this is its result.\n"
    assert again.stdout.splitlines() == first.stdout.splitlines()[2:]
