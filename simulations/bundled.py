"""The small data sets that come with scikit-learn: always there, no download."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..client.data import Data
from .dataset import Dataset


def digits() -> Dataset:
    """1,797 handwritten digits: features (1, 8, 8) in [0, 1], 10 classes. UCI, CC BY 4.0.

    >>> digits().shape
    (1, 8, 8)
    """
    pixels, targets = _loaded("digits")
    features = (pixels / 16).astype(np.float32).reshape(-1, 1, 8, 8)
    data = Data(features=features, targets=targets.astype(np.int64))
    return _dataset("digits", data, classes=10, tabular=False)


def breast_cancer() -> Dataset:
    """569 biopsies: 30 measurements, 2 classes (0 malignant, 1 benign). UCI, CC BY 4.0."""
    features, targets = _loaded("breast_cancer")
    data = Data(features=features.astype(np.float32), targets=targets.astype(np.int64))
    return _dataset("breast_cancer", data, classes=2)


def wine() -> Dataset:
    """178 wines: 13 measurements, 3 classes (the cultivar). UCI, CC BY 4.0."""
    features, targets = _loaded("wine")
    data = Data(features=features.astype(np.float32), targets=targets.astype(np.int64))
    return _dataset("wine", data, classes=3)


def diabetes() -> Dataset:
    """442 patients: 10 measurements, regression on progression a year later (25 to 346).

    Efron et al. 2004, "Least Angle Regression". The source codes sex as 1 and 2 and does not say
    which is which.
    """
    features, targets = _loaded("diabetes", scaled=False)
    sex = features[:, 1].astype(np.int64) - 1
    data = Data(
        features=features.astype(np.float32),
        targets=targets.astype(np.float32),
        groups={"sex": sex},
    )
    return _dataset("diabetes", data, classes=0, group_names={"sex": ("sex 1", "sex 2")})


def _loaded(name: str, **options: bool) -> tuple[NDArray[Any], NDArray[Any]]:
    from sklearn import datasets  # slow to import: workers do without

    loaders = {
        "digits": datasets.load_digits,
        "breast_cancer": datasets.load_breast_cancer,
        "wine": datasets.load_wine,
        "diabetes": datasets.load_diabetes,
    }
    features, targets = loaders[name](return_X_y=True, **options)
    return features, targets


def _dataset(
    name: str,
    data: Data,
    *,
    classes: int,
    tabular: bool = True,
    group_names: dict[str, tuple[str, ...]] | None = None,
) -> Dataset:
    return Dataset(
        name=name,
        data=data,
        classes=classes,
        test=np.zeros(len(data), bool),
        group_names=group_names or {},
        tabular=tabular,
    )
