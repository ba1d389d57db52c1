"""The audit of a mechanism: can what it releases tell who took part better than its ε allows?

A canary goes through the real code, `bound`, the fold and `release`, many times, and as often it does
not. How well the two can be told apart bounds ε from below (Jagielski, Ullman, Oprea 2020, arXiv
2006.07709; Nasr et al. 2021, arXiv 2101.04535). A lower bound above the claimed ε proves a bug. One
below it proves nothing: it is no measurement of privacy.
"""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import Final

import numpy as np

from ..wire.fold import Fold
from ..wire.messages import Arrays, Receipt, Settings
from .accountants import Counts, pld_epsilon, rdp_epsilon
from .budget import Adjacency
from .clipping import norm
from .distinguishing import Floats, lower_bound
from .mechanism import Central, Mechanism
from .noise import Noise
from .sampling import Sampling
from .secret import Secret

Terms = tuple[tuple[str, str | int | float | bool | None], ...]

DIRECTION: Final[Arrays] = {
    "bias": np.array(-0.5, np.float32),
    "weight": np.array([[0.5, 0.5], [-0.5, 0.0]], np.float32),
}
"""In which the canary points: of norm 1, over two arrays."""
SIZES: Final = (1.0, 1e3, 2e6)
"""The norms that a canary may claim: a clip norm is at most 10^6."""
CLAIMS: Final = (1, 10**6)
"""The rows that a canary may claim to have."""


@dataclass(frozen=True, kw_only=True)
class Audit:
    """What an audit found: with probability `confidence` or more, the true ε is above `eps_lower`.

    `trials` is how often the canary was there, and how often it was not; half of them chose the test
    that the other half were put to.
    """

    eps_lower: float
    eps_claimed: float
    delta: float
    adjacency: Adjacency
    confidence: float
    trials: int
    rounds: int

    @property
    def ok(self) -> bool:
        """Whether nothing contradicts the claim."""
        return not self.eps_lower > self.eps_claimed

    def __str__(self) -> str:
        words = self.adjacency.label
        return (
            f"{'no violation detected' if self.ok else 'VIOLATION'}: ε > {self.eps_lower:.3f} with "
            f"{self.confidence:.0%} confidence, where ε <= {self.eps_claimed:.3f} is claimed, at δ = "
            f"{self.delta:.3g} ({words}; {self.trials} trials with a canary, {self.trials} without)"
        )


def audit(
    mechanism: Mechanism,
    sampling: Sampling,
    *,
    adjacency: Adjacency = Adjacency.ADD_REMOVE,
    delta: float = 1e-5,
    rounds: int = 1,
    trials: int = 100_000,
    others: int = 0,
    confidence: float = 0.95,
    secret: Secret | None = None,
) -> Audit:
    """Puts the claim of `mechanism` to the test over `rounds` rounds, in which `others` send zeros.

    Takes about 0.1 ms for each round of each trial, of which there are twice `trials`.

    Guarantees:
      - A mechanism whose claim is true passes with a probability of `confidence` or more.
      - The canary comes in as sampling says: by secret coins, or in the rounds of its turn.

    Raises `Unaccountable` where no accountant can judge the claim, and ValueError if there is none.

    >>> from tacit.privacy.gaussian import Gaussian
    >>> sampling = Sampling(scheme="everyone", clients=10, participation=1.0)
    >>> audit(Gaussian(clip=1.0, noise_multiplier=2.0), sampling, trials=200).ok
    True
    """
    events = [mechanism.event(sampling, round) for round in range(1, rounds + 1)]
    claimed = _claim({event: events.count(event) for event in events}, delta, adjacency)
    if not trials >= 2 or not 0 < confidence < 1:
        raise ValueError(f"Expected 2 trials or more at 0 < confidence < 1, got {trials}.")
    worlds = _Worlds(
        mechanism=mechanism,
        sampling=sampling,
        adjacency=adjacency,
        rounds=rounds,
        others=others,
        secret=secret or Secret.fresh(),
    )
    return Audit(
        eps_lower=lower_bound(*worlds.observe(trials), delta, confidence),
        eps_claimed=claimed,
        delta=delta,
        adjacency=adjacency,
        confidence=confidence,
        trials=trials,
        rounds=rounds,
    )


def _claim(counts: Counts, delta: float, adjacency: Adjacency) -> float:
    stated = pld_epsilon(counts, delta, adjacency)
    claimed = rdp_epsilon(counts, delta, adjacency) if stated is None else stated
    if not math.isfinite(claimed):
        raise ValueError(
            "Expected a mechanism that claims a finite ε, got one without noise; the steps of [dpsgd] "
            "are not audited."
        )
    return claimed


