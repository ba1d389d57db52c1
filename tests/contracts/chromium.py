"""A headless Chromium, spoken to over two pipes: what it shows, says and asks for when it opens a page.

The protocol is that of its developer tools, https://chromedevtools.github.io/devtools-protocol/: JSON
messages, each ended by a zero byte.
"""

from __future__ import annotations

import base64
import json
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

CHROMIUM = shutil.which("chromium")
FLAGS = (
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-background-networking",
    "--remote-debugging-pipe",
)
AT_3_AND_4 = """
import os, sys
os.dup2(int(sys.argv[1]), 60), os.dup2(int(sys.argv[2]), 61)
os.dup2(60, 3), os.dup2(61, 4)
os.execv(sys.argv[3], sys.argv[3:])
"""
"""Where Chromium looks for its pipes."""


class Tab:
    """A tab of a browser. `requested` and `complaints` are what happened in it so far."""

    def __init__(self, into: int, out: int) -> None:
        self._into, self._out = into, out
        self._rest, self._last, self._session = b"", 0, ""
        self.requested: list[str] = []
        self.complaints: list[str] = []
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        attached = self.call("Target.attachToTarget", targetId=target, flatten=True)
        self._session = attached["sessionId"]
        for domain in ("Page", "Network", "Runtime", "Log", "Accessibility"):
            self.call(f"{domain}.enable")

    def call(self, method: str, **params: object) -> dict[str, Any]:
        """What the browser answers. Raises RuntimeError if it does not do it."""
        self._last += 1
        message: dict[str, Any] = {"id": self._last, "method": method, "params": params}
        if self._session:
            message["sessionId"] = self._session
        os.write(self._into, json.dumps(message).encode() + b"\0")
        for answer in self._messages():
            if answer.get("id") == self._last:
                if "error" in answer:
                    raise RuntimeError(f"{method}: {answer['error']}")
                result: dict[str, Any] = answer["result"]
                return result
        raise RuntimeError("the browser has gone")

    def open(self, page: Path, *, width: int = 1280, dark: bool = False) -> None:
        """Shows the file `page` in a window of that width."""
        self.call(
            "Emulation.setDeviceMetricsOverride",
            width=width,
            height=900,
            deviceScaleFactor=1,
            mobile=width < 600,
        )
        scheme = {"name": "prefers-color-scheme", "value": "dark" if dark else "light"}
        self.call("Emulation.setEmulatedMedia", features=[scheme])
        self.call("Page.navigate", url=page.absolute().as_uri())
        for message in self._messages():
            if message.get("method") == "Page.loadEventFired":
                return

    def evaluate(self, expression: str) -> Any:  # noqa: ANN401 - JSON
        """What `expression`, in JavaScript, is in the page."""
        answer = self.call("Runtime.evaluate", expression=expression, returnByValue=True)
        if "exceptionDetails" in answer:
            raise RuntimeError(str(answer["exceptionDetails"]))
        return answer["result"].get("value")

    def screenshot(self, path: Path) -> None:
        """The whole page as PNG."""
        shot = self.call("Page.captureScreenshot", captureBeyondViewport=True)
        path.write_bytes(base64.b64decode(shot["data"]))

    def print(self, path: Path) -> None:
        """The page as PDF."""
        printed = self.call("Page.printToPDF", preferCSSPageSize=True, printBackground=True)
        path.write_bytes(base64.b64decode(printed["data"]))

    def _messages(self) -> Iterator[dict[str, Any]]:
        while chunk := self._read():
            message = json.loads(chunk)
            self._notice(message)
            yield message

    def _read(self) -> bytes:
        while b"\0" not in self._rest:
            more = os.read(self._out, 1 << 16)
            if not more:
                return b""
            self._rest += more
        chunk, _, self._rest = self._rest.partition(b"\0")
        return chunk

    def _notice(self, message: dict[str, Any]) -> None:
        match message:
            case {"method": "Network.requestWillBeSent", "params": {"request": {"url": str(url)}}}:
                self.requested.append(url)
            case {"method": "Log.entryAdded", "params": {"entry": entry}}:
                self.complaints.append(str(entry))
            case {"method": "Runtime.consoleAPICalled" | "Runtime.exceptionThrown", "params": what}:
                self.complaints.append(str(what))


@contextmanager
def browser() -> Iterator[Tab]:
    """A tab of a browser that ends with the context, and with it all the processes that it started.

    They hold its standard output, even those whose parent has gone: at its end none writes any more.
    """
    if CHROMIUM is None:
        raise RuntimeError("There is no chromium on the PATH: apt-get install chromium.")
    (to_read, into), (out, to_write) = os.pipe(), os.pipe()
    with tempfile.TemporaryDirectory(prefix="tacit-") as profile:
        process = subprocess.Popen(
            [sys.executable, "-c", AT_3_AND_4, str(to_read), str(to_write), CHROMIUM, *FLAGS,
             f"--user-data-dir={profile}"],
            pass_fds=(to_read, to_write), stdout=subprocess.PIPE, stderr=subprocess.DEVNULL,
            start_new_session=True,
        )  # fmt: skip
        os.close(to_read)
        os.close(to_write)
        try:
            yield Tab(into, out)
        finally:
            os.close(into)
            os.close(out)
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
