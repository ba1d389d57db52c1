"""The real command in real processes, on a data set so small that a run takes no time.

Importing torch and scikit-learn takes longer than such a run. So `tacit` forks from a process that
has imported them; `cold` starts `python -m tacit`, as a user does. `begin` leaves it running.
"""

from __future__ import annotations

import itertools
import json
import os
import signal
import subprocess
import sys
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

import pytest

Tacit = Callable[..., "subprocess.CompletedProcess[str]"]
Begin = Callable[..., "Begun"]

WINE = """\
rounds = 2

[data]
name = "wine"

[partition]
kind = "iid"
clients = 3

[run]
workers = 0
"""

FORKS = """
import json, os, resource, sys, traceback
os.environ["GRPC_VERBOSITY"] = "NONE"  # as the commands that dial do before they import it
import sklearn.datasets, torch._dynamo
import dp_accounting.pld, opacus.accountants
import tacit.cli.audit_ledger, tacit.cli.audit_report, tacit.cli.comparing
import tacit.cli.findings, tacit.cli.forecast, tacit.cli.running
import tacit.cli.serving, tacit.cli.spent, tacit.cli.watching
import tacit.deployment.operator, tacit.deployment.site
from tacit.cli.main import main

def child(order):
    os.chdir(order["cwd"])
    os.environ.update(order.get("environment", {}))
    for descriptor in (1, 2):
        os.dup2(os.open(order["files"][descriptor - 1], os.O_WRONLY | os.O_CREAT), descriptor)
    if limit := order["largest_file"]:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    sys.argv = ["tacit", *order["arguments"]]
    try:
        main()
    except SystemExit as end:
        return end.code or 0
    except BaseException:
        traceback.print_exc()
        return 1

for line in sys.stdin:
    order = json.loads(line)
    if not (process := order.get("reap") or os.fork()):
        code = child(order)
        sys.stdout.flush()
        sys.stderr.flush()
        os._exit(code)
    if order.get("wait", True):
        process = os.waitstatus_to_exitcode(os.waitpid(process, 0)[1])
    print(process, flush=True)
"""


@pytest.fixture(scope="session")
def clean() -> dict[str, str]:
    """The environment without whatever would colour or widen what is written."""
    forced = ("FORCE_COLOR", "PY_COLORS", "GITHUB_ACTIONS", "NO_COLOR", "COLUMNS")
    return {name: value for name, value in os.environ.items() if name not in forced}


@pytest.fixture
def wine(tmp_path: Path) -> Path:
    """A configuration that runs."""
    path = tmp_path / "wine.toml"
    path.write_text(WINE)
    return path


@pytest.fixture(scope="session")
def forks(
    clean: dict[str, str], tmp_path_factory: pytest.TempPathFactory
) -> Iterator[subprocess.Popen[str]]:
    """A process that forks off a command for each line that it is given."""
    script = tmp_path_factory.mktemp("forks") / "forks.py"
    script.write_text(FORKS)
    with subprocess.Popen(
        [sys.executable, script],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env=clean,
    ) as process:
        yield process
        assert process.stdin is not None
        process.stdin.close()


@dataclass(frozen=True, kw_only=True)
class Begun:
    """A command that runs, as the process `pid`."""

    pid: int
    out: Path
    err: Path
    end: Callable[[int], int]

    def kill(self) -> None:
        """As a crash does."""
        os.kill(self.pid, signal.SIGKILL)
        self.end(self.pid)

    def wait(self) -> subprocess.CompletedProcess[str]:
        """How it ended by itself."""
        code = self.end(self.pid)
        return subprocess.CompletedProcess([], code, self.out.read_text(), self.err.read_text())


@pytest.fixture
def begin(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, forks: subprocess.Popen[str]
) -> Begin:
    """Starts `tacit ARGUMENTS...` in `tmp_path`, in a fork, to be waited for or killed."""
    said, numbers = tmp_path_factory.mktemp("said"), itertools.count()

    def ask(**order: object) -> int:
        assert forks.stdin is not None
        assert forks.stdout is not None
        forks.stdin.write(json.dumps(order) + "\n")
        forks.stdin.flush()
        return int(forks.stdout.readline())

    def start(*arguments: object, largest_file: int = 0, **environment: str) -> Begun:
        number = next(numbers)
        files = [said / f"{number}.out", said / f"{number}.err"]
        for file in files:
            file.write_text("")
        pid = ask(
            wait=False,
            cwd=str(tmp_path),
            arguments=[str(argument) for argument in arguments],
            files=[str(file) for file in files],
            largest_file=largest_file,
            environment=environment,
        )
        return Begun(pid=pid, out=files[0], err=files[1], end=lambda pid: ask(reap=pid))

    return start


@pytest.fixture
def tacit(begin: Begin) -> Tacit:
    """Runs `tacit ARGUMENTS...` in `tmp_path`, to its end, in a fork.

    With `largest_file`, no file can grow beyond so many bytes; other names are environment variables.
    """

    def run(
        *arguments: object, largest_file: int = 0, **environment: str
    ) -> subprocess.CompletedProcess[str]:
        return begin(*arguments, largest_file=largest_file, **environment).wait()

    return run


@pytest.fixture
def cold(tmp_path: Path, clean: dict[str, str]) -> Tacit:
    """Runs `python -m tacit ARGUMENTS...` in `tmp_path`, to its end."""

    def run(*arguments: object) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "tacit", *map(str, arguments)],
            cwd=tmp_path,
            env=clean,
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
        )

    return run