@dataclass(frozen=True, kw_only=True)
class _Worlds:
    """Two neighbouring populations: in one of them the canary takes part.

    In the other it is absent (add/remove), sends the opposite (replace-one), or its part of every sum
    is zero (zero-out). A client that noises its own messages is seen to send one: where it would be
    absent, it sends noised zeros.
    """

    mechanism: Mechanism
    sampling: Sampling
    adjacency: Adjacency
    rounds: int
    others: int
    secret: Secret = field(repr=False)
    _folds: dict[Terms, Fold] = field(default_factory=dict, repr=False)

    def observe(self, trials: int) -> tuple[Floats, Floats]:
        """What is seen in each of `trials` runs, with the canary and without: one run in each row."""
        canary, rows = self._canary()
        instead = {
            Adjacency.REPLACE_ONE: {name: -array for name, array in canary.items()},
            Adjacency.ZERO_OUT: None if self._central else _scaled(0.0),
            Adjacency.ADD_REMOVE: None if self._central else _scaled(0.0),
        }[self.adjacency]
        both = []
        for world, sent in (("in", canary), ("out", instead)):
            runs = (list(self._run(sent, rows, world, number)) for number in range(trials))
            both.append(np.array(list(runs)))
        return both[0], both[1]

    @property
    def _central(self) -> bool:
        return isinstance(self.mechanism, Central)

    def _run(self, sent: Arrays | None, rows: int, world: str, number: int) -> Iterator[float]:
        """What the public sees of one run: the mean along the direction, and the next round's terms."""
        noise = self.secret.stream("noise", world, number)
        own = self.secret if self._central else self._own(world, number)
        memory = self.mechanism.begin()
        for round in range(1, self.rounds + 1):
            terms = self.mechanism.terms(memory)
            fold = Fold()
            fold.merge(self._background(terms))
            if sent is not None and self._takes_part(round, noise):
                message = self.mechanism.perturb(sent, terms, own)
                bounded = self.mechanism.bound(message, rows, terms)
                fold.add(bounded, Receipt(client="canary", examples=rows), self.others + 1)
            mean, memory = self.mechanism.release(fold.total(), self.sampling, memory, noise)
            yield 0.0 if mean is None else _along(mean)
            for value in self.mechanism.terms(memory).values():
                if isinstance(value, int | float):
                    yield float(value)

    def _takes_part(self, round: int, coins: Noise) -> bool:
        match self.sampling.scheme:
            case "poisson" | "fixed":
                return float(coins.random(1)[0]) < self.sampling.participation
            case "cyclic":
                return (round - 1) % self.sampling.separation == 0
            case _:
                return True

    def _own(self, *context: str | int) -> Secret:
        """The secret of a client that noises its own messages."""
        return Secret(bytes.fromhex(self.secret.fingerprint("canary", *context)))

    def _background(self, terms: Settings) -> Fold:
        """The sum without the canary. It holds zeros too, so that its layout is always known."""
        key = tuple(terms.items())
        if key not in self._folds:
            self._folds.clear()
            still, fold = _scaled(0.0), Fold()
            bounded = self.mechanism.bound(still, 0, terms)
            blank = {name: np.zeros_like(array) for name, array in bounded.items()}
            fold.add(blank, Receipt(client="nobody", examples=0), self.others + 1)
            for other in range(self.others):
                bounded = self.mechanism.bound(still, 1, terms)
                fold.add(bounded, Receipt(client=f"other {other}", examples=1), self.others + 1)
            self._folds[key] = fold
        return self._folds[key]

    def _canary(self) -> tuple[Arrays, int]:
        """What moves the sum farthest of all that is tried, and how many rows it claims.

        An honest client that noises its own messages cannot send what is not finite.
        """
        terms = self.mechanism.terms(self.mechanism.begin())
        tried = [(_scaled(size), rows) for size in SIZES for rows in CLAIMS]
        if self._central:
            tried += [(_spoiled(value), 1) for value in (math.nan, math.inf)]
        return max(reversed(tried), key=lambda each: self._reach(each[0], each[1], terms))

    def _reach(self, sent: Arrays, rows: int, terms: Settings) -> float:
        """How long the sum is if `sent` is let in; -1 if it is refused."""
        if not self._central:
            return norm(sent)
        fold = Fold()
        try:
            bounded = self.mechanism.bound(sent, rows, terms)
            fold.add(bounded, Receipt(client="canary", examples=rows), self.others + 1)
        except ValueError:
            return -1.0
        return norm(fold.total())


def _scaled(size: float) -> Arrays:
    return {name: array * np.float32(size) for name, array in DIRECTION.items()}


def _spoiled(value: float) -> Arrays:
    """One number that is none, beside others that are far too large."""
    arrays = {name: np.array(array) for name, array in _scaled(1e3).items()}
    arrays["weight"][1, 1] = value
    return arrays


def _along(mean: Arrays) -> float:
    return float(sum(np.vdot(DIRECTION[name], mean[name]) for name in DIRECTION))
