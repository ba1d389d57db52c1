from __future__ import annotations

import gzip
import hashlib
import io
import os
import zipfile
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from tacit.simulations import download, tabular
from tacit.simulations.dataset import DataError
from tacit.simulations.download import Source, fetch, read

REAL = os.environ.get("TACIT_DATA")
CONTENT = b"".join(b"%d, row %d\n" % (n, n * n) for n in range(20_000))


@dataclass(frozen=True, kw_only=True)
class Site:
    """A web server on this machine: what it answers, and what it was asked."""

    url: str
    bodies: dict[str, bytes] = field(default_factory=dict)
    short_by: dict[str, int] = field(default_factory=dict)
    asked: list[str] = field(default_factory=list)


@pytest.fixture
def site(monkeypatch: pytest.MonkeyPatch) -> Iterator[Site]:
    class Handler(BaseHTTPRequestHandler):
        def do_GET(self) -> None:
            name = self.path.strip("/")
            here.asked.append(name)
            if name not in here.bodies:
                self.send_error(404)
                return
            body = here.bodies[name]
            self.send_response(200)
            self.send_header("Content-Length", str(len(body)))
            self.end_headers()
            with suppress(OSError):  # the other side may have heard enough
                self.wfile.write(body[: len(body) - here.short_by.get(name, 0)])

        def log_message(self, *_: object) -> None:
            pass

    with ThreadingHTTPServer(("127.0.0.1", 0), Handler) as server:
        here = Site(url=f"http://127.0.0.1:{server.server_port}")
        monkeypatch.setenv("no_proxy", "127.0.0.1")
        thread = Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        yield here
        server.shutdown()
        thread.join()


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """An empty cache, and no TACIT_DATA."""
    monkeypatch.delenv("TACIT_DATA", raising=False)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache" / "tacit"


def source(url: str = "", file: str = "table.csv") -> Source:
    return Source(
        folder="things",
        files=(file, "table.csv.gz"),
        url=url and f"{url}/{file}",
        origin="an old book",
        member="table.csv",
        size=len(CONTENT),
        sha256=hashlib.sha256(CONTENT).hexdigest(),
        headers=(b"number,", b"|"),
    )


def zipped(member: str = "table.csv", content: bytes = CONTENT) -> bytes:
    buffer = io.BytesIO()
    with zipfile.ZipFile(buffer, "w", zipfile.ZIP_DEFLATED) as archive:
        archive.writestr("readme", "what this is")
        archive.writestr(member, content)
    return buffer.getvalue()


def files_under(folder: Path) -> list[Path]:
    return [path for path in folder.rglob("*") if path.is_file()]


def refused(source: Source, *expected: str) -> None:
    """It is refused, in one line that says where to put the file or what is wrong with it."""
    with pytest.raises(DataError) as caught:
        fetch(source)
    message = str(caught.value)
    assert "\n" not in message
    for words in expected:
        assert words in message


def test_a_file_is_downloaded_once_and_read_from_the_cache_after(site: Site, cache: Path) -> None:
    site.bodies["table.csv"] = CONTENT
    path = fetch(source(site.url))
    assert path == cache / "things" / "table.csv"
    assert path.read_bytes() == CONTENT
    assert read(source(site.url)) == CONTENT
    assert site.asked == ["table.csv"]
    assert files_under(cache) == [path]


@pytest.mark.skipif(REAL is None, reason="TACIT_DATA does not say where the real data is")
def test_a_real_file_is_downloaded_with_the_digest_that_is_built_in(
    site: Site, cache: Path
) -> None:
    assert REAL is not None
    va = tabular._heart_source("va")
    site.bodies["va"] = (Path(REAL) / "heart_disease" / "processed.va.data").read_bytes()
    assert fetch(replace(va, url=f"{site.url}/va")) == cache / "heart_disease/processed.va.data"
    assert read(va) == site.bodies["va"]


def test_tacit_data_comes_first_and_needs_no_network(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, cache: Path
) -> None:
    (tmp_path / "data" / "things").mkdir(parents=True)
    packed = tmp_path / "data" / "things" / "table.csv.gz"
    packed.write_bytes(gzip.compress(CONTENT))
    monkeypatch.setenv("TACIT_DATA", str(tmp_path / "data"))
    assert fetch(source("http://127.0.0.1:9")) == packed
    assert read(source()) == CONTENT
    assert not cache.exists()


@pytest.mark.parametrize(
    "body",
    [
        CONTENT,
        b"number, name\n" + CONTENT,
        b"|1x3 Cross validator\n" + CONTENT,
        gzip.compress(CONTENT),
        gzip.compress(b"number, name\n" + CONTENT),
        zipped(),
        zipped(content=b"number, name\n" + CONTENT),
    ],
    ids=["plain", "header", "remark", "gz", "gz with header", "zip", "zip with header"],
)
def test_every_packaging_of_the_same_rows_has_the_same_content(site: Site, body: bytes) -> None:
    site.bodies["table.csv"] = body
    assert read(source(site.url)) == CONTENT


