# pyright: basic
"""What scipy computes for :mod:`.statistics`, with types, which scipy has none of.

scipy is imported where it is used: it takes a while to load, and training doesn't wait for it.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np


def beta_quantile(share: float, a: float, b: float) -> float:
    """Where the beta distribution with the shapes ``a`` and ``b`` has ``share`` of its mass below."""
    from scipy.special import betaincinv

    return float(betaincinv(a, b, share))


def student_quantile(share: float, degrees_of_freedom: int) -> float:
    """Where Student's t distribution has ``share`` of its mass below."""
    from scipy.special import stdtrit

    return float(stdtrit(degrees_of_freedom, share))


def binomial_p(successes: int, trials: int) -> float:
    """The exact two-sided p-value of a fair coin's ``successes`` in ``trials``, of which there is at least one."""
    from scipy.stats import binomtest

    return float(binomtest(successes, trials).pvalue)


def kendall_z(values: Sequence[float]) -> float:
    """The Mann-Kendall test's statistic, standard normal without a trend; negative where ``values`` fall."""
    from scipy.special import ndtri
    from scipy.stats import kendalltau

    falling, rising = (
        float(np.asarray(kendalltau(range(len(values)), values, method="asymptotic", alternative=side))[1])
        for side in ("less", "greater")
    )
    # The smaller tail, since the larger one can't be told from 1.
    return float(ndtri(falling)) if falling < rising else -float(ndtri(rising))


def normal_share(z: float) -> float:
    """The share of the standard normal distribution below ``z``."""
    from scipy.special import ndtr

    return float(ndtr(z))


def sen_slope(values: Sequence[float]) -> float:
    """The median slope of all pairs of ``values`` (Sen 1968)."""
    from scipy.stats import theilslopes

    return float(np.asarray(theilslopes(values))[0])
