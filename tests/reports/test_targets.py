"""Targets: a wrong file is named by its line, and a verdict is never better than what was measured."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from tacit.fairness import Estimate
from tacit.reports.readings import ALL_ROWS, Measure
from tacit.reports.targets import (
    Direction,
    Mark,
    Target,
    TargetError,
    Verdict,
    judge,
    read_targets,
)

ROWS = Measure("accuracy", ALL_ROWS)
NUMBERS = st.floats(-1e6, 1e6)


def held_to(value: float | None, target: float, tolerance: float, direction: Direction) -> Verdict:
    reading = Estimate(value=value, undefined=None if value is not None else "no rows")
    wanted = Target(line=2, measure=ROWS, target=target, tolerance=tolerance, direction=direction)
    return judge([wanted], {"run": {ROWS: reading}})[0]


@given(target=NUMBERS, tolerance=st.floats(0, 1e3), value=NUMBERS)
def test_a_target_is_met_within_its_tolerance_on_the_side_that_it_names(
    target: float, tolerance: float, value: float
) -> None:
    near, least, most = (held_to(value, target, tolerance, each) for each in Direction)
    assert near.off == value - target
    if abs(abs(value - target) - tolerance) > 1e-9:
        assert (near.mark is Mark.OK) == (abs(value - target) < tolerance)
        assert (least.mark is Mark.OK) == (value > target - tolerance)
        assert (most.mark is Mark.OK) == (value < target + tolerance)
    both = {least.mark, most.mark} == {Mark.OK}
    assert both == (near.mark is Mark.OK)


@pytest.mark.parametrize("direction", list(Direction))
def test_what_is_undefined_is_not_run_and_never_ok(direction: Direction) -> None:
    found = held_to(None, 0.5, math.inf, direction)
    assert found.mark is Mark.NOT_RUN
    assert found.reason == "UNDEFINED in run: no rows"
    assert held_to(math.nan, 0.5, 0.1, direction).mark is Mark.GAP
    assert held_to(math.inf, 8.0, 0.0, Direction.AT_MOST).mark is Mark.GAP


def test_the_edge_of_a_tolerance_is_within_it() -> None:
    assert held_to(0.76, 0.75, 0.01, Direction.NEAR).mark is Mark.OK


def test_of_several_runs_the_mean_is_held_to_the_target() -> None:
    ran = {f"fedavg-{seed}": {ROWS: Estimate(value=0.7 + seed / 10)} for seed in range(3)}
    ran["other"] = {ROWS: Estimate(value=0.0)}
    wanted = Target(line=2, measure=ROWS, target=0.8, tolerance=0.001, run="fedavg-*")
    found = judge([wanted], ran)[0]
    assert (found.mark, found.runs) == (Mark.OK, ("fedavg-0", "fedavg-1", "fedavg-2"))
    everyone = Target(line=2, measure=ROWS, target=0.8, tolerance=0.001)
    assert judge([everyone], ran)[0].mark is Mark.GAP


def test_what_nobody_ran_or_measured_is_not_run_with_the_closest_that_there_is() -> None:
    ran = {"tour": {ROWS: Estimate(value=0.7)}}
    absent = Target(line=2, measure=ROWS, target=0.8, tolerance=0.0, run="fedavg-*")
    misspelt = Target(line=3, measure=Measure("acuracy", ALL_ROWS), target=0.8, tolerance=0.0)
    first, second = judge([absent, misspelt], ran)
    assert (first.mark, second.mark) == (Mark.NOT_RUN, Mark.NOT_RUN)
    assert first.reason == "no run is called 'fedavg-*'; there is tour"
    assert second.reason == "tour did not measure it; did you mean accuracy, all held-out rows?"


def test_a_file_is_read_with_its_columns_in_any_order(tmp_path: Path) -> None:
    path = tmp_path / "targets.csv"
    path.write_text(
        "\ufefftolerance, metric ,target,group,bound,run,source\n\n"
        '0.01,accuracy,0.748,,,"fedavg-*","Ogier du Terrail 2022, table 2"\n'
        "0,recall,0.7,sex=female,at_least,,\n",
        encoding="utf-8",
    )
    first, second = read_targets(path)
    assert first == Target(
        line=3,
        measure=ROWS,
        target=0.748,
        tolerance=0.01,
        run="fedavg-*",
        source="Ogier du Terrail 2022, table 2",
    )
    assert second.measure == Measure("recall", "sex=female")
    assert (str(first), str(second)) == ("0.748 ± 0.01", "≥ 0.7")


BAD = {
    "": "expected a head and at least one target",
    "metric,target,tolerance\n": "expected a head and at least one target",
    "metric,target\na,1\n": "line 1: the column 'tolerance' is missing",
    "metric,target,tolerance,tolerance\na,1,1,1\n": "line 1: a column is there twice",
    "metric,taget,tolerance\na,1,1\n": "line 1: Unknown column 'taget': did you mean 'target'?",
    "metric,target,tolerance\na,1,0\na,one,0\n": "line 3: target: expected a number, got 'one'",
    "metric,target,tolerance\na,nan,0\n": "line 2: target: expected a number, got 'nan'",
    "metric,target,tolerance\na,1,-1\n": "line 2: tolerance: expected a number >= 0, got '-1'",
    "metric,target,tolerance\na,1\n": "line 2: expected 3 values, as the head has, got 2",
    "metric,target,tolerance\n,1,1\n": "line 2: metric: expected a name",
    "metric,target,tolerance,bound\na,1,1,over\n": "line 2: bound: expected at_least, at_most",
}


@pytest.mark.parametrize("text", list(BAD))
def test_a_file_that_cannot_be_used_is_named_with_the_line(text: str, tmp_path: Path) -> None:
    path = tmp_path / "targets.csv"
    path.write_text(text)
    with pytest.raises(TargetError) as error:
        read_targets(path)
    (line,) = str(error.value).splitlines()
    assert line.startswith(str(path))
    assert BAD[text] in line


def test_every_wrong_line_is_named_and_so_is_what_is_no_file(tmp_path: Path) -> None:
    path = tmp_path / "targets.csv"
    path.write_text("metric,target,tolerance\na,x,0\na,1,y\n")
    with pytest.raises(TargetError) as error:
        read_targets(path)
    assert len(str(error.value).splitlines()) == 2
    with pytest.raises(TargetError, match="no such file"):
        read_targets(tmp_path / "none.csv")
    path.write_bytes(b"metric,target\xff")
    with pytest.raises(TargetError, match="cannot be read"):
        read_targets(path)
