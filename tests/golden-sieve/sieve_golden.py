"""The sieve's definition (kernels/sieve.h) in NumPy, and two uses of it.

    sieve_golden.py SIEVE_DUMP            compares every CPU variant with it, over rules and shapes
    sieve_golden.py SIEVE_DUMP --speed    times it against the streaming sieve; one JSON record

What may differ is what the definition leaves open across implementations: entries whose score is
within 1e-6 of the threshold, groups whose two best scales are within 1e-6 of each other or that hold
an exclusion within 1e-6 of its threshold. All else is compared bit for bit: q against NumPy's with
the scale that was chosen, values, pointers. Exit 77: no NumPy here.
"""
import argparse
import json
import os
import subprocess
import sys
import tempfile
import time

try:
    import numpy as np
except ImportError:
    print("numpy is missing: skipped")
    sys.exit(77)

TIE = 1e-6
CANDIDATES = range(16)


# ---- the definition ---------------------------------------------------------------------------

def to_float(raw, dtype):
    if dtype == "bf16":
        return (raw.astype(np.uint32) << 16).view(np.float32)
    return raw.astype(np.float32)


def top_mask(score, need):
    """The `need` largest of a flat array; ties by position."""
    mask = np.zeros(score.size, bool)
    if need == 0:
        return mask, np.inf
    threshold = np.partition(score, score.size - need)[score.size - need]
    np.greater(score, threshold, out=mask)
    ties = np.flatnonzero(score == threshold)
    mask[ties[:need - np.count_nonzero(mask)]] = True
    return mask, threshold


def quantise(w, scale, out):
    """q as floats, into out; scale broadcasts and is 0 where the group is."""
    np.divide(w, np.where(scale > 0, scale, np.float32(np.inf)), out=out)
    np.rint(out, out=out)
    np.clip(out, -8, 7, out=out)
    return out


def half_of(absmax, c):
    """absmax / 7 * (1 - c/32): the product is exact, so that only the last step rounds."""
    return (absmax.astype(np.float64) * (32 - c) / 224).astype(np.float16).astype(np.float32)


def fit_rows(w, kept, h, searches):
    """Best scales of one group of columns for a block of rows: w, kept [rows, g], h [g]."""
    absmax = np.abs(kept).max(axis=1)
    best = half_of(absmax, CANDIDATES[0])
    if not searches:
        return best
    q, least = np.empty_like(kept), None
    for candidate in CANDIDATES:
        scale = half_of(absmax, candidate)
        column = scale[:, None]
        quantise(kept, column, q)
        np.multiply(q, column, out=q)
        np.subtract(kept, q, out=q)
        np.multiply(q, q, out=q)
        error = q @ h
        if least is None:
            least = error.copy()
            continue
        better = error < least
        best[better] = scale[better]
        least[better] = error[better]
    return best


