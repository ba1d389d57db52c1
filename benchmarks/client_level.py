"""Accuracy against ε with client-level privacy: Fashion-MNIST on 3,000 clients of 20 images.

    TACIT_DATA=... python benchmarks/client_level.py [FOLDER]

Three runs of examples/private_clients.toml: without noise, with adaptive clipping on Poisson cohorts, and
with banded matrix factorisation on clients that take turns. Writes client_level.svg beside this file and
prints a table; exits with 1 if one of the two is more than 3 points below the run without noise.
Runs are kept in FOLDER, if it is given, and not repeated.
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from tacit.privacy import Unit
from tacit.privacy.accountants import Counts
from tacit.privacy.accounting import verdict
from tacit.privacy.event import Event, from_json
from tacit.privacy.ledger import Ledger
from tacit.reports.records import read
from tacit.simulations.run_folder import RunFolder

CONFIG = Path(__file__).parents[1] / "examples" / "private_clients.toml"
FIGURE = Path(__file__).with_suffix(".svg")
POINTS = 0.03
RUNS = {
    "no noise": ['mechanism={kind="mean",weighting="uniform"}', "budget.epsilon=inf"],
    "adaptive clipping": [],
    "banded matrix factorisation": [
        'mechanism={kind="banded",clip=0.5,bands=16}',
        'sampler={kind="cyclic",groups=30}',
        "rounds=180",
    ],
}


@dataclass(frozen=True)
class Curve:
    """Accuracy on the test images at each evaluation, and the ε that was spent by then."""

    name: str
    neighbours: str
    rounds: int
    epsilon: Sequence[float]
    accuracy: Sequence[float]


def trained(name: str, changes: Sequence[str], out: Path) -> Curve:
    """The run, which is made if it is not there."""
    if not (out / "model.safetensors").exists():
        command = [sys.executable, "-m", "tacit", "run"]
        command += ["--resume", str(out)] if out.exists() else [str(CONFIG), "--out", str(out)]
        for change in changes if not out.exists() else ():
            command += ["--set", change]
        subprocess.run([*command, "--quiet"], check=True)
    records = read(RunFolder(out))
    budget = records.config.budget_of(Unit.CLIENT)
    ledger = Ledger(out / "ledger" / "ledger.db")
    entries = ledger.verify()
    ledger.close()
    accuracy, epsilon = [], []
    for committed, evaluated in records.history:
        if evaluated is None:
            continue
        accuracy.append(evaluated.pooled["correct"] / evaluated.pooled["examples"])
        events = [from_json(entry.event) for entry in entries if entry.round <= committed.round]
        epsilon.append(verdict(counted(events), budget.delta, budget.adjacency).stated)
    neighbours = {"add_remove": "add/remove"}.get(
        budget.adjacency, budget.adjacency.replace("_", "-")
    )
    return Curve(name, neighbours, records.rounds, epsilon, accuracy)


def counted(events: Sequence[Event]) -> Counts:
    return {event: events.count(event) for event in dict.fromkeys(events)}


def draw(plain: Curve, noised: Sequence[Curve]) -> None:
    import matplotlib as mpl

    mpl.use("svg")
    from matplotlib import pyplot

    mpl.rcParams["svg.hashsalt"] = "tacit"
    figure, axes = pyplot.subplots(figsize=(8, 4.4))
    for curve, colour in zip(noised, ("#0072B2", "#D55E00"), strict=True):
        name = f"{curve.name} ({curve.neighbours})"
        axes.plot(curve.epsilon, curve.accuracy, color=colour, marker="o", markersize=4, label=name)
    level = plain.accuracy[-1]
    axes.axhline(
        level, color="#5A5A5A", linestyle=(0, (5, 3)), label=f"no noise, in the end {level:.3f}"
    )
    axes.legend(frameon=False, loc="lower right")
    axes.set_xlim(0, 8)
    axes.set_xlabel("ε of one client with everything it holds (δ = 1e-5)")
    axes.set_ylabel("accuracy on the 10,000 test images")
    axes.grid(axis="y", color="#E6E6E6")
    axes.spines[["top", "right"]].set_visible(False)
    figure.tight_layout()
    figure.savefig(FIGURE, metadata={"Date": None})


def main() -> int:
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(sys.argv[1] if len(sys.argv) > 1 else temporary)
        curves = [
            trained(name, changes, folder / name.replace(" ", "_"))
            for name, changes in RUNS.items()
        ]
    plain, *noised = curves
    print("| mechanism | rounds | accuracy | ε at δ = 1e-5 | below no noise |")
    print("|---|---|---|---|---|")
    for curve in curves:
        gap = 100 * (plain.accuracy[-1] - curve.accuracy[-1])
        print(
            f"| {curve.name} | {curve.rounds} | {curve.accuracy[-1]:.4f} | "
            f"{curve.epsilon[-1]:.2f} ({curve.neighbours}) | {gap:.1f} points |"
        )
    draw(plain, noised)
    return int(any(plain.accuracy[-1] - curve.accuracy[-1] > POINTS for curve in noised))


if __name__ == "__main__":
    sys.exit(main())
