#!/usr/bin/env python3
"""gen-sample.py > tests/unit/sample_golden.h

Quantiles of Student's distribution by scipy; ratios and their standard errors, in numpy and from the formula's other form:
the variance of a ratio's residuals as s_yy + r^2 s_xx - 2 r s_xy (Cochran, Sampling Techniques, 6.13).
"""
import numpy as np
from scipy import stats

rng = np.random.default_rng(6)
print(f"/* Made by tests/gen-sample.py with scipy {__import__('scipy').__version__}. */\n")
print("static const struct {\n\tuint64_t degrees;\n\tdouble t;\n} quantiles[] = {")
for degrees in (1, 2, 3, 4, 7, 8, 15, 24, 31, 63, 100, 999, 1000, 9999, 10000, 10001, 123456, 10**9):
    print(f"\t{{{degrees}u, {float(stats.t.ppf(0.975, degrees))!r}}},")
print("};\n")

cases = []
for i, (n, total) in enumerate([(2, 3), (8, 25), (20, 20), (31, 1170)]):
    x = np.round(rng.integers(1, 256, size=n)).astype(float)
    y = np.round(0.3 * x + 4 * rng.normal(size=n), 4)
    value = y.sum() / x.sum()
    error = 0.0
    if n < total:
        s = np.cov(y, x)
        error = np.sqrt((1 - n / total) / n * (s[0, 0] + value**2 * s[1, 1] - 2 * value * s[0, 1])) / x.mean()
    for name, v in (("y", y), ("x", x)):
        print(f"static const double {name}_{i}[] = {{{', '.join(repr(float(a)) for a in v)}}};")
    cases.append((i, n, total, float(value), float(error)))
print("\nstatic const struct {\n\tuint64_t n, all;\n\tconst double *y, *x;\n\tdouble value, error;\n} ratios[] = {")
for i, n, total, value, error in cases:
    print(f"\t{{{n}, {total}, y_{i}, x_{i}, {value!r}, {error!r}}},")
print("};")
