"""Files that are either wholly there or not at all, whatever kills the process, and logs by lines."""

from __future__ import annotations

import os
import secrets
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import BinaryIO

from filelock import FileLock, Timeout

from .errors import StoreError


def write_durably(path: Path, data: bytes, *, mode: int = 0o666) -> None:
    """Puts `data` at `path`; see `stream_durably`."""

    def write(file: BinaryIO) -> str:
        file.write(data)
        return path.name

    stream_durably(path.parent, write, mode=mode)


def stream_durably(folder: Path, write: Callable[[BinaryIO], str], *, mode: int = 0o666) -> Path:
    """A file in `folder` that `write` fills, and names when it is done.

    It is on disk before the name exists, and the name is on disk before this returns. It has the
    permissions of `mode`, less those that the umask takes away, from the start on. If it raises (a full
    disk: OSError), it leaves neither the file nor a temporary one.
    """
    folder.mkdir(parents=True, exist_ok=True)
    temporary = folder / f".{secrets.token_hex(8)}.tmp"
    try:
        flags = os.O_WRONLY | os.O_CREAT | os.O_EXCL
        with os.fdopen(os.open(temporary, flags, mode), "wb") as file:
            path = folder / write(file)
            file.flush()
            os.fsync(file.fileno())
        temporary.replace(path)
    except BaseException:
        temporary.unlink(missing_ok=True)
        raise
    sync_folder(folder)
    return path


def sweep(folder: Path) -> None:
    """Removes what killed processes had begun to write in `folder` and below; none may be writing."""
    for path in folder.rglob(f".{'[0-9a-f]' * 16}.tmp"):
        path.unlink(missing_ok=True)


@contextmanager
def own_folder(folder: Path) -> Iterator[None]:
    """Within it `folder`, made and swept, is this process's alone. Raises `StoreError` if not."""
    folder.mkdir(parents=True, exist_ok=True)
    lock = FileLock(folder / ".lock")
    try:
        lock.acquire(timeout=0)
    except Timeout:
        raise StoreError(f"{folder} is in use by another process; stop it first.") from None
    try:
        sweep(folder)
        yield
    finally:
        lock.release()


def append_line(path: Path, line: str) -> None:
    """Appends `line` to `path`. One that a crash or a full disk cut short is left alone."""
    with path.open("a+b") as file:
        if file.tell():
            file.seek(-1, os.SEEK_END)
            if file.read(1) != b"\n":
                file.write(b"\n")
        file.write(line.encode() + b"\n")


def sync_folder(folder: Path) -> None:
    """Makes the names in `folder` durable, where the system can."""
    if os.name != "posix":
        return
    handle = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(handle)
    finally:
        os.close(handle)
