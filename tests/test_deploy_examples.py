"""What examples/deploy tells a machine to do can be done: units, the study, the image."""

from __future__ import annotations

import configparser
import re
import shlex
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from tacit.deployment.study import prepare_study
from tacit.simulations.config import read_config

FOLDER = Path(__file__).parents[1] / "examples" / "deploy"
UNITS = ["tacit-coordinator.service", "tacit-site.service"]
ABSENT = "Command /opt/tacit/bin/tacit is not executable: No such file or directory"


def unit(name: str) -> configparser.ConfigParser:
    parser = configparser.ConfigParser(interpolation=None, strict=False)
    parser.optionxform = str  # type: ignore[assignment, method-assign]
    parser.read_string((FOLDER / name).read_text())
    return parser


def test_a_coordinator_without_rows_can_serve_the_study() -> None:
    study = prepare_study(read_config(FOLDER / "study.toml"))
    assert study.clients == ["bergen", "oslo", "turku"]
    assert study.measured == study.clients


@pytest.mark.skipif(shutil.which("systemd-analyze") is None, reason="there is no systemd")
@pytest.mark.parametrize("name", UNITS)
def test_systemd_finds_nothing_wrong_with_the_units(name: str) -> None:
    command = ["systemd-analyze", "verify", str(FOLDER / name)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    assert [line for line in done.stderr.splitlines() if ABSENT not in line] == []


@pytest.mark.parametrize("name", UNITS)
def test_a_unit_starts_a_command_that_exists_and_lets_be_what_cannot_get_better(name: str) -> None:
    service = unit(name)["Service"]
    _, command, *words = shlex.split(service["ExecStart"])
    help_ = subprocess.run(
        [sys.executable, "-m", "tacit", command, "--help"],
        capture_output=True,
        text=True,
        check=True,
    ).stdout
    options = [word for word in words if word.startswith("--")]
    assert [option for option in options if not re.search(rf"{option}\b", help_)] == []
    assert {"2", "3", "130"} <= set(service["RestartPreventExitStatus"].split())
    assert service["SuccessExitStatus"] == "130"
    assert (service["User"], service["NoNewPrivileges"]) == ("tacit", "yes")


def test_the_image_runs_as_nobody_special_in_the_versions_that_were_tested() -> None:
    lines = (FOLDER / "Dockerfile").read_text().splitlines()
    assert "USER tacit" in lines
    assert sum("--constraint /source/constraints.txt" in line for line in lines) == 2
