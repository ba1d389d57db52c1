"""A server in a process of its own, whose memory can be looked at; run as a script by `flooded`."""

from __future__ import annotations

import os
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from contracts.network import network
from contracts.siege import ADMISSION, instruction
from tacit.server.remote import Patience


@dataclass(frozen=True)
class Flooded:
    """Where it listens, and which process it is."""

    port: int
    process: subprocess.Popen[str]

    def peak(self) -> int:
        """The most bytes of memory that it ever had."""
        status = Path(f"/proc/{self.process.pid}/status").read_text()
        line = next(line for line in status.splitlines() if line.startswith("VmHWM"))
        return int(line.split()[1]) * 1024

    def outcome(self) -> list[str]:
        """Ends the round: who counted, one name a line."""
        assert self.process.stdin is not None
        out, _ = self.process.communicate("end\n", timeout=60)
        assert self.process.returncode == 0
        return out.split()


@contextmanager
def flooded(folder: Path, certs: Path, clients: list[str]) -> Iterator[Flooded]:
    """A server with a round of `clients` that is open until its outcome is asked for."""
    command = [sys.executable, __file__, str(folder), str(certs), *clients]
    path = {"PYTHONPATH": os.pathsep.join([str(Path(__file__).parents[1]), *sys.path])}
    with subprocess.Popen(
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
        env={**os.environ, **path},
    ) as process:
        assert process.stdout is not None
        try:
            yield Flooded(int(process.stdout.readline()), process)
        finally:
            process.kill()


def main(folder: Path, certs: Path, clients: list[str]) -> None:
    patience = Patience(deadline=60.0, may_miss=len(clients))
    with network(ADMISSION, clients, folder, patience, certs) as net:
        folds = []
        asked = threading.Thread(
            target=lambda: folds.append(net.remote.gather(instruction(1), clients)), daemon=True
        )
        asked.start()
        while net.remote.exchange is None:
            time.sleep(0.01)
        say(str(net.port))
        sys.stdin.readline()
        exchange = net.remote.exchange
        net.remote.loop.call_soon_threadsafe(exchange.complete.set)
        asked.join(30)
        say(" ".join(receipt.client for receipt in folds[0].receipts))


def say(line: str) -> None:
    sys.stdout.write(line + "\n")
    sys.stdout.flush()


if __name__ == "__main__":
    main(Path(sys.argv[1]), Path(sys.argv[2]), sys.argv[3:])
