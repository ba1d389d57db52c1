"""The plain trainer: the contract, and models whose buffers or first weights are drawn by chance."""

from __future__ import annotations

import numpy as np
import pytest
import torch
from contracts.bits import assert_same_bits, bits
from contracts.learning import CPU, diabetes, digits, digits_task, linear_task
from contracts.trainer import Problem, check_trainer, fit, global_states
from tacit.client import Classification, Plain, Task, Training, choose_device, initial_parameters
from tacit.client.trainer import batches
from torch import Tensor, nn


def plain(task: Task) -> Plain:
    return Plain(task, CPU)


def test_the_plain_trainer_keeps_the_contract() -> None:
    check_trainer(plain)


class Scrambled(nn.Module):
    """A buffer that is drawn by chance and is not federated: it must be the same everywhere."""

    order: Tensor

    def __init__(self) -> None:
        super().__init__()
        self.register_buffer("order", torch.randperm(64))
        self.head = nn.Linear(64, 10)

    def forward(self, rows: Tensor) -> Tensor:
        logits: Tensor = self.head(rows[:, self.order])
        return logits


def test_trainers_made_under_other_seeds_train_the_same_model() -> None:
    """As the trainers of two worker processes are."""
    problem = Problem(task=Classification(build=Scrambled), data=digits())
    found = []
    for seed in (1, 2):
        torch.manual_seed(seed)
        found.append(fit(plain(problem.task), problem).delta)
    assert_same_bits(*found)


def test_making_a_trainer_or_its_parameters_leaves_the_global_generators_alone() -> None:
    before = global_states()
    plain(digits_task())
    initial_parameters(digits_task(), seed=3)
    assert global_states() == before


def test_the_first_parameters_depend_on_the_seed_alone() -> None:
    torch.manual_seed(5)
    first = initial_parameters(digits_task(), seed=3)
    torch.manual_seed(6)
    assert_same_bits(initial_parameters(digits_task(), seed=3), first)
    assert bits(initial_parameters(digits_task(), seed=4)) != bits(first)


def test_what_is_frozen_stays_where_it_is() -> None:
    """It is federated like the rest, because another trainer may train it."""
    task = Classification(build=half_frozen)
    problem = Problem(task=task, data=digits())
    delta = fit(plain(task), problem, training=Training(steps=5, weight_decay=0.1, l2=0.1)).delta
    assert not np.any(delta["0.weight"])
    assert np.any(delta["2.weight"])


def half_frozen() -> nn.Module:
    model = nn.Sequential(nn.Linear(64, 8), nn.ReLU(), nn.Linear(8, 10))
    model[0].weight.requires_grad_(False)
    return model


def test_dropout_is_for_training_only() -> None:
    task = digits_task(dropout=0.5)
    trainer, problem = plain(task), Problem(task=task, data=digits())
    fit(trainer, problem)
    model = task.model()
    model.load_state_dict({k: torch.tensor(a) for k, a in problem.parameters().items()})
    with torch.no_grad():
        outputs = model.eval()(torch.tensor(problem.few().features))
    wanted = float(task.loss(outputs, torch.tensor(problem.few().targets)).sum())
    found = trainer.evaluate(problem.parameters(), problem.few())["loss"]
    assert found == pytest.approx(wanted, rel=1e-6)


def test_dropout_draws_from_the_generator_that_is_given() -> None:
    """With all rows in one batch their order is only rounding, so what differs is dropout."""
    once = Training(steps=3, batch_size=1000)
    apart = {}
    for rate in (0.0, 0.5):
        problem = Problem(task=digits_task(dropout=rate), data=digits())
        one, other = (
            fit(plain(problem.task), problem, training=once, seed=seed).delta for seed in (3, 4)
        )
        apart[rate] = max(float(np.abs(one[name] - other[name]).max()) for name in one)
    assert apart[0.0] < 1e-6
    assert apart[0.5] > 1e-3


def test_the_loss_that_is_reported_is_the_mean_over_the_steps() -> None:
    """One step on all rows without dropout: the loss before training."""
    task = digits_task(dropout=0.0)
    trainer, problem = plain(task), Problem(task=task, data=digits())
    said = fit(trainer, problem, training=Training(batch_size=1000)).loss
    before = trainer.evaluate(problem.parameters(), problem.few())["loss"] / 40
    assert said == pytest.approx(before, rel=1e-6)


@pytest.mark.parametrize(("rows", "size"), [(5, 2), (1, 1), (7, 7), (7, 100), (64, 8), (10, 3)])
def test_batches_are_permutations_whose_last_small_batch_is_kept(rows: int, size: int) -> None:
    in_epoch = -(-rows // size)
    rng = np.random.default_rng(0)
    drawn = list(batches(rows, size, 2 * in_epoch + 1, rng))
    assert len(drawn) == 2 * in_epoch + 1
    for epoch in (drawn[:in_epoch], drawn[in_epoch : 2 * in_epoch]):
        assert sorted(np.concatenate(epoch)) == list(range(rows))
        assert [len(batch) for batch in epoch[:-1]] == [size] * (in_epoch - 1)
        assert len(epoch[-1]) == rows - size * (in_epoch - 1)
    if rows > 5:
        assert not np.array_equal(np.concatenate(drawn[:in_epoch]), np.arange(rows))


def test_a_device_that_is_not_there_is_refused() -> None:
    assert choose_device("cpu") == CPU
    assert choose_device("auto").type in ("cpu", "cuda", "mps")
    for name, there in [
        ("cuda", torch.cuda.is_available()),
        ("mps", torch.backends.mps.is_available()),
    ]:
        if not there:
            with pytest.raises(ValueError, match=f"This machine has no {name} device"):
                choose_device(name)


def test_a_task_without_a_gradient_for_a_part_trains_the_rest() -> None:
    task = Classification(build=WithSpare)
    delta = fit(plain(task), Problem(task=task, data=digits())).delta
    assert not np.any(delta["spare.weight"])
    assert np.any(delta["used.weight"])


class WithSpare(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.used, self.spare = nn.Linear(64, 10), nn.Linear(3, 3)

    def forward(self, rows: Tensor) -> Tensor:
        logits: Tensor = self.used(rows)
        return logits


def test_what_a_received_model_does_is_told_row_by_row() -> None:
    """Beyond one batch of rows, and for a task with numbers in place of classes."""
    task, data = digits_task(dropout=0.3), digits()
    trainer, parameters = plain(task), initial_parameters(task, seed=1)
    received, measured = trainer.received(parameters, data), trainer.evaluate(parameters, data)
    assert len(received.losses) == len(data) > 512
    assert received.losses.sum() == pytest.approx(measured["loss"], rel=1e-6)
    assert (received.guesses == data.targets).sum() == measured["correct"]
    rows = trainer.received(parameters, data.rows(slice(40, 50)))
    np.testing.assert_allclose(rows.losses, received.losses[40:50], rtol=1e-5)
    assert str(received.losses[0])[:6] not in repr(received)
    regression = plain(linear_task(10))
    found = regression.received(initial_parameters(linear_task(10), 1), diabetes())
    assert found.losses.shape == found.guesses.shape == (442,)
