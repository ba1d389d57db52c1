"""A contribution with a place for each client: the sum over clients is the list of what each said."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from ..wire.lazy import each
from ..wire.messages import Arrays, named

THERE = "there"
"""Under this name the mean holds the weight of each client, which is 0 for who has not contributed."""


def listed(delta: Arrays, position: int, clients: int) -> dict[str, NDArray[Any]]:
    """The change, and that the client is there: each in the client's place of a list.

    An array of shape (...) is one of shape (clients, ...). The mean of such contributions holds
    `THERE`[k] times what client k said.

    >>> listed({"w": np.array([0.5])}, position=1, clients=3)["delta/w"]
    array([[0. ],
           [0.5],
           [0. ]])
    """
    place = np.arange(clients) == position

    def at_place(array: NDArray[Any]) -> NDArray[Any]:
        found = np.zeros((clients, *array.shape), array.dtype)
        found[place] = array
        return found

    return {**named("delta", each(at_place, delta)), THERE: place.astype(np.float64)}
