"""Makes small CSV files to try a deployment with, from a data set that scikit-learn bundles.

python make_sites.py FOLDER writes bergen.csv, oslo.csv and turku.csv, and all.csv with everybody's rows
and a column that says whose they are, for a simulation to compare with.
"""

from __future__ import annotations

import csv
import sys
from pathlib import Path

from sklearn.datasets import load_breast_cancer

SITES = {"bergen": 120, "oslo": 250, "turku": 199}


def main(folder: Path) -> None:
    rows = load_breast_cancer()
    head = [*(name.replace(" ", "_") for name in rows.feature_names), "malignant"]
    lines = [[*row, 1 - label] for row, label in zip(rows.data, rows.target, strict=True)]
    folder.mkdir(parents=True, exist_ok=True)
    everybody: list[list[object]] = []
    for site, count in SITES.items():
        own, lines = lines[:count], lines[count:]
        write(folder / f"{site}.csv", head, own)
        everybody += [[*row, site] for row in own]
    write(folder / "all.csv", [*head, "site"], everybody)


def write(path: Path, head: list[str], rows: list[list[object]]) -> None:
    with path.open("w", newline="") as file:
        csv.writer(file).writerows([head, *rows])
    print(f"wrote {path}: {len(rows)} rows")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
