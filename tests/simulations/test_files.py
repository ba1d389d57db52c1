from __future__ import annotations

from contextlib import suppress
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from tacit.simulations.dataset import DataError
from tacit.simulations.files import read_file
from tacit.simulations.partition import Natural
from tacit.simulations.population import populate

CSV = """age,dose,site,sex,target
40,1.5,north,F,well
50,2.5,south,M,ill
60,1e-3,north,F,ill
"""


def csv(folder: Path, text: str = CSV, name: str = "trial.csv") -> Path:
    (folder / name).write_text(text, encoding="utf-8")
    return folder / name


def npz(folder: Path, **arrays: Any) -> Path:  # noqa: ANN401
    rng = np.random.default_rng(0)
    whole: dict[str, Any] = {
        "features": rng.normal(size=(4, 3)),
        "targets": np.array([0, 2, 1, 0]),
    }
    kept = {name: array for name, array in (whole | arrays).items() if array is not None}
    np.savez(folder / "trial.npz", **kept)
    return folder / "trial.npz"


def refused(path: Path, *expected: str, **asked: Any) -> None:  # noqa: ANN401
    with pytest.raises(DataError) as caught:
        read_file(path, **asked)
    message = str(caught.value)
    assert "\n" not in message
    assert str(path) in message
    for words in expected:
        assert words in message


def test_a_csv_file_becomes_a_data_set(tmp_path: Path) -> None:
    dataset = read_file(csv(tmp_path), owner="site", groups=["sex"])
    assert (dataset.name, dataset.classes, dataset.shape) == ("trial", 2, (2,))
    np.testing.assert_allclose(dataset.data.features, [[40, 1.5], [50, 2.5], [60, 1e-3]])
    assert dataset.data.features.dtype == np.float32
    assert dataset.data.targets.tolist() == [1, 0, 0]
    assert dataset.owner is not None
    assert (dataset.owner.tolist(), dataset.owners) == ([0, 1, 0], ("north", "south"))
    assert dataset.data.groups["sex"].tolist() == [0, 1, 0]
    assert dataset.group_names == {"sex": ("F", "M")}
    assert dataset.tabular
    assert not dataset.test.any()


def test_its_rows_can_be_dealt_out(tmp_path: Path) -> None:
    dataset = read_file(csv(tmp_path), owner="site", groups=["sex"])
    population = populate(dataset, Natural(), held_out=0.0, standardise="client", seed=0)
    assert list(population.clients) == ["north", "south"]


def test_whole_numbers_sort_as_numbers_and_a_byte_order_mark_does_no_harm(tmp_path: Path) -> None:
    path = csv(tmp_path, "﻿x,clinic,target\n1,10,30\n2,9,4\n3,9,4.0\n")
    dataset = read_file(path, owner="clinic")
    assert dataset.owners == ("9", "10")
    assert dataset.data.targets.tolist() == [1, 0, 0]


def test_declared_classes_are_codes_and_none_at_all_is_regression(tmp_path: Path) -> None:
    path = csv(tmp_path, "x,target\n1,0\n2,2\n")
    assert read_file(path).data.targets.tolist() == [0, 1]
    declared = read_file(path, classes=4)
    assert (declared.data.targets.tolist(), declared.classes) == ([0, 2], 4)
    numbers = read_file(path, classes=0)
    assert (numbers.data.targets.tolist(), numbers.classes) == ([0.0, 2.0], 0)
    assert numbers.data.targets.dtype == np.float32
    refused(path, "target 2 is not below classes = 2", classes=2)
    refused(csv(tmp_path), "leave out classes", owner="site", groups=["sex"], classes=2)
    with pytest.raises(ValueError, match="Expected classes >= 0, got -1"):
        read_file(path, classes=-1)


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("", "no rows"),
        ("age,target\n", "no rows"),
        ("age,target\n1,0\n2\n", "row 3: 1 cells where the header has 2"),
        ("age,target\n1,0\n\n2,1\n", "row 3: 0 cells"),
        ("age,age,target\n1,2,0\n", "two columns are called 'age'"),
        (",age,target\n0,1,0\n", "column 1 has no name"),
        ("age;target\n1,5;0\n", "separated by semicolons: save it with commas"),
        ("age,label\n1,0\n", "Unknown column 'target'"),
        ("age,targets\n1,0\n", "did you mean 'targets'"),
        ("target\n0\n", "no column is left"),
        ("age,target\n1,0\nyoung,1\n", "row 3, column 'age' holds 'young', which is not a number"),
        ("age,target\n1,0\n,1\n", "row 3, column 'age' is missing"),
        ("age,target\n1,0\nnan,1\n", "row 3, column 'age' is nan"),
        ("age,target\n-inf,0\n", "row 2, column 'age' is -inf"),
        ("age,target\n1e39,0\n", "row 2, column 'age' is 1e+39"),
        ("age,target\n1,0\n2,\n", "row 3, column 'target' is missing"),
        ("age,target\n1,0\n2,3.5\n", "column 'target' holds '3.5'"),
        ("age,target\n1,0\n2,3.5\n", "for regression set classes = 0"),
        ("age,target\n1,0\n2,nan\n", "column 'target' holds 'nan'"),
    ],
)
def test_a_csv_file_that_cannot_be_used_is_one_clear_error(
    tmp_path: Path, text: str, expected: str
) -> None:
    refused(csv(tmp_path, text), expected)


