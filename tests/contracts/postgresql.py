"""A throw-away PostgreSQL server, and a place of each kind for tables: a file, and a database of it.

Debian: `apt-get install postgresql`. Without its programs these tests skip; with
TACIT_REQUIRE_POSTGRESQL=1, as in CI, they fail.
"""

from __future__ import annotations

import itertools
import os
import pwd
import shutil
import sqlite3
import subprocess
import tempfile
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg
import pytest

PASSWORD = "s3cret/with:odd@characters"
QUOTED = "s3cret%2Fwith%3Aodd%40characters"
PATIENCE = 60.0

# The pipe to it closes when the tests end, however they end: then the server does as well.
GUARDED = '"$@" & read _; kill -QUIT $!; wait'


@dataclass
class Server:
    """A server in `folder`, which only its Unix socket there reaches. It runs between start and stop."""

    folder: Path
    programs: Path
    _guard: subprocess.Popen[bytes] | None = None
    _numbers: Iterator[int] = field(default_factory=itertools.count)

    @property
    def data(self) -> Path:
        return self.folder / "data"

    def create(self) -> None:
        """Makes a cluster whose only user is `tacit`."""
        word = self.folder / "password"
        word.write_text(PASSWORD)
        word.chmod(0o644)
        options = ["--auth=scram-sha-256", f"--pwfile={word}", "--username=tacit", "--no-sync"]
        subprocess.run(
            [self.programs / "initdb", *options, "-E", "UTF8", "--locale=C", "-D", self.data],
            check=True,
            stdout=subprocess.DEVNULL,
            **self._someone(),
        )

    def start(self) -> None:
        server = [self.programs / "postgres", "-D", self.data, "-k", self.folder, "-h", ""]
        with (self.folder / "log").open("ab") as log:
            self._guard = subprocess.Popen(
                ["sh", "-c", GUARDED, "sh", *map(str, server)],
                stdin=subprocess.PIPE,
                stdout=log,
                stderr=log,
                **self._someone(),
            )
        deadline = time.monotonic() + PATIENCE
        while not self._answers():
            assert time.monotonic() < deadline, (self.folder / "log").read_text()
            time.sleep(0.05)

    def stop(self) -> None:
        """At once, as `pg_ctl stop -m immediate` does: like a crash, nothing is tidied up."""
        if self._guard and self._guard.stdin:
            self._guard.stdin.close()
            self._guard.wait(PATIENCE)
            self._guard = None

    def restart(self) -> None:
        self.stop()
        self.start()

    def url(self, database: str, password: str = QUOTED) -> str:
        return f"postgresql://tacit:{password}@/{database}?host={self.folder}"

    def do(self, statement: str, database: str = "postgres") -> list[tuple[Any, ...]]:
        """What `statement` answers, from outside tacit."""
        with closing(psycopg.connect(self.url(database), autocommit=True)) as connection:
            cursor = connection.execute(statement.encode())
            return cursor.fetchall() if cursor.description else []

    def new(self) -> str:
        """The name of a new and empty database."""
        name = f"study{next(self._numbers)}"
        self.do(f"CREATE DATABASE {name}")
        return name

    def drop(self, database: str) -> None:
        self.do(f"DROP DATABASE {database} WITH (FORCE)")

    def _answers(self) -> bool:
        try:
            psycopg.connect(self.url("postgres")).close()
        except psycopg.OperationalError:
            return False
        return True

    def _someone(self) -> dict[str, Any]:
        """PostgreSQL does not run as root."""
        found: dict[str, Any] = {"cwd": self.folder}
        if os.geteuid() == 0:
            user = _unprivileged()
            found |= {"user": user.pw_uid, "group": user.pw_gid, "extra_groups": []}
        return found


def _unprivileged() -> pwd.struct_passwd:
    try:
        return pwd.getpwnam("postgres")
    except KeyError:
        return pwd.getpwnam("nobody")


def _programs() -> Path | None:
    """The folder of initdb and postgres: that of pg_config, of PATH, or Debian's newest."""
    folders = []
    if config := shutil.which("pg_config"):
        said = subprocess.run([config, "--bindir"], capture_output=True, text=True, check=True)
        folders.append(Path(said.stdout.strip()))
    if initdb := shutil.which("initdb"):
        folders.append(Path(initdb).resolve().parent)
    folders += sorted(Path("/usr/lib/postgresql").glob("*/bin"), key=_version, reverse=True)
    complete = (f for f in folders if (f / "initdb").exists() and (f / "postgres").exists())
    return next(complete, None)


def _version(folder: Path) -> float:
    return float(folder.parent.name)


@pytest.fixture(scope="session")
def server() -> Iterator[Server]:
    """One for each worker of pytest-xdist."""
    if (programs := _programs()) is None:
        why = "PostgreSQL's programs initdb and postgres are not there"
        if os.environ.get("TACIT_REQUIRE_POSTGRESQL"):
            pytest.fail(why)
        pytest.skip(why)
    folder = Path(tempfile.mkdtemp(prefix="tacit-pg-"))  # short: the name of a socket is
    try:
        if os.geteuid() == 0:
            os.chown(folder, _unprivileged().pw_uid, _unprivileged().pw_gid)
        own = Server(folder, programs)
        own.create()
        own.start()
        yield own
        own.stop()
    finally:
        shutil.rmtree(folder)


@pytest.fixture
def database(server: Server) -> Iterator[str]:
    """The URL of a new and empty database."""
    name = server.new()
    yield server.url(name)
    server.drop(name)


def edit(where: Path | str, *statements: str) -> None:
    """Behind tacit's back."""
    if isinstance(where, Path):
        with closing(sqlite3.connect(where)) as file:
            for statement in statements:
                file.execute(statement)
            file.commit()
        return
    with psycopg.connect(where) as connection:
        for statement in statements:
            connection.execute(statement.encode())


@pytest.fixture(params=["sqlite", "postgresql"])
def rows(request: pytest.FixtureRequest) -> str | None:
    """The URL of a new and empty database, and None for a file in the folder."""
    if request.param == "sqlite":
        return None
    found: str = request.getfixturevalue("database")
    return found
