"""Statistics over seeds and benchmarks, after Agarwal et al. 2021 (arXiv 2108.13264).

Every interval is a 95% bootstrap interval with bias correction and acceleration (BCa, by scipy) and
a fixed seed, so equal values give equal intervals. With few seeds it is too narrow, as is every
bootstrap of few values. It assumes no distribution. One seed has no interval.
"""

import warnings
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

RESAMPLES = 9_999

# Of arrays [..., n] along their last axis, to [...].
Statistic = Callable[[np.ndarray], np.ndarray]


def mean(values: np.ndarray) -> np.ndarray:
    """[...] means over the last axis of `values` [..., n]."""
    return np.mean(values, axis=-1)


def iqm(values: Any) -> Any:
    """Interquartile mean over the last axis: the mean of the middle half.

    Values at its edges count in part. One failed seed changes it little. With one to three values
    it is close to the mean.

    Args:
      values: [..., n], n at least 1.
    """
    sample = np.sort(np.asarray(values, np.float64), axis=-1)
    if sample.ndim == 0 or sample.shape[-1] == 0:
        raise ValueError(f"need at least 1 value, got shape {sample.shape}")
    cuts = np.arange(sample.shape[-1] + 1) / sample.shape[-1]
    share = np.clip(cuts[1:], 0.25, 0.75) - np.clip(cuts[:-1], 0.25, 0.75)
    found = sample @ (share / share.sum())
    return float(found) if found.ndim == 0 else found


def ci95(values: Sequence[float], statistic: Statistic = mean) -> tuple[float, float] | None:
    """Interval of a statistic over seeds; None for one seed.

    Args:
      values: one per seed.
      statistic: `mean` or `iqm`.
    """
    return stratified_ci95([values], statistic)


def stratified_ci95(
    strata: Sequence[Sequence[float]], statistic: Statistic = mean
) -> tuple[float, float] | None:
    """Interval of a statistic of all values together, for example of the IQM over benchmarks.

    Seeds are resampled within each stratum, so each keeps its number of seeds.

    Args:
      strata: for each benchmark the values of its seeds.
      statistic: of the values of all strata.

    Returns:
      (low, high), or None where a stratum has one value: how that varies is not known.
    """
    samples = [np.asarray(values, np.float64) for values in strata]
    if not samples or any(s.ndim != 1 or s.size == 0 for s in samples):
        raise ValueError(f"need lists of at least 1 value, got shapes {[s.shape for s in samples]}")
    if min(s.size for s in samples) < 2:
        return None

    def together(*drawn: np.ndarray, axis: int = -1) -> np.ndarray:
        return statistic(np.concatenate(drawn, axis=-1))

    return _bootstrap(samples, together)


def probability_of_improvement(
    first: Sequence[Sequence[float]], second: Sequence[Sequence[float]]
) -> tuple[float, tuple[float, float] | None]:
    """How often a run of the first method beats one of the second, on a benchmark drawn at random.

    A tie counts half.

    Args:
      first: for each benchmark the values of a method's seeds.
      second: those of another method, on the same benchmarks.

    Returns:
      The probability and its interval, None where a method has one seed on a benchmark.
    """
    if len(first) != len(second) or not first:
        raise ValueError(f"{len(first)} benchmarks against {len(second)}: need as many of both")
    samples = [
        np.asarray(values, np.float64)
        for pair in zip(first, second, strict=True)
        for values in pair
    ]

    def probability(*drawn: np.ndarray, axis: int = -1) -> np.ndarray:
        wins = [
            np.mean(0.5 * (1 + np.sign(x[..., :, None] - y[..., None, :])), axis=(-2, -1))
            for x, y in zip(drawn[::2], drawn[1::2], strict=True)
        ]
        return np.mean(wins, axis=0)

    value = float(probability(*samples))
    known = min(s.size for s in samples) > 1
    return value, _bootstrap(samples, probability) if known else None


def performance_profile(values: Sequence[float], thresholds: np.ndarray) -> np.ndarray:
    """[n] the share of runs with a value of at least each threshold [n]."""
    sample = np.asarray(values, np.float64)
    return np.mean(sample[:, None] >= np.asarray(thresholds)[None, :], axis=0)


def power_law(
    sizes: Sequence[float], samples: Sequence[Sequence[float]], resamples: int = 2_000
) -> tuple[float, float, float]:
    """Exponent x of "mean of the samples ~ size^x", and its 95% percentile-bootstrap interval.

    The fit is least squares on logarithms. The bootstrap resamples within each size. It does not
    measure how well a power law fits.
    """
    x = np.log(np.asarray(sizes, np.float64))
    x -= x.mean()
    generator = np.random.default_rng(0)
    columns = [np.asarray(values, np.float64) for values in samples]
    drawn = [c[generator.integers(c.size, size=(resamples, c.size))].mean(axis=1) for c in columns]
    slopes = x @ np.log(drawn) / (x @ x)
    exponent = x @ np.log([c.mean() for c in columns]) / (x @ x)
    low, high = np.quantile(slopes, (0.025, 0.975))
    return float(exponent), float(low), float(high)


def _bootstrap(samples: Sequence[np.ndarray], statistic: Any) -> tuple[float, float]:
    """Interval of `statistic(*samples)`, each sample resampled on its own."""
    from scipy.stats import bootstrap  # slow to import

    value = float(statistic(*samples))
    several = [k for k, sample in enumerate(samples) if sample.size > 1]

    def of_drawn(*drawn: np.ndarray, axis: int = -1) -> np.ndarray:
        # A sample of one value is the same in every draw.
        shape = drawn[0].shape[:-1]
        every = [np.broadcast_to(sample, (*shape, sample.size)) for sample in samples]
        for k, values in zip(several, drawn, strict=True):
            every[k] = values
        return statistic(*every)

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # where all resamples agree; see below
        found = bootstrap(
            [samples[k] for k in several],
            of_drawn,
            n_resamples=RESAMPLES,
            batch=1_000,
            method="BCa",
            vectorized=True,
            axis=-1,
            rng=np.random.default_rng(0),
        ).confidence_interval
    if np.isnan(found.low) or np.isnan(found.high):  # every resample gives the same value
        return value, value
    return float(found.low), float(found.high)


def explained(z: np.ndarray, group: Sequence[int]) -> float:
    """The share of the variance of z [P, Z] that lies between groups, group [P] (omega squared).

    It is about 0 for groups that say nothing of z, however many there are.
    """
    labels = np.asarray(group)
    kinds = np.unique(labels)
    total = np.square(z - z.mean(axis=0)).sum()
    within = sum(np.square(z[labels == k] - z[labels == k].mean(axis=0)).sum() for k in kinds)
    error = within / max(1, len(z) - len(kinds))  # of one degree of freedom
    between = total - within - (len(kinds) - 1) * error
    return float(max(0.0, between / max(total + error, 1e-12)))
