"""Groups in an agreed order, so that code 1 is the same group for everybody."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace

import numpy as np

from .dataset import DataError, Dataset
from .suggest import unknown

Vocabulary = Mapping[str, tuple[str, ...]]


def recoded(dataset: Dataset, vocabulary: Vocabulary) -> Dataset:
    """`dataset` with the codes of its attributes as `vocabulary` has them; the others stay.

    A group that nobody here belongs to keeps its place. Raises DataError for an attribute that is not
    there, and for rows of a group that is not in the vocabulary.
    """
    if not vocabulary:
        return dataset
    names, codes = dict(dataset.group_names), dict(dataset.data.groups)
    for attribute, groups in vocabulary.items():
        if attribute not in names:
            raise DataError(f"data.vocabulary: {unknown('attribute', attribute, [*names])}")
        if missing := sorted(set(names[attribute]) - set(groups)):
            raise DataError(
                f"data.vocabulary: {attribute!r} has rows of {missing[0]!r}, which is not in it; it has "
                f"{', '.join(groups)}."
            )
        places = np.array([groups.index(name) for name in names[attribute]], np.int64)
        codes[attribute], names[attribute] = places[codes[attribute]], tuple(groups)
    return replace(dataset, data=replace(dataset.data, groups=codes), group_names=names)
