"""Census rows of 22 states: what privacy costs women and men, and what fair strategies cost everyone.

    TACIT_DATA=... python benchmarks/fairness_acs.py

Whether a person's income is over $50,000, from eight columns: a network with 16 hidden units, 20
rounds of 10 steps in every state. Age is on a scale that was fixed beforehand, so that nothing is
learned from rows but the model. The first table repeats FedAvg with DP-SGD in every state, its
noise calibrated to each state's rows, for several ε of one row (δ = 1e-5, add/remove). The second
has other strategies, without privacy, and is drawn as fairness_acs.svg beside this file. Intervals
are 95 % and for other test rows; there is one seed of initial model, batches and noise.
"""

from __future__ import annotations

import math
import sys
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import numpy as np
from tacit.client import DPSGD
from tacit.fairness import Assessment, Estimate, Gap, Interval, Tables, assess
from tacit.privacy import Adjacency, Budget, Event, calibrate
from tacit.simulations import Dataset, make_config, simulate
from tacit.simulations.datasets import load
from tacit.simulations.setup import prepare

FIGURE = Path(__file__).with_suffix(".svg")
ROUNDS, STEPS, BATCH, CLIP, DELTA = 20, 10, 128, 4.0, 1e-5
EPSILONS = (math.inf, 8.0, 3.0, 1.0)
METHODS: Mapping[str, tuple[Mapping[str, Any], str]] = {
    "FedAvg": ({"kind": "fedavg"}, "examples"),
    "FedAvg, alike": ({"kind": "fedavg"}, "uniform"),
    "q-FedAvg, q = 1": ({"kind": "qfedavg", "q": 1.0}, "uniform"),
    "q-FedAvg, q = 5": ({"kind": "qfedavg", "q": 5.0}, "uniform"),
    "AFL": ({"kind": "afl", "mixing_rate": 0.1}, "uniform"),
    "TERM, t = 5": ({"kind": "term", "t": 5.0}, "uniform"),
    "PropFair": ({"kind": "propfair"}, "examples"),
    "FedMinMax": ({"kind": "fedminmax", "attribute": "sex"}, "examples"),
    "FedFB": ({"kind": "fedfb", "attribute": "sex"}, "examples"),
    "FedMGDA+": ({"kind": "fedmgda"}, "examples"),
    "FairFed": ({"kind": "fairfed", "attribute": "sex"}, "uniform"),
    "Reweighing": ({"kind": "reweighing", "attribute": "sex"}, "examples"),
}
COLOURS = (
    *("#5A5A5A", "#A0A0A0", "#56B4E9", "#0072B2", "#D55E00"),
    *("#E69F00", "#009E73", "#8E4585", "#CC79A7", "#000000", "#B8A000", "#7F3C00"),
)
"""After Okabe and Ito: plain in grey, then one for each fair strategy; the markers differ too."""
MARKERS = "osv^DPX*hd<>"


@dataclass(frozen=True, kw_only=True)
class Point:
    """Where a strategy is: accuracies in %, and the gap between the shares of high earners found."""

    name: str
    mean: float
    worst: float
    error: float
    state: str
    gap: float
    interval: Interval


def census() -> Dataset:
    """The rows of `acs`, age in units of 20 years from 50."""
    acs = load("acs")
    columns = acs.data.features.copy()
    columns[:, 0] = (columns[:, 0] - 50) / 20
    return replace(acs, data=replace(acs.data, features=columns))


def settings(strategy: Mapping[str, Any], weighting: str) -> dict[str, Any]:
    return {
        "rounds": ROUNDS,
        "data": {"name": "acs", "held_out": 0.2, "standardise": "none"},
        "partition": {"kind": "natural"},
        "model": {"kind": "mlp", "hidden": [16]},
        "train": {"optimizer": "sgd", "learning_rate": 2.0, "batch_size": BATCH, "steps": STEPS},
        "strategy": dict(strategy),
        "mechanism": {"kind": "mean", "weighting": weighting},
        "evaluate": {"every": ROUNDS, "groups": ["sex"]},
        "run": {"workers": 0},
    }


def private(dataset: Dataset, epsilon: float) -> dict[str, Any]:
    """FedAvg with DP-SGD, whose noise is the least that fits into `epsilon`, state by state."""
    table = settings(*METHODS["FedAvg"])
    clients = prepare(make_config(table), dataset=dataset).population.clients
    noise = {
        state: noise_for(split.train.stop - split.train.start, epsilon)
        for state, split in clients.items()
    }
    return {
        **table,
        "dpsgd": {"clip": CLIP, "noise_multiplier": noise},
        "budget": {"unit": "example", "epsilon": epsilon, "delta": DELTA, "ledger": "run"},
        "insecure_noise_seed": 42,  # the rows are public; this repeats the table
    }


