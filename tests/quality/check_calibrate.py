"""scripts/calibrate-minilm: a tiny made BERT through all of it, the real one where it is at hand.

usage: check_calibrate.py SOURCE_DIR ORTHO_BENCH
"""

import json
import math
import os
import pathlib
import subprocess
import sys
import tempfile

SOURCE, BENCH = pathlib.Path(sys.argv[1]).resolve(), pathlib.Path(sys.argv[2]).resolve()
sys.path.insert(0, str(SOURCE / "scripts"))
try:
    import numpy as np
    from safetensors.numpy import load_file, save_file
    from tokenizers import Tokenizer, models, pre_tokenizers

    import bert
    import calibrate_minilm
except ImportError as missing:
    print(f"skipped: {missing}: scripts/setup installs it")
    sys.exit(77)

HIDDEN, INNER, LAYERS, HEADS, WORDS = 24, 40, 2, 12, 30  # heads as of the real model
LINEARS = {"attention.self.query": (HIDDEN, HIDDEN), "attention.self.key": (HIDDEN, HIDDEN),
           "attention.self.value": (HIDDEN, HIDDEN), "attention.output.dense": (HIDDEN, HIDDEN),
           "intermediate.dense": (INNER, HIDDEN), "output.dense": (HIDDEN, INNER)}
# As the model's authors print them, to four digits.
SENTENCES = ("The weather is lovely today.", "It's so sunny outside!", "He drove to the stadium.")
SIMILARITIES = {(0, 1): 0.6660, (0, 2): 0.1046, (1, 2): 0.1411}


def tiny_weights():
    rng = np.random.default_rng(1)

    def made(*shape):
        return (0.5 * rng.standard_normal(shape)).astype(np.float32)

    weights = {"embeddings.word_embeddings.weight": made(WORDS, HIDDEN),
               "embeddings.position_embeddings.weight": made(128, HIDDEN),
               "embeddings.token_type_embeddings.weight": made(2, HIDDEN)}
    norms = ["embeddings.LayerNorm"]
    for layer in range(LAYERS):
        prefix = f"encoder.layer.{layer}."
        for name, shape in LINEARS.items():
            weights[f"{prefix}{name}.weight"] = made(*shape)
            weights[f"{prefix}{name}.bias"] = made(shape[0])
        norms += [prefix + "attention.output.LayerNorm", prefix + "output.LayerNorm"]
    for name in norms:
        weights[name + ".weight"], weights[name + ".bias"] = made(HIDDEN), made(HIDDEN)
    return weights


# ---- the same network, a scalar at a time -------------------------------------------------------


def linear(weights, name, rows):
    w, b = weights[name + ".weight"], weights[name + ".bias"]
    return [[sum(float(a) * v for a, v in zip(w[o], row)) + float(b[o]) for o in range(len(w))]
            for row in rows]


def norm(weights, name, row):
    mean = sum(row) / len(row)
    spread = math.sqrt(sum((v - mean) ** 2 for v in row) / len(row) + 1e-12)
    w, b = weights[name + ".weight"], weights[name + ".bias"]
    return [(v - mean) / spread * float(w[i]) + float(b[i]) for i, v in enumerate(row)]


def attend(q, k, v):
    size, out = HIDDEN // HEADS, []
    for t in range(len(q)):
        row = []
        for h in range(HEADS):
            part = slice(h * size, h * size + size)
            scores = [sum(a * b for a, b in zip(q[t][part], k[u][part])) / math.sqrt(size)
                      for u in range(len(k))]
            shares = [math.exp(s) for s in scores]
            row += [sum(s * v[u][h * size + i] for u, s in enumerate(shares)) / sum(shares)
                    for i in range(size)]
        out.append(row)
    return out


