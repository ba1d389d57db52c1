"""The coordinator's peak memory with a large model, in units of the model's own size W (float32).

    python benchmarks/large_model.py [MiB of the model: 256] [strategy] [mechanism]

Four clients' updates lie in files, in arrays of up to W/16. Two rounds are admitted, folded, released,
stepped and committed in a process of its own, without training. Exits with 1 if FedAvg with the
mean reaches 2.5 W.
"""

from __future__ import annotations

import json
import math
import subprocess
import sys
import tempfile
import time
from collections.abc import Sequence
from contextlib import closing
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tacit.privacy import Account, AdaptiveGaussian, Budget, Gaussian, Ledger, Mean, Mechanism, Unit
from tacit.server import Admission, Coordinator, Everyone, Store
from tacit.strategies import FedAdam, FedAvg, FedAvgM, Strategy
from tacit.wire import Arrays, Fold, Instruction, Lazy, Stored, Update, write_arrays

DEFAULT = ("FedAvg", "Mean")
NONE = Budget(epsilon=math.inf)
CLIENTS = ["a", "b", "c", "d"]
STRATEGIES: dict[str, Strategy] = {"FedAvg": FedAvg(), "FedAvgM": FedAvgM(), "FedAdam": FedAdam()}
MECHANISMS: dict[str, Mechanism] = {
    "Mean": Mean(),
    "Gaussian": Gaussian(clip=1.0, noise_multiplier=1.0),
    "AdaptiveGaussian": AdaptiveGaussian(noise_multiplier=0.3),
}


@dataclass(frozen=True)
class Files:
    """The transport whose clients answered long ago: the update of each is in its file."""

    admission: Admission
    folder: Path

    def gather(self, instruction: Instruction, members: Sequence[str]) -> Fold:
        """See `Transport`."""
        fold, receive = Fold(), self.admission.open(instruction, members)
        for member in members:
            arrays = Stored(self.folder / member)
            update = Update(client=member, round=instruction.round, examples=7, contribution=arrays)
            receive(fold, update)
        return fold


def model(size: int, seed: int) -> Arrays:
    """`size` MiB of float32, never in memory as a whole: some large arrays and some small ones."""

    def part(number: int, mib: float) -> NDArray[np.float32]:
        rng = np.random.default_rng([seed, number])
        return rng.random(int(mib * 2**18), np.float32) - np.float32(0.5)

    pieces = [size / 16] * 15 + [size / 256] * 16
    return Lazy({f"{i:03}": partial(part, i, mib) for i, mib in enumerate(pieces)})


def run_one(folder: Path, strategy: Strategy, mechanism: Mechanism) -> None:
    """Two rounds here, then what this process used."""
    start = resident("VmRSS")
    with closing(Store(folder / "store")) as store, closing(Ledger(folder / "ledger")) as ledger:
        account = Account(
            ledger=ledger, population="p", unit=Unit.CLIENT, run=store.run(), budget=NONE
        )
        began = time.monotonic()
        Coordinator(
            strategy=strategy,
            mechanism=mechanism,
            sampler=Everyone(),
            transport=Files(Admission(strategy=strategy, mechanism=mechanism), folder),
            store=store,
            account=account,
            secret=store.secret(),
            clients=CLIENTS,
            measured=[],
            rounds=2,
            seed=0,
            settings={},
        ).run(Stored(folder / "initial"))
        seconds = (time.monotonic() - began) / 2
        assert store.latest() is not None
    found = {"start": start, "peak": resident("VmHWM"), "seconds": seconds}
    sys.stdout.write(json.dumps(found))


def measure(size: int, strategy: str, mechanism: str) -> float:
    """Writes the files, runs the rounds in a new process, and prints its peak in W."""
    with tempfile.TemporaryDirectory() as folder:
        for seed, name in enumerate(["initial", *CLIENTS]):
            with (Path(folder) / name).open("wb") as file:
                write_arrays(file, model(size, seed))
        command = [sys.executable, __file__, "--one", folder, strategy, mechanism]
        done = subprocess.run(command, check=True, stdout=subprocess.PIPE, text=True)
    found = json.loads(done.stdout)
    above, peak = (found["peak"] - found["start"]) / size, found["peak"] / size
    print(
        f"| {size} | {strategy} | {mechanism} | {found['start']:.0f} | {found['peak']:.0f} "
        f"| {above:.2f} | {peak:.2f} | {found['seconds']:.1f} |",
        flush=True,
    )
    return float(above)


def resident(field: str) -> float:
    """A line of /proc/self/status, in MiB (Linux)."""
    lines = Path("/proc/self/status").read_text().splitlines()
    return next(int(line.split()[1]) / 1024 for line in lines if line.startswith(field))


def main() -> None:
    if sys.argv[1:2] == ["--one"]:
        run_one(Path(sys.argv[2]), STRATEGIES[sys.argv[3]], MECHANISMS[sys.argv[4]])
        return
    size = int(sys.argv[1]) if sys.argv[1:] else 256
    strategy, mechanism = sys.argv[2:4] if sys.argv[3:] else DEFAULT
    columns = ["W, MiB", "strategy", "mechanism", "before, MiB", "peak, MiB"]
    print("| " + " | ".join([*columns, "more than before, W", "peak, W", "s a round"]) + " |")
    print("|---|---|---|---|---|---|---|---|")
    above = measure(size, strategy, mechanism)
    sys.exit(0 if (strategy, mechanism) != DEFAULT or above < 2.5 else 1)


if __name__ == "__main__":
    main()
