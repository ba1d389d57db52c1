"""The learning curve: what it draws, and where it writes."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import pytest
from tacit.reports.curve import curves, learning_curve, levels
from tacit.reports.lines import GAP, spread_out
from tacit.reports.plot import SHOWN
from tacit.reports.summary import Point, Scores, Summary


def summary(rounds: int, *, every: int = 1, rate: str = "accuracy") -> Summary:
    """A run that got better and better."""

    def point(number: int) -> Point:
        share = number / rounds
        found = Scores(rate=rate, rows=share, pooled=share / 2, worst=share / 4, worst_client="c")
        return Point(
            round=number,
            training_loss=1 - share,
            scores=found if number % every == 0 else None,
            loss=None,
            refused=0,
            seconds=0.1,
        )

    return Summary(
        finished=True,
        round=rounds,
        rounds=rounds,
        rate=rate,
        more_is_better=True,
        federated=Scores(rate=rate, rows=1.0),
        loss=None,
        pooled_training=Scores(rate=rate, rows=0.99),
        each_alone=Scores(rate=rate, mean=0.98),
        seconds=1.0,
        refused=0,
        refusals={},
        digest=None,
        points=[point(number) for number in range(1, rounds + 1)],
        clients={},
        held_out={},
        alone={},
    )


def test_only_measured_rounds_are_drawn() -> None:
    lines = curves(summary(10, every=5))
    assert [line.name for line in lines] == [
        "federated",
        "federated, pooled rows",
        "federated, worst client",
    ]
    assert [line.x for line in lines] == [(5, 10)] * 3


def test_baselines_are_levels() -> None:
    assert [(line.name, line.y) for line in levels(summary(3))] == [
        ("pooled training", (0.99,)),
        ("each client alone, mean", (0.98,)),
    ]


def test_where_nothing_was_measured_there_is_no_figure() -> None:
    assert learning_curve(replace(summary(3), points=[])) is None


@pytest.mark.parametrize("rounds", [1, 2, 500])
@pytest.mark.parametrize("rate", ["accuracy", "rmse"])
def test_any_length_of_run_can_be_drawn(rounds: int, rate: str) -> None:
    figure = learning_curve(summary(rounds, rate=rate))
    assert figure is not None
    assert figure == learning_curve(summary(rounds, rate=rate))
    assert len(figure.rows) <= SHOWN
    assert len(figure.file()) < 30_000


def test_labels_that_would_overlap_are_moved_apart_in_order() -> None:
    wanted = [90.0, 91.0, 92.0, 10.0, 90.5]
    heights = spread_out(wanted, GAP)
    by_height = sorted(range(5), key=lambda index: heights[index])
    assert by_height == sorted(range(5), key=lambda index: wanted[index])
    ordered = sorted(heights)
    gaps = [high - low for low, high in pairwise(ordered)]
    assert min(gaps) > GAP - 1e-9
    assert heights[3] == pytest.approx(10.0)
