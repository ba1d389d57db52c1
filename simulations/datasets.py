"""Data sets by name."""

from __future__ import annotations

from .bundled import breast_cancer, diabetes, digits, wine
from .dataset import DataError, Dataset
from .images import fashion_mnist
from .speech import spoken_digits
from .suggest import unknown
from .survival import tcga_brca
from .synthetic import synthetic
from .tabular import acs, adult, heart_disease
from .text import shakespeare, sms_spam

_LOADERS = {
    "digits": digits,
    "breast_cancer": breast_cancer,
    "wine": wine,
    "diabetes": diabetes,
    "synthetic": synthetic,
    "heart_disease": heart_disease,
    "fashion_mnist": fashion_mnist,
    "adult": adult,
    "acs": acs,
    "tcga_brca": tcga_brca,
    "shakespeare": shakespeare,
    "sms_spam": sms_spam,
    "spoken_digits": spoken_digits,
}
DATASETS = tuple(_LOADERS)


def load(name: str) -> Dataset:
    """The data set of that name, one of `DATASETS`. Raises DataError if it cannot be had.

    >>> load("wine").shape
    (13,)
    """
    if name not in _LOADERS:
        raise DataError(unknown("data set", name, DATASETS))
    return _LOADERS[name]()
