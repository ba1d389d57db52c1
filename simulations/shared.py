"""Rows in memory that every worker process maps and none copies."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import torch

from ..client.data import Data
from .dataset import DataError


@dataclass(frozen=True, kw_only=True)
class SharedData:
    """`Data` as torch tensors in shared memory: pickling it hands over file descriptors, not rows.

    The memory has no name in the file system, so nothing is left behind however a process ends.
    """

    features: torch.Tensor = field(repr=False)
    targets: torch.Tensor = field(repr=False)
    groups: Mapping[str, torch.Tensor] = field(repr=False)

    @classmethod
    def of(cls, data: Data) -> SharedData:
        """A copy of `data` in shared memory. Raises `DataError` if there is too little of it."""
        try:
            return cls(
                features=torch.tensor(data.features).share_memory_(),
                targets=torch.tensor(data.targets).share_memory_(),
                groups={name: torch.tensor(g).share_memory_() for name, g in data.groups.items()},
            )
        except RuntimeError as error:
            raise DataError(
                f"The rows do not fit into shared memory ({str(error).splitlines()[0]}): enlarge "
                "/dev/shm (a container's --shm-size), or use run.workers=0."
            ) from error

    def view(self) -> Data:
        """The same rows as arrays: views of the shared memory."""
        return Data(
            features=self.features.numpy(),
            targets=self.targets.numpy(),
            groups={name: codes.numpy() for name, codes in self.groups.items()},
        )