def noise_for(rows: int, epsilon: float) -> float:
    """The noise multiplier of a state."""
    budget = Budget(epsilon=epsilon, delta=DELTA, adjacency=Adjacency.ADD_REMOVE)

    def event_of(multiplier: float) -> Event:
        return DPSGD(clip=CLIP, noise_multiplier=multiplier).event(rows, BATCH)

    return calibrate(event_of, ROUNDS * STEPS, budget)


def assessed(dataset: Dataset, table: Mapping[str, Any]) -> tuple[Assessment, Mapping[str, Tables]]:
    """Whom the last model of a run serves, and what each state counted."""
    config = make_config(table)
    schema = prepare(config, dataset=dataset).measure.schema
    last = [e for _, e in simulate(config, dataset=dataset).history if e][-1]
    found = assess(schema, last.tables, last.total, rng=np.random.default_rng(42))
    return found, last.tables


def gap_of(found: Assessment) -> Gap:
    """Women's recall less men's, whichever is lower first."""
    gaps = found.attributes[0].gaps
    return next(g for g in gaps if (g.criterion, g.kind) == ("equal_opportunity", "difference"))


def cell(estimate: Estimate, digits: int = 3) -> str:
    if estimate.value is None or estimate.sampling is None:
        return f"{estimate.undefined}"
    low, high = estimate.sampling.low, estimate.sampling.high
    return f"{estimate.value:.{digits}f} [{low:.{digits}f}, {high:.{digits}f}]"


def taxed(dataset: Dataset) -> None:
    """Prints what each group has at each ε."""
    print("| ε of a row | group | test rows | accuracy | recall | AUC | loss |")
    print("|---|---|---|---|---|---|---|")
    for epsilon in EPSILONS:
        finite = math.isfinite(epsilon)
        found, _ = assessed(
            dataset, private(dataset, epsilon) if finite else settings(*METHODS["FedAvg"])
        )
        for group in found.attributes[0].groups:
            rates = [cell(group.rates[name]) for name in ("accuracy", "recall", "auc", "loss")]
            label = f"{epsilon:g}" if finite else "∞"
            print(
                f"| {label} | {group.name} | {group.rows:.0f} | {' | '.join(rates)} |", flush=True
            )


def frontier(dataset: Dataset) -> list[Point]:
    """Prints where each strategy is."""
    print("\n| strategy | mean of states | worst state | gap in recall, women and men |")
    print("|---|---|---|---|")
    points = []
    for name, (strategy, weighting) in METHODS.items():
        found, tables = assessed(dataset, settings(strategy, weighting))
        gap, clients = gap_of(found).estimate, found.clients
        assert clients is not None
        assert gap.value is not None
        assert gap.sampling is not None
        state = clients.worst_client
        worst, rows = clients.clients[state], float(tables[state]["sex/confusion"].sum())
        point = Point(
            name=name,
            mean=100 * clients.evenness.mean,
            worst=100 * worst,
            error=196 * math.sqrt(worst * (1 - worst) / rows),
            state=state,
            gap=gap.value,
            interval=gap.sampling,
        )
        points.append(point)
        print(
            f"| {name} | {point.mean:.1f} | {point.worst:.1f} ± {point.error:.1f} ({state}) | "
            f"{cell(gap)} |",
            flush=True,
        )
    return points


def draw(points: Sequence[Point]) -> None:
    """The worst state, and the gap between women and men, over the mean of states."""
    import matplotlib as mpl

    mpl.use("svg")
    from matplotlib import pyplot

    mpl.rcParams["svg.hashsalt"] = "tacit"
    figure, (upper, lower) = pyplot.subplots(2, 1, figsize=(8, 8.4), sharex=True)
    for point, colour, marker in zip(points, COLOURS, MARKERS, strict=True):
        look = {"color": colour, "marker": marker, "markersize": 7, "elinewidth": 1.0}
        low, high = point.gap - point.interval.low, point.interval.high - point.gap
        upper.errorbar(point.mean, point.worst, yerr=point.error, label=point.name, **look)
        lower.errorbar(point.mean, point.gap, yerr=[[low], [high]], **look)
    upper.set_ylabel("accuracy in the worst state, %")
    lower.set_ylabel("gap in recall between women and men")
    lower.set_xlabel("mean accuracy of the states, %")
    idle = [point for point in points if point.interval.high == 0]
    if idle:
        text = f"  {', '.join(point.name for point in idle)}:\n  no one is found, of either"
        lower.annotate(text, (idle[0].mean, 0.0), fontsize=8.5, va="bottom", xytext=(4, 2),
                       textcoords="offset points")  # fmt: skip
    for axes in (upper, lower):
        axes.grid(color="#E6E6E6")
        axes.set_axisbelow(True)
        axes.spines[["top", "right"]].set_visible(False)
    upper.legend(frameon=False, fontsize=8.5, loc="upper left", bbox_to_anchor=(1.0, 1.0))
    figure.tight_layout()
    figure.savefig(FIGURE, metadata={"Date": None})


def main() -> int:
    dataset = census()
    taxed(dataset)
    draw(frontier(dataset))
    return 0


if __name__ == "__main__":
    sys.exit(main())
