"""Fashion-MNIST."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from ..client.data import Data
from .dataset import Dataset
from .download import Source, read

ROWS = (60_000, 10_000)  # train, official test


def _source(file: str, size: int, sha256: str) -> Source:
    return Source(
        folder="fashion_mnist",
        files=(file,),
        url=f"https://github.com/zalandoresearch/fashion-mnist/raw/master/data/fashion/{file}",
        size=size,
        sha256=sha256,
    )


IMAGES = (
    _source(
        "train-images-idx3-ubyte.gz",
        47_040_016,
        "c59f468a2f672dc815687fe0f83887768d799fd8a3f3276145d20f83aa44d888",
    ),
    _source(
        "t10k-images-idx3-ubyte.gz",
        7_840_016,
        "5b4141f0afbad91edebe8549f8fcffe087ea10ca49f1dbef5c9a5cd8815ce37b",
    ),
)
LABELS = (
    _source(
        "train-labels-idx1-ubyte.gz",
        60_008,
        "bad3541b69d912435c50bb6ba87bec294ff4f6a2e1246121d8633921760443d9",
    ),
    _source(
        "t10k-labels-idx1-ubyte.gz",
        10_008,
        "0402a96d92fd2663957122ceb108a494c5af83dab82d92729df917d7dec38c34",
    ),
)


def fashion_mnist() -> Dataset:
    """70,000 pictures of clothes: features (1, 28, 28) in [0, 1], 10 classes, official test rows.

    Xiao et al. 2017, arXiv 1708.07747. MIT licence.
    """
    pixels = np.concatenate([_bytes(source, header=16) for source in IMAGES])
    labels = np.concatenate([_bytes(source, header=8) for source in LABELS])
    features = pixels.reshape(-1, 1, 28, 28).astype(np.float32)
    features /= 255
    return Dataset(
        name="fashion_mnist",
        data=Data(features=features, targets=labels.astype(np.int64)),
        classes=10,
        test=np.arange(sum(ROWS)) >= ROWS[0],
        tabular=False,
    )


def _bytes(source: Source, header: int) -> NDArray[np.uint8]:
    return np.frombuffer(read(source), np.uint8, offset=header)
