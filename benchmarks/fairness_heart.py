"""Heart disease by sex in four hospitals: the gap over all patients is not that of any hospital.

    TACIT_DATA=... python benchmarks/fairness_heart.py

FedAvg by FLamby's recipe (see flamby_heart.py), seed 42. Prints a Markdown table of the share of
the sick who are found (the true positive rate), of women and of men: over all 254 test patients
with 95 % intervals from the counts alone, and in every hospital. Exits with 1 if the gap, its
interval or a hospital's gap is not what an independent program found on the same rows.
"""

from __future__ import annotations

import math
import sys
from pathlib import Path

import numpy as np
from tacit.fairness import Assessment, assess
from tacit.server import Evaluated
from tacit.simulations import read_config
from tacit.simulations.run import simulate
from tacit.simulations.setup import prepare

CONFIG = Path(__file__).parents[1] / "examples" / "heart_disease.toml"
FOUND = {"gap": 0.225, "low": -0.05, "high": 0.50}
WITHIN = {"gap": 0.001, "low": 0.02, "high": 0.02}
"""Of seeds of the bootstrap, fewer than one in a million moves an end of the interval by 0.02."""
HOSPITALS = {"cleveland": 0.13, "hungarian": 0.40, "switzerland": None, "va": 0.64}


def assessed() -> tuple[Assessment, Evaluated]:
    """What the last model of a run is like, and the counts that say so."""
    config = read_config(CONFIG, ['evaluate.groups=["sex"]', "run.workers=0"])
    setup = prepare(config)
    last = [evaluated for _, evaluated in simulate(config).history if evaluated][-1]
    rng = np.random.default_rng(42)
    return assess(setup.measure.schema, last.tables, last.total, rng=rng), last


def share(found: float, sick: float) -> str:
    return f"{found:.0f} of {sick:.0f}"


def main() -> int:
    found, last = assessed()
    (sex,) = found.attributes
    gap = next(g for g in sex.gaps if (g.criterion, g.kind) == ("equal_opportunity", "signed"))
    local = next(g for g in sex.local if g.criterion == "equal_opportunity")
    interval = gap.estimate.sampling
    assert gap.estimate.value is not None
    assert interval is not None
    print("| | women: found | men: found | gap |")
    print("|---|---|---|---|")
    tables = {"all": last.total, **last.tables}
    for name, own in tables.items():
        (_, sick_women), (_, sick_men) = own["sex/confusion"]
        gaps = local.clients.get(name)
        shown = f"{gaps:.2f}" if gaps is not None else "undefined"
        if name == "all":
            shown = f"{gap.estimate.value:.3f} [{interval.low:.2f}, {interval.high:.2f}]"
        women, men = (share(sick[1], sick.sum()) for sick in (sick_women, sick_men))
        print(f"| {name} | {women} | {men} | {shown} |")
    numbers = {"gap": gap.estimate.value, "low": interval.low, "high": interval.high}
    right = all(abs(numbers[name] - FOUND[name]) <= WITHIN[name] for name in FOUND)
    for name, wanted in HOSPITALS.items():
        right &= math.isclose(local.clients.get(name, -1.0), wanted or -1.0, abs_tol=0.005)
    return int(not right)


if __name__ == "__main__":
    sys.exit(main())
