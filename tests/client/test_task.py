"""The built-in tasks against scikit-learn's metrics."""

from __future__ import annotations

from functools import partial

import numpy as np
import pytest
import torch
from sklearn.metrics import accuracy_score, log_loss, mean_squared_error
from tacit.client import Classification, Data, Regression
from torch import Tensor, nn

LINEAR = partial(nn.Linear, 2, 2)


def drawn(*shape: int, seed: int = 0) -> Tensor:
    return torch.from_numpy(np.random.default_rng(seed).normal(size=shape))


def test_classes_are_told_apart_as_scikit_learn_counts_them() -> None:
    outputs, targets = drawn(50, 4), torch.arange(50) % 4
    task, chances = Classification(build=LINEAR), torch.softmax(outputs, 1).numpy()
    losses = task.loss(outputs, targets)
    assert losses.shape == (50,)
    wanted = log_loss(targets.numpy(), chances, labels=range(4))
    assert float(losses.mean()) == pytest.approx(wanted)
    found = task.statistics(outputs, targets)
    right = accuracy_score(targets.numpy(), chances.argmax(1), normalize=False)
    assert float(found["correct"]) == right
    assert float(found["loss"]) == pytest.approx(50 * wanted)


@pytest.mark.parametrize("dtype", [torch.int64, torch.float32])
def test_one_logit_tells_two_classes_apart(dtype: torch.dtype) -> None:
    outputs, targets = drawn(40, 1), (torch.arange(40) % 2).to(dtype)
    task, chance = Classification(build=LINEAR), torch.sigmoid(outputs[:, 0]).numpy()
    losses, labels = task.loss(outputs, targets), targets.numpy().astype(int)
    assert losses.shape == (40,)
    assert float(losses.mean()) == pytest.approx(log_loss(labels, chance))
    right = accuracy_score(labels, chance > 0.5, normalize=False)
    assert float(task.statistics(outputs, targets)["correct"]) == right


@pytest.mark.parametrize("classes", [1, 3])
def test_smoothing_mixes_in_the_uniform_label_and_is_not_measured(classes: int) -> None:
    """(1 - s) of the label's loss and s of the mean over the labels; two of them for one logit."""
    outputs = drawn(30, classes)
    labels = max(classes, 2)
    targets = torch.arange(30) % labels
    plain = Classification(build=LINEAR)
    each = [plain.loss(outputs, torch.full((30,), label)) for label in range(labels)]
    wanted = 0.7 * plain.loss(outputs, targets) + 0.3 * torch.stack(each).mean(0)
    smooth = Classification(build=LINEAR, label_smoothing=0.3)
    torch.testing.assert_close(smooth.loss(outputs, targets), wanted)
    assert smooth.statistics(outputs, targets) == plain.statistics(outputs, targets)


def test_a_text_counts_by_the_share_of_it_that_is_right() -> None:
    outputs, targets = drawn(6, 5, 7), torch.arange(42).reshape(6, 7) % 5
    task = Classification(build=LINEAR)
    losses = task.loss(outputs, targets)
    assert losses.shape == (6,)
    for row in range(6):
        chances = torch.softmax(outputs[row].T, 1).numpy()
        assert float(losses[row]) == pytest.approx(log_loss(targets[row], chances, labels=range(5)))
    right = accuracy_score(targets.ravel(), outputs.argmax(1).ravel(), normalize=False) / 7
    assert float(task.statistics(outputs, targets)["correct"]) == pytest.approx(right)


def test_a_regression_reports_its_error_and_the_moments_of_its_targets() -> None:
    outputs, targets = drawn(30, 1), drawn(30, seed=1)
    task = Regression(build=LINEAR)
    error = mean_squared_error(targets, outputs[:, 0])
    assert task.loss(outputs, targets).shape == (30,)
    assert float(task.loss(outputs, targets).mean()) == pytest.approx(error / 2)
    found = {name: float(value) for name, value in task.statistics(outputs, targets).items()}
    assert found == {
        "squared_error": pytest.approx(30 * error),
        "target": pytest.approx(float(targets.sum())),
        "target_squared": pytest.approx(float((targets**2).sum())),
    }


def test_rows_are_views_of_the_same_memory_where_they_can_be() -> None:
    codes = {"sex": np.arange(5)}
    data = Data(features=np.zeros((5, 2)), targets=np.arange(5), groups=codes)
    view = data.rows(slice(1, 3))
    assert np.shares_memory(view.features, data.features)
    chosen = data.rows(np.array([4, 0]))
    assert chosen.targets.tolist() == chosen.groups["sex"].tolist() == [4, 0]
    assert len(data.rows(data.targets > 2)) == 2


@pytest.mark.parametrize("lengths", [(3, 2, 3), (3, 3, 2), (0, 1, 1)])
def test_arrays_of_different_lengths_are_refused(lengths: tuple[int, int, int]) -> None:
    features, targets, codes = (np.zeros(length) for length in lengths)
    with pytest.raises(ValueError, match="Expected arrays of one length, got lengths"):
        Data(features=features, targets=targets, groups={"sex": codes.astype(np.int64)})


def test_a_guess_is_the_likeliest_class() -> None:
    task = Classification(build=LINEAR)
    assert task.guesses(torch.tensor([[0.1, 0.3, 0.2], [5.0, 1.0, 2.0]])).tolist() == [1, 0]
    assert task.guesses(torch.tensor([[0.1], [-0.1], [0.0]])).tolist() == [1, 0, 0]
    assert task.guesses(drawn(6, 5, 7)).shape == (6, 7)
