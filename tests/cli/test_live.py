"""What the terminal shows at each moment of a run."""

from __future__ import annotations

import io

from rich.console import Console
from tacit.cli.live import VISIBLE, Live
from tacit.cli.rounds import Rounds
from tacit.server.progress import Began, Committed, Evaluated


def seen(live: Live) -> list[str]:
    """The lines on the screen, without what fills them up."""
    console = Console(file=io.StringIO(), width=100)
    console.print(live)
    assert isinstance(console.file, io.StringIO)
    return [line.strip() for line in console.file.getvalue().splitlines() if line.strip()]


def began(number: int) -> Began:
    return Began(round=number, rounds=30, cohort=2)


def committed(number: int) -> Committed:
    training = {"examples": 4.0, "loss": 2.0}
    return Committed(round=number, cohort=2, admitted=2, refused=0, training=training, seconds=0.25)


def evaluated(number: int) -> Evaluated:
    clients = {
        "a": {"examples": 4.0, "correct": 4.0},
        "b": {"examples": 4.0, "correct": 2.0},
    }
    return Evaluated(round=number, clients=clients, pooled={}, seconds=0.5)


def live(*, every: int = 1, baselines: bool = False, done: int = 0) -> Live:
    rounds = Rounds(rounds=30, every=every, measured=True)
    return Live(rounds, done=done, baselines=baselines)


def test_before_the_first_round_it_starts() -> None:
    starting, rounds = seen(live())
    assert starting.startswith("starting")
    assert rounds.endswith("0/30")


def test_within_a_round_the_bar_says_how_many_clients_were_taken_up() -> None:
    shown = live()
    shown.observe(began(1))
    assert seen(shown)[0].split()[:2] == ["round", "1"]
    shown.watch(1, 2)
    assert seen(shown)[0].endswith("1/2")


def test_a_row_appears_when_the_round_was_measured() -> None:
    shown = live()
    shown.observe(began(1))
    shown.observe(committed(1))
    measuring, rounds = seen(shown)
    assert measuring.startswith("measuring 1")
    assert "1/30" in rounds
    assert rounds.endswith("left")
    shown.observe(evaluated(1))
    head, _, row, *_ = seen(shown)
    assert " ".join(head.split()) == "round training loss accuracy worst client refused seconds"
    assert row.split() == ["1", "0.500", "0.750", "0.500", "b", "0", "0.75"]


def test_a_round_that_is_not_measured_has_its_row_at_once() -> None:
    shown = live(every=5)
    shown.observe(began(1))
    shown.observe(committed(1))
    assert seen(shown)[2].split() == ["1", "0.500", "–", "0", "0.25"]


def test_the_last_rounds_stay_visible_and_the_bars_go() -> None:
    shown = live(baselines=True)
    for number in range(1, 31):
        for progress in (began(number), committed(number), evaluated(number)):
            shown.observe(progress)
    assert seen(shown)[-2].startswith("baselines")
    shown.working = False
    rows = [line.split()[0] for line in seen(shown)[2:]]
    assert rows[-1] == "30"
    assert len(rows) <= VISIBLE
