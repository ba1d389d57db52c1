"""Tables of people: numbers, one-hot categories with a fixed vocabulary, and sensitive attributes.

No vocabulary, scale or bin is learned from the data: whatever is learned from it is a release.
"""

from __future__ import annotations

import csv
import io
from collections.abc import Sequence
from itertools import pairwise
from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..client.data import Data
from .dataset import Dataset
from .download import Source, read

UCI = "https://archive.ics.uci.edu/ml/machine-learning-databases"

HOSPITALS = ("cleveland", "hungarian", "switzerland", "va")

HEART = {
    "cleveland": (18461, "a74b7efa387bc9d108d7d0115d831fe9b414b29ae7124f331b622b4efa0427c8"),
    "hungarian": (10263, "d1ad108f785768cd3d7e82dc522e6f5a61eea93cccfb3a46ee8076f73fc3d796"),
    "switzerland": (4109, "834a405ccf5b66ab4056bb77794adc8df0b7125186454c0a1d002d33c6c3b314"),
    "va": (6737, "e7c93d8d0d2acdadfa4c5e8de768e2191e7f618b952e29623f1f0d5949ff6b8f"),
}

ADULT = {
    "data": (3974305, "5b00264637dbfec36bdeaab5676b0b309ff9eb788d63554ca0a249491c86603d"),
    "test": (2003132, "72567b94f5c1a6f8501377dd80f93892c3848ff071cf91ba47e00b0785a28074"),
}

ACS = Source(
    folder="acs_pums",
    files=("acs_pums_sample.csv.gz",),
    origin="the tables acs and acsbig of the R package donboyd5/microweight, one below the other",
    size=9568691,
    sha256="654dfd1408caf14a8c277d0a8258fc1f9f66996b6078bdb2e66bafcd4ace81c2",
)

# The vocabularies of adult.names, split at spaces; a missing value ("?") is in none of them.
WORK = (
    "Private Self-emp-not-inc Self-emp-inc Federal-gov Local-gov State-gov Without-pay Never-worked"
)
SCHOOL = (
    "Preschool 1st-4th 5th-6th 7th-8th 9th 10th 11th 12th HS-grad Some-college Assoc-voc Assoc-acdm"
    " Bachelors Masters Prof-school Doctorate"
)
MARRIED = (
    "Married-civ-spouse Divorced Never-married Separated Widowed Married-spouse-absent"
    " Married-AF-spouse"
)
JOB = (
    "Tech-support Craft-repair Other-service Sales Exec-managerial Prof-specialty Handlers-cleaners"
    " Machine-op-inspct Adm-clerical Farming-fishing Transport-moving Priv-house-serv"
    " Protective-serv Armed-Forces"
)
FAMILY = "Wife Own-child Husband Not-in-family Other-relative Unmarried"
RACE = "White Asian-Pac-Islander Amer-Indian-Eskimo Other Black"


def heart_disease() -> Dataset:
    """740 patients of four hospitals: 13 columns, 2 classes (1 is disease), owner the hospital.

    Rows and columns as in FLamby (Ogier du Terrail et al. 2022, arXiv 2210.04620): slope, ca and
    thal are dropped, then every row with a missing value. Groups: sex, age. UCI, CC BY 4.0.
    """
    tables = [_complete(read(_heart_source(hospital))) for hospital in HOSPITALS]
    age, sex, cp, pressure, chol, sugar, ecg, rate, angina, peak, num = np.concatenate(tables).T
    numbers = [age, sex, pressure, chol, sugar, rate, angina, peak]
    codes = [cp == 2, cp == 3, cp == 4, ecg == 1, ecg == 2]
    ages, age_names = _ages(age, (45, 60))
    return Dataset(
        name="heart_disease",
        data=Data(
            features=np.stack([*numbers, *codes], axis=1).astype(np.float32),
            targets=(num > 0).astype(np.int64),
            groups={"sex": sex.astype(np.int64), "age": ages},
        ),
        classes=2,
        test=np.zeros(len(num), bool),
        owner=np.arange(len(HOSPITALS)).repeat([len(table) for table in tables]),
        owners=HOSPITALS,
        group_names={"sex": ("women", "men"), "age": age_names},
    )


