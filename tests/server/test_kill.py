"""A coordinator that is killed at any instant leaves a store to go on from."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

KILLS = 25


@pytest.mark.skipif(sys.platform == "win32", reason="there is no kill -9")
def test_a_process_killed_while_it_commits_leaves_a_whole_and_committed_state(
    tmp_path: Path,
) -> None:
    """At 25 random instants, in a row, on the same store."""
    tests = Path(__file__).parents[1]
    environment = {**os.environ, "PYTHONPATH": str(tests), "OPENBLAS_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-m", "contracts.committing", str(tmp_path / "run"), str(KILLS), "1"],
        capture_output=True,
        text=True,
        check=False,
        env=environment,
        timeout=60,
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) >= 5, "it was killed before it did anything"
