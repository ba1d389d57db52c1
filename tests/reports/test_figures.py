"""The figures: they hold what is there, they stay small, and equal numbers give equal bytes."""

from __future__ import annotations

import xml.etree.ElementTree as ET
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from tacit.fairness import Attribute, Schema, assess
from tacit.fairness.tables import Tables
from tacit.reports.clients import dot_plot, ranked
from tacit.reports.forest import forest_plot
from tacit.reports.participation import MANY, of_round, participation_plot, steps
from tacit.reports.plot import SHOWN, Frame, ticks
from tacit.reports.records import Records
from tacit.reports.summary import Scores, Summary
from tacit.server.progress import Committed
from tacit.simulations.config import make_config

CONFIG = make_config(
    {"rounds": 3, "data": {"name": "wine"}, "partition": {"kind": "iid", "clients": 3}}
)


def records(history: list[Committed] | None = None) -> Records:
    return Records(
        folder=Path("run"),
        config=CONFIG,
        history=[(committed, None) for committed in history or []],
        baselines=None,
        refusals=[],
        population=None,
        environment={},
        digest=None,
        started=None,
    )


def measured(values: dict[str, float], alone: dict[str, float], *, more: bool = True) -> Summary:
    rate = "accuracy" if more else "rmse"
    return Summary(
        finished=True,
        round=3,
        rounds=3,
        rate=rate,
        more_is_better=more,
        federated=Scores(rate=rate),
        loss=None,
        pooled_training=None,
        each_alone=None,
        seconds=1.0,
        refused=0,
        refusals={},
        digest=None,
        points=[],
        clients={name: {rate: value} for name, value in values.items()},
        held_out=dict.fromkeys(values, 10),
        alone=alone,
    )


def committed(round: int, cohort: int, admitted: int, refused: int) -> Committed:
    return Committed(
        round=round, cohort=cohort, admitted=admitted, refused=refused, training={}, seconds=0.1
    )


@pytest.mark.parametrize("more", [True, False])
def test_the_worst_served_client_is_on_top(more: bool) -> None:
    found = measured({"a": 0.9, "b": 0.2, "c": 0.5}, {}, more=more)
    assert ranked(found) == (["b", "c", "a"] if more else ["a", "c", "b"])


def test_of_a_thousand_clients_the_worst_are_drawn_and_all_are_counted() -> None:
    values = {f"client-{n}": n / 1000 for n in range(1000)}
    figure = dot_plot(records(), measured(values, {"client-3": 0.5, "client-7": 0.001}))
    assert figure is not None
    assert [row[0] for row in figure.rows] == [f"client-{n}" for n in range(SHOWN)]
    assert "all 1,000" in figure.body
    assert "better than its own for 1 of 2" in figure.description
    assert len(figure.file()) < 40_000


def test_each_client_with_a_model_of_its_own_has_a_ghost() -> None:
    figure = dot_plot(records(), measured({"a": 0.5, "b": 0.6}, {"b": 0.7}))
    assert figure is not None
    circles = [
        circle.get("class") for circle in ET.fromstring(figure.svg()).iter() if circle.get("r")
    ]
    assert circles.count("ghost purple") == 2  # the key, and b
    assert dot_plot(records(), measured({}, {})) is None


def test_whoever_was_asked_is_admitted_refused_or_silent() -> None:
    history = [committed(1, 5, 5, 0), committed(2, 7, 3, 2)]
    figure = participation_plot(records(history))
    assert figure is not None
    assert [row[1:5] for row in figure.rows] == [("5", "5", "0", "0"), ("7", "3", "2", "2")]
    assert (
        "12 updates were asked for; 8 were admitted, 2 refused, and 2 never came"
        in figure.description
    )
    assert participation_plot(records()) is None


@given(st.integers(min_value=1, max_value=2000))
def test_steps_of_many_rounds_lose_nobody(rounds: int) -> None:
    history = [committed(n, n % 9 + 2, n % 9, 1) for n in range(1, rounds + 1)]
    found = steps(history)
    assert len(found) <= MANY
    assert (found[0][0], found[-1][1]) == (1, rounds)
    total = sum((last - first + 1) * sum(counts) for first, last, counts in found)
    assert total == pytest.approx(sum(sum(of_round(each)) for each in history))


def counted(confusion: list[list[list[float]]]) -> tuple[Schema, Tables]:
    """Tables of two classes and groups a, b and so on."""
    names = tuple("abc"[: len(confusion)])
    schema = Schema(attributes=(Attribute(name="group", groups=names),), classes=2)
    total = dict(schema.zeros())
    total["group/confusion"] = np.array(confusion)
    rows = total["group/confusion"].sum((1, 2))
    total["group/loss"] = np.stack([rows, rows / 2, rows / 4], axis=1)
    return schema, total


@pytest.mark.parametrize("deviation", [0.0, 2.0])
def test_a_forest_has_a_row_for_each_gap_and_both_error_bars(deviation: float) -> None:
    schema, total = counted([[[80.0, 20.0], [10.0, 90.0]], [[50.0, 50.0], [40.0, 60.0]]])
    found = assess(schema, {}, total, rng=np.random.default_rng(0), deviation=deviation)
    figure = forest_plot(found.attributes[0], "gaps_1")
    assert figure is not None
    assert ("other noise" in figure.body) == (deviation > 0)
    assert len(figure.rows) == len(found.attributes[0].gaps)
    (parity,) = [row for row in figure.rows if row[0] == "accuracy parity, difference"]
    assert parity[1:6] == ["accuracy", "b", "a", "a 200, b 200", "0.300"]
    assert figure == forest_plot(found.attributes[0], "gaps_1")


def test_a_gap_of_too_few_rows_is_undefined_and_says_why() -> None:
    schema, total = counted([[[80.0, 20.0], [10.0, 90.0]], [[1.0, 0.0], [0.0, 1.0]]])
    found = assess(schema, {}, total, rng=np.random.default_rng(0), floor=5)
    figure = forest_plot(found.attributes[0], "gaps_1")
    assert figure is not None
    gaps = len([gap for gap in found.attributes[0].gaps if gap.kind == "difference"]) - 1  # no loss
    assert figure.body.count("UNDEFINED: ") == gaps
    assert f"{gaps} of {gaps} are undefined" in figure.description


def test_one_group_has_no_gaps() -> None:
    schema, total = counted([[[80.0, 20.0], [10.0, 90.0]]])
    found = assess(schema, {}, total, rng=np.random.default_rng(0))
    assert forest_plot(found.attributes[0], "gaps_1") is None


@given(
    st.floats(min_value=-1e6, max_value=1e6),
    st.floats(min_value=1e-6, max_value=1e6),
    st.integers(min_value=2, max_value=8),
)
def test_ticks_are_few_and_within(low: float, width: float, about: int) -> None:
    found = ticks(low, low + width, about)
    assert len(found) <= about + 1
    slack = 1e-5 * width + 1e-9 * abs(low)
    assert all(low - slack <= tick <= low + width + slack for tick in found)
    assert found == sorted(found)


def test_a_frame_maps_its_corners() -> None:
    frame = Frame(left=10, top=20, width=100, height=50, x=(0, 4), y=(1, 2))
    assert [frame.across(0), frame.across(4), frame.right] == [10, 110, 110]
    assert [frame.down(2), frame.down(1), frame.bottom] == [20, 70, 70]
