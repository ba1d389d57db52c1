"""Files that are wholly there or not at all."""

from __future__ import annotations

import os
import signal
import stat
import subprocess
import sys
from pathlib import Path
from typing import BinaryIO

import pytest
from tacit.wire.durable import append_line, stream_durably, sweep, write_durably

FULL_DISK = """
import resource, sys
from pathlib import Path
from tacit.wire.durable import write_durably
resource.setrlimit(resource.RLIMIT_FSIZE, (10_000, 10_000))
try:
    write_durably(Path(sys.argv[1]), bytes(20_000))
except OSError as error:
    sys.exit(0)
sys.exit("nothing was raised")
"""


def test_a_file_and_its_folders_are_made(tmp_path: Path) -> None:
    path = tmp_path / "a" / "b" / "file"
    write_durably(path, b"one")
    write_durably(path, b"two")
    assert path.read_bytes() == b"two"
    assert list(path.parent.iterdir()) == [path]


def test_a_file_has_the_permissions_that_were_asked_for(tmp_path: Path) -> None:
    path = tmp_path / "key"
    path.write_bytes(b"for everyone")
    write_durably(path, b"for its owner", mode=0o600)
    assert stat.S_IMODE(path.stat().st_mode) == 0o600


@pytest.mark.skipif(sys.platform == "win32", reason="there is no limit to the size of a file")
def test_where_there_is_no_room_the_old_file_stays_and_no_other_is_left(tmp_path: Path) -> None:
    """The limit on the size of a file stands for a full disk: the write fails half way."""
    path = tmp_path / "file"
    write_durably(path, b"old")
    done = subprocess.run(
        [sys.executable, "-c", FULL_DISK, str(path)], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]


def test_a_name_that_is_taken_by_a_folder_leaves_no_temporary_file(tmp_path: Path) -> None:
    path = tmp_path / "taken"
    (path / "inside").mkdir(parents=True)
    with pytest.raises(OSError, match="taken"):
        write_durably(path, b"data")
    assert list(tmp_path.iterdir()) == [path]


@pytest.mark.skipif(sys.platform == "win32", reason="there is no kill -9")
def test_what_a_killed_process_had_begun_is_swept_and_nothing_else(tmp_path: Path) -> None:
    path = tmp_path / "a" / "file"
    write_durably(path, b"whole")
    (tmp_path / ".mine.tmp").touch()

    def write(file: BinaryIO) -> str:
        os.kill(os.getpid(), signal.SIGKILL)
        raise AssertionError("it goes on")

    child = os.fork()
    if not child:
        stream_durably(path.parent, write)
    os.waitpid(child, 0)
    assert len(list(path.parent.iterdir())) == 2
    sweep(tmp_path)
    assert {one for one in tmp_path.rglob("*") if one.is_file()} == {path, tmp_path / ".mine.tmp"}


def test_a_line_that_was_cut_short_does_not_spoil_the_next_one(tmp_path: Path) -> None:
    path = tmp_path / "log"
    append_line(path, "first")
    with path.open("a") as file:
        file.write('{"event": "cut sh')
    append_line(path, "second")
    append_line(path, "third")
    assert path.read_text().splitlines() == ["first", '{"event": "cut sh', "second", "third"]
