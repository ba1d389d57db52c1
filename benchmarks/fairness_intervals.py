"""2,000 bootstrap draws of every rate and gap of 8 groups, beside Fairlearn's own bootstrap of the rows.

    python benchmarks/fairness_intervals.py

Time is that of the processor, on one thread. Fairlearn draws rows and computes every metric anew, so few
of its draws are timed, and the rest is reckoned. Exits with 1 if the best of ours takes 50 ms or more.
"""

from __future__ import annotations

import functools
import sys
import time

import numpy as np
import pandas as pd
from fairlearn.metrics import (
    MetricFrame,
    false_positive_rate,
    selection_rate,
    true_positive_rate,
)
from numpy.typing import NDArray
from sklearn.metrics import accuracy_score, f1_score, precision_score
from tacit.fairness.estimates import counts_of
from tacit.fairness.groups import by_attribute
from tacit.fairness.rate import Floor
from tacit.fairness.tables import Attribute, Judged, Schema

ROWS, GROUPS, DRAWS, TRIES = 8000, 8, 2000, 15
THEIR_DRAWS = 20
MOST_MS = 50.0
THEIRS = {
    "accuracy": accuracy_score,
    "f1": functools.partial(f1_score, zero_division=0),
    "false_positive_rate": false_positive_rate,
    "precision": functools.partial(precision_score, zero_division=0),
    "recall": true_positive_rate,
    "selection_rate": selection_rate,
}
Codes = NDArray[np.int64]


def some_rows(rng: np.random.Generator) -> tuple[Codes, Codes, Codes, NDArray[np.float64]]:
    """Group, class, guess and score."""
    group, target = rng.integers(0, GROUPS, ROWS), rng.integers(0, 2, ROWS)
    score = rng.beta(1 + target + group / 10, 2 - target)
    return group, target, (score > 0.5).astype(np.int64), score


def ours(schema: Schema, judged: Judged) -> tuple[float, int, int]:
    """Milliseconds from tables to intervals, and how many rates of groups and gaps have one."""
    (attribute,) = schema.attributes
    counts = counts_of(attribute.name, {}, schema.count(judged), 0.0)
    times = []
    for seed in range(TRIES):
        rng = np.random.default_rng(seed)
        began = time.process_time()
        found = by_attribute(
            schema, attribute, counts, (), floor=Floor(), times=None, draws=DRAWS, rng=rng
        )
        times.append(time.process_time() - began)
    rates = sum(one.sampling is not None for group in found.groups for one in group.rates.values())
    return 1000 * min(times), rates, sum(gap.estimate.sampling is not None for gap in found.gaps)


def theirs(group: Codes, target: Codes, guess: Codes) -> float:
    """Milliseconds that as many draws would take."""
    began = time.process_time()
    found = MetricFrame(
        metrics=THEIRS,
        y_true=target,
        y_pred=guess,
        sensitive_features=pd.Series(group, name="group"),
        n_boot=THEIR_DRAWS,
        ci_quantiles=[0.025, 0.975],
        random_state=0,
    )
    found.by_group_ci, found.difference_ci(method="between_groups")
    return 1000 * (time.process_time() - began) * DRAWS / THEIR_DRAWS


def main() -> int:
    group, target, guess, score = some_rows(np.random.default_rng(1))
    attribute = Attribute(name="group", groups=tuple(str(n) for n in range(GROUPS)))
    loss = -np.log(np.where(target == 1, score, 1 - score))
    judged = Judged(
        targets=target, guesses=guess, scores=score, losses=loss, groups={"group": group}
    )
    mine, rates, gaps = ours(Schema(attributes=(attribute,), classes=2), judged)
    other = theirs(group, target, guess)
    print(f"{ROWS} rows, {GROUPS} groups, {DRAWS} draws\n")
    print("| bootstrap | rates of groups | gaps | processor, ms |\n|---|---|---|---|")
    print(f"| tacit, from counts | {rates} | {gaps} | {mine:.1f} |")
    print(f"| Fairlearn, from rows | {len(THEIRS) * GROUPS} | {len(THEIRS)} | {other:,.0f} |")
    print(
        f"\nFairlearn takes {other / mine:,.0f} times as long. Ours must take below {MOST_MS:g} ms."
    )
    return int(mine >= MOST_MS)


if __name__ == "__main__":
    sys.exit(main())
