"""The real command in a real process, on a data set so small that a run takes no time."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

Tacit = Callable[..., "subprocess.CompletedProcess[str]"]

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


def environment() -> dict[str, str]:
    """Without whatever would colour or widen what is written."""
    forced = ("FORCE_COLOR", "PY_COLORS", "GITHUB_ACTIONS", "NO_COLOR", "COLUMNS")
    return {name: value for name, value in os.environ.items() if name not in forced}


@pytest.fixture
def wine(tmp_path: Path) -> Path:
    """A configuration that runs."""
    path = tmp_path / "wine.toml"
    path.write_text(WINE)
    return path


@pytest.fixture
def tacit(tmp_path: Path) -> Tacit:
    """Runs `tacit ARGUMENTS...` in `tmp_path`, to its end."""

    def run(*arguments: object, **options: object) -> subprocess.CompletedProcess[str]:
        return subprocess.run(
            [sys.executable, "-m", "tacit", *map(str, arguments)],
            cwd=tmp_path,
            env=environment(),
            capture_output=True,
            text=True,
            check=False,
            timeout=120,
            **options,  # type: ignore[call-overload]
        )

    return run
