"""A coordinator that is killed at any instant leaves a store to go on from."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest
from contracts.killing import run_killer

KILLS = 25


@pytest.mark.skipif(sys.platform == "win32", reason="there is no kill -9")
def test_a_process_killed_while_it_commits_leaves_a_whole_and_committed_state(
    tmp_path: Path, rows: str | None
) -> None:
    """At 25 random instants, in a row, on the same store."""
    done = run_killer("contracts.committing", tmp_path / "run", KILLS, seed=1, rows=rows)
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) >= 5, "it was killed before it did anything"
