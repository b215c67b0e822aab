#!/usr/bin/env python3
"""Golden statistics: what NumPy and SciPy say of a few sample sets (golden.json).

    make_golden.py            writes golden.json beside this file
    make_golden.py --check    recomputes everything from the committed samples and compares

A bootstrap is random, so its golden is a range per endpoint: the quantiles of SciPy's own bootstrap
distribution (pooled, 100,000 resamples) four standard errors either side of the endpoint's
probability. An implementation with RESAMPLES resamples that draws from the same distribution falls
inside; one with another distribution doesn't.
Exit status of --check: 0 same, 1 drifted, 77 no SciPy here.
"""
import json
import math
import pathlib
import sys

try:
    import numpy as np
    import scipy
    from scipy import stats
except ImportError as missing:
    print(f"skipped: {missing}")
    sys.exit(77)

HERE = pathlib.Path(__file__).resolve().parent
RESAMPLES = 2000
POOL, BATCH = 100_000, 2000
CONFIDENCE = 0.95
PROBABILITIES = [0.0, 0.025, 0.1, 0.25, 0.5, 0.75, 0.9, 0.975, 1.0]


def sample_sets():
    rng = np.random.default_rng(20261124)
    spiky = rng.lognormal(3.0, 0.05, 64)
    spiky[[5, 17, 40]] *= [2.0, 3.0, 8.0]
    return {
        "one": [42.5],
        "two": [3.0, 1.0],
        "three": [5.0, 1.0, 3.0],
        "five": [2.0, 9.0, 4.0, 7.0, 1.0],
        "six": [2.0, 9.0, 4.0, 7.0, 1.0, 3.0],
        "constant": [7.25] * 9,
        "ties": [float(v) for v in rng.integers(10, 14, 40)],
        "normal-odd": rng.normal(100.0, 5.0, 31).tolist(),
        "lognormal-even": rng.lognormal(0.0, 1.0, 50).tolist(),
        "spikes": spiky.tolist(),
        "negative": rng.normal(-3.0, 2.0, 21).tolist(),
    }


def order_rank(n, confidence):
    """Largest j with P(Bin(n, 1/2) <= j) <= tail: the CI is [x_(j), x_(n-1-j)], counted from 0."""
    tail = 0.5 * (1.0 - confidence)
    j = int(stats.binom.ppf(tail, n, 0.5)) + 1
    while j >= 0 and stats.binom.cdf(j, n, 0.5) > tail:
        j -= 1
    return j


def bootstrap_distribution(samples, statistic, seed):
    rng = np.random.default_rng(seed)
    kind = {"vectorized": True, "method": "percentile", "n_resamples": POOL, "batch": BATCH}
    with np.errstate(all="ignore"):
        try:
            result = stats.bootstrap(samples, statistic, rng=rng, **kind)
        except TypeError:  # SciPy < 1.15
            result = stats.bootstrap(samples, statistic, random_state=rng, **kind)
    return result.bootstrap_distribution


def endpoint_ranges(distribution):
    tail = 0.5 * (1.0 - CONFIDENCE)
    error = 4.0 * math.sqrt(tail * (1.0 - tail) / RESAMPLES)
    ranges = {}
    for name, p in (("lo", tail), ("hi", 1.0 - tail)):
        at = np.clip([p - error, p + error], 0.0, 1.0)
        ranges[name] = np.quantile(distribution, at).tolist()
    return ranges


def describe(samples):
    x = np.asarray(samples)
    median = float(np.median(x))
    mad = float(stats.median_abs_deviation(x, scale=1.0))
    golden = {
        "samples": samples,
        "quantiles": [float(np.quantile(x, p)) for p in PROBABILITIES],
        "median": median,
        "mad": mad,
        "outliers": int(np.sum(np.abs(x - median) > 3.5 * 1.4826 * mad)),
    }
    ordered, rank = np.sort(x), order_rank(len(x), CONFIDENCE)
    if rank >= 0:
        ends = [float(ordered[rank]), float(ordered[len(x) - 1 - rank])]
        named = stats.quantile_test(x, q=median, p=0.5).confidence_interval(CONFIDENCE)
        assert ends == [named.low, named.high], (ends, named)
        golden["order_ci"] = ends
    if len(x) > 1:
        dist = bootstrap_distribution((x,), np.median, 1)
        golden["bootstrap"] = endpoint_ranges(dist)
    return golden


def median_ratio(a, b, axis=-1):
    return np.median(a, axis=axis) / np.median(b, axis=axis)


