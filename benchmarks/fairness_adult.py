"""Adult, people with and without a doctorate as two clients: q-FedAvg and AFL beside FedAvg.

    TACIT_DATA=... python benchmarks/fairness_adult.py

The setting in which Li et al. 2020 (q-FFL, arXiv 1905.10497; litian96/fair_flearn at f097971)
compare with AFL (Mohri et al. 2019, arXiv 1902.00146): logistic regression on the categorical
columns, and in each of 600 rounds one gradient step on all rows of both clients, at a rate of 0.1
for two logits, which is 0.2 for the one used here. FedAvg weighs the clients by their 32,148 and
413 rows. Models are judged on the official test rows, of which 181 are of people with a doctorate.

Prints a Markdown table: accuracy over all rows and on either client's, by how much the worst client
is better off than with FedAvg, and the losses of both. Intervals are for other rows, 1.96 standard
errors of the paired difference. Exits with 1 if q-FedAvg, or AFL at the better of two mixing rates,
raises the worst client by less than 2 points, or costs more than 1.5 points over all rows.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping
from dataclasses import replace
from typing import Any

import numpy as np
import torch
from numpy.typing import NDArray
from tacit.client import Classification, Plain
from tacit.simulations import Dataset, make_config, simulate
from tacit.simulations.datasets import load
from tacit.simulations.setup import Setup, prepare

MEASUREMENTS = 5
"""The first columns of `adult` are not categories: age, schooling, capital gain and loss, hours."""
PLAIN = "FedAvg, clients by rows"
METHODS: Mapping[str, tuple[Mapping[str, Any], str]] = {
    PLAIN: ({"kind": "fedavg"}, "examples"),
    "FedAvg, clients alike": ({"kind": "fedavg"}, "uniform"),
    "q-FedAvg, q = 1": ({"kind": "qfedavg", "q": 1.0}, "uniform"),
    "q-FedAvg, q = 5": ({"kind": "qfedavg", "q": 5.0}, "uniform"),
    "AFL, mixing rate 0.1": ({"kind": "afl", "mixing_rate": 0.1}, "uniform"),
    "AFL, mixing rate 0.01": ({"kind": "afl", "mixing_rate": 0.01}, "uniform"),
}
JUDGED = ("q-FedAvg, q = 1", "q-FedAvg, q = 5", "AFL, mixing rate 0.01")
MORE, LESS = 2.0, 1.5

Values = NDArray[np.float64]


def people() -> Dataset:
    """The categories alone, schooling among them, which `adult` has as a number of years."""
    adult = load("adult")
    assert adult.owner is not None
    schooling = adult.owner[:, np.newaxis] == np.arange(len(adult.owners))
    columns = np.column_stack([adult.data.features[:, MEASUREMENTS:], schooling])
    return replace(adult, data=replace(adult.data, features=columns.astype(np.float32)))


def settings(name: str) -> dict[str, Any]:
    strategy, weighting = METHODS[name]
    return {
        "rounds": 600,
        "data": {"name": "adult", "held_out": 0.0, "standardise": "none"},
        "partition": {"kind": "natural", "by": "doctorate"},
        "model": {"kind": "mlp", "hidden": []},
        "train": {"optimizer": "sgd", "learning_rate": 0.2, "batch_size": 32_148, "steps": 1},
        "strategy": strategy,
        "mechanism": {"kind": "mean", "weighting": weighting},
        "evaluate": {"every": 600},
        "run": {"workers": 0},
    }


def measured(setup: Setup) -> tuple[Values, Values]:
    """Whether the trained model gets each official test row right, 100 or 0, and its loss there."""
    assert isinstance(setup.task, Classification)
    trainer = Plain(setup.task, torch.device("cpu"))
    trainer.load(simulate(setup.config, dataset=people()).parameters)
    test = setup.population.data.rows(setup.population.pooled.test)
    targets = torch.from_numpy(test.targets)
    with torch.inference_mode():
        outputs = trainer.model(torch.from_numpy(test.features))
        right = 100.0 * (setup.task.guesses(outputs) == targets)
        return right.double().numpy(), setup.task.loss(outputs, targets).double().numpy()


def difference(one: Values, other: Values) -> str:
    """The mean of one less other, row by row, with its interval."""
    gain = one - other
    return f"{gain.mean():+.1f} ± {1.96 * gain.std() / math.sqrt(len(gain)):.1f}"


def main() -> int:
    dataset = people()
    doctorate = dataset.data.groups["doctorate"][dataset.test]
    plain, missed = np.zeros(0), False
    print("| strategy | all rows | no doctorate | doctorate | worst client, gain | losses |")
    print("|---|---|---|---|---|---|")
    for name in METHODS:
        right, loss = measured(prepare(make_config(settings(name)), dataset=dataset))
        plain = right if name == PLAIN else plain
        accuracy, losses = (
            [float(values[doctorate == code].mean()) for code in (0, 1)] for values in (right, loss)
        )
        worst = doctorate == int(np.argmin(accuracy))
        print(
            f"| {name} | {right.mean():.1f} | {accuracy[0]:.1f} | {accuracy[1]:.1f} | "
            f"{difference(right[worst], plain[worst])} | {losses[0]:.3f}, {losses[1]:.3f} |",
            flush=True,
        )
        if name in JUDGED:
            gain = right[worst].mean() - plain[worst].mean()
            missed |= gain < MORE or right.mean() < plain.mean() - LESS
    return int(missed)


if __name__ == "__main__":
    sys.exit(main())