def naive(weights, ids):
    """Hidden states, and what goes into each linear layer."""
    w, seen = weights, {}
    rows = [[float(a) + float(b) + float(c) for a, b, c in
             zip(w["embeddings.word_embeddings.weight"][i], w["embeddings.position_embeddings.weight"][t],
                 w["embeddings.token_type_embeddings.weight"][0])] for t, i in enumerate(ids)]
    rows = [norm(w, "embeddings.LayerNorm", row) for row in rows]
    for layer in range(LAYERS):
        p = f"encoder.layer.{layer}."

        def step(name, x):
            seen[f"{p}{name}.weight"] = x
            return linear(w, p + name, x)

        mixed = attend(*(step(f"attention.self.{n}", rows) for n in ("query", "key", "value")))
        added = [[a + b for a, b in zip(*pair)] for pair in zip(rows, step("attention.output.dense", mixed))]
        rows = [norm(w, p + "attention.output.LayerNorm", row) for row in added]
        inner = [[0.5 * v * (1 + math.erf(v / math.sqrt(2))) for v in row]
                 for row in step("intermediate.dense", rows)]
        added = [[a + b for a, b in zip(*pair)] for pair in zip(rows, step("output.dense", inner))]
        rows = [norm(w, p + "output.LayerNorm", row) for row in added]
    return rows, seen


def encoder_is_right(weights):
    ids, seen = [3, 7, 1, 29, 4], {}
    got = bert.Encoder(weights, HEADS).run(ids, lambda name, x: seen.update({name: x.copy()}))
    want, inputs = naive(weights, ids)
    assert np.allclose(got, want, atol=2e-5), np.abs(got - want).max()
    assert seen.keys() == inputs.keys() and len(seen) == 6 * LAYERS
    for name, x in inputs.items():
        assert np.allclose(seen[name], x, rtol=1e-4, atol=2e-5), (name, np.abs(seen[name] - x).max())


# ---- the files ----------------------------------------------------------------------------------


def calibrate(model, folder, *options, fails=None):
    said = subprocess.run([sys.executable, SOURCE / "scripts/calibrate_minilm.py", model, folder, *options],
                          capture_output=True, text=True, check=False)
    if fails is None:
        assert said.returncode == 0, said.stderr
        return [load_file(folder / f"{name}.safetensors") for name in ("calibration", "held-out")]
    assert said.returncode != 0 and fails in said.stderr and "Traceback" not in said.stderr, said.stderr
    return None


def files_are_right(weights, scratch):
    model, out = scratch / "tiny", scratch / "out"
    model.mkdir()
    save_file(weights, model / "model.safetensors")
    words = {"?": 0} | {f"w{i}": i for i in range(1, WORDS)}
    tokenizer = Tokenizer(models.WordLevel(words, unk_token="?"))
    tokenizer.pre_tokenizer = pre_tokenizers.Whitespace()
    tokenizer.save(str(model / "tokenizer.json"))
    long = "w9 " * 9
    (scratch / "a.md").write_text(f"w1 w2 w3 w4\nw5 w6 w7 w8\n\n```\n{long}\n\n{long}\n```\n| {long}|\n\n"
                                  f"too short\n\n{'w3 ' * 9}")
    (scratch / "b.md").write_text("\n\n".join(f"w{i} " * 8 for i in range(20)))
    texts = ["--text", scratch / "a.md", "--held-out-text", scratch / "b.md"]
    diagonal, held = calibrate(model, out, *texts, "--tokens", "20")
    rows, same = calibrate(model, out, *texts, "--tokens", "20", "--activations")
    ids = [[1, 2, 3, 4, 5, 6, 7, 8], [3] * 9]
    inputs = [naive(weights, i)[1] for i in ids]
    for name, x in rows.items():
        want = np.concatenate([i[name] for i in inputs])
        assert x.shape == want.shape and np.allclose(x, want, rtol=1e-4, atol=2e-5), name
        assert np.allclose(diagonal[name], (x.astype(np.float64) ** 2).mean(0), rtol=1e-5), name
        assert held[name].shape == (20, x.shape[1]) and np.array_equal(held[name], same[name])
    assert sorted(p.name for p in out.iterdir()) == ["calibration.safetensors", "held-out.safetensors"]
    calibrate(model, out, *texts, "--tokens", "161", fails="160 tokens of prose, fewer than the 161")
    calibrate(model, out, "--text", scratch / "none.md", fails="none.md")
    calibrate(model, out, "--text", os.devnull, fails="has no paragraph of prose")
    calibrate(scratch / "nothing", out, *texts, fails="scripts/setup fetches")
    (model / "tokenizer.json").write_text("{")
    calibrate(model, out, *texts, fails="scripts/setup fetches")


