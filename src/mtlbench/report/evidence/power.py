"""What the tests can see: the smallest true difference that an experiment of n seeds is likely to establish.

Read after one experiment, to plan the next (Cohen 1988; noncentral t). A difference that is not found is no evidence of
equality: what lies below this size mostly goes unseen. docs/report.md has the simulated power at the stated difference.
"""

import numpy as np
from scipy import optimize, stats

from mtlbench.report.evidence.pairs import PairTests
from mtlbench.report.evidence.statistics import LEVEL

#: Share of repetitions in which a difference of the stated size would be established.
POWER = 0.8


def detectable(tests: PairTests, seeds: int, planned: int, among: np.ndarray | None = None) -> float:
    """The true difference (stored unit) that ``planned`` seeds establish in POWER of repetitions; NaN if unknown.

    ``seeds`` is the number that ``tests`` rest on: the variance between seeds shrinks as 1 / n and gains degrees of
    freedom as n - 1, that of the test images stays. It is the median over all tested pairs (those where ``among``
    (m, m) is true), against the first and hardest step of Holm's correction for as many.
    """
    upper = np.triu_indices(len(tests.slugs), 1)
    known = np.isfinite(tests.p_value[upper]) & (tests.error.variance[upper] > 0)
    known &= True if among is None else among[upper]
    total, freedom, images = (
        part[upper][known] for part in (tests.error.variance, tests.error.freedom, tests.image_error)
    )
    if not known.any() or seeds < 2 or planned < 2:
        return float("nan")
    between = np.maximum(total - images, 0)
    # Satterthwaite's sum solved for the seeds' part; the images' part has as many degrees as there are scenes: many.
    own = np.where(between > 0, freedom * (between / total) ** 2, 1.0)
    now = between * seeds / planned
    variance = now + images
    with np.errstate(all="ignore"):
        degrees = variance**2 / (now**2 / (own * (planned - 1) / (seeds - 1)))
    degrees = np.where(np.isfinite(degrees), np.minimum(degrees, 1e6), 1e6)
    level = (1 - LEVEL) / int(known.sum())
    return float(np.median([_effect(f, level) * np.sqrt(v) for f, v in zip(degrees, variance, strict=True)]))


def _effect(freedom: float, level: float) -> float:
    """The true difference in standard errors that a two-sided t test at ``level`` finds with probability POWER."""
    critical = stats.t.isf(level / 2, freedom)
    ceiling = 3 * critical + 10
    return float(optimize.brentq(lambda effect: stats.nct.sf(critical, freedom, effect) - POWER, 0, ceiling))
