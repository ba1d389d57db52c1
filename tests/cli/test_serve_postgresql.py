"""A coordinator whose rows are in PostgreSQL, with two sites: real commands, a real server."""

from __future__ import annotations

import json
import shutil
import signal
import socket
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from contracts.postgresql import Server
from contracts.processes import Shell, Started, Tacit, eventually
from tacit.simulations.config import read_config
from tacit.simulations.run import simulate

STUDY = """\
rounds = 24

[data]
name = "wine"

[partition]
kind = "iid"
clients = 2

[budget]
epsilon = inf
population = "the wines"

[run]
workers = 0
"""
SITES = ("client-000", "client-001")


@dataclass
class Study:
    """A study in `place`, the commands that take part in it, and the coordinator's database."""

    shell: Shell
    database: str
    port: int
    begun: list[Started] = field(default_factory=list)

    @property
    def place(self) -> Path:
        return self.shell.folder

    @property
    def file(self) -> Path:
        return self.place / "study.toml"

    @property
    def folder(self) -> Path:
        return self.place / "run"

    def serve(self, *what: object) -> Started:
        where = ("--insecure", "--listen", f"127.0.0.1:{self.port}")
        self.begun.append(self.shell.start("serve", *what, *where, TACIT_DATABASE=self.database))
        return self.begun[-1]

    def join(self) -> None:
        for name in SITES:
            what = ("--study", self.file, "--insecure", name, "--state", self.place / name)
            self.begun.append(self.shell.start("join", f"127.0.0.1:{self.port}", *what))

    def events(self) -> list[dict[str, Any]]:
        path = self.folder / "events.jsonl"
        lines = path.read_text().splitlines() if path.exists() else []
        return [json.loads(line) for line in lines]

    def until_round(self, number: int) -> None:
        self.until(lambda: any(event.get("round", 0) > number for event in self.events()))

    def until(self, true: Callable[[], object]) -> None:
        eventually(true, lambda: str([started.errors() for started in self.begun]))


@pytest.fixture
def study(shell: Shell, database: str) -> Study:
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = free.getsockname()[1]
    found = Study(shell, database, port)
    found.file.write_text(STUDY)
    return found


def test_a_run_in_postgresql_survives_its_coordinator_and_its_server(
    study: Study, server: Server, tacit: Tacit
) -> None:
    first = study.serve(study.file, "--out", study.folder)
    first.says("listening")
    assert "rows and ledger in postgresql://tacit@/" in first.output()

    shutil.copytree(study.folder, study.place / "copy", copy_function=copy_if_there)
    second = study.serve("--resume", study.place / "copy").end()
    assert second.returncode == 3, second.stderr
    assert "in use by another coordinator" in second.stderr

    study.join()
    study.until_round(3)
    first.send(signal.SIGKILL)
    killed = first.end()
    done = len(study.events())
    again = study.serve("--resume", study.folder)
    study.until(lambda: len(study.events()) > done + 9)
    server.stop()
    lost = again.end()
    server.start()
    assert lost.returncode == 1, lost.stderr
    assert "check the server and the URL, then resume" in lost.stderr
    assert f"tacit serve --resume {study.folder}" in lost.stderr

    last = study.serve("--resume", study.folder).end()
    assert last.returncode == 0, last.stderr
    assert simulate(read_config(study.file, ["budget.ledger=run"])).digest in last.stdout
    assert not list(study.folder.rglob("*.db"))
    ended = [killed.stdout, killed.stderr, second.stderr, lost.stderr, last.stdout]
    _check_readers(study, tacit, ended)


def _check_readers(study: Study, tacit: Tacit, said: list[str]) -> None:
    """Whatever reads a run reads this one, if it is told where it is, and shows no password."""
    commands = (["report"], ["budget"], ["audit", "ledger"])
    for command in commands:
        found = tacit(*command, study.folder, TACIT_DATABASE=study.database)
        assert found.returncode == 0, found.stderr
        said += [found.stdout, found.stderr]
        unset = tacit(*command, study.folder)
        assert unset.returncode == 3
        assert "has its rows in PostgreSQL: set TACIT_DATABASE to" in unset.stderr
        assert "Traceback" not in unset.stderr
    assert "all 24 committed rounds are in it" in "".join(said)
    files = [path for path in study.folder.rglob("*") if path.suffix != ".safetensors"]
    said += [path.read_text(errors="replace") for path in files if path.is_file()]
    assert "s3cret" not in "".join(said)
    assert "postgresql://tacit@/" in (study.folder / "privacy.json").read_text()


def test_a_simulation_knows_no_database(wine: Path, tacit: Tacit) -> None:
    found = tacit("run", wine, "--out=out", TACIT_DATABASE="postgresql://nobody@127.0.0.1:1/none")
    assert found.returncode == 0, found.stderr
    assert (wine.parent / "out" / "store.db").exists()


def test_a_budget_without_a_run_says_that_it_is_not_about_the_database(
    wine: Path, tacit: Tacit
) -> None:
    url = "postgresql://nobody:s3cret@127.0.0.1:1/none"
    found = tacit("budget", wine, TACIT_DATABASE=url)
    assert found.returncode == 0, found.stderr
    assert "TACIT_DATABASE is set: what `tacit serve` is charged is there" in found.stderr
    assert "s3cret" not in found.stderr


def copy_if_there(source: str, target: str) -> str:
    """A coordinator at work makes and removes files while its folder is copied."""
    with suppress(FileNotFoundError):
        shutil.copy2(source, target)
    return target
