"""What is measured, how often, for which groups, and how the counts are protected."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Literal, Self

from pydantic import BaseModel, ConfigDict, Field, model_validator

from ..privacy.event import Event, Gaussian

Positive = Annotated[float, Field(gt=0)]


class Section(BaseModel):
    """A table of the file: nothing in it is unknown, and nothing changes after it was read."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class GroupFunction(Section):
    """Groups of your own: `call` names a "package.module:function" from `Data` to codes of `groups`.

    A row has its code whatever the other rows are: a median split would let one row move others, which
    no noise covers.
    """

    call: str
    groups: Annotated[tuple[str, ...], Field(min_length=1)]


class CountNoise(Section):
    """Noise on every count, with a deviation of `multiplier` times what one member can change.

    Without [dpsgd] a member is a client: its tables are scaled to a norm of at most `clip`, and the
    coordinator adds the noise. With [dpsgd] a member is a row, every client charges its own ledger, and
    the noise is added `by` the "clients", or by a "coordinator" that sees exact counts.
    """

    multiplier: Positive
    clip: Annotated[float | None, Field(ge=1e-6, le=1e6)] = None
    by: Literal["clients", "coordinator"] | None = None


class EvaluateSection(Section):
    """Which groups are counted, at every `every`-th round and the last.

    `groups` names attributes of the data, "label", those in `clients` and in `functions`, and crossings
    such as "sex & race"; without it, all but "label" and crossings are counted. `clients` has attributes
    of whole clients: group by group, who is in it. `metrics` names functions "package.module:function"
    from outputs and targets to a value in [0, 1] for each row. They, and those of groups, judge each row
    by itself; with noise that is tried.

    Scores are counted in `bins`; losses above `most` count as `most`; what is regressed is divided by
    `scale` and kept within [-1, 1], which noise needs. Reports show no rate of a group over fewer than
    `floor` rows; a client's own rates are not under it.

    With `clipping`, clients count their train rows too: how many of each group have a gradient that is
    longer than the clip of [dpsgd], and what the model loses on them. That needs `noise`.
    """

    every: Annotated[int, Field(ge=1)] = 1
    groups: tuple[str, ...] | None = None
    clients: Mapping[str, Mapping[str, tuple[str, ...]]] = {}
    functions: Mapping[str, GroupFunction] = {}
    metrics: Mapping[str, str] = {}
    bins: Annotated[int, Field(ge=2, le=1000)] = 50
    most: Positive = 16.0
    scale: Positive | None = None
    floor: Annotated[int, Field(ge=0)] = 5
    clipping: bool = False
    noise: CountNoise | None = None

    @property
    def event(self) -> Event | None:
        """What one evaluation reveals about a client or, with [dpsgd], about a row; None if all."""
        if self.noise is None:
            return None
        return Gaussian(noise_multiplier=self.noise.multiplier, discrete=True)

    def releases(self, evaluations: int) -> dict[Event, int]:
        """What so many evaluations reveal, if noise bounds it.

        >>> EvaluateSection().releases(3)
        {}
        """
        return {self.event: evaluations} if self.event is not None and evaluations else {}

    def times(self, rounds: int) -> int:
        """How many evaluations there are in `rounds` rounds: the last round always has one.

        >>> EvaluateSection(every=5).times(12)
        3
        """
        return -(-rounds // self.every)

    @model_validator(mode="after")
    def _has_clients_once(self) -> Self:
        for name, groups in self.clients.items():
            named = [client for members in groups.values() for client in members]
            if twice := sorted({client for client in named if named.count(client) > 1}):
                raise ValueError(f"clients.{name} has {twice[0]!r} in two groups: leave it in one.")
        return self

    @model_validator(mode="after")
    def _has_groups_once(self) -> Self:
        if twice := sorted(self.clients.keys() & self.functions.keys()):
            raise ValueError(f"{twice[0]!r} is declared by clients and by a function: rename one.")
        return self
