"""People who were followed until something happened to them, or until they were lost from sight."""

from __future__ import annotations

import csv
import io

import numpy as np

from ..client.data import Data
from .dataset import Dataset
from .download import Source, read

FLAMBY = (
    "https://raw.githubusercontent.com/owkin/FLamby/edacf54d5211520583b0133d55ac39b6fda8324b/flamby/"
    "datasets/fed_tcga_brca"
)
PATIENTS = Source(
    folder="tcga_brca",
    files=("brca.csv",),
    url=f"{FLAMBY}/brca.csv",
    size=113184,
    sha256="07cb53423f7d579d33cfdbf2cba57b2aee75318b85866c68ce39a75b1f1ba020",
)
SPLIT = Source(
    folder="tcga_brca",
    files=("train_test_split.csv",),
    url=f"{FLAMBY}/dataset_creation_scripts/train_test_split.csv",
    size=28946,
    sha256="1249c6543a4060ff0fdaf8510fc37017755836db6c9fc5e6af96057c36510990",
)
REGIONS = ("northeast", "south", "west", "midwest", "europe", "canada")


def tcga_brca() -> Dataset:
    """1,088 women and men with breast cancer: 39 columns, days until death or until last seen.

    Rows, columns, regions and the official test rows as in FLamby (Ogier du Terrail et al. 2022,
    arXiv 2210.04620): age, and one column for each value of ethnicity, race, stage and treatment. The
    owner is the region of the hospital. Groups: age, race. The Cancer Genome Atlas, open access: not to
    be used to find out who somebody is.
    """
    folds = {row["pid"]: row["fold2"].split("_") for row in _rows(SPLIT)}
    patients = [row for row in _rows(PATIENTS) if row["pid"] in folds]
    columns = [name for name in patients[0] if name not in ("pid", "E", "T")]
    features = np.array([[row[name] for name in columns] for row in patients], np.float32)
    of = {name: features[:, n] for n, name in enumerate(columns)}
    races = ["race_white", "race_black or african american", "race_asian", "race_not reported"]
    known = np.stack([of[name] > 0 for name in races], axis=1)
    return Dataset(
        name="tcga_brca",
        data=Data(
            features=features,
            targets=np.array([[row["T"], row["E"]] for row in patients], np.float32),
            groups={
                "age": np.digitize(of["age_at_index"], (50, 65)).astype(np.int64),
                "race": np.where(known.any(1), known.argmax(1), len(races)).astype(np.int64),
            },
        ),
        classes=0,
        test=np.array([folds[row["pid"]][0] == "test" for row in patients]),
        owner=np.array([int(folds[row["pid"]][1]) for row in patients]),
        owners=REGIONS,
        group_names={
            "age": ("under 50", "50 to 64", "65 and over"),
            "race": ("white", "black", "asian", "not reported", "other"),
        },
    )


def _rows(source: Source) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(read(source).decode())))
