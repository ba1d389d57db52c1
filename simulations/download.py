"""Public files: found on this machine or fetched from their official source, never unverified.

A file is looked for below `$TACIT_DATA`, then in the user's cache, then downloaded into the cache.
Wherever it came from, the SHA-256 of its content is checked before anyone reads it, and only
verified bytes are ever written.
"""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import tempfile
import urllib.request
import zipfile
import zlib
from dataclasses import dataclass
from http.client import HTTPException, HTTPResponse
from pathlib import Path
from urllib.error import HTTPError

from rich.console import Console
from rich.progress import BarColumn, DownloadColumn, Progress, TextColumn

from .dataset import DataError

TIMEOUT = 30.0  # seconds without a byte
CHUNK = 1 << 16
SLACK = 1 << 20  # bytes by which a packaging may exceed its content

# What gzip and zipfile raise for bytes that are not what they should be.
DAMAGE = (OSError, EOFError, KeyError, RuntimeError, ValueError, zlib.error, zipfile.BadZipFile)


@dataclass(frozen=True, kw_only=True)
class Source:
    """One file of a public data set: its names, its official address, and what it must contain.

    It lies in `folder` under one of the names `files`; a download is saved under the first.
    `size` (bytes) and `sha256` are of the content: what is left once a `.gz` or the `member` of a
    `.zip` is unpacked and a first line that starts with one of `headers` is dropped, so that
    different packagings of the same data have one digest. Where the official form cannot be turned
    into that content, `url` is empty and `origin` says what the file is made from.
    """

    folder: str
    files: tuple[str, ...]
    size: int
    sha256: str
    url: str = ""
    origin: str = ""
    member: str = ""
    headers: tuple[bytes, ...] = ()


def read(source: Source) -> bytes:
    """The verified content of a file. Raises DataError as `fetch` does."""
    return _obtain(source)[1]


def fetch(source: Source) -> Path:
    """Where a verified file lies, downloaded first if need be.

    Raises DataError if it is nowhere to be found, cannot be downloaded, or has the wrong digest.
    """
    return _obtain(source)[0]


def _obtain(source: Source) -> tuple[Path, bytes]:
    for path in _places(source):
        if path.is_file():
            return path, _content(source, _bytes_at(path), str(path))
    if not source.url:
        raise DataError(
            f"{source.files[0]} cannot be downloaded in this form: it is made from {source.origin}."
            f" Put it into $TACIT_DATA/{source.folder}/."
        )
    raw = _download(source)
    content = _content(source, raw, source.url)
    path = _cache() / source.folder / source.files[0]
    _write(path, raw)
    return path, content


def _places(source: Source) -> list[Path]:
    given = os.environ.get("TACIT_DATA")
    roots = [Path(given), _cache()] if given else [_cache()]
    return [root / source.folder / file for root in roots for file in source.files]


def _cache() -> Path:
    return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache") / "tacit"


def _bytes_at(path: Path) -> bytes:
    try:
        return path.read_bytes()
    except OSError as error:
        raise DataError(f"Cannot read {path}: {error.strerror}.") from error


def _content(source: Source, raw: bytes, where: str) -> bytes:
    """What the packaging holds. Raises DataError unless it is exactly what it should be."""
    try:
        content = _unpacked(source, raw)
    except DAMAGE as error:
        raise DataError(f"{where} is damaged ({error}): delete it and get it again.") from error
    digest = hashlib.sha256(content).hexdigest()
    if digest != source.sha256:
        raise DataError(
            f"{where} holds {len(content)} bytes with SHA-256 {digest[:12]}…, expected"
            f" {source.size} with {source.sha256[:12]}…: it is truncated or another version."
            " Delete it and get it again."
        )
    return content


def _unpacked(source: Source, raw: bytes) -> bytes:
    """The content of a packaging, reading little more than it should be: no decompression bombs."""
    most = source.size + SLACK
    if raw.startswith(b"\x1f\x8b"):
        with gzip.open(io.BytesIO(raw)) as stream:
            content = stream.read(most)
    elif raw.startswith(b"PK") and source.member:
        with zipfile.ZipFile(io.BytesIO(raw)) as archive, archive.open(source.member) as stream:
            content = stream.read(most)
    else:
        content = raw
    if content.startswith(source.headers):
        content = content.partition(b"\n")[2]
    return content


def _download(source: Source) -> bytes:
    request = urllib.request.Request(source.url, headers={"User-Agent": "tacit"})
    try:
        with urllib.request.urlopen(request, timeout=TIMEOUT) as response:
            return _body(response, source)
    except (OSError, HTTPException) as error:
        if isinstance(error, HTTPError):
            error.close()  # it is the response as well
        raise DataError(
            f"Cannot download {source.url} ({error}): go online and try again, or put"
            f" {source.files[0]} into $TACIT_DATA/{source.folder}/."
        ) from error


def _body(response: HTTPResponse, source: Source) -> bytes:
    """The whole body, with a bar on a terminal. Stops at more than the file can hold."""
    length, most = response.length or 0, source.size + SLACK
    console = Console(stderr=True)
    columns = (TextColumn("{task.description}"), BarColumn(), DownloadColumn())
    body = bytearray()
    with Progress(*columns, console=console, disable=not console.is_terminal) as progress:
        task = progress.add_task(source.files[0], total=length or None)
        while len(body) <= most and (chunk := response.read(CHUNK)):
            body += chunk
            progress.update(task, completed=len(body))
    if max(length, len(body)) > most:
        raise OSError(f"the answer is longer than the {source.size} bytes expected")
    if len(body) < length:
        raise OSError(f"{len(body)} of {length} bytes arrived")
    return bytes(body)


def _write(path: Path, raw: bytes) -> None:
    """All of the file or nothing: written beside it, made durable, then renamed."""
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.NamedTemporaryFile(dir=path.parent, delete=False) as file:
            try:
                file.write(raw)
                file.flush()
                os.fsync(file.fileno())
                Path(file.name).replace(path)
            finally:
                Path(file.name).unlink(missing_ok=True)
    except OSError as error:
        raise DataError(
            f"Cannot write {path} ({error.strerror}): set XDG_CACHE_HOME to a folder with room."
        ) from error