def describe_ratio(sets, a, b):
    sides = (np.asarray(sets[a]), np.asarray(sets[b]))
    dist = bootstrap_distribution(sides, median_ratio, 2)
    return {"a": a, "b": b, "bootstrap": endpoint_ranges(dist)}


def student():
    """Two-sided probabilities and their inverse, from one degree of freedom to many."""
    return [{"t": t, "df": df, "p": float(2 * stats.t.sf(t, df)), "quantile": float(stats.t.isf(p / 2, df)), "of": p}
            for df in (1.0, 2.0, 3.7, 8.0, 30.0, 1000.0)
            for t, p in ((0.0, 0.9), (0.1, 0.5), (1.0, 0.05), (3.5, 0.005), (12.0, 1e-6))]


def rank_test(a, b):
    exact = len(set(a + b)) == len(a + b) and max(len(a), len(b)) <= 20
    method = "exact" if exact else "asymptotic"
    return {"a": a, "b": b, "p": float(stats.mannwhitneyu(a, b, alternative="two-sided", method=method).pvalue)}


def rank_tests(sets):
    five = [1.0, 2.0, 3.0, 4.0, 5.0]
    pairs = [([1.0], [2.0]), (five, [x + 10 for x in five]), (five, [x + 0.5 for x in five]),
             ([3.0, 1.0, 7.5], [2.0, 8.0, 9.0, 4.0]), (sets["five"], sets["ties"]),
             (sets["ties"], [x + 1 for x in sets["ties"]]), (sets["normal-odd"], sets["spikes"]),
             (sets["constant"], sets["constant"][:4]), (sets["negative"][:20], sets["normal-odd"][:20])]
    return [rank_test(a, b) for a, b in pairs]


def discoveries():
    lists = [[0.01], [0.01, 0.02, 0.03, 0.04], [0.9, 0.0005, 0.2, 0.0004, 0.04, 1.0], [0.5, 0.5, 0.5]]
    return [{"p": p, "corrected": stats.false_discovery_control(p).tolist()} for p in lists]


def make(sets):
    ratios = [("spikes", "normal-odd"), ("normal-odd", "lognormal-even"), ("ties", "spikes")]
    sizes = [1, 2, 5, 6, 7, 8, 9, 10, 11, 20, 31, 50, 99, 100, 1000, 1001, 12345, 100000]
    return {
        "made_by": "tests/golden-stats/make_golden.py",
        "numpy": np.__version__,
        "scipy": scipy.__version__,
        "resamples": RESAMPLES,
        "confidence": CONFIDENCE,
        "probabilities": PROBABILITIES,
        "sets": {name: describe(samples) for name, samples in sets.items()},
        "ratios": [describe_ratio(sets, a, b) for a, b in ratios],
        "student": student(),
        "rank_tests": rank_tests(sets),
        "discoveries": discoveries(),
        "order_ranks": [
            {"n": n, "confidence": c, "rank": order_rank(n, c)}
            for n in sizes
            for c in (0.5, 0.9, 0.95, 0.99)
        ],
    }


def differences(path, old, new):
    """Where two goldens differ; bootstrap ranges must overlap, all else agree to 1e-12."""
    if path.endswith((".lo", ".hi")):
        if old[0] > new[1] or new[0] > old[1]:
            yield f"{path}: {old} and {new} don't overlap"
    elif isinstance(old, dict) and isinstance(new, dict):
        for key in old.keys() | new.keys():
            if key in ("numpy", "scipy"):
                continue
            if key not in old or key not in new:
                yield f"{path}.{key}: on one side only"
            else:
                yield from differences(f"{path}.{key}", old[key], new[key])
    elif isinstance(old, list) and isinstance(new, list):
        if len(old) != len(new):
            yield f"{path}: {len(old)} and {len(new)} items"
        for i, (a, b) in enumerate(zip(old, new)):
            yield from differences(f"{path}[{i}]", a, b)
    elif isinstance(old, float):
        if not math.isclose(old, new, rel_tol=1e-12, abs_tol=1e-12):
            yield f"{path}: {old} and {new}"
    elif old != new:
        yield f"{path}: {old!r} and {new!r}"


def main():
    golden = HERE / "golden.json"
    if sys.argv[1:] == ["--check"]:
        committed = json.loads(golden.read_text())
        sets = {name: entry["samples"] for name, entry in committed["sets"].items()}
        found = list(differences("golden", committed, make(sets)))
        print("\n".join(found) or f"no drift under numpy {np.__version__}, scipy {scipy.__version__}")
        return 1 if found else 0
    golden.write_text(json.dumps(make(sample_sets()), indent=1) + "\n")
    return 0


if __name__ == "__main__":
    sys.exit(main())
