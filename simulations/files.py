"""A user's own data, from a `.csv` or a `.npz` file.

Every complaint is one line that names the file, the place in it, and what to do.
"""

from __future__ import annotations

import csv
import zipfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..client.data import Data
from .dataset import DataError, Dataset
from .download import DAMAGE
from .suggest import unknown

Arrays = Mapping[str, NDArray[Any]]

MOST_GROUPS = 64
EXACT = 2**53  # the whole numbers that a float64 tells apart
LARGEST = float(np.finfo(np.float32).max)


def read_file(
    path: Path,
    *,
    target: str | None = None,
    owner: str | None = None,
    groups: Sequence[str] = (),
    classes: int | None = None,
) -> Dataset:
    """A data set from a file; its name is the file's, without the ending.

    `classes` 0 means regression. With any other number the targets are codes below it; without one
    they may be words too, and are coded in sorted order.

    In a `.csv` file with a header, `target` (by default "target"), `owner` and `groups` name
    columns, and all the others are features, which must be numbers. Group columns are for judging
    fairness, not features: to have one as both, put it in twice.

    A `.npz` file holds `features` (rows, ...), `targets`, and perhaps `owner`, `test` (true for
    official test rows) and `group_<name>` for each attribute. Floating features are numbers;
    integer features (rows, length) are codes of characters or words. Nothing pickled is loaded.

    Raises DataError for what cannot be read or used.

    >>> from tempfile import TemporaryDirectory
    >>> with TemporaryDirectory() as folder:
    ...     path = Path(folder, "trial.csv")
    ...     _ = path.write_text("age,sex,target\\n40,F,well\\n50,M,ill\\n")
    ...     read_file(path, groups=["sex"]).group_names
    {'sex': ('F', 'M')}
    """
    if classes is not None and classes < 0:
        raise ValueError(f"Expected classes >= 0, got {classes}.")
    if not path.is_file():
        raise DataError(f"There is no file {path}: check the path, seen from {Path.cwd()}.")
    match path.suffix.lower():
        case ".csv":
            arrays = _from_csv(path, target or "target", owner, groups, regression=classes == 0)
        case ".npz" if target or owner or groups:
            raise DataError(f"{path} names its arrays itself: leave out target, owner and groups.")
        case ".npz":
            arrays = _from_npz(path)
        case _:
            raise DataError(f"Cannot read {path}: expected a file that ends in .csv or .npz.")
    return _dataset(path, arrays, classes)


def _dataset(path: Path, arrays: Arrays, classes: int | None) -> Dataset:
    """The data set that the arrays of a file make, in the names of a `.npz` file."""
    lengths = {name: len(array) for name, array in arrays.items()}
    if len(set(lengths.values())) != 1 or not all(lengths.values()):
        raise DataError(f"{path}: expected arrays of one length above 0, got {lengths}.")
    groups = {name: array for name, array in arrays.items() if name.startswith("group_")}
    coded = {name.removeprefix("group_"): _coded(path, name, a) for name, a in groups.items()}
    for name, (_, names) in coded.items():
        if len(names) > MOST_GROUPS:
            raise DataError(f"{path}: {len(names)} groups by {name!r}: put values into ranges.")
    owner = _coded(path, "owner", arrays["owner"]) if "owner" in arrays else None
    features = _features(path, arrays["features"])
    targets, classes = _targets(path, arrays["targets"], classes)
    return Dataset(
        name=path.stem,
        data=Data(
            features=features,
            targets=targets,
            groups={name: codes for name, (codes, _) in coded.items()},
        ),
        classes=classes,
        test=_test(path, arrays["test"]) if "test" in arrays else np.zeros(len(features), bool),
        owner=owner[0] if owner else None,
        owners=owner[1] if owner else (),
        group_names={name: names for name, (_, names) in coded.items()},
        tabular=features.ndim == 2 and features.dtype == np.float32,
    )


def _test(path: Path, marks: NDArray[Any]) -> NDArray[np.bool_]:
    if marks.dtype.kind not in "biu" or not np.all((marks == 0) | (marks == 1)):
        raise DataError(f"{path}: expected test to hold true and false, or 1 and 0.")
    return marks.astype(bool)


def _from_csv(
    path: Path, target: str, owner: str | None, groups: Sequence[str], *, regression: bool
) -> Arrays:
    table = _table(path)
    roles = [target, *([owner] if owner else []), *groups]
    for name in roles:
        if name not in table:
            raise DataError(f"{path}: {unknown('column', name, table)}")
    features = [_numbers(path, name, cells) for name, cells in table.items() if name not in roles]
    if not features:
        raise DataError(f"{path}: no column is left to be a feature.")
    targets = (_numbers if regression else _labels)(path, target, table[target])
    arrays = {"features": np.stack(features, axis=1), "targets": targets}
    if owner:
        arrays["owner"] = _labels(path, owner, table[owner])
    return arrays | {f"group_{name}": _labels(path, name, table[name]) for name in groups}


def _table(path: Path) -> dict[str, list[str]]:
    """The columns of a CSV file by name, one cell for every row of each."""
    try:
        with path.open(newline="", encoding="utf-8-sig") as file:
            lines = [[cell.strip() for cell in line] for line in csv.reader(file)]
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise DataError(f"Cannot read {path} as CSV in UTF-8: {error}.") from error
    while lines and not lines[-1]:
        lines.pop()
    if len(lines) < 2:
        raise DataError(f"{path} has no rows below its header: check that it is complete.")
    header = lines[0]
    if len(header) == 1 and ";" in header[0]:
        raise DataError(f"{path}: its cells are separated by semicolons: save it with commas.")
    if "" in header:
        raise DataError(f"{path}: column {header.index('') + 1} has no name: name or drop it.")
    if twice := [name for name in header if header.count(name) > 1]:
        raise DataError(f"{path}: two columns are called {twice[0]!r}: rename one.")
    for number, line in enumerate(lines, start=1):
        if len(line) != len(header):
            raise DataError(
                f"{path}, row {number}: {len(line)} cells where the header has {len(header)}:"
                " quote cells that hold commas."
            )
    return {
        name: list(cells) for name, cells in zip(header, zip(*lines[1:], strict=True), strict=True)
    }


