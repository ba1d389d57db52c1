"""What every trainer promises: the arguments decide, nothing is kept, and nothing else is touched."""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from functools import partial
from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from contracts.bits import assert_same_bits, bits, read_only
from contracts.learning import diabetes, digits, digits_task, linear_task
from numpy.typing import NDArray
from tacit.client import Classification, Data, Task, Trainer, Training, initial_parameters
from tacit.strategies import Correction, Fitted
from tacit.wire import Arrays
from torch import nn

Make = Callable[[Task], Trainer]
FEW = Training(steps=6, batch_size=16)
"""One pass over 40 rows and a bit: the order of the rows matters, and so does the last small batch."""


@dataclass(frozen=True, kw_only=True)
class Problem:
    """A task, its rows, and whether its batches are drawn by chance."""

    task: Task
    data: Data

    def parameters(self) -> dict[str, NDArray[Any]]:
        return read_only(initial_parameters(self.task, seed=1))

    def few(self) -> Data:
        return self.data.rows(slice(0, 40))


def check_trainer(
    make: Make, given: Sequence[Problem] | None = None, *, says_loss: bool = True
) -> None:
    """Runs every check below, on problems with dropout, with float64 and with buffers.

    A private trainer is given the problems that it can train, and says no loss.
    """
    for problem in problems() if given is None else given:
        _the_change_looks_like_the_parameters(make, problem)
        _the_arguments_decide(make, problem)
        _the_generator_matters(make, problem)
        _global_generators_neither_matter_nor_move(make, problem)
        _nothing_given_is_changed(make, problem)
        _what_cannot_be_trained_is_refused(make, problem)
        _training_helps(make, problem)
        _what_was_done_is_said(make, problem, says_loss)
        _evaluation_adds(make, problem)
        _the_correction_is_added_to_the_gradient(make, problem)
        _rows_count_by_their_weights(make, problem)
        _what_is_minimised_may_be_transformed(make, problem)


def problems() -> list[Problem]:
    return [
        Problem(task=digits_task(dropout=0.3), data=digits()),
        Problem(task=linear_task(10), data=diabetes()),
        Problem(task=Classification(build=partial(normalised, 0.1)), data=digits()),
        Problem(task=Classification(build=partial(normalised, None)), data=digits()),
    ]


def normalised(momentum: float | None) -> nn.Module:
    """BatchNorm has buffers to federate, and an integer that counts batches."""
    return nn.Sequential(
        nn.Linear(64, 12), nn.BatchNorm1d(12, momentum=momentum), nn.ReLU(), nn.Linear(12, 10)
    )


def fit(
    trainer: Trainer,
    problem: Problem,
    *,
    data: Data | None = None,
    parameters: Arrays | None = None,
    training: Training = FEW,
    correction: Correction | None = None,
    seed: int = 3,
) -> Fitted:
    return trainer.fit(
        problem.parameters() if parameters is None else parameters,
        problem.few() if data is None else data,
        training,
        0.05,
        correction or Correction(),
        np.random.default_rng(seed),
    )


def _the_change_looks_like_the_parameters(make: Make, problem: Problem) -> None:
    parameters, delta = problem.parameters(), fit(make(problem.task), problem).delta
    assert delta.keys() == parameters.keys()
    for name, array in parameters.items():
        assert (delta[name].shape, delta[name].dtype) == (array.shape, array.dtype)


def _the_arguments_decide(make: Make, problem: Problem) -> None:
    """Not who trained before, on what, nor whether it failed."""
    trainer = make(problem.task)
    first = fit(trainer, problem)
    fit(trainer, problem, data=problem.data.rows(slice(40, 90)), seed=9)
    trainer.evaluate(problem.parameters(), problem.data)
    with pytest.raises(ValueError, match="row"):
        fit(trainer, problem, data=problem.data.rows(slice(0)))
    for other in (trainer, make(problem.task)):
        again = fit(other, problem)
        assert_same_bits(again.delta, first.delta)
        np.testing.assert_equal((again.loss, again.steps), (first.loss, first.steps))


def _the_generator_matters(make: Make, problem: Problem) -> None:
    trainer = make(problem.task)
    assert bits(fit(trainer, problem).delta) != bits(fit(trainer, problem, seed=4).delta)


def _global_generators_neither_matter_nor_move(make: Make, problem: Problem) -> None:
    trainer = make(problem.task)
    found = []
    for seed in (11, 12):
        torch.manual_seed(seed)
        np.random.seed(seed)  # noqa: NPY002 - it must not matter
        random.seed(seed)
        before = global_states()
        found.append(fit(trainer, problem).delta)
        trainer.evaluate(problem.parameters(), problem.few())
        assert global_states() == before
    assert_same_bits(*found)


def global_states() -> tuple[bytes, str, str]:
    legacy = np.random.get_state(legacy=False)  # noqa: NPY002
    return torch.get_rng_state().numpy().tobytes(), repr(legacy), repr(random.getstate())


def _nothing_given_is_changed(make: Make, problem: Problem) -> None:
    """The parameters are read-only, so that a write raises."""
    trainer, data = make(problem.task), problem.few()
    before = bits({"features": data.features, "targets": data.targets})
    pull = read_only({name: np.ones_like(a) for name, a in problem.parameters().items()})
    delta = fit(trainer, problem, data=data, correction=Correction(gradient=pull)).delta
    kept = {name: array.copy() for name, array in delta.items()}
    trainer.evaluate(problem.parameters(), data)
    fit(trainer, problem, seed=8)
    assert bits({"features": data.features, "targets": data.targets}) == before
    assert_same_bits(delta, kept)