@pytest.mark.parametrize(
    "body",
    [
        CONTENT[:-1],
        CONTENT + b"\n",
        CONTENT.replace(b"7", b"8", 1),
        b"",
        b"other, header\n" + CONTENT,
        gzip.compress(CONTENT)[:-9],
        zipped(member="another.csv"),
        zipped()[:-30],
        gzip.compress(bytes(50_000_000)),
        b"<html>Please log in to the network.</html>",
    ],
    ids=["short", "long", "changed", "empty", "header", "gz", "member", "zip", "bomb", "portal"],
)
def test_wrong_bytes_are_refused_and_leave_nothing_behind(
    site: Site, cache: Path, body: bytes
) -> None:
    site.bodies["table.csv"] = body
    refused(source(site.url), site.url)
    assert files_under(cache.parent) == []
    site.bodies["table.csv"] = CONTENT
    assert read(source(site.url)) == CONTENT, "and the next try is not hindered"


def test_a_body_that_breaks_off_is_refused_and_leaves_nothing_behind(
    site: Site, cache: Path
) -> None:
    site.bodies["table.csv"], site.short_by["table.csv"] = CONTENT, 1000
    refused(source(site.url), "Cannot download", "of", "TACIT_DATA")
    assert files_under(cache.parent) == []


def test_an_endless_body_is_not_read_to_its_end(site: Site, cache: Path) -> None:
    site.bodies["table.csv"] = bytes(len(CONTENT) + 20 * download.SLACK)
    refused(source(site.url))
    assert files_under(cache.parent) == []


def test_an_interruption_while_writing_leaves_nothing_behind(
    site: Site, cache: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupt(_: int) -> None:
        raise KeyboardInterrupt

    site.bodies["table.csv"] = CONTENT
    with monkeypatch.context() as patch:
        patch.setattr(os, "fsync", interrupt)
        with pytest.raises(KeyboardInterrupt):
            fetch(source(site.url))
    assert files_under(cache.parent) == []
    assert read(source(site.url)) == CONTENT


def test_what_the_site_does_not_have_is_one_clear_error(site: Site) -> None:
    refused(source(site.url), "404", site.url, "$TACIT_DATA/things/")


def test_without_a_network_it_says_where_to_put_the_file() -> None:
    with ThreadingHTTPServer(("127.0.0.1", 0), BaseHTTPRequestHandler) as server:
        closed = f"http://127.0.0.1:{server.server_port}"
    refused(source(closed), "Cannot download", "go online", "$TACIT_DATA/things/", "table.csv")
    refused(source("http://no-such-host.invalid"), "Cannot download", "$TACIT_DATA/things/")


def test_what_cannot_be_downloaded_says_what_it_is_made_from() -> None:
    refused(source(), "made from an old book", "$TACIT_DATA/things/")


def test_bytes_under_tacit_data_and_in_the_cache_are_verified_too(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, site: Site
) -> None:
    site.bodies["table.csv"] = CONTENT
    path = fetch(source(site.url))
    path.write_bytes(CONTENT[:100])
    refused(source(site.url), str(path), "SHA-256", "get it again")
    monkeypatch.setenv("TACIT_DATA", str(tmp_path / "data"))
    (tmp_path / "data" / "things").mkdir(parents=True)
    (tmp_path / "data" / "things" / "table.csv.gz").write_bytes(b"\x1f\x8bnonsense")
    refused(source(site.url), "table.csv.gz is damaged")


def test_a_cache_that_cannot_be_written_is_one_clear_error(site: Site, cache: Path) -> None:
    cache.parent.mkdir()
    cache.write_text("a file where the folder should be")
    site.bodies["table.csv"] = CONTENT
    refused(source(site.url), "Cannot write", "XDG_CACHE_HOME")


SMALL = replace(
    source(), size=400, sha256=hashlib.sha256(CONTENT[:400]).hexdigest(), files=("table.csv",)
)
PACKED = [gzip.compress(CONTENT[:400]), zipped(content=CONTENT[:400])]


@given(packed=st.sampled_from(PACKED), place=st.integers(0, 1000), byte=st.integers(0, 255))
@settings(max_examples=400, deadline=None)
def test_damage_to_any_byte_is_either_harmless_or_one_clear_error(
    packed: bytes, place: int, byte: int
) -> None:
    damaged = bytearray(packed)
    damaged[place % len(packed)] = byte
    for raw in (bytes(damaged), packed[: place % len(packed)]):
        try:
            content = download._content(SMALL, raw, "it")
        except DataError:
            continue
        assert content == CONTENT[:400]
