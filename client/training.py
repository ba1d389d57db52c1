"""How to train locally: public scalars that travel in an instruction, checked where they are made."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass
from typing import Literal, Self, get_args

from ..wire.messages import Settings

Optimizer = Literal["sgd", "adam", "adamw", "adagrad", "rmsprop"]
Schedule = Literal["constant", "cosine", "linear", "step"]
Device = Literal["auto", "cpu", "cuda", "mps"]


@dataclass(frozen=True, kw_only=True)
class Training:
    """Local training. Set `epochs` or `steps`, not both; neither means one epoch.

    The learning rate of round t of T follows `schedule`: constant; cosine to 0; linear to 0; or
    times `decay` every `decay_every` rounds. `momentum` is SGD's and RMSprop's. `weight_decay` is
    the optimizer's own (decoupled in AdamW); `l1` and `l2` are added to the loss as l1 ‖w‖₁ and
    l2/2 ‖w‖². `clip` bounds the L2 norm of each step's gradient, with penalties and corrections.
    `label_smoothing` is for classes.

    >>> Training(learning_rate=0.1, schedule="linear").rate(round=6, rounds=10)
    0.05
    >>> Training(steps=10).steps_of(rows=100)
    10
    >>> Training(epochs=2, batch_size=32).steps_of(rows=100)
    8
    """

    optimizer: Optimizer = "sgd"
    learning_rate: float = 0.1
    batch_size: int = 32
    epochs: int | None = None
    steps: int | None = None
    momentum: float = 0.0
    weight_decay: float = 0.0
    schedule: Schedule = "constant"
    decay: float = 0.5
    decay_every: int = 10
    clip: float | None = None
    l1: float = 0.0
    l2: float = 0.0
    label_smoothing: float = 0.0

    def __post_init__(self) -> None:
        for name, known in (("optimizer", get_args(Optimizer)), ("schedule", get_args(Schedule))):
            if vars(self)[name] not in known:
                raise ValueError(f"Expected {name} in {known}, got {vars(self)[name]!r}.")
        if not self.learning_rate > 0 or not math.isfinite(self.learning_rate):
            raise ValueError(f"Expected learning_rate > 0, got {self.learning_rate}.")
        for name in ("batch_size", "epochs", "steps", "decay_every"):
            value = vars(self)[name]
            if value is not None and not (isinstance(value, int) and value >= 1):
                raise ValueError(f"Expected {name} >= 1, got {value}.")
        for name in ("weight_decay", "l1", "l2"):
            if not (vars(self)[name] >= 0 and math.isfinite(vars(self)[name])):
                raise ValueError(f"Expected {name} >= 0, got {vars(self)[name]}.")
        for name in ("momentum", "label_smoothing"):
            if not 0 <= vars(self)[name] < 1:
                raise ValueError(f"Expected 0 <= {name} < 1, got {vars(self)[name]}.")
        if not 0 < self.decay <= 1:
            raise ValueError(f"Expected 0 < decay <= 1, got {self.decay}.")
        if self.clip is not None and not self.clip > 0:
            raise ValueError(f"Expected clip > 0, got {self.clip}.")
        if self.epochs is not None and self.steps is not None:
            raise ValueError("Expected epochs or steps, got both; leave one out.")
        if self.momentum and self.optimizer not in ("sgd", "rmsprop"):
            raise ValueError(
                f"Expected momentum = 0 with {self.optimizer}; it is for sgd and rmsprop."
            )

    @classmethod
    def read(cls, settings: Settings) -> Self:
        """The training that an instruction's settings describe. Raises ValueError if they do not."""
        try:
            return cls(**settings)  # type: ignore[arg-type]
        except TypeError as error:
            raise ValueError(f"The settings do not describe a training: {error}.") from error

    def settings(self) -> Settings:
        """The scalars that `read` takes."""
        return asdict(self)

    def rate(self, *, round: int, rounds: int) -> float:
        """The learning rate of round `round`, counted from 1, of `rounds`."""
        done = (round - 1) / max(rounds, 1)
        match self.schedule:
            case "constant":
                return self.learning_rate
            case "linear":
                return self.learning_rate * (1 - done)
            case "cosine":
                return self.learning_rate * (1 + math.cos(math.pi * done)) / 2
            case "step":
                return float(self.learning_rate * self.decay ** ((round - 1) // self.decay_every))

    def steps_of(self, *, rows: int) -> int:
        """The optimizer steps that a client with `rows` rows takes."""
        if self.steps is not None:
            return self.steps
        return (self.epochs or 1) * math.ceil(rows / self.batch_size)
