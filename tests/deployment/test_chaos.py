"""Whatever happens to a deployment, its runs end, with the bits of their simulations.

TACIT_CHAOS_FAULTS says how many faults there are, and TACIT_CHAOS_SEED which; .ci/run asks for many.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from contracts.faults import KINDS

FAULTS = int(os.environ.get("TACIT_CHAOS_FAULTS", "0"))
SEED = os.environ.get("TACIT_CHAOS_SEED", "1")
A_FAULT = 6.0
"""Seconds that one fault may take, with everything that goes with it."""


@pytest.mark.skipif(not FAULTS, reason="takes long: TACIT_CHAOS_FAULTS=24 has each kind once")
@pytest.mark.skipif(sys.platform != "linux", reason="the disk of a process is filled by prlimit")
def test_a_deployment_ends_with_the_bits_of_its_simulation_whatever_happens(tmp_path: Path) -> None:
    """Every kind of fault, over and over, in runs of real processes and mutual TLS."""
    tests = str(Path(__file__).parents[1])
    paths = os.pathsep.join([tests, *os.environ.get("PYTHONPATH", "").split(os.pathsep)])
    one_thread = {"OPENBLAS_NUM_THREADS": "1", "OMP_NUM_THREADS": "1"}
    done = subprocess.run(
        [sys.executable, "-m", "contracts.chaos", str(tmp_path), str(FAULTS), SEED],
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        check=False,
        env={**os.environ, **one_thread, "PYTHONPATH": paths},
        timeout=180 + A_FAULT * FAULTS,
    )
    assert done.returncode == 0, done.stdout[-20_000:]
    happened = json.loads(done.stdout.splitlines()[-1])["faults"]
    assert sum(happened.values()) >= FAULTS
    assert happened.keys() == KINDS.keys()