def _numbers(path: Path, name: str, cells: Sequence[str]) -> NDArray[np.float32]:
    """A column of numbers. The header is row 1 of the file, so the first cell is in row 2."""
    numbers = np.empty(len(cells), np.float32)
    for index, cell in enumerate(cells):
        try:
            number = float(cell)
        except ValueError:
            what = f"holds {cell!r}, which is not a number" if cell else "is missing"
            raise DataError(
                f"{path}, row {index + 2}, column {name!r} {what}: drop or encode the column,"
                " or drop the row."
            ) from None
        if not abs(number) <= LARGEST:
            raise DataError(
                f"{path}, row {index + 2}, column {name!r} is {number}: drop the row or fill in"
                " a finite number."
            )
        numbers[index] = number
    return numbers


def _labels(path: Path, name: str, cells: Sequence[str]) -> NDArray[Any]:
    """A column of names: whole numbers where all are numbers, else text."""
    if "" in cells:
        raise DataError(
            f"{path}, row {cells.index('') + 2}, column {name!r} is missing: drop the row or name"
            " what is missing."
        )
    try:
        numbers = np.array(cells).astype(np.float64)
    except ValueError:
        return np.array(cells)
    if (wrong := np.flatnonzero(numbers % 1 != 0)).size:
        raise DataError(
            f"{path}, row {wrong[0] + 2}, column {name!r} holds {cells[wrong[0]]!r}: expected whole"
            " numbers or words; for regression set classes = 0."
        )
    padded = any(
        cell.lstrip("-")[:1] == "0" and cell.lstrip("-").isdigit() for cell in set(cells) - {"0"}
    )
    if padded or not np.all(
        np.abs(numbers) < EXACT
    ):  # 007 is not 7, and a float would merge large ones
        return np.array(cells)
    return numbers.astype(np.int64)


def _from_npz(path: Path) -> Arrays:
    if not zipfile.is_zipfile(path):
        raise DataError(f"{path} is not a .npz file: write it with numpy.savez.")
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as archive:
            arrays = {name: np.asarray(archive[name]) for name in archive.files}
    except DAMAGE as error:
        raise DataError(f"Cannot read the arrays of {path}: {error}") from error
    known = ("features", "targets", "owner", "test")
    for name in known[:2]:
        if name not in arrays:
            raise DataError(f"{path} has no array {name!r}, only {sorted(arrays)}.")
    for name, array in arrays.items():
        if name not in known and not name.startswith("group_"):
            raise DataError(f"{path}: {unknown('array', name, [*known, 'group_<name>'])}")
        if array.ndim < 1 + (name == "features") or (name == "test" and array.ndim > 1):
            wanted = "(rows, ...)" if name in known[:2] else "(rows,)"
            raise DataError(f"{path}: {name} has shape {array.shape}: expected {wanted}.")
    return arrays


def _features(path: Path, features: NDArray[Any]) -> NDArray[Any]:
    match features.dtype.kind:
        case "f":
            return _finite(path, "features", features)
        case "i" | "u" if features.ndim == 2 and features.min() >= 0:
            return features.astype(np.int64)
    raise DataError(
        f"{path}: features of type {features.dtype} and shape {features.shape} are neither numbers"
        " (floating) nor codes (integers >= 0 of shape (rows, length)): convert them to float32."
    )


def _targets(path: Path, targets: NDArray[Any], classes: int | None) -> tuple[NDArray[Any], int]:
    """The targets as they are used, and the number of classes (0 for regression)."""
    if classes == 0:
        return _finite(path, "targets", targets.astype(np.float32)), 0
    if classes is None and targets.ndim == 1:
        codes, names = _coded(path, "targets", targets)
        return codes, len(names)
    if targets.dtype.kind not in "iub" or targets.min() < 0:
        raise DataError(f"{path}: targets are not codes >= 0: leave out classes, or set it to 0.")
    if classes is not None and targets.max() >= classes:
        raise DataError(f"{path}: target {targets.max()} is not below classes = {classes}.")
    return targets.astype(np.int64), classes or int(targets.max()) + 1


def _finite(path: Path, name: str, values: NDArray[Any]) -> NDArray[np.float32]:
    with np.errstate(over="ignore"):
        values = values.astype(np.float32)
    if len(bad := np.argwhere(~np.isfinite(values))):
        raise DataError(
            f"{path}: {name} hold {len(bad)} values that are not finite, the first at"
            f" {tuple(bad[0].tolist())}: drop those rows or fill in the values."
        )
    return values


def _coded(
    path: Path, name: str, labels: NDArray[Any]
) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    """Codes in sorted order, and the name of each."""
    if labels.ndim != 1 or labels.dtype.kind not in "iubU":
        raise DataError(
            f"{path}: {name} of type {labels.dtype} and shape {labels.shape} are not names or whole"
            " numbers of shape (rows,): for regression set classes = 0."
        )
    names, codes = np.unique(labels, return_inverse=True)
    return codes.astype(np.int64), tuple(map(str, names.tolist()))
