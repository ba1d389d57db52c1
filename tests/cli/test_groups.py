"""Groups on a terminal: rates and gaps by group, in so few columns that they fit."""

from __future__ import annotations

from io import StringIO

import numpy as np
from rich.console import Console
from tacit.cli.groups import MOST, group_tables, left_out
from tacit.fairness import Assessment, Attribute, Schema, assess


def assessed(groups: int, confusion: list[list[list[float]]]) -> Assessment:
    names = tuple(f"group {index}" for index in range(groups))
    schema = Schema(attributes=(Attribute(name="sex", groups=names),), classes=2)
    total = {**schema.zeros(), "sex/confusion": np.array(confusion)}
    return assess(schema, {}, total, rng=np.random.default_rng(0), floor=5, draws=200)


def shown(groups: int, confusion: list[list[list[float]]]) -> str:
    console = Console(file=StringIO(), width=80)
    for table in group_tables(assessed(groups, confusion)):
        console.print(table)
    text = console.file.getvalue()  # type: ignore[attr-defined]
    assert isinstance(text, str)
    return text


def test_a_gap_stands_beside_the_rates_that_it_is_between() -> None:
    text = shown(2, [[[32, 9], [7, 8]], [[51, 31], [28, 88]]])
    recall = next(line for line in text.splitlines() if "recall" in line)
    assert recall.split()[1:4] == ["0.533", "0.759", "0.225"]
    assert "to" in recall


def test_an_empty_group_is_undefined_and_never_zero() -> None:
    text = shown(2, [[[0, 0], [0, 0]], [[51, 31], [28, 88]]])
    recall = next(line for line in text.splitlines() if "recall" in line)
    assert recall.split()[1:] == ["UNDEFINED", "0.759", "UNDEFINED"]


def test_more_groups_than_fit_are_left_to_the_report() -> None:
    many = [[[9.0, 9.0], [9.0, 9.0]]] * (MOST + 1)
    assert shown(MOST + 1, many) == ""
    assert left_out(assessed(MOST + 1, many)) == [f"sex ({MOST + 1})"]
