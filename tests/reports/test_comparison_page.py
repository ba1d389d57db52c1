"""The page of a comparison says what the comparison says, the same every time, and a name stays words."""

from __future__ import annotations

import json
import re
import xml.etree.ElementTree as ET
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import pytest
from tacit.fairness import Estimate, Interval
from tacit.reports.changes import independent
from tacit.reports.comparison import Comparison, Row, Side
from tacit.reports.comparison_page import write_comparison
from tacit.reports.comparison_plot import differences_plot
from tacit.reports.comparison_tables import differences, title
from tacit.reports.differing import Setting
from tacit.reports.readings import ALL_ROWS, EPSILON, MEAN, WORST, Measure
from tacit.reports.targets import Target, judge


def interval(low: float, high: float) -> Interval:
    return Interval(low=low, high=high, median=(low + high) / 2, defined=1.0)


READINGS: Mapping[Measure, Sequence[Estimate]] = {
    Measure(EPSILON, "client add/remove delta=1e-05"): [
        Estimate(value=float("inf")),
        Estimate(value=3.701),
    ],
    Measure("accuracy", ALL_ROWS): [
        Estimate(value=0.8, sampling=interval(0.7, 0.9)),
        Estimate(value=0.75, sampling=interval(0.65, 0.85)),
    ],
    Measure("accuracy", MEAN): [Estimate(value=0.8), Estimate(value=0.7)],
    Measure("accuracy", WORST): [Estimate(value=0.5), Estimate(value=None, undefined="no rows")],
    Measure("recall", "sex=<f>"): [Estimate(value=0.5), Estimate(value=0.5)],
}


def compared(name: str = "private") -> Comparison:
    first = Side(
        name="plain", folder="plain", finished=True, round=2, rounds=2, measured=2, privacy="ε = ∞"
    )
    other = replace(first, name=name, privacy="ε = 3.71", cost=True, paired=12)
    return Comparison(
        sides=(first, other),
        settings=(Setting(key="mechanism.clip", values=(None, "1.0")),),
        rows=tuple(
            Row(
                measure=measure,
                readings=(one, two),
                differences=(
                    None,
                    None if measure.metric == EPSILON else independent(one, two),
                ),
            )
            for measure, (one, two) in READINGS.items()
        ),
    )


def test_page_and_markdown_hold_what_the_terminal_shows(tmp_path: Path) -> None:
    found = compared()
    names = [path.name for path in write_comparison(found, [], tmp_path / "new")]
    assert names == ["comparison.html", "comparison.md", "comparison.json", "difference-1.svg"]
    page, text = ((tmp_path / "new" / name).read_text() for name in names[:2])
    assert "what privacy cost in B: per group, the difference to the first run" in title(found, 1)
    for row in differences(found, 1, brief=True)[1]:
        for cell in row[1:]:
            assert cell in page
            assert cell in text.replace("\\", "")
    assert differences(found, 1, brief=True)[1][0][1:] == ["∞", "3.71", "–"]
    assert "UNDEFINED" in page
    assert "recall, sex=<f>" not in str(differences(found, 1, brief=True))
    assert "recall, sex=&lt;f&gt;" in page
    assert not re.search(r"(src|href)=\"http", page)


def test_an_infinite_or_undefined_value_is_no_number_in_json(tmp_path: Path) -> None:
    write_comparison(compared(), [], tmp_path)
    rows = json.loads((tmp_path / "comparison.json").read_text())["rows"]
    assert rows[0]["readings"][0]["value"] == "infinite"
    assert rows[3]["readings"][1]["value"] == {"value": None, "reason": "no rows"}
    assert [row["differences"][1] is None for row in rows] == [True, False, False, True, False]


def test_the_figure_tells_what_has_no_interval_and_what_leaves_out_zero(tmp_path: Path) -> None:
    write_comparison(compared(), [], tmp_path)
    figure = differences_plot(compared(), 1)
    assert figure is not None
    assert figure.description.endswith("0 of 1 intervals leave out zero.")
    assert (figure.body.count('class="ghost'), figure.body.count('class="dot')) == (1, 1)
    assert ET.fromstring((tmp_path / "difference-1.svg").read_text()).tag.endswith("svg")
    empty = replace(compared(), rows=())
    assert differences_plot(empty, 1) is None


@pytest.mark.parametrize("name", ["<script>alert(1)</script>", "a|b", "[x](http://y)"])
def test_whatever_a_run_is_called_stays_words(name: str, tmp_path: Path) -> None:
    write_comparison(compared(name), [], tmp_path)
    assert "<script>" not in (tmp_path / "comparison.html").read_text()
    text = (tmp_path / "comparison.md").read_text()
    assert "<script>" not in text
    assert not re.search(r"(?<!\\)\]\(http", text)


def test_targets_are_on_the_page_with_their_source(tmp_path: Path) -> None:
    measure = Measure("accuracy", ALL_ROWS)
    wanted = Target(
        line=2, measure=measure, target=0.8, tolerance=0.0, run="plain", source="a paper"
    )
    ran = {"plain": {measure: READINGS[measure][0]}}
    write_comparison(compared(), judge([wanted], ran), tmp_path)
    text = (tmp_path / "comparison.md").read_text()
    assert "| accuracy, all held-out rows | plain | 0.8 | 0.800 | OK | +0.000 | a paper |" in text
