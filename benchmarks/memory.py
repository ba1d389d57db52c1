"""The coordinator's memory does not grow with the cohort: 10 and 1,000 clients a round, side by side.

    python benchmarks/memory.py

Runs the same population of 1,000 clients (an MLP of 0.4 M parameters on 784 columns) with cohorts of
10 and of 1,000 and prints the coordinator's peak resident memory above what it had before the first
round, and in all. Exits with 1 if the two peaks differ by more than 10 %.
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path

import numpy as np

ROUNDS, CLIENTS, ROWS = 4, 1000, 5
CONFIG = """
seed = 1
rounds = {rounds}
[data]
path = "{path}"
held_out = 0.0
[partition]
kind = "iid"
clients = {clients}
[model]
kind = "mlp"
hidden = [512]
[sampler]
kind = "fixed"
size = {size}
[run]
workers = 2
device = "cpu"
"""


def measure(config: Path) -> dict[str, float]:
    """Peak and starting memory of a coordinator in a process of its own, in MiB."""
    command = [sys.executable, __file__, "--one", str(config)]
    done = subprocess.run(command, check=True, capture_output=True, text=True)
    return dict(json.loads(done.stdout))


def run_one(config: Path) -> None:
    """Runs `config` here and prints what this process used."""
    from tacit.server import Began, Progress
    from tacit.simulations import read_config, simulate

    start: list[float] = []

    def observe(progress: Progress) -> None:
        if isinstance(progress, Began) and not start:
            start.append(resident("VmRSS"))

    simulate(read_config(config), observe=observe)
    sys.stdout.write(json.dumps({"start": start[0], "peak": resident("VmHWM")}))


def resident(field: str) -> float:
    """A line of /proc/self/status, in MiB (Linux)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(field))


def main() -> None:
    if "--one" in sys.argv:
        run_one(Path(sys.argv[-1]))
        return
    rng, peaks = np.random.default_rng(0), {}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "rows.npz"
        rows = rng.normal(size=(CLIENTS * ROWS, 784)).astype(np.float32)
        np.savez(path, features=rows, targets=rng.integers(0, 10, len(rows)))
        print("| clients a round | before round 1, MiB | peak, MiB |\n|---|---|---|")
        for size in (10, 1000):
            config = Path(folder) / f"{size}.toml"
            config.write_text(CONFIG.format(rounds=ROUNDS, path=path, clients=CLIENTS, size=size))
            found = measure(config)
            peaks[size] = found["peak"]
            print(f"| {size} | {found['start']:.1f} | {found['peak']:.1f} |", flush=True)
    ratio = peaks[1000] / peaks[10]
    print(f"\nratio of the peaks: {ratio:.3f} (at most 1.10)")
    sys.exit(0 if abs(ratio - 1) <= 0.10 else 1)


if __name__ == "__main__":
    main()
