"""The client processes of `tacit up`."""

from __future__ import annotations

import _thread
import subprocess
import sys
import threading
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import IO

from ..deployment.authority import Authority
from ..wire.identity import Role
from . import console


@dataclass
class Sites:
    """A process for each client, in `folder`, with a certificate of `authority`, until `close`.

    A process that fails ends the run, as Ctrl-C would, and its last words are shown.
    """

    folder: Path
    authority: Authority
    config: Path
    changes: tuple[str, ...]
    _running: dict[str, subprocess.Popen[bytes]] = field(default_factory=dict)
    _left: threading.Event = field(default_factory=threading.Event)

    def close(self) -> None:
        """Ends all of them."""
        self._left.set()
        for process in self._running.values():
            process.terminate()
        for process in self._running.values():
            try:
                process.wait(timeout=10)
            except subprocess.TimeoutExpired:
                process.kill()
                process.wait()

    def start(self, clients: Sequence[str], port: int) -> None:
        """Starts one process for each of `clients`, to dial `port` of this machine."""
        for name in clients:
            certs = self.authority.issue(Role.CLIENT, name)
            state = self.folder / certs.name
            state.mkdir(parents=True, exist_ok=True)
            with self._log(name).open("wb") as log:
                self._running[name] = self._process(certs, state, port, log)
        threading.Thread(target=self._watch, name="sites", daemon=True).start()

    def _process(
        self, certs: Path, state: Path, port: int, log: IO[bytes]
    ) -> subprocess.Popen[bytes]:
        where = ["--study", str(self.config), "--certs", str(certs), "--state", str(state)]
        changes = [part for change in self.changes for part in ("--set", change)]
        command = [sys.executable, "-m", "tacit", "join", f"localhost:{port}", *where, *changes]
        return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)

    def _watch(self) -> None:
        while not self._left.wait(0.2):
            for name, process in self._running.items():
                if process.poll():
                    console.error(f"client {name!r} ended with code {process.returncode}; it said:")
                    for line in self._log(name).read_text().splitlines()[-5:]:
                        console.note(line)
                    _thread.interrupt_main()
                    return

    def _log(self, name: str) -> Path:
        return self.folder / f"{name}.log"
