#!/usr/bin/env python3
"""gen-stats.py > tests/unit/stats_golden.h

Small samples, with and without ties, and what scipy says of them: ranks, Spearman, Kendall's tau-b, partial rank
correlations, quantiles, medians of Kaplan-Meier estimates, a bootstrap interval.
"""
import numpy as np
from scipy import stats

rng = np.random.default_rng(5)


def array(name, v):
    return f"static const double {name}[] = {{{', '.join(repr(float(x)) for x in v)}}};"


def partial(x, y, z):
    """Correlation of the residuals of ranks on ranks."""
    design = np.column_stack([np.ones(len(x))] + [stats.rankdata(c) for c in z])
    left = []
    for v in (x, y):
        r = stats.rankdata(v)
        left.append(r - design @ np.linalg.lstsq(design, r, rcond=None)[0])
    return stats.pearsonr(*left).statistic


print(f"/* Made by tests/gen-stats.py with scipy {__import__('scipy').__version__}. */\n")
cases = []
for i, (n, ties) in enumerate([(5, False), (24, False), (24, True), (12, True), (159, False), (159, True)]):
    x = rng.normal(size=n)
    z1 = 0.6 * x + rng.normal(size=n)
    z2 = rng.normal(size=n)
    y = 0.5 * x - 0.7 * z1 + 0.3 * z2 + rng.normal(size=n)
    if ties:
        x, y, z1, z2 = (np.round(2 * v) / 2 for v in (x, y, z1, z2))
    else:
        x, y, z1, z2 = (np.round(v, 6) for v in (x, y, z1, z2))
    for name, v in (("x", x), ("y", y), ("z", z1), ("w", z2), ("rank", stats.rankdata(x))):
        print(array(f"{name}_{i}", v))
    cases.append((i, n, stats.spearmanr(x, y).statistic, stats.kendalltau(x, y).statistic, stats.pearsonr(x, y).statistic,
                  partial(x, y, [z1]), partial(x, y, [z1, z2]), np.quantile(y, 0.025), np.quantile(y, 0.5)))
print("\nstatic const struct {\n\tint n;\n\tconst double *x, *y, *z, *w, *rank;\n\tdouble spearman, kendall, pearson, partial1, partial2, "
      "low, median;\n} cases[] = {")
for i, n, *v in cases:
    print(f"\t{{{n}, x_{i}, y_{i}, z_{i}, w_{i}, rank_{i}, {', '.join(repr(float(a)) for a in v)}}},")
print("};\n")

times = []
for i, (n, share) in enumerate([(6, 0.0), (24, 0.3), (24, 0.7), (40, 0.4)]):
    t = rng.integers(1, 9, size=n).astype(float)
    ended = rng.random(n) >= share
    curve = stats.ecdf(stats.CensoredData(uncensored=t[ended], right=t[~ended])).sf
    below = curve.quantiles[curve.probabilities <= 0.5 + 1e-12]
    print(array(f"time_{i}", t))
    print(f"static const int ended_{i}[] = {{{', '.join(str(int(e)) for e in ended)}}};")
    times.append((i, n, repr(float(below[0])) if len(below) else "INFINITY"))
print("\nstatic const struct {\n\tint n;\n\tconst double *time;\n\tconst int *ended;\n\tdouble median;\n} lives[] = {")
for i, n, m in times:
    print(f"\t{{{n}, time_{i}, ended_{i}, {m}}},")
print("};\n")

sample = np.round(rng.normal(size=24), 6)
r = stats.bootstrap((sample,), np.mean, n_resamples=200000, method="percentile", rng=np.random.default_rng(1)).confidence_interval
print(array("sample", sample))
print(f"static const double sample_mean = {float(sample.mean())!r}, sample_lo = {float(r.low)!r}, sample_hi = {float(r.high)!r};")