def test_a_path_that_leads_nowhere_or_to_something_else_is_one_clear_error(tmp_path: Path) -> None:
    refused(tmp_path / "nothing.csv", "no file")
    refused(tmp_path, "no file")
    refused(csv(tmp_path, name="trial.xlsx"), ".csv or .npz")
    (tmp_path / "latin.csv").write_bytes("größe,target\n1,0\n".encode("latin-1"))
    refused(tmp_path / "latin.csv", "UTF-8")
    (tmp_path / "huge.csv").write_text(f'x,target\n"{"1" * 200_000}",0\n')
    refused(tmp_path / "huge.csv", "Cannot read")
    refused(csv(tmp_path, name="not.npz"), "numpy.savez")


def test_a_group_with_a_name_for_everyone_is_refused(tmp_path: Path) -> None:
    rows = "\n".join(f"1,0,{age}" for age in range(65))
    refused(csv(tmp_path, f"x,target,age\n{rows}\n"), "65 groups", groups=["age"])


def test_an_npz_file_becomes_a_data_set(tmp_path: Path) -> None:
    path = npz(
        tmp_path,
        owner=np.array(["b", "a", "b", "a"]),
        group_sex=np.array([1, 0, 0, 1]),
        test=np.array([False, False, False, True]),
    )
    dataset = read_file(path)
    assert (dataset.classes, dataset.shape, dataset.owners) == (3, (3,), ("a", "b"))
    assert dataset.data.features.dtype == np.float32
    assert dataset.data.targets.tolist() == [0, 2, 1, 0]
    assert dataset.group_names == {"sex": ("0", "1")}
    assert dataset.test.tolist() == [False, False, False, True]
    assert dataset.tabular


def test_an_npz_file_may_hold_pictures_text_or_numbers_to_regress_on(tmp_path: Path) -> None:
    pictures = read_file(npz(tmp_path, features=np.zeros((4, 1, 8, 8))))
    assert not pictures.tabular
    text = read_file(
        npz(tmp_path, features=np.array([[3, 4]] * 4, np.uint8), targets=np.array([[4, 5]] * 4))
    )
    assert text.data.features.dtype == np.int64
    assert (text.classes, text.tabular) == (6, False)
    numbers = read_file(npz(tmp_path, targets=np.array([0.5, 1, 2, 3])), classes=0)
    assert numbers.data.targets.dtype == np.float32
    assert numbers.classes == 0


@pytest.mark.parametrize(
    ("arrays", "expected"),
    [
        ({"targets": None}, "no array 'targets'"),
        ({"targets": np.zeros(3, np.int64)}, "expected arrays of one length"),
        ({"features": np.zeros((0, 3)), "targets": np.zeros(0)}, "above 0"),
        ({"features": np.zeros(4)}, "features has shape (4,)"),
        ({"features": np.zeros((4, 8, 8), np.uint8)}, "convert them to float32"),
        ({"features": np.full((4, 2), -1)}, "convert them to float32"),
        ({"features": np.full((4, 2), "x")}, "convert them to float32"),
        (
            {"features": np.full((4, 2), np.nan)},
            "8 values that are not finite, the first at (0, 0)",
        ),
        ({"features": np.full((4, 2), 1e300)}, "not finite"),
        ({"targets": np.array([0.5, 1, 2, 3])}, "for regression set classes = 0"),
        ({"targets": np.array([[0, -1]] * 4)}, "targets are not codes >= 0"),
        ({"target": np.zeros(4)}, "did you mean 'targets'"),
        ({"owner": np.zeros((4, 2), np.int64)}, "owner of type int64 and shape (4, 2)"),
        ({"owner": np.array([None, 1, 2, 3], object)}, "Cannot read the arrays"),
        ({"test": np.zeros((4, 2), bool)}, "test has shape (4, 2): expected (rows,)"),
        ({"group_sex": np.array(0)}, "group_sex has shape ()"),
    ],
)
def test_an_npz_file_that_cannot_be_used_is_one_clear_error(
    tmp_path: Path, arrays: dict[str, Any], expected: str
) -> None:
    refused(npz(tmp_path, **arrays), expected)


def test_an_npz_file_takes_no_column_names_and_damage_is_noticed(tmp_path: Path) -> None:
    path = npz(tmp_path)
    refused(path, "leave out target", target="y")
    whole = path.read_bytes()
    for place in range(0, len(whole) - 30, 7):
        damaged = bytearray(whole)
        damaged[place] ^= 0xFF
        path.write_bytes(damaged)
        with suppress(DataError):  # any other error fails
            read_file(path)
