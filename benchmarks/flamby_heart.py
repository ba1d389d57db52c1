"""FLamby's Fed-Heart-Disease by `tacit run`, six strategies and five seeds, beside the published table.

    TACIT_DATA=... python benchmarks/flamby_heart.py

Prints a Markdown table, and exits with 1 if a mean of pooled accuracy is more than 0.010 from the one
that FLamby published (Ogier du Terrail et al. 2022, arXiv 2210.04620; owkin/FLamby at edacf54,
flamby/results/results_benchmark_fed_heart_disease/heart_seed{42..46}.csv).
"""

from __future__ import annotations

import json
import subprocess
import sys
import tempfile
from pathlib import Path
from statistics import mean, stdev

CONFIG = Path(__file__).parents[1] / "examples" / "heart_disease.toml"
SEEDS = (42, 43, 44, 45, 46)
TOLERANCE = 0.010
ADAPTIVE = ["strategy.tau=1e-8", "strategy.beta1=0.9"]
PUBLISHED = {  # pooled test accuracy over the seeds: mean, standard deviation
    "fedavg": (0.748031, 0.026847),
    "fedprox": (0.748031, 0.026847),
    "scaffold": (0.748031, 0.026847),
    "fedadam": (0.778740, 0.014572),
    "fedyogi": (0.778740, 0.015349),
    "fedadagrad": (0.778740, 0.015349),
}
METHODS = {
    "fedavg": ["strategy.kind=fedavg", "train.learning_rate=0.001"],
    "fedprox": ["strategy.kind=fedprox", "strategy.mu=0.01", "train.learning_rate=0.001"],
    "scaffold": ["strategy.kind=scaffold", "train.learning_rate=0.001"],
    "fedadam": [
        "strategy.kind=fedadam",
        "strategy.learning_rate=0.01",
        "strategy.beta2=0.999",
        "train.learning_rate=0.01",
        *ADAPTIVE,
    ],
    "fedyogi": [
        "strategy.kind=fedyogi",
        "strategy.learning_rate=0.01",
        "strategy.beta2=0.999",
        "train.learning_rate=0.003162",
        *ADAPTIVE,
    ],
    "fedadagrad": [
        "strategy.kind=fedadagrad",
        "strategy.learning_rate=0.316228",
        "train.learning_rate=0.003162",
        *ADAPTIVE,
    ],
}


def pooled_accuracy(settings: list[str], seed: int) -> float:
    """Accuracy on the pooled test rows after one run."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "tacit", "run", str(CONFIG), "--out", f"{folder}/run"]
        command += ["--format", "json", "--workers", "0", "--set", f"seed={seed}"]
        for setting in settings:
            command += ["--set", setting]
        done = subprocess.run(command, check=True, capture_output=True, text=True)
    return float(json.loads(done.stdout.splitlines()[-1])["federated"]["pooled"])


def main() -> None:
    print("| strategy | tacit: mean ± sd | published: mean ± sd | difference | within 0.010 |")
    print("|---|---|---|---|---|")
    right = True
    for name, settings in METHODS.items():
        found = [pooled_accuracy(settings, seed) for seed in SEEDS]
        target, deviation = PUBLISHED[name]
        difference = mean(found) - target
        right &= abs(difference) <= TOLERANCE
        print(
            f"| {name} | {mean(found):.4f} ± {stdev(found):.4f} | {target:.4f} ± "
            f"{deviation:.4f} | {difference:+.4f} | "
            f"{'yes' if abs(difference) <= TOLERANCE else 'NO'} |",
            flush=True,
        )
    sys.exit(0 if right else 1)


if __name__ == "__main__":
    main()