def sieve(w, rule, group, density, hessian=None, block=64):
    """Everything but the packing: scale [n, groups], q [n, k] int8, mask, score, excluded."""
    n, k = w.shape
    nnz = budget(density, n * k)
    group = k if rule == "legacy" or group == 0 else min(group, k)
    groups = -(-k // group)
    h = hessian if hessian is not None else \
        (np.einsum("nk,nk->k", w, w, dtype=np.float64) / n).astype(np.float32)
    weight = h if rule != "legacy" else np.divide(1, h, out=np.zeros_like(h), where=h > 0)
    excluded, magnitude, cut = None, None, np.inf
    if rule == "outlier":
        rms = np.sqrt(np.einsum("nk,nk->n", w, w, dtype=np.float64) / k)[:, None].astype(np.float32)
        magnitude = np.divide(np.abs(w), rms, out=np.zeros_like(w), where=rms > 0)
        excluded, cut = top_mask(magnitude.ravel(), nnz // 2)
        excluded = excluded.reshape(n, k)
    scale = np.empty((n, groups), np.float32)
    q = np.empty((n, k), np.int8)
    score = np.empty((n, k), np.float32)
    for r in range(0, n, block):
        rows = slice(r, min(r + block, n))
        for g in range(groups):
            cols = slice(g * group, min((g + 1) * group, k))
            part = w[rows, cols]
            kept = part if excluded is None else np.where(excluded[rows, cols], np.float32(0), part)
            best = fit_rows(part, kept, h[cols], rule == "outlier")
            scale[rows, g] = best
            level = quantise(part, best[:, None], np.empty_like(part))
            q[rows, cols] = level
            np.multiply(level, best[:, None], out=level)
            np.subtract(part, level, out=level)
            np.multiply(level, level, out=level)
            np.multiply(level, weight[cols], out=score[rows, cols])
    if excluded is not None:
        score[excluded] = np.inf
    mask, threshold = top_mask(score.ravel(), nnz)
    return {"scale": scale, "q": q, "mask": mask.reshape(n, k), "score": score, "h": h,
            "threshold": threshold, "excluded": excluded, "magnitude": magnitude, "cut": cut,
            "weight": weight, "nnz": nnz, "group": group}


def budget(density, count):
    m = int(density * count)
    while (m + 1) / count <= density:
        m += 1
    while m / count > density:
        m -= 1
    return m


# ---- the comparison ---------------------------------------------------------------------------

def read_split(path, n, k, group, nnz):
    groups, half = -(-k // group), (k + 1) // 2
    with open(path, "rb") as f:
        data = f.read()
    parts, at = {}, 0
    for name, dtype, count in (("q", np.uint8, n * half), ("scale", np.float16, n * groups),
                               ("row_ptr", np.int32, n + 1),
                               ("col", np.uint16 if k <= 65536 else np.uint32, nnz),
                               ("val", np.uint16, nnz)):
        parts[name] = np.frombuffer(data, dtype, count, at)
        at += parts[name].nbytes
    assert at == len(data), "the dump's size"
    low = (parts["q"] & 15).astype(np.int8)
    high = (parts["q"] >> 4).astype(np.int8)
    both = np.stack([low, high], axis=1).reshape(n, half * 2)
    assert k % 2 == 0 or not both[:, k:].any(), "the padding nibble"
    both = both[:, :k]
    parts["q"] = np.where(both >= 8, both - 16, both).astype(np.int8)
    parts["scale"] = parts["scale"].astype(np.float32).reshape(n, groups)
    return parts


def near(a, b):
    return np.abs(a - b) <= TIE * np.maximum(np.abs(a), np.abs(b))


def spread(scale, group, k):
    return np.repeat(scale, group, axis=1)[:, :k]


def check_scales(w, ours, gold):
    """Different scales only where candidates tie. Returns how many differ."""
    k, group = w.shape[1], gold["group"]
    differ = np.argwhere(ours["scale"] != gold["scale"])
    for row, g in differ:
        cols = slice(g * group, min((g + 1) * group, k))
        if gold["magnitude"] is not None and near(gold["magnitude"][row, cols], gold["cut"]).any():
            continue
        kept = w[row, cols].astype(np.float64)
        if gold["excluded"] is not None:
            kept = np.where(gold["excluded"][row, cols], 0, kept)
        errors = []
        for s in (ours["scale"][row, g], gold["scale"][row, g]):
            e = kept - float(s) * np.clip(np.rint(kept / s), -8, 7) if s > 0 else kept
            errors.append((gold["h"][cols].astype(np.float64) * e * e).sum())
        assert near(*errors), f"scale of row {row}, group {g}: errors {errors}"
    return len(differ)


def compare(w, ours, gold):
    n, k = w.shape
    differing = check_scales(w, ours, gold)
    scale = spread(ours["scale"], gold["group"], k)
    q = quantise(w, scale, np.empty_like(w))
    wrong = np.argwhere(q.astype(np.int8) != ours["q"])
    for row, col in wrong:  # a quotient that float rounds onto a half
        x = float(w[row, col]) / float(scale[row, col])
        assert abs(abs(x - np.floor(x)) - 0.5) < TIE * 8, f"q at {row}, {col}: {x}"
    q = ours["q"].astype(np.float32)
    residual = w - scale * q
    rows = np.repeat(np.arange(n), np.diff(ours["row_ptr"]))
    cols = ours["col"].astype(np.int64)
    flat = rows * k + cols
    assert ours["row_ptr"][0] == 0 and ours["row_ptr"][-1] == gold["nnz"] and (np.diff(flat) > 0).all()
    assert (residual[rows, cols].astype(np.float16).view(np.uint16) == ours["val"]).all(), "values"
    mask = np.zeros(n * k, bool)
    mask[flat] = True
    odd = mask.reshape(n, k) != gold["mask"]
    score = (residual * residual) * gold["weight"]
    tie = near(score, gold["threshold"])
    if gold["magnitude"] is not None:
        tie |= near(gold["magnitude"], gold["cut"])
    tie |= spread(ours["scale"] != gold["scale"], gold["group"], k)
    assert not (odd & ~tie).any(), f"mask at {np.argwhere(odd & ~tie)[:5].tolist()}"
    return differing, int(odd.sum())


CASES = [  # n, k, dtype, group, density, own hessian
    (1, 1, "f32", 128, 1.0, False),
    (64, 384, "f32", 128, 0.01, False),
    (33, 577, "bf16", 128, 0.05, True),
    (100, 1001, "f16", 64, 0.02, False),
    (7, 129, "f32", 32, 0.0, False),
    (20, 200, "bf16", 128, 1.0, False),
    (256, 1536, "bf16", 128, 0.01, False),
    (300, 1000, "f32", 0, 0.1, True),
    (6, 66000, "f16", 128, 0.003, False),
    (512, 576, "bf16", 32, 0.5, False),
]
VARIANTS = ["csr", "warp-per-row", "block-csr", "coo", "reference"]


def make(n, k, dtype, rng):
    w = 0.02 * np.exp(.15 * rng.standard_normal((n, 1))) * np.exp(.1 * rng.standard_normal((1, k)))
    w = (w * rng.standard_t(8, (n, k))).astype(np.float32)
    if dtype == "f32":
        return w
    if dtype == "f16":
        return w.astype(np.float16)
    bits = w.view(np.uint32)
    return ((bits + 0x7fff + ((bits >> 16) & 1)) >> 16).astype(np.uint16)


def dump(tool, variant, case, rule, threads, repeat, folder, out):
    n, k, dtype, group, density, own = case
    hessian = os.path.join(folder, "h") if own else "-"
    command = [tool, variant, dtype, n, k, rule, group, density, threads, repeat, hessian,
               os.path.join(folder, "w"), out]
    return json.loads(subprocess.check_output([str(c) for c in command]))


def golden(tool):
    with tempfile.TemporaryDirectory() as folder:
        for number, case in enumerate(CASES):
            n, k, dtype, group, density, own = case
            rng = np.random.default_rng(number)
            raw = make(n, k, dtype, rng)
            raw.tofile(os.path.join(folder, "w"))
            hessian = np.exp(rng.standard_normal(k)).astype(np.float32) if own else None
            if own:
                hessian.tofile(os.path.join(folder, "h"))
            w = to_float(raw, dtype)
            for rule in ("outlier", "residual", "legacy"):
                gold = sieve(w, rule, group, density, hessian)
                for variant in VARIANTS:
                    out = os.path.join(folder, "out")
                    dump(tool, variant, case, rule, 2, 1, folder, out)
                    ours = read_split(out, n, k, gold["group"], gold["nnz"])
                    scales, entries = compare(w, ours, gold)
                    assert scales <= 1 + 1e-3 * gold["scale"].size and entries <= 2 + 1e-4 * n * k
                    print(f"{case} {rule} {variant}: ok, {scales} scales and {entries} entries tie")


def speed(tool, threads, repeat):
    n, k = 8192, 3072
    case = (n, k, "bf16", 128, 0.01, False)
    with tempfile.TemporaryDirectory() as folder:
        raw = make(n, k, "bf16", np.random.default_rng(0))
        raw.tofile(os.path.join(folder, "w"))
        best = float("inf")
        for _ in range(max(1, repeat // 3)):
            start = time.perf_counter()
            sieve(to_float(raw, "bf16"), "outlier", 128, 0.01)
            best = min(best, time.perf_counter() - start)
        record = {"n": n, "k": k, "dtype": "bf16", "rule": "outlier", "group": 128, "density": 0.01,
                  "synthetic": True, "threads": threads, "w_bytes": raw.nbytes,
                  "numpy": np.__version__, "numpy_seconds": best, "variants": {}}
        for variant in ("csr", "warp-per-row", "block-csr"):
            mine = dump(tool, variant, case, "outlier", threads, repeat, folder, "-")
            mine["speedup_over_numpy"] = best / mine["seconds"]
            mine["working_share"] = mine["working_bytes"] / raw.nbytes
            record["variants"][variant] = mine
    print(json.dumps(record, indent=2))


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n")[0])
    parser.add_argument("tool", help="the sieve_dump executable")
    parser.add_argument("--speed", action="store_true", help="time instead of compare")
    parser.add_argument("--threads", type=int, default=2)
    parser.add_argument("--repeat", type=int, default=9)
    options = parser.parse_args()
    if options.speed:
        speed(options.tool, options.threads, options.repeat)
    else:
        golden(options.tool)


if __name__ == "__main__":
    main()