def _what_cannot_be_trained_is_refused(make: Make, problem: Problem) -> None:
    trainer, parameters = make(problem.task), problem.parameters()
    name = next(iter(parameters))
    rest = {k: a for k, a in parameters.items() if k != name}
    wrong = [
        {},
        rest,
        {**parameters, "more": np.zeros(1, np.float32)},
        {**rest, f"other.{name}": parameters[name]},
        {**rest, name: parameters[name][..., :1]},
        {**rest, name: parameters[name].T.copy()},
        {**rest, name: np.zeros((), parameters[name].dtype)},
        {**rest, name: parameters[name][np.newaxis]},
    ]
    for foreign in wrong:
        with pytest.raises(ValueError, match="parameters are not those of this model"):
            fit(trainer, problem, parameters=foreign)
        with pytest.raises(ValueError, match="parameters are not those of this model"):
            trainer.evaluate(foreign, problem.few())
    with pytest.raises(ValueError, match="at least one training row"):
        fit(trainer, problem, data=problem.data.rows(slice(0)))


def _training_helps(make: Make, problem: Problem) -> None:
    trainer, parameters = make(problem.task), problem.parameters()
    change = fit(trainer, problem, training=Training(steps=60, batch_size=20)).delta
    trained = {name: array + change[name] for name, array in parameters.items()}
    before = trainer.evaluate(parameters, problem.few())["loss"]
    assert trainer.evaluate(trained, problem.few())["loss"] < before


def _what_was_done_is_said(make: Make, problem: Problem, says_loss: bool) -> None:
    trainer = make(problem.task)
    for training in (FEW, Training(epochs=2, batch_size=16), Training(batch_size=1000)):
        said = fit(trainer, problem, training=training)
        assert said.steps == training.steps_of(rows=40)
        assert said.learning_rate == 0.05
        assert np.isfinite(said.loss) if says_loss else np.isnan(said.loss)
        assert str(said.loss) not in repr(said)


def _evaluation_adds(make: Make, problem: Problem) -> None:
    """Sums over parts are sums over the whole, also where there are many batches, or no rows."""
    trainer, parameters = make(problem.task), problem.parameters()
    whole = trainer.evaluate(parameters, problem.data)
    assert whole == trainer.evaluate(parameters, problem.data)
    edges = [0, 1, 100, len(problem.data)]
    parts = [
        trainer.evaluate(parameters, problem.data.rows(slice(*pair))) for pair in pairwise(edges)
    ]
    for name, value in whole.items():
        assert sum(part[name] for part in parts) == pytest.approx(value, rel=1e-5)
    assert whole["examples"] == len(problem.data)
    assert trainer.evaluate(parameters, problem.data.rows(slice(0)))["examples"] == 0


def _the_correction_is_added_to_the_gradient(make: Make, problem: Problem) -> None:
    """After one step of SGD at rate r, a pull g has moved what is trained by r g more, downhill."""
    trainer, parameters = make(problem.task), problem.parameters()
    trained = dict(problem.task.model().named_parameters()).keys()
    pull = {name: np.full_like(array, 0.5) for name, array in parameters.items() if name in trained}
    once = replace(FEW, steps=1)
    free = fit(trainer, problem, training=once).delta
    still = Correction(proximal=3.0)
    assert_same_bits(fit(trainer, problem, training=once, correction=still).delta, free)
    pulled = fit(trainer, problem, training=once, correction=Correction(gradient=pull)).delta
    for name in parameters:
        shift = 0.05 * 0.5 if name in trained else 0.0
        np.testing.assert_allclose(pulled[name], free[name] - shift, rtol=0, atol=1e-6)


def _rows_count_by_their_weights(make: Make, problem: Problem) -> None:
    """Weights of 1 change no bit, and of a row with weight 0 nothing is learned."""
    trainer, data = make(problem.task), problem.few()
    even = Correction(weights=np.ones(len(data)))
    assert_same_bits(fit(trainer, problem, correction=even).delta, fit(trainer, problem).delta)
    silent = np.arange(len(data)) % 3 == 0
    garbled = replace(data, targets=np.where(silent, data.targets[::-1], data.targets))
    weights = Correction(weights=np.where(silent, 0.0, 2.0))
    one, other = (
        fit(trainer, problem, data=rows, correction=weights).delta for rows in (data, garbled)
    )
    for name, array in one.items():
        np.testing.assert_array_equal(array, other[name])
    heard = fit(trainer, problem, data=garbled).delta
    assert bits(heard) != bits(fit(trainer, problem).delta)


def uphill(loss: Any) -> Any:  # noqa: ANN401 - a tensor
    return -loss


def _what_is_minimised_may_be_transformed(make: Make, problem: Problem) -> None:
    """One step down -f is one up f; a private trainer's noise moves it by less than the tolerance."""
    trainer, once = make(problem.task), replace(FEW, steps=1)
    trained = dict(problem.task.model().named_parameters()).keys()
    free = fit(trainer, problem, training=once).delta
    turned = fit(trainer, problem, training=once, correction=Correction(transform=uphill)).delta
    for name in trained:
        np.testing.assert_allclose(turned[name], -free[name], rtol=0, atol=5e-4)
    assert max(float(np.abs(free[name]).max()) for name in trained) > 2e-3
