"""`tacit --help` answers at once: nothing heavy is imported before a command runs."""

from __future__ import annotations

import subprocess
import sys

import pytest
import tacit
from contracts.processes import Tacit

HEAVY = (
    "torch",
    "numpy",
    "sklearn",
    "sqlalchemy",
    "matplotlib",
    "opacus",
    "dp_accounting",
    "grpc",
    "cryptography",
)


@pytest.mark.parametrize(
    "command",
    [
        [],
        ["run"],
        ["report"],
        ["budget"],
        ["audit", "ledger"],
        ["audit", "report"],
        ["certs"],
        ["certs", "client"],
    ],
)
def test_help_imports_nothing_heavy(command: list[str]) -> None:
    code = (
        "import sys\n"
        "from tacit.cli.main import main\n"
        f"sys.argv = ['tacit', *{command!r}, '--help']\n"
        "try:\n"
        "    main()\n"
        "finally:\n"
        f"    print([name for name in {HEAVY!r} if name in sys.modules], file=sys.stderr)\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=False)
    assert done.returncode == 0
    assert "Usage: tacit" in done.stdout
    assert done.stderr == "[]\n"


def test_help_lists_the_commands_and_the_exit_codes(cold: Tacit) -> None:
    done = cold("--help")
    assert done.returncode == 0
    text = " ".join(done.stdout.split())
    for said in (
        "init",
        "check",
        "plan",
        "run",
        "report",
        "budget",
        "audit",
        "certs",
        "4 privacy budget",
        "130",
    ):
        assert said in text


def test_the_version_is_that_of_the_package(cold: Tacit) -> None:
    assert cold("--version").stdout == f"tacit {tacit.__version__}\n"


def test_without_arguments_there_is_help_and_the_exit_code_of_wrong_usage(cold: Tacit) -> None:
    done = cold()
    assert done.returncode == 2
    assert "Usage: tacit" in done.stdout + done.stderr
