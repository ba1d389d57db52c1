"""A coordinator that is killed at any instant leaves a store to go on from."""

from __future__ import annotations

import os
import sys
from pathlib import Path

import pytest
from contracts.committing import commit
from contracts.killing import run_killer

KILLS = int(os.environ.get("TACIT_KILLS", "10"))


@pytest.mark.skipif(sys.platform == "win32", reason="there is no kill -9")
def test_a_process_killed_while_it_commits_leaves_a_whole_and_committed_state(
    tmp_path: Path, rows: str | None
) -> None:
    """At random instants, in a row, on the same store."""
    rounds = run_killer(commit, tmp_path / "run", KILLS, seed=1, rows=rows)
    assert rounds >= KILLS // 5, "it was killed before it did anything"