# ---- the real model -----------------------------------------------------------------------------


def bench(*options):
    said = subprocess.run([BENCH, *options], capture_output=True, text=True, check=False)
    assert said.returncode == 0, said.stderr
    return said.stdout


def judged(scratch, *options):
    """The quality of a sieve of one slice."""
    out = scratch / "results.json"
    bench("run", "--op", "sieve", "--variant", "csr", "--backend", "cpu", "--model", "minilm-l6", "--proj",
          "down", "--layers", "3", "--min-time", "0.001", "--ci-target", "1", "--l2", "warm", "--no-history",
          *options, "--out", out)
    rows = json.loads(out.read_text())["results"]
    return next(row["quality"] for row in rows if row["variant"] == "csr")


def real_model(folder, scratch):
    encoder, tokenizer = calibrate_minilm.load_encoder(folder)
    embeddings = [encoder.embed(tokenizer.encode(s).ids) for s in SENTENCES]
    for (a, b), want in SIMILARITIES.items():
        assert abs(embeddings[a] @ embeddings[b] - want) < 6e-5, (a, b, embeddings[a] @ embeddings[b])
    text = ["--text", SOURCE / "docs/CI.md", "--held-out-text", SOURCE / "docs/GPU.md", "--tokens", "64"]
    rows, _ = calibrate(folder, scratch / "rows", *text, "--activations")
    diagonals, held = calibrate(folder, scratch / "diagonals", *text)
    assert len(rows) == len(diagonals) == len(held) == 36
    for kind in ("rows", "diagonals"):
        said = bench("verify", "--op", "sieve", "--variant", "csr", "--backend", "cpu", "--model", "minilm-l6",
                     "--layers", "0-5", "--hessian", scratch / kind / "calibration.safetensors")
        assert said.count("pass") == 36, said
    weights = load_file(folder / "model.safetensors")
    name = "encoder.layer.3.output.dense.weight"
    h = ["--hessian", scratch / "diagonals/calibration.safetensors"]
    by_rows = judged(scratch, *h, "--held-out", scratch / "diagonals/held-out.safetensors")
    by_diagonal = judged(scratch, *h, "--held-out", scratch / "diagonals/calibration.safetensors")
    assert by_rows["held_out"]["tokens"] == 64 and "held_out" not in judged(scratch, *h)
    mse = by_rows["held_out"]["output_rel_mse"]
    assert abs(by_rows["held_out"]["output_snr_db"] + 10 * math.log10(mse)) < 1e-9
    # An error that doesn't know of the columns would be as large as this, over W's own outputs.
    energy = ((held[name].astype(np.float64) @ weights[name].T.astype(np.float64)) ** 2).sum()
    h_held = (held[name].astype(np.float64) ** 2).sum(0)
    apart = by_rows["held_out"]["h_weighted"] ** 2 * (h_held * weights[name].astype(np.float64) ** 2).sum()
    assert 0.3 < mse * energy / apart < 3, mse * energy / apart
    assert by_diagonal["held_out"] == {"h_weighted": by_diagonal["h_weighted"]}


def main():
    weights = tiny_weights()
    encoder_is_right(weights)
    cache = os.environ.get("ORTHO_CACHE") or pathlib.Path(
        os.environ.get("XDG_CACHE_HOME") or pathlib.Path.home() / ".cache") / "ortho-bench"
    folder = pathlib.Path(cache) / "models/minilm-l6"
    with tempfile.TemporaryDirectory() as scratch:
        files_are_right(weights, pathlib.Path(scratch))
        if (folder / "model.safetensors").is_file() and (folder / "tokenizer.json").is_file():
            real_model(folder, pathlib.Path(scratch))
        else:
            print("minilm-l6 isn't at hand: what needs it was left out")


if __name__ == "__main__":
    main()
