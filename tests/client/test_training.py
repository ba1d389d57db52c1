"""How to train: what is refused, what the schedules give, and that it travels."""

from __future__ import annotations

import json
import math
from typing import Any

import pytest
from contracts.bits import check_value
from tacit.client import Training
from tacit.wire import Settings

NAN, INF = math.nan, math.inf
REFUSED: list[tuple[dict[str, Any], str]] = [
    *(({"learning_rate": value}, "Expected learning_rate > 0") for value in (0.0, -1.0, NAN, INF)),
    *(
        ({name: value}, f"Expected {name} >= 1")
        for name in ("batch_size", "epochs", "steps", "decay_every")
        for value in (0, -1, NAN, 2.5, INF)
    ),
    *(
        ({name: value}, f"Expected {name} >= 0")
        for name in ("weight_decay", "l1", "l2")
        for value in (-1e-9, NAN, INF)
    ),
    *(
        ({name: value}, f"Expected 0 <= {name} < 1")
        for name in ("momentum", "label_smoothing")
        for value in (-0.1, 1.0, NAN, INF)
    ),
    *(({"decay": value}, "Expected 0 < decay <= 1") for value in (0.0, 1.1, NAN)),
    *(({"clip": value}, "Expected clip > 0") for value in (0.0, -1.0, NAN)),
    ({"epochs": 1, "steps": 1}, "Expected epochs or steps, got both"),
    *(
        ({"optimizer": name, "momentum": 0.5}, f"Expected momentum = 0 with {name}")
        for name in ("adam", "adamw", "adagrad")
    ),
    ({"optimizer": "lion"}, "Expected optimizer in .*got 'lion'"),
    ({"optimizer": None}, "Expected optimizer in"),
    ({"schedule": "warmup"}, "Expected schedule in .*got 'warmup'"),
    ({"learning_rate": "fast"}, "do not describe a training"),
    ({"learning_rate": None}, "do not describe a training"),
    ({"lr": 0.1}, "do not describe a training.*lr"),
]


@pytest.mark.parametrize(("settings", "message"), REFUSED, ids=str)
def test_what_cannot_be_trained_by_is_refused(settings: Settings, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        Training.read(settings)


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"optimizer": "rmsprop", "momentum": 0.9},
        {"decay": 1.0, "schedule": "step"},
        {"clip": 1e-9, "l1": 0.0, "batch_size": 1, "steps": 1},
        {"label_smoothing": 0.999, "momentum": 0.0, "epochs": 10**6},
    ],
    ids=str,
)
def test_a_training_survives_the_way_to_a_client_as_json(settings: Settings) -> None:
    training = Training.read(settings)
    check_value(training)
    assert Training.read(json.loads(json.dumps(training.settings()))) == training


RATES: list[tuple[Settings, int, list[float]]] = [
    ({}, 4, [1.0, 1.0, 1.0, 1.0]),
    ({"schedule": "linear"}, 4, [1.0, 0.75, 0.5, 0.25]),
    ({"schedule": "cosine"}, 4, [1.0, (1 + 0.5**0.5) / 2, 0.5, (1 - 0.5**0.5) / 2]),
    ({"schedule": "step", "decay_every": 2}, 6, [1.0, 1.0, 0.5, 0.5, 0.25, 0.25]),
    ({"schedule": "step", "decay_every": 1, "decay": 0.1}, 3, [1.0, 0.1, 0.01]),
    ({"schedule": "linear"}, 1, [1.0]),
    ({"schedule": "cosine"}, 1, [1.0]),
]


@pytest.mark.parametrize(("settings", "rounds", "wanted"), RATES, ids=str)
def test_a_schedule_gives_its_rates(settings: Settings, rounds: int, wanted: list[float]) -> None:
    training = Training.read({"learning_rate": 0.2, **settings})
    found = [training.rate(round=t, rounds=rounds) for t in range(1, rounds + 1)]
    assert found == pytest.approx([0.2 * rate for rate in wanted])
    assert all(rate > 0 for rate in found)


@pytest.mark.parametrize(
    ("settings", "rows", "steps"),
    [
        ({}, 100, 4),
        ({"batch_size": 100}, 100, 1),
        ({"batch_size": 99}, 100, 2),
        ({"batch_size": 1000}, 1, 1),
        ({"batch_size": 1, "epochs": 3}, 7, 21),
        ({"steps": 5}, 1, 5),
        ({"steps": 5, "batch_size": 1}, 10**6, 5),
    ],
    ids=str,
)
def test_steps_or_epochs_say_how_long(settings: Settings, rows: int, steps: int) -> None:
    assert Training.read(settings).steps_of(rows=rows) == steps
