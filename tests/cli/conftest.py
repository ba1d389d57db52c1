"""The real command in real processes, on a data set so small that a run takes no time.

Importing torch and scikit-learn takes longer than such a run. So `tacit` forks from a process that
has imported them; `cold` starts `python -m tacit`, as a user does.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from contracts.processes import Shell, Tacit

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
import gc, json, os, resource, signal, sys, traceback

def child(order):
    from tacit.cli.main import main
    os.setsid()  # a group of its own, as a shell gives to a job
    os.chdir(order["cwd"])
    os.environ.update(order["environment"])
    for descriptor in (1, 2):
        os.dup2(os.open(order["files"][descriptor - 1], os.O_WRONLY | os.O_CREAT), descriptor)
    if limit := order["largest_file"]:
        resource.setrlimit(resource.RLIMIT_FSIZE, (limit, limit))
    signal.signal(signal.SIGINT, signal.default_int_handler)  # ignored, if pytest is in the background
    sys.argv = ["tacit", *order["arguments"]]
    try:
        main()
    except SystemExit as end:
        return end.code or 0
    except BaseException:
        traceback.print_exc()
        return 1

if __name__ == "__main__":  # which worker processes import
    os.environ["GRPC_VERBOSITY"] = "NONE"  # as the commands that dial do before they import it
    import cryptography.hazmat.backends.openssl.backend, rich._emoji_codes
    import sklearn.datasets, sklearn.model_selection, sqlalchemy.dialects.sqlite, torch._dynamo
    import dp_accounting.pld, opacus.accountants
    import tacit.cli.audit_ledger, tacit.cli.audit_report, tacit.cli.comparing
    import tacit.cli.findings, tacit.cli.flower_join, tacit.cli.flower_run
    import tacit.cli.flower_serve, tacit.cli.forecast, tacit.cli.issuing, tacit.cli.running
    import tacit.cli.serving, tacit.cli.sites, tacit.cli.spent, tacit.cli.watching
    import tacit.client.private, tacit.client.trial, tacit.models
    import tacit.deployment.operator, tacit.deployment.preparing, tacit.deployment.site

    gc.freeze()  # what a child's collector touches is copied
    for line in sys.stdin:
        order = json.loads(line)
        if "reap" in order:
            answer = os.waitstatus_to_exitcode(os.waitpid(order["reap"], 0)[1])
        elif not (answer := os.fork()):
            code = child(order)
            sys.stdout.flush()
            sys.stderr.flush()
            os._exit(code)
        print(answer, flush=True)
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


@pytest.fixture
def shell(
    tmp_path: Path, tmp_path_factory: pytest.TempPathFactory, forks: subprocess.Popen[str]
) -> Iterator[Shell]:
    """Starts commands in `tmp_path`."""
    shell = Shell(forks=forks, folder=tmp_path, said=tmp_path_factory.mktemp("said"))
    yield shell
    shell.close()


@pytest.fixture
def tacit(shell: Shell) -> Tacit:
    """Runs `tacit ARGUMENTS...` in `tmp_path`, to its end, in a fork; see `Shell`."""
    return shell.run


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
