"""How fast cryptographic noise is, beside torch.randn, on one thread.

    python benchmarks/noise.py

Exits with 1 if it has less than half the speed of torch.randn in the same precision.
"""

from __future__ import annotations

import os
import sys
import time
from collections.abc import Callable

import torch
from tacit.privacy import Noise

SIZE, REPEATS = 1_000_000, 15


def fastest(draw: Callable[[], object]) -> float:
    """Milliseconds for a million values: the least of several, side by side on a shared machine."""
    draw()
    times = []
    for _ in range(REPEATS):
        began = time.perf_counter()
        draw()
        times.append(time.perf_counter() - began)
    return 1000 * min(times)


def main() -> int:
    torch.set_num_threads(1)
    noise = Noise(os.urandom(32))
    pairs = {
        "float32": (lambda: noise.gaussian32(SIZE), lambda: torch.randn(SIZE)),
        "float64": (
            lambda: noise.gaussian((SIZE,)),
            lambda: torch.randn(SIZE, dtype=torch.float64),
        ),
    }
    slow = False
    print("| a million normal values | tacit, AES-256-CTR | torch.randn | speed against torch |")
    print("|---|---|---|---|")
    for name, (ours, theirs) in pairs.items():
        mine, other = fastest(ours), fastest(theirs)
        slow |= other / mine < 0.5
        print(f"| {name} | {mine:.1f} ms | {other:.1f} ms | {other / mine:.2f} |")
    exact = fastest(lambda: noise.discrete_gaussian(SIZE // 10, 1 << 16)) * 10
    print(f"| discrete Gaussian, exact, σ = 2^16 | {exact:.0f} ms | – | – |")
    return int(slow)


if __name__ == "__main__":
    sys.exit(main())
