"""A report says what its run folder says: all of it, nothing else, the same every time."""

from __future__ import annotations

import json
import os
import re
import shutil
import xml.etree.ElementTree as ET
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import pytest
from tacit.reports.write import write_report
from tacit.server.progress import Committed
from tacit.server.store import Store
from tacit.simulations.conduct import Result
from tacit.simulations.config import make_config
from tacit.simulations.description import describe
from tacit.simulations.run import simulate
from tacit.simulations.run_folder import RunFolder
from tacit.simulations.setup import prepare
from tacit.wire.errors import StoreError

CONFIG = {
    "rounds": 3,
    "baselines": ["pooled", "alone"],
    "data": {"name": "breast_cancer"},
    "partition": {"kind": "dirichlet", "clients": 25, "alpha": 1.0, "min_rows": 5},
    "run": {"workers": 0},
}


@pytest.fixture(scope="module")
def done(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Result]:
    """A finished run, and what `simulate` said of it."""
    folder = tmp_path_factory.mktemp("runs") / "finished"
    config = make_config(CONFIG)
    result = simulate(config, folder=folder)
    return folder, result


@pytest.fixture
def folder(done: tuple[Path, Result], tmp_path: Path) -> Path:
    """A copy to do things to."""
    shutil.copytree(done[0], tmp_path / "run")
    return tmp_path / "run"


def test_the_numbers_are_those_of_the_run(done: tuple[Path, Result], folder: Path) -> None:
    result = done[1]
    summary = write_report(RunFolder(folder)).summary
    assert summary.finished
    assert summary.digest == result.digest
    assert summary.federated.rows == result.metrics["accuracy"]
    assert summary.clients == result.clients
    assert result.baselines is not None
    mean = result.baselines.mean_alone()
    assert summary.each_alone is not None
    assert mean is not None
    assert mean[1] == pytest.approx(summary.each_alone.mean or -1.0)
    assert len(summary.alone) == len(summary.clients) == 25
    assert [point.round for point in summary.points] == [1, 2, 3]


def test_the_page_holds_every_section_and_the_file_every_client(folder: Path) -> None:
    written = write_report(RunFolder(folder))
    page = (folder / "report.md").read_text()
    sections = re.findall(r"^## (.*)$", page, re.MULTILINE)
    assert sections == [
        "In brief",
        "What was trained, and on whom",
        "Results",
        "Clients",
        "Groups",
        "Privacy",
        "What is not protected",
        "Participation and refusals",
        "Model card",
        "What this report cannot say",
        "Duties to document",
        "Privacy in detail",
        "Environment",
        "How to repeat it",
    ]
    assert "No privacy guarantee" in page
    assert "![Learning curve: accuracy by round](learning_curve.svg)" in page
    assert str(written.summary.digest) in page
    assert len(re.findall(r"^\| client-\d+ ", page, re.MULTILINE)) == 25
    table = json.loads((folder / "report.json").read_text())
    assert len(table["summary"]["clients"]) == len(table["population"]["clients"]) == 25
    assert table["privacy"]["guarantee"] is None
    assert "train rows" in page


def test_the_same_run_gives_the_same_bytes(folder: Path, tmp_path: Path) -> None:
    one, two = (write_report(RunFolder(folder), tmp_path / name) for name in ("one", "two"))
    for first, second in zip(one.files, two.files, strict=True):
        assert first.read_bytes() == second.read_bytes(), first.name


def test_every_figure_is_well_formed_undated_and_said_in_words(folder: Path) -> None:
    written = write_report(RunFolder(folder))
    figures = [path for path in written.files if path.suffix == ".svg"]
    assert {path.stem for path in figures} == {"learning_curve", "clients", "participation"}
    for path in figures:
        root = ET.parse(path).getroot()
        named = {element.tag.rpartition("}")[2]: element.text for element in root}
        assert root.get("role") == "img"
        assert named["title"]
        assert len(str(named["desc"])) > 20
        assert not re.search(r"20\d\d-", path.read_text())


def test_a_run_that_is_being_written_can_be_reported(folder: Path) -> None:
    (folder / "model.safetensors").unlink()
    (folder / "baselines.json").unlink()
    with (folder / "events.jsonl").open("a") as file:
        file.write('{"time": 1.0, "event": "refu')
    with closing(Store(folder)) as store:
        store.begin(4)
        written = write_report(RunFolder(folder))
        state = store.latest()
        assert state is not None
        assert state.round == 3
    assert not written.summary.finished
    assert written.summary.pooled_training is None
    assert "> **Unfinished:** 3 of 3 rounds" in (folder / "report.md").read_text()


def test_a_run_whose_rows_are_elsewhere_is_not_reported_as_empty(folder: Path) -> None:
    (folder / "run.key").write_text("{}")
    with pytest.raises(StoreError, match="rows in PostgreSQL"):
        write_report(RunFolder(folder))


def test_a_run_on_a_read_only_disk_can_be_reported(
    folder: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    before = sorted(path.name for path in folder.iterdir())
    monkeypatch.setattr(os, "access", lambda path, mode: False)
    monkeypatch.setattr(Store, "__init__", refusing(folder, Store.__init__))
    written = write_report(RunFolder(folder), tmp_path / "page")
    assert len(written.summary.points) == 3
    assert sorted(path.name for path in folder.iterdir()) == before


def refusing(folder: Path, init: Callable[[Store, Path], None]) -> Callable[[Store, Path], None]:
    """Opens a store anywhere but in `folder`."""

    def opens(store: Store, place: Path) -> None:
        assert place != folder
        init(store, place)

    return opens


def test_a_run_that_has_just_begun_can_be_reported(tmp_path: Path) -> None:
    folder = RunFolder(tmp_path / "run")
    config = make_config(CONFIG)
    folder.create(config, describe(prepare(config).population))
    written = write_report(folder)
    assert not list(folder.path.glob("*.svg"))
    assert not written.summary.finished
    assert not (folder.path / "store.db").exists()
    page = (folder.path / "report.md").read_text()
    assert "Nothing has been measured yet." in page
    assert "> **Unfinished:** 0 of 3 rounds" in page


def test_refusals_are_counted_by_reason_and_once_each(folder: Path) -> None:
    run = RunFolder(folder)
    for _ in range(2):  # as when a round is begun again
        run.log("refused", round=3, client="client-001", reason="not finite: 'w' holds NaN")
    run.log("refused", round=3, client="client-002", reason="not finite: 'w' holds NaN")
    with closing(Store(folder)) as store:
        state = store.latest()
        assert state is not None
        record = Committed(round=3, cohort=25, admitted=23, refused=2, training={}, seconds=0.1)
        store.commit(state, record)
    summary = write_report(run).summary
    assert summary.refused == 2
    assert summary.refusals == {"not finite: 'w' holds NaN": 2}
    page = (folder / "report.md").read_text()
    assert "| not finite: 'w' holds NaN | 2 |" in page


def test_there_is_no_report_on_nothing_and_nothing_is_left_there(tmp_path: Path) -> None:
    with pytest.raises(StoreError, match="holds no run"):
        write_report(RunFolder(tmp_path / "nothing"))
    assert not (tmp_path / "nothing").exists()
