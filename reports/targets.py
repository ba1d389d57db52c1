"""Targets that runs are held to, such as published numbers: a CSV file in, a verdict on each row out.

The columns are `metric`, `target`, `tolerance`, and perhaps `group` (by default all held-out rows),
`bound` (`at_least` or `at_most`; by default neither more nor less), `run` (a pattern of run names such as
`fedavg-*`; by default all) and `source`, in any order. Of several runs the mean is held to the target.
"""

from __future__ import annotations

import csv
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from difflib import get_close_matches
from enum import StrEnum
from fnmatch import fnmatchcase
from pathlib import Path

from ..fairness.assessment import Estimate
from ..simulations.suggest import unknown
from ..wire.errors import TacitError
from .readings import ALL_ROWS, Measure

REQUIRED = ("metric", "target", "tolerance")
COLUMNS = (*REQUIRED, "group", "bound", "run", "source")
Readings = Mapping[str, Mapping[Measure, Estimate]]
"""What each run measured, by the name of the run."""


class TargetError(TacitError):
    """A file of targets that cannot be used: one line for each thing that is wrong with it."""


class Direction(StrEnum):
    """On which side of a target a value may be."""

    NEAR = ""
    AT_LEAST = "at_least"
    AT_MOST = "at_most"


class Mark(StrEnum):
    """What came of a target."""

    OK = "OK"
    GAP = "GAP"
    NOT_RUN = "NOT RUN"


@dataclass(frozen=True, kw_only=True)
class Target:
    """What `measure` should be, as line `line` of a file says; `tolerance` is how far it may be off."""

    line: int
    measure: Measure
    target: float
    tolerance: float
    direction: Direction = Direction.NEAR
    run: str = "*"
    source: str = ""

    def __str__(self) -> str:
        sign = {Direction.NEAR: "", Direction.AT_LEAST: "≥ ", Direction.AT_MOST: "≤ "}
        off = f" ± {self.tolerance:g}" if self.tolerance else ""
        return f"{sign[self.direction]}{self.target:g}{off}"


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """What came of `target`: the mean `value` of `runs`, how far `off` it is; or why there is none."""

    target: Target
    mark: Mark
    runs: tuple[str, ...] = ()
    value: float | None = None
    off: float | None = None
    reason: str | None = None


def read_targets(path: Path) -> list[Target]:
    """The targets in the CSV file `path`. Raises `TargetError`, with a line for each wrong row."""
    try:
        with path.open(encoding="utf-8-sig", newline="") as file:
            rows = [(reader.line_num, row) for reader in [csv.reader(file)] for row in reader]
    except FileNotFoundError:
        raise TargetError(f"{path}: no such file.") from None
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise TargetError(f"{path}: cannot be read: {error}.") from error
    rows = [
        (line, [cell.strip() for cell in row]) for line, row in rows if any(map(str.strip, row))
    ]
    if len(rows) < 2:
        raise TargetError(
            f"{path}: expected a head and at least one target, got {len(rows)} lines."
        )
    (_, head), *rest = rows
    _check_head(path, head)
    found, wrong = [], []
    for line, row in rest:
        try:
            found.append(_target(line, head, row))
        except ValueError as error:
            wrong.append(f"{path}, line {line}: {error}")
    if wrong:
        raise TargetError("\n".join(wrong))
    return found


def judge(targets: Sequence[Target], readings: Readings) -> list[Verdict]:
    """A verdict on each target.

    >>> ran = {"run": {Measure("accuracy", ALL_ROWS): Estimate(value=0.75)}}
    >>> target = Target(line=2, measure=Measure("accuracy", ALL_ROWS), target=0.8, tolerance=0.01)
    >>> found = judge([target], ran)[0]
    >>> found.mark, round(found.off, 3)
    (<Mark.GAP: 'GAP'>, -0.05)
    """
    return [_judge(target, readings) for target in targets]


def _judge(target: Target, readings: Readings) -> Verdict:
    chosen = {name: own for name, own in readings.items() if fnmatchcase(name, target.run)}
    if not chosen:
        names = ", ".join(readings)
        return _not_run(target, f"no run is called {target.run!r}; there is {names}")
    values = []
    for name, own in chosen.items():
        reading = own.get(target.measure)
        if reading is None:
            return _not_run(target, f"{name} did not measure it{_closest(target.measure, own)}")
        if reading.value is None:
            return _not_run(target, f"UNDEFINED in {name}: {reading.undefined}")
        values.append(reading.value)
    value = sum(values) / len(values)
    off = value - target.target
    slack = target.tolerance + 1e-12  # 0.76 - 0.75 is a little more than 0.01
    missed = {
        Direction.NEAR: not abs(off) <= slack,
        Direction.AT_LEAST: not off >= -slack,
        Direction.AT_MOST: not off <= slack,
    }[target.direction]
    mark = Mark.GAP if missed else Mark.OK
    return Verdict(target=target, mark=mark, runs=tuple(chosen), value=value, off=off)


def _not_run(target: Target, reason: str) -> Verdict:
    return Verdict(target=target, mark=Mark.NOT_RUN, reason=reason)


def _closest(measure: Measure, own: Mapping[Measure, Estimate]) -> str:
    close = get_close_matches(str(measure), [str(each) for each in own], n=1)
    return f"; did you mean {close[0]}?" if close else ""


def _check_head(path: Path, head: Sequence[str]) -> None:
    for name in head:
        if name not in COLUMNS:
            raise TargetError(f"{path}, line 1: {unknown('column', name, COLUMNS)}")
    if len(set(head)) < len(head):
        raise TargetError(f"{path}, line 1: a column is there twice.")
    if lacking := [name for name in REQUIRED if name not in head]:
        raise TargetError(f"{path}, line 1: the column {lacking[0]!r} is missing.")


def _target(line: int, head: Sequence[str], row: Sequence[str]) -> Target:
    """Raises ValueError."""
    if len(row) != len(head):
        raise ValueError(f"expected {len(head)} values, as the head has, got {len(row)}.")
    cells = dict(zip(head, row, strict=True))
    if not cells["metric"]:
        raise ValueError("metric: expected a name, such as accuracy.")
    bound = cells.get("bound", "")
    if bound not in list(Direction):
        raise ValueError(f"bound: expected at_least, at_most or nothing, got {bound!r}.")
    return Target(
        line=line,
        measure=Measure(cells["metric"], cells.get("group") or ALL_ROWS),
        target=_number(cells, "target"),
        tolerance=_number(cells, "tolerance", least=0.0),
        direction=Direction(bound),
        run=cells.get("run") or "*",
        source=cells.get("source", ""),
    )


def _number(cells: Mapping[str, str], name: str, least: float = -math.inf) -> float:
    try:
        found = float(cells[name])
    except ValueError:
        found = math.nan
    if not (math.isfinite(found) and found >= least):
        expected = "a number >= 0" if least == 0 else "a number"
        raise ValueError(f"{name}: expected {expected}, got {cells[name]!r}.")
    return found
