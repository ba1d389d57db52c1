"""One seed, one model, by `tacit run` as a user starts it: workers, crashes and torchrun.

    python benchmarks/determinism.py [CONFIG] [KILLS]

Runs CONFIG (examples/digits.toml without its baselines, unless told otherwise) with 1, 2 and 4
workers, once under torchrun, and once more with KILLS (20) SIGKILLs of the coordinator at random
moments, each followed by --resume. Prints the digest of the parameters of each, and exits with 1
unless all are equal.
"""

from __future__ import annotations

import json
import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

EXAMPLE = Path(__file__).parents[1] / "examples" / "digits.toml"
LONGEST = 2.0  # seconds between the first round of a start, which takes one of them, and the kill
TACIT = [sys.executable, "-m", "tacit"]


def digest(folder: Path) -> str:
    """The parameters that the finished run in `folder` ended with."""
    events = [json.loads(line) for line in (folder / "events.jsonl").read_text().splitlines()]
    return next(str(e["parameters"]) for e in reversed(events) if e["event"] == "finished")


def run(config: Path, folder: Path, workers: int) -> None:
    """Runs to the end."""
    command = [*TACIT, "run", str(config), "--set", "baselines=[]", "--out", str(folder)]
    subprocess.run([*command, "--workers", str(workers), "--quiet"], check=True, stdout=sys.stderr)


def torchrun(config: Path, folder: Path) -> None:
    """Runs to the end, started by torchrun: one coordinator and two workers."""
    command = [
        sys.executable,
        "-m",
        "torch.distributed.run",
        "--nproc-per-node",
        "3",
        "--no-python",
    ]
    command += [*TACIT, "run", str(config), "--set", "baselines=[]", "--out", str(folder)]
    subprocess.run([*command, "--quiet"], check=True, stdout=sys.stderr)


def crash(config: Path, folder: Path, kills: int) -> tuple[int, list[int]]:
    """Kills the coordinator `kills` times on its way; how often, and after which rounds."""
    rng, killed, rounds = random.Random(0), 0, []
    while killed < kills:
        command = [*TACIT, "run", "--workers", "2", "--quiet"]
        if (folder / "config.toml").exists():
            command += ["--resume", str(folder)]
        else:
            command += [str(config), "--set", "baselines=[]", "--out", str(folder)]
        process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
        # A start takes seconds in which no round is run: wait for the first round of this start.
        before = count(folder, "round_began")
        while count(folder, "round_began") == before and process.poll() is None:
            time.sleep(0.01)
        time.sleep(rng.uniform(0, LONGEST))
        if process.poll() is not None:
            break
        process.kill()
        process.wait()
        killed += 1
        rounds.append(count(folder, "round_committed"))
    return killed, rounds


def count(folder: Path, event: str) -> int:
    """How often `event` was logged."""
    path = folder / "events.jsonl"
    return path.read_text().count(f'"{event}"') if path.exists() else 0


def main() -> None:
    config = Path(sys.argv[1]) if len(sys.argv) > 1 else EXAMPLE
    kills = int(sys.argv[2]) if len(sys.argv) > 2 else 20
    found: set[str] = set()
    print("| how | parameters |\n|---|---|")
    with tempfile.TemporaryDirectory() as scratch:
        for workers in (1, 2, 4):
            folder = Path(scratch) / f"workers-{workers}"
            run(config, folder, workers)
            found.add(digest(folder))
            print(f"| {workers} workers | {digest(folder)} |", flush=True)
        torchrun(config, Path(scratch) / "torchrun")
        found.add(digest(Path(scratch) / "torchrun"))
        print(f"| torchrun, 2 workers | {digest(Path(scratch) / 'torchrun')} |", flush=True)
        folder = Path(scratch) / "crashed"
        killed, rounds = crash(config, folder, kills)
        subprocess.run(
            [*TACIT, "run", "--resume", str(folder), "--quiet"], check=True, stdout=sys.stderr
        )
        found.add(digest(folder))
        print(f"| 2 workers, kill -9 {killed} times, at rounds {rounds} | {digest(folder)} |")
    sys.exit(0 if len(found) == 1 and killed == kills else 1)


if __name__ == "__main__":
    main()