def adult() -> Dataset:
    """48,842 adults of the 1994 US census: 47 columns, 2 classes (1 is over $50,000 a year).

    The columns: age, years of schooling, capital gain, capital loss, weekly hours, male, born in
    the United States, then one column for each value of workclass, marital status, occupation,
    relationship and race; the census weight is left out. The owner is the level of education, and
    Mohri et al. 2019 (arXiv 1902.00146) divide these people by doctorate or not. Groups: sex, race,
    age, doctorate. Official test rows. UCI, CC BY 4.0.
    """
    halves = [_columns(read(_adult_source(half))) for half in ADULT]
    columns = [np.concatenate(pair) for pair in zip(*halves, strict=True)]
    age, _, _, _, schooling, _, _, _, race, sex, gain, loss, hours, country, income = columns
    numbers = [column.astype(np.float64) for column in (age, schooling, gain, loss, hours)]
    vocabularies = zip((1, 5, 6, 7, 8), (WORK, MARRIED, JOB, FAMILY, RACE), strict=True)
    kinds = [_one_hot(columns[index], words.split()) for index, words in vocabularies]
    races, levels = tuple(RACE.split()), tuple(SCHOOL.split())
    men, (ages, age_names) = (sex == "Male").astype(np.int64), _ages(numbers[0], (30, 50))
    yes_or_no = [men, country == "United-States"]
    doctors = (columns[3] == "Doctorate").astype(np.int64)
    return Dataset(
        name="adult",
        data=Data(
            features=np.column_stack([*numbers, *yes_or_no, *kinds]).astype(np.float32),
            targets=np.char.startswith(income, ">").astype(np.int64),
            groups={
                "sex": men,
                "race": _codes(race, races),
                "age": ages,
                "doctorate": doctors,
            },
        ),
        classes=2,
        test=np.arange(len(age)) >= len(halves[0][0]),
        owner=_codes(columns[3], levels),
        owners=levels,
        group_names={
            "sex": ("women", "men"),
            "race": races,
            "age": age_names,
            "doctorate": ("no doctorate", "doctorate"),
        },
    )


def acs() -> Dataset:
    """109,876 adults of the US census PUMS 2013-2017: 8 columns, 2 classes (1 is over $50,000).

    The columns: age, male, householder, then married, widowed, divorced, separated and never
    married. The label is total income; its seven parts (wages, interest, pensions, benefits, ...),
    which sum to it, and its decile are left out, and so are survey weight and year. The owner is
    the state (22 of them). Groups: sex, age. Public domain.
    """
    table = {column[0]: column[1:] for column in _columns(read(ACS))}
    age, men = table["agep"].astype(np.float64), (table["sex"] == "1").astype(np.int64)
    states, owner = np.unique(table["stabbr"], return_inverse=True)
    ages, age_names = _ages(age, (35, 50, 65))
    columns = [age, men, table["sporder"] == "1", _one_hot(table["mar"], "12345")]
    return Dataset(
        name="acs",
        data=Data(
            features=np.column_stack(columns).astype(np.float32),
            targets=(table["pincp"].astype(np.float64) > 50_000).astype(np.int64),
            groups={"sex": men, "age": ages},
        ),
        classes=2,
        test=np.zeros(len(age), bool),
        owner=owner.astype(np.int64),
        owners=tuple(states.tolist()),
        group_names={"sex": ("women", "men"), "age": age_names},
    )


def _heart_source(hospital: str) -> Source:
    size, sha256 = HEART[hospital]
    file = f"processed.{hospital}.data"
    url = f"{UCI}/heart-disease/{file}"
    return Source(folder="heart_disease", files=(file,), url=url, size=size, sha256=sha256)


def _adult_source(half: str) -> Source:
    """Official `adult.test` opens with a remark; common copies open with the column names."""
    size, sha256 = ADULT[half]
    return Source(
        folder="adult",
        files=(f"adult.{half}", f"adult.{half}.csv.gz"),
        url=f"{UCI}/adult/adult.{half}",
        size=size,
        sha256=sha256,
        headers=(b"|1x3", b"age,"),
    )


def _columns(content: bytes) -> list[NDArray[np.str_]]:
    """The columns of a CSV file as text, blanks stripped, empty lines skipped."""
    lines = csv.reader(io.StringIO(content.decode()), skipinitialspace=True)
    return [np.array(column) for column in zip(*filter(None, lines), strict=True)]


def _complete(content: bytes) -> NDArray[np.float64]:
    """Age to oldpeak and num, for the patients without a missing value among them."""
    columns = _columns(content)
    cells = np.stack([*columns[:10], columns[13]], axis=1)
    complete: NDArray[np.str_] = cells[(cells != "?").all(axis=1)]
    return complete.astype(np.float64)


def _codes(cells: NDArray[np.str_], vocabulary: Sequence[str]) -> NDArray[np.int64]:
    """The position of each cell in the vocabulary, or -1."""
    position = {word: index for index, word in enumerate(vocabulary)}
    return np.array([position.get(cell, -1) for cell in cells.tolist()], np.int64)


def _one_hot(cells: NDArray[np.str_], vocabulary: Sequence[str]) -> NDArray[np.bool_]:
    hot: NDArray[np.bool_] = _codes(cells, vocabulary)[:, None] == np.arange(len(vocabulary))
    return hot


def _ages(years: NDArray[Any], edges: Sequence[int]) -> tuple[NDArray[np.int64], tuple[str, ...]]:
    """Ages in groups: below the first edge, from each edge to the next, and from the last on."""
    between = [f"{low} to {high - 1}" for low, high in pairwise(edges)]
    names = (f"under {edges[0]}", *between, f"{edges[-1]} and over")
    return np.digitize(years, edges).astype(np.int64), names
